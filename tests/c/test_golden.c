/* A file of version 10, made once and kept: it opens and reads the same for
 * ever.
 *
 *   test_golden                  read tests/golden/version10.fmm
 *   test_golden --make FILE      make such a file; only together with a new
 *                                FMM_VERSION, under that version's name
 *
 * The file has three pages of 4 KiB, filled beyond their brim before the
 * entries below were stored, so that both rings have gone round, and the index
 * has grown. */
#include "support.h"

#include "golden.h"

#define NAME "version10.fmm"
#define FILLERS 400u
#define YEAR_2100 UINT64_C(4102444800000)

/* What must be read. */
struct expected {
    const char *key, *value;
    struct fmm_store_options store;
    int64_t number;
    uint64_t scope;
    enum fmm_key_kind kind;
    bool compressed, is_number, hidden;
};

static const struct expected entries[] = {
    {.key = "text", .value = "value"},
    {.key = "text",
     .value = "packed",
     .kind = FMM_KEY_BYTES,
     .compressed = true},
    {.key = "text", .value = "of a namespace", .scope = 77},
    {.key = "text", .value = "a record", .kind = FMM_KEY_INTERNAL},
    {.key = "", .value = ""},
    {.key = "a key of some length, \xc3\xa4nd not ASCII", .value = "x"},
    {.key = "number", .is_number = true, .number = -1234567890123},
    {.key = "least",
     .is_number = true,
     .number = INT64_MIN,
     .store = {.modseq = 1, .has_modseq = true}},
    {.key = "numbered",
     .value = "by its source",
     .store = {.modseq = UINT64_MAX, .has_modseq = true}},
    {.key = "later", .value = "until 2100", .store = {.expire_at = YEAR_2100}},
    {.key = "changed", .value = "dirty", .store = {.dirty = true}},
    {.key = "gone",
     .value = "expired",
     .store = {.expire_at = 1},
     .hidden = true},
};
#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

static struct fmm_key
key_of(const struct fmm_cache *cache, const struct expected *e)
{
    struct fmm_key key;
    fmm_key_init(cache, &key, e->key, strlen(e->key), e->kind);
    key.scope = e->scope;
    fmm_key_hash(cache, &key);
    return key;
}

static struct fmm_value
value_of(const struct expected *e)
{
    if (e->is_number) {
        return (struct fmm_value){
            .data = &e->number, .len = 8, .type = FMM_TYPE_INT};
    }
    return (struct fmm_value){.data = e->value,
                              .len = strlen(e->value),
                              .type = 5,
                              .compressed = e->compressed};
}

/* ---------------------------------------------------------------- making */

static size_t
filler_length(unsigned n)
{
    return n * 7 % 150;
}

/* One key that was computed, and one that is being computed for ever. */
static void
store_leases(struct fmm_cache *cache)
{
    const struct fmm_value value = text_value("result");
    struct fmm_key key = text_key(cache, "computed");
    struct fmm_ticket ticket;
    struct fmm_lease lease;
    CHECK_EQ(take_lease(cache, &key, 1, false, &lease, &ticket), FMM_OK);
    const struct fmm_lease_store store = {.token = lease.token,
                                          .leasable = true};
    CHECK_EQ(fmm_lease_value(cache, &call, &key, &value, &store, &ticket),
             FMM_OK);
    key = text_key(cache, "computing");
    CHECK_EQ(take_lease(cache, &key, 1, false, &lease, &ticket), FMM_OK);
}

static const char *
large_text(void)
{
    static char text[2000];
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        text[i] = (char)('a' + i % 23);
    }
    return text;
}

