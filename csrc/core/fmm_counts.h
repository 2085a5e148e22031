/* What was counted: of a file, and of each client. A part of fmm.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fmm_status.h"

struct fmm_cache;

/* ----------------------------------------------------------- statistics */

struct fmm_stats {
    uint64_t entries;      /* slots in use: values, tombstones, expired; not
                             those of internal keys */
    uint64_t live_bytes;   /* of those entries */
    uint64_t used_bytes;   /* the same, and what waits to be reclaimed */
    uint64_t total_bytes;  /* of the file, but for the table of clients */
    uint64_t hits, misses; /* of all clients there ever were */
    uint64_t page_reads, page_hits; /* of calls with FMM_COUNTED_BY_PAGE */
    uint64_t stores, evictions, expirations;
    uint64_t slot_evictions; /* evictions for want of an index slot */
    uint64_t moved_bytes;    /* by second lives */
    uint64_t lock_waits, recoveries, repaired;
};
void fmm_stats_read(const struct fmm_cache *cache,
                    struct fmm_stats *stats_out);
/* Forget `page_reads` and `page_hits`. */
void fmm_stats_clear(struct fmm_cache *cache);

/* ---------------------------------------------------------------- pages */

/* One page, seen while others change it: for people. */
struct fmm_page_stats {
    uint64_t total_bytes;           /* of its rings */
    uint64_t used_bytes;            /* of those what entries take, live or
                                           not */
    uint64_t new_bytes, main_bytes; /* live: on probation, and proved */
    uint64_t entries, stores, evictions;
    bool held;
    uint32_t holder; /* its pid where it lives; 0: nobody, or it is gone */
};
/* Look at a page without its lock. FMM_ERR_ARGUMENT: there is none. */
enum fmm_status fmm_page_stats_read(const struct fmm_cache *cache,
                                    uint32_t number,
                                    struct fmm_page_stats *stats_out);

/* -------------------------------------------------------------- clients */

#define FMM_COMMAND_SIZE 16u

/* Somebody who has the file open: one open cache of a process. */
struct fmm_client_info {
    uint64_t since_ms; /* since 1970 */
    uint64_t hits, misses, stores, waits;
    uint32_t pid; /* as it is where the process lives */
    char command[FMM_COMMAND_SIZE];
    bool own; /* it is this open cache */
};

/* The next one from `*cursor` on, at first 0. False: there is no more. */
bool fmm_clients_next(struct fmm_cache *cache, uint32_t *cursor,
                      struct fmm_client_info *info_out);
