/* Memory that a call of the core fills, had before the call: nothing is
 * allocated while a page is held, or without the GIL. How much is needed the
 * call knows, and by the next one it may be more. */
#pragma once

#include "py_state.h"

struct buffer {
    PyObject *
        bytes; /* or a bytearray; owned; NULL: none, or `data` is the caller's own */
    void *data;
    size_t capacity;
    size_t needed; /* after FMM_TOO_SMALL, set by the call */
    bool is_block; /* it is to be a bytearray, which the value may keep */
};

struct cache_object;

/* Makes a call that fills the buffer, which `what` knows. Returns a status, or
 * -1 with an exception; FMM_TOO_SMALL sets `needed`. */
typedef int (*buffer_call)(struct cache_object *self, void *what);

/* Make the call with room for `size` bytes, and again with more room until
 * what it copies fits. Returns what the call does. */
int buffer_fill(struct buffer *buffer, size_t size, buffer_call call,
                struct cache_object *self, void *what);
/* A bytearray of that many bytes, not set; NULL with an exception. */
PyObject *buffer_new_block(size_t size);
/* Without what it holds; fine when there is nothing. */
static inline void
buffer_drop(struct buffer *buffer)
{
    buffer->capacity = 0;
    Py_CLEAR(buffer->bytes);
}
/* Take out what it holds. */
static inline PyObject *
buffer_take(struct buffer *buffer)
{
    PyObject *bytes = buffer->bytes;
    buffer->bytes = NULL;
    buffer->capacity = 0;
    return bytes;
}
