#include "fmm_writer_lock.h"

#include "fmm_lock.h"

#define DRAIN_MS 2000u

static_assert((FMM_WRITERS & (FMM_WRITERS - 1)) == 0, "a power of two");

/* Other bits than those that choose the page. */
static uint32_t
number_of(uint64_t hash)
{
    return (uint32_t)(hash >> 16) & (FMM_WRITERS - 1);
}

struct fmm_writer_lock *
fmm_writer_lock_of(struct fmm_header *header, uint64_t hash)
{
    return &header->writers[number_of(hash)];
}

bool
fmm_writer_lock_shared(uint64_t hash, uint64_t other)
{
    return number_of(hash) == number_of(other);
}

void
fmm_writer_lock_note(struct fmm_writer_lock *lock, uint64_t hash)
{
    atomic_store_explicit(&lock->hash, hash, memory_order_relaxed);
}

void
fmm_writer_lock_reset(struct fmm_header *header)
{
    for (uint32_t n = 0; n < FMM_WRITERS; n++) {
        fmm_writer_lock_note(&header->writers[n], 0);
        atomic_store_explicit(&header->writers[n].word, 0,
                              memory_order_relaxed);
    }
}

/* Taken and not given back: nobody needs it any more. */
void
fmm_writer_lock_drain(struct fmm_header *header, uint64_t owner)
{
    uint64_t until = fmm_monotonic_ms() + DRAIN_MS;
    struct fmm_lock_result ignored;
    /* Pairs with that in fmm_writer_take(). */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t n = 0; n < FMM_WRITERS; n++) {
        fmm_word64 *word = &header->writers[n].word;
        uint64_t now = fmm_monotonic_ms();
        int64_t left = until > now ? (int64_t)(until - now) : 0;
        if (!fmm_lock_is_of(word, owner)) {
            fmm_lock_take(word, owner, left, &ignored);
        }
    }
}
