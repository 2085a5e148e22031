/* Groups: what is in a namespace or has tags is seen as long as the generation
 * lasts that it was stored in, and never again, whatever becomes of records. */
#include "support.h"

#include <stdlib.h>

#include "fmm_hold.h"

#define MINUTE (60 * SECOND)

static struct fmm_cache *cache;
static struct fmm_ticket ticket;

static void
begin(void)
{
    cache = new_cache(16384, 2);
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

/* ------------------------------------------------------------ short forms */

/* The record of a namespace. */
static struct fmm_key
space_key(const char *name)
{
    struct fmm_key key;
    fmm_key_init(cache, &key, name, strlen(name), FMM_KEY_INTERNAL);
    return key;
}

static uint32_t
generation_of(const struct fmm_key *record)
{
    uint32_t generation = 0;
    CHECK_EQ(fmm_group_find(cache, &call, record, &generation), FMM_OK);
    return generation;
}

/* The scope of the keys in a namespace, for now. */
static uint64_t
enter(const char *name)
{
    struct fmm_key record = space_key(name);
    return fmm_group_scope(cache, &record, generation_of(&record));
}

static enum fmm_status
leave(const char *name)
{
    struct fmm_key record = space_key(name);
    return fmm_group_end(cache, &call, &record, &ticket);
}

static struct fmm_key
scoped_key(uint64_t scope, const char *name)
{
    struct fmm_key key = text_key(cache, name);
    key.scope = scope;
    fmm_key_hash(cache, &key);
    return key;
}

static enum fmm_status
set_scoped(uint64_t scope, const char *name, const char *text)
{
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    struct fmm_key key = scoped_key(scope, name);
    struct fmm_value value = text_value(text);
    return fmm_set(cache, &call, &key, &value, &plainly, &ticket);
}

static bool
holds_scoped(uint64_t scope, const char *name, const char *text)
{
    char buffer[64];
    struct fmm_meta meta;
    struct fmm_key key = scoped_key(scope, name);
    return fmm_get(cache, &call, &key, buffer, sizeof(buffer), &meta) ==
               FMM_OK &&
           meta.value_len == strlen(text) &&
           memcmp(buffer, text, meta.value_len) == 0;
}

/* A tag, with the generation that it has now. */
static struct fmm_tag
tag(const char *name)
{
    struct fmm_key record, key = text_key(cache, name);
    struct fmm_tag made = {.id = fmm_tag_id(cache, &key)};
    fmm_tag_key(cache, &made, &record);
    made.generation = generation_of(&record);
    return made;
}

/* Its record, whether it is there or not; valid as long as `one` is. */
static struct fmm_key
record_of(const struct fmm_tag *one)
{
    struct fmm_key record;
    fmm_tag_key(cache, one, &record);
    return record;
}

/* Whether a group has a record. */
static bool
has_record(const struct fmm_key *record)
{
    return fmm_exists(cache, &call, record, NULL) == FMM_OK;
}

static enum fmm_status
invalidate(const char *name)
{
    struct fmm_key record, key = text_key(cache, name);
    struct fmm_tag wanted = {.id = fmm_tag_id(cache, &key)};
    fmm_tag_key(cache, &wanted, &record);
    return fmm_group_end(cache, &call, &record, &ticket);
}

static struct fmm_store_options
with_tag(const struct fmm_tag *one)
{
    return (struct fmm_store_options){.tags = one, .tag_count = 1};
}

/* The key holds a value with a tag that was ended since. */
static void
store_void(const char *name, const char *text)
{
    const struct fmm_tag one = tag("of the past");
    const struct fmm_store_options store = with_tag(&one);
    CHECK_EQ(set_text_as(cache, name, text, &store), FMM_OK);
    CHECK(holds(cache, name, text));
    CHECK_EQ(invalidate("of the past"), FMM_OK);
}

/* ------------------------------------------------------------- generations */

static void
a_generation_lasts_until_it_is_ended_and_never_comes_back(void)
{
    begin();
    struct fmm_key record = space_key("name");
    uint32_t first = generation_of(&record);
    uint64_t scope = enter("name");
    CHECK(scope != 0 && scope == enter("name"));
    CHECK(enter("another") != scope);
    CHECK(!has_record(&record)); /* none is needed until now */
    CHECK_EQ(leave("name"), FMM_OK);
    CHECK(has_record(&record));
    uint32_t second = generation_of(&record);
    CHECK_EQ(leave("name"), FMM_OK);
    uint32_t third = generation_of(&record);
    CHECK(first != second && second != third && third != first);
    CHECK(enter("name") != scope);
    end();
}

static void
a_record_that_is_no_number_is_none(void)
{
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    begin();
    struct fmm_key record = space_key("name");
    const char *const texts[] = {"eight888", "longer than a number", ""};
    for (int i = 0; i < 3; i++) {
        struct fmm_value value = text_value(texts[i]);
        CHECK_EQ(fmm_set(cache, &call, &record, &value, &plainly, &ticket),
                 FMM_OK);
        CHECK_EQ(generation_of(&record), 0);
    }
    CHECK_EQ(leave("name"), FMM_OK);
    CHECK(generation_of(&record) != 0);
    end();
}

static void
records_are_neither_counted_nor_shown(void)
{
    begin();
    enter("name");
    tag("tag");
    CHECK_EQ(stats_of(cache).entries, 0);
    for (uint32_t page = 0; page < 2; page++) {
        CHECK_EQ(count_values(cache, &call, page), 0);
    }
    end();
}

/* Store values that are asked for. */
static void
fill(unsigned count)
{
    static unsigned filled;
    char name[24];
    for (unsigned n = 0; n < count; n++) {
        snprintf(name, sizeof(name), "filler %u", filled++);
        CHECK_EQ(set_filler(cache, name, 150), FMM_OK);
        is_filler(cache, name, 150); /* for its credit */
    }
}

static void
a_record_in_use_outlives_all_that_is_stored_meanwhile(void)
{
    begin();
    CHECK_EQ(leave("name"), FMM_OK);
    CHECK_EQ(invalidate("tag"), FMM_OK);
    uint64_t scope = enter("name");
    const struct fmm_tag one = tag("tag");
    for (unsigned n = 0; n < 400; n++) {
        fill(50);
        CHECK(enter("name") == scope);
        CHECK(tag("tag").generation == one.generation);
    }
    CHECK(stats_of(cache).evictions > 15000);
    struct fmm_key record = space_key("name");
    CHECK(has_record(&record));
    end();
}

/* -------------------------------------------------------------- namespaces */

static void
a_key_of_a_namespace_is_a_key_of_its_own(void)
{
    begin();
    uint64_t a = enter("a"), b = enter("b");
    CHECK_EQ(set_text(cache, "key", "plain"), FMM_OK);
    CHECK_EQ(set_scoped(a, "key", "of a"), FMM_OK);
    CHECK(!holds_scoped(b, "key", "of a"));
    CHECK_EQ(set_scoped(b, "key", "of b"), FMM_OK);
    CHECK(holds(cache, "key", "plain"));
    CHECK(holds_scoped(a, "key", "of a"));
    CHECK(holds_scoped(b, "key", "of b"));
    CHECK_EQ(stats_of(cache).entries, 3);
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    CHECK(holds_scoped(a, "key", "of a"));
    end();
}

static void
what_a_namespace_held_is_gone_when_it_is_ended(void)
{
    begin();
    uint64_t old = enter("name");
    CHECK_EQ(set_scoped(old, "key", "old"), FMM_OK);
    CHECK_EQ(leave("name"), FMM_OK);
    uint64_t now = enter("name");
    CHECK(!holds_scoped(now, "key", "old"));
    /* A store that began before shows as little. */
    CHECK_EQ(set_scoped(old, "key", "late"), FMM_OK);
    CHECK(!holds_scoped(now, "key", "late"));
    CHECK_EQ(set_scoped(now, "key", "new"), FMM_OK);
    CHECK(holds_scoped(now, "key", "new"));
    end();
}

/* -------------------------------------------------------------------- tags */

static void
a_value_is_seen_while_all_its_tags_last(void)
{
    struct fmm_tag tags[FMM_TAGS_MAX];
    char name[16];
    begin();
    for (unsigned ended = 0; ended < FMM_TAGS_MAX; ended++) {
        for (unsigned i = 0; i < FMM_TAGS_MAX; i++) {
            snprintf(name, sizeof(name), "tag %u", i);
            tags[i] = tag(name);
        }
        const struct fmm_store_options store = {.tags = tags,
                                                .tag_count = FMM_TAGS_MAX};
        CHECK_EQ(set_text_as(cache, "key", "value", &store), FMM_OK);
        CHECK(holds(cache, "key", "value"));
        CHECK_EQ(invalidate("no tag of it"), FMM_OK);
        CHECK(holds(cache, "key", "value"));
        snprintf(name, sizeof(name), "tag %u", ended);
        CHECK_EQ(invalidate(name), FMM_OK);
        CHECK(!holds(cache, "key", "value"));
    }
    end();
}

static void
a_tag_that_was_made_anew_brings_nothing_back(void)
{
    begin();
    store_void("key", "old");
    tag("of the past");
    CHECK(!has(cache, "key"));
    end();
}

static void
a_value_of_before_an_invalidation_is_never_seen(void)
{
    begin();
    const struct fmm_tag before = tag("tag");
    const struct fmm_store_options store = with_tag(&before);
    CHECK_EQ(invalidate("tag"), FMM_OK);
    CHECK_EQ(set_text_as(cache, "key", "stale", &store), FMM_OK);
    CHECK(!has(cache, "key"));
    tag("tag");
    CHECK(!has(cache, "key"));
    end();
}

static void
tags_of_text_bytes_and_namespaces_are_not_the_same(void)
{
    begin();
    struct fmm_key name = text_key(cache, "tag");
    uint32_t text = fmm_tag_id(cache, &name);
    name.kind = FMM_KEY_BYTES;
    uint32_t bytes = fmm_tag_id(cache, &name);
    name.scope = 5;
    uint32_t scoped = fmm_tag_id(cache, &name);
    CHECK(text != bytes && bytes != scoped && scoped != text);
    CHECK(text != (uint32_t)text_key(cache, "tag").hash);
    end();
}

/* Each operation takes a void value for none. */

static void
to_readers_a_void_value_is_none(void)
{
    char buffer[16];
    unsigned char records[4096];
    struct fmm_scan scan = {.buffer = records, .capacity = sizeof(records)};
    struct fmm_meta meta;
    struct fmm_guard guard;
    begin();
    store_void("key", "old");
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_get(cache, &call, &key, buffer, 16, &meta), FMM_MISS);
    CHECK_EQ(fmm_get(cache, &call, &key, buffer, 1, &meta), FMM_MISS);
    CHECK_EQ(fmm_exists(cache, &call, &key, NULL), FMM_MISS);
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(fmm_get_locked(&guard, &call, &key, buffer, 16, &meta), FMM_MISS);
    fmm_guard_release(&guard);
    CHECK_EQ(fmm_scan_page(cache, &call, key.page, &scan), FMM_OK);
    CHECK_EQ(scan.used, 0);
    end();
}

