/* Every operation of the core on a cache whose bytes may be anything.
 *
 * Outcomes do not matter here, only that no call leaves the cache's memory,
 * writes beyond the caller's buffer, or goes on for ever. Numbers come from
 * check_random(): from a seed in tests, from the input when fuzzing. */
#pragma once

#include "support.h"

struct hostile {
    struct fmm_cache *cache;
    struct fmm_ticket ticket; /* the last one that was handed out */
    struct fmm_lease lease;   /* the last one that was seen */
    struct fmm_tag tags[4];   /* as they were seen last */
};

/* One operation. */
void hostile_operation(struct hostile *h);
/* One that stores. */
void hostile_set(struct hostile *h);
/* Check and repair all pages; then they are sound and take a value. */
void hostile_settle(struct hostile *h);
