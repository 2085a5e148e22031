/* The operations on one key, as their callers see them. */
#include "support.h"

#include <stdlib.h>

static struct fmm_cache *cache;

static void
begin(void)
{
    cache = new_cache(16384, 3);
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

static enum fmm_status
describe(const char *key, struct fmm_meta *meta)
{
    struct fmm_key k = text_key(cache, key);
    return fmm_exists(cache, &call, &k, meta);
}

static void
a_key_holds_what_was_set_last(void)
{
    begin();
    CHECK(!has(cache, "key") && !holds(cache, "key", ""));
    CHECK_EQ(set_text(cache, "key", "one"), FMM_OK);
    CHECK(holds(cache, "key", "one"));
    CHECK_EQ(set_text(cache, "key", "a longer value"), FMM_OK);
    CHECK(holds(cache, "key", "a longer value"));
    CHECK_EQ(set_text(cache, "key", ""), FMM_OK);
    CHECK(holds(cache, "key", ""));
    CHECK_EQ(set_text(cache, "", "the empty key"), FMM_OK);
    CHECK(holds(cache, "", "the empty key"));
    end();
}

static void
text_and_bytes_are_two_keys(void)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    struct fmm_key bytes;
    struct fmm_value value = text_value("bytes");
    struct fmm_ticket ticket;
    struct fmm_meta meta;
    char buffer[16];
    begin();
    fmm_key_init(cache, &bytes, "key", 3, FMM_KEY_BYTES);
    CHECK_EQ(set_text(cache, "key", "text"), FMM_OK);
    CHECK_EQ(fmm_set(cache, &call, &bytes, &value, &store, &ticket), FMM_OK);
    CHECK(holds(cache, "key", "text"));
    CHECK_EQ(fmm_get(cache, &call, &bytes, buffer, 16, &meta), FMM_OK);
    CHECK(memcmp(buffer, "bytes", 5) == 0 && meta.key_kind);
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    CHECK_EQ(fmm_exists(cache, &call, &bytes, NULL), FMM_OK);
    end();
}

static void
a_description_says_all_about_an_entry(void)
{
    const struct fmm_store_options store = {.expire_at =
                                                call.now_ms + 90 * SECOND,
                                            .modseq = 42,
                                            .has_modseq = true,
                                            .dirty = true};
    struct fmm_value value = {
        .data = "12345", .len = 5, .type = 7, .compressed = true};
    struct fmm_ticket ticket;
    struct fmm_meta meta;
    begin();
    call.now_ms += 10 * SECOND;
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_set(cache, &call, &key, &value, &store, &ticket), FMM_OK);
    call.now_ms += 5 * SECOND;
    CHECK_EQ(describe("key", &meta), FMM_OK);
    CHECK_EQ(meta.value_len, 5);
    CHECK_EQ(meta.key_len, 3);
    CHECK_EQ(meta.type, 7);
    CHECK(meta.compressed && meta.dirty && meta.has_modseq);
    CHECK(!meta.tombstone && !meta.expired && !meta.key_kind);
    CHECK_EQ(meta.modseq, 42);
    CHECK_EQ(meta.expire_at, store.expire_at);
    CHECK_EQ(meta.size, 48 + cache->geometry.seal_size);
    CHECK(call.now_ms - meta.stored_at - 5 * SECOND < SECOND);
    CHECK_EQ(meta.accessed_at, meta.stored_at);
    char buffer[8];
    CHECK_EQ(fmm_get(cache, &call, &key, buffer, 8, &meta), FMM_OK);
    CHECK_EQ(describe("key", &meta), FMM_OK);
    CHECK_EQ(meta.accessed_at, meta.stored_at + 5 * SECOND);
    end();
}

static void
a_brief_call_describes_the_value_and_nothing_else(void)
{
    const struct fmm_store_options store = {.modseq = 42, .has_modseq = true};
    struct fmm_value value = {
        .data = "12345", .len = 5, .type = 7, .compressed = true};
    struct fmm_meta meta = {.size = 1000};
    struct fmm_call brief = call;
    struct fmm_ticket ticket;
    char buffer[8];
    begin();
    brief.brief = true;
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_set(cache, &call, &key, &value, &store, &ticket), FMM_OK);
    CHECK_EQ(fmm_get(cache, &brief, &key, buffer, 8, &meta), FMM_OK);
    CHECK(memcmp(buffer, "12345", 5) == 0);
    CHECK_EQ(meta.value_len, 5);
    CHECK_EQ(meta.type, 7);
    CHECK(meta.compressed && !meta.has_modseq);
    CHECK_EQ(meta.size, 1000);
    end();
}

