/* Values larger than a page takes: their parts are stored before them, and
 * removed after them. */
#pragma once

#include "py_section.h"

/* A value on its way into parts. */
struct large {
    struct op op;       /* of a part, and of its page */
    struct fmm_key key; /* of the value */
    struct fmm_split split;
    struct fmm_ticket ticket;
    struct fmm_value head; /* what goes under the key when they are there */
};

/* Begin with a value that was too large for the store of `op`. */
void large_init(struct large *large, const struct op *op,
                const struct fmm_value *value, uint64_t expire_at);
/* Store its parts: the call that `large->op` is for. */
enum fmm_status large_run(struct fmm_cache *cache, struct op *op);
/* The same while the key's page is held. Other pages are waited for only a
 * moment, so that two who hold one each part again. Returns FMM_OK,
 * FMM_NO_ROOM, or -1 with an exception. */
int large_run_held(struct section *section, struct large *large);

/* Give the parts of a value the lifetime that it has got. Returns 0, or -1
 * with an exception. */
int large_touch(struct cache_object *self, const struct fmm_parts *parts,
                uint64_t expire_at);
/* Remove the parts of a value that is there no more, if it had any. Those on
 * a page that is busy now are left to eviction. */
void large_drop(const struct cache_object *self,
                const struct fmm_parts *parts);

/* Make a call that fills a ticket, as op_call() does. Whatever value in parts
 * it displaced, those parts go: nobody else looks after that. */
static inline int
large_call(struct cache_object *self, struct op *op, op_run run,
           struct fmm_ticket *ticket)
{
    ticket->displaced.length = 0;
    int status = op_call(self, op, run);
    if (UNLIKELY(ticket->displaced.length != 0)) {
        large_drop(self, &ticket->displaced);
    }
    return status;
}

/* A call of the core for the page that is held. */
typedef enum fmm_status (*held_run)(const struct fmm_guard *guard, void *what);

/* The same for such a call; the parts go when the page is given back. */
enum fmm_status large_call_held(struct section *section, held_run run,
                                void *what, struct fmm_ticket *ticket);
