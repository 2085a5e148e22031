/* One entry: what is written is read, and any bytes are refused or bounded. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "fmm_entry.h"

#define SIZE 1024u
#define MAX_ENTRY 512u

/* Exactly one ring of memory, so that AddressSanitizer sees a step beyond. */
static unsigned char *ring;

struct kind {
    const char *key, *text;
    int64_t integer;
    enum fmm_key_kind kind;
    uint64_t scope;
    uint32_t tags;
    bool compressed, is_integer, tombstone, has_modseq, leased;
};

static struct fmm_tag some_tags[FMM_TAGS_MAX + 1];

static const struct fmm_lease some_lease = {.token = UINT64_C(0x123456789),
                                            .deadline = 66666,
                                            .owner = UINT64_C(0x987654321)};

static const struct kind kinds[] = {
    {.key = "a", .text = "b"},
    {.key = "", .text = ""},
    {.key = "only a key", .text = ""},
    {.key = "", .text = "only a value"},
    {.key = "seven77", .text = "x", .kind = FMM_KEY_BYTES},
    {.key = "eight888", .text = "squeezed", .compressed = true},
    {.key = "n", .is_integer = true, .integer = 0},
    {.key = "n", .is_integer = true, .integer = INT64_MIN},
    {.key = "m", .is_integer = true, .integer = -1, .has_modseq = true},
    {.key = "t", .tombstone = true, .has_modseq = true},
    {.key = "u", .text = "numbered", .has_modseq = true},
    {.key = "l", .tombstone = true, .leased = true},
    {.key = "v", .text = "leased", .leased = true},
    {.key = "w", .text = "", .has_modseq = true, .leased = true},
    {.key = "i",
     .is_integer = true,
     .integer = 7,
     .has_modseq = true,
     .leased = true},
    {.key = "seven77", .text = "x", .kind = FMM_KEY_INTERNAL},
    {.key = "s", .text = "scoped", .scope = UINT64_MAX},
    {.key = "s", .text = "x", .scope = 1, .kind = FMM_KEY_BYTES},
    {.key = "s", .text = "x", .scope = 1, .kind = FMM_KEY_INTERNAL},
    {.key = "g", .text = "tagged", .tags = 1},
    {.key = "g", .text = "tagged", .tags = FMM_TAGS_MAX},
    {.key = "all",
     .is_integer = true,
     .integer = 7,
     .scope = 5,
     .tags = 3,
     .has_modseq = true,
     .leased = true},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* A source made of a kind, and what it points to. */
struct made {
    struct fmm_key key;
    struct fmm_value value;
    struct fmm_store_options store;
    struct fmm_entry_source source;
};

static void
make(const struct kind *kind, struct made *out)
{
    *out = (struct made){
        .key = {.data = kind->key,
                .len = strlen(kind->key),
                .scope = kind->scope,
                .hash = UINT64_C(0x1122334455667788),
                .kind = kind->kind},
        .value = {.data = kind->text, .type = 9},
        .store = {.expire_at = 77777,
                  .modseq = UINT64_MAX - 1,
                  .has_modseq = kind->has_modseq,
                  .tags = some_tags,
                  .tag_count = kind->tags},
    };
    for (uint32_t i = 0; i <= FMM_TAGS_MAX; i++) {
        some_tags[i] = (struct fmm_tag){i + 1, UINT32_MAX - i};
    }
    out->value.compressed = kind->compressed;
    if (kind->is_integer) {
        out->value.data = &kind->integer;
        out->value.len = sizeof(kind->integer);
        out->value.type = FMM_TYPE_INT;
    }
    else if (!kind->tombstone) {
        out->value.len = strlen(kind->text);
    }
    out->source = (struct fmm_entry_source){
        .key = &out->key,
        .value = kind->tombstone ? NULL : &out->value,
        .store = &out->store,
        .stored_at = 4000000000u,
        .lease = kind->leased ? &some_lease : NULL,
    };
}

static void
check_lease(const struct fmm_entry *entry, const struct kind *kind)
{
    struct fmm_lease lease;
    fmm_entry_lease(entry, &lease);
    CHECK_EQ(lease.token, kind->leased ? some_lease.token : 0);
    CHECK_EQ(lease.deadline, kind->leased ? some_lease.deadline : 0);
    CHECK_EQ(lease.owner, kind->leased ? some_lease.owner : 0);
    CHECK_EQ(fmm_entry_leased(entry, 66665), kind->leased);
    CHECK(!fmm_entry_leased(entry, 66666));
    CHECK_EQ(fmm_entry_bare(entry), kind->leased && kind->tombstone);
}

static void
check_groups(const struct fmm_entry *entry, const struct kind *kind)
{
    struct fmm_tag tags[FMM_TAGS_MAX];
    CHECK(fmm_entry_scope(entry) == kind->scope);
    REQUIRE(fmm_entry_tags(entry, tags) == kind->tags);
    CHECK(memcmp(tags, some_tags, kind->tags * sizeof(tags[0])) == 0);
}

static void
check_value(const struct fmm_entry *entry, const struct made *made)
{
    char found[64];
    if (made->source.value == NULL) {
        return;
    }
    CHECK_EQ(entry->value_len, made->value.len);
    CHECK_EQ(entry->type, made->value.type);
    fmm_entry_copy_value(entry, found);
    CHECK(memcmp(found, made->value.data, made->value.len) == 0);
}

static void
check_meta(const struct fmm_entry *entry, const struct kind *kind)
{
    struct fmm_meta meta;
    fmm_entry_describe(entry, 1000, 77776, &meta);
    CHECK_EQ(meta.key_len, strlen(kind->key));
    CHECK_EQ(meta.expire_at, 77777);
    CHECK_EQ(meta.stored_at, 1000 + UINT64_C(4000000000) * 1000);
    CHECK_EQ(meta.has_modseq, kind->has_modseq);
    CHECK(meta.modseq == (kind->has_modseq ? UINT64_MAX - 1 : 0));
    CHECK_EQ(meta.compressed, kind->compressed);
    CHECK_EQ(meta.tombstone, kind->tombstone);
    CHECK_EQ(meta.key_kind, kind->kind);
    CHECK_EQ(meta.tagged, kind->tags != 0);
    CHECK_EQ(meta.size, entry->total);
    CHECK(!meta.expired);
    fmm_entry_describe(entry, 1000, 77777, &meta);
    CHECK(meta.expired);
}

static void
all_kinds_of_entries_read_back_as_written(void)
{
    struct made made;
    struct fmm_entry entry;
    for (size_t i = 0; i < KINDS; i++) {
        make(&kinds[i], &made);
        uint64_t total = fmm_entry_size(&made.source, MAX_ENTRY);
        REQUIRE(total >= 32 && total % 8 == 0);
        uint64_t offset = SIZE - total; /* ends where the ring ends */
        fmm_entry_write(ring + offset, &made.source, total);
        REQUIRE(fmm_entry_load(ring, SIZE, offset, &entry));
        CHECK_EQ(entry.total, total);
        CHECK(fmm_entry_has_key(&entry, &made.key));
        check_value(&entry, &made);
        check_meta(&entry, &kinds[i]);
        check_lease(&entry, &kinds[i]);
        check_groups(&entry, &kinds[i]);
    }
}

static void
only_the_same_key_is_the_key(void)
{
    struct made made;
    struct fmm_entry entry;
    make(&kinds[0], &made);
    fmm_entry_write(ring, &made.source, 40);
    REQUIRE(fmm_entry_load(ring, SIZE, 0, &entry));
    struct fmm_key other = made.key;
    other.data = "c";
    CHECK(!fmm_entry_has_key(&entry, &other));
    other = made.key;
    for (int kind = FMM_KEY_BYTES; kind <= FMM_KEY_INTERNAL; kind++) {
        other.kind = (enum fmm_key_kind)kind;
        CHECK(!fmm_entry_has_key(&entry, &other));
    }
    other = made.key;
    other.hash++;
    CHECK(!fmm_entry_has_key(&entry, &other));
    other = made.key;
    other.len = 2;
    CHECK(!fmm_entry_has_key(&entry, &other));
}

static void
integers_and_lifetimes_change_in_place(void)
{
    struct made made;
    struct fmm_entry entry;
    make(&kinds[8], &made);
    fmm_entry_write(ring, &made.source,
                    fmm_entry_size(&made.source, MAX_ENTRY));
    REQUIRE(fmm_entry_load(ring, SIZE, 0, &entry));
    fmm_entry_set_integer(&entry, INT64_MAX);
    fmm_entry_set_expiry(&entry, 5);
    REQUIRE(fmm_entry_load(ring, SIZE, 0, &entry));
    CHECK_EQ(fmm_entry_integer(&entry), INT64_MAX);
    CHECK(fmm_entry_modseq(&entry) == UINT64_MAX - 1);
    CHECK(fmm_entry_expired(&entry, 5) && !fmm_entry_expired(&entry, 4));
    fmm_entry_set_expiry(&entry, 0);
    REQUIRE(fmm_entry_load(ring, SIZE, 0, &entry));
    CHECK(!fmm_entry_expired(&entry, UINT64_MAX));
}

static void
an_entry_beyond_the_limit_has_no_size(void)
{
    struct made made;
    make(&kinds[0], &made);
    made.value.len = MAX_ENTRY - 32 - 1;
    CHECK_EQ(fmm_entry_size(&made.source, MAX_ENTRY), MAX_ENTRY);
    made.value.len++;
    CHECK_EQ(fmm_entry_size(&made.source, MAX_ENTRY), 0);
    made.value.len = SIZE_MAX;
    CHECK_EQ(fmm_entry_size(&made.source, MAX_ENTRY), 0);
    made.value.len = 0;
    made.key.len = SIZE_MAX;
    CHECK_EQ(fmm_entry_size(&made.source, MAX_ENTRY), 0);
    made.key.len = SIZE_MAX - 40; /* the sum would wrap */
    made.value.len = 30;
    CHECK_EQ(fmm_entry_size(&made.source, MAX_ENTRY), 0);
}

/* The first word of an entry. */
static uint64_t
first(uint64_t total, uint64_t flags, uint64_t type, uint64_t words)
{
    return total | flags << 32 | type << 48 | words << 56;
}

static bool
loads(uint64_t offset, uint64_t first_word, uint64_t key_len)
{
    struct fmm_entry entry;
    memset(ring, 0, SIZE);
    fmm_store_shared(ring + (offset & ~UINT64_C(7)), first_word);
    if ((offset & ~UINT64_C(7)) + 32 <= SIZE) {
        fmm_store_shared(ring + (offset & ~UINT64_C(7)) + 24, key_len);
    }
    return fmm_entry_load(ring, SIZE, offset, &entry);
}

static void
lengths_that_do_not_add_up_are_refused(void)
{
    CHECK(loads(0, first(40, 0, 2, 0), 8));
    CHECK(!loads(0, first(0, 0, 2, 0), 0));
    CHECK(!loads(0, first(24, 0, 2, 0), 0));
    CHECK(!loads(0, first(41, 0, 2, 0), 0));
    CHECK(!loads(0, first(SIZE + 8, 0, 2, 0), 0));
    CHECK(!loads(0, first(UINT32_MAX - 7, 0, 2, 0), 0));
    CHECK(!loads(8, first(SIZE, 0, 2, 0), 0));
    CHECK(!loads(0, first(40, 0, 2, 0), 9));
    CHECK(!loads(0, first(40, 1, 2, 0), 8));
    CHECK(!loads(0, first(40, 0, 2, 0), UINT32_MAX));
    CHECK(loads(SIZE - 32, first(32, 0, 2, 0), 0));
    CHECK(!loads(SIZE - 32, first(40, 0, 2, 0), 0));
    CHECK(!loads(SIZE - 8, first(32, 0, 2, 0), 0));
}

static void
flags_that_do_not_fit_together_are_refused(void)
{
    CHECK(!loads(0, first(40, FMM_ENTRY_PADDING, 0, 0), 0));
    CHECK(!loads(0, first(40, FMM_ENTRY_MODSEQ, 2, 0), 0));
    CHECK(!loads(0, first(40, 0, 2, 1), 0));
    CHECK(!loads(0, first(40, FMM_ENTRY_MODSEQ, 2, 2), 0));
    CHECK(!loads(0, first(296, 0, 2, 255), 0));
    CHECK(loads(0, first(40, FMM_ENTRY_INTEGER, 1, 1), 0));
    CHECK(!loads(0, first(40, FMM_ENTRY_INTEGER, 2, 1), 0));
    CHECK(!loads(0, first(48, FMM_ENTRY_INTEGER, 1, 1), 0));
    CHECK(!loads(0, first(32, FMM_ENTRY_INTEGER, 1, 1), 0));
    for (unsigned flag = FMM_ENTRY_SCOPED * 2; flag < 0x10000; flag *= 2) {
        CHECK(!loads(0, first(40, flag, 2, 0), 0));
    }
}

static void
what_says_where_parts_are_is_as_long_as_that(void)
{
    CHECK(loads(0, first(72, FMM_ENTRY_IN_PARTS, 2, 0), 0));
    CHECK(loads(0, first(80, FMM_ENTRY_IN_PARTS, 2, 0), 8));
    CHECK(!loads(0, first(64, FMM_ENTRY_IN_PARTS, 2, 0), 0));
    CHECK(!loads(0, first(80, FMM_ENTRY_IN_PARTS, 2, 0), 0));
    CHECK(!loads(0, first(32, FMM_ENTRY_IN_PARTS, 2, 0), 0));
    CHECK(
        !loads(0, first(40, FMM_ENTRY_IN_PARTS | FMM_ENTRY_INTEGER, 1, 1), 0));
}

static void
a_scope_has_a_word_and_so_has_each_tag(void)
{
    const unsigned both = FMM_ENTRY_SCOPED | FMM_ENTRY_TAGGED;
    const unsigned internal = FMM_ENTRY_KEY_OWN | FMM_ENTRY_TAGGED;
    CHECK(loads(0, first(40, FMM_ENTRY_SCOPED, 2, 1), 0));
    CHECK(!loads(0, first(40, FMM_ENTRY_SCOPED, 2, 0), 0));
    CHECK(loads(0, first(40, FMM_ENTRY_TAGGED, 2, 1), 0));
    CHECK(loads(0, first(160, FMM_ENTRY_TAGGED, 2, FMM_TAGS_MAX), 0));
    CHECK(!loads(0, first(40, FMM_ENTRY_TAGGED, 2, 0), 0));
    CHECK(!loads(0, first(168, FMM_ENTRY_TAGGED, 2, FMM_TAGS_MAX + 1), 0));
    CHECK(loads(0, first(48, both, 2, 2), 0));
    CHECK(!loads(0, first(40, both, 2, 1), 0));
    CHECK(!loads(0, first(40, internal, 2, 1), 0));
}

static void
more_tags_than_may_be_do_not_fit(void)
{
    struct made made;
    const struct kind kind = {.key = "g", .text = "x"};
    make(&kind, &made);
    made.store.tag_count = FMM_TAGS_MAX + 1;
    CHECK_EQ(fmm_entry_size(&made.source, MAX_ENTRY), 0);
}

static void
a_lease_has_its_words_and_without_a_value_nothing_else(void)
{
    const unsigned bare = FMM_ENTRY_LEASE | FMM_ENTRY_TOMBSTONE;
    CHECK(loads(0, first(64, FMM_ENTRY_LEASE, 2, 3), 0));
    CHECK(!loads(0, first(40, FMM_ENTRY_LEASE, 2, 0), 0));
    CHECK(!loads(0, first(64, FMM_ENTRY_LEASE, 2, 2), 0));
    CHECK(!loads(0, first(48, FMM_ENTRY_LEASE, 2, 3), 0));
    CHECK(loads(0, first(56, bare, 0, 3), 0));
    CHECK(loads(0, first(64, bare, 0, 3), 8));
    CHECK(!loads(0, first(64, bare, 0, 3), 0));
    CHECK(!loads(0, first(64, bare | FMM_ENTRY_MODSEQ, 0, 4), 0));
    CHECK(!loads(0, first(64, bare | FMM_ENTRY_INTEGER, 1, 4), 0));
}

static void
a_lease_changes_in_place(void)
{
    const struct fmm_lease other = {77, 60000, 99, 0};
    struct made made;
    struct fmm_entry entry;
    struct fmm_lease found;
    for (size_t i = 0; i < KINDS; i++) {
        make(&kinds[i], &made);
        fmm_entry_write(ring, &made.source,
                        fmm_entry_size(&made.source, MAX_ENTRY));
        REQUIRE(fmm_entry_load(ring, SIZE, 0, &entry));
        if (kinds[i].leased) {
            fmm_entry_set_lease(&entry, &other);
            fmm_entry_lease(&entry, &found);
            CHECK(found.token == 77 && found.deadline == 60000 &&
                  found.owner == 99);
        }
        fmm_entry_end_lease(&entry); /* where there is none, nothing */
        CHECK(!fmm_entry_leased(&entry, 1));
        REQUIRE(fmm_entry_load(ring, SIZE, 0, &entry));
        check_value(&entry, &made);
        check_meta(&entry, &kinds[i]);
    }
}

static void
a_deadline_beyond_twice_the_longest_lease_is_none(void)
{
    struct fmm_lease lease = {1, 2 * FMM_LEASE_MS_MAX + 100, 1, 0};
    CHECK(fmm_lease_runs(&lease, 100));
    CHECK(!fmm_lease_runs(&lease, 99)); /* the clock went back, or damage */
    lease.deadline = UINT64_MAX;
    CHECK(!fmm_lease_runs(&lease, 100));
    lease = (struct fmm_lease){0, 200, 1, 0};
    CHECK(!fmm_lease_runs(&lease, 100));
}

static void
places_outside_the_ring_are_refused(void)
{
    struct fmm_entry entry;
    for (uint64_t offset = 1; offset < 8; offset++) {
        CHECK(!loads(offset, first(40, 0, 2, 0), 0));
    }
    CHECK(!fmm_entry_load(ring, SIZE, SIZE, &entry));
    CHECK(!fmm_entry_load(ring, SIZE, SIZE + 8, &entry));
    CHECK(!fmm_entry_load(ring, SIZE, UINT64_MAX - 7, &entry));
    CHECK(!fmm_entry_load(ring, SIZE, FMM_SLOT_OFFSET * 8, &entry));
}

static void
padding_is_a_thing_of_the_log_and_no_entry(void)
{
    struct fmm_entry entry;
    memset(ring, 0xff, SIZE);
    fmm_store_shared(ring + SIZE - 8, first(8, FMM_ENTRY_PADDING, 0, 0));
    CHECK(fmm_entry_load_any(ring, SIZE, SIZE - 8, &entry));
    CHECK_EQ(entry.total, 8);
    CHECK(!fmm_entry_load(ring, SIZE, SIZE - 8, &entry));
}

/* Whatever loads can be used: nothing is touched outside the ring. */
static void
use(const struct fmm_entry *entry)
{
    char found[SIZE];
    struct fmm_meta meta;
    struct fmm_key key = {
        .data = ring, .len = entry->key_len, .hash = entry->hash};
    CHECK(entry->key >= ring && entry->key + entry->key_len <= ring + SIZE);
    CHECK(entry->value >= ring &&
          entry->value + entry->value_len <= ring + SIZE);
    REQUIRE(entry->value_len <= sizeof(found));
    fmm_entry_copy_value(entry, found);
    fmm_entry_describe(entry, 0, 0, &meta);
    fmm_entry_leased(entry, 1);
    key.len = entry->key_len;
    fmm_entry_has_key(entry, &key);
}

static void
random_bytes_are_refused_or_stay_in_bounds(void)
{
    struct fmm_entry entry;
    unsigned loaded = 0;
    for (int round = 0; round < 200000; round++) {
        uint64_t offset = 8 * check_random_below(SIZE / 8);
        uint64_t total = 8 * check_random_below(SIZE / 8 + 2);
        uint64_t flags = check_random() & check_random() & 0x3ff;
        uint64_t words = check_random_below(6);
        fmm_store_shared(ring + offset,
                         first(total, flags, check_random_below(3), words));
        if (offset + 32 <= SIZE) {
            fmm_store_shared(ring + offset + 24, check_random_below(SIZE));
        }
        if (fmm_entry_load(ring, SIZE, offset, &entry)) {
            use(&entry);
            loaded++;
        }
    }
    CHECK(loaded > 1000);
}

static const struct check_case cases[] = {
    CASE(all_kinds_of_entries_read_back_as_written),
    CASE(only_the_same_key_is_the_key),
    CASE(integers_and_lifetimes_change_in_place),
    CASE(an_entry_beyond_the_limit_has_no_size),
    CASE(lengths_that_do_not_add_up_are_refused),
    CASE(flags_that_do_not_fit_together_are_refused),
    CASE(what_says_where_parts_are_is_as_long_as_that),
    CASE(a_scope_has_a_word_and_so_has_each_tag),
    CASE(more_tags_than_may_be_do_not_fit),
    CASE(a_lease_has_its_words_and_without_a_value_nothing_else),
    CASE(a_lease_changes_in_place),
    CASE(a_deadline_beyond_twice_the_longest_lease_is_none),
    CASE(places_outside_the_ring_are_refused),
    CASE(padding_is_a_thing_of_the_log_and_no_entry),
    CASE(random_bytes_are_refused_or_stay_in_bounds),
};

int
main(int argc, char **argv)
{
    ring = aligned_alloc(64, SIZE);
    REQUIRE(ring != NULL);
    memset(ring, 0, SIZE);
    int status =
        check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
    free(ring);
    return status;
}
