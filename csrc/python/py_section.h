/* Entering a section and leaving it, with a page or without one. */
#pragma once

#include "py_op.h"
#include "py_sections.h"

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
