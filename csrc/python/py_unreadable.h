/* Values that cannot be read any more: their class has moved, their bytes are
 * cut short, their compressor refuses them. fastmmap.unreadable says which
 * exceptions mean that. */
#pragma once

#include "py_cache.h"

/* Log the exception that is set, of decoding the value of a key, with what
 * becomes of the value. Returns 1 when it is about the value; 0 when it says
 * nothing of it, as a signal's does. The exception stays set in both cases;
 * -1 with another one. */
int unreadable_tell(const struct cache_object *self, PyObject *key,
                    const char *outcome);
/* Look a key up like get(), for one who can compute it: a value that
 * cannot be read is logged, removed unless it has changed since, and missing.
 * One that is yet to be written back is an exception: it would be lost. */
int unreadable_read(struct cache_object *self, PyObject *key, bool share,
                    PyObject **value);
