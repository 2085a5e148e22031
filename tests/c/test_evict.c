/* Eviction: probation, credit, price, ghosts, stays, bounded work, dirty. */
#include "support.h"

#include "fmm_evict.h"

#define KIB 1024u

static struct fmm_cache *cache;
static struct fmm_page page;

static void
begin(uint64_t page_size, uint32_t buckets)
{
    cache = heap_cache(page_size, 1, buckets);
    view_page(cache, 0, &page);
    REQUIRE(fmm_page_settle(&page));
}

static void
end(void)
{
    check_pages(cache, true);
    heap_cache_free(cache);
}

/* Set numbered keys from..to-1, of `total` bytes each in the file. */
static void
set_numbers(unsigned from, unsigned to, size_t total)
{
    for (unsigned n = from; n < to; n++) {
        CHECK_EQ(set_filler(cache, name_of('n', n), total - 40), FMM_OK);
    }
}

static unsigned
count_numbers(unsigned from, unsigned to)
{
    unsigned count = 0;
    for (unsigned n = from; n < to; n++) {
        count += has(cache, name_of('n', n)); /* which earns no credit */
    }
    return count;
}

/* The ring of a key's entry; -1 when it is not there. */
static int
ring_of(const char *key)
{
    struct fmm_key k = text_key(cache, key);
    struct fmm_found found;
    return fmm_page_find(&page, &k, &found) ? (int)found.ring : -1;
}

static void
hit(const char *key, size_t total, int times)
{
    while (times-- > 0) {
        CHECK(is_filler(cache, key, total - 40));
    }
}

static void
new_entries_are_on_probation(void)
{
    begin(64 * KIB, 32);
    CHECK_EQ(set_filler(cache, "new", 100), FMM_OK);
    CHECK_EQ(ring_of("new"), FMM_RING_S);
    CHECK_EQ(set_filler(cache, "new", 200), FMM_OK);
    CHECK_EQ(ring_of("new"), FMM_RING_S);
    end();
}

static void
large_entries_skip_probation(void)
{
    begin(64 * KIB, 32);
    size_t third = page.ring[FMM_RING_S].size / 3;
    CHECK_EQ(set_filler(cache, "small", third - 48), FMM_OK);
    CHECK_EQ(ring_of("small"), FMM_RING_S);
    CHECK_EQ(set_filler(cache, "large", third), FMM_OK);
    CHECK_EQ(ring_of("large"), FMM_RING_M);
    CHECK_EQ(set_filler(cache, "small", third), FMM_OK); /* it grew */
    CHECK_EQ(ring_of("small"), FMM_RING_M);
    end();
    begin(1024 * KIB, 512);
    CHECK_EQ(set_filler(cache, "large", 16 * KIB), FMM_OK);
    CHECK_EQ(ring_of("large"), FMM_RING_M);
    end();
}

static void
the_largest_entry_fits_at_every_place_of_a_ring(void)
{
    begin(64 * KIB, 32);
    uint64_t most = cache->geometry.max_entry;
    CHECK_EQ(most, 16 * KIB);
    CHECK(most <= cache->geometry.main_least / 2);
    for (int i = 0; i < 20; i++) { /* at every place of the ring */
        set_numbers(0, 20, 200 + 8 * (size_t)i);
        CHECK_EQ(set_filler(cache, "huge", most - 36), FMM_OK);
        CHECK(is_filler(cache, "huge", most - 36));
    }
    CHECK_EQ(set_filler(cache, "huge", most - 35), FMM_NO_ROOM);
    CHECK(is_filler(cache, "huge", most - 36));
    end();
}

static void
data_written_once_fills_both_rings(void)
{
    begin(256 * KIB, 128);
    set_numbers(0, 3000, 400);
    struct fmm_stats stats = stats_of(cache);
    CHECK(stats.live_bytes * 100 > 88 * 256 * KIB);
    CHECK_EQ(stats.slot_evictions, 0);
    CHECK_EQ(stats.evictions + stats.entries, 3000);
    CHECK_EQ(count_numbers(0, 3000), stats.entries);
    end();
}

