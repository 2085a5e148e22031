/* The directory of values in parts: what leaves, in which order, whoever dies. */
#include "support.h"

#include "fmm_directory.h"
#include "fmm_lock.h"
#include "fmm_parts.h"
#include "fmm_parts_evict.h"

#define PAGE 65536u
#define PAGES 8u
#define LENGTH 40000u /* of each value */

static struct fmm_cache *cache;
static struct fmm_shelf shelf;
static unsigned char bytes[PAGE * PAGES], got[PAGE * PAGES];

static void
begin(void)
{
    cache = new_cache(PAGE, PAGES);
}

static void
end(void)
{
    check_pages(cache, false);
    fmm_close(cache);
}

static void
take(void)
{
    CHECK_EQ(fmm_directory_take(&cache->client, &cache->geometry, call.wait_ms,
                                &shelf),
             FMM_OK);
}

/* Store a value in parts; `stored`: as far as its manifest. */
static enum fmm_status
set(const char *name, size_t length, uint64_t expire_at, bool stored)
{
    const struct fmm_value value = {.data = bytes, .len = length};
    struct fmm_parts_job job = {.value = &value, .expire_at = expire_at};
    const struct fmm_value head = {.data = &job.parts,
                                   .len = sizeof(job.parts),
                                   .split = true,
                                   .file = fmm_serial(cache)};
    const struct fmm_store_options store = {.expire_at = expire_at};
    struct fmm_key key = text_key(cache, name);
    struct fmm_ticket ticket;
    enum fmm_status status =
        fmm_parts_store(cache, &call, &key, &job, &ticket);
    if (status == FMM_OK && stored) {
        ticket.displaced.count = 0;
        status = fmm_set(cache, &call, &key, &head, &store, &ticket);
        fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
        fmm_parts_finish(cache, &call, &job, status == FMM_OK);
    }
    return status;
}

static void
set_numbers(unsigned from, unsigned to)
{
    for (unsigned n = from; n < to; n++) {
        CHECK_EQ(set(name_of('v', n), LENGTH, 0, true), FMM_OK);
    }
}

static unsigned
count_numbers(unsigned from, unsigned to)
{
    unsigned count = 0;
    for (unsigned n = from; n < to; n++) {
        count += has(cache, name_of('v', n));
    }
    return count;
}

static bool
get(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_meta meta;
    return fmm_get(cache, &call, &key, got, sizeof(got), &meta) == FMM_OK;
}

static struct fmm_parts
parts_of(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_parts parts = {.length = 0};
    struct fmm_found found;
    struct fmm_page page;
    view_page(cache, key.page, &page);
    REQUIRE(fmm_page_find(&page, &key, &found));
    fmm_entry_parts(&found.entry, &parts);
    return parts;
}

/* The list that the value of a key is in. */
static enum fmm_list
list_of(const char *name)
{
    struct fmm_parts parts = parts_of(name);
    take();
    enum fmm_list list = fmm_directory_list(&shelf, &parts);
    fmm_directory_release(&shelf);
    return list;
}

static uint64_t
count_listed(enum fmm_list list)
{
    take();
    uint64_t count = shelf.directory->values[list];
    fmm_directory_release(&shelf);
    return count;
}

/* Follow a list both ways; returns its length. */
static uint64_t
check_list(uint32_t list)
{
    uint64_t count = 0;
    uint32_t before = list;
    for (uint32_t n = shelf.listings[list].next; n != list;
         n = shelf.listings[n].next) {
        REQUIRE(n < shelf.count && count++ < shelf.count);
        CHECK_EQ(shelf.listings[n].previous, before);
        CHECK_EQ(shelf.listings[n].list, list);
        before = n;
    }
    CHECK_EQ(shelf.directory->values[list], count);
    return count;
}

static void
check_lists(void)
{
    uint64_t count = 0;
    take();
    for (uint32_t list = 0; list < FMM_LISTS; list++) {
        count += check_list(list);
    }
    CHECK_EQ(count, shelf.count - FMM_LISTS);
    fmm_directory_release(&shelf);
}

/* -------------------------------------------------------------- leaving */

static void
each_value_is_listed_once(void)
{
    begin();
    set_numbers(0, 3);
    set_numbers(0, 3); /* over the old ones */
    CHECK_EQ(count_listed(FMM_LIST_NEW) + count_listed(FMM_LIST_MAIN), 3);
    CHECK_EQ(remove_text(cache, name_of('v', 1)), FMM_OK);
    check_lists();
    end();
}

