#include "fmm_ring.h"

#define LAP_SANE_BITS 62u /* larger positions are damage */

/* Store the head. Readers never load it; the release keeps what it covers
 * ahead of it for whoever looks after a kill. */
static void
store_head(struct fmm_ring *ring, uint64_t head)
{
    ring->head = head;
    atomic_store_explicit(ring->head_word, head, memory_order_release);
}

/* Store the tail. Whoever sees a byte written from here on sees the new
 * tail as well: pairs with the acquire fence before readers load the tail
 * again. */
static void
store_tail(struct fmm_ring *ring, uint64_t tail)
{
    ring->tail = tail;
    atomic_store_explicit(ring->tail_word, tail, memory_order_release);
    atomic_thread_fence(memory_order_release);
}

static bool
is_sane(const struct fmm_ring *ring, uint64_t position)
{
    return position >> LAP_SANE_BITS == 0 &&
           fmm_ring_offset(ring, position) < ring->size;
}

bool
fmm_ring_settle(struct fmm_ring *ring)
{
    uint64_t lap = UINT64_C(1) << ring->shift;
    ring->head = atomic_load_explicit(ring->head_word, memory_order_relaxed);
    ring->tail = atomic_load_explicit(ring->tail_word, memory_order_relaxed);
    /* Unsigned: a head before its tail is too far from it as well. */
    bool sane = is_sane(ring, ring->head) && is_sane(ring, ring->tail) &&
                ring->head - ring->tail <= 2 * lap;
    if (FMM_UNLIKELY(!sane)) {
        ring->head = ring->tail = 0;
        return false;
    }
    if (FMM_UNLIKELY(ring->head - ring->tail > lap)) {
        store_tail(ring, ring->head - lap);
    }
    return true;
}

void
fmm_ring_reset(struct fmm_ring *ring)
{
    uint64_t head =
        atomic_load_explicit(ring->head_word, memory_order_relaxed);
    uint64_t tail =
        atomic_load_explicit(ring->tail_word, memory_order_relaxed);
    uint64_t position = 0;
    if (is_sane(ring, head) && is_sane(ring, tail)) {
        position = fmm_max(head, tail);
    }
    store_head(ring, position); /* first: until then all between is dead */
    store_tail(ring, position);
}

static uint64_t
to_the_end(const struct fmm_ring *ring)
{
    return ring->size - fmm_ring_offset(ring, ring->head);
}

bool
fmm_ring_has_room(const struct fmm_ring *ring, uint64_t length)
{
    uint64_t end = to_the_end(ring);
    uint64_t padding = end < length ? end : 0;
    return padding + length <= fmm_ring_free(ring);
}

uint64_t
fmm_ring_hole(const struct fmm_ring *ring, uint64_t least)
{
    uint64_t end = to_the_end(ring);
    uint64_t free_bytes = fmm_ring_free(ring);
    if (end >= least || free_bytes <= end) {
        return fmm_min(end, free_bytes);
    }
    return free_bytes - end;
}

void
fmm_ring_append(struct fmm_ring *ring, uint64_t length)
{
    store_head(ring, fmm_ring_add(ring, ring->head, length));
}

static void
append_padding(struct fmm_ring *ring, uint64_t length)
{
    fmm_store_shared(ring->base + fmm_ring_offset(ring, ring->head),
                     length | (uint64_t)FMM_ENTRY_PADDING << 32);
    fmm_ring_append(ring, length);
}

uint64_t
fmm_ring_reserve(struct fmm_ring *ring, uint64_t length)
{
    uint64_t end = to_the_end(ring);
    if (end < length) {
        append_padding(ring, end);
    }
    return fmm_ring_offset(ring, ring->head);
}

void
fmm_ring_advance_tail(struct fmm_ring *ring, uint64_t length)
{
    store_tail(ring, fmm_ring_add(ring, ring->tail, length));
}

void
fmm_ring_stay(struct fmm_ring *ring, uint64_t length)
{
    uint64_t next = fmm_ring_add(ring, ring->tail, length);
    uint64_t free_bytes = fmm_ring_free(ring);
    uint64_t end = to_the_end(ring);
    if (free_bytes > end) {
        append_padding(ring, end);
        free_bytes -= end;
    }
    if (free_bytes > 0) {
        append_padding(ring, free_bytes);
    }
    /* From this store on fmm_ring_settle() would finish the step. */
    store_head(ring, next + (UINT64_C(1) << ring->shift));
    store_tail(ring, next);
}
