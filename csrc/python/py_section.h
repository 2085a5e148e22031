/* A section: user code that runs inside a cache, with or without holding one
 * of its pages. While there is one, any use of the cache by its thread is a
 * LockError; other threads and processes wait for its page.
 *
 * Sections live on the heap: a forked child has no stacks but its own. */
#pragma once

#include "py_op.h"

struct section {
    struct section *previous, *next; /* of this process */
    struct cache_object *cache;      /* a root; owned */
    struct mapping *map;             /* pinned; NULL: no page is held */
    struct fmm_parts displaced;      /* to be removed when the page is free */
    struct fmm_guard guard;
    unsigned long thread;
    uint64_t forks;
};

/* Enter without a page. NULL with MemoryError. */
struct section *section_enter(struct cache_object *cache);
/* Enter and take the page of `op`, which has begun and holds a key. NULL
 * with LockTimeout and others. */
struct section *section_take(struct cache_object *cache, struct op *op);
/* Give the page back and leave. Keeps an exception that is set. */
void section_leave(struct section *section);
/* Whether the page is held by this process, not by its parent. */
bool section_holds(const struct section *section);
/* LockError unless it is. To be asked after each piece of user code that ran
 * with the page held (callbacks, pickling, lifetimes), before anything is
 * stored: it may have forked, and this be the child. Returns 0, or -1. */
int section_require(const struct section *section);

/* LockError when the current thread is inside a section of the cache, a root,
 * or holds that page of the same file through another object, be it one of
 * another interpreter. */
int section_refuse_reentry(const struct cache_object *cache);
int section_refuse_page(const struct cache_object *cache, uint32_t page);
