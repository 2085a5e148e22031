#include "fmm_index.h"

#include "fmm_hash.h"

#define CREDIT_PER_HIT 6u
#define CREDIT_PER_LIFE 4u
#define CLOCK_SLACK (UINT64_C(1) << 25) /* s, a year: another may be ahead */

void
fmm_index_candidates(uint32_t buckets, uint64_t hash,
                     struct fmm_candidates *out)
{
    out->first[0] = fmm_hash_bucket(hash, buckets) * FMM_BUCKET_SLOTS;
    out->first[1] = fmm_hash_bucket2(hash, buckets) * FMM_BUCKET_SLOTS;
    out->match = FMM_SLOT_USED | (uint64_t)fmm_hash_tag(hash)
                                     << FMM_SLOT_TAG_SHIFT;
}

uint64_t
fmm_slot_word(uint64_t hash, uint32_t ring, uint64_t offset, bool dirty)
{
    return FMM_SLOT_USED | (ring == FMM_RING_M ? FMM_SLOT_RING : 0u) |
           (dirty ? FMM_SLOT_DIRTY : 0u) |
           (uint64_t)fmm_hash_tag(hash) << FMM_SLOT_TAG_SHIFT | offset / 8u;
}

void
fmm_index_publish(const struct fmm_index *index, uint32_t slot, uint64_t word)
{
    /* Release: all that the word names is complete before it. Pairs with
     * the acquire in fmm_index_word(). */
    atomic_store_explicit(&index->slots[slot], word, memory_order_release);
}

uint32_t
fmm_index_find_place(const struct fmm_index *index, uint64_t hash,
                     uint32_t ring, uint64_t offset)
{
    const uint64_t mask = ~FMM_SLOT_STATE;
    uint64_t wanted = fmm_slot_word(hash, ring, offset, false);
    struct fmm_candidates c;
    fmm_index_candidates(index->buckets, hash, &c);
    uint32_t matches = fmm_index_tagged(index, &c);
    while (matches) {
        uint32_t slot = fmm_index_take(&c, &matches);
        if ((fmm_index_word(index, slot) & mask) == wanted) {
            return slot;
        }
    }
    return FMM_SLOT_NONE;
}

/* How many of 16 bits are set among the low and among the high eight. */
static inline uint32_t
count_bits(uint32_t bits)
{
    bits -= bits >> 1 & 0x5555;
    bits = (bits & 0x3333) + (bits >> 2 & 0x3333);
    return (bits + (bits >> 4)) & 0x0f0f;
}

uint32_t
fmm_index_find_empty(const struct fmm_index *index, uint64_t hash)
{
    struct fmm_candidates c;
    fmm_index_candidates(index->buckets, hash, &c);
    uint32_t empty = fmm_index_matches(index, &c, FMM_SLOT_USED, 0);
    uint32_t counts = count_bits(empty);
    if (counts >> 8 > (counts & 0xff)) {
        empty &= 0xff00;
    }
    return empty ? fmm_index_take(&c, &empty) : FMM_SLOT_NONE;
}

static uint32_t
hint_word(uint32_t credit, uint64_t seconds)
{
    return credit << FMM_HINT_CREDIT_SHIFT |
           (uint32_t)(seconds & FMM_HINT_ACCESS);
}

/* Hints are advisory: relaxed, and a lost update does no harm. */
static uint32_t
hint_load(const fmm_word32 *hint)
{
    return atomic_load_explicit(hint, memory_order_relaxed);
}

static void
hint_store(fmm_word32 *hint, uint32_t word)
{
    atomic_store_explicit(hint, word, memory_order_relaxed);
}

void
fmm_hint_hit(fmm_word32 *hint, uint64_t seconds)
{
    uint32_t old = hint_load(hint);
    uint32_t credit = (old >> FMM_HINT_CREDIT_SHIFT) + CREDIT_PER_HIT;
    uint32_t word =
        hint_word((uint32_t)fmm_min(credit, FMM_HINT_CREDIT_MAX), seconds);
    if (word != old) { /* a line that need not be written stays shared */
        hint_store(hint, word);
    }
}

void
fmm_hint_reset(fmm_word32 *hint, uint64_t seconds)
{
    hint_store(hint, hint_word(0, seconds));
}

void
fmm_hint_admit(fmm_word32 *hint, uint32_t lives, uint64_t seconds)
{
    hint_store(hint, hint_word(lives * CREDIT_PER_LIFE, seconds));
}

void
fmm_hint_touch(fmm_word32 *hint, uint64_t seconds)
{
    hint_store(hint, hint_word(fmm_hint_credit(hint), seconds));
}

void
fmm_hint_fill(fmm_word32 *hint, uint64_t seconds)
{
    hint_store(hint, hint_word(FMM_HINT_CREDIT_MAX, seconds));
}

uint32_t
fmm_hint_credit(const fmm_word32 *hint)
{
    return hint_load(hint) >> FMM_HINT_CREDIT_SHIFT;
}

void
fmm_hint_pay(fmm_word32 *hint, uint32_t price)
{
    uint32_t old = hint_load(hint);
    uint32_t credit = old >> FMM_HINT_CREDIT_SHIFT;
    uint32_t left = credit > price ? credit - price : 0;
    hint_store(hint, hint_word(left, old & FMM_HINT_ACCESS));
}

void
fmm_hint_copy(fmm_word32 *hint, const fmm_word32 *from)
{
    hint_store(hint, hint_load(from));
}

uint64_t
fmm_hint_seconds(const fmm_word32 *hint, uint64_t now)
{
    uint64_t low = hint_load(hint) & FMM_HINT_ACCESS;
    uint64_t latest = now + CLOCK_SLACK;
    return low > latest ? low
                        : low + ((latest - low) & ~(uint64_t)FMM_HINT_ACCESS);
}