static void
who_came_first_leaves_first(void)
{
    begin();
    set_numbers(0, 40);
    unsigned there = count_numbers(0, 40);
    CHECK(there >= 8); /* 400 of 512 KiB */
    CHECK_EQ(count_numbers(40 - there, 40), there);
    check_lists();
    end();
}

static void
what_was_asked_for_outlives_what_was_not(void)
{
    begin();
    set_numbers(0, 5);
    CHECK(get(name_of('v', 0)));
    CHECK(get(name_of('v', 0)));
    set_numbers(5, 18);
    CHECK(has(cache, name_of('v', 0)));
    CHECK_EQ(count_numbers(1, 5), 0);
    CHECK(count_listed(FMM_LIST_MAIN) > 0);
    end();
}

/* Whether a value that was evicted and is stored again is known. */
static bool
is_known_again(void)
{
    begin();
    set_numbers(0, 20);
    CHECK(!has(cache, name_of('v', 0)));
    set_numbers(0, 1);
    bool known = list_of(name_of('v', 0)) == FMM_LIST_MAIN;
    CHECK_EQ(list_of(name_of('v', 19)), FMM_LIST_NEW);
    end();
    return known;
}

/* In one file of some two hundred another key has taken its ghost. */
static void
what_comes_back_soon_has_proved_its_worth(void)
{
    CHECK(is_known_again() || is_known_again());
}

static void
what_has_expired_leaves_first(void)
{
    uint64_t start = call.now_ms;
    begin();
    set_numbers(0, 4);
    for (unsigned n = 100; n < 104; n++) {
        CHECK_EQ(set(name_of('v', n), LENGTH, start + SECOND, true), FMM_OK);
    }
    call.now_ms = start + 2 * SECOND;
    set_numbers(4, 8);
    CHECK_EQ(count_numbers(0, 8), 8);
    CHECK_EQ(stats_of(cache).evictions, 0);
    call.now_ms = start;
    end();
}

static void
a_longer_life_is_heard_of(void)
{
    uint64_t start = call.now_ms;
    begin();
    struct fmm_key key = text_key(cache, "longer");
    CHECK_EQ(set("longer", LENGTH, start + SECOND, true), FMM_OK);
    CHECK_EQ(fmm_touch(cache, &call, &key, 0), FMM_OK);
    call.now_ms = start + 2 * SECOND;
    set_numbers(0, 9);
    CHECK(has(cache, "longer"));
    call.now_ms = start;
    end();
}

/* Against small ones that are read once: a dozen times the file. */
static void
a_value_that_is_read_often_stays_however_large(void)
{
    unsigned lost = 0;
    begin();
    for (unsigned n = 0; n < 6000; n++) {
        CHECK_EQ(set_filler(cache, name_of('n', n), 900), FMM_OK);
        if (n % 20 == 0 && !get("large")) {
            CHECK_EQ(set("large", 2 * LENGTH, 0, true), FMM_OK);
            lost++;
        }
    }
    CHECK(lost <= 6); /* the first of them was no loss */
    end();
}

/* ----------------------------------------------------------- what remains */

/* Remove a value, and drop its parts with the page of the first one held. */
static struct fmm_parts
drop_beside_a_holder(const char *name, bool our_own)
{
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_parts parts = parts_of(name);
    struct fmm_guard guard;
    CHECK_EQ(remove_text(cache, name), FMM_OK);
    CHECK_EQ(fmm_guard_take(cache, &call, parts.page, &guard), FMM_OK);
    fmm_parts_drop(cache, &once, our_own ? &guard : NULL, &parts);
    CHECK(fmm_guard_release(&guard));
    return parts;
}

static void
parts_on_a_busy_page_go_when_the_next_value_comes(void)
{
    begin();
    set_numbers(0, 8);
    struct fmm_parts parts = drop_beside_a_holder(name_of('v', 0), false);
    CHECK_EQ(count_listed(FMM_LIST_GONE), 1);
    CHECK_EQ(fmm_parts_read(cache, &call, &parts, NULL), FMM_OK);
    set_numbers(8, 9);
    CHECK_EQ(count_listed(FMM_LIST_GONE), 0);
    CHECK_EQ(fmm_parts_read(cache, &call, &parts, NULL), FMM_MISS);
    CHECK_EQ(count_numbers(1, 9), 8);
    CHECK_EQ(stats_of(cache).evictions, 0);
    check_lists();
    end();
}

static void
parts_on_the_page_of_the_caller_go_at_once(void)
{
    begin();
    set_numbers(0, 8);
    struct fmm_parts parts = drop_beside_a_holder(name_of('v', 0), true);
    CHECK_EQ(count_listed(FMM_LIST_GONE), 0);
    CHECK_EQ(fmm_parts_read(cache, &call, &parts, NULL), FMM_MISS);
    check_lists();
    end();
}

