/* Changed values on their way to write_cb, and stores that wait for them. */
#pragma once

#include "py_large.h"
#include "py_value.h"

/* What fmm_set() takes beside the key. */
struct store_op {
    struct op op;
    const struct fmm_value *value;
    struct fmm_store store;
    struct fmm_ticket ticket;
};

/* Hand the entry of a ticket to write_cb, and mark it clean. With `section`
 * its page is held. Returns 1 when that is done or no longer needed, 0 when
 * write_cb failed, or -1 with an exception. */
int writeback_entry(struct cache_object *self, struct fmm_ticket *ticket,
                    struct section *section);
/* Write an expired entry of the key back, before it is read anew. Returns as
 * above. */
int writeback_expired(struct cache_object *self, PyObject *key);

/* Make a call that may answer FMM_DIRTY, `*ticket` being filled, and repeat
 * it while entries can be written back; parts that it displaces are removed.
 * Returns a status other than that
 * (FMM_NO_ROOM when they cannot), or -1 with an exception. */
int writeback_call(struct cache_object *self, struct op *op, op_run run,
                   struct fmm_ticket *ticket);
/* Store a value. One that is in parts is stored clean: `store->store.dirty`
 * tells. Returns as above. */
int writeback_store(struct cache_object *self, struct store_op *store);
/* The same by another call than fmm_set(), with `store->op` for its op. */
int writeback_store_by(struct cache_object *self, struct store_op *store,
                       op_run run);
/* The same into the page that is held. */
int writeback_store_held(struct section *section, struct store_op *store);
