/* Changes in place: numbers and lifetimes. */
#include "py_args.h"
#include "py_begin.h"
#include "py_methods.h"
#include "py_missing.h"
#include "py_store.h"

/* ------------------------------------------------------------ incr, decr */

struct incr_op {
    struct op op;
    int64_t delta, initial, result;
    struct fmm_store_options store;
    uint64_t expire_at;
    struct fmm_ticket ticket;
};

FMM_FLATTEN static enum fmm_status
run_incr(struct fmm_cache *cache, struct op *op)
{
    struct incr_op *i = (struct incr_op *)op;
    op_hash(cache, op);
    return fmm_incr(cache, &op->call, &op->key, i->delta, i->initial,
                    &i->store, &i->result, &i->expire_at, &i->ticket);
}

static enum fmm_status
run_describe(struct fmm_cache *cache, struct op *op)
{
    struct fmm_meta meta = {.type = 0};
    op_hash(cache, op);
    enum fmm_status status = fmm_exists(cache, &op->call, &op->key, &meta);
    return status == FMM_OK && meta.type == VALUE_BIG_INT ? FMM_OVERFLOW
                                                          : status;
}

/* An int that is too large for the core is no other type to the user. */
static PyObject *
raise_not_int(struct cache_object *self, struct op *op, PyObject *key)
{
    int status = op_call(self, op, run_describe);
    if (status == FMM_OVERFLOW) {
        PyErr_Format(PyExc_OverflowError,
                     "the value of key %.200R is beyond 64 bits", key);
    }
    else if (status >= 0) {
        PyErr_Format(PyExc_TypeError, "the value of key %.200R is not an int",
                     key);
    }
    return NULL;
}

/* The new number, and the callbacks that learn of it. */
static PyObject *
finish_incr(struct cache_object *self, const struct incr_op *i, int status,
            PyObject *key)
{
    PyObject *value = PyLong_FromLongLong(i->result);
    const struct fmm_store_options store = {.expire_at = i->expire_at,
                                            .dirty = i->store.dirty};
    const struct store_request request = {.key = key, .value = value};
    if (value == NULL || store_tell(self, &request, status, &store) < 0) {
        Py_XDECREF(value);
        return NULL;
    }
    return value;
}

/* What is no int may be the mark that read_cb found nothing. */
FMM_COLD static int
incr_over_missing(struct cache_object *self, struct incr_op *i, PyObject *key)
{
    int forgotten = missing_forget(self, key);
    if (forgotten <= 0) {
        return forgotten < 0 ? -1 : FMM_NOT_INT;
    }
    return writeback_call(self, &i->op, run_incr, &i->ticket);
}

static PyObject *
incr(struct cache_object *self, struct incr_op *i, PyObject *key)
{
    int status = writeback_call(self, &i->op, run_incr, &i->ticket);
    if (FMM_UNLIKELY(status == FMM_NOT_INT)) {
        status = incr_over_missing(self, i, key);
    }
    switch (status) {
    case FMM_OK:
        return finish_incr(self, i, status, key);
    case FMM_NOT_INT:
        return raise_not_int(self, &i->op, key);
    case FMM_OVERFLOW:
        PyErr_Format(PyExc_OverflowError,
                     "the value of key %.200R would exceed 64 bits", key);
        return NULL;
    default:
        if (status > 0) {
            store_raise_refused(self, key, status);
        }
        return NULL;
    }
}

/* Turn arguments into numbers; `sign` is that of decr. */
static int
parse_numbers(PyObject *const *out, int sign, struct incr_op *i)
{
    i->delta = 1;
    i->initial = 0;
    if ((out[1] != NULL &&
         int64_from_object(out[1], "delta", &i->delta) < 0) ||
        (out[2] != NULL &&
         int64_from_object(out[2], "initial", &i->initial) < 0)) {
        return -1;
    }
    if (sign < 0 && __builtin_sub_overflow(0, i->delta, &i->delta)) {
        PyErr_SetString(PyExc_OverflowError, "delta is beyond 64 bits");
        return -1;
    }
    return 0;
}