static void
large_entries_use_both_rings_where_such_are_usual(void)
{
    begin(1024 * KIB, 64);
    for (size_t total = 17 * KIB; total < 32 * KIB; total += 5 * KIB) {
        set_numbers(0, 200, total / 8 * 8);
        struct fmm_stats stats = stats_of(cache);
        CHECK(stats.live_bytes * 100 > 80 * 1024 * KIB);
    }
    end();
}

static void
a_large_entry_among_small_ones_skips_probation(void)
{
    begin(1024 * KIB, 512);
    set_numbers(0, 1000, 400);
    set_numbers(5000, 5001, 17 * KIB);
    set_numbers(5001, 5002, 16 * KIB);
    CHECK_EQ(ring_of(name_of('n', 5000)), FMM_RING_M);
    CHECK_EQ(ring_of(name_of('n', 5001)), FMM_RING_S);
    CHECK_EQ(count_numbers(0, 1000), 1000);
    end();
}

/* The same, each hit once, so that they move on into ring M. */
static void
set_hit_numbers(unsigned from, unsigned to, size_t total)
{
    for (unsigned n = from; n < to; n++) {
        set_numbers(n, n + 1, total);
        hit(name_of('n', n), total, 1);
    }
}

/* A scan of new keys does not flush what earned credit. */
static void
hit_entries_outlive_a_scan(void)
{
    begin(256 * KIB, 128);
    set_numbers(0, 100, 400);
    for (unsigned n = 0; n < 100; n++) {
        hit(name_of('n', n), 400, 2);
    }
    set_numbers(1000, 1600, 400);
    CHECK_EQ(count_numbers(0, 100), 100);
    for (unsigned n = 0; n < 100; n++) {
        CHECK_EQ(ring_of(name_of('n', n)), FMM_RING_M);
        hit(name_of('n', n), 400, 2);
    }
    set_numbers(2000, 4000, 400);
    CHECK(count_numbers(0, 100) >= 95);
    end();
}

static void
credit_is_spent_lap_by_lap(void)
{
    begin(64 * KIB, 32);
    set_numbers(0, 20, 400);
    for (unsigned n = 0; n < 20; n++) {
        hit(name_of('n', n), 400, 3);
    }
    set_hit_numbers(1000, 1200, 400);
    CHECK_EQ(count_numbers(0, 20), 20); /* paid for a lap */
    set_hit_numbers(2000, 4000, 400);
    CHECK_EQ(count_numbers(0, 20), 0);
    end();
}

/* Of equally often used entries the large ones pay more, and go first. */
static void
second_lives_are_dearer_for_larger_entries(void)
{
    begin(256 * KIB, 256);
    set_numbers(0, 40, 200);
    set_numbers(100, 120, 3000);
    for (unsigned n = 0; n < 40; n++) {
        hit(name_of('n', n), 200, 2);
    }
    for (unsigned n = 100; n < 120; n++) {
        hit(name_of('n', n), 3000, 2);
    }
    unsigned round = 10;
    while (count_numbers(100, 120) > 0 && round < 200) {
        set_hit_numbers(round * 100, round * 100 + 100, 200);
        round++;
    }
    CHECK_EQ(count_numbers(100, 120), 0);
    CHECK(count_numbers(0, 40) >= 38);
    end();
}

/* What a second life costs is computed from counters that are anybody's. */
static void
a_count_of_entries_that_is_wrong_stops_no_eviction(void)
{
    static const uint64_t wrong[] = {0, 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        begin(64 * KIB, 32);
        for (unsigned n = 0; n < 1000; n++) {
            page.control->entries = wrong[i];
            CHECK_EQ(set_filler(cache, name_of('n', n), 360), FMM_OK);
            hit(name_of('n', n), 400, 2);
        }
        CHECK(page.control->evictions > 500);
        heap_cache_free(cache); /* its counters do not add up */
    }
}

