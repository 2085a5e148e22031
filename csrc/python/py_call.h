/* Calls into Python of what an object has: a callback, a serializer. The
 * object may lose it while it runs, or be given another one, so whoever calls
 * keeps it alive. */
#pragma once

#include "py_state.h"

/* Call it with its arguments, of which the first may belong to an object,
 * too. A new reference, or NULL with an exception. */
static inline PyObject *
call_kept(PyObject *callable, PyObject *const *args, size_t count)
{
    PyObject *first = Py_NewRef(args[0]);
    Py_INCREF(callable);
    PyObject *result = PyObject_Vectorcall(callable, args, count, NULL);
    Py_DECREF(callable);
    Py_DECREF(first);
    return result;
}

static inline PyObject *
call_kept_one(PyObject *callable, PyObject *argument)
{
    return call_kept(callable, &argument, 1);
}
