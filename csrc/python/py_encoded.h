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
