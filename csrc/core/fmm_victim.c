#include "fmm_victim.h"

#include "fmm_mutant.h"
#include "fmm_owner.h"

#define UNWANTED UINT64_C(0)
#define KEPT UINT64_MAX
#define LATE (UINT64_C(1) << 33) /* later than any credit */

/* Expired, or a part of a value that is gone. */
static bool
is_unwanted(const struct fmm_work *work, const struct fmm_entry *entry)
{
    return fmm_entry_expired(entry, work->now_ms) ||
           (FMM_UNLIKELY(fmm_owner_is_part(entry)) &&
            !fmm_owner_lives(work->page, entry));
}

/* The lower, the earlier it goes: by credit, then by the last access. */
static uint64_t
rank_of(const struct fmm_work *work, const struct fmm_found *found)
{
    const fmm_word32 *hint = &work->page->index.hints[found->slot];
    uint64_t rank = atomic_load_explicit(hint, memory_order_relaxed);
    if ((!FMM_MUTANT_IS(leases_unwanted) &&
         fmm_entry_leased(&found->entry, work->now_ms)) ||
        fmm_evict_is_own(work, &found->entry)) {
        return KEPT;
    }
    if (found->word & FMM_SLOT_DIRTY) {
        return rank | LATE;
    }
    return is_unwanted(work, &found->entry) ? UNWANTED : rank + 1;
}

/* Who was passed over has had a turn without being asked for: it loses what
 * the victim had left, as in GreedyDual, and something in any case. */
static void
age_others(const struct fmm_index *index, const struct fmm_candidates *c,
           uint32_t slot)
{
    uint32_t turn = (uint32_t)fmm_max(1, fmm_hint_credit(&index->hints[slot]));
    for (uint32_t i = 0; i < FMM_CANDIDATES; i++) {
        uint32_t other = fmm_index_slot(c, i);
        if (other != slot && fmm_hint_credit(&index->hints[other]) != 0) {
            fmm_hint_pay(&index->hints[other], turn);
        }
    }
}

static enum fmm_status
let_go(const struct fmm_work *work, const struct fmm_found *victim,
       bool unwanted)
{
    if (victim->word & FMM_SLOT_DIRTY) {
        return fmm_evict_hand_out(work->page, victim, work->ticket);
    }
    if (unwanted) {
        fmm_evict_expired(work->page, victim);
        return FMM_OK;
    }
    fmm_evict_slot(work->page, victim);
    fmm_evict_value_of(work, &victim->entry);
    return FMM_OK;
}

FMM_COLD enum fmm_status
fmm_victim_choose(const struct fmm_work *work, uint64_t hash,
                  struct fmm_found *victim_out)
{
    const struct fmm_page *page = work->page;
    uint64_t least = KEPT;
    struct fmm_candidates c;
    struct fmm_found found;
    fmm_index_candidates(page->index.buckets, hash, &c);
    for (uint32_t i = 0; i < FMM_CANDIDATES; i++) {
        fmm_page_fetch_slot(page, fmm_index_slot(&c, i));
    }
    for (uint32_t i = 0; i < FMM_CANDIDATES; i++) {
        uint32_t slot = fmm_index_slot(&c, i);
        if (!fmm_page_load_slot(page, slot, &found)) {
            victim_out->slot = slot;
            return FMM_MISS;
        }
        uint64_t rank = rank_of(work, &found);
        if (rank < least) {
            least = rank;
            *victim_out = found;
        }
    }
    if (least == KEPT) {
        return FMM_NO_ROOM;
    }
    if (least != UNWANTED) {
        age_others(&page->index, &c, victim_out->slot);
    }
    return let_go(work, victim_out, least == UNWANTED);
}
