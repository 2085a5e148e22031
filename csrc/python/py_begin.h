/* How an operation begins: by the rules for all of them, and with the scope of
 * the namespace that its key is in. */
#pragma once

#include "py_op.h"
#include "py_generation.h"

/* Start: refuse re-entry, look after the file, tell the time. `key` is the
 * caller's. Returns 0, or -1 with an exception. */
static inline int
op_begin(struct cache_object *self, struct op *op)
{
    struct cache_object *root = self->root;
    uint64_t now_ms = fmm_now_ms();
    if (FMM_UNLIKELY(op_is_slow(root, now_ms)) &&
        op_begin_slow(root, now_ms) < 0) {
        return -1;
    }
    op->call.now_ms = now_ms + (uint64_t)self->state->travel_ms;
    op->call.wait_ms = 0;
    op->call.sighting = NULL;
    op->call.count = self->enable_stats ? FMM_COUNTED_BY_PAGE : FMM_COUNTED;
    op->call.brief = false;
    op->timeout_ms = self->lock_timeout_ms;
    op->pinned = NULL;
    op->pin = false;
    op->quiet = false;
    op->key.scope = 0;
    op->record_hash = 0;
    return FMM_LIKELY(self->parent == NULL) ? 0 : generation_find(self, op);
}
