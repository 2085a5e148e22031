/* Values in parts: all or nothing, whoever dies, evicts or overwrites. */
#include "support.h"

#include <stdlib.h>

#include "fmm_owner.h"
#include "fmm_parts.h"

#define PAGE 16384u
#define PAGES 8u
#define LARGEST (PAGE * PAGES / 4) /* a quarter of all pages */
#define ROUNDS 2000u
#define OTHER 700u /* beside entries that long a part can pay for its life */

static struct fmm_cache *cache;
static struct fmm_ticket ticket;
static unsigned char sent[PAGE * PAGES], got[PAGE * PAGES];
static struct fmm_meta meta;

static void
begin(void)
{
    cache = new_cache(PAGE, PAGES);
    ticket.displaced.length = 0;
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

static uint64_t
max_entry(void)
{
    return fmm_geometry_max_entry(&cache->geometry);
}

/* ------------------------------------------------------------ short forms */

/* Bytes of which each eight tell the seed and where they are. */
static void
fill(unsigned char *to, size_t length, uint32_t seed)
{
    for (size_t i = 0; i < length; i++) {
        uint32_t word[2] = {seed, (uint32_t)(i / 8)};
        to[i] = ((unsigned char *)word)[i % 8];
    }
}

static enum fmm_status
store_parts(struct fmm_split *split, const struct fmm_key *key)
{
    return fmm_split_store(cache, &call, key, split, &ticket);
}

static enum fmm_status
store_head(const struct fmm_split *split, const struct fmm_key *key)
{
    const struct fmm_value head = {.data = &split->parts,
                                   .len = sizeof(split->parts),
                                   .type = 7,
                                   .split = true};
    const struct fmm_store store = {.expire_at = split->expire_at};
    return fmm_set(cache, &call, key, &head, &store, &ticket);
}

static enum fmm_status
set_large(const char *name, size_t length, uint32_t seed)
{
    const struct fmm_value value = {.data = sent, .len = length};
    struct fmm_split split = {.value = &value};
    struct fmm_key key = text_key(cache, name);
    fill(sent, length, seed);
    enum fmm_status status = store_parts(&split, &key);
    return status == FMM_OK ? store_head(&split, &key) : status;
}

static enum fmm_status
get_large(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    return fmm_get(cache, &call, &key, got, sizeof(got), &meta);
}

static bool
is_large(const char *name, size_t length, uint32_t seed)
{
    fill(sent, length, seed);
    return get_large(name) == FMM_OK && meta.value_len == length &&
           memcmp(got, sent, length) == 0;
}

/* Where the parts of a key's value are. */
static struct fmm_parts
parts_of(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_parts parts = {.length = 0};
    CHECK_EQ(fmm_touch(cache, &call, &key, 0, &parts), FMM_OK);
    return parts;
}

static struct fmm_part_key
part_of(const char *name, uint32_t number)
{
    struct fmm_parts parts = parts_of(name);
    struct fmm_part_key part;
    fmm_parts_key(cache, &parts, number, &part);
    part.key.data = NULL; /* the name moves with the struct */
    return part;
}

static void
put_part(struct fmm_part_key part, size_t length)
{
    const struct fmm_value value = {.data = sent, .len = length};
    const struct fmm_store store = {.expire_at = 0};
    part.key.data = part.name;
    CHECK_EQ(fmm_set(cache, &call, &part.key, &value, &store, &ticket),
             FMM_OK);
}

static void
remove_part(struct fmm_part_key part)
{
    const struct fmm_removal plainly = {.has_modseq = false};
    part.key.data = part.name;
    CHECK_EQ(fmm_remove(cache, &call, &part.key, &plainly, NULL, &ticket),
             FMM_OK);
}

/* ---------------------------------------------------------------- storing */

static void
values_of_all_sizes_read_back_as_written(void)
{
    begin();
    uint64_t part = fmm_geometry_part(&cache->geometry) - 56;
    const uint64_t sizes[] = {max_entry(),  4 * part,     4 * part + 1,
                              5 * part - 1, 5 * part + 7, LARGEST};
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CHECK_EQ(set_large("key", sizes[i], i), FMM_OK);
        CHECK(is_large("key", sizes[i], i));
        CHECK_EQ(meta.type, 7);
        fmm_split_drop(cache, &call, &ticket.displaced);
    }
    CHECK_EQ(set_large("key", LARGEST + 1, 99), FMM_NO_ROOM);
    CHECK(is_large("key", LARGEST, 5));
    CHECK_EQ(set_large("key", 100, 99), FMM_NO_ROOM); /* it needs no parts */
    end();
}

