/* One open cache file: who we are to it, what became of its name, its end.
 *
 * Owns struct fmm_cache and everything outside the pages. Knows no
 * entries. */
#pragma once

#include "fmm_client.h"
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
    struct fmm_client client; /* who we are to others, and the open file */
    char serializer[FMM_NAME_SIZE], compressor[FMM_NAME_SIZE];
    fmm_word64 tokens; /* how many it made, see fmm_lease.c */
    uint32_t repaired;
    uint64_t dropped; /* entries that were not whole when it was opened */
    bool created, trapped;
    bool gives_back; /* the memory of what it drops */
};

/* Let a client see a file of this geometry that is mapped. */
void fmm_file_view(struct fmm_client *client, unsigned char *base,
                   const struct fmm_geometry *geometry);

/* Whether the file was replaced. Pairs with the release in the replacing
 * process. */
static inline bool
fmm_file_retired(const struct fmm_cache *cache)
{
    return atomic_load_explicit(&cache->header->retired,
                                memory_order_acquire) != 0;
}
