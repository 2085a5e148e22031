#include "py_acquirable.h"

#include "py_caller.h"

#include <structmember.h>

static struct acquirable_object *
acquirable_of(PyObject *object)
{
    return (struct acquirable_object *)object;
}

static int
require_holdings(const struct acquirable_object *self)
{
    if (self->holdings != NULL) {
        return 0;
    }
    PyErr_SetString(PyExc_TypeError, "the lock was not made by __init__()");
    return -1;
}

/* ------------------------------------------------------------------ waiting */

/* Call a function of a module; the module is imported by now. */
static PyObject *
call_module(const char *module_name, const char *function, PyObject *args)
{
    PyObject *result = NULL;
    PyObject *module =
        args != NULL ? PyImport_ImportModule(module_name) : NULL;
    PyObject *callable =
        module != NULL ? PyObject_GetAttrString(module, function) : NULL;
    if (callable != NULL) {
        result = PyObject_CallObject(callable, args);
    }
    Py_XDECREF(callable);
    Py_XDECREF(module);
    Py_XDECREF(args);
    return result;
}

/* It is not entered, which would ask for code of Python at the end. */
PyObject *
acquirable_patience(PyObject *timeout)
{
    return call_module("fastmmap.waiting", "Patience",
                       Py_BuildValue("(O)", timeout));
}

PyObject *
acquirable_delay(PyObject *patience)
{
    return PyObject_CallMethod(patience, "delay", NULL);
}

PyObject *
acquirable_wait(const char *function, PyObject *delay)
{
    return call_module("fastmmap.waiting", function,
                       Py_BuildValue("(O)", delay));
}

/* ---------------------------------------------------------------- acquiring */

int
acquirable_attempt(struct acquirable_object *self)
{
    PyObject *caller = require_holdings(self) == 0 ? caller_now() : NULL;
    if (caller == NULL) {
        return -1;
    }
    int taken =
        holdings_take(self->holdings, caller, self->duration_ms, self->name);
    Py_DECREF(caller);
    return taken;
}

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
    if (require_holdings(self) < 0) {
        return NULL;
    }
    if (blocking == Py_True && timeout == Py_None) {
        return Py_NewRef(self->timeout);
    }
    return call_module(
        "fastmmap.sync.timeouts", "patience_of",
        Py_BuildValue("(OOO)", blocking, timeout, self->timeout));
}

PyDoc_STRVAR(acquirable_acquire_doc,
"acquire($self, /, blocking=True, timeout=None)\n\
--\n\
\n\
Get it, and wait until that is possible.\n\
\n\
Whatever exception comes before it returns, from a signal handler for\n\
example, nothing is held then.\n\
\n\
Args:\n\
    blocking: Whether to wait.\n\
    timeout: Seconds to wait; ``None`` for the time given to the\n\
        constructor, -1 for as long as it takes.\n\
\n\
Returns:\n\
    Whether it was got.\n\
\n\
Raises:\n\
    LockError: The cache has no room for it.\n\
    ValueError, OverflowError: A timeout out of range.");

static PyObject *
acquirable_acquire(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"blocking", "timeout", NULL};
    struct acquirable_object *self = acquirable_of(object);
    PyObject *blocking = Py_True, *timeout = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:acquire",
                                     (char **)(uintptr_t)list, &blocking,
                                     &timeout)) {
        return NULL;
    }
    PyObject *patience = timeout_of(self, blocking, timeout);
    if (patience == NULL) {
        return NULL;
    }
    int taken = acquire_within(self, patience);
    Py_DECREF(patience);
    return taken < 0 ? NULL : PyBool_FromLong(taken);
}

