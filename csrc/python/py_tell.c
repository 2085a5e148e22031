#include "py_tell.h"

#include "py_args.h"
#include "py_attempt.h"
#include "py_begin.h"
#include "py_buffer.h"
#include "py_call.h"
#include "py_callback.h"
#include "py_error.h"
#include "py_parts.h"
#include "py_read.h"

#define READ_SIZE 1024
#define VERSIONS_MAX 16 /* of one key that changes all the time */
#define PATIENCE_MS 5000
#define TELL_AGAIN 3 /* an outcome in between: there is a newer version */

/* --------------------------------------------------------------- one entry */

struct ticket_op {
    struct op op; /* its key is that of the entry, once it was read */
    struct fmm_ticket *ticket;
    uint64_t serial;         /* of the file that the ticket is of */
    struct section *section; /* that its page is held by, or NULL */
    struct turn *turn;       /* the right that it is told by */
    struct buffer buffer;
    struct fmm_meta meta;
};

/* Positions mean something in their own file only: one that took its place
 * meanwhile has none of it. */
static bool
is_of(const struct fmm_cache *cache, const struct ticket_op *t)
{
    return fmm_serial(cache) == t->serial;
}

/* Read the entry; from then on its key is being told. */
static enum fmm_status
read_held(const struct fmm_guard *guard, struct ticket_op *t)
{
    enum fmm_status status = fmm_dirty_read_locked(
        guard, t->ticket, t->buffer.data, t->buffer.capacity, &t->meta);
    if (status == FMM_OK) {
        turn_note(t->turn);
    }
    return status;
}

