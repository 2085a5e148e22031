/* The marks that read_cb, of this object or another one, found nothing. They
 * read as a miss, and yet are entries. */
#pragma once

#include "py_begin.h"

/* Forget the mark of a key, before the key is changed in a way that depends on
 * what is there. Returns 1, 0 when there was none, or -1 with an exception. */
int missing_forget(struct cache_object *self, PyObject *key);

/* Begin an operation that tells whether there was a value: where this object
 * leaves marks, one under the key goes first. Returns 0, or -1 with an
 * exception. */
static inline int
missing_begin(struct cache_object *self, PyObject *key, struct op *op)
{
    if (FMM_UNLIKELY(self->cache_not_found) && missing_forget(self, key) < 0) {
        return -1;
    }
    return op_set_key(self, key, &op->key) < 0 ? -1 : op_begin(self, op);
}
