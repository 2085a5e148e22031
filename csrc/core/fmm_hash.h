/* The keyed 64-bit hash of keys.
 *
 * SipHash-1-3 (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast
 * short-input PRF", 2012), with one compression and three finalization
 * rounds: who does not know the seed cannot make keys collide. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Hash `len` bytes under a 128-bit seed; the same on every machine. */
uint64_t fmm_hash(const uint64_t seed[2], const void *data, size_t len);

/* Where a hash leads. Each uses other bits of it. */
uint32_t fmm_hash_page(uint64_t hash, uint32_t num_pages);
/* The least hash that leads to a page. */
uint64_t fmm_hash_first(uint64_t page, uint64_t num_pages);
uint32_t fmm_hash_bucket(uint64_t hash, uint32_t buckets);
/* The second candidate: differs from the first if there are two. */
uint32_t fmm_hash_bucket2(uint64_t hash, uint32_t buckets);
uint32_t fmm_hash_tag(uint64_t hash);
/* The 16 bits that ghosts remember; never 0. */
uint16_t fmm_hash_ghost(uint64_t hash);
