/* get_or_set(): a value that is there is one look. Everything else is code of
 * Python, see fastmmap.keyspace. */
#include "py_args.h"
#include "py_methods.h"
#include "py_unreadable.h"

#define ARGS_MAX 7 /* and self */

/* Whether a default is a value, or a function that is no coroutine function,
 * without a look at what else may be called. */
static bool
is_plain(PyObject *value)
{
    if (PyFunction_Check(value)) {
        const PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(value);
        return (code->co_flags & CO_COROUTINE) == 0;
    }
    return PyCFunction_Check(value) || !PyCallable_Check(value);
}

/* Call a method of Python with the arguments of this call. */
static PyObject *
hand_over(struct cache_object *self, const char *method,
          const struct args *args)
{
    PyObject *given[ARGS_MAX] = {(PyObject *)self};
    Py_ssize_t count =
        args->count +
        (args->names != NULL ? PyTuple_GET_SIZE(args->names) : 0);
    PyObject *name = PyUnicode_InternFromString(method);
    if (name == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        given[i + 1] = args->values[i];
    }
    PyObject *result = PyObject_VectorcallMethod(
        name, given, (size_t)args->count + 1, args->names);
    Py_DECREF(name);
    return result;
}

METHOD_DOC(cache_get_or_set_doc,
"get_or_set($self, /, key, default, expire_time=None, *, timeout=None,\n\
           lease_time=60, tags=())\n\
--\n\
\n\
Return the value of a key; if there is none, store one.\n\
\n\
One caller of all processes, threads and tasks of the host computes it; the\n\
others wait. No lock of the cache is held meanwhile. If the key was set or\n\
removed since, the result is returned but not stored.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: The value, or a function without arguments that computes it;\n\
        with an ``async def``, await the call.\n\
    expire_time: Its lifetime; ``None`` is the cache's default. It may be a\n\
        function of the value that was computed.\n\
    timeout: Seconds to wait for another who computes the value; ``None``\n\
        waits for as long as that one may take.\n\
    lease_time: How long the computation may take, a day at most, before\n\
        another takes over. If it is killed, another does so at once.\n\
    tags: As in `set`. They are read before the computation begins, so that\n\
        a value from before an `invalidate_tag` is not kept.\n\
\n\
Returns:\n\
    The existing value, or the one that this or another caller computed;\n\
    for an ``async def`` a coroutine of it.\n\
\n\
Raises:\n\
    LockTimeout: Another computes it for longer than ``timeout``.\n\
    LockError: The function asks for the key that it computes.\n\
    TypeError: A plain function returned an awaitable: see\n\
        `get_or_set_async`.");

PyObject *
cache_get_or_set(struct cache_object *self, PyObject *const *values,
                 Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key",     "default",    "expire_time",
                                       "timeout", "lease_time", "tags",
                                       NULL};
    static const struct args_spec spec = {"get_or_set", list, 2, 3};
    const struct args args = {values, count, names};
    PyObject *out[ARGS_MAX - 1] = {NULL}, *value;
    if (FMM_LIKELY(names == NULL && count == 2)) {
        out[0] = values[0];
        out[1] = values[1];
    }
    else if (args_parse(&spec, &args, out) < 0) {
        return NULL;
    }
    if (FMM_UNLIKELY(!is_plain(out[1]))) {
        return hand_over(self, "_get_or_set", &args);
    }
    int found = unreadable_read(self, out[0], self->share, &value);
    if (FMM_UNLIKELY(found == 0)) {
        return hand_over(self, "_compute", &args);
    }
    return found > 0 ? value : NULL;
}
