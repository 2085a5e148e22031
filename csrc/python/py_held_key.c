#include "py_held_key.h"

#include "py_args.h"
#include "py_attempt.h"
#include "py_begin.h"
#include "py_error.h"
#include "py_methods.h"
#include "py_read.h"

/* ------------------------------------------------------------- held keys */

struct taking {
    struct held_key *held;
    PyObject *key;
    const int64_t *timeout_ms; /* NULL: lock_timeout */
};

/* Memory is not to be asked for with the page held: what is too large is left
 * again. */
static int
take_once(struct cache_object *self, void *what)
{
    const struct taking *taking = what;
    struct held_key *held = taking->held;
    if (op_set_key(self, taking->key, &held->op.key) < 0 ||
        op_begin(self, &held->op) < 0) {
        return -1;
    }
    if (taking->timeout_ms != NULL) {
        held->op.timeout_ms = *taking->timeout_ms;
    }
    held->section = section_take(self, &held->op);
    if (held->section == NULL) {
        return -1;
    }
    int status = (int)fmm_get_locked(&held->section->guard, &held->op.call,
                                     &held->op.key, held->buffer.data,
                                     held->buffer.capacity, &held->meta);
    if (status == FMM_TOO_SMALL) {
        held->buffer.needed = held->meta.value_len;
        held_key_leave(held);
    }
    return status;
}

int
held_key_take(struct cache_object *self, struct held_key *held, PyObject *key,
              const int64_t *timeout_ms)
{
    struct taking taking = {held, key, timeout_ms};
    held->section = NULL;
    held->buffer = (struct buffer){.bytes = NULL};
    int status =
        buffer_fill(&held->buffer, READ_SMALL_SIZE, take_once, self, &taking);
    if (status >= 0) {
        fmm_count_read(held->section->guard.cache, &held->op.call,
                       &held->op.key, (enum fmm_status)status);
        held->found = status == FMM_OK && held->meta.type != VALUE_NOT_FOUND;
        return 0;
    }
    bool taken = held->section != NULL; /* else there is an exception */
    held_key_release(held);
    return taken
               ? error_raise(self->state, (enum fmm_status)status, self->path)
               : -1;
}

PyObject *
held_key_value(struct cache_object *self, const struct held_key *held)
{
    if (!held->found) {
        Py_RETURN_NONE;
    }
    return read_decode(self, &held->op.key, &held->meta,
                       Py_NewRef(held->buffer.bytes));
}

void
held_key_leave(struct held_key *held)
{
    struct section *section = held->section;
    held->section = NULL;
    if (section != NULL) {
        section_leave(section);
    }
}

void
held_key_release(struct held_key *held)
{
    held_key_leave(held);
    buffer_drop(&held->buffer);
}

int
held_key_resolve(const struct cache_object *self, const struct held_key *held,
                 const struct store_request *request,
                 struct fmm_store_options *store)
{
    *store = (struct fmm_store_options){
        .mode = FMM_STORE_SET, .dirty = self->write_back, .keep_tags = true};
    if (modseq_from_object(request->modseq, &store->modseq,
                           &store->has_modseq) < 0) {
        return -1;
    }
    if (held->found && !is_given(request->expiry.on) &&
        !is_given(request->expiry.time)) {
        store->expire_at = held->meta.expire_at;
        return 0;
    }
    return expiry_resolve(self, &request->expiry, op_now(self),
                          self->expire_ms, &store->expire_at);
}

/* A changed value that nobody would ever write back. */
static int
refuse_replaced(const struct section *section)
{
    if (!fmm_guard_retired(&section->guard)) {
        return 0;
    }
    PyErr_Format(section->cache->state->lock_error,
                 "%U: the file was replaced (init_file) while the key was "
                 "held: nothing was stored, do it again",
                 section->cache->path);
    return -1;
}

int
held_key_store(struct held_key *held, const struct store_request *request,
               const struct encoded *encoded, struct fmm_store_options *store)
{
    struct store_op op = {.op = held->op,
                          .value = &encoded->value,
                          .store = *store,
                          .key = request->key,
                          .object = request->value};
    op.op.call.now_ms = op_now(held->section->cache);
    if (store->dirty && refuse_replaced(held->section) < 0) {
        return -1;
    }
    int status = writeback_store_held(held->section, &op);
    store->dirty = op.store.dirty;
    return status;
}

/* ----------------------------------------------------------- get_and_set */

