/* The index of a page grows: into the end of ring M, and nothing is lost. */
#include "hostile.h"

#include "fmm_grow.h"
#include "fmm_manifest.h"

#define PAGE_SIZE 65536u
#define HOUR (3600 * SECOND)
#define SMALL 56u /* bytes of an entry with the value "value" */

static struct fmm_cache *cache;
static struct fmm_page page;

/* The index and the rings as they are now. */
static void
look_at_page(void)
{
    view_page(cache, 0, &page);
    REQUIRE(fmm_page_settle(&page));
}

static void
begin(uint64_t page_size, uint32_t buckets)
{
    cache = heap_cache(page_size, 1, buckets);
    look_at_page();
}

static void
end(void)
{
    check_pages(cache, true);
    heap_cache_free(cache);
}

static void
set_numbers(unsigned from, unsigned to)
{
    for (unsigned n = from; n < to; n++) {
        CHECK_EQ(set_text(cache, name_of('n', n), "value"), FMM_OK);
    }
}

static unsigned
count_numbers(unsigned from, unsigned to)
{
    unsigned count = 0;
    for (unsigned n = from; n < to; n++) {
        count += holds(cache, name_of('n', n), "value");
    }
    return count;
}

static bool
has_grown(void)
{
    uint32_t before = page.index.buckets;
    look_at_page();
    return page.index.buckets > before;
}

/* Store numbers from there on until the index has grown. Returns the next. */
static unsigned
grow_from(unsigned from)
{
    unsigned n = from;
    look_at_page();
    while (!has_grown()) {
        REQUIRE(n < from + 100000);
        set_numbers(n, n + 1);
        n++;
    }
    return n;
}

/* ------------------------------------------------------------- how large */

static void
many_small_entries_all_find_slots(void)
{
    begin(PAGE_SIZE, 2);
    unsigned most = PAGE_SIZE * 6 / 10 / SMALL;
    set_numbers(0, most);
    CHECK_EQ(count_numbers(0, most), most);
    CHECK_EQ(stats_of(cache).slot_evictions, 0);
    set_numbers(most, 20 * most);
    struct fmm_stats stats = stats_of(cache);
    CHECK(stats.entries > most);
    CHECK(stats.live_bytes * 100 > 60 * PAGE_SIZE);
    CHECK(stats.slot_evictions * 5 < stats.stores);
    end();
}

/* The index does not take more than it needs, nor more than a third. */
static void
ring_m_keeps_what_it_must(void)
{
    begin(PAGE_SIZE, 2);
    uint64_t least = cache->geometry.main_least;
    for (unsigned n = 0; n < 20000; n++) {
        set_numbers(n, n + 1);
        look_at_page();
        REQUIRE(page.ring_size[FMM_RING_M] >= least);
        REQUIRE(page.ring[FMM_RING_M].size == page.ring_size[FMM_RING_M]);
    }
    CHECK(page.ring_size[FMM_RING_M] < cache->geometry.ring_size[FMM_RING_M]);
    end();
}

static void
large_entries_need_no_more_slots(void)
{
    begin(PAGE_SIZE, 16);
    for (unsigned n = 0; n < 2000; n++) {
        CHECK_EQ(set_filler(cache, name_of('n', n), 900), FMM_OK);
    }
    CHECK(!has_grown());
    CHECK_EQ(page.control->index, 0);
    end();
}

/* The average is that of the large ones, and the slots are for small ones. */
static void
a_few_large_entries_take_no_slots_from_small_ones(void)
{
    begin(PAGE_SIZE, 16);
    for (unsigned n = 0; n < 2000; n++) {
        set_numbers(n, n + 1);
        if (n % 8 == 0) {
            CHECK_EQ(set_filler(cache, name_of('l', n), 4900), FMM_OK);
        }
    }
    CHECK(has_grown());
    end();
}

/* All slots are taken, and what is stored just fits behind the head of ring M:
 * an index that grew there would have to be written over. */
