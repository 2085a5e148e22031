#include "py_block.h"

#include "py_remove.h"

struct block *
block_take(struct cache_object *cache, PyObject *key,
           const int64_t *timeout_ms)
{
    struct block *block = PyMem_Calloc(1, sizeof(*block));
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    block->references = 1;
    block->thread = PyThread_get_thread_ident();
    if (held_key_take(cache, &block->held, key, timeout_ms) < 0) {
        block_drop(block);
        return NULL;
    }
    return block;
}

struct block *
block_keep(struct block *block)
{
    block->references++;
    return block;
}

void
block_drop(struct block *block)
{
    block->references--;
    if (block->references == 0) {
        held_key_release(&block->held);
        value_free(&block->encoded);
        Py_XDECREF(block->value);
        PyMem_Free(block);
    }
}

PyObject *
block_value(struct cache_object *cache, struct block *block)
{
    if (block->value == NULL) {
        PyObject *value = held_key_value(cache, &block->held);
        if (value == NULL) {
            return NULL;
        }
        if (block->value != NULL) { /* while it was decoded */
            Py_DECREF(value);
        }
        else {
            block->value = value;
        }
    }
    return Py_NewRef(block->value);
}

/* ----------------------------------------------------------------- changes */

static int
require_held(const struct cache_object *cache, const struct block *block)
{
    if (block->held.section != NULL) {
        return section_require(block->held.section);
    }
    PyErr_Format(cache->state->lock_error,
                 "%U: the block of this lock() has ended: nothing was stored",
                 cache->path);
    return -1;
}

/* Note what the end will do. `encoded` and `value` are taken over; what they
 * replace goes last, for its end may run code that looks at the block. */
static void
plan(struct block *block, enum block_action action, PyObject *value,
     struct encoded *encoded)
{
    PyObject *old_value = block->value;
    PyObject *old_backing = block->encoded.backing;
    block->encoded.backing = NULL;
    block->value = value;
    block->action = action;
    if (encoded != NULL) {
        value_move(&block->encoded, encoded);
    }
    Py_XDECREF(old_value);
    Py_XDECREF(old_backing);
}

/* Encode now, so that an error shows where the value was given. */
int
block_change(struct cache_object *cache, struct block *block,
             const struct store_request *request)
{
    struct encoded encoded;
    struct fmm_store_options store;
    if (require_held(cache, block) < 0 ||
        held_key_resolve(cache, &block->held, request, &store) < 0 ||
        value_encode(cache, request->value, &encoded) < 0) {
        return -1;
    }
    if (value_freeze(&encoded) < 0) {
        value_free(&encoded);
        return -1;
    }
    if (require_held(cache, block) < 0) { /* what ran may have ended it */
        value_free(&encoded);
        return -1;
    }
    block->store = store;
    plan(block, BLOCK_STORE, Py_NewRef(request->value), &encoded);
    return 0;
}

int
block_remove(const struct cache_object *cache, struct block *block)
{
    if (require_held(cache, block) < 0) {
        return -1;
    }
    plan(block, BLOCK_REMOVE, Py_NewRef(Py_None), NULL);
    return 0;
}

/* ----------------------------------------------------------------- the end */

static int
write_value(struct cache_object *cache, struct block *block, PyObject *key)
{
    const struct store_request request = {.key = key, .value = block->value};
    struct fmm_store_options store = block->store;
    int status =
        held_key_store(&block->held, &request, &block->encoded, &store);
    held_key_leave(&block->held);
    if (status < 0 || store_tell(cache, &request, status, &store) < 0) {
        return -1;
    }
    if (status > 0) {
        store_raise_refused(cache, key, status);
        return -1;
    }
    return 0;
}

static int
remove_key(struct cache_object *cache, struct block *block, PyObject *key)
{
    const struct fmm_removal plainly = {.mark = remove_marks(cache)};
    enum fmm_due due = FMM_DUE_NOTHING;
    int status = writeback_remove_held(block->held.section, &block->held.op,
                                       &plainly, &due);
    held_key_leave(&block->held);
    return status < 0 ? -1 : remove_finish(cache, key, due);
}

int
block_finish(struct cache_object *cache, struct block *block, PyObject *key)
{
    int outcome = require_held(cache, block);
    if (outcome == 0 && block->action == BLOCK_STORE) {
        outcome = write_value(cache, block, key);
    }
    else if (outcome == 0 && block->action == BLOCK_REMOVE) {
        outcome = remove_key(cache, block, key);
    }
    held_key_leave(&block->held);
    return outcome;
}

void
block_cancel(struct block *block)
{
    held_key_leave(&block->held);
    plan(block, BLOCK_KEEP, NULL, NULL);
}
