#include "py_writeback.h"

#include "py_args.h"
#include "py_callback.h"
#include "py_error.h"
#include "py_read.h"

#define READ_SIZE 1024
#define HAND_OUTS_MAX 1000 /* of one call that waits for room */
#define VERSIONS_MAX 16    /* of one key that changes all the time */
#define PATIENCE_MS 5000
#define WRITE_AGAIN 3 /* an outcome in between: there is a newer version */

/* --------------------------------------------------------------- one entry */

struct ticket_op {
    struct op op; /* its key is that of the entry, once it was read */
    struct fmm_ticket *ticket;
    uint64_t serial; /* of the file that the ticket is of */
    void *buffer;
    size_t capacity;
    struct fmm_meta meta;
};

/* Positions mean something in their own file only: one that took its place
 * meanwhile has none of it. */
static bool
is_of(const struct fmm_cache *cache, const struct ticket_op *t)
{
    return fmm_serial(cache) == t->serial;
}

static enum fmm_status
run_read(struct fmm_cache *cache, struct op *op)
{
    struct ticket_op *t = (struct ticket_op *)op;
    return is_of(cache, t) ? fmm_dirty_read(cache, &op->call, t->ticket,
                                            t->buffer, t->capacity, &t->meta)
                           : FMM_MISS;
}

static enum fmm_status
run_done(struct fmm_cache *cache, struct op *op)
{
    struct ticket_op *t = (struct ticket_op *)op;
    return is_of(cache, t) ? fmm_dirty_done(cache, &op->call, t->ticket)
                           : FMM_MISS;
}

static enum fmm_status
find_dirty(struct fmm_cache *cache, struct op *op, struct fmm_ticket *ticket)
{
    struct fmm_guard guard;
    enum fmm_status status =
        fmm_guard_take(cache, &op->call, op->key.page, &guard);
    if (status == FMM_OK) {
        status = fmm_dirty_find_locked(&guard, &op->call, &op->key, ticket);
        fmm_guard_release(&guard);
    }
    return status;
}