static void
to_changes_a_void_value_is_none(void)
{
    const struct fmm_store_options added = {.mode = FMM_STORE_ADD};
    const struct fmm_store_options replaced = {.mode = FMM_STORE_REPLACE};
    begin();
    store_void("key", "old");
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_touch(cache, &call, &key, 0), FMM_MISS);
    CHECK_EQ(set_text_as(cache, "key", "new", &replaced), FMM_MISS);
    CHECK_EQ(set_text_as(cache, "key", "new", &added), FMM_OK);
    CHECK(holds(cache, "key", "new"));
    store_void("key", "old");
    CHECK_EQ(remove_text(cache, "key"), FMM_MISS);
    end();
}

static void
a_void_number_counts_from_the_start(void)
{
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    int64_t number = 41;
    uint64_t expire_at;
    begin();
    const struct fmm_tag one = tag("tag");
    const struct fmm_store_options store = with_tag(&one);
    const struct fmm_value value = {
        .data = &number, .len = 8, .type = FMM_TYPE_INT};
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_set(cache, &call, &key, &value, &store, &ticket), FMM_OK);
    CHECK_EQ(fmm_incr(cache, &call, &key, 1, 0, &plainly, &number, &expire_at,
                      &ticket),
             FMM_OK);
    CHECK_EQ(number, 42);
    CHECK_EQ(invalidate("tag"), FMM_OK);
    CHECK_EQ(fmm_incr(cache, &call, &key, 1, 0, &plainly, &number, &expire_at,
                      &ticket),
             FMM_OK);
    CHECK_EQ(number, 1);
    end();
}

