/* A block: one turn of a thread inside `with cache.lock(key)`. What it read,
 * and what it is going to store. The item that the block is about may be used
 * by many threads; a block is changed by its own thread only, and by nobody
 * once it was taken out of the item to be finished. */
#pragma once

#include "py_held_key.h"

enum block_action { BLOCK_KEEP, BLOCK_STORE, BLOCK_REMOVE };

/* Guarded by the GIL. */
struct block {
    struct block *next; /* of the same item */
    size_t references;
    unsigned long thread;
    struct held_key
        held;        /* its section is NULL from the end of the block on */
    PyObject *value; /* as it will be; NULL: not decoded yet */
    enum block_action action;
    struct encoded encoded; /* of BLOCK_STORE */
    struct fmm_store_options store;
};

/* Wait for the page and read the key, which must live on. A block with one
 * reference, or NULL with LockTimeout, LockError and others. */
struct block *block_take(struct cache_object *cache, PyObject *key,
                         const int64_t *timeout_ms);
struct block *block_keep(struct block *block);
/* With the last reference, the page is given back if it is held, and nothing
 * is written. */
void block_drop(struct block *block);

/* The value as it will be, None when there is none; a new reference. */
PyObject *block_value(struct cache_object *cache, struct block *block);
/* What will be stored when the block ends. Return 0, or -1 with an exception:
 * LockError when it ended, or in a child forked inside it. */
int block_change(struct cache_object *cache, struct block *block,
                 const struct store_request *request);
int block_remove(const struct cache_object *cache, struct block *block);
/* End it: store, give the page back, and tell the callbacks. Returns 0, or -1
 * with an exception. */
int block_finish(struct cache_object *cache, struct block *block,
                 PyObject *key);
/* End it, and store nothing. */
void block_cancel(struct block *block);
