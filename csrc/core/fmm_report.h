/* What a check of a page finds: a part of fmm.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fmm_status.h"

struct fmm_cache;
struct fmm_call;

/* What fmm_check_page() found in one page. */
struct fmm_page_report {
    uint64_t entries, live_bytes, dead_bytes;
    uint64_t internal;   /* of the entries those of internal keys */
    uint32_t used_slots; /* sound or not */
    uint32_t bad_slots;  /* slots that name no sound entry */
    bool bad_rings;      /* a ring whose chain of entries is broken */
    bool miscounted;     /* advisory counters that are off: harmless */
    char text[96];       /* the first finding, or "" */
};
/* Walk a page under its lock. With `repair`, clear bad slots and empty the
 * page when a ring is broken; else change nothing but the counters of a page
 * whose holder died. */
enum fmm_status fmm_check_page(struct fmm_cache *cache,
                               const struct fmm_call *call, uint32_t page,
                               bool repair, struct fmm_page_report *report);
