/* Values in parts: what is too large for an entry lies in entries of its
 * own, under internal keys, and the key's entry names the first of them.
 *
 * Owns where the parts are and how they are read: each says on which page the
 * next one is. Their names are never used again: what is found under one
 * belongs together, and what is missing was evicted or removed. */
#pragma once

#include "fmm_read.h"

/* The key of one part, and the bytes that it points to. */
struct fmm_part_key {
    struct fmm_key key;
    uint32_t number; /* the last part of a value has 0 */
    unsigned char name[FMM_PART_NAME];
};

/* Whether these can be the parts of a value in a file of that geometry. */
bool fmm_parts_sound(const struct fmm_geometry *geometry,
                     const struct fmm_parts *parts);
/* The key of the part of that number on that page. */
void fmm_parts_key(const struct fmm_cache *cache,
                   const struct fmm_parts *parts, uint32_t number,
                   uint64_t page, struct fmm_part_key *out);
/* The key of the first one, and, from what a part says, of the one after it.
 * False: it was the last. */
void fmm_parts_first(const struct fmm_cache *cache,
                     const struct fmm_parts *parts, struct fmm_part_key *out);
bool fmm_parts_next(const struct fmm_cache *cache,
                    const struct fmm_parts *parts, uint64_t link,
                    struct fmm_part_key *part);

/* Put a value together, without a lock; `buffer` takes parts->length bytes, or
 * is NULL: only look whether all parts are there. FMM_MISS: one is not.
 * FMM_BUSY: lapped again and again. */
enum fmm_status fmm_parts_read(const struct fmm_cache *cache,
                               const struct fmm_call *call,
                               const struct fmm_parts *parts, void *buffer);
/* Remove the parts of a value that is there no more, as fmm_displaced_drop(). */
void fmm_parts_drop(struct fmm_cache *cache, const struct fmm_call *call,
                    const struct fmm_guard *guard,
                    const struct fmm_parts *parts);
