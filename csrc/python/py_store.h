/* Storing a value under a key: encode, store, tell write_cb. */
#pragma once

#include "py_expiry.h"
#include "py_writeback.h"

/* A store as it was asked for. Borrowed references; NULL: not given. */
struct store_request {
    PyObject *key, *value;
    struct expiry_args expiry;
    PyObject *modseq;
    PyObject *tags; /* an iterable */
    enum fmm_store_mode mode;
};

/* Returns FMM_OK, FMM_EXISTS, FMM_MISS, FMM_STALE, FMM_NO_ROOM, or -1 with
 * an exception. */
int store_run(struct cache_object *self, const struct store_request *request);
/* What write_cb is to be told after a store that ended with `status`.
 * Returns the status, or -1 with an exception that is no Exception. */
int store_tell(struct cache_object *self, const struct store_request *request,
               int status, const struct fmm_store_options *store);
/* Raise ValueError for a value that a mapping must not lose. */
void store_raise_refused(const struct cache_object *self, PyObject *key,
                         int status);
/* The pairs of a mapping, or of an iterable of pairs, as a tuple of tuples;
 * NULL with an exception. */
PyObject *store_pairs(PyObject *mapping);
