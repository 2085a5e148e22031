/* Python objects to stored values and back. */
#pragma once

#include "py_encoded.h"

/* Returns 0, or -1 with an exception, that of the serializer among them. */
int value_encode(const struct cache_object *self, PyObject *object,
                 struct encoded *out);
/* Let it be as it is now, whatever becomes of the object: its bytes may be the
 * object's own. Returns 0, or -1 with an exception. */
int value_freeze(struct encoded *encoded);
void value_encode_not_found(struct encoded *out);
void value_free(struct encoded *encoded);
/* Take over `from`, which is empty afterwards; what `to` had is freed. */
void value_move(struct encoded *to, struct encoded *from);

/* A new object of a value that was copied out. */
PyObject *value_decode(const struct cache_object *self,
                       const struct fmm_meta *meta, const void *data);
/* The same; takes over `bytes`, or a bytearray that is nobody else's, which may
 * be longer than the value. */
PyObject *value_decode_bytes(const struct cache_object *self,
                             const struct fmm_meta *meta, PyObject *bytes);
