/* The type _core.Limiter: RateLimiter.take() in one step of the cache.
 *
 * What is not plain is code of Python, `_take`: callbacks that learn of each
 * value, serializers that text goes through, errors. */
#include "py_args.h"
#include "py_begin.h"
#include "py_bucket.h"
#include "py_known_keys.h"
#include "py_writeback.h"

#define KEPT_MS 60000u /* beyond the moment when the state says nothing */

struct limiter_object {
    PyObject_HEAD struct module_state *state;
    struct cache_object *cache; /* owned; NULL before __init__ */
    struct known_keys places;   /* of buckets, by whose they are */
    struct bucket bucket;
    bool narrow; /* its numbers are within the bounds of py_bucket.h */
};

static struct limiter_object *
limiter_of(PyObject *object)
{
    return (struct limiter_object *)object;
}

/* ------------------------------------------------------------- in the cache */

struct limiter_op {
    struct op op;
    const struct bucket *bucket;
    uint64_t tokens;
    int64_t travel_ms;
    uint64_t now_ns; /* 0: as the clock says when the page is held */
    struct bucket_state state;
    enum bucket_outcome outcome;
    struct fmm_ticket ticket;
};

/* Read the state. Returns a status; `state.len` is more than there is room for
 * when it is no text of ours. */
static enum fmm_status
read_locked(struct limiter_op *l, const struct fmm_guard *guard)
{
    struct fmm_meta meta;
    enum fmm_status status =
        fmm_get_locked(guard, &l->op.call, &l->op.key, l->state.text,
                       sizeof(l->state.text), &meta);
    fmm_count_read(guard->cache, &l->op.call, &l->op.key, status);
    l->state.len = BUCKET_STATE_MAX + 1;
    if (status == FMM_MISS ||
        (status == FMM_OK && meta.type == VALUE_NOT_FOUND)) {
        l->state.len = 0;
        return FMM_OK;
    }
    if (status == FMM_OK && meta.type == VALUE_STR && !meta.compressed &&
        meta.value_len > 0) {
        l->state.len = meta.value_len;
    }
    return status == FMM_TOO_SMALL ? FMM_OK : status;
}

static enum fmm_status
take_locked(struct limiter_op *l, const struct fmm_guard *guard)
{
    uint64_t now_ns = l->now_ns != 0
                          ? l->now_ns
                          : fmm_now_ns() + (uint64_t)l->travel_ms * 1000000u;
    enum fmm_status status = read_locked(l, guard);
    if (status != FMM_OK) {
        return status;
    }
    l->outcome = l->state.len <= BUCKET_STATE_MAX
                     ? bucket_take(l->bucket, now_ns, l->tokens, &l->state)
                     : BUCKET_UNKNOWN;
    if (l->outcome == BUCKET_EMPTY || l->outcome == BUCKET_UNKNOWN) {
        return FMM_OK;
    }
    const struct fmm_value value = {
        .data = l->state.text, .len = l->state.len, .type = VALUE_STR};
    const struct fmm_store_options store = {
        .expire_at = l->op.call.now_ms + l->state.full_ms + KEPT_MS,
        .keep_tags = true};
    return fmm_set_locked(guard, &l->op.call, &l->op.key, &value, &store,
                          &l->ticket);
}

static enum fmm_status
run_take(struct fmm_cache *cache, struct op *op)
{
    struct limiter_op *l = (struct limiter_op *)op;
    struct fmm_guard guard;
    enum fmm_status status = op_guard_take(cache, op, &guard);
    if (status == FMM_OK) {
        status = take_locked(l, &guard);
        fmm_guard_release(&guard);
    }
    return status;
}

/* ------------------------------------------------------------------ taking */

/* Whether text is stored as it is, and nobody is told of it. */
static bool
is_plain(const struct cache_object *cache)
{
    const struct cache_object *root = cache->root;
    return cache->codec.serializer != SERIALIZER_CALLABLES &&
           cache->codec.compressor == COMPRESSOR_NONE &&
           root->write_cb == NULL && !cache->write_back;
}

