/* Objects by pickle. The large buffers of an object (arrays, frames) are not in
 * its pickle, but beside it: they go into the file from where they are. */
#pragma once

#include "py_encoded.h"

/* Encode by pickle. Returns 0, or -1 with an exception. */
int pickle_encode(const struct cache_object *self, PyObject *object,
                  struct encoded *out);
/* The object of `len` bytes in a bytearray, VALUE_BUFFERS, of which it may keep
 * parts. NULL with CorruptError, or what pickle raises. */
PyObject *pickle_decode_block(const struct cache_object *self, PyObject *block,
                              size_t len);
/* The same of bytes elsewhere, which are copied. */
PyObject *pickle_decode_copy(const struct cache_object *self, const void *data,
                             size_t len);
