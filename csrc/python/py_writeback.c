#include "py_writeback.h"

#include "py_args.h"
#include "py_error.h"
#include "py_generation.h"
#include "py_read.h"

#define HAND_OUTS_MAX 1000 /* of one call that waits for room */
/* A call gives up after three entries that write_cb did not take, or eight that
 * others were writing. */
#define FAILED_MAX 24
#define FAILED_COUNTS 8
#define BUSY_COUNTS 3

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
    /* Another may do as well as one that somebody else is writing: that one is
     * waited for last, and not with a page held, which may be needed for it. */
    bool last = progress->failed + BUSY_COUNTS >= FAILED_MAX;
    const struct turn_wish how = {
        .wait_ms = section != NULL || !last ? 0 : tell_patience(self)};
    if (progress->failed >= FAILED_MAX ||
        ++progress->handed_out > HAND_OUTS_MAX) {
        return 0;
    }
    int written = tell_entry(self, handout, section, &how);
    if (written != TELL_DONE) {
        progress->failed += written == TELL_BUSY ? BUSY_COUNTS : FAILED_COUNTS;
    }
    return written < 0 ? -1 : 1;
}

/* writeback_call() by one of the ways to make a call. */
static inline int
call_by(parts_caller call, struct cache_object *self, struct op *op,
        op_run run, struct fmm_ticket *ticket)
{
    struct progress progress = {0, 0};
    int status = call(self, op, run, ticket);
    while (FMM_UNLIKELY(status == FMM_DIRTY)) {
        struct handout handout = {*ticket, op->key.hashed_by};
        int again = make_room(self->root, &handout, NULL, &progress);
        if (again <= 0) {
            return again < 0 ? -1 : FMM_NO_ROOM;
        }
        status = call(self, op, run, ticket);
    }
    if (FMM_UNLIKELY(self->parent != NULL) && status == FMM_OK) {
        generation_note(self, op);
    }
    return status;
}

int
writeback_call(struct cache_object *self, struct op *op, op_run run,
               struct fmm_ticket *ticket)
{
    return call_by(parts_call, self, op, run, ticket);
}

FMM_FLATTEN static enum fmm_status
run_store(struct fmm_cache *cache, struct op *op)
{
    struct store_op *s = (struct store_op *)op;
    op_hash(cache, op);
    return fmm_set(cache, &op->call, &op->key, s->value, &s->store,
                   &s->ticket);
}

/* Parts first, and then what names them. That is clean: parts are not held
 * back from eviction. */
static int
store_parts(struct cache_object *self, struct store_op *store, op_run run)
{
    struct parts_job large;
    parts_init(&large, &store->op, store->value, store->store.expire_at);
    bool takes_long = store->value->len >= OP_LONG_SIZE;
    int status = call_by(takes_long ? parts_call_long : parts_call, self,
                         &large.op, parts_run, &large.ticket);
    if (status == FMM_OK) {
        store->value = &large.head;
        store->store.dirty = false;
        status = writeback_call(self, &store->op, run, &store->ticket);
        store->value = large.split.value;
    }
    parts_finish(self, &large, status == FMM_OK);
    return status;
}

static struct told
told_of(const struct store_op *store)
{
    return (struct told){.key = store->op.key,
                         .object = store->key,
                         .value = store->object,
                         .expire_at = store->store.expire_at};
}

/* Whether it is a changed value that write_cb has to be told of at once, for
 * it found no room as a dirty entry. */
static bool
is_told(const struct cache_object *self, const struct store_op *store)
{
    return store->store.dirty && store->object != NULL &&
           self->write_cb != NULL;
}

/* Whether it goes into parts. */
static bool
is_large(const struct cache_object *self, const struct store_op *store)
{
    const struct mapping *map = self->root->map;
    return map != NULL &&
           fmm_parts_needed(map->cache, &store->op.key, store->value->len);
}

/* With the right, older versions being written. */
static int
store_by_right(struct cache_object *self, struct store_op *store, op_run run,
               struct turn *turn)
{
    struct told told = told_of(store);
    /* What the store depends on may be another by now: a value, a modseq, a
     * lease. It cannot succeed as it is, unless there is room by now. */
    int status = writeback_call(self, &store->op, run, &store->ticket);
    if (status != FMM_NO_ROOM) {
        return status;
    }
    int outcome = tell_value(self, &told, NULL, turn);
    if (outcome != TELL_DONE) {
        return outcome < 0 ? -1 : FMM_NO_ROOM;
    }
    if (is_large(self, store)) {
        status = store_parts(self, store, run);
    }
    return status == FMM_NO_ROOM && tell_forget(self, &told.key) < 0 ? -1
                                                                     : status;
}

static int
store_large_once(struct cache_object *self, struct store_op *store, op_run run)
{
    struct told told = told_of(store);
    struct turn *turn;
    if (!is_told(self, store)) {
        return is_large(self, store) ? store_parts(self, store, run)
                                     : FMM_NO_ROOM;
    }
    int outcome = tell_begin(self, &told, NULL, &turn);
    if (outcome < 0) {
        return -1;
    }
    int status = outcome == TELL_DONE
                     ? store_by_right(self, store, run, turn)
                     : FMM_NO_ROOM; /* a newer one must not come first */
    return tell_after(self, &told, NULL, turn) < 0 ? -1 : status;
}

