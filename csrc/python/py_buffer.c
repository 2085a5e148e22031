#include "py_buffer.h"

#define HUGE_LEAST ((size_t)4 << 20) /* where larger pages pay */

PyObject *
buffer_new_block(size_t size)
{
    PyObject *block = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (block != NULL && size >= HUGE_LEAST) {
        fmm_expect_filled(PyByteArray_AS_STRING(block), size);
    }
    return block;
}

static PyObject *
new_bytes(size_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (bytes != NULL && size >= HUGE_LEAST) {
        fmm_expect_filled(PyBytes_AS_STRING(bytes), size);
    }
    return bytes;
}

static void *
data_of(PyObject *bytes)
{
    return PyByteArray_CheckExact(bytes) ? PyByteArray_AS_STRING(bytes)
                                         : PyBytes_AS_STRING(bytes);
}

/* What was there is not kept: the call fills it from the start. */
static int
make_room(struct buffer *buffer, size_t size)
{
    if (size <= buffer->capacity) {
        return 0;
    }
    buffer_drop(buffer);
    buffer->bytes =
        buffer->is_block ? buffer_new_block(size) : new_bytes(size);
    if (buffer->bytes == NULL) {
        return -1;
    }
    buffer->data = data_of(buffer->bytes);
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