static void
a_buffer_that_is_too_small_is_told_what_it_takes(void)
{
    struct fmm_meta meta = {.value_len = 0};
    char buffer[8] = "-------";
    begin();
    CHECK_EQ(set_text(cache, "key", "twelve bytes"), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_get(cache, &call, &key, buffer, 7, &meta), FMM_TOO_SMALL);
    CHECK_EQ(meta.value_len, 12);
    CHECK(memcmp(buffer, "-------", 7) == 0);
    char enough[12];
    CHECK_EQ(fmm_get(cache, &call, &key, enough, 12, &meta), FMM_OK);
    CHECK(memcmp(enough, "twelve bytes", 12) == 0);
    end();
}

static void
a_removed_key_is_gone(void)
{
    begin();
    CHECK_EQ(remove_text(cache, "key"), FMM_MISS);
    CHECK_EQ(set_text(cache, "key", "x"), FMM_OK);
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    CHECK(!has(cache, "key"));
    CHECK_EQ(remove_text(cache, "key"), FMM_MISS);
    CHECK_EQ(set_text(cache, "key", "y"), FMM_OK);
    CHECK(holds(cache, "key", "y"));
    end();
}

/* ------------------------------------------------------------- lifetimes */

static enum fmm_status
set_until(const char *key, uint64_t expire_at)
{
    const struct fmm_store_options store = {.expire_at = expire_at};
    return set_text_as(cache, key, "brief", &store);
}

static void
an_entry_is_gone_when_its_time_has_come(void)
{
    begin();
    CHECK_EQ(set_until("key", call.now_ms + 500), FMM_OK);
    call.now_ms += 499;
    CHECK(holds(cache, "key", "brief"));
    call.now_ms += 1;
    CHECK(!holds(cache, "key", "brief") && !has(cache, "key"));
    CHECK_EQ(remove_text(cache, "key"), FMM_MISS);
    CHECK_EQ(set_until("now", call.now_ms), FMM_OK);
    CHECK(!has(cache, "now"));
    call.now_ms -= 1; /* a clock that is set back */
    CHECK(has(cache, "now"));
    end();
}

static void
touch_changes_the_lifetime_only(void)
{
    struct fmm_meta meta;
    begin();
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_touch(cache, &call, &key, 1), FMM_MISS);
    CHECK_EQ(set_until("key", call.now_ms + 500), FMM_OK);
    uint64_t later = call.now_ms + 5000;
    CHECK_EQ(fmm_touch(cache, &call, &key, later), FMM_OK);
    CHECK_EQ(describe("key", &meta), FMM_OK);
    CHECK_EQ(meta.expire_at, later);
    call.now_ms += 4999;
    CHECK(holds(cache, "key", "brief"));
    CHECK_EQ(fmm_touch(cache, &call, &key, 0), FMM_OK);
    call.now_ms += UINT64_C(1) << 40;
    CHECK(holds(cache, "key", "brief"));
    CHECK_EQ(fmm_touch(cache, &call, &key, call.now_ms), FMM_OK);
    CHECK_EQ(fmm_touch(cache, &call, &key, 0), FMM_MISS);
    call.now_ms -= UINT64_C(1) << 40;
    end();
}

/* --------------------------------------------------------- add, replace */

static enum fmm_status
store_as(enum fmm_store_mode mode, const char *value)
{
    const struct fmm_store_options store = {.mode = mode};
    return set_text_as(cache, "key", value, &store);
}

static void
add_stores_only_what_is_absent(void)
{
    begin();
    CHECK_EQ(store_as(FMM_STORE_ADD, "one"), FMM_OK);
    CHECK_EQ(store_as(FMM_STORE_ADD, "two"), FMM_EXISTS);
    CHECK(holds(cache, "key", "one"));
    CHECK_EQ(set_until("key", call.now_ms), FMM_OK);
    CHECK_EQ(store_as(FMM_STORE_ADD, "three"), FMM_OK);
    CHECK(holds(cache, "key", "three"));
    end();
}

