/* The methods that read one key. */
#include "py_args.h"
#include "py_ask.h"
#include "py_begin.h"
#include "py_encoded.h"
#include "py_expiry.h"
#include "py_methods.h"
#include "py_read.h"

/* Look a key up, and ask read_cb for what is not there. */
static int
read_through(struct cache_object *self, PyObject *key, PyObject **value)
{
    bool known_missing;
    int found = read_plainly(self, key, self->share, value, &known_missing);
    if (FMM_LIKELY(found != 0) || known_missing || self->read_cb == NULL) {
        return found;
    }
    return ask_read_cb(self, key, value);
}

/* Let a value that was found live for as long as `touch` says. Takes over
 * `value`; NULL with an exception. */
static PyObject *
touch_found(struct cache_object *self, PyObject *key, PyObject *value,
            PyObject *touch)
{
    PyObject *done =
        PyObject_CallMethod((PyObject *)self, "touch", "OO", key, touch);
    if (done == NULL) {
        Py_CLEAR(value);
    }
    Py_XDECREF(done);
    return value;
}

static const char *const get_names[] = {"key", "default", "touch", NULL};
static const struct args_spec get_spec = {"get", get_names, 1, 2};

METHOD_DOC(cache_get_doc,
"get($self, /, key, default=None, *, touch=None)\n\
--\n\
\n\
Return the value of a key.\n\
\n\
Calls ``read_cb``, if there is one, when the key is missing. A value that\n\
cannot be read back raises what the serializer raises, with a note that\n\
names key and file, and stays.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: Returned when there is no value.\n\
    touch: The lifetime of the value from now on, as in `touch`; ``None``\n\
        keeps the one it has.\n\
\n\
Returns:\n\
    The value, or `default`.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.\n\
    UnicodeEncodeError: The key holds lone surrogates.\n\
    LockError: Called by code that the cache called.\n\
    CorruptError: The stored value is damaged.");

PyObject *
cache_get(struct cache_object *self, PyObject *const *values, Py_ssize_t count,
          PyObject *names)
{
    PyObject *out[] = {NULL, NULL, NULL};
    PyObject *value;
    if (FMM_LIKELY(names == NULL && (count == 1 || count == 2))) {
        out[0] = values[0];
        out[1] = count == 2 ? values[1] : NULL;
    }
    else if (args_parse(&get_spec, &(struct args){values, count, names}, out) <
             0) {
        return NULL;
    }
    int found = read_through(self, out[0], &value);
    if (FMM_LIKELY(found > 0)) {
        return FMM_LIKELY(!is_given(out[2]))
                   ? value
                   : touch_found(self, out[0], value, out[2]);
    }
    return found < 0 ? NULL : Py_NewRef(out[1] != NULL ? out[1] : Py_None);
}

PyObject *
cache_subscript(PyObject *self, PyObject *key)
{
    PyObject *value;
    int found = read_through((struct cache_object *)self, key, &value);
    if (found == 0) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return found > 0 ? value : NULL;
}

struct exists_op {
    struct op op;
    struct fmm_meta meta;
};

static enum fmm_status
run_exists(struct fmm_cache *cache, struct op *op)
{
    op_hash(cache, op);
    return fmm_exists(cache, &op->call, &op->key,
                      &((struct exists_op *)op)->meta);
}

FMM_FLATTEN int
cache_contains(PyObject *object, PyObject *key)
{
    struct cache_object *self = (struct cache_object *)object;
    struct exists_op e;
    if (op_set_key(self, key, &e.op.key) < 0 || op_begin(self, &e.op) < 0) {
        return -1;
    }
    e.op.call.brief = true;
    int status = op_call(self, &e.op, run_exists);
    if (status < 0) {
        return -1;
    }
    return status == FMM_OK && e.meta.type != VALUE_NOT_FOUND;
}

static const char *const key_names[] = {"key", NULL};
static const struct args_spec exists_spec = {"exists", key_names, 1, 1};

METHOD_DOC(cache_exists_doc,
"exists($self, /, key)\n\
--\n\
\n\
Return whether a key has a value; never calls ``read_cb``, never decodes.\n\
\n\
Args:\n\
    key: str or bytes.\n\
\n\
Returns:\n\
    bool.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.");

PyObject *
cache_exists(struct cache_object *self, PyObject *const *values,
             Py_ssize_t count, PyObject *names)
{
    PyObject *key = NULL;
    if (args_parse(&exists_spec, &(struct args){values, count, names}, &key) <
        0) {
        return NULL;
    }
    int found = cache_contains((PyObject *)self, key);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

static const struct args_spec ttl_spec = {"ttl", key_names, 1, 1};

METHOD_DOC(cache_ttl_doc,
"ttl($self, /, key)\n\
--\n\
\n\
Return how long a value still lives; never calls ``read_cb``.\n\
\n\
Args:\n\
    key: str or bytes.\n\
\n\
Returns:\n\
    Seconds, a float; ``None`` for one that never expires.\n\
\n\
Raises:\n\
    KeyError: The key is missing.\n\
    TypeError: The key is of another type.");

PyObject *
cache_ttl(struct cache_object *self, PyObject *const *values, Py_ssize_t count,
          PyObject *names)
{
    struct exists_op e;
    PyObject *key = NULL;
    if (args_parse(&ttl_spec, &(struct args){values, count, names}, &key) <
            0 ||
        op_set_key(self, key, &e.op.key) < 0 || op_begin(self, &e.op) < 0) {
        return NULL;
    }
    e.op.call.count = FMM_NOT_COUNTED;
    int status = op_call(self, &e.op, run_exists);
    if (status < 0) {
        return NULL;
    }
    if (status == FMM_MISS || e.meta.type == VALUE_NOT_FOUND) {
        PyErr_SetObject(PyExc_KeyError, key);
        return NULL;
    }
    if (e.meta.expire_at == 0) {
        Py_RETURN_NONE;
    }
    double left = (double)e.meta.expire_at - (double)e.op.call.now_ms;
    return PyFloat_FromDouble(left > 0 ? left / 1000.0 : 0.0);
}

static const struct args_spec entry_spec = {"get_entry", key_names, 1, 1};

METHOD_DOC(cache_get_entry_doc,
"get_entry($self, /, key)\n\
--\n\
\n\
Return the properties of a key; never calls ``read_cb``.\n\
\n\
Args:\n\
    key: str or bytes.\n\
\n\
Returns:\n\
    An `Entry`, or ``None`` when the key is missing.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.");

PyObject *
cache_get_entry(struct cache_object *self, PyObject *const *values,
                Py_ssize_t count, PyObject *names)
{
    struct reading reading;
    PyObject *key = NULL;
    if (args_parse(&entry_spec, &(struct args){values, count, names}, &key) <
            0 ||
        op_set_key(self, key, &reading.op.key) < 0 ||
        op_begin(self, &reading.op) < 0) {
        return NULL;
    }
    int status = reading_run(self, &reading);
    if (status < 0) {
        return NULL;
    }
    if (status == FMM_MISS || reading.meta.type == VALUE_NOT_FOUND) {
        Py_RETURN_NONE;
    }
    return read_entry(self, &reading.meta, reading_value(self, &reading));
}