static void
a_void_value_refuses_no_modseq_and_a_purge_drops_it(void)
{
    begin();
    const struct fmm_tag one = tag("tag");
    struct fmm_store_options store = with_tag(&one);
    uint64_t dropped = 0;
    store.modseq = 9;
    store.has_modseq = true;
    CHECK_EQ(set_text_as(cache, "key", "new", &store), FMM_OK);
    CHECK_EQ(invalidate("tag"), FMM_OK);
    store = (struct fmm_store_options){.modseq = 3, .has_modseq = true};
    CHECK_EQ(set_text_as(cache, "key", "old", &store), FMM_OK);
    CHECK(holds(cache, "key", "old"));
    store_void("key", "void");
    uint32_t page = text_key(cache, "key").page;
    CHECK_EQ(
        fmm_drop_page(cache, &call, page, FMM_DROP_EXPIRED, true, &dropped),
        FMM_OK);
    CHECK_EQ(dropped, 1);
    end();
}

static void
a_changed_value_is_written_back_though_it_is_void(void)
{
    struct fmm_meta meta;
    struct fmm_lease lease;
    char buffer[32];
    uint64_t cursor = 0;
    begin();
    const struct fmm_tag one = tag("tag");
    struct fmm_store_options store = with_tag(&one);
    store.dirty = true;
    CHECK_EQ(set_text_as(cache, "key", "changed", &store), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_dirty_next(cache, &call, key.page, true, &cursor, &ticket),
             FMM_MISS);
    CHECK_EQ(invalidate("tag"), FMM_OK);
    cursor = 0;
    CHECK_EQ(fmm_dirty_next(cache, &call, key.page, true, &cursor, &ticket),
             FMM_OK);
    CHECK_EQ(take_lease(cache, &key, MINUTE, false, &lease, &ticket),
             FMM_DIRTY);
    CHECK_EQ(
        fmm_dirty_read(cache, &call, &ticket, buffer, sizeof(buffer), &meta),
        FMM_OK);
    CHECK(memcmp(buffer, "keychanged", 10) == 0);
    CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
    end();
}