static void
replace_stores_only_what_is_present(void)
{
    begin();
    CHECK_EQ(store_as(FMM_STORE_REPLACE, "one"), FMM_MISS);
    CHECK(!has(cache, "key"));
    CHECK_EQ(store_as(FMM_STORE_SET, "one"), FMM_OK);
    CHECK_EQ(store_as(FMM_STORE_REPLACE, "two"), FMM_OK);
    CHECK(holds(cache, "key", "two"));
    CHECK_EQ(set_until("key", call.now_ms), FMM_OK);
    CHECK_EQ(store_as(FMM_STORE_REPLACE, "three"), FMM_MISS);
    end();
}

static void
what_does_not_fit_leaves_the_old_value(void)
{
    struct fmm_info info;
    begin();
    fmm_info(cache, &info);
    CHECK_EQ(set_text(cache, "key", "old"), FMM_OK);
    CHECK_EQ(set_filler(cache, "key", info.max_entry), FMM_NO_ROOM);
    CHECK(holds(cache, "key", "old"));
    char *large = malloc(20000);
    REQUIRE(large != NULL);
    memset(large, 'k', 20000);
    large[19999] = '\0';
    CHECK_EQ(set_text(cache, large, "v"), FMM_NO_ROOM);
    CHECK(!has(cache, large) && holds(cache, "key", "old"));
    free(large);
    end();
}

/* -------------------------------------------------------------- integers */

static enum fmm_status
add(int64_t delta, const struct fmm_store_options *store, int64_t *result)
{
    struct fmm_key key = text_key(cache, "n");
    struct fmm_ticket ticket;
    uint64_t expire_at;
    return fmm_incr(cache, &call, &key, delta, 100, store, result, &expire_at,
                    &ticket);
}

static void
an_integer_is_made_and_then_changed_in_place(void)
{
    const struct fmm_store_options store = {.expire_at =
                                                call.now_ms + 9 * SECOND};
    int64_t result = 0;
    begin();
    CHECK_EQ(add(5, &store, &result), FMM_OK);
    CHECK_EQ(result, 105);
    struct fmm_stats before = stats_of(cache);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(add(-1, &(struct fmm_store_options){.expire_at = 0}, &result),
                 FMM_OK);
        CHECK_EQ(result, 104 - i);
    }
    struct fmm_stats after = stats_of(cache);
    if (cache->geometry.seal_size == 0) {
        CHECK_EQ(after.used_bytes, before.used_bytes);
    }
    CHECK_EQ(after.stores, before.stores + 1000);
    struct fmm_meta meta;
    CHECK_EQ(describe("n", &meta), FMM_OK);
    CHECK_EQ(meta.expire_at, store.expire_at); /* kept */
    CHECK_EQ(meta.type, FMM_TYPE_INT);
    call.now_ms += 10 * SECOND;
    CHECK_EQ(add(1, &(struct fmm_store_options){.expire_at = 0}, &result),
             FMM_OK);
    CHECK_EQ(result, 101); /* it had expired */
    end();
}

static void
an_integer_reads_as_eight_bytes(void)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    struct fmm_meta meta;
    int64_t result, found = 0;
    begin();
    CHECK_EQ(add(INT64_MIN, &store, &result), FMM_OK);
    struct fmm_key key = text_key(cache, "n");
    CHECK_EQ(fmm_get(cache, &call, &key, &found, sizeof(found), &meta),
             FMM_OK);
    CHECK_EQ(found, INT64_MIN + 100);
    CHECK_EQ(meta.value_len, 8);
    CHECK_EQ(fmm_get(cache, &call, &key, &found, 7, &meta), FMM_TOO_SMALL);
    end();
}

static void
an_integer_never_leaves_64_bits(void)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    int64_t result = 7;
    begin();
    CHECK_EQ(add(INT64_MAX, &store, &result), FMM_OVERFLOW);
    CHECK(!has(cache, "n"));
    CHECK_EQ(add(INT64_MAX - 100, &store, &result), FMM_OK);
    CHECK_EQ(result, INT64_MAX);
    CHECK_EQ(add(1, &store, &result), FMM_OVERFLOW);
    CHECK_EQ(add(0, &store, &result), FMM_OK);
    CHECK_EQ(result, INT64_MAX);
    end();
}