/* ------------------------------------------------------- whoever is killed */

static void
what_a_killed_writer_left_goes_before_a_value(void)
{
    uint64_t start = call.now_ms;
    begin();
    set_numbers(0, 4);
    for (unsigned n = 0; n < 40; n++) {
        CHECK_EQ(set("left", LENGTH, 0, false), FMM_OK);
        call.now_ms += 61 * SECOND;
    }
    CHECK_EQ(count_numbers(0, 4), 4);
    CHECK_EQ(stats_of(cache).evictions, 0);
    check_lists();
    call.now_ms = start;
    end();
}

static void
what_a_client_stores_stays_until_it_closes_the_file(void)
{
    begin();
    struct fmm_cache *own = cache, *other = open_path(scratch("cache"));
    set_numbers(0, 2);
    cache = other;
    CHECK_EQ(set("left", LENGTH, 0, false), FMM_OK);
    cache = own;
    CHECK(fmm_parts_evict(cache, &call, NULL));
    CHECK_EQ(count_numbers(0, 2), 1);
    CHECK_EQ(count_listed(FMM_LIST_COMING), 1);
    fmm_close(other);
    CHECK(fmm_parts_evict(cache, &call, NULL));
    CHECK_EQ(count_numbers(0, 2), 1);
    CHECK_EQ(count_listed(FMM_LIST_COMING), 0);
    end();
}

/* Killed after its manifest was stored, before it was listed as stored. */
static void
a_value_that_is_late_in_the_list_is_taken_in(void)
{
    uint64_t start = call.now_ms;
    begin();
    set_numbers(0, 1);
    take();
    uint32_t number = fmm_directory_oldest(&shelf, FMM_LIST_NEW);
    fmm_directory_move(&shelf, number, FMM_LIST_COMING);
    fmm_directory_release(&shelf);
    call.now_ms += 61 * SECOND;
    CHECK(!fmm_parts_evict(cache, &call, NULL) ||
          !has(cache, name_of('v', 0)));
    CHECK_EQ(count_listed(FMM_LIST_COMING), 0);
    call.now_ms = start;
    end();
}

static void
take_and_die(void *unused)
{
    (void)unused;
    cache = open_path(scratch("cache"));
    take();
    shelf.listings[fmm_directory_oldest(&shelf, FMM_LIST_NEW)].next = 1;
    shelf.directory->values[FMM_LIST_NEW] = 77;
}

static void
lists_are_made_anew_after_a_death(void)
{
    begin();
    set_numbers(0, 4);
    join(spawn(take_and_die, NULL));
    call.wait_ms = 1000; /* who tries once does not ask who has died */
    check_lists();
    CHECK_EQ(count_listed(FMM_LIST_NEW), 4);
    set_numbers(4, 20);
    check_lists();
    call.wait_ms = 0;
    end();
}

static void
any_bytes_in_it_are_harmless(void)
{
    begin();
    for (unsigned round = 0; round < 300; round++) {
        set(name_of('v', round % 4), LENGTH, 0, true);
        take();
        unsigned char *at = (unsigned char *)shelf.listings;
        size_t size = shelf.count * sizeof(struct fmm_listing);
        fmm_directory_release(&shelf);
        for (unsigned i = 0; i < 20; i++) {
            at[check_random_below(size)] =
                (unsigned char)check_random_below(256);
        }
        at = cache->base + cache->geometry.directory_at + 8;
        at[check_random_below(sizeof(struct fmm_directory) - 8)] =
            (unsigned char)check_random_below(256);
        set(name_of('v', 4 + round % 30), LENGTH, 0, true);
        set_filler(cache, name_of('n', round), 200);
    }
    end();
}

static const struct check_case cases[] = {
    CASE(each_value_is_listed_once),
    CASE(who_came_first_leaves_first),
    CASE(what_was_asked_for_outlives_what_was_not),
    CASE(what_comes_back_soon_has_proved_its_worth),
    CASE(what_has_expired_leaves_first),
    CASE(a_longer_life_is_heard_of),
    CASE(a_value_that_is_read_often_stays_however_large),
    CASE(parts_on_a_busy_page_go_when_the_next_value_comes),
    CASE(parts_on_the_page_of_the_caller_go_at_once),
    CASE(what_a_killed_writer_left_goes_before_a_value),
    CASE(what_a_client_stores_stays_until_it_closes_the_file),
    CASE(a_value_that_is_late_in_the_list_is_taken_in),
    CASE(lists_are_made_anew_after_a_death),
    CASE(any_bytes_in_it_are_harmless),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
