/* Stores that may have to wait until changed values were written back. */
#pragma once

#include "py_parts.h"
#include "py_tell.h"
#include "py_value.h"

/* What fmm_set() takes beside the key. */
struct store_op {
    struct op op;
    const struct fmm_value *value;
    struct fmm_store_options store;
    struct fmm_ticket ticket;
    /* What write_cb is told of a changed value, key and value; borrowed. NULL:
     * nothing. */
    PyObject *key, *object;
};

/* Make a call that may answer FMM_DIRTY, `*ticket` being filled, and repeat
 * it while entries can be written back. Returns a status other than that
 * (FMM_NO_ROOM when they cannot), or -1 with an exception. */
int writeback_call(struct cache_object *self, struct op *op, op_run run,
                   struct fmm_ticket *ticket);
/* Store a value. One that is in parts is stored clean: parts are not held back
 * from eviction; so write_cb is told of a changed one before. Returns as
 * above. */
int writeback_store(struct cache_object *self, struct store_op *store);
/* The same by another call than fmm_set(), with `store->op` for its op. */
int writeback_store_by(struct cache_object *self, struct store_op *store,
                       op_run run);
/* The same into the page that is held. */
int writeback_store_held(struct section *section, struct store_op *store);
/* Remove a key of the page that is held, where that may need room. Returns a
 * status, or -1. */
int writeback_remove_held(struct section *section, const struct op *op,
                          const struct fmm_removal *removal,
                          enum fmm_due *due_out);
