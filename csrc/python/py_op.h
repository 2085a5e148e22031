/* One operation: a call of the core, made so that no page is held while
 * waiting for the GIL, and the GIL not while waiting for a page.
 *
 * The call is tried once with the GIL. When the page is not free, the GIL
 * is released and the same whole call repeated in slices. When the file was
 * replaced, the object attaches to the new one, and the call is repeated. */
#pragma once

#include "py_args.h"
#include "py_cache.h"

/* What each needs; the first member of a struct that holds the rest. */
struct op {
    struct fmm_call call;
    struct fmm_key key;     /* of operations on whole pages only `page` */
    int64_t timeout_ms;     /* for the page; < 0: without end */
    uint64_t record_hash;   /* of the namespace's record; 0: in none */
    struct mapping *pinned; /* with `pin`, where the call succeeded */
    bool pin;
    bool quiet; /* FMM_BUSY, when the time is over, is an answer */
};

/* Makes the whole call, at times without the GIL: nothing of Python. */
typedef enum fmm_status (*op_run)(struct fmm_cache *cache, struct op *op);

int op_begin_slow(struct cache_object *self, uint64_t now_ms);
int op_settle(struct cache_object *self, struct op *op, op_run run,
              enum fmm_status status);

#define FILE_CHECK_MS 1000u

/* Now, as this process has it. */
static inline uint64_t
op_now(const struct cache_object *self)
{
    return fmm_now_ms() + (uint64_t)self->state->travel_ms;
}

/* Whether an operation has more to do when it begins than to tell the time. */
static inline bool
op_is_slow(const struct cache_object *root, uint64_t now_ms)
{
    return root->sections != 0 || now_ms - root->checked_ms >= FILE_CHECK_MS;
}

/* Hash a key, unless it was for this file. */
static inline void
op_hash_key(const struct fmm_cache *cache, struct fmm_key *key)
{
    if (FMM_UNLIKELY(key->hashed_by != fmm_serial(cache))) {
        fmm_key_hash(cache, key);
    }
}

/* The same for that of an operation. Each run does, for the file may be
 * another by then. */
static inline void
op_hash(const struct fmm_cache *cache, struct op *op)
{
    op_hash_key(cache, &op->key);
}

/* Hold the page of an operation's key. Returns what fmm_guard_take does. */
static inline enum fmm_status
op_guard_take(struct fmm_cache *cache, struct op *op, struct fmm_guard *guard)
{
    op_hash(cache, op);
    return fmm_guard_take(cache, &op->call, op->key.page, guard);
}

/* Set the key of an operation, before it begins. In a cache, what the key is
 * looked up in is on its way from memory from now on; in a namespace, that is
 * known only once its scope is. Returns 0, or -1 with an exception. */
static inline int
op_set_key(const struct cache_object *self, PyObject *object,
           struct fmm_key *key)
{
    const struct mapping *map = self->root->map;
    if (key_from_object(object, key) < 0) {
        return -1;
    }
    if (FMM_LIKELY(map != NULL && self->parent == NULL)) {
        op_hash_key(map->cache, key);
    }
    return 0;
}

/* Make the call of an operation that has begun. Returns a status >= 0 other
 * than FMM_RETIRED, and than FMM_BUSY but for quiet ones, or -1 with an
 * exception. */
static inline int
op_call(struct cache_object *self, struct op *op, op_run run)
{
    const struct mapping *map = self->root->map;
    if (FMM_UNLIKELY(map == NULL)) {
        return cache_raise_closed(self);
    }
    enum fmm_status status = run(map->cache, op);
    if (FMM_LIKELY((status == FMM_OK || status == FMM_MISS) &&
                   !self->sigbus_guard)) {
        return (int)status;
    }
    return op_settle(self, op, run, status);
}

/* How long to wait, ms, < 0: without end. While the interpreter ends no wait
 * is without one. */
int64_t op_limit_patience(int64_t timeout_ms);
/* Raise LockTimeout for the page of `op`. Returns -1. */
int op_raise_timeout(const struct cache_object *self, const struct op *op);
/* CorruptError when the file of a guarded map was truncated, since when all
 * that was read or stored is void. Ordinary operations ask by themselves;
 * sections, which use the map they pinned, ask when they took the page and
 * when they stored. */
int op_refuse_damaged(const struct cache_object *self,
                      const struct mapping *map);

/* To copy more bytes than that takes longer than others should wait. */
#define OP_LONG_SIZE 262144u
/* The same without the GIL from the start, for calls that take long. */
int op_call_long(struct cache_object *self, struct op *op, op_run run);
