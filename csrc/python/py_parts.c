#include "py_parts.h"

#include <time.h>

#include "py_begin.h"
#include "py_error.h"
#include "py_sections.h"

#define DROP_WAIT_MS 1    /* for a page, with none held */
#define HELD_WAIT_MS 2000 /* for pages, with another one held */
#define TRY_WAIT_MS 8     /* of these for one page, before all make way */
#define WAY_NS 16000000u  /* and as long at most, until the next try */

/* Another may hold it who waits for the page that is held here. */
static int
raise_busy(const struct cache_object *self, const struct parts_job *job)
{
    PyObject *name = key_to_object(job->key.data, job->key.len, job->key.kind);
    if (name != NULL) {
        PyErr_Format(self->state->lock_timeout,
                     "%U: a part of the value of key %.200R goes to page %u, "
                     "which another thread or process holds: nothing was "
                     "stored; try again, or set it outside of the block",
                     self->path, name, (unsigned)job->split.page);
        Py_DECREF(name);
    }
    return -1;
}

void
parts_init(struct parts_job *large, const struct op *op,
           const struct fmm_value *value, uint64_t expire_at)
{
    large->op = *op;
    large->key = op->key;
    large->split =
        (struct fmm_parts_job){.value = value, .expire_at = expire_at};
    large->head = (struct fmm_value){.data = &large->split.parts,
                                     .len = sizeof(large->split.parts),
                                     .type = value->type,
                                     .compressed = value->compressed,
                                     .split = true};
}

enum fmm_status
parts_run(struct fmm_cache *cache, struct op *op)
{
    struct parts_job *large = (struct parts_job *)op;
    struct fmm_key *key = &large->key;
    fmm_key_hash(cache, key);
    op->key.hashed_by = fmm_serial(cache);
    large->head.file = fmm_serial(cache);
    enum fmm_status status =
        fmm_parts_store(cache, &op->call, key, &large->split, &large->ticket);
    op->key.page = large->split.page; /* who waits waits for that one */
    return status;
}

/* Who waits for a page with one held may be waited for by its holder. So the
 * parts so far go, and others go on for a while, which is no multiple of
 * theirs. */
static void
make_way(struct fmm_cache *cache, struct parts_job *large)
{
    const struct timespec moment = {.tv_nsec =
                                        (long)(fmm_monotonic_ns() % WAY_NS)};
    const struct fmm_call once = {.now_ms = large->op.call.now_ms};
    fmm_parts_finish(cache, &once, &large->split, false);
    large->split.parts.length = 0;
    nanosleep(&moment, NULL);
}

static enum fmm_status
try_again(struct fmm_cache *cache, struct parts_job *large)
{
    uint64_t left = large->split.left;
    large->op.call.wait_ms = TRY_WAIT_MS;
    enum fmm_status status = parts_run(cache, &large->op);
    if (status == FMM_BUSY && large->split.left == left) {
        make_way(cache, large);
    }
    return status;
}

int
parts_run_held(struct section *section, struct parts_job *large)
{
    struct cache_object *self = section->cache;
    struct fmm_cache *cache = section->map->cache;
    uint64_t deadline = fmm_monotonic_ms() + HELD_WAIT_MS;
    large->split.guard = &section->guard;
    large->op.call.wait_ms = 0;
    /* With the GIL: threads that hold a page each do not meet while they copy. */
    enum fmm_status status = parts_run(cache, &large->op);
    while (status == FMM_BUSY) {
        /* Our own page is reached by its guard: then the directory is busy. */
        bool is_page = large->split.page != section->guard.page;
        if (is_page && section_refuse_page(self, large->split.page) < 0) {
            return -1;
        }
        if (fmm_monotonic_ms() >= deadline) {
            return raise_busy(self, large);
        }
        Py_BEGIN_ALLOW_THREADS
        status = try_again(cache, large);
        Py_END_ALLOW_THREADS
    }
    if (status < 0) {
        return error_raise(self->state, status, self->path);
    }
    /* Nobody can be handed what is on a page that is not held. */
    return status == FMM_OK ? FMM_OK : FMM_NO_ROOM;
}

/* ------------------------------------------------------- what was stored */

void
parts_finish(const struct cache_object *self, const struct parts_job *large,
             bool stored)
{
    const struct fmm_call call = {.now_ms = op_now(self)};
    const struct mapping *map = self->root->map;
    if (map != NULL && large->split.parts.length != 0) {
        fmm_parts_finish(map->cache, &call, &large->split, stored);
    }
}

void
parts_drop(const struct cache_object *self, struct fmm_displaced *displaced)
{
    const struct fmm_call call = {.now_ms = op_now(self),
                                  .wait_ms = DROP_WAIT_MS};
    const struct mapping *map = self->root->map;
    if (map != NULL) {
        fmm_displaced_drop(map->cache, &call, NULL, displaced);
    }
}

int
parts_call_long(struct cache_object *self, struct op *op, op_run run,
                struct fmm_ticket *ticket)
{
    ticket->displaced.count = 0;
    int status = op_call_long(self, op, run);
    if (ticket->displaced.count != 0) {
        parts_drop(self, &ticket->displaced);
    }
    return status;
}

/* What is too much is found by the tails of the rings. */
static void
keep_displaced(struct section *section, const struct fmm_displaced *displaced)
{
    struct fmm_displaced *kept = &section->displaced;
    for (uint32_t i = 0;
         i < displaced->count && kept->count < FMM_DISPLACED_MAX; i++) {
        kept->parts[kept->count++] = displaced->parts[i];
    }
}

enum fmm_status
parts_call_held(struct section *section, held_run run, void *what,
                struct fmm_ticket *ticket)
{
    ticket->displaced.count = 0;
    enum fmm_status status = run(&section->guard, what);
    if (FMM_UNLIKELY(ticket->displaced.count != 0)) {
        keep_displaced(section, &ticket->displaced);
    }
    return status;
}
