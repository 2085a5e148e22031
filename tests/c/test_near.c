/* Values seen again by where they were: never one that is not the present one. */
#include "support.h"

#include <stdlib.h>

#define PAGE 16384u
#define MINUTE_MS (60 * SECOND)

static struct fmm_cache *cache;
static struct fmm_ticket ticket;
static const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};

static void
begin(uint64_t page_size)
{
    cache = new_cache(page_size, 1);
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

/* Read a key that is there, and where it is. */
static struct fmm_sighting
see(const char *name)
{
    struct fmm_sighting seen = {.word = 0};
    struct fmm_call looking = call;
    struct fmm_key key = text_key(cache, name);
    struct fmm_meta meta;
    char buffer[1024];
    looking.sighting = &seen;
    CHECK_EQ(fmm_get(cache, &looking, &key, buffer, sizeof(buffer), &meta),
             FMM_OK);
    return seen;
}

static bool
again(const struct fmm_sighting *seen)
{
    return fmm_see_again(cache, &call, seen, 1);
}

static struct fmm_sighting
set_and_see(const char *name, const struct fmm_store_options *store)
{
    CHECK_EQ(set_text_as(cache, name, "value", store), FMM_OK);
    struct fmm_sighting seen = see(name);
    CHECK(seen.word != 0 && again(&seen));
    return seen;
}

static uint32_t
hint_of(const struct fmm_sighting *seen)
{
    const void *at = cache->base + 4 * (uint64_t)seen->hint;
    return *(const uint32_t *)at;
}

/* What its slot has now. */
static uint64_t
word_of(const struct fmm_sighting *seen)
{
    const void *at = cache->base + 8 * (uint64_t)seen->slot;
    return *(const uint64_t *)at;
}

/* ---------------------------------------------------------- what is the same */

static void
a_value_is_seen_again_while_it_stays(void)
{
    begin(PAGE);
    struct fmm_sighting seen = set_and_see("key", &plainly);
    set_text(cache, "other", "value");
    remove_text(cache, "other");
    for (int i = 0; i < 100; i++) {
        CHECK(again(&seen));
    }
    end();
}

static void
a_hit_counts_and_earns_credit_like_any_other(void)
{
    begin(PAGE);
    struct fmm_sighting seen = set_and_see("key", &plainly);
    struct fmm_call by_page = call;
    by_page.count = FMM_COUNTED_BY_PAGE;
    uint32_t hint = hint_of(&seen);
    struct fmm_stats before = stats_of(cache);
    call.now_ms += 10 * SECOND;
    by_page.now_ms = call.now_ms;
    CHECK(again(&seen));
    CHECK(fmm_see_again(cache, &by_page, &seen, 1));
    struct fmm_stats after = stats_of(cache);
    CHECK_EQ(after.hits - before.hits, 2);
    CHECK_EQ(after.page_hits - before.page_hits, 1);
    CHECK_EQ(after.page_reads - before.page_reads, 1);
    CHECK((hint_of(&seen) & FMM_HINT_ACCESS) >= (hint & FMM_HINT_ACCESS) + 10);
    CHECK(hint_of(&seen) >> FMM_HINT_CREDIT_SHIFT >= hint >>
          FMM_HINT_CREDIT_SHIFT);
    end();
}

static void
what_is_not_seen_again_counts_nothing(void)
{
    begin(PAGE);
    struct fmm_sighting seen = set_and_see("key", &plainly);
    remove_text(cache, "key");
    struct fmm_stats before = stats_of(cache);
    CHECK(!again(&seen));
    struct fmm_stats after = stats_of(cache);
    CHECK_EQ(after.hits, before.hits);
    CHECK_EQ(after.misses, before.misses);
    end();
}

static void
see_in_child(void *seen)
{
    CHECK(again(seen));
    set_text(cache, "key", "other");
    CHECK(!again(seen));
}

static void
a_forked_child_sees_it_again_and_what_it_changes_is_seen(void)
{
    begin(PAGE);
    struct fmm_sighting seen = set_and_see("key", &plainly);
    join(spawn(see_in_child, &seen));
    CHECK(!again(&seen));
    CHECK(holds(cache, "key", "other"));
    end();
}

static void
a_lease_on_a_value_leaves_it_seen(void)
{
    const struct fmm_lease_store store = {.leasable = true};
    struct fmm_value value = text_value("value");
    struct fmm_lease lease;
    begin(PAGE);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(take_lease(cache, &key, MINUTE_MS, false, &lease, &ticket),
             FMM_OK);
    struct fmm_lease_store stored = store;
    stored.token = lease.token;
    CHECK_EQ(fmm_lease_value(cache, &call, &key, &value, &stored, &ticket),
             FMM_OK);
    struct fmm_sighting seen = see("key");
    CHECK_EQ(take_lease(cache, &key, MINUTE_MS, true, &lease, &ticket),
             FMM_OK);
    CHECK(again(&seen));
    CHECK_EQ(end_lease(cache, &key, lease.token), FMM_OK);
    CHECK(again(&seen));
    end();
}

/* ----------------------------------------------------------- what has changed */

static void
overwrite(void)
{
    set_text(cache, "key", "other");
}

static void
overwrite_with_the_same(void)
{
    set_text(cache, "key", "value");
}

static void
remove_key(void)
{
    remove_text(cache, "key");
}

static void
leave_tombstone(void)
{
    const struct fmm_removal removal = {.has_modseq = true, .modseq = 9};
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_remove(cache, &call, &key, &removal, NULL, &ticket), FMM_OK);
}

