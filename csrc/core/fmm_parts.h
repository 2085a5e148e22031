/* Values in parts: what is too large for an entry lies in entries of its
 * own, under internal keys, and the key's entry names them.
 *
 * Owns where the parts are and how they are read. Their names are never used
 * again: what is found under one belongs together, and what is missing was
 * evicted or removed. */
#pragma once

#include "fmm_read.h"

/* The key of one part, and the bytes that it points to. */
struct fmm_part_key {
    struct fmm_key key;
    uint32_t turns; /* to the next page, so far */
    unsigned char name[FMM_PART_NAME];
};

/* Whether these can be the parts of a value in a file of that geometry. */
bool fmm_parts_sound(const struct fmm_geometry *geometry,
                     const struct fmm_parts *parts);
uint32_t fmm_parts_count(const struct fmm_geometry *geometry, uint64_t length);
/* What of the value is in the part of that number: from which byte on, and
 * how many. */
uint64_t fmm_parts_span(const struct fmm_geometry *geometry,
                        const struct fmm_parts *parts, uint32_t number,
                        uint64_t *length_out);
/* Its key, on the page that it is due on: the parts go round. */
void fmm_parts_key(const struct fmm_cache *cache,
                   const struct fmm_parts *parts, uint32_t number,
                   struct fmm_part_key *out);
/* Turn to the next page that it may be on. False: there is none. Stored with
 * another page held, a part must not wait for the one that it is due on. */
bool fmm_parts_next_page(const struct fmm_cache *cache,
                         struct fmm_part_key *part);

/* Look for a part, without a lock. FMM_OK, FMM_MISS, FMM_BUSY. */
enum fmm_status fmm_parts_find(const struct fmm_cache *cache,
                               const struct fmm_call *call,
                               struct fmm_part_key *part);
/* Put a value together, without a lock; `buffer` takes parts->length bytes.
 * FMM_MISS: a part is not there. FMM_BUSY: lapped again and again. */
enum fmm_status fmm_parts_read(const struct fmm_cache *cache,
                               const struct fmm_call *call,
                               const struct fmm_parts *parts, void *buffer);
