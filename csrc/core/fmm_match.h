/* Sixteen slot words compared at once, those of two buckets of eight.
 *
 * All that is compared lies in the high halves of the words. SSE2, which each
 * x86-64 has, gathers and compares them without a branch; elsewhere, and for
 * the race detector, a loop does. What comes of it is a hint where to look:
 * who uses a slot loads its word by itself. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"

#if defined(__SSE2__) && !defined(FMM_TSAN)
#include <emmintrin.h>

/* The high halves of four slot words. */
static inline __m128i
fmm_match_high_halves(const fmm_word64 *slots)
{
    const float *at = (const float *)(uintptr_t)slots;
    return _mm_castps_si128(_mm_shuffle_ps(
        _mm_load_ps(at), _mm_load_ps(at + 4), _MM_SHUFFLE(3, 1, 3, 1)));
}

/* For each slot 16 bits: all ones where the high half, under `mask`, is
 * `wanted`. */
static inline __m128i
fmm_match_bucket(const fmm_word64 *bucket, __m128i mask, __m128i wanted)
{
    __m128i low = _mm_and_si128(fmm_match_high_halves(bucket), mask);
    __m128i high = _mm_and_si128(fmm_match_high_halves(bucket + 4), mask);
    return _mm_packs_epi32(_mm_cmpeq_epi32(low, wanted),
                           _mm_cmpeq_epi32(high, wanted));
}

/* The slots whose word, under `mask`, is `wanted`: one bit for each, the
 * first bucket's lowest. Both have bits of the high half only; buckets are
 * aligned to 16 bytes. */
static inline uint32_t
fmm_match_buckets(const fmm_word64 *first, const fmm_word64 *second,
                  uint64_t mask, uint64_t wanted)
{
    __m128i m = _mm_set1_epi32((int)(mask >> 32));
    __m128i w = _mm_set1_epi32((int)(wanted >> 32));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(
        fmm_match_bucket(first, m, w), fmm_match_bucket(second, m, w)));
}
#else
static inline uint32_t
fmm_match_buckets(const fmm_word64 *first, const fmm_word64 *second,
                  uint64_t mask, uint64_t wanted)
{
    uint32_t matches = 0;
    for (uint32_t i = 0; i < FMM_BUCKET_SLOTS; i++) {
        uint64_t a = atomic_load_explicit(&first[i], memory_order_relaxed);
        uint64_t b = atomic_load_explicit(&second[i], memory_order_relaxed);
        matches |= (uint32_t)((a & mask) == wanted) << i;
        matches |= (uint32_t)((b & mask) == wanted) << (i + FMM_BUCKET_SLOTS);
    }
    return matches;
}
#endif
