/* Changed values on their way to write_cb, and stores that wait for them.
 *
 * Whatever tells the user's store of a key first takes the right to do so, see
 * py_writer.h, and then looks what is the newest: so the store ends with that,
 * whoever is slow. Who finds the right taken may leave a change to whoever has
 * it. */
#pragma once

#include "py_large.h"
#include "py_value.h"
#include "py_writer.h"

/* What fmm_set() takes beside the key. */
struct store_op {
    struct op op;
    const struct fmm_value *value;
    struct fmm_store store;
    struct fmm_ticket ticket;
};

/* A dirty entry that a call of the core handed out. */
struct handout {
    struct fmm_ticket ticket;
    uint64_t serial; /* fmm_serial() of its file */
};

enum write_outcome {
    WRITE_FAILED, /* write_cb did, which was logged, or nobody here can */
    WRITE_DONE,   /* or no longer needed */
    WRITE_BUSY    /* somebody else tells the store of the key */
};

/* Hand the newest version of an entry to write_cb, or its removal to
 * delete_cb, and mark it clean. With `section` its page is held. Of `how` the
 * waiting counts. Returns an outcome, or -1 with an exception. */
int writeback_entry(struct cache_object *self, struct handout *handout,
                    struct section *section, const struct writer_wish *how);
/* The same for a key, if it has a dirty entry. `*gone`, when there was one,
 * says that it is a removal. */
int writeback_key(struct cache_object *self, PyObject *key,
                  const struct writer_wish *how, bool *gone);
/* Take the right to tell the store of a key; waits as long as `lock_timeout`
 * says. Returns 0, or -1 with LockTimeout and others. */
int writeback_right(struct cache_object *self, PyObject *key,
                    struct writer **writer_out);
/* How long to wait for others who write, ms. */
int writeback_patience(const struct cache_object *self);

/* Make a call that may answer FMM_DIRTY, `*ticket` being filled, and repeat
 * it while entries can be written back; parts that it displaces are removed.
 * Returns a status other than that
 * (FMM_NO_ROOM when they cannot), or -1 with an exception. */
int writeback_call(struct cache_object *self, struct op *op, op_run run,
                   struct fmm_ticket *ticket);
/* Store a value. Of one that is in parts, `store->store.dirty` is false then:
 * it is to be written now. Returns as above. */
int writeback_store(struct cache_object *self, struct store_op *store);
/* The same by another call than fmm_set(), with `store->op` for its op. */
int writeback_store_by(struct cache_object *self, struct store_op *store,
                       op_run run);
/* The same into the page that is held. */
int writeback_store_held(struct section *section, struct store_op *store);
/* After a store that found no room: hand the value to write_cb, and let what
 * the cache has of the key go, which is older. Returns an outcome, or -1. */
int writeback_unfit(struct cache_object *self, PyObject *key, PyObject *value,
                    uint64_t expire_at);
