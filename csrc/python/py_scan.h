/* Entries of the whole file, copied page by page. */
#pragma once

#include "py_buffer.h"
#include "py_op.h"

/* What an iteration yields; 0 to 2 are those of get_keys(). */
enum scan_mode {
    SCAN_KEYS,
    SCAN_DICTS,       /* without values */
    SCAN_VALUE_DICTS, /* with them */
    SCAN_ITEMS,       /* tuples of key and value */
    SCAN_VALUES,
    SCAN_RECORDS, /* tuples of what is known beside the value */
    SCAN_ENTRIES, /* the same, and the value */
    SCAN_GROUPS,  /* tuples: a name, or the groups of a value; see fmm_scan */
};

/* A walk over all pages. Guarded by the GIL but for the copying itself. */
struct scan_walk {
    struct fmm_scan scan;
    struct buffer buffer; /* of the scan; kept from page to page */
    uint32_t page;        /* the next one to copy */
    bool busy;            /* a thread is copying a page */
};

/* One record; the pointers lead into the walk. */
struct scan_row {
    struct fmm_meta meta;
    const void *key, *value;
};

/* Returns 1 and a record, 0 at the end, or -1 with an exception. */
int scan_walk_next(struct cache_object *self, struct scan_walk *walk,
                   struct scan_row *record);
void scan_walk_end(struct scan_walk *walk);
