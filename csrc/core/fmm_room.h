/* How full a file is: estimates, without a lock. */
#pragma once

#include "fmm_file.h"

/* Bytes of all pages, as those that were looked at lead to expect. */
struct fmm_room {
    uint64_t all;     /* of the rings */
    uint64_t live;    /* of what slots name */
    uint64_t large;   /* of those, of values in parts */
    uint64_t free;    /* that parts may take */
    uint64_t fullest; /* free bytes, if all pages had as few as the fullest */
    uint64_t average; /* of an entry of a user's key, with its parts */
};

void fmm_room_look(const struct fmm_cache *cache, struct fmm_room *out);
/* Bytes that are wanting for `length` more in parts. Some are wanted beside:
 * holes that are too small between parts, and what small entries have that is
 * dead until it is cleaned, see fmm_evict.c. */
uint64_t fmm_room_lack(const struct fmm_room *room, uint64_t length);
/* Bytes of a page that parts may take. */
uint64_t fmm_room_of_page(const struct fmm_cache *cache, uint32_t number);