/* Whether another file than that which had no room is open now. */
static bool
has_moved(const struct cache_object *self, uint64_t file)
{
    const struct mapping *map = self->root->map;
    return map != NULL && fmm_serial(map->cache) != file;
}

/* What was too large for an entry, or found no room. In another file all begins
 * again: what is large there may be another size, and parts stay where they are. */
FMM_NOINLINE static int
store_large(struct cache_object *self, struct store_op *store, op_run run)
{
    int status = FMM_NO_ROOM;
    while (status == FMM_NO_ROOM) {
        uint64_t file = store->op.key.hashed_by;
        status = store_large_once(self, store, run);
        if (status != FMM_NO_ROOM || !has_moved(self, file)) {
            break;
        }
        status = writeback_call(self, &store->op, run, &store->ticket);
    }
    return status;
}

int
writeback_store_by(struct cache_object *self, struct store_op *store,
                   op_run run)
{
    int status = writeback_call(self, &store->op, run, &store->ticket);
    return FMM_LIKELY(status != FMM_NO_ROOM) ? status
                                             : store_large(self, store, run);
}

int
writeback_store(struct cache_object *self, struct store_op *store)
{
    int status = writeback_call(self, &store->op, run_store, &store->ticket);
    return FMM_LIKELY(status != FMM_NO_ROOM)
               ? status
               : store_large(self, store, run_store);
}

/* ------------------------------------------------ into a page that is held */

/* The same as writeback_call() for a call of the page that is held. */
static int
call_held(struct section *section, held_run run, void *what,
          struct fmm_ticket *ticket)
{
    struct progress progress = {0, 0};
    for (;;) {
        if (section_require(section) < 0) { /* write_cb may have forked */
            return -1;
        }
        enum fmm_status status = parts_call_held(section, run, what, ticket);
        if (op_refuse_damaged(section->cache, section->map) < 0) {
            return -1;
        }
        if (status != FMM_DIRTY) {
            return status < 0 ? error_raise(section->cache->state, status,
                                            section->cache->path)
                              : (int)status;
        }
        struct handout handout = {*ticket, fmm_serial(section->map->cache)};
        int again = make_room(section->cache, &handout, section, &progress);
        if (again <= 0) {
            return again < 0 ? -1 : FMM_NO_ROOM;
        }
    }
}

static enum fmm_status
set_held(const struct fmm_guard *guard, void *what)
{
    struct store_op *s = what;
    return fmm_set_locked(guard, &s->op.call, &s->op.key, s->value, &s->store,
                          &s->ticket);
}

static int
store_held(struct section *section, struct store_op *store)
{
    return call_held(section, set_held, store, &store->ticket);
}

struct remove_held {
    const struct op *op;
    const struct fmm_removal *removal;
    enum fmm_due *due;
    struct fmm_ticket ticket;
};

static enum fmm_status
remove_held(const struct fmm_guard *guard, void *what)
{
    struct remove_held *r = what;
    return fmm_remove_locked(guard, &r->op->call, &r->op->key, r->removal,
                             r->due, &r->ticket);
}

int
writeback_remove_held(struct section *section, const struct op *op,
                      const struct fmm_removal *removal, enum fmm_due *due_out)
{
    struct remove_held r = {.op = op, .removal = removal, .due = due_out};
    int status = call_held(section, remove_held, &r, &r.ticket);
    if (status == FMM_NO_ROOM) { /* for the mark, where nothing is */
        *due_out = FMM_DUE_DELETION;
    }
    return status;
}

static int
store_parts_held(struct section *section, struct store_op *store)
{
    struct parts_job large;
    parts_init(&large, &store->op, store->value, store->store.expire_at);
    int status = parts_run_held(section, &large);
    if (status == FMM_OK) {
        store->value = &large.head;
        store->store.dirty = false;
        status = store_held(section, store);
        store->value = large.split.value;
    }
    parts_finish(section->cache, &large, status == FMM_OK);
    return status;
}

/* The page is held: what the store depends on stays as it is. */
static int
store_held_by_right(struct section *section, struct store_op *store,
                    struct turn *turn)
{
    const struct fmm_removal clean = {.keep_dirty = true};
    struct told told = told_of(store);
    enum fmm_due due;
    int status = FMM_NO_ROOM;
    int outcome = tell_value(section->cache, &told, section, turn);
    if (outcome != TELL_DONE) {
        return outcome < 0 ? -1 : FMM_NO_ROOM;
    }
    if (is_large(section->cache, store)) {
        status = store_parts_held(section, store);
    }
    if (status == FMM_NO_ROOM &&
        writeback_remove_held(section, &store->op, &clean, &due) < 0) {
        return -1;
    }
    return status;
}

static int
store_large_held(struct section *section, struct store_op *store)
{
    struct cache_object *self = section->cache;
    struct told told = told_of(store);
    struct turn *turn;
    if (!is_told(self, store)) {
        return is_large(self, store) ? store_parts_held(section, store)
                                     : FMM_NO_ROOM;
    }
    int outcome = tell_begin(self, &told, section, &turn);
    if (outcome < 0) {
        return -1;
    }
    int status = outcome == TELL_DONE
                     ? store_held_by_right(section, store, turn)
                     : FMM_NO_ROOM;
    return tell_after(self, &told, section, turn) < 0 ? -1 : status;
}

int
writeback_store_held(struct section *section, struct store_op *store)
{
    int status = store_held(section, store);
    return FMM_LIKELY(status != FMM_NO_ROOM)
               ? status
               : store_large_held(section, store);
}