static PyObject *
incr_from_args(struct cache_object *self, const char *function,
               const struct args *args, int sign)
{
    static const char *const list[] = {"key", "delta", "initial",
                                       "expire_time", NULL};
    const struct args_spec spec = {function, list, 1, 2};
    PyObject *out[4] = {NULL, NULL, NULL, NULL};
    struct incr_op i;
    i.store = (struct fmm_store_options){.dirty = self->write_back,
                                         .keep_tags = true};
    if (args_parse(&spec, args, out) < 0 || parse_numbers(out, sign, &i) < 0) {
        return NULL;
    }
    const struct expiry_args expiry = {out[3], NULL};
    if (op_set_key(self, out[0], &i.op.key) < 0 || op_begin(self, &i.op) < 0 ||
        expiry_resolve(self, &expiry, i.op.call.now_ms, self->expire_ms,
                       &i.store.expire_at) < 0) {
        return NULL;
    }
    return incr(self, &i, out[0]);
}

METHOD_DOC(cache_incr_doc,
"incr($self, /, key, delta=1, *, initial=0, expire_time=None)\n\
--\n\
\n\
Add to an integer, in one step; if there is none, store one.\n\
\n\
An existing value keeps its expiry.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    delta: int of 64 bits.\n\
    initial: int of 64 bits that a missing key starts from.\n\
    expire_time: Lifetime of a new value, as in ``set``.\n\
\n\
Returns:\n\
    The new int.\n\
\n\
Raises:\n\
    TypeError: The value is not an int.\n\
    OverflowError: The result is beyond 64 bits; the value stays.\n\
    ValueError: A new value finds no room, or a tombstone refuses it.");

PyObject *
cache_incr(struct cache_object *self, PyObject *const *values,
           Py_ssize_t count, PyObject *names)
{
    const struct args args = {values, count, names};
    return incr_from_args(self, "incr", &args, 1);
}

METHOD_DOC(cache_decr_doc,
"decr($self, /, key, delta=1, *, initial=0, expire_time=None)\n\
--\n\
\n\
Subtract from an integer, in one step; if there is none, store one.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    delta: int of 64 bits.\n\
    initial: int of 64 bits, what a missing key starts from.\n\
    expire_time: Lifetime of a new value, as in ``set``.\n\
\n\
Returns:\n\
    The new int.\n\
\n\
Raises:\n\
    TypeError: The value is not an int.\n\
    OverflowError: The result is beyond 64 bits; the value stays.\n\
    ValueError: A new value finds no room, or a tombstone refuses it.");

PyObject *
cache_decr(struct cache_object *self, PyObject *const *values,
           Py_ssize_t count, PyObject *names)
{
    const struct args args = {values, count, names};
    return incr_from_args(self, "decr", &args, -1);
}

/* ------------------------------------------------------------------ touch */

struct touch_op {
    struct op op;
    uint64_t expire_at;
};

FMM_FLATTEN static enum fmm_status
run_touch(struct fmm_cache *cache, struct op *op)
{
    struct touch_op *t = (struct touch_op *)op;
    op_hash(cache, op);
    return fmm_touch(cache, &op->call, &op->key, t->expire_at);
}

METHOD_DOC(cache_touch_doc,
"touch($self, /, key, expire_time=None, *, expire_on=None)\n\
--\n\
\n\
Change the lifetime of a value, nothing else.\n\
\n\
``write_cb`` is not called: the value has not changed. One that is still to\n\
be written back is written with its newest lifetime.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
\n\
Returns:\n\
    Whether the key has a value.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.");

PyObject *
cache_touch(struct cache_object *self, PyObject *const *values,
            Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key", "expire_time", "expire_on",
                                       NULL};
    static const struct args_spec spec = {"touch", list, 1, 2};
    PyObject *out[3] = {NULL, NULL, NULL};
    struct touch_op t;
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    const struct expiry_args expiry = {out[1], out[2]};
    if (missing_begin(self, out[0], &t.op) < 0 ||
        expiry_resolve(self, &expiry, t.op.call.now_ms, self->expire_ms,
                       &t.expire_at) < 0) {
        return NULL;
    }
    int status = op_call(self, &t.op, run_touch);
    return status < 0 ? NULL : PyBool_FromLong(status == FMM_OK);
}
