#include "fmm_hand.h"

#include "fmm_leave.h"

#define STEP_MIN 2u /* buckets with each set */
#define STEP_MAX 32u
#define STEP_SPAN 256u /* bytes that are stored for each */
#define ROOM_SHARE 16u /* less of ring M is little room */

static void
lower(uint64_t *word, uint64_t expire_at)
{
    if (*word == 0 || expire_at < *word) {
        *word = expire_at;
    }
}

void
fmm_hand_note(const struct fmm_page *page, uint64_t expire_at)
{
    if (FMM_UNLIKELY(expire_at != 0)) {
        lower(&page->control->earliest, expire_at);
        lower(&page->control->passed, expire_at);
    }
}

bool
fmm_hand_is_room_short(const struct fmm_page *page)
{
    const struct fmm_ring *ring = &page->ring[FMM_RING_M];
    return fmm_ring_free(ring) < ring->size / ROOM_SHARE ||
           fmm_page_lacks_slots(page);
}

/* True: it was let go. What is to be written back, or leased, stays; values in
 * parts go by the directory. */
static bool
visit(const struct fmm_page *page, uint32_t slot, uint64_t now_ms)
{
    struct fmm_found found;
    if (!fmm_page_load_slot(page, slot, &found) ||
        found.entry.expire_at == 0 ||
        (found.entry.flags & FMM_ENTRY_IN_PARTS) != 0) {
        return false;
    }
    if (!fmm_entry_expired(&found.entry, now_ms)) {
        lower(&page->control->passed, found.entry.expire_at);
        return false;
    }
    if ((found.word & FMM_SLOT_DIRTY) != 0 ||
        fmm_entry_leased(&found.entry, now_ms)) {
        return false;
    }
    fmm_page_clear_slot(page, &found);
    fmm_leave_expired(page, &found);
    return true;
}

static bool
visit_bucket(const struct fmm_page *page, uint32_t bucket, uint64_t now_ms)
{
    uint32_t first = bucket * FMM_BUCKET_SLOTS;
    bool cleared = false;
    for (uint32_t i = 0; i < FMM_BUCKET_SLOTS; i++) {
        cleared |= visit(page, first + i, now_ms);
    }
    return cleared;
}

/* The lap is over: the earliest is what it has passed, or came since. */
static void
end_lap(struct fmm_control *control)
{
    control->earliest = control->passed;
    control->hand = 0;
}

FMM_COLD bool
fmm_hand_move(struct fmm_page *page, uint64_t now_ms, uint64_t length)
{
    struct fmm_control *control = page->control;
    uint64_t bucket = control->hand;
    uint64_t steps = fmm_min(fmm_max(length / STEP_SPAN, STEP_MIN), STEP_MAX);
    bool cleared = false;
    if (!fmm_hand_is_room_short(page)) {
        return false;
    }
    if (bucket == 0) {
        control->passed = 0;
    }
    for (uint64_t i = 0; i < steps; i++, bucket++) {
        if (bucket >= page->index.buckets) {
            end_lap(control);
            return cleared;
        }
        fmm_page_fetch_ahead(page, (uint32_t)bucket * FMM_BUCKET_SLOTS);
        cleared |= visit_bucket(page, (uint32_t)bucket, now_ms);
    }
    control->hand = bucket;
    return cleared;
}