static void
the_entry_that_is_being_stored_keeps_its_room(void)
{
    begin(PAGE_SIZE, 2);
    set_numbers(0, 8);
    for (unsigned n = 0; n < 8; n++) {
        CHECK_EQ(set_filler(cache, name_of('l', n), 4900), FMM_OK);
    }
    look_at_page();
    const struct fmm_ring *main = &page.ring[FMM_RING_M];
    uint64_t room = main->size - fmm_ring_offset(main, main->head);
    REQUIRE(room > 4900 && room < cache->geometry.max_entry);
    CHECK_EQ(set_filler(cache, "last", room - 100), FMM_OK);
    check_pages(cache, true);
    CHECK(is_filler(cache, "last", room - 100));
    CHECK_EQ(set_filler(cache, name_of('l', 9), 4900), FMM_OK);
    end();
}

/* After laps of ring M, too: what lies at its end is given up. */
static void
the_index_grows_when_sizes_change_from_large_to_small(void)
{
    begin(PAGE_SIZE, 8);
    for (unsigned n = 0; n < 1000; n++) {
        CHECK_EQ(set_filler(cache, name_of('l', n), 1000), FMM_OK);
    }
    CHECK(!has_grown());
    CHECK(page.ring[FMM_RING_M].head >> page.ring[FMM_RING_M].shift > 1);
    for (unsigned n = 0; n < 5000; n++) {
        call.now_ms += SECOND / 10; /* what was stored before is older */
        set_numbers(n, n + 1);
        check_pages(cache, true);
    }
    CHECK(has_grown());
    CHECK(stats_of(cache).live_bytes * 100 > 60 * PAGE_SIZE);
    CHECK(stats_of(cache).entries > 800);
    end();
}

static void
the_largest_entry_fits_beside_the_largest_index(void)
{
    begin(PAGE_SIZE, 2);
    set_numbers(0, 5000);
    uint64_t most = cache->geometry.max_entry;
    for (unsigned i = 0; i < 50; i++) { /* at every place of the ring */
        set_numbers(0, 20 + i);
        CHECK_EQ(set_filler(cache, "huge", most - 36), FMM_OK);
        CHECK(is_filler(cache, "huge", most - 36));
        check_pages(cache, true);
    }
    CHECK_EQ(set_filler(cache, "huge", most - 35), FMM_NO_ROOM);
    end();
}

/* ------------------------------------------------------ nothing is lost */

static void
what_was_there_is_there_after_each_growth(void)
{
    unsigned grown = 0;
    begin(PAGE_SIZE, 1);
    for (unsigned n = 0; n < PAGE_SIZE / 2 / SMALL; n++) {
        set_numbers(n, n + 1);
        if (has_grown()) {
            grown++;
            check_pages(cache, true);
            CHECK_EQ(count_numbers(0, n + 1), n + 1);
        }
    }
    CHECK(grown >= 1);
    CHECK_EQ(stats_of(cache).evictions, 0);
    end();
}

static uint64_t
word_of(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_found found;
    return fmm_page_find(&page, &key, &found) ? found.word : 0;
}