static void
what_is_no_integer_is_not_added_to(void)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    int64_t result = 7;
    begin();
    CHECK_EQ(set_text(cache, "n", "12"), FMM_OK);
    CHECK_EQ(add(1, &store, &result), FMM_NOT_INT);
    CHECK(holds(cache, "n", "12"));
    CHECK_EQ(result, 7);
    end();
}

/* --------------------------------------------------- waiting, many keys */

static void
a_page_that_is_held_is_busy_for_writers(void)
{
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_guard guard;
    begin();
    struct fmm_key key = text_key(cache, "key");
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    struct fmm_value value = text_value("v");
    struct fmm_ticket ticket;
    CHECK_EQ(set_text(cache, "key", "old"), FMM_OK);
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(fmm_set(cache, &once, &key, &value, &store, &ticket), FMM_BUSY);
    CHECK_EQ(fmm_touch(cache, &once, &key, 1), FMM_BUSY);
    CHECK(holds(cache, "key", "old")); /* readers do not wait */
    CHECK(fmm_guard_release(&guard));
    CHECK_EQ(fmm_set(cache, &once, &key, &value, &store, &ticket), FMM_OK);
    CHECK(stats_of(cache).lock_waits == 0);
    end();
}

static void
a_page_that_does_not_exist_is_refused(void)
{
    struct fmm_guard guard;
    struct fmm_page_report report;
    struct fmm_scan scan = {.buffer = NULL};
    begin();
    CHECK_EQ(fmm_guard_take(cache, &call, 3, &guard), FMM_ERR_ARGUMENT);
    CHECK_EQ(fmm_scan_page(cache, &call, UINT32_MAX, &scan), FMM_ERR_ARGUMENT);
    CHECK_EQ(fmm_check_page(cache, &call, 3, true, &report), FMM_ERR_ARGUMENT);
    end();
}

static void
a_cache_holds_many_keys(void)
{
    cache = new_cache(65536, 16);
    for (int i = 0; i < 2000; i++) {
        char key[24];
        snprintf(key, sizeof(key), "number %d", i);
        CHECK_EQ(set_text(cache, key, key), FMM_OK);
    }
    for (int i = 0; i < 2000; i++) {
        char key[24];
        snprintf(key, sizeof(key), "number %d", i);
        CHECK(holds(cache, key, key));
    }
    CHECK_EQ(stats_of(cache).entries, 2000);
    end();
}

static void
a_key_says_by_which_open_cache_it_was_hashed(void)
{
    struct fmm_key key;
    struct fmm_key none = {.data = "key", .len = 3};
    begin();
    struct fmm_cache *other = open_path(scratch("cache"));
    CHECK(fmm_serial(cache) != 0 && fmm_serial(other) != 0);
    CHECK(fmm_serial(cache) != fmm_serial(other));
    fmm_key_init(other, &key, "key", 3, FMM_KEY_TEXT);
    CHECK_EQ(key.hashed_by, fmm_serial(other));
    fmm_key_hash(cache, &key);
    CHECK_EQ(key.hashed_by, fmm_serial(cache));
    CHECK_EQ(none.hashed_by, 0);
    fmm_close(other);
    end();
}

static const struct check_case cases[] = {
    CASE(a_key_holds_what_was_set_last),
    CASE(text_and_bytes_are_two_keys),
    CASE(a_description_says_all_about_an_entry),
    CASE(a_brief_call_describes_the_value_and_nothing_else),
    CASE(a_buffer_that_is_too_small_is_told_what_it_takes),
    CASE(a_removed_key_is_gone),
    CASE(an_entry_is_gone_when_its_time_has_come),
    CASE(touch_changes_the_lifetime_only),
    CASE(add_stores_only_what_is_absent),
    CASE(replace_stores_only_what_is_present),
    CASE(what_does_not_fit_leaves_the_old_value),
    CASE(an_integer_is_made_and_then_changed_in_place),
    CASE(an_integer_reads_as_eight_bytes),
    CASE(an_integer_never_leaves_64_bits),
    CASE(what_is_no_integer_is_not_added_to),
    CASE(a_page_that_is_held_is_busy_for_writers),
    CASE(a_page_that_does_not_exist_is_refused),
    CASE(a_cache_holds_many_keys),
    CASE(a_key_says_by_which_open_cache_it_was_hashed),
};

CHECK_MAIN(cases)
