/* The user's read_cb, write_cb and delete_cb. */
#pragma once

#include "py_section.h"
#include "py_value.h"

/* Ask read_cb for a key that is missing, and store what it gives. A new
 * reference in `*value`; returns 1, 0 for "no such thing", or -1 with its
 * exception. */
int callback_read(struct cache_object *self, PyObject *key, PyObject **value);
/* Hand a value to write_cb. Returns 1 when it took it, 0 when it failed,
 * which is logged, or -1 with an exception that is no Exception. */
int callback_write(struct cache_object *self, PyObject *key, PyObject *value,
                   uint64_t expire_at);
/* Tell delete_cb, if there is one. Returns 0, or -1 as above. */
int callback_delete(struct cache_object *self, PyObject *key);
/* Log the exception that is set, of a callback. Returns 0, or -1 as above. */
int callback_log(struct cache_object *self, const char *callback,
                 PyObject *key);
