/* Removing keys, in all its forms. */
#include "py_args.h"
#include "py_attempt.h"
#include "py_begin.h"
#include "py_buffer.h"
#include "py_callback.h"
#include "py_error.h"
#include "py_methods.h"
#include "py_missing.h"
#include "py_read.h"
#include "py_remove.h"
#include "py_store.h"
#include "py_unreadable.h"

struct remove_op {
    struct op op;
    struct fmm_removal removal;
    enum fmm_due due;
    struct fmm_ticket ticket;
};

FMM_FLATTEN static enum fmm_status
run_remove(struct fmm_cache *cache, struct op *op)
{
    struct remove_op *r = (struct remove_op *)op;
    op_hash(cache, op);
    return fmm_remove(cache, &op->call, &op->key, &r->removal, &r->due,
                      &r->ticket);
}

/* Whoever tells the store of the key just now deletes it there, too. */
static int
delete_marked(struct cache_object *self, PyObject *key)
{
    const struct turn_wish how = {.wait_ms = self->lock_timeout_ms,
                                  .others = true};
    bool gone;
    if (self->write_cb == NULL && self->delete_cb == NULL) {
        return 0; /* left to those who have them */
    }
    return tell_key(self, key, &how, &gone) < 0 ? -1 : 0;
}

bool
remove_marks(const struct cache_object *self)
{
    return self->write_back && self->delete_cb != NULL;
}

int
remove_finish(struct cache_object *self, PyObject *key, enum fmm_due due)
{
    if (due != FMM_DUE_NOTHING) {
        attempt_commit();
    }
    switch (due) {
    case FMM_DUE_NOTHING:
        return 0;
    case FMM_DUE_MARKED:
        return delete_marked(self, key);
    case FMM_DUE_DELETION:
        break;
    }
    return remove_marks(self) ? tell_deletion(self, key)
                              : callback_delete(self, key);
}

/* Remove a key whose operation has begun, and tell delete_cb. Returns 1 when
 * it was there, 0, or -1 with an exception. */
static int
remove_key(struct cache_object *self, struct remove_op *r, PyObject *key)
{
    r->removal.mark = remove_marks(self);
    r->due = FMM_DUE_NOTHING;
    int status = writeback_call(self, &r->op, run_remove, &r->ticket);
    if (status == FMM_NO_ROOM && r->removal.has_modseq) {
        /* For the tombstone: a plain removal has to do. */
        r->removal.has_modseq = false;
        status = writeback_call(self, &r->op, run_remove, &r->ticket);
    }
    if (status < 0) {
        return -1;
    }
    if (status == FMM_NO_ROOM) {
        /* For the mark where nothing is, but by way of values that stay. */
        r->due = FMM_DUE_DELETION;
    }
    if (remove_finish(self, key, r->due) < 0) {
        return -1;
    }
    return status == FMM_OK;
}

/* Remove without conditions; returns as above. */
static int
remove_plainly(struct cache_object *self, PyObject *key)
{
    struct remove_op r;
    r.removal = (struct fmm_removal){.has_modseq = false};
    return missing_begin(self, key, &r.op) < 0 ? -1
                                               : remove_key(self, &r, key);
}

/* The lifetime of tombstones, when none is given. */
static int64_t
tombstone_lifetime(const struct cache_object *self)
{
    return self->tombstone_ms == LIFETIME_NEVER ? self->expire_ms
                                                : self->tombstone_ms;
}

METHOD_DOC(cache_remove_doc,
"remove($self, /, key, *, modseq=None, expire_time=None, expire_on=None)\n\
--\n\
\n\
Remove a key, and call ``delete_cb`` unless the store never had its value.\n\
\n\
If another thread or process is just passing the value to ``write_cb``, that\n\
one deletes it after writing it.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    modseq: Leave a tombstone of this number, which refuses older values. A\n\
        value with an equal or greater number stays.\n\
    expire_time: Lifetime of the tombstone, as in ``set``; ``None`` is\n\
        ``tombstone_expire_time``.\n\
    expire_on: The same in seconds since 1970.\n\
\n\
Returns:\n\
    Whether there was a value.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.");

PyObject *
cache_remove(struct cache_object *self, PyObject *const *values,
             Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key", "modseq", "expire_time",
                                       "expire_on", NULL};
    static const struct args_spec spec = {"remove", list, 1, 1};
    PyObject *out[4] = {NULL, NULL, NULL, NULL};
    struct remove_op r;
    r.removal = (struct fmm_removal){.keep_dirty = false};
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0 ||
        modseq_from_object(out[1], &r.removal.modseq, &r.removal.has_modseq) <
            0) {
        return NULL;
    }
    const struct expiry_args expiry = {out[2], out[3]};
    if (missing_begin(self, out[0], &r.op) < 0 ||
        expiry_resolve(self, &expiry, r.op.call.now_ms,
                       tombstone_lifetime(self), &r.removal.expire_at) < 0) {
        return NULL;
    }
    int removed = remove_key(self, &r, out[0]);
    return removed < 0 ? NULL : PyBool_FromLong(removed);
}

