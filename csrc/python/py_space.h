/* Namespaces: the generations that their keys are in. */
#pragma once

#include "py_op.h"

/* The scope of keys in a namespace that has no generation: no entry has it. */
#define SPACE_NONE UINT64_MAX

/* Read, or make, the generation of a namespace: the scope of `op`, which has
 * begun. Returns 0, or -1 with an exception. */
int space_find(struct cache_object *self, struct op *op);
int space_make(struct cache_object *self, struct op *op);
/* Raise Error: the record of a namespace or tag finds no room. Returns -1. */
int space_raise_no_room(const struct cache_object *self);

/* The call that finds or makes it: the scope of the op is the answer. */
struct space_op {
    struct op op;
    const struct cache_object *space;
    bool make;
    struct fmm_ticket ticket;
};
enum fmm_status space_run(struct fmm_cache *cache, struct op *op);
/* It is a part of the key, whose hash is another from now on. */
void space_set_scope(struct op *op, uint64_t scope);
