#include "py_large.h"

#include "py_begin.h"
#include "py_error.h"
#include "py_sections.h"

#define HELD_WAIT_MS 1000 /* for a page, with another one held */

void
large_init(struct large *large, const struct op *op,
           const struct fmm_value *value, uint64_t expire_at)
{
    large->op = *op;
    large->key = op->key;
    large->split = (struct fmm_split){.value = value, .expire_at = expire_at};
    large->head = (struct fmm_value){.data = &large->split.parts,
                                     .len = sizeof(large->split.parts),
                                     .type = value->type,
                                     .compressed = value->compressed,
                                     .split = true};
}

enum fmm_status
large_run(struct fmm_cache *cache, struct op *op)
{
    struct large *large = (struct large *)op;
    struct fmm_key *key = &large->key;
    fmm_key_hash(cache, key);
    op->key.hashed_by = fmm_serial(cache);
    enum fmm_status status =
        fmm_split_store(cache, &op->call, key, &large->split, &large->ticket);
    op->key.page = large->split.page; /* who waits waits for that one */
    return status;
}

int
large_run_held(struct section *section, struct large *large)
{
    struct cache_object *self = section->cache;
    struct fmm_cache *cache = section->map->cache;
    large->split.guard = &section->guard;
    large->op.call.wait_ms = 0;
    enum fmm_status status = large_run(cache, &large->op);
    while (status == FMM_BUSY) {
        if (section_refuse_page(self, large->split.page) < 0) {
            return -1;
        }
        uint32_t next = large->split.next;
        large->op.call.wait_ms = HELD_WAIT_MS;
        Py_BEGIN_ALLOW_THREADS
        status = large_run(cache, &large->op);
        Py_END_ALLOW_THREADS
        if (status == FMM_BUSY && large->split.next == next) {
            large->op.timeout_ms = HELD_WAIT_MS;
            return op_raise_timeout(self, &large->op);
        }
    }
    if (status < 0) {
        return error_raise(self->state, status, self->path);
    }
    /* Nobody can be handed what is on a page that is not held. */
    return status == FMM_OK ? FMM_OK : FMM_NO_ROOM;
}

/* ------------------------------------------------------- what was stored */

struct touch_op {
    struct op op;
    struct fmm_split split;
};

static enum fmm_status
run_touch(struct fmm_cache *cache, struct op *op)
{
    struct touch_op *t = (struct touch_op *)op;
    enum fmm_status status = fmm_split_touch(cache, &op->call, &t->split);
    op->key.page = t->split.page;
    return status;
}

int
large_touch(struct cache_object *self, const struct fmm_parts *parts,
            uint64_t expire_at)
{
    struct touch_op t = {.split = {.parts = *parts, .expire_at = expire_at}};
    if (op_begin(self, &t.op) < 0) {
        return -1;
    }
    return op_call(self, &t.op, run_touch) < 0 ? -1 : 0;
}

void
large_drop(const struct cache_object *self, const struct fmm_parts *parts)
{
    const struct fmm_call call = {.now_ms = op_now(self)};
    const struct mapping *map = self->root->map;
    if (parts->length != 0 && map != NULL) {
        fmm_split_drop(map->cache, &call, parts);
    }
}

enum fmm_status
large_call_held(struct section *section, held_run run, void *what,
                struct fmm_ticket *ticket)
{
    ticket->displaced.length = 0;
    enum fmm_status status = run(&section->guard, what);
    if (UNLIKELY(ticket->displaced.length != 0)) {
        section->displaced = ticket->displaced;
    }
    return status;
}
