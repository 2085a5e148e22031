/* Victims: who gives up an index slot, and who keeps it. */
#include "support.h"

#define PAGE_SIZE 65536u
#define HOUR (3600 * SECOND)

static struct fmm_cache *cache;
static struct fmm_page page;

/* A page of eight slots, or sixteen, for good: each key may be in any of them.
 */
static void
begin(uint32_t buckets)
{
    cache = heap_cache(PAGE_SIZE, 1, buckets);
    keep_index(cache);
    view_page(cache, 0, &page);
}

static void
end(void)
{
    check_pages(cache, true);
    heap_cache_free(cache);
}

static void
set_numbers(unsigned from, unsigned to, uint64_t expire_at)
{
    const struct fmm_store_options store = {.expire_at = expire_at};
    for (unsigned n = from; n < to; n++) {
        CHECK_EQ(set_text_as(cache, name_of('n', n), "value", &store), FMM_OK);
    }
}

static unsigned
count_numbers(unsigned from, unsigned to)
{
    unsigned count = 0;
    for (unsigned n = from; n < to; n++) {
        count += has(cache, name_of('n', n));
    }
    return count;
}

static void
hit_numbers(unsigned from, unsigned to, int times)
{
    while (times-- > 0) {
        for (unsigned n = from; n < to; n++) {
            CHECK(holds(cache, name_of('n', n), "value"));
        }
    }
}

static enum fmm_status
take(unsigned n, uint64_t duration_ms)
{
    struct fmm_key key = text_key(cache, name_of('n', n));
    struct fmm_lease lease;
    struct fmm_ticket ticket;
    const struct fmm_lease_request wanted = {.duration_ms = duration_ms};
    return fmm_lease_take(cache, &call, &key, &wanted, &lease, &ticket);
}

static bool
is_leased(unsigned n)
{
    struct fmm_key key = text_key(cache, name_of('n', n));
    struct fmm_lease lease;
    uint64_t since;
    return fmm_lease_peek(cache, &call, &key, &lease, &since) == FMM_OK;
}

static void
check_oldest_goes(uint64_t age)
{
    begin(2);
    call.now_ms += age * SECOND;
    for (unsigned n = 0; n < 16; n++) {
        set_numbers(n, n + 1, 0);
        call.now_ms += SECOND;
    }
    set_numbers(100, 101, 0);
    CHECK(!has(cache, name_of('n', 0)));
    CHECK_EQ(count_numbers(1, 16), 15);
    end();
}

static void
of_equal_credit_the_oldest_access_goes(void)
{
    check_oldest_goes(0);
}

static void
the_same_when_the_clock_of_accesses_goes_round(void)
{
    check_oldest_goes(FMM_HINT_ACCESS - 7);
}

static void
what_has_expired_goes_first_however_often_it_was_read(void)
{
    begin(2);
    set_numbers(0, 1, 0);
    set_numbers(1, 16, call.now_ms + HOUR);
    hit_numbers(1, 16, 3);
    call.now_ms += 2 * HOUR;
    set_numbers(100, 115, 0);
    CHECK(has(cache, name_of('n', 0)));
    CHECK_EQ(count_numbers(100, 115), 15);
    CHECK_EQ(stats_of(cache).expirations, 15);
    CHECK_EQ(stats_of(cache).evictions, 0);
    CHECK_EQ(stats_of(cache).slot_evictions, 0);
    end();
}

static void
what_is_not_asked_for_any_more_makes_way(void)
{
    begin(2);
    set_numbers(0, 16, 0);
    hit_numbers(0, 16, 3);
    for (int round = 0; round < 20; round++) {
        for (unsigned n = 100; n < 108; n++) {
            call.now_ms += SECOND;
            if (!holds(cache, name_of('n', n), "value")) {
                set_numbers(n, n + 1, 0);
            }
        }
    }
    CHECK_EQ(count_numbers(100, 108), 8);
    end();
}

static void
what_was_stored_last_is_not_the_next_to_go(void)
{
    begin(2);
    set_numbers(0, 16, 0);
    hit_numbers(1, 16, 3); /* number 0 goes, and the others have credit */
    for (unsigned n = 100; n < 200; n++) {
        call.now_ms += SECOND;
        set_numbers(n, n + 1, 0);
        CHECK(n == 100 || has(cache, name_of('n', n - 1)));
    }
    end();
}

/* A page of leases, two of which end: then there is a slot again. */
static void
a_running_lease_keeps_its_slot(void)
{
    begin(2);
    CHECK_EQ(take(0, HOUR), FMM_OK);
    for (unsigned n = 100; n < 1000; n++) {
        set_numbers(n, n + 1, 0);
        hit_numbers(n, n + 1, 3);
        CHECK(is_leased(0));
    }
    for (unsigned n = 1; n < 16; n++) {
        CHECK_EQ(take(n, n < 14 ? HOUR : SECOND), FMM_OK);
    }
    CHECK_EQ(set_text(cache, "refused", "value"), FMM_NO_ROOM);
    CHECK_EQ(take(16, HOUR), FMM_NO_ROOM);
    call.now_ms += 2 * SECOND;
    CHECK_EQ(set_text(cache, "stored", "value"), FMM_OK);
    CHECK_EQ(take(16, HOUR), FMM_OK);
    for (unsigned n = 0; n < 14; n++) {
        CHECK(is_leased(n));
    }
    end();
}

static enum fmm_status
add_one(unsigned n, int64_t *result)
{
    const struct fmm_store_options store = {.expire_at = 0};
    struct fmm_key key = text_key(cache, name_of('n', n));
    struct fmm_ticket ticket;
    uint64_t expire_at;
    return fmm_incr(cache, &call, &key, 1, 0, &store, result, &expire_at,
                    &ticket);
}

static void
a_counter_that_is_counted_on_stays_among_what_is_stored_once(void)
{
    begin(2);
    int64_t result = 0;
    for (unsigned n = 0; n < 1000; n++) {
        CHECK_EQ(add_one(0, &result), FMM_OK);
        CHECK_EQ(result, n + 1);
        set_numbers(100 + n, 101 + n, 0);
    }
    end();
}

static const struct check_case cases[] = {
    CASE(of_equal_credit_the_oldest_access_goes),
    CASE(the_same_when_the_clock_of_accesses_goes_round),
    CASE(what_has_expired_goes_first_however_often_it_was_read),
    CASE(what_is_not_asked_for_any_more_makes_way),
    CASE(what_was_stored_last_is_not_the_next_to_go),
    CASE(a_running_lease_keeps_its_slot),
    CASE(a_counter_that_is_counted_on_stays_among_what_is_stored_once),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