/* One value that is in parts. */
static void
store_parts(struct fmm_cache *cache)
{
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    const struct fmm_value value = text_value(large_text());
    struct fmm_parts_job split = {.value = &value};
    struct fmm_key key = text_key(cache, "large");
    struct fmm_ticket ticket;
    const struct fmm_value head = {.data = &split.parts,
                                   .len = sizeof(split.parts),
                                   .type = 5,
                                   .split = true,
                                   .file = fmm_serial(cache)};
    CHECK_EQ(fmm_parts_store(cache, &call, &key, &split, &ticket), FMM_OK);
    CHECK_EQ(fmm_set(cache, &call, &key, &head, &plainly, &ticket), FMM_OK);
    fmm_parts_finish(cache, &call, &split, true);
}

/* The tag of a name, without its generation. */
static struct fmm_tag
tag_of(const struct fmm_cache *cache, const char *name)
{
    struct fmm_key key = text_key(cache, name);
    return (struct fmm_tag){.id = fmm_tag_id(cache, &key)};
}

/* The name of that tag. */
static void
note_name(struct fmm_cache *cache, const struct fmm_key *record)
{
    struct fmm_key name = text_key(cache, "tag");
    fmm_name_note(cache, &call, record, &name, FMM_TEXT_TAG);
}

static void
store_tagged(struct fmm_cache *cache)
{
    struct fmm_tag tag = tag_of(cache, "tag");
    const struct fmm_store_options store = {.tags = &tag, .tag_count = 1};
    struct fmm_ticket ticket = {.hash = 0};
    struct fmm_key record;
    fmm_tag_key(cache, &tag, &record);
    CHECK_EQ(fmm_group_end(cache, &call, &record, &ticket), FMM_OK);
    CHECK_EQ(fmm_group_find(cache, &call, &record, &tag.generation), FMM_OK);
    note_name(cache, &record);
    CHECK_EQ(set_text_as(cache, "tagged", "in a group", &store), FMM_OK);
}

/* One changed value that was removed: what is left is to be deleted from the
 * user's store. */
static void
store_removal(struct fmm_cache *cache)
{
    const struct fmm_store_options dirty = {.dirty = true};
    const struct fmm_removal plainly = {.has_modseq = false};
    struct fmm_key key = text_key(cache, "removed");
    struct fmm_ticket ticket;
    enum fmm_due due;
    CHECK_EQ(set_text_as(cache, "removed", "value", &dirty), FMM_OK);
    CHECK_EQ(fmm_remove(cache, &call, &key, &plainly, &due, &ticket), FMM_OK);
    CHECK_EQ(due, FMM_DUE_MARKED);
}

/* Slots are few, and the fillers have credit, too. */
static void
read_often(struct fmm_cache *cache, const struct fmm_key *key)
{
    char buffer[256];
    struct fmm_meta meta;
    for (int i = 0; i < 3; i++) {
        fmm_get(cache, &call, key, buffer, sizeof(buffer), &meta);
    }
}

static void
store_all(struct fmm_cache *cache)
{
    const struct fmm_removal removal = {.modseq = 77, .has_modseq = true};
    struct fmm_ticket ticket;
    char name[16];
    for (unsigned n = 0; n < FILLERS; n++) {
        snprintf(name, sizeof(name), "filler %u", n);
        CHECK_EQ(set_filler(cache, name, filler_length(n)), FMM_OK);
        is_filler(cache, name, filler_length(n)); /* for its credit */
    }
    for (size_t i = 0; i < ENTRIES; i++) {
        struct fmm_key key = key_of(cache, &entries[i]);
        struct fmm_value value = value_of(&entries[i]);
        CHECK_EQ(
            fmm_set(cache, &call, &key, &value, &entries[i].store, &ticket),
            FMM_OK);
        read_often(cache, &key);
    }
    struct fmm_key buried = text_key(cache, "buried");
    CHECK_EQ(fmm_remove(cache, &call, &buried, &removal, NULL, &ticket),
             FMM_MISS);
    store_leases(cache);
    store_parts(cache);
    store_tagged(cache);
    store_removal(cache);
}