int
acquirable_raise_timeout(struct acquirable_object *self)
{
    PyErr_Format(self->state->lock_timeout,
                 "%R: not to be had within %S s: try again, or raise timeout",
                 self, self->timeout);
    return -1;
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
    if (require_holdings(self) < 0) {
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
Get it like `acquire`, and let the event loop go on meanwhile.\n\
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
    if (require_holdings(self) < 0) {
        return NULL;
    }
    return acquiring_new(self, Py_NewRef(self->timeout), true);
}

/* ---------------------------------------------------------------- releasing */

/* Of what is not held. */
static int
raise_not_held(struct acquirable_object *self, Py_ssize_t wanted)
{
    switch (self->holdings->kind) {
    case KIND_RLOCK:
        PyErr_Format(self->state->lock_error,
                     "%R is not held by this thread or task", self);
        break;
    case KIND_SEMAPHORE:
        PyErr_Format(PyExc_ValueError,
                     "%R: release of %zd permits, %zd are held", self, wanted,
                     holdings_count(self->holdings));
        break;
    case KIND_LOCK:
    default:
        PyErr_Format(self->state->lock_error,
                     "%R is not held through this object", self);
    }
    return -1;
}

static int
raise_inherited(const struct acquirable_object *self)
{
    PyErr_Format(self->state->lock_error,
                 "%U: %R is held by the process that this one was forked from "
                 "while it had it, and not by this one",
                 self->holdings->cache->path, self->name);
    return -1;
}

enum given {
    GIVEN_BACK,
    GIVEN_LOST,
    GIVEN_INHERITED,
    GIVEN_NONE,
    GIVEN_ERROR
};

/* Give it back once. With `closing` a coroutine is closed, which may happen
 * outside the task that it ran in: then it is whoever has it. */
static enum given
give_one(struct acquirable_object *self, PyObject *caller, bool closing)
{
    struct holding *holding = holdings_find(self->holdings, caller);
    if (holding == NULL && closing) {
        holding = holdings_find_any(self->holdings);
    }
    if (holding != NULL) {
        return holdings_give_back(self->holdings, holding) ? GIVEN_BACK
                                                           : GIVEN_LOST;
    }
    return holdings_forget_inherited(self->holdings) ? GIVEN_INHERITED
                                                     : GIVEN_NONE;
}

/* Give it back `n` times, the worst of what became of it. Should an exception
 * come while the caller is asked for, it is given back all the same. */
static enum given
give_back(struct acquirable_object *self, Py_ssize_t n, bool closing)
{
    PyObject *caller = caller_now();
    enum given worst = GIVEN_BACK;
    for (Py_ssize_t i = 0; i < n; i++) {
        enum given one = give_one(self, caller, closing);
        worst = one > worst ? one : worst;
    }
    if (caller == NULL) {
        return GIVEN_ERROR;
    }
    Py_DECREF(caller);
    return worst;
}

static int
tell(struct acquirable_object *self, enum given given)
{
    switch (given) {
    case GIVEN_LOST:
        return holdings_raise_lost(self->holdings, self->name);
    case GIVEN_INHERITED:
        return raise_inherited(self);
    case GIVEN_NONE:
        return raise_not_held(self, 1);
    case GIVEN_ERROR:
        return -1;
    case GIVEN_BACK:
    default:
        return 0;
    }
}

PyDoc_STRVAR(acquirable_release_doc,
"release($self, /)\n\
--\n\
\n\
Give it back: at once, whoever holds its page of the cache just then.\n\
\n\
A `Lock` or permit can be given back by another thread than the one that got\n\
it; an `RLock` by who has it only, and it is free after as many times as it\n\
was taken.\n\
\n\
Raises:\n\
    LockError: It is not held through this object in this process; of an\n\
        `RLock`, by this thread or task.\n\
    LockLost: It was held, and ended before: it may have been had by others\n\
        meanwhile.");

static PyObject *
acquirable_release(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct acquirable_object *self = acquirable_of(object);
    if (require_holdings(self) < 0 ||
        tell(self, give_back(self, 1, false)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(acquirable_release_some_doc,
"release($self, /, n=1)\n\
--\n\
\n\
Give permits back; any thread of the process may, through this object.\n\
\n\
Args:\n\
    n: How many.\n\
\n\
Raises:\n\
    ValueError: Less than one, or more than were got through this object in\n\
        this process; none is given back then.\n\
    LockLost: One ended before; the others are given back.");

/* Give several back, or none when there are not so many. */
static PyObject *
acquirable_release_some(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"n", NULL};
    struct acquirable_object *self = acquirable_of(object);
    Py_ssize_t n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:release",
                                     (char **)(uintptr_t)list, &n) ||
        require_holdings(self) < 0) {
        return NULL;
    }
    Py_ssize_t held = holdings_count(self->holdings);
    if (held == 0 && n == 1 && holdings_forget_inherited(self->holdings)) {
        raise_inherited(self);
        return NULL;
    }
    if (n < 1 || n > held) {
        raise_not_held(self, n);
        return NULL;
    }
    return tell(self, give_back(self, n, false)) < 0 ? NULL
                                                     : Py_NewRef(Py_None);
}

/* The end of a block: one that raised tells nothing but its own error. */
static int
leave(struct acquirable_object *self, PyObject *args)
{
    bool raised =
        PyTuple_GET_SIZE(args) > 0 && PyTuple_GET_ITEM(args, 0) != Py_None;
    if (require_holdings(self) < 0) {
        return -1;
    }
    bool closing = raised && PyTuple_GET_ITEM(args, 0) == PyExc_GeneratorExit;
    enum given given = give_back(self, 1, closing);
    if (raised && (given == GIVEN_LOST || given == GIVEN_INHERITED)) {
        return 0;
    }
    return tell(self, given);
}

PyDoc_STRVAR(acquirable_exit_doc,
"__exit__($self, /, *exc_info)\n\
--\n\
\n\
Give it back. Raises LockLost, unless the block raised anyway.");

static PyObject *
acquirable_exit(PyObject *self, PyObject *args)
{
    return leave(acquirable_of(self), args) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(acquirable_aexit_doc,
"__aexit__($self, /, *exc_info)\n\
--\n\
\n\
Give it back, which takes no waiting.");

/* It is given back by the call; to await it takes no time. */
static PyObject *
acquirable_aexit(PyObject *object, PyObject *args)
{
    struct acquirable_object *self = acquirable_of(object);
    return leave(self, args) < 0 ? NULL : acquiring_done(self->state);
}

PyDoc_STRVAR(acquirable_extend_doc,
"_extend($self, ms, /)\n\
--\n\
\n\
Let the time begin anew; ``None`` for as long as before.");

static PyObject *
acquirable_extend(PyObject *object, PyObject *ms)
{
    struct acquirable_object *self = acquirable_of(object);
    PyObject *caller = require_holdings(self) == 0 ? caller_now() : NULL;
    if (caller == NULL) {
        return NULL;
    }
    struct holding *holding = holdings_find(self->holdings, caller);
    Py_DECREF(caller);
    if (holding == NULL) {
        raise_not_held(self, 1);
        return NULL;
    }
    unsigned long long duration_ms = holding->duration_ms;
    if (ms != Py_None) {
        duration_ms = PyLong_AsUnsignedLongLong(ms);
        if (PyErr_Occurred()) {
            return NULL;
        }
    }
    int status = holding_extend(self->holdings->cache, holding, duration_ms);
    if (status == FMM_MISS) {
        status = holdings_raise_lost(self->holdings, self->name);
    }
    return status < 0 ? NULL : Py_NewRef(Py_None);
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
    {"acquire", WITH_NAMES(acquirable_acquire), METH_VARARGS | METH_KEYWORDS,
     acquirable_acquire_doc},
    {"acquire_async", WITH_NAMES(acquirable_acquire_async),
     METH_VARARGS | METH_KEYWORDS, acquirable_acquire_async_doc},
    {"release", acquirable_release, METH_NOARGS, acquirable_release_doc},
    {"_release_some", WITH_NAMES(acquirable_release_some),
     METH_VARARGS | METH_KEYWORDS, acquirable_release_some_doc},
    {"_extend", acquirable_extend, METH_O, acquirable_extend_doc},
    {"__enter__", acquirable_enter, METH_NOARGS, acquirable_enter_doc},
    {"__exit__", acquirable_exit, METH_VARARGS, acquirable_exit_doc},
    {"__aenter__", acquirable_aenter, METH_NOARGS, acquirable_aenter_doc},
    {"__aexit__", acquirable_aexit, METH_VARARGS, acquirable_aexit_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(acquirable_doc,
"Acquirable(holdings, name, ms, timeout)\n\
--\n\
\n\
The calls of a lock that lasts for so many ms.");

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