int
cache_delete(struct cache_object *self, PyObject *key)
{
    int removed = remove_plainly(self, key);
    if (removed == 0) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return removed > 0 ? 0 : -1;
}

METHOD_DOC(cache_delete_many_doc,
"delete_many($self, /, keys)\n\
--\n\
\n\
Remove many keys, each as ``remove`` does.\n\
\n\
Args:\n\
    keys: Iterable of str and bytes.\n\
\n\
Returns:\n\
    How many had a value.\n\
\n\
Raises:\n\
    TypeError: A key is of another type; those before are removed.");

PyObject *
cache_delete_many(struct cache_object *self, PyObject *const *values,
                  Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"keys", NULL};
    static const struct args_spec spec = {"delete_many", list, 1, 1};
    PyObject *keys = NULL, *key;
    Py_ssize_t total = 0;
    if (args_parse(&spec, &(struct args){values, count, names}, &keys) < 0) {
        return NULL;
    }
    PyObject *iterator = PyObject_GetIter(keys);
    while (iterator != NULL && (key = PyIter_Next(iterator)) != NULL) {
        int removed = remove_plainly(self, key);
        Py_DECREF(key);
        if (removed < 0) {
            break;
        }
        total += removed;
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(total);
}

METHOD_DOC(cache_expire_doc,
"expire($self, /, key)\n\
--\n\
\n\
Remove a key as if it had expired: a dirty value goes to ``write_cb`` first.\n\
\n\
If ``write_cb`` fails, the value stays. ``delete_cb`` is not called.\n\
\n\
Args:\n\
    key: str or bytes.\n\
\n\
Returns:\n\
    Whether there was a value, and it is gone.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.");

PyObject *
cache_expire(struct cache_object *self, PyObject *const *values,
             Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key", NULL};
    static const struct args_spec spec = {"expire", list, 1, 1};
    PyObject *key = NULL;
    struct remove_op r;
    r.removal = (struct fmm_removal){.keep_dirty = true};
    if (args_parse(&spec, &(struct args){values, count, names}, &key) < 0 ||
        missing_begin(self, key, &r.op) < 0) {
        return NULL;
    }
    int status = writeback_call(self, &r.op, run_remove, &r.ticket);
    return status < 0 ? NULL : PyBool_FromLong(status == FMM_OK);
}

/* --------------------------------------------------- get_and_remove, pop */

/* Reads and removes in one go. */
struct take_op {
    struct remove_op remove;
    struct fmm_meta meta;
    struct buffer buffer;
};

static enum fmm_status
run_take(struct fmm_cache *cache, struct op *op)
{
    struct take_op *t = (struct take_op *)op;
    struct remove_op *r = &t->remove;
    struct fmm_guard guard;
    enum fmm_status status = op_guard_take(cache, op, &guard);
    if (status != FMM_OK) {
        return status;
    }
    status = fmm_get_locked(&guard, &op->call, &op->key, t->buffer.data,
                            t->buffer.capacity, &t->meta);
    fmm_count_read(cache, &op->call, &op->key, status);
    if (status == FMM_OK) {
        /* That there was no value, delete_cb is not told: no mark stays. */
        r->removal.mark = r->removal.mark && t->meta.type != VALUE_NOT_FOUND;
        status = fmm_remove_locked(&guard, &op->call, &op->key, &r->removal,
                                   &r->due, &r->ticket);
    }
    else if (status == FMM_MISS) { /* what is computed is void all the same */
        fmm_lease_void_locked(&guard, &op->key);
    }
    fmm_guard_release(&guard);
    return status;
}

static int
take_once(struct cache_object *self, void *what)
{
    struct take_op *t = what;
    struct remove_op *r = &t->remove;
    int status = parts_call(self, &r->op, run_take, &r->ticket);
    t->buffer.needed = t->meta.value_len;
    return status;
}

/* The value's bytes, taken out of the cache. NULL, without an exception when
 * there is none. */
static PyObject *
take_bytes(struct cache_object *self, struct take_op *t)
{
    if (buffer_fill(&t->buffer, READ_SMALL_SIZE, take_once, self, t) !=
        FMM_OK) {
        buffer_drop(&t->buffer);
    }
    return buffer_take(&t->buffer);
}

/* Put back what cannot be decoded, unless the key has a new value, or it had
 * tags, which are not known any more. Keeps the exception that is set. */
