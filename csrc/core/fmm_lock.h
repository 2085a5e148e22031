/* The page lock: one word in the file, no pointers.
 *
 * 0 is free; else pid, start time and a waiters bit (bit 0). Nothing else
 * touches lock words. A holder that died is replaced: nobody waits for a
 * process that is gone. */
#pragma once

#include "fmm_base.h"
#include "fmm_status.h"

/* How a lock was had. */
struct fmm_lock_result {
    bool waited;
    bool owner_died; /* the page must be recounted and verified */
};

/* Take the lock for `owner` (fmm_platform_owner()). Tries once, and then,
 * unless `wait_ms` is 0, waits that long (< 0: without end).
 * FMM_BUSY: it was not to be had. */
enum fmm_status fmm_lock_take(fmm_word64 *lock, uint64_t owner,
                              int64_t wait_ms,
                              struct fmm_lock_result *result_out);

/* Give it back. False when `owner` does not hold it; then nothing is
 * changed. */
bool fmm_lock_release(fmm_word64 *lock, uint64_t owner);

/* Whether the process `owner` holds it at this moment. */
/* Who holds it now, as the owner that it was taken with; 0: nobody. */
uint64_t fmm_lock_holder(fmm_word64 *lock);
bool fmm_lock_is_of(fmm_word64 *lock, uint64_t owner);
