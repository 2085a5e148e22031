#include "py_callback.h"

#include "py_call.h"
#include "py_expiry.h"

int
callback_log(struct cache_object *self, const char *callback, PyObject *key)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1; /* KeyboardInterrupt and the like */
    }
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    PyObject *done = PyObject_CallFunction(self->state->log_failure, "sOOO",
                                           callback, key, self->path, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
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