/* The key of a bucket; a new reference, or NULL with an exception. */
static PyObject *
find_place(struct limiter_object *self, PyObject *key)
{
    const struct args args = {&key, 1, NULL};
    uint64_t hash;
    bool knowable = PyUnicode_CheckExact(key) &&
                    known_keys_hash(&self->places, &args, &hash);
    PyObject *place =
        knowable ? known_keys_find(&self->places, &args, hash) : NULL;
    if (FMM_LIKELY(place != NULL)) {
        return Py_NewRef(place);
    }
    place = PyObject_CallMethod((PyObject *)self, "_key_of", "(O)", key);
    if (place != NULL && knowable) {
        known_keys_add(&self->places, &args, hash, place);
    }
    return place;
}

/* The time, if the clock of this module was replaced, else 0. Returns 0, or -1
 * with an exception. */
static int
ask_clock(const struct module_state *state, uint64_t *now_ns)
{
    PyObject *clock = PyDict_GetItemWithError(state->dict, state->now_ns_name);
    *now_ns = 0;
    if (FMM_LIKELY(clock == state->now_ns || clock == NULL)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *now = PyObject_CallNoArgs(clock);
    if (now != NULL) {
        *now_ns = PyLong_AsUnsignedLongLong(now);
        Py_DECREF(now);
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* Take tokens of a bucket. Returns 1, 0, 2 where Python is to do it, or -1 with
 * an exception. */
static int
take_plainly(struct limiter_object *self, PyObject *place, uint64_t tokens)
{
    struct limiter_op l = {.bucket = &self->bucket,
                           .tokens = tokens,
                           .travel_ms = self->state->travel_ms,
                           .outcome = BUCKET_UNKNOWN};
    if (ask_clock(self->state, &l.now_ns) < 0 ||
        op_set_key(self->cache, place, &l.op.key) < 0 ||
        op_begin(self->cache, &l.op) < 0) {
        return -1;
    }
    int status = writeback_call(self->cache, &l.op, run_take, &l.ticket);
    if (status < 0) {
        return -1;
    }
    return status != FMM_OK || l.outcome == BUCKET_UNKNOWN
               ? 2
               : l.outcome == BUCKET_TAKEN;
}

/* The number of tokens; 0: it is for Python to look at. */
static uint64_t
tokens_of(const struct limiter_object *self, PyObject *tokens)
{
    int overflow;
    if (tokens == NULL) {
        return 1;
    }
    if (!PyLong_CheckExact(tokens)) {
        return 0;
    }
    long long number = PyLong_AsLongLongAndOverflow(tokens, &overflow);
    bool fine = overflow == 0 && number > 0 &&
                (unsigned long long)number <= self->bucket.burst;
    return fine ? (uint64_t)number : 0;
}

/* Returns as take_plainly(). */
static int
take(struct limiter_object *self, PyObject *key, PyObject *tokens)
{
    uint64_t count = tokens_of(self, tokens);
    if (!self->narrow || count == 0 || !is_plain(self->cache)) {
        return 2;
    }
    PyObject *place = find_place(self, key);
    int taken = place != NULL ? take_plainly(self, place, count) : -1;
    Py_XDECREF(place);
    return taken;
}

static PyObject *
take_slowly(PyObject *self, PyObject *key, PyObject *tokens)
{
    PyObject *one = tokens == NULL ? PyLong_FromLong(1) : Py_NewRef(tokens);
    PyObject *wait = one != NULL
                         ? PyObject_CallMethod(self, "_take", "OO", key, one)
                         : NULL;
    Py_XDECREF(one);
    int waits = wait != NULL ? PyObject_IsTrue(wait) : -1;
    Py_XDECREF(wait);
    return waits < 0 ? NULL : PyBool_FromLong(!waits);
}

PyDoc_STRVAR(limiter_take_doc,
"take($self, /, key='', tokens=1)\n\
--\n\
\n\
Take tokens if they are there.\n\
\n\
Args:\n\
    key: Whose bucket; any text.\n\
    tokens: How many, at most ``burst``.\n\
\n\
Returns:\n\
    Whether they were there. If not, none was taken.\n\
\n\
Raises:\n\
    ValueError: More tokens than the bucket holds, or less than one.\n\
    LockError: The cache has no room for the bucket.");

static PyObject *
limiter_take(PyObject *object, PyObject *const *values, Py_ssize_t count,
             PyObject *names)
{
    static const char *const list[] = {"key", "tokens", NULL};
    static const struct args_spec spec = {"take", list, 0, 2};
    struct limiter_object *self = limiter_of(object);
    PyObject *out[] = {NULL, NULL};
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    if (self->cache == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "the limiter was not made by __init__()");
        return NULL;
    }
    PyObject *key = Py_XNewRef(out[0]);
    if (key == NULL && (key = PyUnicode_New(0, 0)) == NULL) {
        return NULL;
    }
    int taken = take(self, key, out[1]);
    PyObject *result = taken == 2  ? take_slowly(object, key, out[1])
                       : taken < 0 ? NULL
                                   : PyBool_FromLong(taken);
    Py_DECREF(key);
    return result;
}

/* ----------------------------------------------------------------- its life */

/* A positive int up to a bound; 0: it is beyond that, or another one. */
static uint64_t
number_within(PyObject *object, uint64_t most)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    PyErr_Clear();
    return overflow == 0 && number > 0 && (uint64_t)number <= most
               ? (uint64_t)number
               : 0;
}

static int
limiter_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"cache", "limit", "burst", "cost",
                                       NULL};
    struct limiter_object *self = limiter_of(object);
    struct module_state *state = state_of_type(Py_TYPE(object));
    PyObject *cache, *limit, *burst, *cost;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!OOO:Limiter", (char **)(uintptr_t)list,
            state->keyspace_type, &cache, &limit, &burst, &cost)) {
        return -1;
    }
    if (self->cache != NULL) {
        PyErr_SetString(PyExc_TypeError, "it is a limiter by now");
        return -1;
    }
    self->state = state;
    self->bucket =
        (struct bucket){.limit = number_within(limit, BUCKET_LIMIT_MAX),
                        .burst = number_within(burst, BUCKET_BURST_MAX),
                        .cost = number_within(cost, BUCKET_COST_MAX)};
    self->narrow = self->bucket.limit != 0 && self->bucket.burst != 0 &&
                   self->bucket.cost != 0;
    self->cache = (struct cache_object *)Py_NewRef(cache);
    return 0;
}

static int
limiter_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)limiter_of(object)->cache);
    return 0;
}

static int
limiter_clear(PyObject *object)
{
    Py_CLEAR(limiter_of(object)->cache);
    return 0;
}

static void
limiter_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    limiter_clear(object);
    known_keys_clear(&limiter_of(object)->places);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef limiter_methods[] = {
    {"take", (PyCFunction)(void (*)(void))limiter_take,
     METH_FASTCALL | METH_KEYWORDS, limiter_take_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(limiter_doc,
"Limiter(cache, limit, burst, cost)\n\
--\n\
\n\
The call of a RateLimiter that is made most.");

static PyType_Slot limiter_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)limiter_doc},
    {Py_tp_init, limiter_init},
    {Py_tp_traverse, limiter_traverse},
    {Py_tp_clear, limiter_clear},
    {Py_tp_dealloc, limiter_dealloc},
    {Py_tp_methods, limiter_methods},
    {0, NULL},
};

PyType_Spec limiter_spec = {
    .name = "fastmmap._core.Limiter",
    .basicsize = sizeof(struct limiter_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = limiter_slots,
};