/* ------------------------------------------------ records that have to leave */

/* What shall bring nothing back: a way in which a record is lost. */
typedef void loss(const struct fmm_key *record);

static void
evict(const struct fmm_key *record)
{
    while (has_record(record)) {
        fill(50);
    }
}

/* Where slots are what is wanting. */
static void
take_slot(const struct fmm_key *record)
{
    keep_index(cache);
    for (unsigned n = 0; has_record(record); n++) {
        CHECK_EQ(set_filler(cache, name_of('s', n), 1), FMM_OK);
        is_filler(cache, name_of('s', n), 1);
    }
    CHECK(stats_of(cache).slot_evictions > 0);
}

static void
end_many(const struct fmm_key *record)
{
    char name[24];
    for (unsigned n = 0; has_record(record); n++) {
        fill(1);
        snprintf(name, sizeof(name), "other %u", n);
        CHECK_EQ(invalidate(name), FMM_OK);
    }
}

/* Each other page is left as it is, and the value with it. */
static void
clear_page(const struct fmm_key *record)
{
    uint64_t dropped = 0;
    CHECK_EQ(fmm_drop_page(cache, &call, record->page, FMM_DROP_ALL, false,
                           &dropped),
             FMM_OK);
}

static void
clear_but_for_changes(const struct fmm_key *record)
{
    uint64_t dropped = 0;
    CHECK_EQ(fmm_drop_page(cache, &call, record->page, FMM_DROP_ALL, true,
                           &dropped),
             FMM_OK);
}

static void
empty_damaged(const struct fmm_key *record)
{
    struct fmm_page page;
    struct fmm_hold hold;
    view_page(cache, record->page, &page);
    atomic_store(&page.control->head[FMM_RING_S], UINT64_MAX);
    CHECK_EQ(fmm_hold_take(cache, &call, record->page, &hold), FMM_OK);
    fmm_hold_release(&hold);
}

