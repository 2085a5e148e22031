/* One entry on its way into another file of the same seed.
 *
 * Copied out of its page as it lies there, with what the index knew of it, and
 * stored in the other as any value is. */
#pragma once

#include "fmm_file.h"
#include "fmm_hold.h"

/* What is known of an entry whose bytes follow. */
struct fmm_copied {
    uint64_t key;      /* its hash and kind, as one number: not 0 */
    uint64_t sum;      /* of all that may change */
    uint64_t position; /* in its ring */
    uint64_t state;    /* FMM_SLOT_DIRTY, FMM_SLOT_REMOVED */
    uint32_t ring, hint;
    uint64_t length; /* of the entry, bytes */
};

struct fmm_copied_list {
    const struct fmm_copied **items; /* to be freed */
    uint64_t count;
};

/* Describe an entry of a page that is held. */
void fmm_copied_describe(const struct fmm_page *page,
                         const struct fmm_found *found,
                         struct fmm_copied *out);
/* Those that lie one behind another in `used` bytes: of ring M first, and the
 * oldest first. False: no memory. */
bool fmm_copied_sort(const unsigned char *buffer, uint64_t used,
                     struct fmm_copied_list *out);
/* Store one in the page of the other file. FMM_NO_ROOM, FMM_DIRTY: it finds no
 * room there, and an older version is gone, too. FMM_MISS: its parts have gone. */
enum fmm_status fmm_copied_store(const struct fmm_cache *from,
                                 struct fmm_cache *to,
                                 const struct fmm_call *call,
                                 const struct fmm_copied *copied,
                                 const struct fmm_entry *entry, uint32_t page);
/* Drop the copy of a key, as fmm_copied_describe() named it. */
void fmm_copied_drop(struct fmm_cache *to, const struct fmm_call *call,
                     uint64_t key, uint32_t page);
