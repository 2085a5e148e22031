/* The index of a page grows with the number of its entries: into the end of
 * ring M. The caller holds the page. */
#pragma once

#include "fmm_page.h"

#define FMM_GROW_SHARE 8u /* fewer free slots than one in so many are few */

/* Whether slots are few, and the end of ring M is not free. */
static inline bool
fmm_grow_is_waiting(const struct fmm_page *page)
{
    uint64_t slots = (uint64_t)page->index.buckets * FMM_BUCKET_SLOTS;
    return page->control->entries > slots - slots / FMM_GROW_SHARE &&
           !fmm_ring_is_in_one_lap(&page->ring[FMM_RING_M]);
}

/* While it is waiting: whether ring M has to give up what lies at its end, for
 * the entries are small, its tail is near, and the head is not there yet. */
bool fmm_grow_needs_end(const struct fmm_page *page);
/* The same: whether ring M has to go on towards its end, for the index wants to
 * be twice as large: where most entries leave for want of a slot, nothing else moves what
 * was stored when entries were larger. */
bool fmm_grow_needs_turn(const struct fmm_page *page);

/* Let the index have as many slots as entries of the page's typical size would
 * take, and leave room for `length` bytes at the head of ring M. False: it has
 * them, or the end of ring M is not free. Slots that were found before are void
 * when it has grown. */
bool fmm_grow_index(struct fmm_page *page, uint64_t length);
