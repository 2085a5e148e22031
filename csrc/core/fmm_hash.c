#include "fmm_hash.h"

#include <string.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64u - bits));
}

static inline void
sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* Bytes as the little-endian number they are on any machine. */
static inline uint64_t
load_le64(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The last `left` < 8 of `len` bytes that end at `end`. Of longer input the
 * last eight are loaded at once, and those that were used shifted out. */
static inline uint64_t
load_rest(const unsigned char *end, size_t left, size_t len)
{
    if (left == 0) {
        return 0;
    }
    if (len >= 8) {
        return load_le64(end - 8) >> (64u - 8u * left);
    }
    const unsigned char *at = end - left;
    uint64_t word = 0;
    for (size_t i = 0; i < left; i++) {
        word |= (uint64_t)at[i] << (8u * i);
    }
    return word;
}

uint64_t
fmm_hash(const uint64_t seed[2], const void *data, size_t len)
{
    struct sip s = {
        seed[0] ^ UINT64_C(0x736f6d6570736575),
        seed[1] ^ UINT64_C(0x646f72616e646f6d),
        seed[0] ^ UINT64_C(0x6c7967656e657261),
        seed[1] ^ UINT64_C(0x7465646279746573),
    };
    const unsigned char *at = data;
    size_t left = len;
    for (; left >= 8; left -= 8, at += 8) {
        sip_word(&s, load_le64(at));
    }
    sip_word(&s, load_rest(at + left, left, len) | (uint64_t)len << 56);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Map 32 random bits onto 0 .. n-1 without a division (Lemire, 2016). */
static inline uint32_t
reduce(uint32_t bits, uint32_t n)
{
    return (uint32_t)(((uint64_t)bits * n) >> 32);
}

uint32_t
fmm_hash_page(uint64_t hash, uint32_t num_pages)
{
    return reduce((uint32_t)(hash >> 32), num_pages);
}

uint64_t
fmm_hash_first(uint64_t page, uint64_t num_pages)
{
    return (((page << 32) + num_pages - 1) / num_pages) << 32;
}

uint32_t
fmm_hash_bucket(uint64_t hash, uint32_t buckets)
{
    return reduce((uint32_t)hash, buckets);
}

uint32_t
fmm_hash_bucket2(uint64_t hash, uint32_t buckets)
{
    uint32_t first = fmm_hash_bucket(hash, buckets);
    uint32_t second = reduce((uint32_t)hash * UINT32_C(0x9e3779b1), buckets);
    if (second == first) {
        second = first + 1 < buckets ? first + 1 : 0;
    }
    return second;
}

uint32_t
fmm_hash_tag(uint64_t hash)
{
    return (uint32_t)hash & 0xffffu;
}

uint16_t
fmm_hash_ghost(uint64_t hash)
{
    uint16_t ghost = (uint16_t)(hash >> 32);
    return ghost != 0 ? ghost : 1u;
}
