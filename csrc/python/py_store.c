#include "py_store.h"

#include "py_begin.h"
#include "py_callback.h"
#include "py_methods.h"
#include "py_missing.h"
#include "py_read.h"
#include "py_tags.h"
#include "py_unreadable.h"

#define DEFAULT_ROUNDS 16 /* of looking and adding, in setdefault() */

/* The store has a newer value, which found no room here. */
static int
forget_key(struct cache_object *self, PyObject *key)
{
    struct fmm_key forgotten;
    return op_set_key(self, key, &forgotten) < 0 ||
                   tell_forget(self, &forgotten) < 0
               ? -1
               : 0;
}

int
store_tell(struct cache_object *self, const struct store_request *request,
           int status, const struct fmm_store_options *store)
{
    if (self->write_cb == NULL || self->write_back ||
        (status != FMM_OK && status != FMM_NO_ROOM)) {
        return status;
    }
    int written =
        callback_write(self, request->key, request->value, store->expire_at);
    if (written == TELL_DONE && status == FMM_NO_ROOM) {
        written = forget_key(self, request->key);
    }
    return written < 0 ? -1 : status;
}

/* Store what is encoded by now. */
static int
store_encoded(struct cache_object *self, const struct store_request *request,
              struct store_op *store)
{
    if (op_begin(self, &store->op) < 0 ||
        expiry_resolve(self, &request->expiry, store->op.call.now_ms,
                       self->expire_ms, &store->store.expire_at) < 0) {
        return -1;
    }
    int status = writeback_store(self, store);
    return FMM_LIKELY(self->write_cb == NULL)
               ? status
               : store_tell(self, request, status, &store->store);
}

/* What is there may be the mark that read_cb, of this object or another one,
 * found nothing: that reads as a miss, and is no value. */
FMM_COLD static int
store_over_missing(struct cache_object *self,
                   const struct store_request *request, struct store_op *store)
{
    int forgotten = missing_forget(self, request->key);
    if (forgotten <= 0) {
        return forgotten < 0 ? -1 : FMM_EXISTS;
    }
    return store_encoded(self, request, store);
}

static int
store_with_tags(struct cache_object *self, const struct store_request *request,
                PyObject *tags)
{
    struct encoded encoded;
    struct store_op store;
    store.store = (struct fmm_store_options){.mode = request->mode,
                                             .dirty = self->write_back};
    if (FMM_UNLIKELY(tags != NULL)) {
        tags_put(tags, &store.store);
    }
    if (modseq_from_object(request->modseq, &store.store.modseq,
                           &store.store.has_modseq) < 0) {
        return -1;
    }
    if (FMM_UNLIKELY(request->mode == FMM_STORE_REPLACE) &&
        missing_forget(self, request->key) < 0) {
        return -1;
    }
    if (op_set_key(self, request->key, &store.op.key) < 0 ||
        value_encode(self, request->value, &encoded) < 0) {
        return -1;
    }
    store.value = &encoded.value;
    store.key = request->key;
    store.object = request->value;
    int status = store_encoded(self, request, &store);
    if (FMM_UNLIKELY(status == FMM_EXISTS)) {
        status = store_over_missing(self, request, &store);
    }
    value_free(&encoded);
    return status;
}

/* Read the tags before the value is encoded: what it says is older. */
FMM_COLD static int
store_reading_tags(struct cache_object *self,
                   const struct store_request *request)
{
    PyObject *tags = cache_read_tags((PyObject *)self, request->tags);
    int status = tags != NULL ? store_with_tags(self, request, tags) : -1;
    Py_XDECREF(tags);
    return status;
}

int
store_run(struct cache_object *self, const struct store_request *request)
{
    return FMM_LIKELY(request->tags == NULL)
               ? store_with_tags(self, request, NULL)
               : store_reading_tags(self, request);
}

/* --------------------------------------------------- set, add and replace */

static const char *const set_names[] = {
    "key", "value", "expire_time", "expire_on", "modseq", "tags", NULL};

static int
parse_request(const struct args_spec *spec, const struct args *args,
              struct store_request *request)
{
    PyObject *out[6] = {NULL, NULL, NULL, NULL, NULL, NULL};
    if (FMM_LIKELY(args->names == NULL && args->count == 2)) {
        out[0] = args->values[0];
        out[1] = args->values[1];
    }
    else if (args_parse(spec, args, out) < 0) {
        return -1;
    }
    request->key = out[0];
    request->value = out[1];
    request->expiry = (struct expiry_args){out[2], out[3]};
    request->modseq = out[4];
    request->tags = out[5];
    return 0;
}