static void
clear_page(void)
{
    uint64_t dropped = 0;
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
}

static void
touch_into_the_past(void)
{
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_touch(cache, &call, &key, call.now_ms), FMM_OK);
}

static void
store_until_it_is_evicted(void)
{
    for (unsigned i = 0; has(cache, "key"); i++) {
        set_filler(cache, name_of('f', i), 200);
    }
}

static void
replace_file(void)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .init_file = true};
    fmm_close(open_cache(&options));
}

static void
no_change_is_missed(void)
{
    void (*const changes[])(void) = {
        overwrite,
        overwrite_with_the_same,
        remove_key,
        leave_tombstone,
        clear_page,
        touch_into_the_past,
        store_until_it_is_evicted,
        replace_file,
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        begin(PAGE);
        struct fmm_sighting seen = set_and_see("key", &plainly);
        changes[i]();
        CHECK(!again(&seen));
        fmm_close(cache);
    }
}

static void
it_is_over_when_its_lifetime_is(void)
{
    begin(PAGE);
    const struct fmm_store_options store = {.expire_at = call.now_ms + SECOND};
    struct fmm_sighting seen = set_and_see("key", &store);
    struct fmm_key key = text_key(cache, "key");
    call.now_ms += SECOND - 1;
    CHECK(again(&seen));
    call.now_ms += 1;
    CHECK(!again(&seen));
    call.now_ms -= 1;
    CHECK_EQ(fmm_touch(cache, &call, &key, call.now_ms + MINUTE_MS), FMM_OK);
    call.now_ms += SECOND;
    CHECK(again(&seen)); /* touched in place: it lives longer now */
    CHECK_EQ(fmm_touch(cache, &call, &key, 0), FMM_OK);
    call.now_ms += 100 * MINUTE_MS;
    CHECK(again(&seen));
    end();
}

static void
an_integer_that_was_changed_in_place_is_not_the_one_seen(void)
{
    uint64_t expire_at;
    int64_t result;
    begin(PAGE);
    struct fmm_key key = text_key(cache, "key");
    fmm_incr(cache, &call, &key, 1, 0, &plainly, &result, &expire_at, &ticket);
    struct fmm_sighting seen = see("key");
    CHECK(seen.is_integer && result == 1 && again(&seen));
    CHECK(!fmm_see_again(cache, &call, &seen, 2));
    fmm_incr(cache, &call, &key, 1, 0, &plainly, &result, &expire_at, &ticket);
    CHECK(!again(&seen));
    /* Where the number is under a seal, it is in another entry by now. */
    CHECK_EQ(fmm_see_again(cache, &call, &seen, 2),
             cache->geometry.seal_size == 0);
    end();
}

