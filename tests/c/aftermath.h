/* What a change that was killed somewhere in it may leave behind.
 *
 * Its image is looked at by a fresh reader: each key is what it was before
 * the change or what it is after it, and goes from one to the other once.
 * Then a fresh writer goes on with it for hundreds of operations, beside a
 * model: nothing is lost but what is evicted, nothing is repaired. */
#pragma once

#include "change.h"

struct aftermath {
    struct fmm_cache *cache; /* shared, where the change takes place */
    struct fmm_cache *copy;  /* private, where its images are looked at */
    const struct change *change;
    struct seen before[CHANGE_KEYS], after[CHANGE_KEYS];
    bool reached[CHANGE_KEYS]; /* its new state was seen */
    uint64_t evictions;        /* of the change */
    unsigned operations;       /* of the fresh writer, on each image */
};

/* For a cache of one page. */
struct aftermath *aftermath_new(struct fmm_cache *cache, unsigned operations);
void aftermath_free(struct aftermath *a);
/* Before the change, and after it; checks that it did what it should. */
void aftermath_begin(struct aftermath *a, const struct change *change);
void aftermath_end(struct aftermath *a);
/* One image, the oldest first, as if its lock word were `lock`. */
void aftermath_check(struct aftermath *a, const unsigned char *image,
                     uint64_t lock);