static PyObject *
store_from_args(struct cache_object *self, const struct args_spec *spec,
                const struct args *args, enum fmm_store_mode mode)
{
    struct store_request request = {.mode = mode};
    if (parse_request(spec, args, &request) < 0) {
        return NULL;
    }
    int status = store_run(self, &request);
    return status < 0 ? NULL : PyBool_FromLong(status == FMM_OK);
}

METHOD_DOC(cache_set_doc,
"set($self, /, key, value, expire_time=None, *, expire_on=None, modseq=None,\
 tags=())\n\
--\n\
\n\
Store a value.\n\
\n\
With ``write_back`` the value goes to ``write_cb`` when it is about to leave\n\
the cache; else ``write_cb``, if there is one, is called now.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    value: Whatever the serializer takes.\n\
    expire_time: Lifetime: seconds (int or float), a timedelta, or text\n\
        such as \"10s\" or \"now\"; 0 is never, ``None`` the default.\n\
    expire_on: Seconds since 1970, 0 for never; wins over `expire_time`.\n\
    modseq: Do not replace a value or tombstone with a greater number.\n\
    tags: An iterable of 16 str or bytes at most; ``invalidate_tag`` of one\n\
        of them makes the value void.\n\
\n\
Returns:\n\
    Whether it was stored: False when it does not fit, or when a tombstone\n\
    or a newer modseq refuses it. The old value stays then.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.\n\
    LockTimeout: The page was held for all of ``lock_timeout``.\n\
    LockError: Called by code that the cache called.");

PyObject *
cache_set(struct cache_object *self, PyObject *const *values, Py_ssize_t count,
          PyObject *names)
{
    static const struct args_spec spec = {"set", set_names, 2, 3};
    const struct args args = {values, count, names};
    return store_from_args(self, &spec, &args, FMM_STORE_SET);
}

