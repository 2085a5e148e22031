/* The key hash, against CPython's (tests/golden/make_hash_vectors.py), and
 * how it spreads over pages and buckets. */
#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fmm_hash.h"
#include "golden.h"

#define KEYS 100000u

struct vector {
    uint64_t seed[2], hash;
    uint32_t length, page, bucket[2], tag, ghost;
};

static bool
read_vector(const char *line, struct vector *v)
{
    return sscanf(line,
                  "%" SCNx64 " %" SCNx64 " %" SCNu32 " %" SCNx64 " %" SCNu32
                  " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32,
                  &v->seed[0], &v->seed[1], &v->length, &v->hash, &v->page,
                  &v->bucket[0], &v->bucket[1], &v->tag, &v->ghost) == 9;
}

static void
check_vector(const struct vector *v)
{
    unsigned char data[1024];
    REQUIRE(v->length <= sizeof(data));
    for (uint32_t i = 0; i < v->length; i++) {
        data[i] = (unsigned char)i;
    }
    CHECK(fmm_hash(v->seed, data, v->length) == v->hash);
    CHECK_EQ(fmm_hash_page(v->hash, 1000), v->page);
    CHECK_EQ(fmm_hash_bucket(v->hash, 77), v->bucket[0]);
    CHECK_EQ(fmm_hash_bucket2(v->hash, 77), v->bucket[1]);
    CHECK_EQ(fmm_hash_tag(v->hash), v->tag);
    CHECK_EQ(fmm_hash_ghost(v->hash), v->ghost);
}

static void
hashes_and_places_are_those_of_the_format(void)
{
    char line[256];
    unsigned count = 0;
    struct vector v;
    FILE *file = fopen(golden_path("hash_vectors.txt"), "r");
    REQUIRE(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (line[0] != '#') {
            REQUIRE(read_vector(line, &v));
            check_vector(&v);
            count++;
        }
    }
    fclose(file);
    CHECK(count >= 100);
}

static void
the_empty_key_has_a_hash_that_depends_on_the_seed(void)
{
    const uint64_t seeds[2][2] = {{1, 2}, {1, 3}};
    CHECK(fmm_hash(seeds[0], "", 0) != fmm_hash(seeds[1], "", 0));
    CHECK(fmm_hash(seeds[0], NULL, 0) == fmm_hash(seeds[0], "", 0));
}

static void
an_unaligned_key_hashes_the_same(void)
{
    const uint64_t seed[2] = {5, 6};
    unsigned char data[72] = {0};
    for (size_t shift = 0; shift < 8; shift++) {
        memmove(data + shift, "the quick brown fox jumps", 25);
        CHECK(fmm_hash(seed, data + shift, 25) ==
              fmm_hash(seed, "the quick brown fox jumps", 25));
    }
}

static void
every_part_of_seed_and_key_counts(void)
{
    unsigned char data[40] = {0};
    const uint64_t seed[2] = {0, 0};
    uint64_t plain = fmm_hash(seed, data, sizeof(data));
    for (unsigned bit = 0; bit < 8 * sizeof(data); bit++) {
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        CHECK(fmm_hash(seed, data, sizeof(data)) != plain);
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (unsigned bit = 0; bit < 128; bit++) {
        uint64_t other[2] = {0, 0};
        other[bit / 64] = UINT64_C(1) << bit % 64;
        CHECK(fmm_hash(other, data, sizeof(data)) != plain);
    }
}

/* Chi-square of counts about their mean, over the degrees of freedom: near
 * 1 for random numbers. */
static double
spread(const uint32_t *counts, size_t n, double mean)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double off = counts[i] - mean;
        sum += off * off / mean;
    }
    return sum / (double)(n - 1);
}

static void
sequential_keys_spread_evenly_over_pages_and_buckets(void)
{
    static uint32_t pages[64], buckets[128];
    const uint64_t seed[2] = {check_random(), check_random()};
    memset(pages, 0, sizeof(pages));
    memset(buckets, 0, sizeof(buckets));
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        int length = snprintf(key, sizeof(key), "user:%u", i);
        uint64_t hash = fmm_hash(seed, key, (size_t)length);
        pages[fmm_hash_page(hash, 64)]++;
        buckets[fmm_hash_bucket(hash, 128)]++;
        buckets[fmm_hash_bucket2(hash, 128)]++;
    }
    CHECK(spread(pages, 64, KEYS / 64.0) < 2);
    CHECK(spread(buckets, 128, 2 * KEYS / 128.0) < 2);
}

static void
the_two_buckets_differ_when_there_are_two(void)
{
    for (uint32_t buckets = 2; buckets < 40; buckets++) {
        for (int i = 0; i < 1000; i++) {
            uint64_t hash = check_random();
            uint32_t first = fmm_hash_bucket(hash, buckets);
            uint32_t second = fmm_hash_bucket2(hash, buckets);
            CHECK(first != second && first < buckets && second < buckets);
        }
    }
    CHECK_EQ(fmm_hash_bucket2(check_random(), 1), 0);
}

static void
a_ghost_is_never_zero(void)
{
    CHECK(fmm_hash_ghost(0) != 0);
    CHECK(fmm_hash_ghost(UINT64_C(0xffff0000ffffffff)) != 0);
}

static const struct check_case cases[] = {
    CASE(hashes_and_places_are_those_of_the_format),
    CASE(the_empty_key_has_a_hash_that_depends_on_the_seed),
    CASE(an_unaligned_key_hashes_the_same),
    CASE(every_part_of_seed_and_key_counts),
    CASE(sequential_keys_spread_evenly_over_pages_and_buckets),
    CASE(the_two_buckets_differ_when_there_are_two),
    CASE(a_ghost_is_never_zero),
};

CHECK_MAIN(cases)