/* As a kill between two words leaves it: nothing is dead, and seems to be. */
static void
a_count_of_live_bytes_that_is_wrong_keeps_nothing_out(void)
{
    for (uint64_t missing = 0; missing <= 448; missing += 8) {
        begin(4 * KIB, 8);
        for (unsigned n = 0; n < 7; n++) { /* most of ring S */
            struct fmm_key key = text_key(cache, name_of('l', n));
            struct fmm_lease lease;
            struct fmm_ticket ticket;
            CHECK_EQ(take_lease(cache, &key, SECOND, false, &lease, &ticket),
                     FMM_OK);
            CHECK_EQ(ring_of(name_of('l', n)), FMM_RING_S);
        }
        page.control->live[FMM_RING_S] -= missing;
        set_numbers(0, 1, 200);
        CHECK(stats_of(cache).moved_bytes <= 2 * KIB);
        heap_cache_free(cache); /* its counters do not add up */
    }
}

static void
an_evicted_key_that_returns_skips_probation(void)
{
    begin(64 * KIB, 32);
    unsigned last = 0;
    while (stats_of(cache).evictions == 0) {
        set_numbers(last, last + 1, 400);
        last++;
    }
    unsigned gone = 0;
    while (has(cache, name_of('n', gone))) {
        gone++;
    }
    CHECK(gone < last);
    set_numbers(gone, gone + 1, 400);
    CHECK_EQ(ring_of(name_of('n', gone)), FMM_RING_M);
    CHECK_EQ(set_filler(cache, "stranger", 300), FMM_OK);
    CHECK_EQ(ring_of("stranger"), FMM_RING_S);
    end();
}

static void
nobody_has_to_go_while_a_page_is_mostly_dead(void)
{
    begin(64 * KIB, 32);
    set_numbers(0, 40, 200); /* which nobody ever reads */
    for (unsigned i = 0; i < 1000; i++) {
        CHECK_EQ(set_filler(cache, "small", 100 + i % 300), FMM_OK);
        CHECK_EQ(set_filler(cache, "large", 5000 + i % 3000), FMM_OK);
    }
    CHECK_EQ(count_numbers(0, 40), 40);
    CHECK_EQ(page.control->evictions, 0);
    end();
}

/* Overwrite keys 0..number-1, drawn at random. */
static void
overwrite(unsigned number, size_t total, unsigned times)
{
    while (times-- > 0) {
        unsigned n = (unsigned)check_random_below(number);
        set_numbers(n, n + 1, total);
    }
}

/* Each overwriting leaves a dead version behind, and nobody has to go for
 * those: not in a page of which four fifths live, in either ring. */
static void
overwriting_evicts_nobody_while_there_is_room(void)
{
    begin(256 * KIB, 128);
    unsigned number = 256 * KIB * 4 / 5 / 1000;
    set_numbers(0, number, 1000);
    overwrite(number, 1000, 10000);
    CHECK_EQ(count_numbers(0, number), number);
    CHECK_EQ(page.control->evictions, 0);
    end();
}

static uint32_t
credit_of(const char *key)
{
    struct fmm_key k = text_key(cache, key);
    struct fmm_found found;
    return fmm_page_find(&page, &k, &found)
               ? fmm_hint_credit(&page.index.hints[found.slot])
               : 0;
}

/* A lap that overwriting alone has made is no reason to pay. */
static void
credit_lasts_while_only_overwriting_makes_laps(void)
{
    begin(64 * KIB, 32);
    set_numbers(0, 80, 400); /* more than S holds */
    for (unsigned n = 0; n < 80; n++) {
        hit(name_of('n', n), 400, 2);
    }
    for (unsigned i = 0; i < 100; i++) {
        set_numbers(40, 80, 400);
    }
    for (unsigned n = 0; n < 80; n++) {
        CHECK_EQ(credit_of(name_of('n', n)), 12);
    }
    CHECK_EQ(page.control->evictions, 0);
    end();
}

