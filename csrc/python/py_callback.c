#include "py_callback.h"

#include "py_attempt.h"
#include "py_call.h"
#include "py_error.h"
#include "py_expiry.h"

/* Whether it tells of the moment, and not of the store: KeyboardInterrupt and
 * the like, and what a signal handler raised, such as a soft time limit. 1, 0,
 * or -1 with an exception. */
static int
is_of_moment(const struct cache_object *self, PyObject *error)
{
    if (!PyObject_TypeCheck(error, (PyTypeObject *)PyExc_Exception)) {
        return 1;
    }
    PyObject *answer = call_kept_one(self->state->is_of_signal, error);
    int of_signal = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return of_signal;
}

int
callback_log(struct cache_object *self, const char *callback, PyObject *key)
{
    PyObject *error = error_take();
    int of_moment = is_of_moment(self, error);
    if (of_moment > 0) {
        error_put(error);
        return -1;
    }
    PyObject *done =
        of_moment == 0
            ? PyObject_CallFunction(self->state->log_failure, "sOOO", callback,
                                    key, self->path, error)
            : NULL;
    Py_DECREF(error);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

PyObject *
callback_context(const struct cache_object *self)
{
    return self->context != NULL ? self->context : Py_None;
}

PyObject *
callback_call(struct cache_object *self, PyObject *callback,
              PyObject *const *args, size_t count)
{
    struct section *section = NULL;
    if (!self->allow_recursive && (section = section_enter(self)) == NULL) {
        return NULL;
    }
    attempt_commit();
    PyObject *result = call_kept(callback, args, count);
    if (section != NULL) {
        section_leave(section);
    }
    return result;
}

int
callback_write(struct cache_object *self, PyObject *key, PyObject *value,
               uint64_t expire_at)
{
    if (self->write_cb == NULL) { /* by now: what ran before took it away */
        return 0;
    }
    PyObject *expire_on = expiry_to_object(expire_at);
    if (expire_on == NULL) {
        return -1;
    }
    PyObject *const args[] = {callback_context(self), key, value, expire_on};
    PyObject *result = callback_call(self, self->write_cb, args, 4);
    Py_DECREF(expire_on);
    Py_XDECREF(result);
    return result != NULL ? 1 : callback_log(self, "write_cb", key);
}

int
callback_delete(struct cache_object *self, PyObject *key)
{
    if (self->delete_cb == NULL) {
        return 0;
    }
    PyObject *const args[] = {callback_context(self), key};
    PyObject *result = callback_call(self, self->delete_cb, args, 2);
    Py_XDECREF(result);
    return result != NULL ? 0 : callback_log(self, "delete_cb", key);
}
