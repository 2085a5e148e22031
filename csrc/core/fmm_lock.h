/* The page lock: one word in the file, no pointers.
 *
 * 0 is free; else the client that holds it, and a waiters bit (bit 0). Nothing
 * else touches lock words. A holder that is gone is replaced: nobody waits for
 * it. */
#pragma once

#include "fmm_client.h"
#include "fmm_status.h"

/* How a lock was had. */
struct fmm_lock_result {
    bool waited;
    bool owner_died; /* the page must be recounted and verified */
};

/* Take the lock for `owner`, mostly fmm_client_owner(). Tries once, and then,
 * unless `wait_ms` is 0, waits that long (< 0: without end), and asks `client`
 * whether the holder lives.
 * FMM_BUSY: it was not to be had. */
enum fmm_status fmm_lock_take(fmm_word64 *lock, uint64_t owner,
                              const struct fmm_client *client, int64_t wait_ms,
                              struct fmm_lock_result *result_out);

/* Take it if it is free. */
bool fmm_lock_try(fmm_word64 *lock, uint64_t owner);

/* Give it back. False when `owner` does not hold it; then nothing is
 * changed. */
bool fmm_lock_release(fmm_word64 *lock, uint64_t owner);

/* Who holds it now, as the owner that it was taken with; 0: nobody. */
uint64_t fmm_lock_holder(fmm_word64 *lock);
/* Whether `owner` holds it at this moment. */
bool fmm_lock_is_of(fmm_word64 *lock, uint64_t owner);
