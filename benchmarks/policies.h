/* Requests, and caches that exist only as bookkeeping: what they would hold.
 *
 * A simulated cache counts bytes and keeps no values. An entry takes its size
 * and POLICY_OVERHEAD. Belady's policy looks ahead in the trace. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_OVERHEAD 32u

/* `kind`: 'g' is a get, and a set after a miss; 's' a set alone. */
struct request {
    uint32_t key, size; /* dense id; bytes of key and value */
    uint32_t lifetime;  /* in requests; 0: for ever */
    char kind;
};

struct trace {
    struct request *requests;
    size_t count;
    uint32_t keys;
};

struct policy;

/* "lru", "sieve", "s3fifo" or "belady"; NULL: no such policy, or no memory. */
struct policy *policy_new(const char *name, const struct trace *trace,
                          uint64_t capacity);
/* Ask for the key of request number `n`; true is a hit. */
bool policy_get(struct policy *policy, size_t n);
/* Store the key of request number `n`; what is too large is not kept. */
void policy_set(struct policy *policy, size_t n);
void policy_free(struct policy *policy);