/* Call func(key, value, entry). */
static PyObject *
call_func(struct cache_object *self, const struct held_key *held,
          PyObject *key, PyObject *func, PyObject **old)
{
    PyObject *entry = Py_None;
    *old = held_key_value(self, held);
    if (*old == NULL) {
        return NULL;
    }
    if (held->found) {
        entry = read_entry(self, &held->meta, Py_NewRef(*old));
    }
    else {
        Py_INCREF(entry);
    }
    if (entry == NULL) {
        return NULL;
    }
    PyObject *const args[] = {key, *old, entry};
    attempt_commit();
    PyObject *result = PyObject_Vectorcall(func, args, 3, NULL);
    Py_DECREF(entry);
    return result;
}

/* Read what func returned: a Store, or a value. Borrowed references. Returns
 * 0, or -1 with a TypeError for a Store that was made without its fields. */
static int
read_answer(const struct cache_object *self, PyObject *answer,
            struct store_request *request)
{
    request->value = answer;
    if (!PyObject_TypeCheck(answer, (PyTypeObject *)self->state->store)) {
        return 0;
    }
    if (!PyTuple_Check(answer) || PyTuple_GET_SIZE(answer) != 4) {
        PyErr_Format(PyExc_TypeError,
                     "get_and_set(): the function returned a malformed %s: "
                     "expected Store(value, expire_time, expire_on, modseq)",
                     Py_TYPE(answer)->tp_name);
        return -1;
    }
    request->value = PyTuple_GET_ITEM(answer, 0);
    request->expiry.time = PyTuple_GET_ITEM(answer, 1);
    request->expiry.on = PyTuple_GET_ITEM(answer, 2);
    request->modseq = PyTuple_GET_ITEM(answer, 3);
    return 0;
}

/* Store the answer; `*store` says how it was. Returns a status, or -1. */
static int
store_answer(struct cache_object *self, struct held_key *held,
             const struct store_request *request,
             struct fmm_store_options *store)
{
    struct encoded encoded;
    if (held_key_resolve(self, held, request, store) < 0 ||
        value_encode(self, request->value, &encoded) < 0) {
        return -1;
    }
    int status = section_require(held->section) < 0
                     ? -1
                     : held_key_store(held, request, &encoded, store);
    held_key_leave(held);
    value_free(&encoded);
    if (FMM_UNLIKELY(self->parent != NULL) && status == FMM_OK) {
        generation_note(self, &held->op);
    }
    return status;
}

static PyObject *
result_new(const struct cache_object *self, PyObject *value, bool stored)
{
    return PyObject_CallFunction(self->state->get_and_set_result, "OO", value,
                                 stored ? Py_True : Py_False);
}

/* What follows func: store its answer, give the page back, tell write_cb. */
static PyObject *
finish(struct cache_object *self, struct held_key *held, PyObject *key,
       PyObject *answer)
{
    struct store_request request = {.key = key};
    struct fmm_store_options store;
    if (read_answer(self, answer, &request) < 0) {
        return NULL;
    }
    int status = store_answer(self, held, &request, &store);
    if (status >= 0) {
        status = store_tell(self, &request, status, &store);
    }
    return status < 0 ? NULL
                      : result_new(self, request.value, status == FMM_OK);
}

static PyObject *
keep_old(const struct cache_object *self, struct held_key *held, PyObject *old)
{
    held_key_leave(held);
    return result_new(self, old, false);
}

METHOD_DOC(cache_get_and_set_doc,
"get_and_set($self, /, key, func)\n\
--\n\
\n\
Change a value by a function while nobody else can change it.\n\
\n\
The page of the key is held while ``func(key, value, entry)`` runs; it must\n\
not use the cache. `value` and `entry` are ``None`` if the key is missing. It\n\
returns the new value, which keeps the entry's expiry, or a ``Store`` that\n\
says more, or ``KEEP`` to change nothing.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    func: A callable of three arguments.\n\
\n\
Returns:\n\
    A named tuple ``(value, stored)`` of the new value and whether it was\n\
    stored; with ``KEEP`` the old value and False.\n\
\n\
Raises:\n\
    LockTimeout: The page was held for all of ``lock_timeout``.\n\
    LockError: Called by code that the cache called, or `func` forked and\n\
        this is the child.\n\
    Exception: What `func` raises, unchanged; nothing is stored then.");

PyObject *
cache_get_and_set(struct cache_object *self, PyObject *const *values,
                  Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key", "func", NULL};
    static const struct args_spec spec = {"get_and_set", list, 2, 2};
    PyObject *out[] = {NULL, NULL}, *old = NULL, *result = NULL;
    struct held_key held;
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0 ||
        held_key_take(self, &held, out[0], NULL) < 0) {
        return NULL;
    }
    PyObject *answer = call_func(self, &held, out[0], out[1], &old);
    if (answer != NULL && section_require(held.section) == 0) {
        result = answer == self->state->keep
                     ? keep_old(self, &held, old)
                     : finish(self, &held, out[0], answer);
    }
    held_key_release(&held);
    Py_XDECREF(answer);
    Py_XDECREF(old);
    return result;
}
