/* A hand that goes over the slots of a page, and lets go of what has expired.
 *
 * It moves only while the earliest expiry of the page is past and room is
 * short, a few buckets with each set. The times that it goes by are advisory:
 * when they are off after a death, what has expired waits for a tail. The
 * caller holds the page lock. */
#pragma once

#include "fmm_page.h"

/* An entry of the page expires then, ms since 1970; 0: never. */
void fmm_hand_note(const struct fmm_page *page, uint64_t expire_at);
/* Whether there is anything for it to do. */
static inline bool
fmm_hand_is_due(const struct fmm_page *page, uint64_t now_ms)
{
    uint64_t earliest = page->control->earliest;
    return earliest != 0 && earliest <= now_ms;
}
/* Go on by a few buckets, more for `length` of many bytes, which need more
 * room. True: slots were cleared. */
bool fmm_hand_move(struct fmm_page *page, uint64_t now_ms, uint64_t length);
/* Whether a page has few free bytes, or few free slots. */
bool fmm_hand_is_room_short(const struct fmm_page *page);
