/* Values larger than a page takes: their parts are stored before them, and
 * removed after them. */
#pragma once

#include "py_section.h"

/* A value on its way into parts. */
struct parts_job {
    struct op op;       /* of a part, and of its page */
    struct fmm_key key; /* of the value */
    struct fmm_parts_job split;
    struct fmm_ticket ticket;
    struct fmm_value head; /* what goes under the key when they are there */
};

/* Begin with a value that was too large for the store of `op`. */
void parts_init(struct parts_job *large, const struct op *op,
                const struct fmm_value *value, uint64_t expire_at);
/* Store its parts: the call that `large->op` is for. */
enum fmm_status parts_run(struct fmm_cache *cache, struct op *op);
/* The same while the key's page is held. Other pages are waited for only a
 * moment, so that two who hold one each part again. Returns FMM_OK,
 * FMM_NO_ROOM, or -1 with an exception. */
int parts_run_held(struct section *section, struct parts_job *large);

/* When what goes under the key was stored, or was not. */
void parts_finish(const struct cache_object *self,
                  const struct parts_job *large, bool stored);
/* Remove the parts of values that are there no more. Those on a page that is
 * busy now are left to eviction. */
void parts_drop(const struct cache_object *self,
                struct fmm_displaced *displaced);

/* Make a call that fills a ticket, as op_call() does. Whatever value in parts
 * it displaced, those parts go: nobody else looks after that. */
static inline int
parts_call(struct cache_object *self, struct op *op, op_run run,
           struct fmm_ticket *ticket)
{
    ticket->displaced.count = 0;
    int status = op_call(self, op, run);
    if (FMM_UNLIKELY(ticket->displaced.count != 0)) {
        parts_drop(self, &ticket->displaced);
    }
    return status;
}

/* The same without the GIL from the start. */
int parts_call_long(struct cache_object *self, struct op *op, op_run run,
                    struct fmm_ticket *ticket);

/* One of the two. */
typedef int (*parts_caller)(struct cache_object *self, struct op *op,
                            op_run run, struct fmm_ticket *ticket);

/* A call of the core for the page that is held. */
typedef enum fmm_status (*held_run)(const struct fmm_guard *guard, void *what);

/* The same for such a call; the parts go when the page is given back. */
enum fmm_status parts_call_held(struct section *section, held_run run,
                                void *what, struct fmm_ticket *ticket);