/* Let the slot of the record name nothing sound. */
static void
damage_slot(const struct fmm_key *record)
{
    struct fmm_page page;
    struct fmm_found found;
    view_page(cache, record->page, &page);
    REQUIRE(fmm_page_find(&page, record, &found));
    fmm_index_publish(&page.index, found.slot, found.word | FMM_SLOT_OFFSET);
}

static void
repair(const struct fmm_key *record)
{
    struct fmm_hold hold;
    damage_slot(record);
    CHECK_EQ(fmm_hold_take(cache, &call, record->page, &hold), FMM_OK);
    fmm_hold_repair(&hold.page);
    fmm_hold_release(&hold);
}

static void
clear_damaged(const struct fmm_key *record)
{
    damage_slot(record);
    clear_but_for_changes(record);
}

/* A value whose tag has its record on another page. */
static struct fmm_tag
set_tagged_apart(const char *text)
{
    struct fmm_key key = text_key(cache, "key");
    for (unsigned n = 0;; n++) {
        char name[24];
        snprintf(name, sizeof(name), "tag %u", n);
        const struct fmm_tag one = tag(name);
        if (record_of(&one).page != key.page) {
            const struct fmm_store_options store = with_tag(&one);
            CHECK_EQ(set_text_as(cache, "key", text, &store), FMM_OK);
            return one;
        }
    }
}

static void
check_loss(loss *lose)
{
    begin();
    const struct fmm_tag one = set_tagged_apart("old");
    const struct fmm_store_options store = with_tag(&one);
    struct fmm_key record = record_of(&one);
    CHECK(holds(cache, "key", "old"));
    CHECK_EQ(fmm_group_end(cache, &call, &record, &ticket), FMM_OK);
    CHECK(!has(cache, "key"));
    lose(&record);
    CHECK(!has_record(&record));
    CHECK_EQ(set_text_as(cache, "key", "late", &store), FMM_OK);
    CHECK(!has(cache, "key"));
    check_pages(cache, false); /* a damaged slot was miscounted */
    fmm_close(cache);
}

static void
no_record_that_is_lost_brings_values_back(void)
{
    loss *const ways[] = {evict,
                          take_slot,
                          end_many,
                          clear_page,
                          empty_damaged,
                          repair,
                          clear_but_for_changes,
                          clear_damaged};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        check_loss(ways[i]);
    }
}

static void
without_room_for_a_record_the_group_ends_all_the_same(void)
{
    begin();
    const struct fmm_tag one = set_tagged_apart("old");
    struct fmm_key record = record_of(&one);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(fmm_group_end(cache, &call, &record, NULL), FMM_OK);
        CHECK(!has_record(&record));
        CHECK(!has(cache, "key"));
        CHECK_EQ(fmm_group_end(cache, &call, &record, &ticket), FMM_OK);
        CHECK(has_record(&record));
    }
    CHECK_EQ(fmm_group_end(cache, &call, &record, NULL), FMM_OK);
    CHECK(!has(cache, "key"));
    end();
}

/* What is in no group at all lives on, and so does what has another base. */
static void
a_record_that_leaves_ends_few_other_groups(void)
{
    char name[24];
    unsigned kept = 0;
    cache = new_cache(UINT64_C(1) << 20, 2);
    const struct fmm_tag one = tag("ended");
    struct fmm_key record = record_of(&one);
    for (unsigned n = 0; n < 500; n++) {
        snprintf(name, sizeof(name), "tag %u", n);
        const struct fmm_tag other = tag(name);
        const struct fmm_store_options store = with_tag(&other);
        CHECK_EQ(set_text_as(cache, name, "value", &store), FMM_OK);
    }
    CHECK_EQ(invalidate("ended"), FMM_OK);
    CHECK_EQ(fmm_group_end(cache, &call, &record, NULL), FMM_OK);
    for (unsigned n = 0; n < 500; n++) {
        snprintf(name, sizeof(name), "tag %u", n);
        kept += has(cache, name);
    }
    CHECK(kept >= 490);
    end();
}

