/* The methods of _core.Acquirable that give it back, or extend its time. */
#include "py_acquirable.h"
#include "py_caller.h"
#include "py_leasing.h"

static int
raise_not_held(struct acquirable_object *self)
{
    PyErr_Format(self->state->lock_error,
                 self->holdings->kind == KIND_RLOCK
                     ? "%R is not held by this thread or task"
                     : "%R is not held through this object",
                 self);
    return -1;
}

/* Of more permits than there are; a lock has one. */
static int
raise_too_many(struct acquirable_object *self, Py_ssize_t wanted)
{
    if (self->holdings->kind != KIND_SEMAPHORE) {
        return raise_not_held(self);
    }
    PyErr_Format(PyExc_ValueError, "%R: release of %zd permits, %zd are held",
                 self, wanted, holdings_count(self->holdings));
    return -1;
}

static int
raise_inherited(const struct acquirable_object *self)
{
    PyErr_Format(self->state->lock_error,
                 "%U: %R was acquired before this process was forked: its "
                 "parent holds it",
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
    PyObject *caller = caller_now(self->state);
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
        return raise_too_many(self, 1);
    case GIVEN_ERROR:
        return -1;
    case GIVEN_BACK:
    default:
        return 0;
    }
}

METHOD_DOC(acquirable_release_doc,
"release($self, /)\n\
--\n\
\n\
Release it, at once, even if another process holds its page.\n\
\n\
Any thread of the process may release a `Lock` or permit. Only its holder may\n\
release an `RLock`, as often as it acquired it.\n\
\n\
Raises:\n\
    LockError: It is not held through this object in this process; of an\n\
        `RLock`, by this thread or task.\n\
    LockLost: It ended before the release: others may have held it\n\
        meanwhile.");

PyObject *
acquirable_release(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct acquirable_object *self = acquirable_of(object);
    if (acquirable_require(self) < 0 ||
        tell(self, give_back(self, 1, false)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

METHOD_DOC(acquirable_release_some_doc,
"_release_some($self, /, n=1)\n\
--\n\
\n\
Release permits; any thread of the process may, through this object.\n\
\n\
Args:\n\
    n: How many.\n\
\n\
Raises:\n\
    ValueError: Less than one, or more than were got through this object in\n\
        this process; none is given back then.\n\
    LockLost: One ended before; the others are given back.");

/* Give several back, or none when there are not so many. */
PyObject *
acquirable_release_some(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"n", NULL};
    struct acquirable_object *self = acquirable_of(object);
    Py_ssize_t n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:release",
                                     (char **)(uintptr_t)list, &n) ||
        acquirable_require(self) < 0) {
        return NULL;
    }
    Py_ssize_t held = holdings_count(self->holdings);
    if (held == 0 && n == 1 && holdings_forget_inherited(self->holdings)) {
        raise_inherited(self);
        return NULL;
    }
    if (n < 1 || n > held) {
        raise_too_many(self, n);
        return NULL;
    }
    return tell(self, give_back(self, n, false)) < 0 ? NULL
                                                     : Py_NewRef(Py_None);
}

/* The end of a block: one that raised tells nothing but its own error. */
static int
leave(struct acquirable_object *self, PyObject *const *args, Py_ssize_t count)
{
    bool raised = count > 0 && args[0] != Py_None;
    if (acquirable_require(self) < 0) {
        return -1;
    }
    bool closing = raised && args[0] == PyExc_GeneratorExit;
    enum given given = give_back(self, 1, closing);
    if (raised && (given == GIVEN_LOST || given == GIVEN_INHERITED)) {
        return 0;
    }
    return tell(self, given);
}

METHOD_DOC(acquirable_exit_doc,
"__exit__($self, /, *exc_info)\n\
--\n\
\n\
Give it back. Raises LockLost, unless the block raised anyway.");

PyObject *
acquirable_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return leave(acquirable_of(self), args, count) < 0 ? NULL
                                                       : Py_NewRef(Py_None);
}

METHOD_DOC(acquirable_aexit_doc,
"__aexit__($self, /, *exc_info)\n\
--\n\
\n\
Give it back, which takes no waiting.");

/* It is given back by the call; to await it takes no time. */
PyObject *
acquirable_aexit(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    struct acquirable_object *self = acquirable_of(object);
    return leave(self, args, count) < 0 ? NULL : acquiring_done(self->state);
}

METHOD_DOC(acquirable_extend_doc,
"_extend($self, ms, /)\n\
--\n\
\n\
Start the time again; ``None`` for as long as before.");

PyObject *
acquirable_extend(PyObject *object, PyObject *ms)
{
    struct acquirable_object *self = acquirable_of(object);
    PyObject *caller =
        acquirable_require(self) == 0 ? caller_now(self->state) : NULL;
    if (caller == NULL) {
        return NULL;
    }
    struct holding *holding = holdings_find(self->holdings, caller);
    Py_DECREF(caller);
    if (holding == NULL) {
        raise_not_held(self);
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
