/* What follows a removal in the user's store. */
#pragma once

#include "py_op.h"

/* Whether removals of this object leave a mark in the cache until the store
 * has been told: in write-back the order counts. */
bool remove_marks(const struct cache_object *self);
/* Tell the store of a removal, as far as that is due. No page may be held.
 * Returns 0, or -1 with an exception. */
int remove_finish(struct cache_object *self, PyObject *key, enum fmm_due due);
