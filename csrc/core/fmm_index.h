/* The index of a page: slot words in buckets of eight, and their hints.
 *
 * Two candidate buckets per key, no relocation: a slot is empty (0) or
 * names one entry. Knows words, offsets and credit, not keys. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"
#include "fmm_match.h"

#define FMM_CANDIDATES (2u * FMM_BUCKET_SLOTS)
#define FMM_SLOT_NONE UINT32_MAX

struct fmm_index {
    fmm_word64 *slots;
    fmm_word32 *hints;
    uint32_t buckets;
};

/* An index of so many buckets that lies there. */
static inline struct fmm_index
fmm_index_at(void *at, uint32_t buckets)
{
    fmm_word64 *slots = at;
    void *hints = slots + (size_t)buckets * FMM_BUCKET_SLOTS;
    return (struct fmm_index){slots, hints, buckets};
}

/* The slot words of a hash: first slots of its two candidate buckets. */
struct fmm_candidates {
    uint32_t first[2];
    uint64_t match; /* used bit and tag, as they stand in a slot word */
};

void fmm_index_candidates(uint32_t buckets, uint64_t hash,
                          struct fmm_candidates *out);

/* The number of the i-th candidate slot, i < FMM_CANDIDATES. */
static inline uint32_t
fmm_index_slot(const struct fmm_candidates *c, uint32_t i)
{
    return c->first[i / FMM_BUCKET_SLOTS] + i % FMM_BUCKET_SLOTS;
}

static inline uint64_t
fmm_slot_offset(uint64_t word)
{
    return (word & FMM_SLOT_OFFSET) * 8u;
}

static inline uint32_t
fmm_slot_ring(uint64_t word)
{
    return (word & FMM_SLOT_RING) ? FMM_RING_M : FMM_RING_S;
}

/* The word for an entry at `offset` of `ring`. */
uint64_t fmm_slot_word(uint64_t hash, uint32_t ring, uint64_t offset,
                       bool dirty);

/* Load a slot word; pairs with the release in fmm_index_publish(). */
static inline uint64_t
fmm_index_word(const struct fmm_index *index, uint32_t slot)
{
    return atomic_load_explicit(&index->slots[slot], memory_order_acquire);
}

/* Ask for the lines of both buckets and of their hints at once. */
static inline void
fmm_index_prefetch(const struct fmm_index *index,
                   const struct fmm_candidates *c)
{
    __builtin_prefetch(&index->slots[c->first[0]]);
    __builtin_prefetch(&index->slots[c->first[1]]);
    __builtin_prefetch(&index->hints[c->first[0]], 1);
    __builtin_prefetch(&index->hints[c->first[1]], 1);
}

/* The candidate slots whose word, under `mask`, is `wanted`: one bit for
 * each, see fmm_match.h. */
static inline uint32_t
fmm_index_matches(const struct fmm_index *index,
                  const struct fmm_candidates *c, uint64_t mask,
                  uint64_t wanted)
{
    return fmm_match_buckets(&index->slots[c->first[0]],
                             &index->slots[c->first[1]], mask, wanted);
}

/* Those that are in use and carry the tag. */
static inline uint32_t
fmm_index_tagged(const struct fmm_index *index, const struct fmm_candidates *c)
{
    return fmm_index_matches(index, c, FMM_SLOT_USED | FMM_SLOT_TAG, c->match);
}

/* Take the lowest bit out of `*matches` (not 0); returns its slot. */
static inline uint32_t
fmm_index_take(const struct fmm_candidates *c, uint32_t *matches)
{
    uint32_t i = (uint32_t)__builtin_ctz(*matches);
    *matches &= *matches - 1;
    return fmm_index_slot(c, i);
}

/* Store a slot word: the commit of every change. */
void fmm_index_publish(const struct fmm_index *index, uint32_t slot,
                       uint64_t word);

/* The candidate slot of `hash` that names this place, or FMM_SLOT_NONE. */
uint32_t fmm_index_find_place(const struct fmm_index *index, uint64_t hash,
                              uint32_t ring, uint64_t offset);
/* The slot for a new entry: an empty one of the emptier candidate bucket;
 * FMM_SLOT_NONE when both are full. */
uint32_t fmm_index_find_empty(const struct fmm_index *index, uint64_t hash);

/* A hit: more credit, accessed at `seconds` since creation. */
void fmm_hint_hit(fmm_word32 *hint, uint64_t seconds);
/* A new hint: no credit. */
void fmm_hint_reset(fmm_word32 *hint, uint64_t seconds);
/* A new hint of what was asked for before: with credit for so many lives of an
 * entry of average size. */
void fmm_hint_admit(fmm_word32 *hint, uint32_t lives, uint64_t seconds);
/* Accessed, but no hit: the credit stays. */
void fmm_hint_touch(fmm_word32 *hint, uint64_t seconds);
/* All the credit there is: nobody goes later. */
void fmm_hint_fill(fmm_word32 *hint, uint64_t seconds);
uint32_t fmm_hint_credit(const fmm_word32 *hint);
void fmm_hint_pay(fmm_word32 *hint, uint32_t price);
void fmm_hint_copy(fmm_word32 *hint, const fmm_word32 *from);
/* The last access, seconds since creation: of the times that the hint may mean
 * the last one before `now`, or not long after it. */
uint64_t fmm_hint_seconds(const fmm_word32 *hint, uint64_t now);