static void
it_is_over_when_a_tag_of_it_is(void)
{
    begin(PAGE);
    struct fmm_key name = text_key(cache, "tag"), record;
    struct fmm_tag tag = {.id = fmm_tag_id(cache, &name)};
    fmm_tag_key(cache, &tag, &record);
    CHECK_EQ(fmm_group_find(cache, &call, &record, &tag.generation), FMM_OK);
    const struct fmm_store_options store = {.tags = &tag, .tag_count = 1};
    struct fmm_sighting seen = set_and_see("key", &store);
    CHECK(seen.is_tagged && again(&seen));
    CHECK_EQ(fmm_group_end(cache, &call, &record, &ticket), FMM_OK);
    CHECK(!again(&seen));
    end();
}

/* A dirty value that was written back is clean: another word, nothing worse. */
static void
a_changed_value_is_seen_while_it_is_dirty(void)
{
    const struct fmm_store_options store = {.dirty = true};
    uint64_t cursor = 0;
    begin(PAGE);
    struct fmm_sighting seen = set_and_see("key", &store);
    CHECK_EQ(fmm_dirty_next(cache, &call, 0, false, &cursor, &ticket), FMM_OK);
    CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
    CHECK(!again(&seen));
    seen = see("key");
    CHECK(again(&seen));
    end();
}

/* --------------------------------------------------------------- what deceives */

/* The same word in the same slot again: a lap later, at the same place. */
static void
the_same_word_a_lap_later_is_not_the_same_value(void)
{
    char text[] = "value 0";
    unsigned same = 0;
    begin(FMM_PAGE_SIZE_MIN);
    for (unsigned round = 0; round < 20; round++) {
        set_text(cache, "key", "value x");
        struct fmm_sighting seen = see("key");
        for (unsigned i = 0; i < 1000; i++) {
            text[6] = (char)('0' + i % 10);
            CHECK_EQ(set_text(cache, "key", text), FMM_OK);
            same += word_of(&seen) == seen.word;
            CHECK(!again(&seen));
        }
        for (unsigned i = 0; i < round; i++) { /* begin elsewhere */
            set_filler(cache, name_of('f', i), 40 + i);
        }
    }
    CHECK(same > 100);
    end();
}

/* What names a value in an index that was replaced names it for ever. */
static void
an_index_that_was_replaced_tells_nothing(void)
{
    unsigned held = 0;
    begin(PAGE);
    for (unsigned i = 0; i < 8; i++) {
        set_text(cache, name_of('k', i), "value");
    }
    struct fmm_sighting seen[8];
    for (unsigned i = 0; i < 8; i++) {
        seen[i] = see(name_of('k', i));
    }
    struct fmm_page page;
    view_page(cache, 0, &page);
    for (unsigned i = 0; page.control->index == 0; i++) {
        REQUIRE(i < 100000);
        set_text(cache, name_of('n', i), "");
    }
    for (unsigned i = 0; i < 8; i++) {
        bool there = has(cache, name_of('k', i));
        set_text(cache, name_of('k', i), "other");
        held += there && word_of(&seen[i]) == seen[i].word;
        CHECK(!again(&seen[i]));
        struct fmm_sighting now = see(name_of('k', i));
        CHECK(now.word != 0 && again(&now));
    }
    CHECK(held > 0);
    end();
}

static void
values_in_parts_are_not_to_be_seen_again(void)
{
    static char large[5 * PAGE];
    struct fmm_sighting seen = {.word = 0};
    struct fmm_call looking = call;
    struct fmm_meta meta;
    cache = new_cache(PAGE, 32);
    looking.sighting = &seen;
    struct fmm_key key = text_key(cache, "key");
    struct fmm_value value = {.data = large, .len = sizeof(large), .type = 2};
    struct fmm_parts_job job = {.value = &value};
    CHECK_EQ(fmm_parts_store(cache, &call, &key, &job, &ticket), FMM_OK);
    const struct fmm_value split = {.data = &job.parts,
                                    .len = sizeof(job.parts),
                                    .type = 2,
                                    .split = true,
                                    .file = fmm_serial(cache)};
    ticket.displaced.count = 0;
    CHECK_EQ(fmm_set(cache, &call, &key, &split, &plainly, &ticket), FMM_OK);
    fmm_parts_finish(cache, &call, &job, true);
    CHECK_EQ(fmm_get(cache, &looking, &key, large, sizeof(large), &meta),
             FMM_OK);
    CHECK_EQ(seen.word, 0);
    fmm_close(cache);
}