static void
expired_entries_are_no_evictions(void)
{
    const struct fmm_store_options store = {.expire_at = call.now_ms + SECOND};
    begin(64 * KIB, 64);
    for (unsigned n = 0; n < 100; n++) {
        CHECK_EQ(set_text_as(cache, name_of('n', n), "brief", &store), FMM_OK);
    }
    call.now_ms += 2 * SECOND;
    set_numbers(1000, 1200, 200);
    struct fmm_stats stats = stats_of(cache);
    CHECK_EQ(stats.expirations, 100);
    CHECK_EQ(stats.evictions, 0);
    CHECK_EQ(stats.entries, 200);
    call.now_ms -= 2 * SECOND;
    end();
}

/* ---------------------------------------------------------- bounded work */

static size_t
random_size(uint64_t max_entry)
{
    uint64_t kind = check_random_below(10);
    if (kind == 0) {
        return 48 + check_random_below(max_entry - 48);
    }
    return 48 + check_random_below(kind < 3 ? 4000 : 400);
}

/* A page that is less than half full has to give nobody up, though ring S may
 * have to move more than a set's budget. */
static void
large_entries_evict_nobody_while_there_is_room(void)
{
    for (unsigned turn = 0; turn < 100; turn++) {
        begin(256 * KIB, 64);
        uint64_t most = cache->geometry.max_entry;
        for (unsigned n = 0; stats_of(cache).live_bytes < 110 * KIB; n++) {
            size_t total = random_size(most) / 8 * 8;
            CHECK_EQ(set_filler(cache, name_of('n', n), total - 40), FMM_OK);
        }
        CHECK_EQ(stats_of(cache).evictions, 0);
        end();
    }
}

/* Everything hot: the worst case for moving. Each set moves at most 16 KiB, or
 * twice its own length, and one entry, and leaves the rings sound. */
static void
check_bounded_work(uint64_t page_size, uint32_t buckets, unsigned sets)
{
    begin(page_size, buckets);
    uint64_t most = cache->geometry.max_entry;
    for (unsigned i = 0; i < sets; i++) {
        unsigned n = (unsigned)check_random_below(page_size / 300);
        size_t total = random_size(most) / 8 * 8;
        uint64_t before = stats_of(cache).moved_bytes;
        CHECK_EQ(set_filler(cache, name_of('n', n), total - 40), FMM_OK);
        uint64_t moved = stats_of(cache).moved_bytes - before;
        REQUIRE(moved <= fmm_max(16 * KIB, 2 * total) + most);
        for (int hits = 0; hits < 4; hits++) {
            unsigned hot = (unsigned)check_random_below(page_size / 300);
            struct fmm_key k = text_key(cache, name_of('n', hot));
            static unsigned char buffer[1 << 20];
            struct fmm_meta meta;
            fmm_get(cache, &call, &k, buffer, sizeof(buffer), &meta);
        }
        if (i % 16 == 0) {
            check_pages(cache, true);
        }
    }
    end();
}

static void
a_set_moves_little_however_hot_the_page_is(void)
{
    check_bounded_work(16 * KIB, 8, 10000);
    check_bounded_work(256 * KIB, 128, 10000);
    check_bounded_work(1024 * KIB, 512, 4000);
}

static void
some_room_is_kept_free(void)
{
    begin(256 * KIB, 128);
    set_numbers(0, 1000, 400);
    for (unsigned n = 1000; n < 2000; n++) {
        set_numbers(n, n + 1, 400);
        REQUIRE(fmm_page_settle(&page));
        for (int ring = 0; ring < 2; ring++) {
            const struct fmm_ring *r = &page.ring[ring];
            CHECK(fmm_ring_free(r) >= r->size / 100);
        }
    }
    end();
}

/* Of so many sets those that reclaimed anything. */
static unsigned
count_reclaiming_sets(unsigned times)
{
    unsigned count = 0;
    while (times-- > 0) {
        uint64_t before[] = {page.control->tail[0], page.control->tail[1]};
        overwrite(50, 100, 1);
        count += before[0] != page.control->tail[0] ||
                 before[1] != page.control->tail[1];
    }
    return count;
}

