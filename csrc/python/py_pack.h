/* Compression of encoded values: the length they had, then the result. */
#pragma once

#include "py_encoded.h"

/* Compress in place, if the cache does so and it makes the value smaller.
 * Returns 0, or -1 with an exception. */
int pack_value(const struct cache_object *self, struct encoded *encoded);
/* A bytes object of what was compressed, or NULL with CorruptError and
 * others. */
PyObject *unpack_value(const struct cache_object *self,
                       const unsigned char *data, size_t len);
