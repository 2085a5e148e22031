/* A lease that this process has: what is needed to store under it and to give
 * it back, whatever became of the cache object meanwhile.
 *
 * It is taken and noted in one call from Python, with no code of Python behind
 * the take: no exception can come between the two. Giving it back asks for
 * nothing, waits for nothing and calls nobody. Guarded by the GIL. */
#pragma once

#include "py_mapping.h"

struct holding {
    struct holding *next; /* of those of one lock, or of the unsure ones */
    struct mapping *map;  /* pinned; NULL: nothing is held */
    PyObject *name;       /* the key: its bytes are those of `key` */
    struct fmm_key key;
    uint64_t token;
    uint64_t forks; /* fmm_forks() when it was taken: a child has it not */
    /* Of locks: who has it, how often, and for how long at a time. */
    PyObject *caller;
    unsigned long thread;
    size_t depth;
    uint64_t duration_ms;
};

/* One that holds nothing yet. NULL with MemoryError. */
struct holding *holding_new(PyObject *name);
/* Forget it; what it holds is given back. */
void holding_free(struct module_state *state, struct holding *holding);

/* Whether this process, not its parent, holds something. */
bool holding_is_mine(const struct holding *holding);
/* Give it back. False: it was lost before, or is a parent's. */
bool holding_release(struct module_state *state, struct holding *holding);
/* Hold it no longer: a value took its place. */
void holding_drop(struct holding *holding);
/* Give back again those of which it is not sure that they ended. */
void holding_confirm_all(struct module_state *state);
/* The same for the last time. */
void holding_forget_all(struct module_state *state);
static inline void
holding_confirm(struct module_state *state)
{
    if (FMM_UNLIKELY(state->unsure != NULL)) {
        holding_confirm_all(state);
    }
}