static void
a_value_in_parts_counts_as_one(void)
{
    uint64_t count = 0;
    begin();
    CHECK_EQ(set_large("key", LARGEST, 1), FMM_OK);
    for (uint32_t page = 0; page < PAGES; page++) {
        count += count_values(cache, &call, page);
    }
    CHECK_EQ(count, 1);
    CHECK_EQ(stats_of(cache).entries, 1);
    CHECK_EQ(stats_of(cache).stores, 1);
    end();
}

static void
a_buffer_that_is_too_small_is_told_the_whole_length(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    for (size_t capacity = 0; capacity < 20000; capacity += 6500) {
        CHECK_EQ(fmm_get(cache, &call, &key, got, capacity, &meta),
                 FMM_TOO_SMALL);
        CHECK_EQ(meta.value_len, 20000);
    }
    CHECK_EQ(fmm_get(cache, &call, &key, got, 20000, &meta), FMM_OK);
    end();
}

static void
parts_without_their_key_are_no_value(void)
{
    const struct fmm_value value = {.data = sent, .len = 20000};
    struct fmm_split split = {.value = &value};
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    fill(sent, 20000, 2);
    CHECK_EQ(store_parts(&split, &key), FMM_OK); /* and killed here */
    CHECK(is_large("key", 20000, 1));
    CHECK_EQ(stats_of(cache).entries, 1);
    end();
}

static void
the_page_that_is_held_takes_its_parts_too(void)
{
    const struct fmm_value value = {.data = sent, .len = LARGEST};
    struct fmm_guard guard;
    struct fmm_split split = {.value = &value, .guard = &guard};
    begin();
    fill(sent, value.len, 3);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(store_parts(&split, &key), FMM_OK);
    CHECK(fmm_guard_release(&guard));
    CHECK_EQ(store_head(&split, &key), FMM_OK);
    CHECK(is_large("key", value.len, 3));
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(fmm_get_locked(&guard, &call, &key, got, sizeof(got), &meta),
             FMM_OK);
    CHECK(fmm_guard_release(&guard));
    CHECK(meta.value_len == value.len && memcmp(got, sent, value.len) == 0);
    end();
}

static void
a_store_goes_on_where_a_busy_page_stopped_it(void)
{
    const struct fmm_value value = {.data = sent, .len = LARGEST};
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_split split = {.value = &value};
    struct fmm_guard guard;
    begin();
    fill(sent, value.len, 4);
    struct fmm_key key = text_key(cache, "key");
    uint32_t busy = (key.page + 4) % PAGES;
    CHECK_EQ(fmm_guard_take(cache, &call, busy, &guard), FMM_OK);
    CHECK_EQ(fmm_split_store(cache, &once, &key, &split, &ticket), FMM_BUSY);
    CHECK_EQ(split.page, busy);
    CHECK_EQ(split.next, 3);
    CHECK(fmm_guard_release(&guard));
    CHECK_EQ(fmm_split_store(cache, &once, &key, &split, &ticket), FMM_OK);
    CHECK_EQ(store_head(&split, &key), FMM_OK);
    CHECK(is_large("key", value.len, 4));
    end();
}

static void
with_a_page_held_a_busy_page_is_passed_by(void)
{
    const struct fmm_value value = {.data = sent, .len = LARGEST};
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_guard guard, others;
    struct fmm_split split = {.value = &value, .guard = &guard};
    begin();
    fill(sent, value.len, 5);
    struct fmm_key key = text_key(cache, "key");
    uint32_t busy = (key.page + 2) % PAGES;
    CHECK_EQ(fmm_guard_take(cache, &call, busy, &others), FMM_OK);
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(fmm_split_store(cache, &once, &key, &split, &ticket), FMM_OK);
    CHECK(fmm_guard_release(&guard));
    CHECK(fmm_guard_release(&others));
    CHECK_EQ(store_head(&split, &key), FMM_OK);
    CHECK(is_large("key", value.len, 5));
    struct fmm_split longer = {.parts = split.parts, .expire_at = 0};
    CHECK_EQ(fmm_split_touch(cache, &call, &longer), FMM_OK);
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    fmm_split_drop(cache, &call, &split.parts);
    CHECK_EQ(stats_of(cache).live_bytes, 0);
    end();
}

