/* Namespaces: the generations that their keys are in. */
#pragma once

#include "py_cache.h"

struct op;

/* The scope of keys in a namespace that has no generation: no entry has it. */
#define SPACE_NONE UINT64_MAX

/* Read, or make, the generation of a namespace: the scope of `op`, which has
 * begun. Returns 0, or -1 with an exception. */
int space_find(struct cache_object *self, struct op *op);
int space_make(struct cache_object *self, struct op *op);
/* Raise Error: the record of a namespace or tag finds no room. Returns -1. */
int space_raise_no_room(const struct cache_object *self);
