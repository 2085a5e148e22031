/* A key whose page is held while user code runs. */
#pragma once

#include "py_buffer.h"
#include "py_section.h"
#include "py_store.h"

struct held_key {
    struct section *section; /* NULL: not held */
    struct op op;
    struct fmm_meta meta; /* when found */
    struct buffer buffer; /* holds the value, and may be longer */
    bool found;
};

/* Begin `op`, take the page of `key` and read its value. Returns 0, or -1
 * with an exception. */
int held_key_take(struct cache_object *self, struct held_key *held,
                  PyObject *key, const int64_t *timeout_ms);
/* The value, None when there is none; a new reference. */
PyObject *held_key_value(struct cache_object *self,
                         const struct held_key *held);
/* Give the page back; what was read stays. */
void held_key_leave(struct held_key *held);
/* Give the page back, if it is held, and forget what was read. */
void held_key_release(struct held_key *held);
/* How a held key is to be stored: as asked for, else with the expiry that it
 * has, else with the default one. Returns 0, or -1 with an exception. */
int held_key_resolve(const struct cache_object *self,
                     const struct held_key *held,
                     const struct store_request *request,
                     struct fmm_store_options *store);
/* Store into the page that is held. `store->dirty` is how it was stored.
 * Returns a status, or -1. */
int held_key_store(struct held_key *held, const struct store_request *request,
                   const struct encoded *encoded,
                   struct fmm_store_options *store);
