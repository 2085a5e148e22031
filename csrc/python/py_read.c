#include "py_read.h"

#include "py_args.h"
#include "py_begin.h"
#include "py_error.h"
#include "py_expiry.h"
#include "py_value.h"

/* --------------------------------------------------------------- one read */

static enum fmm_status
run_get(struct fmm_cache *cache, struct op *op)
{
    struct reading *r = (struct reading *)op;
    op_hash(cache, op);
    return fmm_get(cache, &op->call, &op->key, r->buffer.data,
                   r->buffer.capacity, &r->meta);
}

static int
get_into_bytes(struct cache_object *self, void *what)
{
    struct reading *reading = what;
    int status = op_call(self, &reading->op, run_get);
    reading->buffer.needed = reading->meta.value_len;
    return status;
}

FMM_NOINLINE static int
read_large(struct cache_object *self, struct reading *reading)
{
    return buffer_fill(&reading->buffer, reading->meta.value_len,
                       get_into_bytes, self, reading);
}

int
reading_run(struct cache_object *self, struct reading *reading)
{
    reading->buffer.bytes = NULL;
    reading->buffer.data = reading->small;
    reading->buffer.capacity = sizeof(reading->small);
    int status = op_call(self, &reading->op, run_get);
    if (FMM_UNLIKELY(status == FMM_TOO_SMALL)) {
        status = read_large(self, reading);
    }
    if (FMM_UNLIKELY(status != FMM_OK)) {
        reading_drop(reading);
    }
    return status;
}

void
reading_drop(struct reading *reading)
{
    buffer_drop(&reading->buffer);
}

/* Say which key of which file the exception is about. */
FMM_COLD static void
note_key(const struct cache_object *self, const struct fmm_key *key)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *object = key_to_object(key->data, key->len, key->kind);
    PyErr_Restore(type, value, traceback);
    if (object != NULL) {
        error_add_note(object, self->path);
        Py_DECREF(object);
    }
}

PyObject *
read_decode(struct cache_object *self, const struct fmm_key *key,
            const struct fmm_meta *meta, PyObject *bytes)
{
    PyObject *value = NULL;
    if ((size_t)PyBytes_GET_SIZE(bytes) == meta->value_len) {
        value = value_decode_bytes(self, meta, bytes);
    }
    else {
        value = value_decode(self, meta, PyBytes_AS_STRING(bytes));
        Py_DECREF(bytes);
    }
    if (value == NULL) {
        note_key(self, key);
    }
    return value;
}

PyObject *
reading_value(struct cache_object *self, struct reading *reading)
{
    if (FMM_UNLIKELY(reading->buffer.bytes != NULL)) {
        return read_decode(self, &reading->op.key, &reading->meta,
                           reading->buffer.bytes);
    }
    PyObject *value = value_decode(self, &reading->meta, reading->small);
    if (FMM_UNLIKELY(value == NULL)) {
        note_key(self, &reading->op.key);
    }
    return value;
}

PyObject *
read_entry(const struct cache_object *self, const struct fmm_meta *meta,
           PyObject *value)
{
    PyObject *modseq = meta->has_modseq
                           ? PyLong_FromUnsignedLongLong(meta->modseq)
                           : Py_NewRef(Py_None);
    if (value == NULL || modseq == NULL) {
        Py_XDECREF(modseq);
        Py_XDECREF(value);
        return NULL;
    }
    return PyObject_CallFunction(
        self->state->entry, "NNddNNn", value,
        expiry_to_object(meta->expire_at), (double)meta->accessed_at / 1000.0,
        (double)meta->stored_at / 1000.0, modseq, PyBool_FromLong(meta->dirty),
        (Py_ssize_t)meta->size);
}

/* ---------------------------------------------------------------- lookups */

/* Look the key of a reading up, which is set, without read_cb. */
static inline int
read_key(struct cache_object *self, struct reading *reading, PyObject **value,
         bool *known_missing)
{
    *known_missing = false;
    if (op_begin(self, &reading->op) < 0) {
        return -1;
    }
    reading->op.call.brief = true;
    int status = reading_run(self, reading);
    if (status != FMM_OK) {
        return status == FMM_MISS ? 0 : -1;
    }
    if (FMM_UNLIKELY(reading->meta.type == VALUE_NOT_FOUND)) {
        *known_missing = true;
        return 0;
    }
    *value = reading_value(self, reading);
    return *value != NULL ? 1 : READ_UNDECODED;
}

FMM_FLATTEN int
read_plainly(struct cache_object *self, PyObject *key, PyObject **value,
             bool *known_missing)
{
    struct reading reading;
    if (op_set_key(self, key, &reading.op.key) < 0) {
        return -1;
    }
    return read_key(self, &reading, value, known_missing);
}

FMM_FLATTEN int
read_hashed(struct cache_object *self, const struct fmm_key *key,
            PyObject **value)
{
    struct reading reading;
    bool known_missing;
    reading.op.key = *key;
    return read_key(self, &reading, value, &known_missing);
}
