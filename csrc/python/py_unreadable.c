#include "py_unreadable.h"

#include <string.h>

#include "py_args.h"
#include "py_ask.h"
#include "py_begin.h"
#include "py_encoded.h"
#include "py_error.h"
#include "py_parts.h"
#include "py_methods.h"
#include "py_read.h"

int
unreadable_tell(const struct cache_object *self, PyObject *key,
                const char *outcome)
{
    PyObject *error = error_take();
    PyObject *told = PyObject_CallFunction(
        self->state->tell_unreadable, "sOOO", outcome, key, self->path, error);
    if (told == NULL) {
        Py_DECREF(error);
        return -1;
    }
    int about_value = told == Py_True;
    Py_DECREF(told);
    error_put(error);
    return about_value;
}

/* ----------------------------------------------------------------- removal */

/* Removes a value, if it is still the one that was read. */
struct drop_op {
    struct op op;
    const struct fmm_meta *seen;
    const void *bytes;
    void *buffer; /* as large as those */
    struct fmm_ticket ticket;
};

/* With the page held. FMM_DIRTY: it is yet to be written back. */
static enum fmm_status
drop_locked(struct drop_op *d, const struct fmm_guard *guard)
{
    const struct fmm_removal plainly = {.has_modseq = false};
    const struct fmm_call *call = &d->op.call;
    struct fmm_meta meta;
    enum fmm_status status = fmm_get_locked(guard, call, &d->op.key, d->buffer,
                                            d->seen->value_len, &meta);
    if (status != FMM_OK || meta.value_len != d->seen->value_len ||
        meta.type != d->seen->type ||
        memcmp(d->buffer, d->bytes, meta.value_len) != 0) {
        return FMM_MISS; /* it has changed: look again */
    }
    return meta.dirty ? FMM_DIRTY
                      : fmm_remove_locked(guard, call, &d->op.key, &plainly,
                                          NULL, &d->ticket);
}

static enum fmm_status
run_drop(struct fmm_cache *cache, struct op *op)
{
    struct drop_op *d = (struct drop_op *)op;
    struct fmm_guard guard;
    enum fmm_status status = op_guard_take(cache, op, &guard);
    if (status == FMM_OK) {
        status = drop_locked(d, &guard);
        fmm_guard_release(&guard);
    }
    return status;
}

/* Remove what was read as `bytes`. Returns a status, or -1 with an
 * exception. */
static int
drop_value(struct cache_object *self, const struct reading *seen,
           const void *bytes)
{
    struct drop_op d = {.seen = &seen->meta, .bytes = bytes};
    d.op.key = seen->op.key;
    if (op_begin(self, &d.op) < 0) {
        return -1;
    }
    d.buffer = PyMem_Malloc(seen->meta.value_len + 1);
    if (d.buffer == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int status = parts_call(self, &d.op, run_drop, &d.ticket);
    PyMem_Free(d.buffer);
    return status;
}

/* ----------------------------------------------------------------- reading */

/* With the exception set that decoding `bytes` ended with. Returns 0 when
 * they are removed, or -1 with an exception. */
FMM_COLD static int
drop_unreadable(struct cache_object *self, const struct reading *seen,
                PyObject *key, const void *bytes)
{
    if (unreadable_tell(self, key, "computed again") <= 0) {
        return -1;
    }
    PyObject *error = error_take();
    int status = drop_value(self, seen, bytes);
    if (status == FMM_DIRTY) {
        error_put(error);
        return -1;
    }
    Py_DECREF(error);
    return status < 0 ? -1 : 0;
}

/* Decode what was read. Returns 1, or 0 or -1 as above. */
static int
decode_or_drop(struct cache_object *self, struct reading *reading,
               PyObject *key, PyObject **value)
{
    PyObject *bytes = Py_XNewRef(reading->buffer.bytes);
    int outcome = 1;
    *value = reading_value(self, reading);
    if (FMM_UNLIKELY(*value == NULL)) {
        outcome =
            drop_unreadable(self, reading, key,
                            bytes != NULL ? reading->buffer.data
                                          : (const void *)reading->small);
    }
    Py_XDECREF(bytes);
    return outcome;
}

/* With the exception set that decoding the value of a key ended with: read it
 * once more, for its bytes. Returns as unreadable_read(). */
FMM_COLD static int
read_again(struct cache_object *self, PyObject *key, PyObject **value)
{
    struct reading reading;
    if (unreadable_tell(self, key, "computed again") <= 0) {
        return -1;
    }
    PyErr_Clear();
    if (op_set_key(self, key, &reading.op.key) < 0 ||
        op_begin(self, &reading.op) < 0) {
        return -1;
    }
    reading.op.call.count = FMM_NOT_COUNTED; /* the first time was */
    int status = reading_run(self, &reading);
    if (status != FMM_OK) {
        return status < 0 ? -1 : 0;
    }
    return decode_or_drop(self, &reading, key, value);
}

int
unreadable_read(struct cache_object *self, PyObject *key, bool share,
                PyObject **value)
{
    bool known_missing;
    int found = read_plainly(self, key, share, value, &known_missing);
    if (FMM_UNLIKELY(found == READ_UNDECODED)) {
        found = read_again(self, key, value);
    }
    if (FMM_LIKELY(found != 0) || known_missing || self->read_cb == NULL) {
        return found;
    }
    return ask_read_cb(self, key, value);
}

METHOD_DOC(cache_find_doc,
"_find($self, key, default, /)\n\
--\n\
\n\
Return the value of a key as ``get`` does, for one who can compute it: a value\n\
that cannot be read any more is logged, removed, and missing.");

PyObject *
cache_find(struct cache_object *self, PyObject *const *values,
           Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key", "default", NULL};
    static const struct args_spec spec = {"_find", list, 2, 2};
    PyObject *out[] = {NULL, NULL};
    PyObject *value;
    if (FMM_LIKELY(names == NULL && count == 2)) {
        out[0] = values[0];
        out[1] = values[1];
    }
    else if (args_parse(&spec, &(struct args){values, count, names}, out) <
             0) {
        return NULL;
    }
    int found = unreadable_read(self, out[0], self->share, &value);
    if (found > 0) {
        return value;
    }
    return found < 0 ? NULL : Py_NewRef(out[1]);
}
