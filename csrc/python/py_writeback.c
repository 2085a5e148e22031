#include "py_writeback.h"

#include "py_args.h"
#include "py_callback.h"
#include "py_error.h"
#include "py_read.h"

#define READ_SIZE 1024
#define HAND_OUTS_MAX 1000 /* of one call that waits for room */

/* --------------------------------------------------------------- one entry */

struct ticket_op {
    struct op op;
    struct fmm_ticket *ticket;
    void *buffer;
    size_t capacity;
    struct fmm_meta meta;
};

static enum fmm_status
run_read(struct fmm_cache *cache, struct op *op)
{
    struct ticket_op *t = (struct ticket_op *)op;
    return fmm_dirty_read(cache, &op->call, t->ticket, t->buffer, t->capacity,
                          &t->meta);
}

static enum fmm_status
run_done(struct fmm_cache *cache, struct op *op)
{
    return fmm_dirty_done(cache, &op->call, ((struct ticket_op *)op)->ticket);
}

static int
read_ticket(struct cache_object *self, struct ticket_op *t,
            struct section *section)
{
    if (section != NULL) {
        return (int)fmm_dirty_read_locked(&section->guard, t->ticket,
                                          t->buffer, t->capacity, &t->meta);
    }
    return op_call(self, &t->op, run_read);
}

/* Key and value in a bytes object; NULL without an exception when the entry
 * is not to be written back any more. */
static PyObject *
read_dirty(struct cache_object *self, struct ticket_op *t,
           struct section *section)
{
    t->capacity = READ_SIZE;
    for (;;) {
        PyObject *bytes =
            PyBytes_FromStringAndSize(NULL, (Py_ssize_t)t->capacity);
        if (bytes == NULL) {
            return NULL;
        }
        t->buffer = PyBytes_AS_STRING(bytes);
        int status = read_ticket(self, t, section);
        if (status == FMM_OK) {
            return bytes;
        }
        Py_DECREF(bytes);
        if (status != FMM_TOO_SMALL) {
            return NULL;
        }
        t->capacity = t->meta.key_len + t->meta.value_len;
    }
}

/* Hand key and value to write_cb. A value that cannot be read any more is a
 * failure like any other. */
static int
write_dirty(struct cache_object *self, const struct fmm_meta *meta,
            const char *data)
{
    PyObject *key = key_to_object(data, meta->key_len, meta->key_kind);
    if (key == NULL) {
        return -1;
    }
    PyObject *value = value_decode(self, meta, data + meta->key_len);
    int written = value != NULL
                      ? callback_write(self, key, value, meta->expire_at)
                      : callback_log(self, "write_cb", key);
    Py_XDECREF(value);
    Py_DECREF(key);
    return written;
}

static int
mark_done(struct cache_object *self, struct ticket_op *t,
          struct section *section)
{
    if (section == NULL) {
        return op_call(self, &t->op, run_done) < 0 ? -1 : 1;
    }
    if (section_holds(section)) { /* no fork of write_cb's making */
        fmm_dirty_done_locked(&section->guard, t->ticket);
    }
    return 1;
}

