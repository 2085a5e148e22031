/* Reading without a lock: load tails, load slot, copy, check the tail. */
#pragma once

#include "fmm_file.h"

/* What to do with what is found. */
struct fmm_read {
    const struct fmm_call *call;
    const struct fmm_key *key;
    void *buffer; /* NULL: describe only, and earn no credit */
    size_t capacity;
    struct fmm_meta *meta;   /* holds on FMM_OK and FMM_TOO_SMALL */
    struct fmm_lease *lease; /* NULL: not wanted */
    struct fmm_parts *parts; /* filled on FMM_SPLIT */
};

/* FMM_OK, FMM_MISS, FMM_TOO_SMALL; FMM_BUSY: lapped 16 times. FMM_SPLIT: the
 * value, of a read with `parts`, is in these. */
enum fmm_status fmm_read_entry(const struct fmm_cache *cache,
                               const struct fmm_read *read);
