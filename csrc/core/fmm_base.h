/* Small things that every module of the core uses.
 *
 * Owns: alignment, checked arithmetic, and copying of bytes that another
 * process may be changing. Knows nothing of the file. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fmm_compiler.h"

#if defined(__SANITIZE_THREAD__)
#define FMM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FMM_TSAN 1
#endif
#endif

/* Both words are in a mapped file, shared with other processes. */
typedef _Atomic(uint64_t) fmm_word64;
typedef _Atomic(uint32_t) fmm_word32;

static inline uint64_t
fmm_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t
fmm_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Round up to a multiple of 8; the caller has bounded `n`. */
static inline uint64_t
fmm_align8(uint64_t n)
{
    return (n + 7u) & ~(uint64_t)7u;
}

/* True when `offset + length` lies within `size`, whatever the values. */
static inline bool
fmm_fits(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

/* A word of an entry, which another process may be overwriting. */
static inline uint64_t
fmm_load_shared(const unsigned char *at)
{
    return atomic_load_explicit((const fmm_word64 *)(const void *)at,
                                memory_order_relaxed);
}

/* Store a word of an entry; readers may load it at any time. */
static inline void
fmm_store_shared(unsigned char *at, uint64_t word)
{
    atomic_store_explicit((fmm_word64 *)(void *)at, word,
                          memory_order_relaxed);
}

/* A counter that is changed under a lock and read by anyone: each access is
 * whole, and no more is asked for. */
static inline uint64_t
fmm_count_load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline void
fmm_count_store(uint64_t *counter, uint64_t count)
{
    __atomic_store_n(counter, count, __ATOMIC_RELAXED);
}

static inline void
fmm_count_add(uint64_t *counter, uint64_t count)
{
    fmm_count_store(counter, *counter + count);
}

#ifdef FMM_TSAN
/* The same copies in atomic bytes, which the race detector understands. */
static inline void
fmm_copy_out(void *to, const unsigned char *from, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        ((unsigned char *)to)[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
}

static inline void
fmm_copy_in(unsigned char *to, const void *from, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        __atomic_store_n(&to[i], ((const unsigned char *)from)[i],
                         __ATOMIC_RELAXED);
    }
}

static inline bool
fmm_same_bytes(const unsigned char *shared, const void *other, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (__atomic_load_n(&shared[i], __ATOMIC_RELAXED) !=
            ((const unsigned char *)other)[i]) {
            return false;
        }
    }
    return true;
}
#else
/* Copy out of the map; the caller validates afterwards. */
static inline void
fmm_copy_out(void *to, const unsigned char *from, size_t length)
{
    if (length) {
        memcpy(to, from, length);
    }
}

/* Copy into a place of the map that no slot names yet. */
static inline void
fmm_copy_in(unsigned char *to, const void *from, size_t length)
{
    if (length) {
        memcpy(to, from, length);
    }
}

static inline bool
fmm_same_word(const unsigned char *a, const unsigned char *b)
{
    uint64_t words[2];
    memcpy(&words[0], a, 8);
    memcpy(&words[1], b, 8);
    return words[0] == words[1];
}

/* Made for keys: few bytes, and mostly the same. The last eight may be
 * compared twice in part. */
static inline bool
fmm_same_bytes(const unsigned char *shared, const void *other, size_t length)
{
    const unsigned char *mine = other;
    if (length < 8 || length > 32) {
        return length == 0 || memcmp(shared, mine, length) == 0;
    }
    size_t last = length - 8;
    for (size_t i = 0; i < last; i += 8) {
        if (!fmm_same_word(shared + i, mine + i)) {
            return false;
        }
    }
    return fmm_same_word(shared + last, mine + last);
}
#endif
