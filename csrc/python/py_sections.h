/* A section: user code that runs inside a cache, with or without holding one
 * of its pages. While there is one, any use of the cache by its thread is a
 * LockError; other threads and processes wait for its page.
 *
 * Here is the list of those of this process, and what is refused because of
 * them. They live on the heap: a forked child has no stacks but its own. */
#pragma once

#include "py_cache.h"

struct section {
    struct section *previous, *next; /* of this process */
    struct cache_object *cache;      /* a root; owned */
    struct mapping *map;             /* pinned; NULL: no page is held */
    struct fmm_displaced displaced;  /* to be removed when the page is free */
    struct fmm_guard guard;
    unsigned long thread;
    uint64_t forks;
};

/* One that is in the list, and not begun: its thread is nobody yet. NULL with
 * MemoryError. */
struct section *section_new(struct cache_object *cache);
/* Out of the list again. */
void section_unlink(struct section *section);

/* LockError when the current thread is inside a section of the cache, a root,
 * or holds that page of the same file through another object, be it one of
 * another interpreter. */
int section_refuse_reentry(const struct cache_object *cache);
int section_refuse_page(const struct cache_object *cache, uint32_t page);