/* Each set that overwrites leaves as much to reclaim as it took: one in ten
 * reclaims it for all. */
static void
dead_bytes_are_reclaimed_several_at_a_time(void)
{
    begin(256 * KIB, 128);
    set_numbers(0, 50, 100);
    overwrite(50, 100, 5000); /* by now the rings are round */
    unsigned reclaiming = count_reclaiming_sets(5000);
    CHECK(reclaiming > 100 && reclaiming < 5000 / 5);
    CHECK_EQ(page.control->evictions, 0);
    end();
}

static void
keep_hot(unsigned from, unsigned to, size_t total)
{
    for (unsigned n = from; n < to; n++) {
        hit(name_of('n', n), total, has(cache, name_of('n', n)) ? 3 : 0);
    }
}

static struct {
    uint64_t position, offset;
} places[1000];

/* Remember where numbered keys are; 0 for those that are not there. */
static void
look_where(unsigned from, unsigned to)
{
    struct fmm_found found;
    REQUIRE(fmm_page_settle(&page));
    for (unsigned n = from; n < to; n++) {
        struct fmm_key k = text_key(cache, name_of('n', n));
        bool there = fmm_page_find(&page, &k, &found);
        places[n].position = there ? fmm_page_position(&page, &found) : 0;
        places[n].offset = there ? found.offset : 0;
    }
}

/* How many are where they were, and yet newer by a lap. */
static unsigned
count_stayed(unsigned from, unsigned to)
{
    struct fmm_found found;
    unsigned stayed = 0;
    REQUIRE(fmm_page_settle(&page));
    for (unsigned n = from; n < to; n++) {
        struct fmm_key k = text_key(cache, name_of('n', n));
        stayed += fmm_page_find(&page, &k, &found) &&
                  found.offset == places[n].offset &&
                  fmm_page_position(&page, &found) > places[n].position;
    }
    return stayed;
}

/* Room for a large entry, and hot ones at the tail of M: more of them than
 * may be moved stay where they are. */
static void
hot_entries_stay_in_place_when_copies_are_too_dear(void)
{
    begin(1024 * KIB, 256);
    set_numbers(0, 1000, 800);
    unsigned stayed = 0;
    uint64_t moved = stats_of(cache).moved_bytes;
    for (unsigned n = 2000; n < 2020; n++) {
        keep_hot(0, 1000, 800);
        look_where(0, 1000);
        set_numbers(n, n + 1, 17000);
        stayed += count_stayed(0, 1000);
    }
    CHECK(stayed > 0);
    CHECK(stats_of(cache).moved_bytes - moved <= 20 * 34000);
    CHECK(count_numbers(0, 1000) > 400);
    end();
}

/* However small the page, and whatever was overwritten in it. */
static void
what_a_set_stored_is_there_when_it_returns(void)
{
    begin(4 * KIB, 8);
    uint64_t most = cache->geometry.max_entry;
    for (unsigned i = 0; i < 100000; i++) {
        unsigned n = (unsigned)check_random_below(20);
        uint64_t sizes = i % 8 ? 40 : (most - 48) / 8 + 1;
        size_t total = 48 + 8 * check_random_below(sizes);
        set_numbers(n, n + 1, total);
        REQUIRE(has(cache, name_of('n', n)));
    }
    end();
}

/* It would make of the free bytes the dead ones that they just were. */
static void
while_cleaning_no_entry_stays_for_a_small_one(void)
{
    unsigned number = 256 * KIB * 4 / 5 / 1000, stayed = 0;
    begin(256 * KIB, 128);
    set_numbers(0, number, 1000);
    for (unsigned i = 0; i < 4000; i++) {
        look_where(0, number);
        overwrite(number, 200 + 8 * check_random_below(200), 1);
        stayed += count_stayed(0, number);
    }
    CHECK(stayed < 20); /* a new version may take its old place */
    end();
}