/* Nobody here can write it back. */
static int
refuse_orphan(struct cache_object *self)
{
    if (self->told_orphan) {
        return 0;
    }
    self->told_orphan = true;
    PyObject *done = PyObject_CallOneArg(self->state->log_orphan, self->path);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

int
writeback_entry(struct cache_object *self, struct fmm_ticket *ticket,
                struct section *section)
{
    struct ticket_op t = {.ticket = ticket};
    if (self->write_cb == NULL) {
        return refuse_orphan(self);
    }
    t.op.key.page = ticket->page;
    if (section == NULL && op_begin(self, &t.op) < 0) {
        return -1;
    }
    PyObject *bytes = read_dirty(self, &t, section);
    if (bytes == NULL) {
        return PyErr_Occurred() ? -1 : 1;
    }
    int written = write_dirty(self, &t.meta, PyBytes_AS_STRING(bytes));
    Py_DECREF(bytes);
    return written > 0 ? mark_done(self, &t, section) : written;
}

struct find_op {
    struct op op;
    struct fmm_ticket ticket;
};

static enum fmm_status
run_find(struct fmm_cache *cache, struct op *op)
{
    struct fmm_guard guard;
    op_hash(cache, op);
    enum fmm_status status =
        fmm_guard_take(cache, &op->call, op->key.page, &guard);
    if (status == FMM_OK) {
        status = fmm_dirty_find_locked(&guard, &op->call, &op->key,
                                       &((struct find_op *)op)->ticket);
        fmm_guard_release(&guard);
    }
    return status;
}

int
writeback_expired(struct cache_object *self, PyObject *key)
{
    struct find_op find;
    if (self->write_cb == NULL || !self->write_back) {
        return 1;
    }
    if (op_set_key(self, key, &find.op.key) < 0 ||
        op_begin(self, &find.op) < 0) {
        return -1;
    }
    int status = op_call(self, &find.op, run_find);
    if (status != FMM_OK) {
        return status == FMM_MISS ? 1 : -1;
    }
    return writeback_entry(self, &find.ticket, NULL);
}

/* -------------------------------------------------- stores that need room */

/* How a call that waits for room goes on. */
struct progress {
    int handed_out;
    int failed;
};

/* After FMM_DIRTY: hand the entry out. Returns 1 to call again, 0 to give
 * up, or -1 with an exception. */
static int
make_room(struct cache_object *self, struct fmm_ticket *ticket,
          struct section *section, struct progress *progress)
{
    if (progress->failed > 0 || ++progress->handed_out > HAND_OUTS_MAX) {
        return 0;
    }
    int written = writeback_entry(self, ticket, section);
    if (written == 0) {
        progress->failed++;
    }
    return written < 0 ? -1 : 1;
}

int
writeback_call(struct cache_object *self, struct op *op, op_run run,
               struct fmm_ticket *ticket)
{
    struct progress progress = {0, 0};
    ticket->displaced.length = 0;
    int status = op_call(self, op, run);
    while (UNLIKELY(status == FMM_DIRTY)) {
        int again = make_room(self->root, ticket, NULL, &progress);
        if (again <= 0) {
            return again < 0 ? -1 : FMM_NO_ROOM;
        }
        status = op_call(self, op, run);
    }
    if (UNLIKELY(ticket->displaced.length != 0)) {
        large_drop(self, &ticket->displaced);
    }
    return status;
}

FLATTEN static enum fmm_status
run_store(struct fmm_cache *cache, struct op *op)
{
    struct store_op *s = (struct store_op *)op;
    op_hash(cache, op);
    return fmm_set(cache, &op->call, &op->key, s->value, &s->store,
                   &s->ticket);
}

/* What was too large for an entry: its parts first, and then what names
 * them. */
NOINLINE static int
store_large(struct cache_object *self, struct store_op *store, op_run run)
{
    struct large large;
    large_init(&large, &store->op, store->value, store->store.expire_at);
    int status = writeback_call(self, &large.op, large_run, &large.ticket);
    if (status == FMM_OK) {
        store->value = &large.head;
        store->store.dirty = false;
        status = writeback_call(self, &store->op, run, &store->ticket);
        store->value = large.split.value;
    }
    if (status != FMM_OK) {
        large_drop(self, &large.split.parts);
    }
    return status;
}

int
writeback_store_by(struct cache_object *self, struct store_op *store,
                   op_run run)
{
    int status = writeback_call(self, &store->op, run, &store->ticket);
    return LIKELY(status != FMM_NO_ROOM) ? status
                                         : store_large(self, store, run);
}

int
writeback_store(struct cache_object *self, struct store_op *store)
{
    int status = writeback_call(self, &store->op, run_store, &store->ticket);
    return LIKELY(status != FMM_NO_ROOM) ? status
                                         : store_large(self, store, run_store);
}

/* ------------------------------------------------ into a page that is held */

static int
store_held(struct section *section, struct store_op *store)
{
    struct progress progress = {0, 0};
    store->ticket.displaced.length = 0;
    for (;;) {
        enum fmm_status status =
            fmm_set_locked(&section->guard, &store->op.call, &store->op.key,
                           store->value, &store->store, &store->ticket);
        if (op_refuse_damaged(section->cache, section->map) < 0) {
            return -1;
        }
        if (status != FMM_DIRTY) {
            section->displaced = store->ticket.displaced;
            return status < 0 ? error_raise(section->cache->state, status,
                                            section->cache->path)
                              : (int)status;
        }
        int again =
            make_room(section->cache, &store->ticket, section, &progress);
        if (again <= 0) {
            return again < 0 ? -1 : FMM_NO_ROOM;
        }
    }
}

static int
store_large_held(struct section *section, struct store_op *store)
{
    struct large large;
    large_init(&large, &store->op, store->value, store->store.expire_at);
    int status = large_run_held(section, &large);
    if (status == FMM_OK) {
        store->value = &large.head;
        store->store.dirty = false;
        status = store_held(section, store);
        store->value = large.split.value;
    }
    if (status != FMM_OK) {
        large_drop(section->cache, &large.split.parts);
    }
    return status;
}

int
writeback_store_held(struct section *section, struct store_op *store)
{
    int status = store_held(section, store);
    return LIKELY(status != FMM_NO_ROOM) ? status
                                         : store_large_held(section, store);
}