static void
what_is_to_be_written_back_keeps_its_state(void)
{
    static const char *const names[] = {"fresh", "removed", "pending"};
    const struct fmm_store_options dirty = {.dirty = true};
    const struct fmm_removal plainly = {.has_modseq = false};
    struct fmm_ticket ticket;
    struct fmm_guard guard;
    enum fmm_due due;
    uint64_t word[3];
    begin(PAGE_SIZE, 2);
    CHECK_EQ(set_text_as(cache, "fresh", "new", &dirty), FMM_OK);
    CHECK_EQ(set_text(cache, "removed", "old"), FMM_OK);
    CHECK_EQ(set_text_as(cache, "removed", "new", &dirty), FMM_OK);
    struct fmm_key key = text_key(cache, "removed");
    CHECK_EQ(fmm_remove(cache, &call, &key, &plainly, &due, &ticket), FMM_OK);
    CHECK_EQ(set_text_as(cache, "pending", "new", &dirty), FMM_OK);
    key = text_key(cache, "pending");
    REQUIRE(fmm_guard_take(cache, &call, 0, &guard) == FMM_OK);
    CHECK_EQ(fmm_dirty_find_locked(&guard, &key, &ticket), FMM_OK);
    CHECK(fmm_guard_release(&guard));
    for (int i = 0; i < 3; i++) {
        word[i] = word_of(names[i]) & FMM_SLOT_STATE;
    }
    CHECK(word[0] == (FMM_SLOT_DIRTY | FMM_SLOT_FRESH));
    CHECK((word[1] & FMM_SLOT_REMOVED) != 0);
    CHECK((word[2] & FMM_SLOT_PENDING) != 0);
    grow_from(0);
    for (int i = 0; i < 3; i++) {
        CHECK((word_of(names[i]) & FMM_SLOT_STATE) == word[i]);
    }
    CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
    look_at_page();
    CHECK((word_of("pending") & FMM_SLOT_STATE) == 0);
    end();
}

/* A walk over what is dirty goes on in the larger index, and leaves out
 * nothing that was there when it began. */
static void
a_walk_over_dirty_entries_leaves_none_out_while_it_grows(void)
{
    const struct fmm_store_options dirty = {.dirty = true};
    struct fmm_ticket ticket;
    uint64_t cursor = 0;
    begin(PAGE_SIZE, 2);
    for (unsigned n = 0; n < 12; n++) {
        CHECK_EQ(set_text_as(cache, name_of('d', n), "new", &dirty), FMM_OK);
    }
    for (unsigned n = 0; n < 6; n++) {
        CHECK_EQ(fmm_dirty_next(cache, &call, 0, false, &cursor, &ticket),
                 FMM_OK);
        CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
    }
    grow_from(0);
    unsigned rest = 0;
    while (fmm_dirty_next(cache, &call, 0, false, &cursor, &ticket) ==
           FMM_OK) {
        CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
        rest++;
    }
    CHECK_EQ(rest, 6);
    cursor = 0;
    CHECK_EQ(fmm_dirty_next(cache, &call, 0, false, &cursor, &ticket),
             FMM_MISS);
    end();
}

static void
a_lease_that_runs_goes_on(void)
{
    struct fmm_lease lease, seen;
    struct fmm_ticket ticket;
    uint64_t since;
    begin(PAGE_SIZE, 2);
    struct fmm_key key = text_key(cache, "leased");
    CHECK_EQ(take_lease(cache, &key, HOUR, false, &lease, &ticket), FMM_OK);
    unsigned next = grow_from(0);
    key = text_key(cache, "leased");
    CHECK_EQ(fmm_lease_peek(cache, &call, &key, &seen, &since), FMM_OK);
    CHECK(seen.token == lease.token);
    set_numbers(next, next + 3000);
    key = text_key(cache, "leased");
    CHECK_EQ(end_lease(cache, &key, lease.token), FMM_OK);
    end();
}

static void
compute(const char *name)
{
    const struct fmm_value value = text_value("value");
    struct fmm_key key = text_key(cache, name);
    struct fmm_lease lease;
    struct fmm_ticket ticket;
    CHECK_EQ(take_lease(cache, &key, HOUR, false, &lease, &ticket), FMM_OK);
    const struct fmm_lease_store how = {.token = lease.token};
    key = text_key(cache, name);
    CHECK_EQ(fmm_lease_value(cache, &call, &key, &value, &how, &ticket),
             FMM_OK);
}

/* It grows now with the lease, now with the value. A debug build looks at the
 * page after each of them. */
static void
it_grows_while_computed_values_are_stored(void)
{
    for (unsigned before = 0; before < 16; before++) {
        unsigned n = before;
        begin(PAGE_SIZE, 2);
        set_numbers(0, before);
        while (!has_grown()) {
            REQUIRE(n < 10000);
            compute(name_of('n', n++));
        }
        CHECK_EQ(count_numbers(0, n), n);
        end();
    }
}

