/* Whole pages: copied, counted, dropped. */
#include "support.h"

#include <stdlib.h>

static struct fmm_cache *cache;

static void
begin(void)
{
    cache = new_cache(16384, 1);
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

static void
set_many(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[16], value[32];
        snprintf(key, sizeof(key), "key %u", i);
        snprintf(value, sizeof(value), "the value of %u", i);
        CHECK_EQ(set_text(cache, key, value), FMM_OK);
    }
}

/* Read all records; each is one of set_many()'s, and none comes twice. */
static unsigned
read_all(struct fmm_scan *scan)
{
    bool seen[64] = {false};
    struct fmm_meta meta;
    const void *key, *value;
    unsigned count = 0;
    while (fmm_scan_next(scan, &meta, &key, &value)) {
        char text[32] = "", wanted[32];
        unsigned n = 99;
        REQUIRE(meta.key_len < sizeof(text));
        memcpy(text, key, meta.key_len);
        CHECK_EQ(sscanf(text, "key %u", &n), 1);
        REQUIRE(n < 64);
        CHECK(!seen[n]);
        seen[n] = true;
        int length = snprintf(wanted, sizeof(wanted), "the value of %u", n);
        CHECK_EQ(meta.value_len, length);
        CHECK(!scan->values || memcmp(value, wanted, (size_t)length) == 0);
        count++;
    }
    return count;
}

static void
a_scan_copies_every_value_once(void)
{
    static unsigned char buffer[32768];
    struct fmm_scan scan = {.buffer = buffer, .capacity = sizeof(buffer)};
    begin();
    set_many(40);
    CHECK_EQ(remove_text(cache, "key 7"), FMM_OK);
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    CHECK_EQ(read_all(&scan), 39);
    scan.values = true;
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    CHECK_EQ(read_all(&scan), 39);
    CHECK(!fmm_scan_next(&scan, &(struct fmm_meta){0}, &(const void *){NULL},
                         &(const void *){NULL}));
    end();
}

/* Exactly as large as it was told: AddressSanitizer sees a byte more. */
static void
a_buffer_of_the_size_that_was_told_is_enough(void)
{
    struct fmm_scan scan = {.buffer = NULL, .values = true};
    begin();
    set_many(40);
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_TOO_SMALL);
    size_t needed = scan.used;
    for (size_t less = 0; less < 300; less += 50) {
        scan.capacity = needed - less;
        scan.buffer = malloc(scan.capacity);
        REQUIRE(scan.buffer != NULL);
        CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan),
                 less ? FMM_TOO_SMALL : FMM_OK);
        CHECK_EQ(scan.used, needed);
        if (less == 0) {
            CHECK_EQ(read_all(&scan), 40);
        }
        free(scan.buffer);
    }
    end();
}

static void
set_of_kind(const char *name, enum fmm_key_kind kind, uint64_t scope)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    const struct fmm_value value = text_value("the value of 1");
    struct fmm_ticket ticket;
    struct fmm_key key;
    fmm_key_init(cache, &key, name, strlen(name), kind);
    key.scope = scope;
    fmm_key_hash(cache, &key);
    CHECK_EQ(fmm_set(cache, &call, &key, &value, &store, &ticket), FMM_OK);
}

static void
scans_show_the_keys_that_are_the_users_own(void)
{
    static unsigned char buffer[32768];
    struct fmm_scan scan = {.buffer = buffer, .capacity = sizeof(buffer)};
    struct fmm_page_report report;
    uint64_t dropped = 0;
    begin();
    set_of_kind("key 1", FMM_KEY_BYTES, 0);
    set_of_kind("key 1", FMM_KEY_BYTES, 7);
    set_of_kind("key 1", FMM_KEY_INTERNAL, 0);
    set_of_kind("key 1", FMM_KEY_INTERNAL, 0); /* the same again */
    set_of_kind("key 2", FMM_KEY_INTERNAL, 7);
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    CHECK_EQ(read_all(&scan), 1);
    scan.scope = 7;
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    CHECK_EQ(read_all(&scan), 1);
    scan.scope = 8;
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    CHECK_EQ(read_all(&scan), 0);
    CHECK_EQ(stats_of(cache).entries, 2); /* not those of internal keys */
    CHECK_EQ(fmm_check_page(cache, &call, 0, false, &report), FMM_OK);
    CHECK(report.entries == 4 && report.internal == 2 && !report.miscounted);
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, true, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, 2);
    CHECK_EQ(stats_of(cache).entries, 0);
    end();
}

