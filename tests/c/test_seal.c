/* The seal of an entry: golden vectors, what it covers, what it does not. */
#include "support.h"

#include "fmm_seal.h"

#define KEY UINT64_C(0x0123456789ABCDEF)
#define PAGE 3u

/* Computed by the words of docs/format.rst, see tests/unit/test_seal.py. */
static const struct {
    size_t length;
    uint64_t sum;
} vectors[] = {
    {0, UINT64_C(0x05b05b05b05b05ab)},   {1, UINT64_C(0x4ab62d8ee30dd089)},
    {8, UINT64_C(0xa9047d40a5821418)},   {15, UINT64_C(0xbeb7c6b1d763d5d4)},
    {16, UINT64_C(0xdd7558c675e069c3)},  {17, UINT64_C(0x20411da46d410c8e)},
    {40, UINT64_C(0xa50944a612543c71)},  {63, UINT64_C(0x570c515518b40f38)},
    {64, UINT64_C(0x75ac4edff5da2c6a)},  {65, UINT64_C(0x6a1c7d8d2a2fa4da)},
    {127, UINT64_C(0xddf7a67b26819199)}, {128, UINT64_C(0xabca0184248bdc4f)},
    {200, UINT64_C(0x73eb0cd4befdfb6e)}, {300, UINT64_C(0x1f28aadefa3ffefd)},
};

static void
its_sums_are_those_of_the_page_on_the_format(void)
{
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(i * 7 + 1);
    }
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        CHECK(fmm_seal_sum(KEY, 5, bytes, vectors[i].length) ==
              vectors[i].sum);
    }
}