/* ----------------------------------------------------------- what is lost */

static void
a_value_that_misses_a_part_is_gone(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    remove_part(part_of("key", 2));
    CHECK_EQ(get_large("key"), FMM_MISS);
    CHECK(!has(cache, "key"));
    CHECK_EQ(stats_of(cache).entries, 0);
    end();
}

static void
a_part_of_another_length_is_none(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    put_part(part_of("key", 2), 100);
    CHECK_EQ(get_large("key"), FMM_MISS);
    end();
}

/* The key's entry as a stranger may write it. */
static void
set_parts(const struct fmm_parts *parts, size_t length)
{
    const struct fmm_value head = {
        .data = parts, .len = length, .split = true};
    const struct fmm_store store = {.expire_at = 0};
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_set(cache, &call, &key, &head, &store, &ticket), FMM_OK);
}

static void
parts_that_cannot_be_are_a_miss(void)
{
    const struct fmm_parts impossible[] = {
        {.length = 0},
        {.length = LARGEST + 1},
        {.length = UINT64_MAX},
        {.length = 20000, .page = UINT32_MAX},
    };
    begin();
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        set_parts(&impossible[i], sizeof(impossible[i]));
        CHECK_EQ(get_large("key"), FMM_MISS);
        fmm_split_drop(cache, &call, &impossible[i]);
        CHECK_EQ(fmm_split_touch(cache, &call,
                                 &(struct fmm_split){.parts = impossible[i]}),
                 FMM_MISS);
    }
    end();
}

static void
an_entry_that_cannot_name_parts_is_damage(void)
{
    const struct fmm_parts parts = {.length = 20000};
    begin();
    set_parts(&parts, sizeof(parts) - 8);
    CHECK_EQ(get_large("key"), FMM_MISS);
    fmm_close(cache); /* its page is not sound */
}

/* ------------------------------------------------------- what is left over */

static void
what_replaces_a_value_tells_its_parts(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_parts before = parts_of("key");
    CHECK_EQ(ticket.displaced.length, 0);
    CHECK_EQ(set_large("key", 30000, 2), FMM_OK);
    CHECK_EQ(ticket.displaced.length, 20000);
    CHECK(memcmp(&ticket.displaced, &before, sizeof(before)) == 0);
    fmm_split_drop(cache, &call, &ticket.displaced);
    CHECK(is_large("key", 30000, 2));
    before = parts_of("key");
    const struct fmm_removal plainly = {.has_modseq = false};
    struct fmm_key key = text_key(cache, "key");
    ticket.displaced.length = 0;
    CHECK_EQ(fmm_remove(cache, &call, &key, &plainly, NULL, &ticket), FMM_OK);
    CHECK(memcmp(&ticket.displaced, &before, sizeof(before)) == 0);
    fmm_split_drop(cache, &call, &ticket.displaced);
    CHECK_EQ(stats_of(cache).live_bytes, 0);
    end();
}

static void
an_evicted_value_tells_its_parts(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    for (unsigned n = 0; n < 20000 && ticket.displaced.length == 0; n++) {
        const struct fmm_value value = {.data = sent, .len = 100};
        const struct fmm_store store = {.expire_at = 0};
        char name[16];
        snprintf(name, sizeof(name), "n%u", n);
        struct fmm_key small = text_key(cache, name);
        small.page = key.page;
        CHECK_EQ(fmm_set(cache, &call, &small, &value, &store, &ticket),
                 FMM_OK);
    }
    CHECK_EQ(ticket.displaced.length, 20000);
    CHECK(!has(cache, "key"));
    end();
}

