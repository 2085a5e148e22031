/* Ending a group, for which its record may need room. */
#pragma once

#include "py_writeback.h"

/* The operation has begun; `locate` makes the key of the record the op's. */
struct ending {
    struct op op;
    void (*locate)(const struct fmm_cache *cache, struct ending *ending);
    struct fmm_key name; /* of a tag */
    struct fmm_tag tag;
    struct fmm_ticket ticket;
    bool without_record;
};

/* Returns 0, or -1 with an exception. */
int ending_call(struct cache_object *self, struct ending *ending);
