/* Changes of a few keys, and what a reader sees of those keys. */
#pragma once

#include "support.h"

#define CHANGE_KEYS 16u
#define VALUE_MAX 1024u

enum change_kind {
    SET,
    SET_DIRTY,
    SET_MORTAL, /* expires soon */
    WRITE_BACK, /* what is dirty of the key is clean now */
    REMOVE,
    BURY, /* remove, leave a tombstone */
    ADD,
    ADD_DIRTY,
    TOUCH,
    CLEAR,
    PURGE, /* what has expired */
    TAKE_LEASE,
    REFRESH, /* take one although there is a value */
    COMPUTE, /* store by the lease that is there, room for another */
    COMPUTE_NUMBER,
    EXTEND,
    RELEASE,
    CHANGE_KINDS
};

/* `stamp` tells the bytes of one value from those of any other. */
struct change {
    enum change_kind kind;
    uint32_t key, length, stamp;
};

struct seen {
    bool present, dirty;
    size_t length;
    uint64_t expire_at, modseq;
    struct fmm_lease lease; /* whether its owner lives or not */
    unsigned char value[VALUE_MAX];
};

struct fmm_key change_key(const struct fmm_cache *cache, uint32_t n);
/* A random change of that kind. */
struct change some_change(enum change_kind kind, uint32_t length_max);
/* FMM_DIRTY: the ticket's entry is to be written back first. */
enum fmm_status change_apply(struct fmm_cache *cache, const struct change *c,
                             struct fmm_ticket *ticket);
/* The same, writing back whatever is in the way. */
enum fmm_status change_complete(struct fmm_cache *cache,
                                const struct change *c);

void look_at(struct fmm_cache *cache, uint32_t n, struct seen *seen);
void look(struct fmm_cache *cache, struct seen seen[CHANGE_KEYS]);
/* The same but for dirty, which has rules of its own. */
bool is_same(const struct seen *a, const struct seen *b);
/* The same value, and the lease of `a` is not there. */
bool is_unleased(const struct seen *a, const struct seen *b);
/* Whether there was a value or a lease, and now there is neither. */
bool is_lost(const struct seen *old, const struct seen *now);
/* Whether it is the value of such a SET. */
bool is_value_of(const struct seen *seen, const struct change *c);
