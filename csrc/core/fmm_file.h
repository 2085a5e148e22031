/* One open cache file: who we are to it, what became of its name, its end.
 *
 * Owns struct fmm_cache and everything outside the pages. Knows no
 * entries. */
#pragma once

#include "fmm_format.h"
#include "fmm_options.h"

/* Private to the process; the geometry never changes while it is open. */
struct fmm_cache {
    unsigned char *base;       /* the map */
    uint64_t serial;           /* see fmm_serial() */
    struct fmm_header *header; /* in it */
    struct fmm_geometry geometry;
    uint64_t seed[2];
    uint64_t created_ms;
    uint64_t device, inode;
    /* Who we are in lock words, and the fork count when that was asked:
     * two words that any thread may renew after a fork. */
    _Atomic(uint64_t) owner, owner_forks;
    char serializer[FMM_NAME_SIZE], compressor[FMM_NAME_SIZE];
    char *path;
    int fd;
    uint32_t repaired;
    bool created, guarded;
};

/* This process as it stands in lock words; asked anew after a fork. */
uint64_t fmm_file_owner(struct fmm_cache *cache);

/* Whether the file was replaced. Pairs with the release in the replacing
 * process. */
static inline bool
fmm_file_retired(const struct fmm_cache *cache)
{
    return atomic_load_explicit(&cache->header->retired,
                                memory_order_acquire) != 0;
}
