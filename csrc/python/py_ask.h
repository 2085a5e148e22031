/* Asking the user's store: read_cb, for what the cache has not. */
#pragma once

#include "py_cache.h"

/* Ask read_cb for a key that is missing, and store what it gives. A new
 * reference in `*value`; returns 1, 0 for "no such thing", or -1 with its
 * exception. */
int ask_read_cb(struct cache_object *self, PyObject *key, PyObject **value);