static void
a_longer_life_is_one_of_all_parts(void)
{
    const struct fmm_value value = {.data = sent, .len = 20000};
    struct fmm_split split = {.value = &value,
                              .expire_at = call.now_ms + SECOND};
    uint64_t start = call.now_ms;
    begin();
    fill(sent, 20000, 1);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(store_parts(&split, &key), FMM_OK);
    CHECK_EQ(store_head(&split, &key), FMM_OK);
    struct fmm_split longer = {.expire_at = start + 3 * SECOND};
    CHECK_EQ(fmm_touch(cache, &call, &key, longer.expire_at, &longer.parts),
             FMM_OK);
    CHECK_EQ(fmm_split_touch(cache, &call, &longer), FMM_OK);
    call.now_ms = start + 2 * SECOND;
    CHECK(is_large("key", 20000, 1));
    call.now_ms = start + 4 * SECOND;
    CHECK_EQ(get_large("key"), FMM_MISS);
    uint64_t dropped = 0;
    for (uint32_t page = 0; page < PAGES; page++) {
        CHECK_EQ(fmm_drop_page(cache, &call, page, FMM_DROP_EXPIRED, false,
                               &dropped),
                 FMM_OK);
    }
    CHECK_EQ(dropped, 1);
    CHECK_EQ(stats_of(cache).live_bytes, 0);
    call.now_ms = start;
    end();
}

/* As writers leave them that are killed before the commit. */
static void
leave_parts(const char *name, size_t length)
{
    const struct fmm_value value = {.data = sent, .len = length};
    struct fmm_split split = {.value = &value};
    struct fmm_key key = text_key(cache, name);
    CHECK_EQ(store_parts(&split, &key), FMM_OK);
}

static void
parts_that_nobody_asks_for_go_before_a_value(void)
{
    begin();
    for (uint32_t n = 0; n < 500; n++) {
        size_t length = 9000 + n % 7 * 3000;
        ticket.displaced.length = 0;
        CHECK_EQ(set_large("key", length, n), FMM_OK);
        fmm_split_drop(cache, &call, &ticket.displaced);
        CHECK(is_large("key", length, n));
        leave_parts("key", 9000 + n % 5 * 3000);
        CHECK(is_large("key", length, n));
    }
    end();
}

/* A value that was read again and again, replaced by a writer that was killed
 * before it removed what it had replaced. */
static void
parts_of_what_was_replaced_go_before_a_value(void)
{
    begin();
    for (uint32_t n = 0; n < 500; n++) {
        size_t length = 9000 + n % 7 * 3000;
        CHECK_EQ(set_large("key", length, n), FMM_OK);
        for (uint32_t reads = 0; reads < 8; reads++) {
            CHECK(is_large("key", length, n));
        }
    }
    end();
}

/* What a set has stored can be read at once, and what had to make way for it
 * is gone as a whole: neither seen nor counted any more, but as one eviction. */
static void
a_value_is_there_as_a_whole_or_not_at_all(void)
{
    begin();
    for (uint32_t n = 0; n < 300; n++) {
        char name[16];
        snprintf(name, sizeof(name), "large %u", n);
        ticket.displaced.length = 0;
        CHECK_EQ(set_large(name, 9000 + n % 7 * 3000, n), FMM_OK);
        fmm_split_drop(cache, &call, &ticket.displaced);
        CHECK(is_large(name, 9000 + n % 7 * 3000, n));
    }
    uint64_t there = 0;
    for (uint32_t n = 0; n < 300; n++) {
        char name[16];
        snprintf(name, sizeof(name), "large %u", n);
        bool seen = has(cache, name);
        CHECK_EQ(get_large(name), seen ? FMM_OK : FMM_MISS);
        there += seen;
    }
    CHECK(there > 1 && there < 100);
    CHECK_EQ(stats_of(cache).entries, there);
    CHECK_EQ(stats_of(cache).evictions, 300 - there);
    end();
}

/* ------------------------------------------------- whose parts they are */

/* Whether a part of the key's present or former value has an owner. */
static bool
has_owner(const struct fmm_part_key *part)
{
    struct fmm_key key = part->key;
    struct fmm_found found;
    struct fmm_page page;
    key.data = part->name;
    view_page(cache, key.page, &page);
    CHECK(fmm_page_find(&page, &key, &found));
    CHECK(fmm_owner_is_part(&found.entry));
    return fmm_owner_lives(&page, &found.entry);
}

static void
a_part_is_owned_as_long_as_its_value_is_there(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_part_key first = part_of("key", 0), last = part_of("key", 9);
    CHECK(has_owner(&first) && has_owner(&last));
    CHECK_EQ(set_large("key", 20000, 2), FMM_OK);
    CHECK(!has_owner(&first) && !has_owner(&last));
    first = part_of("key", 0);
    CHECK(has_owner(&first));
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    CHECK(!has_owner(&first));
    end();
}