static uint32_t
hint_of(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_found found;
    REQUIRE(fmm_page_find(&page, &key, &found));
    return page.index.hints[found.slot];
}

static void
credit_and_the_last_access_stay(void)
{
    begin(PAGE_SIZE, 2);
    CHECK_EQ(set_text(cache, "often", "value"), FMM_OK);
    CHECK_EQ(set_text(cache, "never", "value"), FMM_OK);
    call.now_ms += 100 * SECOND;
    CHECK(holds(cache, "often", "value"));
    uint32_t often = hint_of("often"), never = hint_of("never");
    CHECK(often != never);
    grow_from(0);
    CHECK_EQ(hint_of("often"), often);
    CHECK_EQ(hint_of("never"), never);
    end();
}

static void
what_expires_does_so_at_its_time(void)
{
    const struct fmm_store_options brief = {.expire_at = call.now_ms + HOUR};
    begin(PAGE_SIZE, 2);
    for (unsigned n = 0; n < 10; n++) {
        CHECK_EQ(set_text_as(cache, name_of('b', n), "brief", &brief), FMM_OK);
    }
    unsigned next = grow_from(0);
    CHECK(holds(cache, name_of('b', 0), "brief"));
    call.now_ms += HOUR;
    CHECK(!has(cache, name_of('b', 0)));
    set_numbers(next, next + 600); /* the hand finds them in this index */
    CHECK_EQ(stats_of(cache).expirations, 10);
    end();
}

/* ---------------------------------------------------- who looked before */

static void
who_looked_before_finds_what_was_there(void)
{
    struct fmm_found found;
    begin(PAGE_SIZE, 2);
    struct fmm_page old = page;
    unsigned last = grow_from(0) - 1; /* which made it grow */
    for (unsigned n = 0; n <= last; n++) {
        struct fmm_key key = text_key(cache, name_of('n', n));
        CHECK(fmm_page_find(&page, &key, &found));
        uint64_t word = found.word;
        CHECK_EQ(fmm_page_find(&old, &key, &found), n != last);
        CHECK(n == last || found.word == word);
    }
    end();
}

/* What was the index is not used again: such may still write there. */
static void
what_who_looked_before_writes_changes_nothing(void)
{
    begin(PAGE_SIZE, 2);
    struct fmm_page old = page;
    unsigned next = grow_from(0);
    uint32_t slots = old.index.buckets * FMM_BUCKET_SLOTS;
    for (uint32_t slot = 0; slot < slots; slot++) {
        fmm_hint_fill(&old.index.hints[slot], 4711);
    }
    set_numbers(next, next + 3000);
    check_pages(cache, true);
    for (uint32_t slot = 0; slot < slots; slot++) {
        CHECK_EQ(fmm_hint_seconds(&old.index.hints[slot], 5000), 4711);
    }
    end();
}

/* ------------------------------------------------------ file and repair */

static struct fmm_cache *
small_file(void)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = PAGE_SIZE,
                                        .num_pages = 1,
                                        .slots = 16,
                                        .init_file = true};
    return open_cache(&options);
}

static void
a_file_that_is_opened_again_has_its_larger_index(void)
{
    cache = small_file();
    unsigned next = grow_from(0);
    uint32_t buckets = page.index.buckets;
    fmm_close(cache);
    cache = open_path(scratch("cache"));
    look_at_page();
    CHECK_EQ(page.index.buckets, buckets);
    CHECK_EQ(count_numbers(0, next), next);
    check_pages(cache, true);
    fmm_close(cache);
}

static void
a_page_that_was_emptied_keeps_its_larger_index(void)
{
    uint64_t dropped = 0;
    begin(PAGE_SIZE, 2);
    unsigned next = grow_from(0);
    uint32_t buckets = page.index.buckets;
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, next);
    check_pages(cache, true);
    set_numbers(0, next);
    CHECK_EQ(count_numbers(0, next), next);
    look_at_page();
    CHECK_EQ(page.index.buckets, buckets);
    end();
}

