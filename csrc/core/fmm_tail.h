/* The tail of a ring: what is next to leave it, living or not. The caller holds
 * the page lock. */
#pragma once

#include "fmm_leave.h"

/* What one set may do to make room. */
struct fmm_work {
    struct fmm_page *page;
    uint64_t now_ms;
    uint64_t budget;    /* bytes that may still be moved */
    uint64_t ring_left; /* bytes of a ring that may still be looked at */
    uint64_t passed;    /* bytes of parts that stayed in place */
    bool moved;         /* some already */
    uint32_t stays;     /* entries that may still stay in place */
    uint64_t fresh[2];  /* positions: from there on this set moved or stored */
    const void *own;    /* the `id` of the parts that it belongs to; NULL */
    struct fmm_ticket *ticket; /* for FMM_DIRTY */
    bool large;   /* it is for an entry that is too large for ring S */
    bool retired; /* something left its tail: slots may have changed */
    bool placing; /* it is for a part of a value: other parts stay */
    bool filling; /* ring M has room for what is to be moved */
    bool tidying; /* refilling the reserve: force nothing, hand out nothing */
};

struct fmm_tail {
    struct fmm_found found; /* slot is FMM_SLOT_NONE when dead */
    struct fmm_ring *ring;
    uint32_t length;
    bool part; /* of a value that is there, or being stored */
};

/* FMM_OK; FMM_NO_ROOM: it is of this very set, which has just stored it;
 * FMM_ERR_CORRUPT: there is no entry. */
enum fmm_status fmm_tail_load(const struct fmm_work *work, uint32_t ring,
                              struct fmm_tail *out);
/* Whether nobody wants it: padding, dead, expired. What has expired leaves its
 * slot. Inline: a call costs a set that evicts 1 % more. */
static inline bool
fmm_tail_is_waste(const struct fmm_work *work, const struct fmm_tail *tail)
{
    const struct fmm_found *found = &tail->found;
    if (found->slot == FMM_SLOT_NONE) {
        return true;
    }
    if ((found->word & FMM_SLOT_DIRTY) != 0 ||
        !fmm_entry_expired(&found->entry, work->now_ms) ||
        fmm_entry_leased(&found->entry, work->now_ms)) {
        return false;
    }
    fmm_page_clear_slot(work->page, found);
    fmm_leave_expired(work->page, found);
    return true;
}

/* Go past it. What is next there is asked for at once: it was written a lap ago, is long
 * out of the processor's caches, and will be looked at soon. */
static inline void
fmm_tail_pass(const struct fmm_tail *tail)
{
    struct fmm_ring *ring = tail->ring;
    fmm_ring_advance_tail(ring, tail->length);
    __builtin_prefetch(ring->base + fmm_ring_offset(ring, ring->tail));
}
