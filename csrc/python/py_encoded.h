/* Values as they are on their way into the file. */
#pragma once

#include "py_cache.h"

/* The type tags of the file, beside the core's FMM_TYPE_INT. */
enum value_type {
    VALUE_INT = FMM_TYPE_INT,
    VALUE_BYTES = 2,
    VALUE_STR = 3,     /* UTF-8; lone surrogates are kept */
    VALUE_BIG_INT = 4, /* little-endian two's complement */
    VALUE_FLOAT = 5,   /* a double */
    VALUE_TRUE = 6,
    VALUE_FALSE = 7,
    VALUE_NONE = 8,
    VALUE_OBJECT = 9,     /* bytes of the serializer */
    VALUE_TEXT = 10,      /* a str, UTF-8, of the serializer */
    VALUE_NOT_FOUND = 11, /* read_cb found nothing; reads as a miss */
    VALUE_BUFFERS = 12,   /* a pickle, and buffers beside it */
};

/* A value on its way into the file. Not to be copied but by value_move():
 * `value` may point into it. */
struct encoded {
    struct fmm_value value;
    PyObject *backing; /* keeps the bytes alive */
    union {
        int64_t integer;
        double real;
    } scalar;
};

static inline void
encoded_set(struct encoded *out, enum value_type type, const void *data,
            size_t len)
{
    out->value.data = data;
    out->value.len = len;
    out->value.type = (uint8_t)type;
    out->value.compressed = false;
    out->value.split = false;
    out->value.pieces = NULL;
    out->value.skip = 0;
}

/* The bytes of an object that `out` takes over; NULL passes an error on. */
static inline int
encoded_set_bytes(struct encoded *out, enum value_type type, PyObject *bytes)
{
    if (bytes == NULL) {
        return -1;
    }
    out->backing = bytes;
    encoded_set(out, type, PyBytes_AS_STRING(bytes),
                (size_t)PyBytes_GET_SIZE(bytes));
    return 0;
}
