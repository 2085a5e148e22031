/* One log of a page: bytes between a tail and a head that only grow.
 *
 * A position is `lap << shift | offset / 8`: it names its place without a
 * division, and later ones are larger. Invariant: tail <= head <= tail and
 * one lap. The lock holder works on private copies of both, loaded and
 * checked once by fmm_ring_settle() and stored through at each change.
 * Knows bytes and positions, not keys. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"

struct fmm_ring {
    unsigned char *base;
    uint64_t size; /* bytes */
    uint32_t shift;
    fmm_word64 *head_word, *tail_word; /* in the map */
    uint64_t head, tail;               /* the lock holder's copies */
};

/* Where a position lies, bytes. A hostile one may lie beyond the ring. */
static inline uint64_t
fmm_ring_offset(const struct fmm_ring *ring, uint64_t position)
{
    return (position & ((UINT64_C(1) << ring->shift) - 1)) * 8u;
}

/* The position in the lap that begins at `tail` which lies at `offset`. */
static inline uint64_t
fmm_ring_position(const struct fmm_ring *ring, uint64_t tail, uint64_t offset)
{
    uint64_t place = (UINT64_C(1) << ring->shift) - 1;
    return tail + ((offset / 8u - tail) & place);
}

/* Bytes from one position to a later one, at most a few laps on. */
static inline uint64_t
fmm_ring_distance(const struct fmm_ring *ring, uint64_t from, uint64_t to)
{
    uint64_t laps = (to >> ring->shift) - (from >> ring->shift);
    return laps * ring->size + fmm_ring_offset(ring, to) -
           fmm_ring_offset(ring, from);
}

/* `length` bytes on; what is there never crosses the end. */
static inline uint64_t
fmm_ring_add(const struct fmm_ring *ring, uint64_t position, uint64_t length)
{
    uint64_t lap = position >> ring->shift;
    uint64_t offset = fmm_ring_offset(ring, position) + length;
    if (offset >= ring->size) {
        offset -= ring->size;
        lap++;
    }
    return lap << ring->shift | offset / 8u;
}

static inline uint64_t
fmm_ring_used(const struct fmm_ring *ring)
{
    return fmm_ring_distance(ring, ring->tail, ring->head);
}

static inline uint64_t
fmm_ring_free(const struct fmm_ring *ring)
{
    return ring->size - fmm_ring_used(ring);
}

/* Whether what it holds does not cross its end. */
static inline bool
fmm_ring_is_in_one_lap(const struct fmm_ring *ring)
{
    return ring->tail >> ring->shift == ring->head >> ring->shift;
}

/* Load both positions, and finish a "stay" that was killed half-way.
 * False: they make no sense, and the ring counts as empty until
 * fmm_ring_reset(). */
bool fmm_ring_settle(struct fmm_ring *ring);
/* An empty ring at a sane position, whatever it was. */
void fmm_ring_reset(struct fmm_ring *ring);

/* Whether `length` contiguous bytes fit beyond the head, padding before
 * the ring's end included. */
bool fmm_ring_has_room(const struct fmm_ring *ring, uint64_t length);

/* Contiguous bytes beyond the head, or, where those before the ring's end are
 * fewer than `least`, beyond the end. */
uint64_t fmm_ring_hole(const struct fmm_ring *ring, uint64_t least);

/* Ask for the lines beyond the head, to be written soon. */
static inline void
fmm_ring_prefetch(const struct fmm_ring *ring)
{
    const unsigned char *at = ring->base + fmm_ring_offset(ring, ring->head);
    __builtin_prefetch(at, 1);
    __builtin_prefetch(at + 64, 1);
}

/* Where to write the next `length` bytes, as an offset; padding goes first
 * if they would cross the end. Call after fmm_ring_has_room(). */
uint64_t fmm_ring_reserve(struct fmm_ring *ring, uint64_t length);
/* Make what was written at the head part of the log. */
void fmm_ring_append(struct fmm_ring *ring, uint64_t length);

/* Give up `length` bytes at the tail; they may be overwritten after. */
void fmm_ring_advance_tail(struct fmm_ring *ring, uint64_t length);

/* Let the `length` bytes at the tail become the newest, in place. */
void fmm_ring_stay(struct fmm_ring *ring, uint64_t length);