/* ----------------------------------------------------------------- slots */

static void
begin_with_slots(uint64_t page_size, uint32_t buckets)
{
    begin(page_size, buckets);
    keep_index(cache);
}

static void
without_a_slot_the_least_used_entry_goes(void)
{
    begin_with_slots(64 * KIB, 1); /* eight slots */
    set_numbers(0, 8, 100);
    for (unsigned n = 0; n < 8; n++) {
        hit(name_of('n', n), 100, n == 5 ? 0 : 1);
    }
    set_numbers(100, 101, 100);
    CHECK(!has(cache, name_of('n', 5)));
    CHECK_EQ(count_numbers(0, 8), 7);
    CHECK_EQ(stats_of(cache).slot_evictions, 1);
    CHECK_EQ(stats_of(cache).evictions, 1);
    CHECK_EQ(stats_of(cache).entries, 8);
    end();
}

static enum fmm_status
set_dirty(const char *key, struct fmm_ticket *ticket)
{
    const struct fmm_store_options store = {.dirty = true};
    struct fmm_key k = text_key(cache, key);
    struct fmm_value v = text_value("changed");
    return fmm_set(cache, &call, &k, &v, &store, ticket);
}

static void
a_dirty_entry_is_the_last_to_lose_its_slot(void)
{
    struct fmm_ticket ticket;
    begin_with_slots(64 * KIB, 1);
    for (unsigned n = 0; n < 7; n++) {
        CHECK_EQ(set_dirty(name_of('n', n), &ticket), FMM_OK);
    }
    set_numbers(7, 8, 100);
    hit(name_of('n', 7), 100, 9);
    set_numbers(8, 9, 100); /* the clean one goes, used as it is */
    CHECK(!has(cache, name_of('n', 7)));
    CHECK_EQ(count_numbers(0, 7), 7);
    CHECK_EQ(set_dirty(name_of('n', 8), &ticket), FMM_OK);
    CHECK_EQ(set_dirty(name_of('n', 9), &ticket), FMM_DIRTY);
    CHECK_EQ(count_numbers(0, 9), 8);
    CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
    CHECK_EQ(set_dirty(name_of('n', 9), &ticket), FMM_OK);
    CHECK(has(cache, name_of('n', 9)));
    CHECK_EQ(count_numbers(0, 9), 7);
    end();
}

/* -------------------------------------------------------- dirty at a tail */

/* Which key a ticket names. */
static unsigned
number_of(struct fmm_ticket *ticket)
{
    char buffer[64] = "";
    struct fmm_meta meta;
    CHECK_EQ(
        fmm_dirty_read(cache, &call, ticket, buffer, sizeof(buffer), &meta),
        FMM_OK);
    CHECK_EQ(meta.key_len, 8);
    CHECK(memcmp(buffer + 8, "changed", 7) == 0);
    buffer[8] = '\0';
    unsigned n = 0;
    CHECK_EQ(sscanf(buffer, "n%u", &n), 1);
    return n;
}

/* Nothing dirty leaves before it was handed out and marked done. */
static void
dirty_entries_are_handed_out_before_they_leave(void)
{
    static bool written[20000];
    struct fmm_ticket ticket;
    unsigned handed = 0;
    begin(4 * KIB, 8);
    memset(written, 0, sizeof(written));
    for (unsigned n = 0; n < 20000; n++) {
        int tries = 0;
        while (set_dirty(name_of('n', n), &ticket) == FMM_DIRTY) {
            REQUIRE(++tries < 100);
            unsigned other = number_of(&ticket);
            REQUIRE(other < n);
            CHECK(!written[other]);
            written[other] = true;
            handed++;
            CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
        }
        if (n % 64 == 0) {
            for (unsigned k = 0; k <= n; k++) {
                REQUIRE(written[k] || has(cache, name_of('n', k)));
            }
        }
    }
    CHECK(handed > 19000);
    end();
}

