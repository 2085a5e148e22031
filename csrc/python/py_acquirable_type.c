/* The type _core.Acquirable: its life, and the methods that acquire. */
#include "py_acquirable.h"
#include "py_args.h"

#include <structmember.h>

/* ---------------------------------------------------------------- acquiring */

/* Sleep until the next look. Returns 1, 0 when the time is over, or -1. */
static int
sleep_once(PyObject *patience)
{
    PyObject *delay = acquirable_delay(patience);
    if (delay == NULL || delay == Py_None) {
        Py_XDECREF(delay);
        return delay == NULL ? -1 : 0;
    }
    PyObject *slept = acquirable_wait("pause", delay);
    Py_DECREF(delay);
    Py_XDECREF(slept);
    return slept != NULL ? 1 : -1;
}

/* Look again and again. Returns as acquirable_attempt(). */
static int
wait_for(struct acquirable_object *self, PyObject *timeout)
{
    PyObject *patience = acquirable_patience(timeout);
    struct crowd crowd;
    int slept, taken = 0;
    if (patience == NULL) {
        return -1;
    }
    crowd_join(self->state, &crowd);
    while (taken == 0 && (slept = sleep_once(patience)) != 0) {
        taken = slept < 0 ? -1 : acquirable_attempt(self);
    }
    crowd_leave(self->state, &crowd);
    Py_DECREF(patience); /* runs no code of Python */
    return taken;
}

static int
acquire_within(struct acquirable_object *self, PyObject *timeout)
{
    int taken = acquirable_attempt(self);
    return taken == 0 ? wait_for(self, timeout) : taken;
}

/* The seconds to wait, None for as long as it takes; a new reference. */
static PyObject *
timeout_of(const struct acquirable_object *self, PyObject *blocking,
           PyObject *timeout)
{
    if (acquirable_require(self) < 0) {
        return NULL;
    }
    if (blocking == Py_True && timeout == Py_None) {
        return Py_NewRef(self->timeout);
    }
    return acquirable_call_module(
        "fastmmap.sync.timeouts", "patience_of",
        Py_BuildValue("(OOO)", blocking, timeout, self->timeout));
}

PyDoc_STRVAR(acquirable_acquire_doc,
"acquire($self, /, blocking=True, timeout=None)\n\
--\n\
\n\
Acquire it, and wait until that is possible.\n\
\n\
If an exception comes before it returns, for instance from a signal\n\
handler, nothing is held.\n\
\n\
Args:\n\
    blocking: Whether to wait.\n\
    timeout: Seconds to wait; ``None`` for the time given to the\n\
        constructor, -1 for as long as it takes.\n\
\n\
Returns:\n\
    Whether it was acquired.\n\
\n\
Raises:\n\
    LockError: The cache has no room for it.\n\
    ValueError, OverflowError: A timeout out of range.");

static PyObject *
acquirable_acquire(PyObject *object, PyObject *const *values, Py_ssize_t count,
                   PyObject *names)
{
    static const char *const list[] = {"blocking", "timeout", NULL};
    static const struct args_spec spec = {"acquire", list, 0, 2};
    struct acquirable_object *self = acquirable_of(object);
    PyObject *out[] = {NULL, NULL};
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    PyObject *patience = timeout_of(self, out[0] != NULL ? out[0] : Py_True,
                                    out[1] != NULL ? out[1] : Py_None);
    if (patience == NULL) {
        return NULL;
    }
    int taken = acquire_within(self, patience);
    Py_DECREF(patience);
    return taken < 0 ? NULL : PyBool_FromLong(taken);
}

PyDoc_STRVAR(acquirable_enter_doc,
"__enter__($self, /)\n\
--\n\
\n\
Get it. Raises LockTimeout when the time to wait is over.");

static PyObject *
acquirable_enter(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct acquirable_object *self = acquirable_of(object);
    if (acquirable_require(self) < 0) {
        return NULL;
    }
    int taken = acquire_within(self, self->timeout);
    if (taken == 0) {
        taken = acquirable_raise_timeout(self);
    }
    return taken < 0 ? NULL : Py_NewRef(object);
}

PyDoc_STRVAR(acquirable_acquire_async_doc,
"acquire_async($self, /, timeout=None)\n\
--\n\
\n\
Acquire it like `acquire`; the event loop continues meanwhile.\n\
\n\
Works with asyncio and trio, and so with anyio.\n\
\n\
Returns:\n\
    An awaitable of whether it was got. When it is cancelled, nothing is held.");