static void
records_take_a_twentieth_of_a_full_page_however_many_groups_end(void)
{
    char name[24];
    struct fmm_page page;
    cache = new_cache(UINT64_C(1) << 19, 1);
    fill(5000);
    CHECK_EQ(invalidate("in use"), FMM_OK);
    const struct fmm_tag used = tag("in use");
    const struct fmm_store_options store = with_tag(&used);
    CHECK_EQ(set_text_as(cache, "key", "value", &store), FMM_OK);
    for (unsigned n = 0; n < 5000; n++) {
        snprintf(name, sizeof(name), "tag %u", n);
        CHECK_EQ(invalidate(name), FMM_OK);
        CHECK(holds(cache, "key", "value"));
    }
    view_page(cache, 0, &page);
    CHECK(page.control->records <= page.index.buckets * 8 / 20);
    CHECK(page.control->record_bytes <= (UINT64_C(1) << 19) / 20);
    end();
}

static void
in_a_page_with_room_no_record_leaves(void)
{
    char name[24];
    cache = new_cache(UINT64_C(1) << 19, 1);
    for (unsigned n = 0; n < 300; n++) {
        snprintf(name, sizeof(name), "tag %u", n);
        CHECK_EQ(invalidate(name), FMM_OK);
        const struct fmm_tag one = tag(name);
        const struct fmm_store_options store = with_tag(&one);
        CHECK_EQ(set_text_as(cache, name, "value", &store), FMM_OK);
    }
    for (unsigned n = 0; n < 300; n++) {
        snprintf(name, sizeof(name), "tag %u", n);
        CHECK(has(cache, name));
    }
    end();
}

/* ------------------------------------------------------- tags that are kept */

static void
a_change_that_keeps_tags_is_void_with_them(void)
{
    const struct fmm_store_options keep = {.keep_tags = true};
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    begin();
    for (int kept = 0; kept < 2; kept++) {
        const struct fmm_tag one = tag("tag");
        const struct fmm_store_options store = with_tag(&one);
        CHECK_EQ(set_text_as(cache, "key", "old", &store), FMM_OK);
        CHECK_EQ(set_text_as(cache, "key", "new", kept ? &keep : &plainly),
                 FMM_OK);
        CHECK(holds(cache, "key", "new"));
        CHECK_EQ(invalidate("tag"), FMM_OK);
        CHECK_EQ(has(cache, "key"), !kept);
    }
    store_void("key", "void");
    CHECK_EQ(set_text_as(cache, "key", "new", &keep), FMM_OK);
    CHECK(holds(cache, "key", "new"));
    end();
}

static void
a_number_with_a_modseq_keeps_its_tags_when_it_is_added_to(void)
{
    const struct fmm_store_options keep = {.keep_tags = true};
    int64_t number = 41;
    uint64_t expire_at;
    begin();
    const struct fmm_tag one = tag("tag");
    struct fmm_store_options store = with_tag(&one);
    store.has_modseq = true;
    const struct fmm_value value = {
        .data = &number, .len = 8, .type = FMM_TYPE_INT};
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_set(cache, &call, &key, &value, &store, &ticket), FMM_OK);
    CHECK_EQ(fmm_incr(cache, &call, &key, 1, 0, &keep, &number, &expire_at,
                      &ticket),
             FMM_OK);
    CHECK_EQ(number, 42);
    CHECK_EQ(invalidate("tag"), FMM_OK);
    CHECK(!has(cache, "key"));
    end();
}

/* ------------------------------------------------------------------ leases */

static void
a_void_value_is_computed_anew(void)
{
    struct fmm_lease lease;
    begin();
    store_void("key", "old");
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(take_lease(cache, &key, MINUTE, false, &lease, &ticket), FMM_OK);
    const struct fmm_tag one = tag("tag");
    const struct fmm_lease_store how = {
        .token = lease.token, .store = with_tag(&one), .leasable = true};
    const struct fmm_value value = text_value("new");
    CHECK_EQ(fmm_lease_value(cache, &call, &key, &value, &how, &ticket),
             FMM_OK);
    CHECK(holds(cache, "key", "new"));
    CHECK_EQ(take_lease(cache, &key, MINUTE, false, &lease, &ticket),
             FMM_EXISTS);
    CHECK_EQ(invalidate("tag"), FMM_OK);
    CHECK(!has(cache, "key"));
    CHECK_EQ(take_lease(cache, &key, MINUTE, false, &lease, &ticket), FMM_OK);
    end();
}

