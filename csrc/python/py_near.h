/* The near cache: finished objects of values, kept beside the file, and handed
 * out again for as long as the file still has those values.
 *
 * A cache object has one table, of at most so many bytes, which its namespaces
 * share. A key that is asked for a second time is kept; one that is not costs a
 * look at one line of memory. Nothing is ever stale: each hit asks
 * fmm_see_again(). Guarded by the GIL; the hashes may be any, for keys are
 * compared. */
#pragma once

#include "py_state.h"

#define NEAR_WAYS 3u

/* An object that is kept: one line of memory. */
struct near_way {
    PyObject *key;   /* exact str or bytes; owned; NULL: free */
    PyObject *value; /* owned */
    struct fmm_sighting place;
    uint32_t charge; /* bytes of the budget */
    bool shared;     /* may be changed: for those who promised not to */
    bool scoped;     /* the key of a namespace; the scope is in the hash */
};

/* What a few of them have in common: half a line. Those that are kept lie apart, so
 * that what is not costs no more than this. */
struct near_set {
    uint64_t hashes[NEAR_WAYS];
    uint32_t noted;   /* the upper half of that of a key asked for once */
    uint8_t patience; /* how many others come before another is noted */
    uint8_t used;     /* a bit for each way that had a hit lately */
    uint8_t turn;     /* which one goes next */
    uint8_t calm;     /* how often one is not kept, for it would change */
};

static_assert(sizeof(struct near_way) == 64, "one line");
static_assert(sizeof(struct near_set) == 32, "half a line");

struct near {
    struct near_set *sets; /* NULL: off */
    struct near_way *ways; /* NEAR_WAYS of each */
    uint64_t mask;
    void *memory;        /* that they are in; owned */
    size_t budget, used; /* bytes */
    size_t hand;         /* the set that gives up something next */
    uint32_t draw;
};

/* Bytes where values may be shared and nothing was said. */
#define NEAR_DEFAULT ((size_t)4 << 20)

/* What is known of a key. */
enum near_state {
    NEAR_OFF,     /* it cannot be near */
    NEAR_NOT,     /* it is not */
    NEAR_UNASKED, /* nobody has looked yet */
    NEAR_WANTED,  /* it is not, and what is read for it is to be kept */
    NEAR_HAS      /* it seems to be */
};

/* A key that may be near. */
struct near_ask {
    PyObject *key; /* borrowed */
    uint64_t hash;
    bool scoped;
    bool share; /* who asks promised not to change what it gets */
};

/* Keep at most that many bytes from now on, 0: nothing, and no more what is
 * there. No memory for it: off. */
void near_open(struct near *near, size_t budget);
/* Forget all that is kept; close: and keep nothing from now on. Both may run
 * code of Python last. */
void near_clear(struct near *near);
void near_close(struct near *near);
int near_traverse(const struct near *near, visitproc visit, void *arg);

/* The object of a key that seems to be near; a new reference, or NULL without
 * an exception. May run code of Python then. */
PyObject *near_serve(struct near *near, struct fmm_cache *cache,
                     const struct fmm_call *call, const struct near_ask *ask);
/* Whether a key that was noted is to be kept. */
bool near_wants(struct near *near, struct near_set *set);
/* Keep what was read, where it may be kept and there is memory. May run code of
 * Python. */
void near_keep(struct near *near, const struct near_ask *ask,
               const struct fmm_sighting *place, PyObject *value,
               size_t value_len);

static inline struct near_set *
near_set_of(const struct near *near, uint64_t hash)
{
    return &near->sets[hash >> 8 & near->mask];
}

/* Look for a hash. What is not there is noted, if it is the first in a while,
 * before it is known whether the file has it. */
static inline enum near_state
near_look(struct near *near, uint64_t hash)
{
    struct near_set *set = near_set_of(near, hash);
    if (set->hashes[0] == hash || set->hashes[1] == hash ||
        set->hashes[2] == hash) {
        return NEAR_HAS;
    }
    if (FMM_UNLIKELY(set->noted == (uint32_t)(hash >> 32))) {
        return near_wants(near, set) ? NEAR_WANTED : NEAR_NOT;
    }
    if (set->patience-- == 0) {
        set->noted = (uint32_t)(hash >> 32);
        set->patience = NEAR_WAYS;
    }
    return NEAR_NOT;
}
