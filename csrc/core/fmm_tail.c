#include "fmm_tail.h"

/* A part that belongs to no value is dead. */
FMM_COLD static void
load_part(const struct fmm_work *work, struct fmm_tail *tail)
{
    struct fmm_found *found = &tail->found;
    tail->part = fmm_leave_is_wanted_part(work->page, work->own, &found->entry,
                                          work->now_ms);
    if (!tail->part) {
        fmm_page_clear_slot(work->page, found);
        found->slot = FMM_SLOT_NONE;
    }
}

enum fmm_status
fmm_tail_load(const struct fmm_work *work, uint32_t ring_id,
              struct fmm_tail *out)
{
    const struct fmm_page *page = work->page;
    struct fmm_ring *ring = &work->page->ring[ring_id];
    struct fmm_found *found = &out->found;
    if (work->tidying && ring->tail >= work->fresh[ring_id]) {
        return FMM_NO_ROOM;
    }
    found->ring = ring_id;
    found->offset = fmm_ring_offset(ring, ring->tail);
    found->slot = FMM_SLOT_NONE;
    found->word = 0;
    out->ring = ring;
    if (!fmm_entry_load_any(ring->base, ring->size, found->offset,
                            &found->entry) ||
        found->entry.total > fmm_ring_used(ring)) {
        return FMM_ERR_CORRUPT;
    }
    out->length = found->entry.total;
    if ((found->entry.flags & FMM_ENTRY_PADDING) == 0) {
        found->slot = fmm_index_find_place(&page->index, found->entry.hash,
                                           ring_id, found->offset);
    }
    out->part = false;
    if (found->slot != FMM_SLOT_NONE) {
        found->word = fmm_index_word(&page->index, found->slot);
        if (FMM_UNLIKELY(fmm_entry_is_part(&found->entry))) {
            load_part(work, out);
        }
    }
    return FMM_OK;
}