/* --------------------------------------------------------- pages in the way */

static void
a_record_is_read_while_its_page_is_held(void)
{
    struct fmm_guard guards[2];
    char buffer[16];
    struct fmm_meta meta;
    begin();
    const struct fmm_tag one = tag("tag");
    const struct fmm_store_options store = with_tag(&one);
    CHECK_EQ(set_text_as(cache, "key", "value", &store), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_guard_take(cache, &call, 0, &guards[0]), FMM_OK);
    CHECK_EQ(fmm_guard_take(cache, &call, 1, &guards[1]), FMM_OK);
    CHECK_EQ(fmm_get_locked(&guards[key.page], &call, &key, buffer, 16, &meta),
             FMM_OK);
    CHECK(holds(cache, "key", "value"));
    fmm_guard_release(&guards[0]);
    fmm_guard_release(&guards[1]);
    end();
}

/* -------------------------------------------------------------- processes */

/* Invalidates over and over, and says so, before and after. */
static void
end_generations(void *shared)
{
    fmm_word64 *words = shared;
    for (uint64_t i = 1; i <= 20000; i++) {
        atomic_store(&words[0], i);
        invalidate("tag");
        atomic_store(&words[1], i);
    }
}

/* What was stored before an invalidation is not seen after it, whatever the
 * moment: a value says which invalidation had begun once its tag was read. */
static void
nobody_sees_a_value_from_before_an_invalidation(void)
{
    begin();
    fmm_word64 *words = shared_words(2);
    pid_t child = spawn(end_generations, words);
    uint64_t done = 0, seen = 0;
    while (done < 20000) {
        char text[24] = "";
        struct fmm_meta meta;
        struct fmm_key key = text_key(cache, "key");
        done = atomic_load(&words[1]);
        if (fmm_get(cache, &call, &key, text, sizeof(text), &meta) == FMM_OK) {
            CHECK(strtoull(text, NULL, 10) >= done);
            seen++;
        }
        const struct fmm_tag one = tag("tag");
        const struct fmm_store_options store = with_tag(&one);
        snprintf(text, sizeof(text), "%llu",
                 (unsigned long long)atomic_load(&words[0]));
        CHECK_EQ(set_text_as(cache, "key", text, &store), FMM_OK);
    }
    join(child);
    printf("%llu values seen\n", (unsigned long long)seen);
    free_words(words, 2);
    end();
}

static const struct check_case cases[] = {
    CASE(a_generation_lasts_until_it_is_ended_and_never_comes_back),
    CASE(a_record_that_is_no_number_is_none),
    CASE(records_are_neither_counted_nor_shown),
    CASE(a_record_in_use_outlives_all_that_is_stored_meanwhile),
    CASE(a_key_of_a_namespace_is_a_key_of_its_own),
    CASE(what_a_namespace_held_is_gone_when_it_is_ended),
    CASE(a_value_is_seen_while_all_its_tags_last),
    CASE(a_tag_that_was_made_anew_brings_nothing_back),
    CASE(a_value_of_before_an_invalidation_is_never_seen),
    CASE(tags_of_text_bytes_and_namespaces_are_not_the_same),
    CASE(no_record_that_is_lost_brings_values_back),
    CASE(without_room_for_a_record_the_group_ends_all_the_same),
    CASE(a_record_that_leaves_ends_few_other_groups),
    CASE(records_take_a_twentieth_of_a_full_page_however_many_groups_end),
    CASE(in_a_page_with_room_no_record_leaves),
    CASE(to_readers_a_void_value_is_none),
    CASE(to_changes_a_void_value_is_none),
    CASE(a_void_number_counts_from_the_start),
    CASE(a_void_value_refuses_no_modseq_and_a_purge_drops_it),
    CASE(a_changed_value_is_written_back_though_it_is_void),
    CASE(a_change_that_keeps_tags_is_void_with_them),
    CASE(a_number_with_a_modseq_keeps_its_tags_when_it_is_added_to),
    CASE(a_void_value_is_computed_anew),
    CASE(a_record_is_read_while_its_page_is_held),
    CASE(nobody_sees_a_value_from_before_an_invalidation),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