METHOD_DOC(cache_add_doc,
"add($self, /, key, value, expire_time=None, *, expire_on=None, modseq=None,\
 tags=())\n\
--\n\
\n\
Store a value only if the key has none, in one step.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    value: Whatever the serializer takes.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
    modseq: As in ``set``.\n\
    tags: As in ``set``.\n\
\n\
Returns:\n\
    Whether it was stored.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.");

PyObject *
cache_add(struct cache_object *self, PyObject *const *values, Py_ssize_t count,
          PyObject *names)
{
    static const struct args_spec spec = {"add", set_names, 2, 3};
    const struct args args = {values, count, names};
    return store_from_args(self, &spec, &args, FMM_STORE_ADD);
}

METHOD_DOC(cache_replace_doc,
"replace($self, /, key, value, expire_time=None, *, expire_on=None,\
 modseq=None, tags=())\n\
--\n\
\n\
Store a value only if the key has one, in one step.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    value: Whatever the serializer takes.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
    modseq: As in ``set``.\n\
    tags: As in ``set``.\n\
\n\
Returns:\n\
    Whether it was stored.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.");

PyObject *
cache_replace(struct cache_object *self, PyObject *const *values,
              Py_ssize_t count, PyObject *names)
{
    static const struct args_spec spec = {"replace", set_names, 2, 3};
    const struct args args = {values, count, names};
    return store_from_args(self, &spec, &args, FMM_STORE_REPLACE);
}

/* ------------------------------------------------- as a mapping has it */

void
store_raise_refused(const struct cache_object *self, PyObject *key, int status)
{
    if (status == FMM_STALE) {
        PyErr_Format(PyExc_ValueError,
                     "%U: key %.200R was removed with a modseq: set() it with "
                     "one that is not older",
                     self->path, key);
        return;
    }
    PyErr_Format(
        PyExc_ValueError,
        "%U: the value of key %.200R does not fit: key and value take "
        "at most %llu bytes here, a larger cache takes more; or changed "
        "values fill its page, and write_cb does not take them",
        self->path, key, (unsigned long long)self->root->info.max_value);
}

int
cache_assign(struct cache_object *self, PyObject *key, PyObject *value)
{
    const struct store_request request = {.key = key, .value = value};
    int status = store_run(self, &request);
    if (status > 0) {
        store_raise_refused(self, key, status);
    }
    return status == 0 ? 0 : -1;
}

/* The value of the key, stored now where there is none; a new reference. A
 * value that is there and never to be had is replaced in the end. */
static PyObject *
set_default(struct cache_object *self, struct store_request *request)
{
    for (int round = 0;; round++) {
        PyObject *value;
        int found = unreadable_read(self, request->key, self->share, &value);
        if (found != 0) {
            return found > 0 ? value : NULL;
        }
        request->mode = round < DEFAULT_ROUNDS ? FMM_STORE_ADD : FMM_STORE_SET;
        int status = store_run(self, request);
        if (status == FMM_OK) {
            return Py_NewRef(request->value);
        }
        if (status != FMM_EXISTS) {
            if (status > 0) {
                store_raise_refused(self, request->key, status);
            }
            return NULL;
        }
    }
}

METHOD_DOC(cache_setdefault_doc,
"setdefault($self, /, key, default=None)\n\
--\n\
\n\
Return the value of a key; store `default` first if none can be read.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: Whatever the serializer takes.\n\
\n\
Returns:\n\
    The value that the key has now.\n\
\n\
Raises:\n\
    ValueError: The value does not fit, or a tombstone refuses it.");

PyObject *
cache_setdefault(struct cache_object *self, PyObject *const *values,
                 Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key", "default", NULL};
    static const struct args_spec spec = {"setdefault", list, 1, 2};
    PyObject *out[] = {NULL, NULL};
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    struct store_request request = {
        .key = out[0],
        .value = out[1] != NULL ? out[1] : Py_None,
    };
    return set_default(self, &request);
}

/* -------------------------------------------------------------- many keys */

/* What was given as a pair, as a tuple of two. */
static PyObject *
pair_from_object(PyObject *object)
{
    PyObject *pair = PySequence_Tuple(object);
    if (pair != NULL && PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_ValueError,
                        "expected a mapping, or pairs of key and value");
        Py_CLEAR(pair);
    }
    return pair;
}

/* What a mapping, or an iterable of pairs, yields, as a tuple. */
static PyObject *
items_from_object(PyObject *mapping)
{
    bool keyed =
        PyDict_CheckExact(mapping) || PyObject_HasAttrString(mapping, "keys");
    if (!keyed) {
        return PySequence_Tuple(mapping);
    }
    PyObject *list = PyMapping_Items(mapping);
    PyObject *items = list != NULL ? PySequence_Tuple(list) : NULL;
    Py_XDECREF(list);
    return items;
}

PyObject *
store_pairs(PyObject *mapping)
{
    PyObject *items = items_from_object(mapping);
    Py_ssize_t count = items != NULL ? PyTuple_GET_SIZE(items) : 0;
    PyObject *pairs = items != NULL ? PyTuple_New(count) : NULL;
    for (Py_ssize_t i = 0; pairs != NULL && i < count; i++) {
        PyObject *pair = pair_from_object(PyTuple_GET_ITEM(items, i));
        if (pair != NULL) {
            PyTuple_SET_ITEM(pairs, i, pair);
        }
        else {
            Py_CLEAR(pairs);
        }
    }
    Py_XDECREF(items);
    return pairs;
}

/* Store pairs alike; returns a list of the keys that were refused. */
static PyObject *
set_pairs(struct cache_object *self, struct store_request *request,
          PyObject *pairs, PyObject *tags)
{
    PyObject *refused = PyList_New(0);
    for (Py_ssize_t i = 0; refused != NULL && i < PyTuple_GET_SIZE(pairs);
         i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        request->key = PyTuple_GET_ITEM(pair, 0);
        request->value = PyTuple_GET_ITEM(pair, 1);
        int status = store_with_tags(self, request, tags);
        if (status < 0 ||
            (status > 0 && PyList_Append(refused, request->key) < 0)) {
            Py_CLEAR(refused);
        }
    }
    return refused;
}

METHOD_DOC(cache_set_many_doc,
"set_many($self, /, mapping, expire_time=None, *, expire_on=None, tags=())\n\
--\n\
\n\
Store many values, each as ``set`` does.\n\
\n\
Args:\n\
    mapping: A mapping, or an iterable of pairs of key and value.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
    tags: As in ``set``, of all of them.\n\
\n\
Returns:\n\
    A list of the keys that were not stored.\n\
\n\
Raises:\n\
    TypeError: A key or value is of another type; those before are stored.\n\
    ValueError: An argument is out of its range.");

PyObject *
cache_set_many(struct cache_object *self, PyObject *const *values,
               Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"mapping", "expire_time", "expire_on",
                                       "tags", NULL};
    static const struct args_spec spec = {"set_many", list, 1, 2};
    PyObject *out[4] = {NULL, NULL, NULL, NULL}, *tags = NULL, *refused = NULL;
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    struct store_request request = {.expiry = {out[1], out[2]}};
    PyObject *pairs = store_pairs(out[0]);
    if (pairs != NULL && out[3] != NULL) {
        tags = cache_read_tags((PyObject *)self, out[3]);
    }
    if (pairs != NULL && (tags != NULL || out[3] == NULL)) {
        refused = set_pairs(self, &request, pairs, tags);
    }
    Py_XDECREF(tags);
    Py_XDECREF(pairs);
    return refused;
}