static PyObject *
acquirable_acquire_async(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"timeout", NULL};
    struct acquirable_object *self = acquirable_of(object);
    PyObject *timeout = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:acquire_async",
                                     (char **)(uintptr_t)list, &timeout)) {
        return NULL;
    }
    PyObject *patience = timeout_of(self, Py_True, timeout);
    return patience != NULL ? acquiring_new(self, patience, false) : NULL;
}

PyDoc_STRVAR(acquirable_aenter_doc,
"__aenter__($self, /)\n\
--\n\
\n\
Get it without blocking the event loop.");

static PyObject *
acquirable_aenter(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct acquirable_object *self = acquirable_of(object);
    if (acquirable_require(self) < 0) {
        return NULL;
    }
    return acquiring_new(self, Py_NewRef(self->timeout), true);
}

/* ----------------------------------------------------------------- its life */

static int
acquirable_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"holdings", "name", "ms", "timeout",
                                       NULL};
    struct acquirable_object *self = acquirable_of(object);
    struct module_state *state = state_of_type(Py_TYPE(object));
    PyObject *holdings, *name, *timeout;
    unsigned long long ms;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!UKO:Acquirable", (char **)(uintptr_t)list,
            state->holdings_type, &holdings, &name, &ms, &timeout)) {
        return -1;
    }
    if (self->holdings != NULL) {
        PyErr_SetString(PyExc_TypeError, "it is a lock by now");
        return -1;
    }
    if (((struct holdings_object *)holdings)->cache == NULL) {
        PyErr_SetString(PyExc_TypeError, "the holdings are of no cache");
        return -1;
    }
    self->state = state;
    self->name = Py_NewRef(name);
    self->timeout = Py_NewRef(timeout);
    self->duration_ms = ms;
    self->holdings = (struct holdings_object *)Py_NewRef(holdings);
    return 0;
}

static int
acquirable_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct acquirable_object *self = acquirable_of(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->holdings);
    Py_VISIT(self->timeout);
    return 0;
}

static int
acquirable_clear(PyObject *object)
{
    Py_CLEAR(acquirable_of(object)->holdings);
    return 0;
}

static void
acquirable_dealloc(PyObject *object)
{
    struct acquirable_object *self = acquirable_of(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    acquirable_clear(object);
    Py_CLEAR(self->name);
    Py_CLEAR(self->timeout);
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(acquirable_name_doc,
"The name that it was made with.");

static PyMemberDef acquirable_members[] = {
    {"name", T_OBJECT_EX, offsetof(struct acquirable_object, name), READONLY,
     acquirable_name_doc},
    {"_timeout", T_OBJECT_EX, offsetof(struct acquirable_object, timeout),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

#define WITH_NAMES(function) (PyCFunction)(void (*)(void)) function

static PyMethodDef acquirable_methods[] = {
    {"acquire", WITH_NAMES(acquirable_acquire), METH_FASTCALL | METH_KEYWORDS,
     acquirable_acquire_doc},
    {"acquire_async", WITH_NAMES(acquirable_acquire_async),
     METH_VARARGS | METH_KEYWORDS, acquirable_acquire_async_doc},
    {"release", acquirable_release, METH_NOARGS, acquirable_release_doc},
    {"_release_some", WITH_NAMES(acquirable_release_some),
     METH_VARARGS | METH_KEYWORDS, acquirable_release_some_doc},
    {"_extend", acquirable_extend, METH_O, acquirable_extend_doc},
    {"__enter__", acquirable_enter, METH_NOARGS, acquirable_enter_doc},
    {"__exit__", WITH_NAMES(acquirable_exit), METH_FASTCALL,
     acquirable_exit_doc},
    {"__aenter__", acquirable_aenter, METH_NOARGS, acquirable_aenter_doc},
    {"__aexit__", WITH_NAMES(acquirable_aexit), METH_FASTCALL,
     acquirable_aexit_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(acquirable_doc,
"Acquirable(holdings, name, ms, timeout)\n\
--\n\
\n\
The calls of a lock that lasts for `ms` milliseconds.");

static PyType_Slot acquirable_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)acquirable_doc},
    {Py_tp_init, acquirable_init},
    {Py_tp_traverse, acquirable_traverse},
    {Py_tp_clear, acquirable_clear},
    {Py_tp_dealloc, acquirable_dealloc},
    {Py_tp_methods, acquirable_methods},
    {Py_tp_members, acquirable_members},
    {0, NULL},
};

PyType_Spec acquirable_spec = {
    .name = "fastmmap._core.Acquirable",
    .basicsize = sizeof(struct acquirable_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = acquirable_slots,
};
