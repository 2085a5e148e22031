#include "py_expiry.h"

#include <math.h>

#define PLAIN_SECONDS_MAX 1000000000 /* beyond, Python checks */
#define MOMENT_MAX 1.8e16            /* seconds; 2**64 ms, rounded down */

/* A usual number of seconds in ms, or 0: that is for Python to check. */
static int64_t
plain_lifetime(PyObject *object)
{
    if (PyLong_CheckExact(object)) {
        int overflow;
        long long seconds = PyLong_AsLongLongAndOverflow(object, &overflow);
        bool plain = seconds > 0 && seconds < PLAIN_SECONDS_MAX;
        return plain ? (int64_t)seconds * 1000 : 0;
    }
    if (PyFloat_CheckExact(object)) {
        double seconds = PyFloat_AS_DOUBLE(object);
        if (seconds > 0 && seconds < PLAIN_SECONDS_MAX) {
            int64_t ms = llround(seconds * 1000.0);
            return ms > 0 ? ms : 1;
        }
    }
    return 0;
}

/* A lifetime in ms, LIFETIME_NEVER, or -2 with an exception. */
static int64_t
lifetime_from_object(const struct cache_object *self, PyObject *object)
{
    int64_t plain = plain_lifetime(object);
    if (plain > 0) {
        return plain;
    }
    PyObject *result = PyObject_CallOneArg(self->state->lifetime_ms, object);
    if (result == NULL) {
        return -2;
    }
    int64_t ms = PyLong_AsLongLong(result);
    Py_DECREF(result);
    return ms == -1 && PyErr_Occurred() ? -2 : ms;
}

static int
moment_from_object(PyObject *object, uint64_t *out)
{
    if (PyBool_Check(object) ||
        (!PyLong_Check(object) && !PyFloat_Check(object))) {
        PyErr_Format(PyExc_TypeError,
                     "expire_on must be a number of seconds since 1970 or "
                     "None, not %s%s",
                     Py_TYPE(object)->tp_name,
                     PyObject_HasAttrString(object, "timestamp")
                         ? ": give its timestamp()"
                         : "");
        return -1;
    }
    double seconds = PyFloat_AsDouble(object);
    PyErr_Clear(); /* the -1.0 of an overflow is refused as negative */
    if (!(seconds >= 0 && seconds < MOMENT_MAX)) {
        PyErr_Format(PyExc_ValueError,
                     "expire_on is %R: expected seconds since 1970, or 0 "
                     "for never",
                     object);
        return -1;
    }
    *out = (uint64_t)(seconds * 1000.0 + 0.5);
    if (*out == 0 && seconds > 0) {
        *out = 1;
    }
    return 0;
}

int
expiry_resolve(const struct cache_object *self, const struct expiry_args *args,
               uint64_t now_ms, int64_t default_ms, uint64_t *expire_at)
{
    if (is_given(args->on)) {
        return moment_from_object(args->on, expire_at);
    }
    int64_t lifetime = is_given(args->time)
                           ? lifetime_from_object(self, args->time)
                           : default_ms;
    if (lifetime < LIFETIME_NEVER) {
        return -1;
    }
    *expire_at = lifetime == LIFETIME_NEVER ? 0 : now_ms + (uint64_t)lifetime;
    return 0;
}

PyObject *
expiry_to_object(uint64_t expire_at)
{
    if (expire_at == 0) {
        Py_RETURN_NONE;
    }
    return PyFloat_FromDouble((double)expire_at / 1000.0);
}
