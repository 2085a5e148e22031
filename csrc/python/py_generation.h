/* Namespaces: the scopes of their keys. */
#pragma once

#include "py_op.h"

/* Find the scope of the keys of a namespace: that of `op`, which has begun.
 * Returns 0, or -1 with an exception. */
int generation_find(struct cache_object *self, struct op *op);
/* Something was stored in a namespace by `op`: note its name, and those of what
 * it is in. */
void generation_note(const struct cache_object *self, const struct op *op);