static void
a_dirty_entry_that_expired_is_handed_out_too(void)
{
    const struct fmm_store_options store = {.dirty = true,
                                            .expire_at = call.now_ms + SECOND};
    struct fmm_ticket ticket;
    unsigned handed = 0;
    begin(4 * KIB, 20);
    CHECK_EQ(set_text_as(cache, name_of('n', 0), "changed", &store), FMM_OK);
    call.now_ms += 2 * SECOND;
    for (unsigned n = 1; n < 500; n++) {
        const struct fmm_store_options clean = {.dirty = false};
        struct fmm_key k = text_key(cache, name_of('n', n));
        struct fmm_value v = text_value("some value");
        while (fmm_set(cache, &call, &k, &v, &clean, &ticket) == FMM_DIRTY) {
            CHECK_EQ(number_of(&ticket), 0);
            CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
            handed++;
        }
        CHECK(holds(cache, name_of('n', n), "some value")); /* it moves on */
    }
    CHECK_EQ(handed, 1);
    CHECK_EQ(stats_of(cache).expirations, 1);
    call.now_ms -= 2 * SECOND;
    CHECK(!has(cache, name_of('n', 0)));
    end();
}

static void
while_nothing_is_written_back_nothing_dirty_leaves(void)
{
    struct fmm_ticket ticket;
    begin(4 * KIB, 8);
    unsigned n = 0;
    while (set_dirty(name_of('n', n), &ticket) == FMM_OK) {
        n++;
    }
    CHECK(n > 10);
    for (int tries = 0; tries < 1000; tries++) {
        CHECK_EQ(set_dirty(name_of('n', n), &ticket), FMM_DIRTY);
    }
    CHECK_EQ(count_numbers(0, n), n);
    CHECK_EQ(stats_of(cache).evictions, 0);
    end();
}

static void
clean_entries_go_while_dirty_ones_wait(void)
{
    struct fmm_ticket ticket;
    begin(16 * KIB, 16);
    for (unsigned n = 0; n < 10; n++) {
        CHECK_EQ(set_dirty(name_of('n', n), &ticket), FMM_OK);
    }
    for (unsigned n = 100; n < 1000; n++) {
        const struct fmm_store_options store = {.dirty = false};
        struct fmm_key k = text_key(cache, name_of('n', n));
        struct fmm_value v = text_value("a value of some forty bytes or so");
        while (fmm_set(cache, &call, &k, &v, &store, &ticket) == FMM_DIRTY) {
            number_of(&ticket); /* and never done */
        }
        CHECK(has(cache, name_of('n', n)));
        CHECK_EQ(count_numbers(0, 10), 10);
    }
    end();
}

/* Store key n, dirty if it is one of the first six, and hit another. */
static enum fmm_status
churn(unsigned n)
{
    static unsigned char data[480];
    const struct fmm_store_options store = {.dirty = n < 6};
    struct fmm_key key = text_key(cache, name_of('n', n));
    struct fmm_value value = {
        .data = data, .len = 8 + check_random_below(472), .type = 2};
    struct fmm_ticket ticket;
    struct fmm_meta meta;
    enum fmm_status status =
        fmm_set(cache, &call, &key, &value, &store, &ticket);
    key = text_key(cache, name_of('n', (unsigned)check_random_below(120)));
    fmm_get(cache, &call, &key, data, sizeof(data), &meta);
    return status;
}

/* Its entries keep their place, and the clean ones come and go. */
static void
a_write_back_that_never_succeeds_does_not_block_the_page(void)
{
    unsigned stored = 0;
    begin(32 * KIB, 64);
    for (unsigned i = 0; i < 100000; i++) {
        stored += churn((unsigned)check_random_below(120)) == FMM_OK;
    }
    CHECK(stored > 90000);
    CHECK_EQ(count_numbers(0, 6), 6);
    end();
}

