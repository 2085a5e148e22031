#include "fmm_verify.h"

#include <inttypes.h>
#include <stdio.h>

#include "fmm_hash.h"

static void
say(struct fmm_page_report *report, const char *what, uint64_t where)
{
    if (report->text[0] == '\0') {
        snprintf(report->text, sizeof(report->text), "%s at %" PRIu64, what,
                 where);
    }
}

/* Follow the chain of entries from tail to head. The loop ends: each step
 * is at least 8 bytes of at most one ring's size. */
static bool
walk_ring(const struct fmm_ring *ring, struct fmm_page_report *report)
{
    uint64_t left = fmm_ring_used(ring);
    uint64_t at = ring->tail;
    struct fmm_entry entry;
    while (left > 0) {
        uint64_t offset = fmm_ring_offset(ring, at);
        if (!fmm_entry_load_any(ring->base, ring->size, offset, &entry) ||
            entry.total > left) {
            say(report, "broken chain of entries", offset);
            return false;
        }
        at = fmm_ring_add(ring, at, entry.total);
        left -= entry.total;
    }
    return true;
}

static bool
slot_is_sound(const struct fmm_page *page, uint32_t slot,
              struct fmm_found *found)
{
    if (!fmm_page_load_slot(page, slot, found) ||
        !fmm_page_is_candidate(page, found)) {
        return false;
    }
    const struct fmm_ring *ring = &page->ring[found->ring];
    uint64_t start = fmm_page_position(page, found);
    return start < ring->head &&
           found->entry.total <= fmm_ring_distance(ring, start, ring->head);
}

/* Fold one slot into the report. */
static void
check_slot(const struct fmm_page *page, uint32_t slot,
           struct fmm_page_report *report)
{
    struct fmm_found found;
    if (fmm_index_word(&page->index, slot) == 0) {
        return;
    }
    if (!slot_is_sound(page, slot, &found)) {
        say(report, "slot without an entry", slot);
        report->bad_slots++;
        return;
    }
    report->entries++;
    report->internal += fmm_entry_kind(&found.entry) == FMM_KEY_INTERNAL;
    report->live_bytes += found.entry.total;
}

void
fmm_verify_page(struct fmm_page *page, struct fmm_page_report *report)
{
    const struct fmm_control *control = page->control;
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    *report = (struct fmm_page_report){0};
    for (uint32_t slot = 0; slot < slots; slot++) {
        report->used_slots += fmm_index_word(&page->index, slot) != 0 ? 1 : 0;
    }
    if (!fmm_page_settle(page)) {
        say(report, "head and tail disagree in page", page->number);
        report->bad_rings = true;
        return;
    }
    report->bad_rings = !walk_ring(&page->ring[FMM_RING_S], report) ||
                        !walk_ring(&page->ring[FMM_RING_M], report);
    if (report->bad_rings) {
        return;
    }
    for (uint32_t slot = 0; slot < slots; slot++) {
        fmm_page_fetch_ahead(page, slot);
        check_slot(page, slot, report);
    }
    uint64_t used = fmm_ring_used(&page->ring[FMM_RING_S]) +
                    fmm_ring_used(&page->ring[FMM_RING_M]);
    report->dead_bytes = used - fmm_min(report->live_bytes, used);
    if (report->live_bytes > used) {
        say(report, "slots share entries, bytes", report->live_bytes);
        report->bad_rings = true;
    }
    report->miscounted = control->entries != report->entries ||
                         control->internal != report->internal ||
                         fmm_page_live(page) != report->live_bytes;
}

static void
clear_bad_slots(const struct fmm_page *page)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    struct fmm_found found;
    bool noted = false;
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (fmm_index_word(&page->index, slot) != 0 &&
            !slot_is_sound(page, slot, &found)) {
            fmm_page_clear_bad_slot(page, slot, &noted);
        }
    }
}

bool
fmm_verify_repair(struct fmm_page *page, struct fmm_page_report *report)
{
    fmm_verify_page(page, report);
    if (report->bad_rings) {
        fmm_count_add(&page->control->repaired, 1);
        fmm_page_reset(page);
        return true;
    }
    if (report->bad_slots) {
        clear_bad_slots(page);
    }
    fmm_page_recount(page);
    return false;
}
