/* Telling the user's store: write_cb and delete_cb. Asking it is py_ask.h. */
#pragma once

#include "py_section.h"
#include "py_value.h"

/* Hand a value to write_cb. Returns 1 when it took it, 0 when it failed,
 * which is logged, or -1 with an exception that is no Exception. */
int callback_write(struct cache_object *self, PyObject *key, PyObject *value,
                   uint64_t expire_at);
/* Tell delete_cb, if there is one. Returns 0, or -1 as above. */
int callback_delete(struct cache_object *self, PyObject *key);
/* Log the exception that is set, of a callback. Returns 0, or -1 as above. */
int callback_log(struct cache_object *self, const char *callback,
                 PyObject *key);
/* The first argument of callbacks; a borrowed reference. */
PyObject *callback_context(const struct cache_object *self);
/* Call one; without allow_recursive the cache is not to be used meanwhile. */
PyObject *callback_call(struct cache_object *self, PyObject *callback,
                        PyObject *const *args, size_t count);
