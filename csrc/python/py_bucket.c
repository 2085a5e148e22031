#include "py_bucket.h"

#ifdef __SIZEOF_INT128__

/* 128 bits hold what the bounds of the header allow. */
__extension__ typedef unsigned __int128 wide;

#define READ_DIGITS 18u /* as many as 64 bits hold */
#define READ_CHUNK UINT64_C(1000000000000000000)
#define WRITE_DIGITS 9u /* as many as 32 bits hold */
#define WRITE_CHUNK 1000000000u
#define NS_PER_MS 1000000u

/* Divide by 32 bits, in steps of 64; returns the rest. The compiler's own way is
 * a function of its library, which is not linked everywhere. */
static uint32_t
divide(wide *number, uint32_t by)
{
    wide quotient = 0;
    uint64_t rest = 0;
    for (int shift = 96; shift >= 0; shift -= 32) {
        uint64_t part = rest << 32 | (uint32_t)(*number >> shift);
        quotient = quotient << 32 | part / by;
        rest = part % by;
    }
    *number = quotient;
    return (uint32_t)rest;
}

/* Up to 18 digits. False: there is something else among them. */
static bool
read_chunk(const char *text, size_t len, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    *out = number;
    return true;
}

static bool
read_state(const struct bucket_state *state, wide *out)
{
    size_t low = state->len < READ_DIGITS ? state->len : READ_DIGITS;
    size_t high = state->len - low;
    uint64_t first, last;
    if (high > READ_DIGITS || !read_chunk(state->text, high, &first) ||
        !read_chunk(state->text + high, low, &last)) {
        return false;
    }
    *out = (wide)first * READ_CHUNK + last;
    return true;
}

/* Write the digits of a number before `end`, at least so many. Returns where
 * they begin. */
static char *
write_chunk(char *end, uint64_t number, size_t least)
{
    char *at = end;
    while (number != 0 || (size_t)(end - at) < least) {
        *--at = (char)('0' + number % 10);
        number /= 10;
    }
    return at;
}

static void
write_state(struct bucket_state *state, wide number)
{
    char digits[BUCKET_STATE_MAX];
    char *end = digits + sizeof(digits), *at = end;
    do {
        uint32_t low = divide(&number, WRITE_CHUNK);
        at = write_chunk(at, low, number != 0 ? WRITE_DIGITS : 1);
    } while (number != 0);
    state->len = (size_t)(end - at);
    for (size_t i = 0; i < state->len; i++) {
        state->text[i] = at[i];
    }
}

enum bucket_outcome
bucket_take(const struct bucket *bucket, uint64_t now_ns, uint64_t tokens,
            struct bucket_state *state)
{
    wide now = (wide)now_ns * bucket->limit, until = 0;
    wide capacity = (wide)bucket->burst * bucket->cost;
    wide wanted = (wide)tokens * bucket->cost;
    if (!read_state(state, &until)) {
        return BUCKET_UNKNOWN;
    }
    wide debt = until > now ? until - now : 0;
    bool taken = debt + wanted <= capacity;
    if (!taken && debt < capacity) {
        return BUCKET_EMPTY;
    }
    debt = taken ? debt + wanted : capacity;
    wide wait = debt;
    divide(&wait, NS_PER_MS);
    if (wait >> 64 != 0) {
        return BUCKET_UNKNOWN;
    }
    state->full_ms = (uint64_t)wait / bucket->limit + 1;
    write_state(state, now + debt);
    return taken ? BUCKET_TAKEN : BUCKET_ASTRAY;
}

#else

enum bucket_outcome
bucket_take(const struct bucket *bucket, uint64_t now_ns, uint64_t tokens,
            struct bucket_state *state)
{
    (void)bucket;
    (void)now_ns;
    (void)tokens;
    (void)state;
    return BUCKET_UNKNOWN;
}

#endif
