#include "py_buffer.h"

/* What was there is not kept: the call fills it from the start. */
static int
make_room(struct buffer *buffer, size_t size)
{
    if (size <= buffer->capacity) {
        return 0;
    }
    buffer_drop(buffer);
    buffer->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (buffer->bytes == NULL) {
        return -1;
    }
    buffer->data = PyBytes_AS_STRING(buffer->bytes);
    buffer->capacity = size;
    return 0;
}

int
buffer_fill(struct buffer *buffer, size_t size, buffer_call call,
            struct cache_object *self, void *what)
{
    int status = FMM_TOO_SMALL;
    buffer->needed = size;
    while (status == FMM_TOO_SMALL) {
        if (make_room(buffer, buffer->needed) < 0) {
            return -1;
        }
        status = call(self, what);
    }
    return status;
}
