/* The arithmetic of fastmmap.sync.RateLimiter, which explains it: the state of
 * a bucket is the time at which it is full again. All times are nanoseconds
 * times the limit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest numbers for which nothing here overflows. */
#define BUCKET_LIMIT_MAX (UINT64_C(1) << 40)
#define BUCKET_BURST_MAX (UINT64_C(1) << 40)
#define BUCKET_COST_MAX (UINT64_C(1) << 60)
/* Digits of a state, at most. */
#define BUCKET_STATE_MAX 36

struct bucket {
    uint64_t limit, burst;
    uint64_t cost; /* of a token */
};

enum bucket_outcome {
    BUCKET_TAKEN,  /* there is a new state */
    BUCKET_EMPTY,  /* there are too few tokens; the state stays */
    BUCKET_ASTRAY, /* too few, and the state was of another clock: a new one */
    BUCKET_UNKNOWN, /* the state is not for this code to read */
};

struct bucket_state {
    char text[BUCKET_STATE_MAX];
    size_t len;       /* 0: there is none, the bucket is full */
    uint64_t full_ms; /* of a new one: until the bucket is full */
};

/* Take tokens, 1 to `burst` of them; `state` becomes the new one. */
enum bucket_outcome bucket_take(const struct bucket *bucket, uint64_t now_ns,
                                uint64_t tokens, struct bucket_state *state);