static void
an_empty_page_scans_as_nothing(void)
{
    struct fmm_scan scan = {.buffer = NULL};
    begin();
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    CHECK_EQ(scan.used, 0);
    CHECK_EQ(read_all(&scan), 0);
    end();
}

static void
a_scan_earns_no_credit_and_integers_come_along(void)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    unsigned char buffer[512];
    struct fmm_scan scan = {
        .buffer = buffer, .capacity = sizeof(buffer), .values = true};
    struct fmm_ticket ticket;
    struct fmm_meta meta;
    const void *key, *value;
    int64_t result, found = 0;
    uint64_t expire_at;
    begin();
    struct fmm_key n = text_key(cache, "n");
    CHECK_EQ(
        fmm_incr(cache, &call, &n, 5, 0, &store, &result, &expire_at, &ticket),
        FMM_OK);
    call.now_ms += 10 * SECOND;
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    REQUIRE(fmm_scan_next(&scan, &meta, &key, &value));
    memcpy(&found, value, sizeof(found));
    CHECK_EQ(found, 5);
    CHECK_EQ(meta.accessed_at, meta.stored_at);
    end();
}

/* Slots that share one large entry do not ask for more memory than a page
 * can be worth. */
static void
slots_that_share_an_entry_do_not_make_a_scan_larger(void)
{
    struct fmm_scan scan = {.buffer = NULL, .values = true};
    struct fmm_page page;
    begin();
    CHECK_EQ(set_filler(cache, "large", 4000), FMM_OK);
    view_page(cache, 0, &page);
    uint32_t slots = page.index.buckets * FMM_BUCKET_SLOTS;
    uint64_t word = 0;
    for (uint32_t slot = 0; slot < slots; slot++) {
        word |= page.index.slots[slot];
    }
    for (uint32_t slot = 0; slot < slots; slot++) {
        page.index.slots[slot] = word;
    }
    fmm_scan_page(cache, &call, 0, &scan);
    CHECK(scan.used <=
          cache->geometry.page_size + slots * (sizeof(struct fmm_meta) + 8));
    CHECK_EQ(stats_of(cache).repaired, 1);
    end();
}

static void
what_expired_is_neither_scanned_nor_counted(void)
{
    const struct fmm_store_options brief = {.expire_at = call.now_ms + SECOND};
    struct fmm_scan scan = {.buffer = NULL};
    uint64_t dropped = 0;
    begin();
    set_many(3);
    CHECK_EQ(set_text_as(cache, "brief", "x", &brief), FMM_OK);
    CHECK_EQ(count_values(cache, &call, 0), 4);
    call.now_ms += SECOND;
    CHECK_EQ(count_values(cache, &call, 0), 3);
    fmm_scan_page(cache, &call, 0, &scan);
    CHECK(scan.used < 4 * sizeof(struct fmm_meta) + 64);
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_EXPIRED, false, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, 1);
    CHECK_EQ(count_values(cache, &call, 0), 3);
    CHECK_EQ(stats_of(cache).expirations, 1);
    end();
}

static void
dropping_all_leaves_an_empty_page(void)
{
    uint64_t dropped = 0;
    begin();
    set_many(40);
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, 40);
    CHECK_EQ(count_values(cache, &call, 0), 0);
    CHECK_EQ(stats_of(cache).used_bytes, 0);
    CHECK_EQ(stats_of(cache).entries, 0);
    set_many(40);
    CHECK_EQ(count_values(cache, &call, 0), 40);
    end();
}

static const struct check_case cases[] = {
    CASE(a_scan_copies_every_value_once),
    CASE(a_buffer_of_the_size_that_was_told_is_enough),
    CASE(scans_show_the_keys_that_are_the_users_own),
    CASE(an_empty_page_scans_as_nothing),
    CASE(a_scan_earns_no_credit_and_integers_come_along),
    CASE(slots_that_share_an_entry_do_not_make_a_scan_larger),
    CASE(what_expired_is_neither_scanned_nor_counted),
    CASE(dropping_all_leaves_an_empty_page),
};

CHECK_MAIN(cases)