static void
a_page_that_was_repaired_keeps_its_larger_index(void)
{
    struct fmm_page_report report;
    begin(PAGE_SIZE, 2);
    unsigned next = grow_from(0);
    uint32_t buckets = page.index.buckets;
    page.control->head[FMM_RING_M] = UINT64_MAX;
    CHECK_EQ(fmm_check_page(cache, &call, 0, true, &report), FMM_OK);
    CHECK_EQ(count_numbers(0, next), 0);
    set_numbers(0, next);
    CHECK_EQ(count_numbers(0, next), next);
    look_at_page();
    CHECK_EQ(page.index.buckets, buckets);
    end();
}

/* --------------------------------------------------------------- hostile */

/* The page with that word: all goes on, within its bytes. */
static void
check_word(uint64_t word)
{
    struct hostile h = {.cache = cache};
    struct fmm_page_report report;
    page.control->index = word;
    for (int i = 0; i < 30; i++) {
        hostile_operation(&h);
    }
    CHECK_EQ(fmm_check_page(cache, &call, 0, true, &report), FMM_OK);
    hostile_settle(&h);
    view_page(cache, 0, &page);
    CHECK(page.ring_size[FMM_RING_M] >= cache->geometry.main_least);
    CHECK(page.index.buckets != 0);
}

static void
any_word_for_where_the_index_is_does_no_harm(void)
{
    for (int round = 0; round < 300; round++) {
        begin(4096, 2);
        set_numbers(0, (unsigned)check_random_below(200));
        check_word(check_random() >> check_random_below(64));
        end();
    }
}

/* Where an index could be, of any size. */
static void
words_that_just_fit_do_no_harm(void)
{
    for (int round = 0; round < 1000; round++) {
        begin(4096, 2);
        set_numbers(0, (unsigned)check_random_below(200));
        uint64_t units = cache->geometry.rings_size / FMM_RING_ALIGN;
        uint64_t least = (cache->geometry.ring_at[FMM_RING_M] +
                          cache->geometry.main_least) /
                         FMM_RING_ALIGN;
        uint64_t at = least - 2 + check_random_below(units - least + 4);
        check_word(at << 32 | check_random_below(12));
        end();
    }
}

static void
each_bit_of_the_word_may_be_flipped(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        begin(4096, 2);
        grow_from(0);
        check_word(page.control->index ^ UINT64_C(1) << bit);
        end();
    }
}

static const struct check_case cases[] = {
    CASE(many_small_entries_all_find_slots),
    CASE(ring_m_keeps_what_it_must),
    CASE(large_entries_need_no_more_slots),
    CASE(a_few_large_entries_take_no_slots_from_small_ones),
    CASE(the_entry_that_is_being_stored_keeps_its_room),
    CASE(the_index_grows_when_sizes_change_from_large_to_small),
    CASE(the_largest_entry_fits_beside_the_largest_index),
    CASE(what_was_there_is_there_after_each_growth),
    CASE(what_is_to_be_written_back_keeps_its_state),
    CASE(a_walk_over_dirty_entries_leaves_none_out_while_it_grows),
    CASE(a_lease_that_runs_goes_on),
    CASE(it_grows_while_computed_values_are_stored),
    CASE(credit_and_the_last_access_stay),
    CASE(what_expires_does_so_at_its_time),
    CASE(who_looked_before_finds_what_was_there),
    CASE(what_who_looked_before_writes_changes_nothing),
    CASE(a_file_that_is_opened_again_has_its_larger_index),
    CASE(a_page_that_was_emptied_keeps_its_larger_index),
    CASE(a_page_that_was_repaired_keeps_its_larger_index),
    CASE(any_word_for_where_the_index_is_does_no_harm),
    CASE(words_that_just_fit_do_no_harm),
    CASE(each_bit_of_the_word_may_be_flipped),
};

CHECK_MAIN(cases)
