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
    bool takes_long = reading->buffer.capacity >= OP_LONG_SIZE;
    int status = takes_long ? op_call_long(self, &reading->op, run_get)
                            : op_call(self, &reading->op, run_get);
    reading->buffer.needed = reading->meta.value_len;
    reading->buffer.is_block = reading->meta.type == VALUE_BUFFERS;
    return status;
}

FMM_NOINLINE static int
read_large(struct cache_object *self, struct reading *reading)
{
    reading->buffer.is_block = reading->meta.type == VALUE_BUFFERS;
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
    PyObject *value = value_decode_bytes(self, meta, bytes);
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

/* Read the value of an operation that has begun. Returns as read_plainly(). */
static inline int
read_begun(struct cache_object *self, struct reading *reading,
           PyObject **value, bool *known_missing)
{
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

/* The same for a value that is to be near from now on, if the file that it is of
 * is open still. */
FMM_COLD static int
read_wanted(struct cache_object *self, struct reading *reading,
            const struct near_ask *ask, PyObject **value, bool *known_missing)
{
    struct cache_object *root = self->root;
    struct fmm_sighting place = {.word = 0};
    reading->op.call.sighting = &place;
    int found = read_begun(self, reading, value, known_missing);
    if (found > 0 && root->near.sets != NULL &&
        reading->op.key.hashed_by == fmm_serial(root->map->cache)) {
        near_keep(&root->near, ask, &place, *value, reading->meta.value_len);
    }
    return found;
}

/* Serve a key of an operation that has begun, if it is near. */
FMM_FLATTEN FMM_NOINLINE static PyObject *
serve_begun(struct cache_object *self, const struct op *op,
            const struct near_ask *ask)
{
    struct cache_object *root = self->root;
    return near_serve(&root->near, root->map->cache, &op->call, ask);
}

/* Look for a key by its hash in the file, which is that of its scope, too. */
static inline enum near_state
look_near_by_key(struct cache_object *self, struct op *op,
                 struct near_ask *ask)
{
    struct cache_object *root = self->root;
    ask->scoped = self->parent != NULL;
    if (FMM_UNLIKELY(ask->scoped)) {
        fmm_key_hash(root->map->cache, &op->key);
    }
    ask->hash = op->key.hash;
    return near_look(&root->near, ask->hash);
}

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
    return read_begun(self, reading, value, known_missing);
}

/* The same beside what is near. */
static inline int
read_key_near(struct cache_object *self, struct reading *reading,
              enum near_state state, struct near_ask *ask, PyObject **value,
              bool *known_missing)
{
    *known_missing = false;
    if (op_begin(self, &reading->op) < 0) {
        return -1;
    }
    reading->op.call.brief = true;
    if (FMM_UNLIKELY(state >= NEAR_UNASKED && self->root->near.sets != NULL)) {
        if (FMM_LIKELY(state == NEAR_UNASKED)) {
            state = look_near_by_key(self, &reading->op, ask);
        }
        if (state == NEAR_HAS &&
            (*value = serve_begun(self, &reading->op, ask)) != NULL) {
            return 1;
        }
        if (FMM_UNLIKELY(state == NEAR_WANTED)) {
            return read_wanted(self, reading, ask, value, known_missing);
        }
    }
    return read_begun(self, reading, value, known_missing);
}

/* What can be said of a key before anything else is begun for it: the hash of a
 * text may be known. Subclasses have their own idea of what is equal. */
static inline enum near_state
look_near(struct cache_object *self, struct near_ask *ask)
{
    if (FMM_UNLIKELY(!PyUnicode_CheckExact(ask->key))) {
        return PyBytes_CheckExact(ask->key) ? NEAR_UNASKED : NEAR_OFF;
    }
    Py_hash_t hash = ((PyASCIIObject *)(void *)ask->key)->hash;
    if (hash == -1 || hash == 0 || self->parent != NULL) {
        return NEAR_UNASKED; /* 0 is that of what is free */
    }
    ask->hash = (uint64_t)hash;
    ask->scoped = false;
    return near_look(&self->root->near, ask->hash);
}

/* Serve a key that seems to be near, unless there is more to do than to tell the
 * time. A new reference, or NULL. */
FMM_FLATTEN FMM_NOINLINE static PyObject *
serve_near(struct cache_object *self, struct near_ask *ask)
{
    uint64_t now_ms = fmm_now_ms();
    if (FMM_UNLIKELY(op_is_slow(self, now_ms))) {
        return NULL;
    }
    const struct fmm_call call = {
        .now_ms = now_ms + (uint64_t)self->state->travel_ms,
        .count = self->enable_stats ? FMM_COUNTED_BY_PAGE : FMM_COUNTED,
    };
    return near_serve(&self->near, self->map->cache, &call, ask);
}

/* read_plainly() of a cache that keeps values near. */
FMM_FLATTEN FMM_NOINLINE static int
read_near(struct cache_object *self, PyObject *key, bool share,
          PyObject **value, bool *known_missing)
{
    struct reading reading;
    struct near_ask ask = {.key = key, .share = share};
    enum near_state state = look_near(self, &ask);
    if (state == NEAR_HAS) {
        *value = serve_near(self, &ask);
        if (FMM_LIKELY(*value != NULL)) {
            *known_missing = false;
            return 1;
        }
        state = NEAR_NOT;
    }
    if (op_set_key(self, key, &reading.op.key) < 0) {
        return -1;
    }
    return read_key_near(self, &reading, state, &ask, value, known_missing);
}

FMM_FLATTEN int
read_plainly(struct cache_object *self, PyObject *key, bool share,
             PyObject **value, bool *known_missing)
{
    struct reading reading;
    if (self->root->near.sets != NULL) {
        return read_near(self, key, share, value, known_missing);
    }
    if (op_set_key(self, key, &reading.op.key) < 0) {
        return -1;
    }
    return read_key(self, &reading, value, known_missing);
}

FMM_FLATTEN int
read_hashed(struct cache_object *self, PyObject *object,
            const struct fmm_key *key, PyObject **value)
{
    struct reading reading;
    struct near_ask ask = {.key = object, .share = self->share};
    bool exact = PyUnicode_CheckExact(object) || PyBytes_CheckExact(object);
    bool known_missing;
    reading.op.key = *key;
    return read_key_near(self, &reading, exact ? NEAR_UNASKED : NEAR_OFF, &ask,
                         value, &known_missing);
}
