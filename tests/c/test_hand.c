/* The hand: what has expired makes room, and nothing else does. */
#include "support.h"

#define HOUR (3600 * SECOND)
#define LENGTH 400u

static struct fmm_cache *cache;
static struct fmm_page page;

static void
begin(void)
{
    cache = heap_cache(65536, 1, 32);
    view_page(cache, 0, &page);
}

static void
end(void)
{
    check_pages(cache, true);
    heap_cache_free(cache);
}

static void
set_numbers(char kind, unsigned count, uint64_t expire_at)
{
    static char text[LENGTH + 1];
    const struct fmm_store_options store = {.expire_at = expire_at};
    memset(text, 'x', LENGTH);
    for (unsigned n = 0; n < count; n++) {
        CHECK_EQ(set_text_as(cache, name_of(kind, n), text, &store), FMM_OK);
    }
}

static unsigned
count_numbers(char kind, unsigned count)
{
    unsigned found = 0;
    for (unsigned n = 0; n < count; n++) {
        found += has(cache, name_of(kind, n));
    }
    return found;
}

/* A third for ever, a third that expires, a third new. */
static void
living_entries_stay_when_others_have_expired(void)
{
    begin();
    for (unsigned n = 0; n < 50; n++) {
        set_numbers('k', n + 1, 0);
        set_numbers('g', n + 1, call.now_ms + HOUR);
    }
    call.now_ms += 2 * HOUR;
    set_numbers('n', 50, 0);
    CHECK(count_numbers('k', 50) + count_numbers('n', 50) >= 98);
    CHECK(stats_of(cache).evictions <= 2);
    end();
}

static void
the_hand_rests_until_something_expires(void)
{
    begin();
    set_numbers('k', 200, call.now_ms + HOUR);
    CHECK_EQ(page.control->earliest, call.now_ms + HOUR);
    CHECK_EQ(page.control->hand, 0);
    set_numbers('n', 1, call.now_ms + SECOND);
    CHECK_EQ(page.control->earliest, call.now_ms + SECOND);
    call.now_ms += 2 * SECOND;
    for (int i = 0; i < 40; i++) {
        set_numbers('m', 1, 0);
    }
    CHECK_EQ(page.control->earliest, call.now_ms - 2 * SECOND + HOUR);
    CHECK_EQ(page.control->hand, 0);
    CHECK_EQ(stats_of(cache).expirations, 1);
    end();
}

static void
a_shorter_lifetime_is_noted(void)
{
    begin();
    set_numbers('k', 1, 0);
    CHECK_EQ(page.control->earliest, 0);
    struct fmm_key key = text_key(cache, name_of('k', 0));
    CHECK_EQ(fmm_touch(cache, &call, &key, call.now_ms + SECOND), FMM_OK);
    CHECK_EQ(page.control->earliest, call.now_ms + SECOND);
    end();
}

/* Nothing is lost that has not been written back. */
static void
a_changed_entry_that_expired_stays_until_it_is_written(void)
{
    const struct fmm_store_options store = {.expire_at = call.now_ms + SECOND,
                                            .dirty = true};
    uint64_t cursor = 0;
    struct fmm_ticket ticket;
    begin();
    CHECK_EQ(set_text_as(cache, "changed", "value", &store), FMM_OK);
    set_numbers('k', 100, 0);
    call.now_ms += HOUR;
    set_numbers('n', 20, 0);
    CHECK_EQ(fmm_dirty_next(cache, &call, 0, true, &cursor, &ticket), FMM_OK);
    end();
}

/* Whatever its words hold, it stays within the index, and in the end rests. */
static void
a_hand_of_any_bytes_does_no_harm(void)
{
    begin();
    set_numbers('k', 200, 0); /* room is short from then on */
    for (unsigned i = 0; i < 2000; i++) {
        page.control->hand = i % 2 ? check_random() : check_random_below(40);
        page.control->earliest = check_random_below(call.now_ms);
        page.control->passed = check_random();
        set_numbers('n', 1 + i % 5, 0);
    }
    page.control->passed = 0;
    for (int i = 0; i < 50; i++) {
        set_numbers('n', 1, 0);
    }
    CHECK_EQ(page.control->hand, 0);
    end();
}

static const struct check_case cases[] = {
    CASE(living_entries_stay_when_others_have_expired),
    CASE(the_hand_rests_until_something_expires),
    CASE(a_shorter_lifetime_is_noted),
    CASE(a_changed_entry_that_expired_stays_until_it_is_written),
    CASE(a_hand_of_any_bytes_does_no_harm),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
