/* Many keys on the page of another key, under one lock. All memory is had
 * before the page is taken. */
#include "py_args.h"
#include "py_begin.h"
#include "py_buffer.h"
#include "py_callback.h"
#include "py_methods.h"
#include "py_read.h"
#include "py_store.h"
#include "py_unreadable.h"

#define ARENA_SIZE 65536u

/* Keys on one page: where each one's bytes are. */
struct batch {
    struct op op;   /* its key is the page key */
    PyObject *keys; /* a tuple; keeps the bytes alive */
    struct fmm_key *list;
    Py_ssize_t count;
};

static void
batch_free(struct batch *batch)
{
    PyMem_Free(batch->list);
    Py_CLEAR(batch->keys);
}

/* Of a tuple of keys, which is taken over; NULL passes an error on. */
static int
batch_init(struct batch *batch, PyObject *page_key, PyObject *keys)
{
    batch->keys = keys;
    batch->list = NULL;
    if (keys == NULL || key_from_object(page_key, &batch->op.key) < 0) {
        return -1;
    }
    batch->count = PyTuple_GET_SIZE(keys);
    batch->list = PyMem_Calloc((size_t)batch->count + 1, sizeof(*batch->list));
    if (batch->list == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < batch->count; i++) {
        if (key_from_object(PyTuple_GET_ITEM(keys, i), &batch->list[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Hash a key of the batch. Its page is that of the page key, whose hash is
 * mixed into its own: the same key of two page keys is two entries, also
 * where both are on one page. */
static struct fmm_key *
batch_key(struct fmm_cache *cache, struct batch *batch, Py_ssize_t i)
{
    const struct fmm_key *page_key = &batch->op.key;
    struct fmm_key *key = &batch->list[i];
    key->scope = page_key->scope;
    fmm_key_hash(cache, key);
    key->hash ^=
        page_key->kind == FMM_KEY_BYTES ? ~page_key->hash : page_key->hash;
    key->page = page_key->page;
    return key;
}

/* -------------------------------------------------------------- multi_get */

/* What was found of one key. */
struct found {
    struct fmm_meta meta;
    size_t offset; /* in the arena */
    bool found;
};

struct multi_get {
    struct batch batch;
    struct found *found;
    struct buffer arena; /* `needed` counts while values are copied */
};

/* Copy one value; one that does not fit only adds to what is needed. */
static void
get_one(struct multi_get *m, const struct fmm_guard *guard, Py_ssize_t i)
{
    struct found *found = &m->found[i];
    struct buffer *arena = &m->arena;
    size_t room =
        arena->needed < arena->capacity ? arena->capacity - arena->needed : 0;
    char *free_space = (char *)arena->data + (arena->capacity - room);
    enum fmm_status status = fmm_get_locked(
        guard, &m->batch.op.call, batch_key(guard->cache, &m->batch, i),
        free_space, room, &found->meta);
    found->found = status == FMM_OK;
    found->offset = arena->needed;
    if (status == FMM_OK || status == FMM_TOO_SMALL) {
        arena->needed += found->meta.value_len;
    }
}

static enum fmm_status
run_multi_get(struct fmm_cache *cache, struct op *op)
{
    struct multi_get *m = (struct multi_get *)op;
    struct fmm_guard guard;
    enum fmm_status status = op_guard_take(cache, op, &guard);
    if (status != FMM_OK) {
        return status;
    }
    m->arena.needed = 0;
    for (Py_ssize_t i = 0; i < m->batch.count; i++) {
        get_one(m, &guard, i);
    }
    bool whole =
        m->arena.needed <= m->arena.capacity; /* else it is done once more */
    for (Py_ssize_t i = 0; whole && i < m->batch.count; i++) {
        fmm_count_read(cache, &op->call, &m->batch.list[i],
                       m->found[i].found ? FMM_OK : FMM_MISS);
    }
    fmm_guard_release(&guard);
    return whole ? FMM_OK : FMM_TOO_SMALL;
}

static int
get_into_arena(struct cache_object *self, void *what)
{
    return op_call(self, &((struct multi_get *)what)->batch.op, run_multi_get);
}

/* Run with an arena that is large enough. Returns 0, or -1. */
static int
multi_get_run(struct cache_object *self, struct multi_get *m)
{
    m->found = PyMem_Calloc((size_t)m->batch.count + 1, sizeof(*m->found));
    if (m->found == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return buffer_fill(&m->arena, ARENA_SIZE, get_into_arena, self, m);
}

/* Add one value to the result, unless it cannot be read any more. Returns 0,
 * or -1 with an exception. */
static int
multi_get_add(struct cache_object *self, const struct multi_get *m,
              Py_ssize_t i, PyObject *result)
{
    const struct found *found = &m->found[i];
    PyObject *key = PyTuple_GET_ITEM(m->batch.keys, i);
    PyObject *bytes =
        PyBytes_FromStringAndSize((const char *)m->arena.data + found->offset,
                                  (Py_ssize_t)found->meta.value_len);
    if (bytes == NULL) {
        return -1;
    }
    PyObject *value =
        read_decode(self, &m->batch.list[i], &found->meta, bytes);
    if (value == NULL) {
        if (unreadable_tell(self, key, "left out") <= 0) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    int status = PyDict_SetItem(result, key, value);
    Py_DECREF(value);
    return status;
}

static PyObject *
multi_get_result(struct cache_object *self, const struct multi_get *m)
{
    PyObject *result = PyDict_New();
    for (Py_ssize_t i = 0; result != NULL && i < m->batch.count; i++) {
        const struct found *found = &m->found[i];
        if (found->found && found->meta.type != VALUE_NOT_FOUND &&
            multi_get_add(self, m, i, result) < 0) {
            Py_CLEAR(result);
        }
    }
    return result;
}

METHOD_DOC(cache_multi_get_doc,
"multi_get($self, /, page_key, keys)\n\
--\n\
\n\
Return the values of many keys of one page, under one lock.\n\
\n\
Finds values that ``multi_set`` stored with the same `page_key`, and no\n\
others. Never calls ``read_cb``.\n\
\n\
Args:\n\
    page_key: str or bytes; says which page.\n\
    keys: Iterable of str and bytes.\n\
\n\
Returns:\n\
    A dict of those that were found and can be read.\n\
\n\
Raises:\n\
    TypeError: A key is of another type.");

PyObject *
cache_multi_get(struct cache_object *self, PyObject *const *values,
                Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"page_key", "keys", NULL};
    static const struct args_spec spec = {"multi_get", list, 2, 2};
    PyObject *out[] = {NULL, NULL};
    struct multi_get m = {.found = NULL};
    PyObject *result = NULL;
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    if (batch_init(&m.batch, out[0], PySequence_Tuple(out[1])) == 0 &&
        op_begin(self, &m.batch.op) == 0 && multi_get_run(self, &m) == 0) {
        result = multi_get_result(self, &m);
    }
    buffer_drop(&m.arena);
    PyMem_Free(m.found);
    batch_free(&m.batch);
    return result;
}

/* -------------------------------------------------------------- multi_set */

struct multi_set {
    struct batch batch;
    struct encoded *encoded;
    Py_ssize_t encoded_count;
    struct fmm_store_options store;
    struct fmm_ticket ticket;
    Py_ssize_t done; /* what is before needs no second store */
    int *statuses;   /* of each of those */
    PyObject *pairs; /* of keys and values; borrowed */
};

static enum fmm_status
run_multi_set(struct fmm_cache *cache, struct op *op)
{
    struct multi_set *m = (struct multi_set *)op;
    struct fmm_guard guard;
    enum fmm_status status = op_guard_take(cache, op, &guard);
    if (status != FMM_OK) {
        m->done = status == FMM_RETIRED ? 0 : m->done;
        return status;
    }
    for (; m->done < m->batch.count; m->done++) {
        status = fmm_set_locked(
            &guard, &op->call, batch_key(cache, &m->batch, m->done),
            &m->encoded[m->done].value, &m->store, &m->ticket);
        if (status == FMM_DIRTY || status < 0) {
            break;
        }
        m->statuses[m->done] = (int)status;
    }
    fmm_guard_release(&guard);
    return status == FMM_DIRTY || status < 0 ? status : FMM_OK;
}

/* Split pairs into keys and encoded values. */
static int
multi_set_init(struct cache_object *self, struct multi_set *m,
               PyObject *page_key, PyObject *pairs)
{
    m->pairs = pairs;
    Py_ssize_t count = PyTuple_GET_SIZE(pairs);
    PyObject *keys = PyTuple_New(count);
    for (Py_ssize_t i = 0; keys != NULL && i < count; i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        PyTuple_SET_ITEM(keys, i, Py_NewRef(PyTuple_GET_ITEM(pair, 0)));
    }
    if (batch_init(&m->batch, page_key, keys) < 0) {
        return -1;
    }
    m->encoded = PyMem_Calloc((size_t)count + 1, sizeof(*m->encoded));
    m->statuses = PyMem_Calloc((size_t)count + 1, sizeof(*m->statuses));
    if (m->encoded == NULL || m->statuses == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (; m->encoded_count < count; m->encoded_count++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, m->encoded_count);
        if (value_encode(self, PyTuple_GET_ITEM(pair, 1),
                         &m->encoded[m->encoded_count]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* One that finds no room, not even by way of others that are written back,
 * does not keep the rest out. */
static int
multi_set_run(struct cache_object *self, struct multi_set *m,
              const struct expiry_args *expiry)
{
    struct op *op = &m->batch.op;
    m->store.dirty = self->write_back;
    m->store.whole = true;
    if (op_begin(self, op) < 0 ||
        expiry_resolve(self, expiry, op->call.now_ms, self->expire_ms,
                       &m->store.expire_at) < 0) {
        return -1;
    }
    int status;
    while ((status = writeback_call(self, op, run_multi_set, &m->ticket)) ==
               FMM_NO_ROOM &&
           m->done < m->batch.count) {
        m->statuses[m->done++] = FMM_NO_ROOM;
    }
    return status < 0 ? -1 : 0;
}

/* Tell write_cb of one now: with write-through, or because it found no room.
 * Then the cache has nothing of it. Returns 0, or -1. */
static int
multi_set_tell(struct cache_object *self, struct multi_set *m, Py_ssize_t i)
{
    PyObject *pair = PyTuple_GET_ITEM(m->pairs, i);
    const struct told told = {.key = m->batch.list[i],
                              .object = PyTuple_GET_ITEM(pair, 0),
                              .value = PyTuple_GET_ITEM(pair, 1),
                              .expire_at = m->store.expire_at};
    int status = m->statuses[i];
    if (!self->write_back && status == FMM_OK) {
        return callback_write(self, told.object, told.value, told.expire_at) <
                       0
                   ? -1
                   : 0;
    }
    return status == FMM_NO_ROOM ? tell_unstored(self, &told) : 0;
}

/* Behave as set() does, of each. Returns whether all were stored, or -1. */
static int
multi_set_finish(struct cache_object *self, struct multi_set *m)
{
    bool all = true;
    for (Py_ssize_t i = 0; i < m->batch.count; i++) {
        all &= m->statuses[i] == FMM_OK;
        if (self->write_cb != NULL && multi_set_tell(self, m, i) < 0) {
            return -1;
        }
    }
    return all;
}

static void
multi_set_free(struct multi_set *m)
{
    for (Py_ssize_t i = 0; i < m->encoded_count; i++) {
        value_free(&m->encoded[i]);
    }
    PyMem_Free(m->encoded);
    PyMem_Free(m->statuses);
    batch_free(&m->batch);
}

METHOD_DOC(cache_multi_set_doc,
"multi_set($self, /, page_key, mapping, expire_time=None, *, expire_on=None)\n\
--\n\
\n\
Store many values on one page, under one lock, for ``multi_get``.\n\
\n\
``write_cb`` is called for each as by ``set``, after the lock. A value is\n\
never stored in parts.\n\
\n\
Args:\n\
    page_key: str or bytes; says which page.\n\
    mapping: A mapping, or an iterable of pairs of key and value.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
\n\
Returns:\n\
    True when all were stored.\n\
\n\
Raises:\n\
    TypeError: A key or value is of another type; nothing is stored.\n\
    ValueError: An argument is out of its range.");

PyObject *
cache_multi_set(struct cache_object *self, PyObject *const *values,
                Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"page_key", "mapping", "expire_time",
                                       "expire_on", NULL};
    static const struct args_spec spec = {"multi_set", list, 2, 3};
    PyObject *out[4] = {NULL, NULL, NULL, NULL};
    struct multi_set m = {.encoded = NULL};
    int stored = -1;
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    const struct expiry_args expiry = {out[2], out[3]};
    PyObject *pairs = store_pairs(out[1]);
    if (pairs != NULL && multi_set_init(self, &m, out[0], pairs) == 0 &&
        multi_set_run(self, &m, &expiry) == 0) {
        stored = multi_set_finish(self, &m);
    }
    multi_set_free(&m);
    Py_XDECREF(pairs);
    return stored < 0 ? NULL : PyBool_FromLong(stored);
}