/* The version of the key that is dirty now. */
static enum fmm_status
run_again(struct fmm_cache *cache, struct op *op)
{
    struct ticket_op *t = (struct ticket_op *)op;
    return is_of(cache, t) ? find_dirty(cache, op, t->ticket) : FMM_MISS;
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

/* Nobody here can write it back. */
static int
refuse_orphan(struct cache_object *self)
{
    if (self->told_orphan) {
        return WRITE_FAILED;
    }
    self->told_orphan = true;
    PyObject *done = PyObject_CallOneArg(self->state->log_orphan, self->path);
    Py_XDECREF(done);
    return done != NULL ? WRITE_FAILED : -1;
}

/* A value that cannot be read any more is a failure like any other. */
static int
tell_value(struct cache_object *self, const struct fmm_meta *meta,
           PyObject *key, const char *data)
{
    if (self->write_cb == NULL) {
        return refuse_orphan(self);
    }
    PyObject *value = value_decode(self, meta, data);
    int written = value != NULL
                      ? callback_write(self, key, value, meta->expire_at)
                      : callback_log(self, "write_cb", key);
    Py_XDECREF(value);
    return written;
}

/* Hand key and value to write_cb, or the key of a removal to delete_cb. A
 * deletion that failed was logged, and is not tried again. */
static int
tell_store(struct cache_object *self, const struct fmm_meta *meta,
           const char *data)
{
    PyObject *key = key_to_object(data, meta->key_len, meta->key_kind);
    if (key == NULL) {
        return -1;
    }
    int told = meta->tombstone
                   ? (callback_delete(self, key) < 0 ? -1 : WRITE_DONE)
                   : tell_value(self, meta, key, data + meta->key_len);
    Py_DECREF(key);
    return told;
}

/* Mark what was written clean. Returns a status, or -1. */
static int
mark_done(struct cache_object *self, struct ticket_op *t,
          struct section *section)
{
    return section != NULL
               ? (int)fmm_dirty_done_locked(&section->guard, t->ticket)
               : op_call(self, &t->op, run_done);
}

/* It was changed meanwhile: who changed it may have left it to us. Whoever is
 * to look for the key needs its bytes, which the caller keeps. Returns 1 when
 * there is a newer version to write, 0, or -1 with an exception. */
static int
find_newer(struct cache_object *self, struct ticket_op *t,
           struct section *section, const char *bytes)
{
    t->op.key = (struct fmm_key){.data = bytes,
                                 .len = t->meta.key_len,
                                 .hash = t->ticket->hash,
                                 .page = t->ticket->page,
                                 .kind = t->meta.key_kind,
                                 .hashed_by = t->serial};
    if (section != NULL) {
        return fmm_dirty_find_locked(&section->guard, &t->op.call, &t->op.key,
                                     t->ticket) == FMM_OK;
    }
    int status = op_call(self, &t->op, run_again);
    return status < 0 ? -1 : status == FMM_OK;
}

/* Whether the page and the right to write are still ours, after user code. */
static int
require_both(const struct writer *writer, const struct section *section)
{
    return section != NULL && section_require(section) < 0
               ? -1
               : writer_require(writer);
}

/* Write one version. Returns an outcome, or -1 with an exception. */
static int
write_version(struct cache_object *self, struct ticket_op *t,
              struct section *section, const struct writer *writer)
{
    PyObject *bytes = read_dirty(self, t, section);
    if (bytes == NULL) {
        return PyErr_Occurred() ? -1 : WRITE_DONE;
    }
    int told = tell_store(self, &t->meta, PyBytes_AS_STRING(bytes));
    if (told > 0 && require_both(writer, section) < 0) {
        told = -1;
    }
    if (told > 0) {
        int status = mark_done(self, t, section);
        int newer = status == FMM_MISS ? find_newer(self, t, section,
                                                    PyBytes_AS_STRING(bytes))
                                       : status;
        told = newer < 0 ? -1 : newer == 0 ? WRITE_DONE : WRITE_AGAIN;
    }
    Py_DECREF(bytes);
    return told;
}

/* Write versions of the key until the newest is written: others who find the
 * right taken leave theirs to us. */
static int
write_newest(struct cache_object *self, struct ticket_op *t,
             struct section *section, const struct writer *writer)
{
    int outcome = WRITE_AGAIN;
    if (section == NULL && op_begin(self, &t->op) < 0) {
        return -1;
    }
    for (int i = 0; i < VERSIONS_MAX && outcome == WRITE_AGAIN; i++) {
        outcome = write_version(self, t, section, writer);
    }
    return outcome == WRITE_AGAIN ? WRITE_DONE : outcome;
}

int
writeback_patience(const struct cache_object *self)
{
    int64_t timeout_ms = self->lock_timeout_ms;
    return timeout_ms < 0 || timeout_ms > PATIENCE_MS ? PATIENCE_MS
                                                      : (int)timeout_ms;
}

int
writeback_entry(struct cache_object *self, struct handout *handout,
                struct section *section, const struct writer_wish *how)
{
    struct ticket_op t = {.ticket = &handout->ticket,
                          .serial = handout->serial};
    struct writer_wish wish = *how;
    struct writer *writer;
    if (self->write_cb == NULL && self->delete_cb == NULL) {
        return refuse_orphan(self);
    }
    t.op.key.page = handout->ticket.page;
    wish.serial = handout->serial;
    wish.hash = handout->ticket.hash;
    int taken = writer_take(self, &wish, &writer);
    if (taken != WRITER_TAKEN) {
        return taken < 0 ? -1 : taken == WRITER_BUSY ? WRITE_BUSY : WRITE_DONE;
    }
    int outcome = write_newest(self, &t, section, writer);
    writer_release(writer);
    return outcome;
}

/* ----------------------------------------------------------------- one key */

struct find_op {
    struct op op;
    struct fmm_ticket ticket;
};

static enum fmm_status
run_find(struct fmm_cache *cache, struct op *op)
{
    op_hash(cache, op);
    return find_dirty(cache, op, &((struct find_op *)op)->ticket);
}

/* Returns 1 when the key has a dirty entry, 0, or -1 with an exception. */
static int
find_key(struct cache_object *self, PyObject *key, struct handout *out)
{
    struct find_op find;
    if (op_set_key(self, key, &find.op.key) < 0 ||
        op_begin(self, &find.op) < 0) {
        return -1;
    }
    int status = op_call(self, &find.op, run_find);
    *out = (struct handout){find.ticket, find.op.key.hashed_by};
    return status < 0 ? -1 : status == FMM_OK;
}

int
writeback_key(struct cache_object *self, PyObject *key,
              const struct writer_wish *how, bool *gone)
{
    struct handout handout;
    int found = find_key(self, key, &handout);
    if (found <= 0) {
        return found < 0 ? -1 : WRITE_DONE;
    }
    *gone = handout.ticket.gone;
    return writeback_entry(self, &handout, NULL, how);
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
make_room(struct cache_object *self, struct handout *handout,
          struct section *section, struct progress *progress)
{
    /* Whoever writes it may need the page that is held. */
    const struct writer_wish how = {
        .wait_ms = section != NULL ? 0 : writeback_patience(self)};
    if (progress->failed > 0 || ++progress->handed_out > HAND_OUTS_MAX) {
        return 0;
    }
    int written = writeback_entry(self, handout, section, &how);
    if (written != WRITE_DONE) {
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
        struct handout handout = {*ticket, op->key.hashed_by};
        int again = make_room(self->root, &handout, NULL, &progress);
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

/* Values in parts are dirty as others are, but written back at once: parts
 * are not held back from eviction. */
static void
set_head(const struct cache_object *self, struct store_op *store,
         const struct large *large)
{
    store->value = &large->head;
    store->store.dirty = store->store.dirty && self->write_cb != NULL;
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
        set_head(self, store, &large);
        status = writeback_call(self, &store->op, run, &store->ticket);
        store->value = large.split.value;
        store->store.dirty = false;
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
        struct handout handout = {store->ticket,
                                  fmm_serial(section->map->cache)};
        int again = make_room(section->cache, &handout, section, &progress);
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
        set_head(section->cache, store, &large);
        status = store_held(section, store);
        store->value = large.split.value;
        store->store.dirty = false;
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

/* ------------------------------------------- values that found no room */

struct forget_op {
    struct op op;
    struct fmm_ticket ticket;
};

static enum fmm_status
run_forget(struct fmm_cache *cache, struct op *op)
{
    const struct fmm_removal clean = {.keep_dirty = true};
    op_hash(cache, op);
    return fmm_remove(cache, &op->call, &op->key, &clean, NULL,
                      &((struct forget_op *)op)->ticket);
}

/* Drop the value of a key, if it is clean. */
static int
forget_clean(struct cache_object *self, PyObject *key)
{
    struct forget_op forget;
    forget.ticket.displaced.length = 0;
    if (op_set_key(self, key, &forget.op.key) < 0 ||
        op_begin(self, &forget.op) < 0 ||
        op_call(self, &forget.op, run_forget) < 0) {
        return -1;
    }
    large_drop(self, &forget.ticket.displaced);
    return 0;
}

/* An older version that is dirty goes first: nothing then comes after this. */
static int
write_older(struct cache_object *self, PyObject *key,
            const struct writer *writer)
{
    struct handout handout;
    int found = find_key(self, key, &handout);
    struct ticket_op t = {.ticket = &handout.ticket, .serial = handout.serial};
    if (found <= 0) {
        return found < 0 ? -1 : WRITE_DONE;
    }
    t.op.key.page = handout.ticket.page;
    return write_newest(self, &t, NULL, writer);
}

static int
write_in_order(struct cache_object *self, PyObject *key, PyObject *value,
               uint64_t expire_at, const struct writer *writer)
{
    int outcome = write_older(self, key, writer);
    if (outcome == WRITE_DONE) {
        outcome = callback_write(self, key, value, expire_at);
    }
    if (outcome == WRITE_DONE && writer_require(writer) < 0) {
        return -1;
    }
    return outcome == WRITE_DONE && forget_clean(self, key) < 0 ? -1 : outcome;
}

static int
raise_busy(const struct cache_object *self, PyObject *key)
{
    PyErr_Format(self->state->lock_timeout,
                 "%U: another thread or process is telling the store of key "
                 "%.200R, and did not finish in time: try again, or raise "
                 "lock_timeout",
                 self->path, key);
    return -1;
}

/* Hash the key by the file that has the path now. */
static enum fmm_status
run_hash(struct fmm_cache *cache, struct op *op)
{
    struct fmm_meta ignored;
    op_hash(cache, op);
    return fmm_exists(cache, &op->call, &op->key, &ignored);
}

int
writeback_right(struct cache_object *self, PyObject *key,
                struct writer **writer_out)
{
    int taken = WRITER_VOID;
    while (taken == WRITER_VOID) {
        struct op op;
        if (op_set_key(self, key, &op.key) < 0 || op_begin(self, &op) < 0 ||
            op_call(self, &op, run_hash) < 0) {
            return -1;
        }
        const struct writer_wish wish = {.serial = op.key.hashed_by,
                                         .hash = op.key.hash,
                                         .wait_ms = self->lock_timeout_ms};
        taken = writer_take(self, &wish, writer_out);
    }
    if (taken == WRITER_BUSY) {
        return raise_busy(self, key);
    }
    return taken < 0 ? -1 : 0;
}

int
writeback_unfit(struct cache_object *self, PyObject *key, PyObject *value,
                uint64_t expire_at)
{
    struct writer *writer;
    if (writeback_right(self, key, &writer) < 0) {
        return -1;
    }
    int outcome = write_in_order(self, key, value, expire_at, writer);
    writer_release(writer);
    return outcome;
}
