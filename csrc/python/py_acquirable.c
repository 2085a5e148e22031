#include "py_acquirable.h"

#include "py_caller.h"

int
acquirable_require(const struct acquirable_object *self)
{
    if (self->holdings != NULL) {
        return 0;
    }
    PyErr_SetString(PyExc_TypeError, "the lock was not made by __init__()");
    return -1;
}

int
acquirable_attempt(struct acquirable_object *self)
{
    PyObject *caller =
        acquirable_require(self) == 0 ? caller_now(self->state) : NULL;
    if (caller == NULL) {
        return -1;
    }
    int taken =
        holdings_take(self->holdings, caller, self->duration_ms, self->name);
    Py_DECREF(caller);
    return taken;
}

int
acquirable_raise_timeout(struct acquirable_object *self)
{
    PyErr_Format(self->state->lock_timeout,
                 "%R: not acquired within %S s: try again, or raise timeout",
                 self, self->timeout);
    return -1;
}

/* ----------------------------------------------------------------- waiting */

PyObject *
acquirable_call_module(const char *module_name, const char *function,
                       PyObject *args)
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
    return acquirable_call_module("fastmmap.waiting", "Patience",
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
    return acquirable_call_module("fastmmap.waiting", function,
                                  Py_BuildValue("(O)", delay));
}
