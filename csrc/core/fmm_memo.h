/* What was copied of a page: for each key a sum of what it was like then.
 *
 * So that what was changed since is found by a walk. Owns a table in private
 * memory; knows no page and no entry. */
#pragma once

#include "fmm_base.h"

struct fmm_memo_item {
    uint64_t key;   /* a hash; 0: the place is empty */
    uint64_t sum;   /* of what was seen */
    uint32_t round; /* of walks, when it was seen last */
    uint32_t page;  /* where the copy is */
};

/* Zero at first. */
struct fmm_memo {
    struct fmm_memo_item *items; /* `size` places, a power of two */
    uint64_t size, used;
};

/* The item of a key, or NULL. */
struct fmm_memo_item *fmm_memo_find(const struct fmm_memo *memo, uint64_t key);
/* Remember an item in the place of what there is of its key. False: there is no
 * memory. */
bool fmm_memo_put(struct fmm_memo *memo, const struct fmm_memo_item *item);
/* The next item that was not seen in that round, from the place `*cursor` on, at
 * first 0; NULL: there are no more. */
struct fmm_memo_item *fmm_memo_next_unseen(const struct fmm_memo *memo,
                                           uint32_t round, uint64_t *cursor);
/* Forget those that were not seen in that round. False: no memory. */
bool fmm_memo_forget_unseen(struct fmm_memo *memo, uint32_t round);
void fmm_memo_free(struct fmm_memo *memo);