static void
each_bit_counts(void)
{
    unsigned char bytes[200] = {0};
    for (size_t length = 1; length <= sizeof(bytes); length += 13) {
        uint64_t sum = fmm_seal_sum(KEY, 5, bytes, length);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            CHECK(fmm_seal_sum(KEY, 5, bytes, length) != sum);
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
}

/* A cache of one page whose entries are sealed. */
static struct fmm_cache *
sealed_cache(void)
{
    struct fmm_cache *cache = heap_cache(65536, PAGE + 1, 64);
    fmm_seal_use(&cache->geometry, cache->seed);
    return cache;
}

/* The entry of a text key, wherever it is. */
static struct fmm_found
find(struct fmm_cache *cache, const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_page page;
    struct fmm_found found;
    view_page(cache, key.page, &page);
    REQUIRE(fmm_page_find(&page, &key, &found));
    return found;
}

static bool
is_whole(struct fmm_cache *cache, const char *name, const struct fmm_found *f)
{
    struct fmm_key key = text_key(cache, name);
    return fmm_seal_holds(&f->entry, cache->geometry.seal_key,
                          fmm_seal_place(key.page, f->ring, f->offset));
}

/* Whether the seal tells when a byte of the entry changes. */
static bool
covers(struct fmm_cache *cache, const char *name, const struct fmm_found *f,
       size_t at)
{
    unsigned char *byte = (unsigned char *)(uintptr_t)f->entry.at + at;
    *byte ^= 1;
    bool told = !is_whole(cache, name, f);
    *byte ^= 1;
    return told;
}

static void
it_covers_all_but_the_lifetime_and_the_padding(void)
{
    struct fmm_cache *cache = sealed_cache();
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    struct fmm_found f = find(cache, "key");
    size_t pad = (f.entry.flags & FMM_ENTRY_PAD_BYTES) - FMM_ENTRY_SEAL;
    REQUIRE(is_whole(cache, "key", &f));
    for (size_t at = 0; at < f.entry.total; at++) {
        bool lifetime = at >= 16 && at < 24;
        bool padding = at >= f.entry.total - FMM_ENTRY_SEAL - pad &&
                       at < f.entry.total - FMM_ENTRY_SEAL;
        CHECK_EQ(covers(cache, "key", &f, at), !lifetime && !padding);
    }
    heap_cache_free(cache);
}

static void
it_does_not_cover_a_lease(void)
{
    struct fmm_cache *cache = sealed_cache();
    const struct fmm_value value = text_value("result");
    struct fmm_key key = text_key(cache, "computed");
    struct fmm_ticket ticket;
    struct fmm_lease lease;
    REQUIRE(take_lease(cache, &key, 1000, false, &lease, &ticket) == FMM_OK);
    const struct fmm_lease_store store = {.token = lease.token,
                                          .leasable = true};
    REQUIRE(fmm_lease_value(cache, &call, &key, &value, &store, &ticket) ==
            FMM_OK);
    struct fmm_found f = find(cache, "computed");
    REQUIRE(f.entry.words == FMM_LEASE_WORDS);
    CHECK(is_whole(cache, "computed", &f));
    for (size_t at = 0; at < f.entry.total - FMM_ENTRY_SEAL - 8; at++) {
        bool word = at >= FMM_ENTRY_HEADER &&
                    at < FMM_ENTRY_HEADER + 8 * FMM_LEASE_WORDS;
        bool lifetime = at >= 16 && at < 24;
        CHECK_EQ(covers(cache, "computed", &f, at), !word && !lifetime);
    }
    REQUIRE(take_lease(cache, &key, 1000, true, &lease, &ticket) == FMM_OK);
    CHECK(is_whole(cache, "computed", &f));
    heap_cache_free(cache);
}

/* An entry that lies elsewhere is none, though all its bytes are there. */
static void
it_tells_where_the_entry_lies(void)
{
    struct fmm_cache *cache = sealed_cache();
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    struct fmm_found f = find(cache, "key");
    uint32_t page = text_key(cache, "key").page;
    uint64_t key = cache->geometry.seal_key;
    CHECK(!fmm_seal_holds(&f.entry, key,
                          fmm_seal_place(page + 1, f.ring, f.offset)));
    CHECK(!fmm_seal_holds(&f.entry, key,
                          fmm_seal_place(page, 1 - f.ring, f.offset)));
    CHECK(!fmm_seal_holds(&f.entry, key,
                          fmm_seal_place(page, f.ring, f.offset + 8)));
    heap_cache_free(cache);
}

static void
it_goes_along_when_an_entry_moves(void)
{
    struct fmm_cache *cache = sealed_cache();
    char name[16];
    unsigned in_main = 0;
    for (unsigned n = 0; n < 1500; n++) {
        snprintf(name, sizeof(name), "key %u", n);
        CHECK_EQ(set_filler(cache, name, n % 300), FMM_OK);
        is_filler(cache, name, n % 300); /* for its credit */
    }
    for (uint32_t number = 0; number <= PAGE; number++) {
        struct fmm_page page;
        struct fmm_found f;
        view_page(cache, number, &page);
        for (uint32_t slot = 0; slot < 8 * page.index.buckets; slot++) {
            if (fmm_page_load_slot(&page, slot, &f)) {
                CHECK(
                    fmm_seal_holds(&f.entry, cache->geometry.seal_key,
                                   fmm_seal_place(number, f.ring, f.offset)));
                in_main += f.ring == FMM_RING_M;
            }
        }
    }
    CHECK(in_main > 0);
    heap_cache_free(cache);
}

static void
add_one(struct fmm_cache *cache, const char *name)
{
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    struct fmm_key key = text_key(cache, name);
    struct fmm_ticket ticket;
    int64_t result;
    uint64_t expire_at;
    CHECK_EQ(fmm_incr(cache, &call, &key, 1, 0, &plainly, &result, &expire_at,
                      &ticket),
             FMM_OK);
}

/* The number is under the seal: of two blocks a disk may have an old one. */
static void
an_addition_changes_a_number_beside_its_seal_in_place(void)
{
    struct fmm_cache *cache = sealed_cache();
    unsigned beside = 0, apart = 0;
    for (unsigned n = 0; n < 400; n++) {
        const char *name = name_of('c', n);
        add_one(cache, name);
        struct fmm_found before = find(cache, name);
        bool near = fmm_seal_is_by_integer(&before.entry);
        add_one(cache, name);
        struct fmm_found after = find(cache, name);
        CHECK(is_whole(cache, name, &after));
        CHECK_EQ(fmm_entry_integer(&after.entry), 2);
        CHECK_EQ(after.offset == before.offset, near);
        beside += near ? 1 : 0;
        apart += near ? 0 : 1;
    }
    CHECK(beside > 300 && apart > 0);
    heap_cache_free(cache);
}

/* A new entry has all else that the old one had. */
static void
an_addition_keeps_lifetime_and_tags(void)
{
    struct fmm_cache *cache = sealed_cache();
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    struct fmm_tag tag = {.id = 7, .generation = 0};
    struct fmm_store_options store = {
        .expire_at = call.now_ms + 9 * SECOND, .tags = &tag, .tag_count = 1};
    struct fmm_key key = text_key(cache, "counter");
    struct fmm_ticket ticket;
    int64_t result;
    uint64_t expire_at;
    CHECK_EQ(fmm_incr(cache, &call, &key, 5, 0, &store, &result, &expire_at,
                      &ticket),
             FMM_OK);
    for (int64_t n = 2; n < 300; n++) {
        CHECK_EQ(fmm_incr(cache, &call, &key, 5, 0, &plainly, &result,
                          &expire_at, &ticket),
                 FMM_OK);
        CHECK_EQ(result, 5 * n);
        CHECK_EQ(expire_at, call.now_ms + 9 * SECOND);
    }
    struct fmm_found f = find(cache, "counter");
    CHECK(is_whole(cache, "counter", &f));
    CHECK_EQ(fmm_entry_tags(&f.entry, &tag), 1);
    CHECK_EQ(tag.id, 7);
    heap_cache_free(cache);
}

static const struct check_case cases[] = {
    CASE(its_sums_are_those_of_the_page_on_the_format),
    CASE(each_bit_counts),
    CASE(it_covers_all_but_the_lifetime_and_the_padding),
    CASE(it_does_not_cover_a_lease),
    CASE(it_tells_where_the_entry_lies),
    CASE(it_goes_along_when_an_entry_moves),
    CASE(an_addition_changes_a_number_beside_its_seal_in_place),
    CASE(an_addition_keeps_lifetime_and_tags),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