static void
a_part_is_owned_after_its_value_moved(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_part_key part = part_of("key", 0);
    for (uint32_t n = 0; n < 2000; n++) {
        char name[16];
        snprintf(name, sizeof(name), "other %u", n);
        CHECK(is_large("key", 20000, 1)); /* it earns its second lives */
        CHECK_EQ(set_filler(cache, name, OTHER), FMM_OK);
    }
    CHECK(stats_of(cache).moved_bytes > 0);
    CHECK(has_owner(&part));
    end();
}

/* ------------------------------------------------- beside those who write */

static void
overwrite(void *unused)
{
    (void)unused;
    cache = open_path(scratch("cache"));
    for (uint32_t n = 0; n < ROUNDS; n++) {
        ticket.displaced.length = 0;
        CHECK_EQ(set_large("key", 9000 + n % 7 * 3000, n), FMM_OK);
        fmm_split_drop(cache, &call, &ticket.displaced);
    }
    CHECK_EQ(set_large("done", max_entry(), 0), FMM_OK);
    fmm_close(cache);
}

/* The seed of what was read, which must be whole. */
static void
check_whole(void)
{
    uint32_t seed;
    memcpy(&seed, got, sizeof(seed));
    CHECK_EQ(meta.value_len, 9000 + seed % 7 * 3000);
    fill(sent, meta.value_len, seed);
    CHECK(memcmp(got, sent, meta.value_len) == 0);
}

static void
a_reader_sees_each_value_whole_and_never_none(void)
{
    unsigned reads = 0;
    begin();
    call.wait_ms = -1;
    CHECK_EQ(set_large("key", 9000, 0), FMM_OK);
    pid_t child = spawn(overwrite, NULL);
    for (; !has(cache, "done"); reads++) {
        CHECK_EQ(get_large("key"), FMM_OK);
        check_whole();
    }
    join(child);
    CHECK(reads > 0);
    call.wait_ms = 0;
    end();
}

static void
overwrite_for_ever(void *unused)
{
    (void)unused;
    cache = open_path(scratch("cache"));
    for (uint32_t n = 0;; n++) {
        ticket.displaced.length = 0;
        set_large("key", 9000 + n % 7 * 3000, n);
        fmm_split_drop(cache, &call, &ticket.displaced);
    }
}

static void
a_killed_writer_leaves_one_value_or_the_other(void)
{
    begin();
    call.wait_ms = -1;
    CHECK_EQ(set_large("key", 9000, 0), FMM_OK);
    for (unsigned n = 0; n < 50; n++) {
        pid_t child = spawn(overwrite_for_ever, NULL);
        sleep_ms(1 + (unsigned)check_random_below(8));
        kill_child(child);
        CHECK_EQ(get_large("key"), FMM_OK);
        check_whole();
    }
    check_pages(cache, false);
    fmm_close(cache);
    call.wait_ms = 0;
}

static const struct check_case cases[] = {
    CASE(values_of_all_sizes_read_back_as_written),
    CASE(a_value_in_parts_counts_as_one),
    CASE(a_buffer_that_is_too_small_is_told_the_whole_length),
    CASE(parts_without_their_key_are_no_value),
    CASE(the_page_that_is_held_takes_its_parts_too),
    CASE(a_store_goes_on_where_a_busy_page_stopped_it),
    CASE(with_a_page_held_a_busy_page_is_passed_by),
    CASE(a_value_that_misses_a_part_is_gone),
    CASE(a_part_of_another_length_is_none),
    CASE(parts_that_cannot_be_are_a_miss),
    CASE(an_entry_that_cannot_name_parts_is_damage),
    CASE(what_replaces_a_value_tells_its_parts),
    CASE(an_evicted_value_tells_its_parts),
    CASE(a_longer_life_is_one_of_all_parts),
    CASE(parts_that_nobody_asks_for_go_before_a_value),
    CASE(parts_of_what_was_replaced_go_before_a_value),
    CASE(a_value_is_there_as_a_whole_or_not_at_all),
    CASE(a_part_is_owned_as_long_as_its_value_is_there),
    CASE(a_part_is_owned_after_its_value_moved),
    CASE(a_reader_sees_each_value_whole_and_never_none),
    CASE(a_killed_writer_leaves_one_value_or_the_other),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