static int
make(const char *path)
{
    const struct fmm_options options = {.path = path,
                                        .page_size = 4096,
                                        .num_pages = 3,
                                        .slots = 16,
                                        .serializer = "json",
                                        .compressor = "zlib"};
    struct fmm_cache *cache = open_cache(&options);
    store_all(cache);
    check_pages(cache, true);
    fmm_close(cache);
    return check_failures() == 0 ? 0 : 1;
}

/* --------------------------------------------------------------- reading */

static struct fmm_cache *
open_copy(void)
{
    copy_file(golden_path(NAME), scratch("golden"));
    return open_path(scratch("golden"));
}

static void
check_entry(struct fmm_cache *cache, const struct expected *e)
{
    struct fmm_key key = key_of(cache, e);
    struct fmm_value wanted = value_of(e);
    struct fmm_meta meta;
    char buffer[64];
    enum fmm_status status =
        fmm_get(cache, &call, &key, buffer, sizeof(buffer), &meta);
    CHECK_EQ(status, e->hidden ? FMM_MISS : FMM_OK);
    if (status != FMM_OK) {
        return;
    }
    CHECK_EQ(meta.value_len, wanted.len);
    CHECK(memcmp(buffer, wanted.data, wanted.len) == 0);
    CHECK_EQ(meta.type, wanted.type);
    CHECK_EQ(meta.compressed, e->compressed);
    CHECK_EQ(meta.key_kind, e->kind);
    CHECK_EQ(meta.dirty, e->store.dirty);
    CHECK_EQ(meta.has_modseq, e->store.has_modseq);
    CHECK(meta.modseq == e->store.modseq);
    CHECK_EQ(meta.expire_at, e->store.expire_at);
}

static void
its_header_reads_the_same(void)
{
    struct fmm_info info;
    struct fmm_cache *cache = open_copy();
    fmm_info(cache, &info);
    CHECK_EQ(info.version, FMM_VERSION);
    CHECK_EQ(info.page_size, 4096);
    CHECK_EQ(info.num_pages, 3);
    CHECK_EQ(info.slots, 16);
    CHECK_EQ(info.file_size, 5 * 4096 + (1 << 20));
    CHECK(strcmp(info.serializer, "json") == 0);
    CHECK(strcmp(info.compressor, "zlib") == 0);
    CHECK(!info.created && info.repaired == 0 && info.dropped == 0);
    CHECK_EQ(cache->geometry.seal_size, FMM_ENTRY_SEAL);
    fmm_close(cache);
}

static void
its_larger_indexes_are_where_they_were(void)
{
    struct fmm_cache *cache = open_copy();
    for (uint32_t n = 0; n < 3; n++) {
        struct fmm_page page;
        view_page(cache, n, &page);
        CHECK(page.index.buckets > cache->geometry.buckets);
        CHECK(page.ring_size[FMM_RING_M] <
              cache->geometry.ring_size[FMM_RING_M]);
    }
    fmm_close(cache);
}

static void
its_entries_read_the_same(void)
{
    struct fmm_cache *cache = open_copy();
    for (size_t i = 0; i < ENTRIES; i++) {
        check_entry(cache, &entries[i]);
    }
    CHECK_EQ(set_text(cache, "buried", "late"), FMM_STALE);
    unsigned fillers = 0;
    for (unsigned n = 0; n < FILLERS; n++) {
        char name[16];
        snprintf(name, sizeof(name), "filler %u", n);
        if (has(cache, name)) {
            CHECK(is_filler(cache, name, filler_length(n)));
            fillers++;
        }
    }
    CHECK(fillers >= 20);
    uint64_t values = 0;
    for (uint32_t page = 0; page < 3; page++) {
        values += count_values(cache, &call, page);
    }
    /* One is computed, one in parts and one tagged besides; not counted are
     * one expired, one of a namespace and one internal. */
    CHECK_EQ(values, fillers + ENTRIES);
    /* And those without values: the expired one, the buried one and the removed
     * one. The bare lease ended with the copy: nobody has it there. */
    CHECK_EQ(stats_of(cache).entries, values + 1 + 3);
    fmm_close(cache);
}

