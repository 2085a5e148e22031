#include "fmm_lock.h"

#define WAITERS UINT64_C(1)
#define SPINS 100
#define FIRST_SLEEP_US 1000u /* then the owner's life is asked after */
#define SLEEP_US 4000u

/* Acquire pairs with the release in fmm_lock_release(). The release fence
 * keeps what the last holder stored to a tail ahead of what this one will
 * write over reclaimed bytes; pairs with the acquire fence of readers. */
static bool
swap(fmm_word64 *lock, uint64_t seen, uint64_t wanted)
{
    bool done = atomic_compare_exchange_strong_explicit(
        lock, &seen, wanted, memory_order_acquire, memory_order_relaxed);
    if (done) {
        atomic_thread_fence(memory_order_release);
    }
    return done;
}

static uint64_t
look(fmm_word64 *lock)
{
    return atomic_load_explicit(lock, memory_order_relaxed);
}

static bool
spin(fmm_word64 *lock, uint64_t owner)
{
    for (int i = 0; i < SPINS; i++) {
        if (look(lock) == 0 && swap(lock, 0, owner)) {
            return true;
        }
        fmm_process_pause();
    }
    return false;
}

/* Who wants which lock. */
struct wish {
    fmm_word64 *lock;
    uint64_t owner;
    const struct fmm_client *client;
};

/* One round of waiting: take it, take it over, or sleep. Who slept takes it
 * with the waiters bit, for there may be more sleepers. */
static bool
wait_round(const struct wish *wish, uint32_t sleep_us,
           struct fmm_lock_result *result)
{
    fmm_word64 *lock = wish->lock;
    uint64_t ours = wish->owner | WAITERS, seen = look(lock);
    if (seen == 0) {
        return swap(lock, 0, ours);
    }
    if (result->waited && !fmm_client_lives(wish->client, seen)) {
        result->owner_died = swap(lock, seen, ours);
        return result->owner_died;
    }
    if ((seen & WAITERS) == 0 && !swap(lock, seen, seen | WAITERS)) {
        return false;
    }
    fmm_process_wait(lock, seen | WAITERS, sleep_us);
    return false;
}

static uint32_t
sleep_for(const struct fmm_lock_result *result, int64_t wait_ms,
          uint64_t began)
{
    uint64_t usual = result->waited ? SLEEP_US : FIRST_SLEEP_US;
    if (wait_ms < 0) {
        return (uint32_t)usual;
    }
    uint64_t passed = fmm_monotonic_ms() - began;
    uint64_t left =
        (uint64_t)wait_ms > passed ? (uint64_t)wait_ms - passed : 0;
    return (uint32_t)fmm_min(usual, fmm_min(left, SLEEP_US) * 1000u);
}

FMM_COLD static enum fmm_status
wait_for(const struct wish *wish, int64_t wait_ms,
         struct fmm_lock_result *result_out)
{
    uint64_t began = fmm_monotonic_ms();
    bool done = spin(wish->lock, wish->owner);
    for (uint32_t sleep_us = 1; !done && sleep_us != 0;) {
        sleep_us = sleep_for(result_out, wait_ms, began);
        done = wait_round(wish, sleep_us, result_out);
        result_out->waited = true;
    }
    result_out->waited = true;
    return done ? FMM_OK : FMM_BUSY;
}

bool
fmm_lock_try(fmm_word64 *lock, uint64_t owner)
{
    return swap(lock, 0, owner);
}

enum fmm_status
fmm_lock_take(fmm_word64 *lock, uint64_t owner,
              const struct fmm_client *client, int64_t wait_ms,
              struct fmm_lock_result *result_out)
{
    *result_out = (struct fmm_lock_result){false, false};
    if (FMM_LIKELY(swap(lock, 0, owner))) {
        return FMM_OK;
    }
    const struct wish wish = {lock, owner, client};
    return wait_ms == 0 ? FMM_BUSY : wait_for(&wish, wait_ms, result_out);
}

bool
fmm_lock_release(fmm_word64 *lock, uint64_t owner)
{
    uint64_t seen = owner;
    /* Release pairs with the acquire in swap(). */
    if (FMM_LIKELY(atomic_compare_exchange_strong_explicit(
            lock, &seen, 0, memory_order_release, memory_order_relaxed))) {
        return true;
    }
    seen = owner | WAITERS;
    if (atomic_compare_exchange_strong_explicit(
            lock, &seen, 0, memory_order_release, memory_order_relaxed)) {
        fmm_process_wake(lock);
        return true;
    }
    return false;
}

uint64_t
fmm_lock_holder(fmm_word64 *lock)
{
    return look(lock) & ~WAITERS;
}

bool
fmm_lock_is_of(fmm_word64 *lock, uint64_t owner)
{
    return (look(lock) | WAITERS) == (owner | WAITERS);
}
