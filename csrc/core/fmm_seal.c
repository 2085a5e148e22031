#include "fmm_seal.h"

#include "fmm_hash.h"

#define LANE_STEP UINT64_C(0x9E3779B97F4A7C15) /* 2^64 / the golden ratio */
#define LENGTHS_AT 24u /* in an entry, behind its lifetime */
#define BLOCK_SHIFT 12 /* 4 KiB: what the system writes at once */

__extension__ typedef unsigned __int128 product;

/* Every bit of both has to do with every bit of the result. */
static inline uint64_t
fold(uint64_t a, uint64_t b)
{
    product both = (product)a * b;
    return (uint64_t)both ^ (uint64_t)(both >> 64);
}

static inline uint64_t
word_at(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static inline uint64_t
take_two(uint64_t key, uint64_t sum, const unsigned char *at)
{
    return fold(word_at(at) ^ key, word_at(at + 8) ^ sum);
}

/* The four lanes do not wait for one another. */
static const unsigned char *
take_lanes(uint64_t key, uint64_t *sum, const unsigned char *at,
           uint64_t *left)
{
    uint64_t lanes[4];
    for (unsigned i = 0; i < 4; i++) {
        lanes[i] = *sum + i * LANE_STEP;
    }
    for (; *left >= 64; at += 64, *left -= 64) {
        lanes[0] = take_two(key, lanes[0], at);
        lanes[1] = take_two(key, lanes[1], at + 16);
        lanes[2] = take_two(key, lanes[2], at + 32);
        lanes[3] = take_two(key, lanes[3], at + 48);
    }
    *sum = fold(lanes[0] ^ key, lanes[1]) ^ fold(lanes[2] ^ key, lanes[3]);
    return at;
}

uint64_t
fmm_seal_sum(uint64_t key, uint64_t sum, const unsigned char *at,
             uint64_t length)
{
    uint64_t left = length;
    unsigned char last[16] = {0};
    if (left >= 64) {
        at = take_lanes(key, &sum, at, &left);
    }
    for (; left >= 16; at += 16, left -= 16) {
        sum = take_two(key, sum, at);
    }
    if (left != 0) {
        memcpy(last, at, left);
        sum = take_two(key, sum, last);
    }
    return fold(sum ^ length, key);
}

void
fmm_seal_use(struct fmm_geometry *geometry, const uint64_t seed[2])
{
    geometry->seal_key = fmm_hash(seed, "seal", 4) | 1u;
    geometry->seal_size = FMM_ENTRY_SEAL;
}

/* ----------------------------------------------------------------- entries */

static uint64_t
place_sum(uint64_t key, uint64_t place)
{
    return fold(place ^ key, key + LANE_STEP);
}

uint64_t
fmm_seal_of(const struct fmm_entry *entry, uint64_t key, uint64_t place)
{
    const unsigned char *at = entry->at;
    const unsigned char *end =
        at + entry->total - (entry->flags & FMM_ENTRY_PAD_BYTES);
    const unsigned char *lease = entry->key;
    uint64_t sum = take_two(key, key, at); /* lengths, flags, hash */
    if (FMM_UNLIKELY(entry->flags & FMM_ENTRY_LEASE)) {
        lease -= 8u * FMM_LEASE_WORDS;
        sum = fmm_seal_sum(key, sum, at + LENGTHS_AT,
                           (uint64_t)(lease - at) - LENGTHS_AT);
        at = entry->key - LENGTHS_AT;
    }
    sum = fmm_seal_sum(key, sum, at + LENGTHS_AT,
                       (uint64_t)(end - at) - LENGTHS_AT);
    return sum ^ place_sum(key, place);
}

static unsigned char *
seal_at(const struct fmm_entry *entry)
{
    return (unsigned char *)(uintptr_t)entry->at + entry->total -
           FMM_ENTRY_SEAL;
}

void
fmm_seal_set(const struct fmm_entry *entry, uint64_t key, uint64_t place)
{
    fmm_store_shared(seal_at(entry), fmm_seal_of(entry, key, place));
}

bool
fmm_seal_is_by_integer(const struct fmm_entry *entry)
{
    uintptr_t integer = (uintptr_t)(entry->at + FMM_ENTRY_HEADER);
    return (integer ^ (uintptr_t)seal_at(entry)) >> BLOCK_SHIFT == 0;
}

void
fmm_seal_new(unsigned char *at, uint64_t key, uint64_t place)
{
    uint64_t first = fmm_load_shared(at);
    struct fmm_entry entry;
    entry.at = at;
    entry.total = (uint32_t)first;
    entry.flags = (uint16_t)(first >> 32);
    entry.key = at + FMM_ENTRY_HEADER + 8u * (first >> 56);
    fmm_seal_set(&entry, key, place);
}

void
fmm_seal_move(unsigned char *copy, uint64_t total, uint64_t key, uint64_t from,
              uint64_t to)
{
    unsigned char *at = copy + total - FMM_ENTRY_SEAL;
    fmm_store_shared(at, fmm_load_shared(at) ^ place_sum(key, from) ^
                             place_sum(key, to));
}

bool
fmm_seal_holds(const struct fmm_entry *entry, uint64_t key, uint64_t place)
{
    return (entry->flags & FMM_ENTRY_PAD_BYTES) >= FMM_ENTRY_SEAL &&
           fmm_load_shared(seal_at(entry)) == fmm_seal_of(entry, key, place);
}
