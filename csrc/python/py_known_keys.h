/* The keys of calls that were made before, by their arguments: how a memoized
 * function finds a key without spelling it again.
 *
 * Only arguments of a few built-in types are known, which are told apart by
 * type and value: 1, 1.0 and True are three calls. Looking at them runs no
 * code of Python. A table holds a bounded number of them; the rest is
 * forgotten. Guarded by the GIL. */
#pragma once

#include "py_args.h"

struct known_call;

/* The hash stands beside the call: others need not be read for it. */
struct known_slot {
    uint64_t hash;
    struct known_call *call; /* owned; NULL: free */
};

struct known_keys {
    struct known_slot *slots; /* owned; NULL: nothing is known */
    size_t count;             /* of slots, 0 or a power of two */
    size_t turn;              /* which one of a full set goes next */
    uint64_t ignored;         /* bits of positional arguments without a say */
};

/* Hash the arguments of a call. False: it cannot be known. */
bool known_keys_hash(const struct known_keys *self, const struct args *args,
                     uint64_t *hash_out);
/* The key of a call; borrowed. NULL without an exception: not known. */
PyObject *known_keys_find(const struct known_keys *self,
                          const struct args *args, uint64_t hash);
/* Let a call be known, where there is memory for it. */
void known_keys_add(struct known_keys *self, const struct args *args,
                    uint64_t hash, PyObject *key);
/* Forget all of them. */
void known_keys_clear(struct known_keys *self);