static void
put_back(struct cache_object *self, const struct take_op *t, PyObject *bytes)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    const struct fmm_value value = {
        .data = PyBytes_AS_STRING(bytes),
        .len = t->meta.value_len,
        .type = t->meta.type,
        .compressed = t->meta.compressed,
    };
    struct store_op store = {
        .value = &value,
        .store = {.mode = FMM_STORE_ADD,
                  .expire_at = t->meta.expire_at,
                  .modseq = t->meta.modseq,
                  .has_modseq = t->meta.has_modseq,
                  .dirty = t->meta.dirty},
    };
    store.op.key = t->remove.op.key;
    if (!t->meta.tagged && op_begin(self, &store.op) == 0) {
        store.op.key.scope = t->remove.op.key.scope; /* that of its time */
        (void)writeback_store(self, &store);
    }
    PyErr_Clear();
    PyErr_Restore(type, error, traceback);
}

/* A value was taken that does not decode, which is the exception that is set.
 * Returns whether it is removed all the same; else it is back. */
static bool
give_up(struct cache_object *self, const struct take_op *t, PyObject *key,
        PyObject *bytes)
{
    if (unreadable_tell(self, key, "removed") <= 0) {
        put_back(self, t, bytes);
        return false;
    }
    PyObject *error = error_take();
    if (remove_finish(self, key, t->remove.due) < 0) {
        Py_DECREF(error);
        return false;
    }
    error_put(error);
    return true;
}

/* Remove a key and return its value, a new reference. NULL, without an
 * exception when there is none; with one and `*unreadable` when the value
 * was removed, but does not decode. */
static PyObject *
take_value(struct cache_object *self, PyObject *key, bool *unreadable)
{
    *unreadable = false;
    struct take_op t = {.remove = {.removal = {.mark = remove_marks(self)}}};
    if (op_set_key(self, key, &t.remove.op.key) < 0 ||
        op_begin(self, &t.remove.op) < 0) {
        return NULL;
    }
    PyObject *bytes = take_bytes(self, &t);
    if (bytes == NULL || t.meta.type == VALUE_NOT_FOUND) {
        Py_XDECREF(bytes);
        return NULL;
    }
    PyObject *value =
        read_decode(self, &t.remove.op.key, &t.meta, Py_NewRef(bytes));
    if (value == NULL) {
        *unreadable = give_up(self, &t, key, bytes);
    }
    Py_DECREF(bytes);
    if (value != NULL && remove_finish(self, key, t.remove.due) < 0) {
        Py_CLEAR(value);
    }
    return value;
}

METHOD_DOC(cache_get_and_remove_doc,
"get_and_remove($self, /, key, default=None)\n\
--\n\
\n\
Remove a key and return its value, in one step.\n\
\n\
Calls ``delete_cb`` as ``remove`` does, and no ``read_cb``. A value that\n\
cannot be read any more is removed and logged: `default`, and ``True``.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: Returned when there is no value.\n\
\n\
Returns:\n\
    A named tuple ``(value, removed)``.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.");

PyObject *
cache_get_and_remove(struct cache_object *self, PyObject *const *values,
                     Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key", "default", NULL};
    static const struct args_spec spec = {"get_and_remove", list, 1, 2};
    PyObject *out[] = {NULL, NULL};
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    bool removed;
    PyObject *value = take_value(self, out[0], &removed);
    if (removed) {
        PyErr_Clear();
    }
    else if (value == NULL && PyErr_Occurred()) {
        return NULL;
    }
    removed |= value != NULL;
    if (value == NULL) {
        value = Py_NewRef(out[1] != NULL ? out[1] : Py_None);
    }
    return PyObject_CallFunction(self->state->remove_result, "NO", value,
                                 removed ? Py_True : Py_False);
}

METHOD_DOC(cache_pop_doc,
"pop($self, /, key, default=...)\n\
--\n\
\n\
Remove a key and return its value, in one step; no ``read_cb``.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: If given, returned when there is no value that can be read.\n\
\n\
Returns:\n\
    The value, or `default`.\n\
\n\
Raises:\n\
    KeyError: There is no value and no `default`.\n\
    Exception: As in ``get``; the value is removed all the same.");

PyObject *
cache_pop(struct cache_object *self, PyObject *const *values, Py_ssize_t count,
          PyObject *names)
{
    static const char *const list[] = {"key", "default", NULL};
    static const struct args_spec spec = {"pop", list, 1, 2};
    PyObject *out[] = {NULL, NULL};
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    bool unreadable;
    PyObject *value = take_value(self, out[0], &unreadable);
    if (unreadable && out[1] != NULL) {
        PyErr_Clear();
    }
    if (value != NULL || PyErr_Occurred()) {
        return value;
    }
    if (out[1] == NULL) {
        PyErr_SetObject(PyExc_KeyError, out[0]);
        return NULL;
    }
    return Py_NewRef(out[1]);
}