static enum fmm_status
run_read(struct fmm_cache *cache, struct op *op)
{
    struct ticket_op *t = (struct ticket_op *)op;
    struct fmm_guard guard;
    if (!is_of(cache, t)) {
        return FMM_MISS;
    }
    enum fmm_status status =
        fmm_guard_take(cache, &op->call, t->ticket->page, &guard);
    if (status == FMM_OK) {
        status = read_held(&guard, t);
        fmm_guard_release(&guard);
    }
    return status;
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
    enum fmm_status status = op_guard_take(cache, op, &guard);
    if (status == FMM_OK) {
        status = fmm_dirty_find_locked(&guard, &op->key, ticket);
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
read_ticket(struct cache_object *self, void *what)
{
    struct ticket_op *t = what;
    int status = t->section != NULL ? (int)read_held(&t->section->guard, t)
                                    : op_call(self, &t->op, run_read);
    t->buffer.needed = t->meta.key_len + t->meta.value_len;
    return status;
}

/* Key and value in a bytes object; NULL without an exception when the entry
 * is not to be written back any more. */
static PyObject *
read_dirty(struct cache_object *self, struct ticket_op *t,
           struct section *section)
{
    t->section = section;
    if (buffer_fill(&t->buffer, READ_SIZE, read_ticket, self, t) != FMM_OK) {
        buffer_drop(&t->buffer);
    }
    return buffer_take(&t->buffer);
}

/* Nobody here can write it back. */
static int
refuse_orphan(struct cache_object *self)
{
    if (self->told_orphan) {
        return TELL_FAILED;
    }
    self->told_orphan = true;
    PyObject *done = call_kept_one(self->state->log_orphan, self->path);
    Py_XDECREF(done);
    return done != NULL ? TELL_FAILED : -1;
}

/* A value that cannot be read any more is a failure like any other. */
static int
tell_decoded(struct cache_object *self, const struct fmm_meta *meta,
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
                   ? (callback_delete(self, key) < 0 ? -1 : TELL_DONE)
                   : tell_decoded(self, meta, key, data + meta->key_len);
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

/* A newer version of what was just written; those who changed the key
 * meanwhile may have left that to us. The key's bytes are the caller's. Returns
 * TELL_AGAIN when there is one, TELL_DONE, or -1 with an exception. */
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
    int status = section != NULL ? (int)fmm_dirty_find_locked(
                                       &section->guard, &t->op.key, t->ticket)
                                 : op_call(self, &t->op, run_again);
    return status < 0 ? -1 : status == FMM_OK ? TELL_AGAIN : TELL_DONE;
}

/* Whether the page and the right to write are still ours, after user code. */
static int
require_both(const struct turn *turn, const struct section *section)
{
    return section != NULL && section_require(section) < 0
               ? -1
               : turn_require(turn);
}

/* Write one version. Returns an outcome, or -1 with an exception. */
static int
write_version(struct cache_object *self, struct ticket_op *t,
              struct section *section)
{
    PyObject *bytes = read_dirty(self, t, section);
    if (bytes == NULL) {
        return PyErr_Occurred() ? -1 : TELL_DONE;
    }
    int told = tell_store(self, &t->meta, PyBytes_AS_STRING(bytes));
    turn_leave(t->turn);
    if (told >= 0 && require_both(t->turn, section) < 0) {
        told = -1;
    }
    if (told == TELL_DONE && mark_done(self, t, section) < 0) {
        told = -1;
    }
    if (told == TELL_DONE) {
        told = find_newer(self, t, section, PyBytes_AS_STRING(bytes));
    }
    Py_DECREF(bytes);
    return told;
}

/* Write versions of the key until the newest is written: others who find the
 * right taken leave theirs to us. */
static int
write_newest(struct cache_object *self, struct ticket_op *t,
             struct section *section)
{
    int outcome = TELL_AGAIN;
    if (section == NULL && op_begin(self, &t->op) < 0) {
        return -1;
    }
    for (int i = 0; i < VERSIONS_MAX && outcome == TELL_AGAIN; i++) {
        outcome = write_version(self, t, section);
    }
    return outcome == TELL_AGAIN ? TELL_DONE : outcome;
}

int
tell_patience(const struct cache_object *self)
{
    int64_t timeout_ms = self->lock_timeout_ms;
    return timeout_ms < 0 || timeout_ms > PATIENCE_MS ? PATIENCE_MS
                                                      : (int)timeout_ms;
}

int
tell_entry(struct cache_object *self, struct handout *handout,
           struct section *section, const struct turn_wish *how)
{
    struct ticket_op t = {.ticket = &handout->ticket,
                          .serial = handout->serial};
    struct turn_wish wish = *how;
    struct turn *turn;
    if (self->write_cb == NULL && self->delete_cb == NULL) {
        return refuse_orphan(self);
    }
    t.op.key.page = handout->ticket.page;
    wish.serial = handout->serial;
    wish.hash = handout->ticket.hash;
    wish.held = section != NULL;
    int taken = turn_take(self, &wish, &turn);
    if (taken != TURN_TAKEN) {
        return taken < 0 ? -1 : taken == TURN_BUSY ? TELL_BUSY : TELL_DONE;
    }
    t.turn = turn;
    int outcome = write_newest(self, &t, section);
    turn_release(turn);
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
tell_key(struct cache_object *self, PyObject *key, const struct turn_wish *how,
         bool *gone)
{
    int outcome = TELL_DONE;
    /* Until nothing is dirty: what eviction moves meanwhile is not found by
     * its ticket. */
    for (int i = 0; i < VERSIONS_MAX && outcome == TELL_DONE; i++) {
        struct handout handout;
        int found = find_key(self, key, &handout);
        if (found <= 0) {
            return found < 0 ? -1 : TELL_DONE;
        }
        *gone = handout.ticket.gone;
        outcome = tell_entry(self, &handout, NULL, how);
    }
    return outcome;
}

/* --------------------------------------------------- values told at once */

static int
raise_busy(const struct cache_object *self, const struct fmm_key *key)
{
    PyObject *name = key_to_object(key->data, key->len, key->kind);
    PyObject *text =
        name != NULL
            ? PyUnicode_FromFormat(
                  "%U: another thread or process is telling the store of key "
                  "%.200R, or of one that shares its turn, and did not finish "
                  "in time: try again, or raise lock_timeout",
                  self->path, name)
            : NULL;
    Py_XDECREF(name);
    if (text == NULL || attempt_patience() >= 0) {
        return attempt_raise_busy(self->state, text, self->lock_timeout_ms);
    }
    PyErr_SetObject(self->state->lock_timeout, text);
    Py_DECREF(text);
    return -1;
}

/* Hash the key by the file that has the path now. */
static enum fmm_status
run_hash(struct fmm_cache *cache, struct op *op)
{
    struct fmm_meta ignored;
    op_hash(cache, op);
    op->call.count = FMM_NOT_COUNTED;
    return fmm_exists(cache, &op->call, &op->key, &ignored);
}

/* Take the right for the key of an operation. Returns 0, or -1. */
static int
get_right(struct cache_object *self, struct op *op,
          const struct section *section, struct turn **turn_out)
{
    int taken = TURN_VOID;
    while (taken == TURN_VOID) {
        const struct turn_wish wish = {.serial = op->key.hashed_by,
                                       .hash = op->key.hash,
                                       .wait_ms = section != NULL
                                                      ? tell_patience(self)
                                                      : self->lock_timeout_ms,
                                       .held = section != NULL};
        taken = turn_take(self, &wish, turn_out);
        if (taken == TURN_VOID && op_call(self, op, run_hash) < 0) {
            return -1;
        }
    }
    if (taken == TURN_BUSY) {
        return raise_busy(self, &op->key);
    }
    return taken < 0 ? -1 : 0;
}

/* Find what is dirty of the key, which is on the page that is held, if one is.
 * Returns a status, or -1. */
static int
find_older(struct cache_object *self, struct find_op *find,
           struct section *section)
{
    if (section != NULL) {
        find->op.key.hashed_by = fmm_serial(section->map->cache);
        return (int)fmm_dirty_find_locked(&section->guard, &find->op.key,
                                          &find->ticket);
    }
    return op_begin(self, &find->op) < 0 ? -1
                                         : op_call(self, &find->op, run_find);
}

/* Write what is dirty of the key, until nothing is: an entry that was moved
 * between the search and the reading is not found by its ticket. Returns an
 * outcome, or -1. */
static int
write_older(struct cache_object *self, const struct fmm_key *key,
            struct section *section, struct turn *turn)
{
    struct find_op find = {.op.key = *key};
    int outcome = TELL_DONE, status = FMM_OK;
    for (int i = 0; i < VERSIONS_MAX && outcome == TELL_DONE; i++) {
        status = find_older(self, &find, section);
        if (status != FMM_OK) {
            return status < 0 ? -1 : TELL_DONE;
        }
        struct ticket_op t = {.ticket = &find.ticket,
                              .serial = find.op.key.hashed_by,
                              .turn = turn};
        t.op.key.page = find.ticket.page;
        outcome = write_newest(self, &t, section);
    }
    return outcome;
}

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

int
tell_forget(struct cache_object *self, const struct fmm_key *key)
{
    struct forget_op forget = {.op.key = *key};
    if (op_begin(self, &forget.op) < 0 ||
        parts_call(self, &forget.op, run_forget, &forget.ticket) < 0) {
        return -1;
    }
    return 0;
}

int
tell_begin(struct cache_object *self, const struct told *told,
           struct section *section, struct turn **turn_out)
{
    struct op op = {.key = told->key};
    if (get_right(self, &op, section, turn_out) < 0) {
        return -1;
    }
    int outcome = write_older(self, &told->key, section, *turn_out);
    if (outcome < 0) {
        turn_release(*turn_out);
    }
    return outcome;
}

/* Begin to tell the store of a key without a dirty entry. */
struct begin_op {
    struct op op;
    struct turn *turn; /* NULL: it has it already */
    bool departs;
};

static void
begin_held(const struct fmm_guard *guard, const struct begin_op *b)
{
    if (b->departs) {
        fmm_dirty_depart_locked(guard);
    }
    if (b->turn != NULL) {
        turn_note(b->turn);
    }
}

static enum fmm_status
run_begin(struct fmm_cache *cache, struct op *op)
{
    struct fmm_guard guard;
    enum fmm_status status = op_guard_take(cache, op, &guard);
    if (status == FMM_OK) {
        begin_held(&guard, (const struct begin_op *)op);
        fmm_guard_release(&guard);
    }
    return status;
}

static int
begin_telling(struct cache_object *self, const struct fmm_key *key,
              struct section *section, struct turn *turn, bool departs)
{
    struct begin_op b = {.op.key = *key, .turn = turn, .departs = departs};
    if (section != NULL) {
        begin_held(&section->guard, &b);
        return 0;
    }
    return op_begin(self, &b.op) < 0 || op_call(self, &b.op, run_begin) < 0
               ? -1
               : 0;
}

int
tell_departure(struct cache_object *self, const struct fmm_key *key,
               struct section *section)
{
    return begin_telling(self, key, section, NULL, true);
}

int
tell_value(struct cache_object *self, const struct told *told,
           struct section *section, struct turn *turn)
{
    if (begin_telling(self, &told->key, section, turn, true) < 0) {
        return -1;
    }
    int outcome =
        callback_write(self, told->object, told->value, told->expire_at);
    return outcome >= 0 && require_both(turn, section) < 0 ? -1 : outcome;
}

/* Of two exceptions the newer is raised, and the older is its context. */
static void
put_before(PyObject *error)
{
    if (PyErr_Occurred()) {
        PyObject *newer = error_take();
        PyException_SetContext(newer, error);
        error = newer;
    }
    error_put(error);
}

int
tell_after(struct cache_object *self, const struct told *told,
           struct section *section, struct turn *turn)
{
    PyObject *error = PyErr_Occurred() ? error_take() : NULL;
    turn_leave(turn);
    int outcome = error == NULL || turn_is_ours(turn)
                      ? write_older(self, &told->key, section, turn)
                      : TELL_DONE;
    turn_release(turn);
    if (error != NULL) {
        put_before(error);
        return -1;
    }
    return outcome < 0 ? -1 : 0;
}

int
tell_deletion(struct cache_object *self, PyObject *key)
{
    struct told told = {.object = key};
    struct turn *turn;
    struct op op;
    if (op_set_key(self, key, &op.key) < 0 || op_begin(self, &op) < 0 ||
        op_call(self, &op, run_hash) < 0 ||
        get_right(self, &op, NULL, &turn) < 0) {
        return -1;
    }
    told.key = op.key;
    int outcome = begin_telling(self, &told.key, NULL, turn, false);
    if (outcome == 0) {
        outcome = callback_delete(self, key);
    }
    /* A reader may have asked the store meanwhile. */
    if (outcome == 0 &&
        (turn_require(turn) < 0 || tell_forget(self, &told.key) < 0)) {
        outcome = -1;
    }
    return tell_after(self, &told, NULL, turn) < 0 ? -1 : outcome;
}

static int
tell_and_forget(struct cache_object *self, const struct told *told,
                struct turn *turn)
{
    int outcome = turn != NULL ? tell_value(self, told, NULL, turn)
                               : callback_write(self, told->object,
                                                told->value, told->expire_at);
    return outcome == TELL_DONE ? tell_forget(self, &told->key)
                                : (outcome < 0 ? -1 : 0);
}

int
tell_unstored(struct cache_object *self, const struct told *told)
{
    struct turn *turn;
    if (!self->write_back) {
        return tell_and_forget(self, told, NULL);
    }
    int outcome = tell_begin(self, told, NULL, &turn);
    if (outcome < 0) {
        return -1;
    }
    if (outcome == TELL_DONE) {
        outcome = tell_and_forget(self, told, turn);
    }
    return tell_after(self, told, NULL, turn) < 0 || outcome < 0 ? -1 : 0;
}