static void
one_who_may_only_read_leaves_no_trace(void)
{
    begin(PAGE);
    struct fmm_sighting written = set_and_see("key", &plainly);
    struct fmm_cache *writable = cache;
    const struct fmm_options options = {.path = scratch("cache"),
                                        .must_exist = true,
                                        .inspect = true,
                                        .read_only = true};
    cache = open_cache(&options);
    struct fmm_sighting seen = see("key");
    uint32_t hint = hint_of(&seen);
    struct fmm_stats before = stats_of(writable);
    call.now_ms += 10 * SECOND;
    CHECK(again(&seen));
    CHECK_EQ(hint_of(&seen), hint);
    CHECK_EQ(stats_of(writable).hits, before.hits);
    fmm_close(cache);
    cache = writable;
    CHECK(again(&written));
    end();
}

/* ------------------------------------------------------------ beside a writer */

enum { ACKNOWLEDGED, STOP };
static fmm_word64 *words;

/* Say each number once it can be read, whatever leaves for it. */
static void
write_numbers(void *unused)
{
    (void)unused;
    char text[24];
    for (uint64_t n = 1; words[STOP] == 0; n++) {
        snprintf(text, sizeof(text), "%020llu", (unsigned long long)n);
        set_text(cache, "key", text);
        atomic_store(&words[ACKNOWLEDGED], n);
        if (n % 3 == 0) {
            set_filler(cache, name_of('f', (unsigned)(n % 50)), n % 97);
        }
    }
}

/* What is said to be there still is never older than what was acknowledged
 * before the question. */
static void
nothing_older_than_what_was_acknowledged_is_seen(void)
{
    char text[24];
    uint64_t held = 0, stale = 0;
    words = shared_words(2);
    begin(FMM_PAGE_SIZE_MIN);
    set_text(cache, "key", "00000000000000000000");
    pid_t writer = spawn(write_numbers, NULL);
    uint64_t until = fmm_monotonic_ms() + 1000;
    while (fmm_monotonic_ms() < until) {
        struct fmm_sighting seen = {.word = 0};
        struct fmm_call looking = call;
        struct fmm_key key = text_key(cache, "key");
        struct fmm_meta meta;
        looking.sighting = &seen;
        if (fmm_get(cache, &looking, &key, text, sizeof(text), &meta) !=
                FMM_OK ||
            seen.word == 0) {
            continue;
        }
        text[20] = '\0';
        uint64_t number = strtoull(text, NULL, 10), said;
        for (int i = 0; i < 20; i++) {
            said = atomic_load(&words[ACKNOWLEDGED]);
            if (!again(&seen)) {
                break;
            }
            held++;
            stale += number < said;
        }
    }
    words[STOP] = 1;
    join(writer);
    CHECK(held > 0);
    CHECK_EQ(stale, 0);
    end();
    free_words(words, 2);
}

static const struct check_case cases[] = {
    CASE(a_value_is_seen_again_while_it_stays),
    CASE(a_hit_counts_and_earns_credit_like_any_other),
    CASE(what_is_not_seen_again_counts_nothing),
    CASE(a_forked_child_sees_it_again_and_what_it_changes_is_seen),
    CASE(a_lease_on_a_value_leaves_it_seen),
    CASE(no_change_is_missed),
    CASE(it_is_over_when_its_lifetime_is),
    CASE(an_integer_that_was_changed_in_place_is_not_the_one_seen),
    CASE(it_is_over_when_a_tag_of_it_is),
    CASE(a_changed_value_is_seen_while_it_is_dirty),
    CASE(the_same_word_a_lap_later_is_not_the_same_value),
    CASE(an_index_that_was_replaced_tells_nothing),
    CASE(values_in_parts_are_not_to_be_seen_again),
    CASE(one_who_may_only_read_leaves_no_trace),
    CASE(nothing_older_than_what_was_acknowledged_is_seen),
};

CHECK_MAIN(cases)
