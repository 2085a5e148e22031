/* check.h for fuzzing: the input is the source of numbers, and a failed
 * check is the end. */
#include "fuzz.h"

#include <inttypes.h>
#include <stdlib.h>

static const uint8_t *at, *end;

void
input_begin(const uint8_t *data, size_t size)
{
    call.now_ms = INPUT_NOW;
    call.wait_ms = 0; /* the lock word may name anybody */
    at = data;
    end = data + size;
}

size_t
input_left(void)
{
    return (size_t)(end - at);
}

void
input_copy(void *to, size_t length, const uint8_t *data, size_t size,
           size_t from)
{
    size_t have = size > from ? size - from : 0;
    have = have < length ? have : length;
    if (have) {
        memcpy(to, data + from, have);
    }
    memset((unsigned char *)to + have, 0, length - have);
}

static uint64_t
take(unsigned bytes)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes && at < end; i++) {
        number |= (uint64_t)*at++ << (8 * i);
    }
    return number;
}

uint64_t
check_random(void)
{
    return take(8);
}

uint64_t
check_random_below(uint64_t n)
{
    return take(n <= 256 ? 1 : n <= 65536 ? 2 : 4) % n;
}

static void
stop(const char *text, const char *file, int line)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    abort();
}

bool
check_that(bool held, const char *text, const char *file, int line)
{
    if (!held) {
        stop(text, file, line);
    }
    return held;
}

bool
check_equal(int64_t found, int64_t expected, const char *text,
            const char *file, int line)
{
    if (found != expected) {
        fprintf(stderr, "found %" PRId64 ", expected %" PRId64 "\n", found,
                expected);
        stop(text, file, line);
    }
    return true;
}

void
check_required(bool held, const char *text, const char *file, int line)
{
    check_that(held, text, file, line);
}

unsigned long
check_failures(void)
{
    return 0;
}

void
check_deadline(unsigned seconds)
{
    (void)seconds; /* the fuzzer has its own */
}
