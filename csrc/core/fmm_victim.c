#include "fmm_victim.h"

#include "fmm_hand.h"
#include "fmm_leave.h"

#define LATE (UINT64_C(1) << 32) /* later than any credit */

/* The candidates of one search, and which of them may not go. */
struct search {
    const struct fmm_work *work;
    struct fmm_candidates candidates;
    uint32_t kept;    /* a bit for each */
    bool with_credit; /* one has some */
    bool parts;       /* those of values in parts may go, too */
};

static bool
is_kept(const struct fmm_work *work, const struct fmm_entry *entry)
{
    return fmm_entry_leased(entry, work->now_ms) ||
           fmm_leave_is_own(work->own, entry);
}

/* A value in parts has many slots, and leaves by the directory: small entries
 * go first. */
static bool
is_of_parts(const struct fmm_entry *entry)
{
    return (entry->flags & FMM_ENTRY_IN_PARTS) != 0 ||
           fmm_entry_is_part(entry);
}

/* The access in a hint, less the older it is: as far from that of the first
 * candidate as it is, for the clock goes round. */
static uint32_t
age_rank(const struct search *search, uint32_t hint)
{
    const struct fmm_index *index = &search->work->page->index;
    uint32_t slot = fmm_index_slot(&search->candidates, 0);
    uint32_t first =
        atomic_load_explicit(&index->hints[slot], memory_order_relaxed);
    return (hint - first + (FMM_HINT_ACCESS >> 1)) & FMM_HINT_ACCESS;
}

/* The number of the candidate with the least credit, and of equal ones the
 * oldest access; dirty ones last. FMM_CANDIDATES: all are kept. */
static uint32_t
find_least(struct search *search)
{
    const struct fmm_index *index = &search->work->page->index;
    uint32_t best = FMM_CANDIDATES, all = 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < FMM_CANDIDATES; i++) {
        uint32_t slot = fmm_index_slot(&search->candidates, i);
        uint32_t hint =
            atomic_load_explicit(&index->hints[slot], memory_order_relaxed);
        uint64_t rank = (hint & ~FMM_HINT_ACCESS) | age_rank(search, hint);
        all |= hint;
        if (fmm_index_word(index, slot) & FMM_SLOT_DIRTY) {
            rank |= LATE;
        }
        if (rank < least && (search->kept >> i & 1u) == 0) {
            best = i;
            least = rank;
        }
    }
    search->with_credit = all > FMM_HINT_ACCESS;
    return best;
}

static uint64_t
word_of(const struct search *search, uint32_t candidate)
{
    uint32_t slot = fmm_index_slot(&search->candidates, candidate);
    return fmm_index_word(&search->work->page->index, slot);
}

/* Whether of the candidates in ring S that one was stored last. */
static bool
is_last_stored(const struct search *search, uint32_t candidate)
{
    const struct fmm_ring *ring = &search->work->page->ring[FMM_RING_S];
    uint64_t tail = fmm_ring_offset(ring, ring->tail);
    uint64_t word = word_of(search, candidate);
    uint64_t offset = fmm_slot_offset(word);
    bool last = fmm_slot_ring(word) == FMM_RING_S;
    for (uint32_t i = 0; i < FMM_CANDIDATES && last; i++) {
        uint64_t other = word_of(search, i);
        uint64_t at = fmm_slot_offset(other);
        bool wrapped = (at < tail) != (offset < tail);
        bool later = wrapped ? at < tail : at > offset;
        last = fmm_slot_ring(other) != FMM_RING_S || !later;
    }
    return last;
}

/* The same, but what was stored last only where all others are dirty or kept:
 * nobody had time to ask for it, and the others are not wanted for ever. */
static uint32_t
find_victim(struct search *search)
{
    uint32_t least = find_least(search);
    if (least == FMM_CANDIDATES || !search->with_credit ||
        !is_last_stored(search, least)) {
        return least;
    }
    search->kept |= 1u << least;
    uint32_t other = find_least(search);
    search->kept &= ~(1u << least);
    bool clean = other != FMM_CANDIDATES &&
                 (word_of(search, other) & FMM_SLOT_DIRTY) == 0;
    return clean ? other : least;
}

/* Who was passed over has had a turn without being asked for: it loses what
 * the victim had left, as in GreedyDual, and something in any case. */
static void
age_others(const struct search *search, uint32_t victim)
{
    const struct fmm_index *index = &search->work->page->index;
    uint32_t credit = fmm_hint_credit(&index->hints[victim]);
    uint32_t turn = credit != 0 ? credit : 1;
    for (uint32_t i = 0; i < FMM_CANDIDATES; i++) {
        uint32_t slot = fmm_index_slot(&search->candidates, i);
        if (fmm_hint_credit(&index->hints[slot]) != 0 && slot != victim) {
            fmm_hint_pay(&index->hints[slot], turn);
        }
    }
}

/* Only where the page knows of something that has expired: each entry has to
 * be looked at. */
FMM_COLD static bool
find_expired(const struct search *search, struct fmm_found *out)
{
    const struct fmm_work *work = search->work;
    for (uint32_t i = 0; i < FMM_CANDIDATES; i++) {
        fmm_page_fetch_slot(work->page,
                            fmm_index_slot(&search->candidates, i));
    }
    for (uint32_t i = 0; i < FMM_CANDIDATES; i++) {
        uint32_t slot = fmm_index_slot(&search->candidates, i);
        if (fmm_page_load_slot(work->page, slot, out) &&
            fmm_entry_expired(&out->entry, work->now_ms) &&
            (out->word & FMM_SLOT_DIRTY) == 0 && !is_kept(work, &out->entry)) {
            return true;
        }
    }
    return false;
}

static enum fmm_status
let_go(const struct search *search, const struct fmm_found *victim)
{
    const struct fmm_work *work = search->work;
    if (victim->word & FMM_SLOT_DIRTY) {
        return fmm_leave_hand_out(work->page, victim, work->ticket);
    }
    if (search->with_credit) {
        age_others(search, victim->slot);
    }
    fmm_leave_slot(work->page, victim);
    if (FMM_UNLIKELY(fmm_entry_kind(&victim->entry) == FMM_KEY_INTERNAL)) {
        fmm_leave_value(work->page, &victim->entry, work->ticket);
    }
    return FMM_OK;
}

FMM_FLATTEN enum fmm_status
fmm_victim_choose(const struct fmm_work *work, uint64_t hash,
                  struct fmm_found *victim_out)
{
    struct search search = {.work = work};
    fmm_index_candidates(work->page->index.buckets, hash, &search.candidates);
    if (FMM_UNLIKELY(fmm_hand_is_due(work->page, work->now_ms)) &&
        find_expired(&search, victim_out)) {
        fmm_leave_expired(work->page, victim_out);
        return FMM_OK;
    }
    for (;;) {
        uint32_t least = find_victim(&search);
        if (least == FMM_CANDIDATES && search.parts) {
            return FMM_NO_ROOM;
        }
        if (FMM_UNLIKELY(least == FMM_CANDIDATES)) {
            search.parts = true;
            search.kept = 0;
            continue;
        }
        uint32_t slot = fmm_index_slot(&search.candidates, least);
        if (!fmm_page_load_slot(work->page, slot, victim_out)) {
            return FMM_MISS;
        }
        bool kept = is_kept(work, &victim_out->entry) ||
                    (!search.parts && is_of_parts(&victim_out->entry));
        if (FMM_LIKELY(!kept)) {
            return let_go(&search, victim_out);
        }
        search.kept |= 1u << least;
    }
}