/* Each of them may stay where it is, and none may leave: a set gives up. */
static void
a_page_of_entries_being_written_back_does_not_hang_a_set(void)
{
    const struct fmm_store_options dirty = {.dirty = true};
    struct fmm_cache *own = new_cache(4096, 1);
    char name[8], value[301];
    uint64_t cursor = 0;
    struct fmm_ticket ticket;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    enum fmm_status status = FMM_OK;
    for (unsigned i = 0; status == FMM_OK; i++) {
        snprintf(name, sizeof(name), "d%u", i);
        status = set_text_as(own, name, value, &dirty);
    }
    CHECK_EQ(status, FMM_DIRTY);
    while (fmm_dirty_next(own, &call, 0, false, &cursor, &ticket) == FMM_OK) {
    }
    CHECK_EQ(set_text(own, "more", value), FMM_DIRTY);
    fmm_close(own);
}

/* Each new entry takes the slot of another, whose bytes are dead then. */
static void
where_slots_are_wanting_nothing_is_cleaned(void)
{
    begin_with_slots(64 * KIB, 16);
    set_numbers(0, 10000, 104);
    struct fmm_stats stats = stats_of(cache);
    CHECK(stats.slot_evictions > 5000);
    CHECK(stats.moved_bytes < stats.stores * 104 / 2);
    end();
}

/* Counters, and the place of the next recount, are anybody's bytes. */
static void
a_recount_that_would_never_come_is_made_at_once(void)
{
    struct fmm_cache *own = new_cache(4096, 1);
    struct fmm_page view;
    CHECK_EQ(set_text(own, "key", "value"), FMM_OK);
    view_page(own, 0, &view);
    view.control->recount_at = UINT64_MAX;
    view.control->entries = 1000;
    CHECK_EQ(set_text(own, "key", "other"), FMM_OK);
    CHECK_EQ(view.control->entries, 1);
    fmm_close(own);
}

static const struct check_case cases[] = {
    CASE(new_entries_are_on_probation),
    CASE(large_entries_skip_probation),
    CASE(the_largest_entry_fits_at_every_place_of_a_ring),
    CASE(data_written_once_fills_both_rings),
    CASE(large_entries_use_both_rings_where_such_are_usual),
    CASE(a_large_entry_among_small_ones_skips_probation),
    CASE(hit_entries_outlive_a_scan),
    CASE(credit_is_spent_lap_by_lap),
    CASE(second_lives_are_dearer_for_larger_entries),
    CASE(a_count_of_entries_that_is_wrong_stops_no_eviction),
    CASE(a_count_of_live_bytes_that_is_wrong_keeps_nothing_out),
    CASE(an_evicted_key_that_returns_skips_probation),
    CASE(nobody_has_to_go_while_a_page_is_mostly_dead),
    CASE(overwriting_evicts_nobody_while_there_is_room),
    CASE(credit_lasts_while_only_overwriting_makes_laps),
    CASE(expired_entries_are_no_evictions),
    CASE(large_entries_evict_nobody_while_there_is_room),
    CASE(a_set_moves_little_however_hot_the_page_is),
    CASE(some_room_is_kept_free),
    CASE(dead_bytes_are_reclaimed_several_at_a_time),
    CASE(hot_entries_stay_in_place_when_copies_are_too_dear),
    CASE(what_a_set_stored_is_there_when_it_returns),
    CASE(while_cleaning_no_entry_stays_for_a_small_one),
    CASE(without_a_slot_the_least_used_entry_goes),
    CASE(a_dirty_entry_is_the_last_to_lose_its_slot),
    CASE(dirty_entries_are_handed_out_before_they_leave),
    CASE(a_dirty_entry_that_expired_is_handed_out_too),
    CASE(while_nothing_is_written_back_nothing_dirty_leaves),
    CASE(clean_entries_go_while_dirty_ones_wait),
    CASE(a_write_back_that_never_succeeds_does_not_block_the_page),
    CASE(a_page_of_entries_being_written_back_does_not_hang_a_set),
    CASE(where_slots_are_wanting_nothing_is_cleaned),
    CASE(a_recount_that_would_never_come_is_made_at_once),
};

CHECK_MAIN(cases)
