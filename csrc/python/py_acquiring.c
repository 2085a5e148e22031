/* The awaitable behind acquire_async() and ``async with``.
 *
 * It looks, in C, and while it has to wait it hands the event loop to a sleep of
 * the running library. When a look succeeds, it returns at once: no task can be
 * cancelled between the two. */
#include "py_acquirable.h"

#include "py_attempt.h"

enum phase { PHASE_NEW, PHASE_WAITS, PHASE_DONE };

struct acquiring_object {
    PyObject_HEAD struct module_state *state;
    struct acquirable_object *acquirable; /* NULL: nothing to get */
    PyObject *timeout;
    PyObject *patience; /* NULL: has not waited yet */
    PyObject *sleep;    /* a coroutine, while it sleeps */
    struct crowd crowd;
    enum phase phase;
    bool enter, busy;
};

static struct acquiring_object *
acquiring_of(PyObject *object)
{
    return (struct acquiring_object *)object;
}

/* ------------------------------------------------------------------- steps */

static void
finish(struct acquiring_object *self)
{
    self->phase = PHASE_DONE;
    crowd_leave(self->state, &self->crowd);
    Py_CLEAR(self->sleep);
    Py_CLEAR(self->patience);
}

/* What it ends with; a new reference, or NULL with an exception. */
static PyObject *
outcome_of(struct acquiring_object *self, int taken)
{
    if (self->acquirable == NULL) {
        return Py_NewRef(Py_None);
    }
    if (!self->enter) {
        return PyBool_FromLong(taken);
    }
    if (taken == 0) {
        acquirable_raise_timeout(self->acquirable);
        return NULL;
    }
    return Py_NewRef((PyObject *)self->acquirable);
}

/* Begin to sleep. Returns 1, 0 when the time is over, or -1. */
static int
begin_sleep(struct acquiring_object *self)
{
    if (self->patience == NULL) {
        self->patience = acquirable_patience(self->timeout);
        if (self->patience == NULL) {
            return -1;
        }
        crowd_join(self->state, &self->crowd);
    }
    PyObject *delay = acquirable_delay(self->patience);
    if (delay == NULL || delay == Py_None) {
        Py_XDECREF(delay);
        return delay == NULL ? -1 : 0;
    }
    self->sleep = acquirable_wait("pause_async", delay);
    Py_DECREF(delay);
    return self->sleep != NULL ? 1 : -1;
}

/* Go on with the sleep, or be done with it. `*out` is what it yields. */
static PySendResult
go_on_sleeping(struct acquiring_object *self, PyObject *value, PyObject **out)
{
    PySendResult slept = PyIter_Send(self->sleep, value, out);
    if (slept != PYGEN_NEXT) {
        Py_CLEAR(self->sleep);
    }
    if (slept == PYGEN_RETURN) {
        Py_CLEAR(*out);
    }
    return slept;
}

/* Look once, without a wait. Returns as acquirable_attempt(). */
static int
look(struct acquiring_object *self)
{
    struct attempt *attempt = attempt_begin(0);
    if (attempt == NULL) {
        return -1;
    }
    int taken = acquirable_attempt(self->acquirable);
    attempt_end(attempt);
    if (taken < 0 && PyErr_ExceptionMatches(self->state->page_busy)) {
        PyErr_Clear();
        return 0;
    }
    return taken;
}

/* Look and sleep until it is got, or the loop has to go on. */
static PySendResult
run(struct acquiring_object *self, PyObject *value, PyObject **out)
{
    for (;;) {
        if (self->sleep != NULL) {
            PySendResult slept = go_on_sleeping(self, value, out);
            if (slept != PYGEN_RETURN) {
                return slept;
            }
            value = Py_None;
        }
        int taken = self->acquirable != NULL ? look(self) : 1;
        int slept = taken == 0 ? begin_sleep(self) : 0;
        if (taken < 0 || slept < 0) {
            return PYGEN_ERROR;
        }
        if (slept == 0) {
            *out = outcome_of(self, taken);
            return *out != NULL ? PYGEN_RETURN : PYGEN_ERROR;
        }
    }
}

/* One at a time, and nothing after its end. Returns 0, or -1. */
static int
begin_step(struct acquiring_object *self)
{
    if (self->busy || self->phase == PHASE_DONE) {
        PyErr_SetString(PyExc_RuntimeError,
                        self->busy ? "it is being awaited already"
                                   : "it cannot be awaited again");
        return -1;
    }
    self->busy = true;
    self->phase = PHASE_WAITS;
    return 0;
}

static PySendResult
end_step(struct acquiring_object *self, PySendResult result)
{
    self->busy = false;
    if (result != PYGEN_NEXT) {
        finish(self);
    }
    return result;
}

static PySendResult
acquiring_am_send(PyObject *object, PyObject *value, PyObject **out)
{
    struct acquiring_object *self = acquiring_of(object);
    *out = NULL;
    if (begin_step(self) < 0) {
        return PYGEN_ERROR;
    }
    return end_step(self, run(self, value, out));
}

/* As Python has it: what is returned comes in a StopIteration. */
static PyObject *
to_python(PySendResult result, PyObject *value)
{
    if (result == PYGEN_RETURN) {
        PyErr_SetObject(PyExc_StopIteration, value);
        Py_CLEAR(value);
    }
    return value;
}

static PyObject *
acquiring_send(PyObject *self, PyObject *value)
{
    PyObject *out;
    PySendResult result = acquiring_am_send(self, value, &out);
    return to_python(result, out);
}