static void
its_leases_read_the_same(void)
{
    struct fmm_cache *cache = open_copy();
    struct fmm_lease lease;
    uint64_t since;
    struct fmm_ticket ticket;
    struct fmm_key key = text_key(cache, "computed");
    CHECK(holds(cache, "computed", "result"));
    CHECK_EQ(take_lease(cache, &key, 1, false, &lease, &ticket), FMM_EXISTS);
    CHECK_EQ(take_lease(cache, &key, 1, true, &lease, &ticket), FMM_OK);
    key = text_key(cache, "computing");
    CHECK(!has(cache, "computing"));
    CHECK_EQ(fmm_lease_peek(cache, &call, &key, &lease, &since), FMM_MISS);
    CHECK_EQ(take_lease(cache, &key, 1, false, &lease, &ticket), FMM_OK);
    fmm_close(cache);
}

static void
its_parts_read_the_same(void)
{
    char buffer[2000];
    struct fmm_meta meta;
    struct fmm_cache *cache = open_copy();
    struct fmm_key key = text_key(cache, "large");
    CHECK_EQ(fmm_get(cache, &call, &key, buffer, sizeof(buffer), &meta),
             FMM_OK);
    CHECK_EQ(meta.value_len, 1999);
    CHECK(memcmp(buffer, large_text(), 1999) == 0);
    fmm_close(cache);
}

static void
its_tags_read_the_same(void)
{
    struct fmm_cache *cache = open_copy();
    struct fmm_tag tag = tag_of(cache, "tag");
    struct fmm_ticket ticket = {.hash = 0};
    struct fmm_key record;
    fmm_tag_key(cache, &tag, &record);
    CHECK(holds(cache, "tagged", "in a group"));
    CHECK(fmm_name_noted(cache, record.hash, call.now_ms));
    CHECK_EQ(fmm_group_end(cache, &call, &record, &ticket), FMM_OK);
    CHECK(!has(cache, "tagged"));
    fmm_close(cache);
}

static void
its_removal_reads_the_same(void)
{
    struct fmm_cache *cache = open_copy();
    struct fmm_key key = text_key(cache, "removed");
    struct fmm_guard guard;
    struct fmm_ticket ticket;
    CHECK(!has(cache, "removed"));
    REQUIRE(fmm_guard_take(cache, &call, key.page, &guard) == FMM_OK);
    CHECK_EQ(fmm_dirty_find_locked(&guard, &key, &ticket), FMM_OK);
    CHECK(ticket.removed);
    CHECK_EQ(fmm_dirty_done_locked(&guard, &ticket), FMM_OK);
    CHECK_EQ(fmm_dirty_find_locked(&guard, &key, &ticket), FMM_MISS);
    CHECK(fmm_guard_release(&guard));
    fmm_close(cache);
}

static void
its_pages_are_sound_and_go_on_working(void)
{
    struct fmm_cache *cache = open_copy();
    check_pages(cache, true);
    for (unsigned n = 0; n < 2000; n++) {
        char name[16];
        snprintf(name, sizeof(name), "new %u", n);
        enum fmm_status status = set_text(cache, name, "new");
        CHECK(status == FMM_OK || status == FMM_DIRTY);
    }
    check_entry(cache, &entries[10]); /* dirty, it is still there */
    check_pages(cache, true);
    fmm_close(cache);
}

static const struct check_case cases[] = {
    CASE(its_header_reads_the_same),
    CASE(its_larger_indexes_are_where_they_were),
    CASE(its_entries_read_the_same),
    CASE(its_leases_read_the_same),
    CASE(its_parts_read_the_same),
    CASE(its_tags_read_the_same),
    CASE(its_removal_reads_the_same),
    CASE(its_pages_are_sound_and_go_on_working),
};

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--make") == 0) {
        return make(argv[2]);
    }
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
