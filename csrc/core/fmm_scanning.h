/* The entries of a page, one by one: a part of fmm.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fmm_status.h"

struct fmm_cache;
struct fmm_call;
struct fmm_meta;

/* One page, copied: records to be read by fmm_scan_next(). */
struct fmm_scan {
    unsigned char *buffer; /* the caller's */
    size_t capacity;
    size_t used;    /* bytes filled; on FMM_TOO_SMALL: bytes needed */
    size_t cursor;  /* of fmm_scan_next() */
    bool values;    /* copy values too */
    uint64_t scope; /* the namespace whose keys are wanted; 0: of none */
    bool found;     /* leave out what fmm_get() does not find by its key */
    /* In the place of that, what groups there are: of each value that can be
     * seen if its namespace can, in the place of its key, the scope, u64, and the
     * tags, struct fmm_tag each; of each name of a group, under an internal key,
     * that key, and the value, see docs/format. */
    bool groups;
};
enum fmm_status fmm_scan_page(struct fmm_cache *cache,
                              const struct fmm_call *call, uint32_t page,
                              struct fmm_scan *scan);
/* The next record, or false at the end. Pointers lead into the buffer. */
bool fmm_scan_next(struct fmm_scan *scan, struct fmm_meta *meta_out,
                   const void **key_out, const void **value_out);