static PyObject *
acquiring_next(PyObject *self)
{
    return acquiring_send(self, Py_None);
}

/* ---------------------------------------------------------------- throwing */

/* Raise what throw() was called with. */
static void
raise_given(PyObject *args)
{
    PyObject *kind = PyTuple_GET_ITEM(args, 0);
    PyObject *value =
        PyTuple_GET_SIZE(args) > 1 ? PyTuple_GET_ITEM(args, 1) : Py_None;
    if (PyExceptionInstance_Check(kind)) {
        PyErr_SetObject((PyObject *)Py_TYPE(kind), kind);
    }
    else if (PyExceptionClass_Check(kind)) {
        PyErr_SetObject(kind, value);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "exceptions must derive from "
                                         "BaseException");
    }
}

/* The sleep gets it first. Returns as run(). */
static PySendResult
throw_in(struct acquiring_object *self, PyObject *args, PyObject **out)
{
    if (self->sleep == NULL) {
        raise_given(args);
        return PYGEN_ERROR;
    }
    PyObject *throw = PyObject_GetAttrString(self->sleep, "throw");
    *out = throw != NULL ? PyObject_CallObject(throw, args) : NULL;
    Py_XDECREF(throw);
    if (*out != NULL) {
        return PYGEN_NEXT;
    }
    Py_CLEAR(self->sleep);
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return PYGEN_ERROR;
    }
    PyErr_Clear(); /* it took the exception, and slept enough */
    return run(self, Py_None, out);
}

static PyObject *
acquiring_throw(PyObject *object, PyObject *args)
{
    struct acquiring_object *self = acquiring_of(object);
    PyObject *out = NULL;
    if (PyTuple_GET_SIZE(args) < 1) {
        PyErr_SetString(PyExc_TypeError, "throw expected an exception");
        return NULL;
    }
    if (self->phase == PHASE_DONE) {
        raise_given(args);
        return NULL;
    }
    if (begin_step(self) < 0) {
        return NULL;
    }
    PySendResult result = end_step(self, throw_in(self, args, &out));
    return to_python(result, out);
}

static PyObject *
acquiring_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct acquiring_object *self = acquiring_of(object);
    PyObject *sleep = Py_XNewRef(self->sleep), *closed = NULL;
    if (self->busy) {
        PyErr_SetString(PyExc_ValueError, "it is being awaited");
        Py_XDECREF(sleep);
        return NULL;
    }
    finish(self);
    if (sleep == NULL) {
        Py_RETURN_NONE;
    }
    closed = PyObject_CallMethod(sleep, "close", NULL);
    Py_DECREF(sleep);
    return closed;
}

static PyObject *
acquiring_await(PyObject *self)
{
    return Py_NewRef(self);
}

/* --------------------------------------------------------------- its life */

static struct acquiring_object *
make(struct module_state *state)
{
    PyTypeObject *type = state->acquiring_type;
    struct acquiring_object *self = acquiring_of(type->tp_alloc(type, 0));
    if (self != NULL) {
        self->state = state;
    }
    return self;
}

PyObject *
acquiring_new(struct acquirable_object *acquirable, PyObject *timeout,
              bool enter)
{
    struct acquiring_object *self = make(acquirable->state);
    if (self == NULL) {
        Py_DECREF(timeout);
        return NULL;
    }
    self->acquirable =
        (struct acquirable_object *)Py_NewRef((PyObject *)acquirable);
    self->timeout = timeout;
    self->enter = enter;
    return (PyObject *)self;
}

PyObject *
acquiring_done(struct module_state *state)
{
    return (PyObject *)make(state);
}

static int
acquiring_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct acquiring_object *self = acquiring_of(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->acquirable);
    Py_VISIT(self->patience);
    Py_VISIT(self->sleep);
    return 0;
}

static int
acquiring_clear(PyObject *object)
{
    struct acquiring_object *self = acquiring_of(object);
    finish(self);
    Py_CLEAR(self->acquirable);
    Py_CLEAR(self->timeout);
    return 0;
}

/* As of coroutines: who forgets the await hears of it. */
static void
acquiring_finalize(PyObject *object)
{
    struct acquiring_object *self = acquiring_of(object);
    PyObject *type, *value, *traceback;
    if (self->phase != PHASE_NEW || self->acquirable == NULL) {
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1,
                         "acquiring lock %R was never awaited",
                         self->acquirable->name) < 0) {
        PyErr_WriteUnraisable(object);
    }
    PyErr_Restore(type, value, traceback);
}

static void
acquiring_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (PyObject_CallFinalizerFromDealloc(object) < 0) {
        return;
    }
    PyObject_GC_UnTrack(object);
    acquiring_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef acquiring_methods[] = {
    {"send", acquiring_send, METH_O, NULL},
    {"throw", acquiring_throw, METH_VARARGS, NULL},
    {"close", acquiring_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(acquiring_doc,
"What ``acquire_async()`` and ``async with`` await.");

static PyType_Slot acquiring_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)acquiring_doc},
    {Py_tp_traverse, acquiring_traverse},
    {Py_tp_clear, acquiring_clear},
    {Py_tp_finalize, acquiring_finalize},
    {Py_tp_dealloc, acquiring_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, acquiring_next},
    {Py_am_await, acquiring_await},
    {Py_am_send, acquiring_am_send},
    {Py_tp_methods, acquiring_methods},
    {0, NULL},
};

PyType_Spec acquiring_spec = {
    .name = "fastmmap._core.Acquiring",
    .basicsize = sizeof(struct acquiring_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = acquiring_slots,
};
