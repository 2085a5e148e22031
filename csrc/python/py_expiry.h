/* Lifetimes and moments: from Python to milliseconds since 1970. */
#pragma once

#include "py_cache.h"

#define LIFETIME_NEVER (-1)

/* The two arguments; NULL and None are not given. `on` wins. */
struct expiry_args {
    PyObject *time; /* a lifetime: number of seconds, timedelta, text */
    PyObject *on;   /* a moment: seconds since 1970; 0 is never */
};

static inline bool
is_given(const PyObject *object)
{
    return object != NULL && object != Py_None;
}

/* When it expires; what is not given is `default_ms` from now, which may be
 * LIFETIME_NEVER. Returns 0, or -1 with TypeError or ValueError. */
int expiry_resolve(const struct cache_object *self,
                   const struct expiry_args *args, uint64_t now_ms,
                   int64_t default_ms, uint64_t *expire_at);
/* Seconds since 1970 as a float, or None for never. */
PyObject *expiry_to_object(uint64_t expire_at);
