/* Statistics: exact when nothing else runs. */
#include "support.h"

#include <unistd.h>

#include "fmm_lock.h"

static struct fmm_cache *cache;

static void
begin(void)
{
    cache = new_cache(16384, 2);
    call.count = FMM_COUNTED_BY_PAGE;
}

static void
end(void)
{
    call.count = FMM_COUNTED;
    check_pages(cache, true);
    fmm_close(cache);
}

static void
a_new_cache_has_counted_nothing(void)
{
    begin();
    struct fmm_stats stats = stats_of(cache);
    struct fmm_stats nothing = {.total_bytes = cache->geometry.clients_at};
    CHECK(memcmp(&stats, &nothing, sizeof(stats)) == 0);
    end();
}

static void
entries_and_bytes_follow_every_change(void)
{
    begin();
    CHECK_EQ(set_text(cache, "a", "1"), FMM_OK);
    CHECK_EQ(set_text(cache, "b", "1"), FMM_OK);
    uint64_t each = 40 + cache->geometry.seal_size;
    struct fmm_stats stats = stats_of(cache);
    CHECK_EQ(stats.entries, 2);
    CHECK_EQ(stats.live_bytes, 2 * each);
    CHECK_EQ(stats.used_bytes, 2 * each);
    CHECK_EQ(stats.stores, 2);
    CHECK_EQ(set_text(cache, "a", "2"), FMM_OK);
    CHECK_EQ(remove_text(cache, "b"), FMM_OK);
    stats = stats_of(cache);
    CHECK_EQ(stats.entries, 1);
    CHECK_EQ(stats.live_bytes, each);
    CHECK_EQ(stats.used_bytes, 3 * each);
    CHECK_EQ(stats.stores, 3);
    end();
}

static void
reads_and_hits_count_when_asked_to(void)
{
    struct fmm_meta meta;
    char buffer[4];
    begin();
    CHECK_EQ(set_text(cache, "key", "longer"), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK(holds(cache, "key", "longer"));
    CHECK(!holds(cache, "other", "longer"));
    CHECK_EQ(fmm_get(cache, &call, &key, buffer, 4, &meta), FMM_TOO_SMALL);
    CHECK(has(cache, "key"));
    struct fmm_stats stats = stats_of(cache);
    CHECK_EQ(stats.page_reads, 3); /* the one to be repeated is none yet */
    CHECK_EQ(stats.page_hits, 2);
    call.count = FMM_COUNTED;
    CHECK(holds(cache, "key", "longer"));
    CHECK_EQ(stats_of(cache).page_reads, 3);
    fmm_stats_clear(cache);
    stats = stats_of(cache);
    CHECK(stats.page_reads == 0 && stats.page_hits == 0);
    CHECK_EQ(stats.stores, 1);
    CHECK(stats.hits == 3 && stats.misses == 1); /* these are for ever */
    end();
}

static void
the_reads_of_a_client_are_always_counted(void)
{
    begin();
    call.count = FMM_COUNTED;
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    CHECK(holds(cache, "key", "value") && !has(cache, "other"));
    call.count = FMM_NOT_COUNTED;
    CHECK(holds(cache, "key", "value"));
    struct fmm_stats stats = stats_of(cache);
    CHECK(stats.hits == 1 && stats.misses == 1 && stats.page_reads == 0);
    end();
}

static void
what_was_stored_is_there_or_was_evicted(void)
{
    begin();
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        CHECK_EQ(set_text(cache, key, "some value to take up room"), FMM_OK);
    }
    struct fmm_stats stats = stats_of(cache);
    CHECK_EQ(stats.stores, 5000);
    CHECK_EQ(stats.entries + stats.evictions, 5000);
    CHECK(stats.live_bytes <= stats.used_bytes);
    CHECK(stats.used_bytes < stats.total_bytes);
    CHECK_EQ(stats.recoveries + stats.repaired + stats.expirations, 0);
    end();
}

static void
pages_are_told_apart_and_their_sum_is_the_file(void)
{
    struct fmm_page_stats page, sum = {.held = false};
    struct fmm_stats all;
    begin();
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        CHECK_EQ(set_text(cache, key, "some value"), FMM_OK);
    }
    uint32_t pages = cache->geometry.num_pages;
    for (uint32_t n = 0; n < pages; n++) {
        CHECK_EQ(fmm_page_stats_read(cache, n, &page), FMM_OK);
        CHECK(!page.held && page.holder == 0);
        CHECK(page.new_bytes + page.main_bytes <= page.used_bytes);
        CHECK(page.used_bytes < page.total_bytes);
        sum.entries += page.entries;
        sum.stores += page.stores;
        sum.used_bytes += page.used_bytes;
    }
    all = stats_of(cache);
    CHECK_EQ(sum.entries, all.entries);
    CHECK_EQ(sum.stores, all.stores);
    CHECK_EQ(sum.used_bytes, all.used_bytes);
    CHECK_EQ(fmm_page_stats_read(cache, pages, &page), FMM_ERR_ARGUMENT);
    end();
}

static void
a_page_tells_who_holds_it_and_never_more_than_there_is(void)
{
    struct fmm_page_stats page;
    begin();
    struct fmm_control *control = fmm_page_control(cache->base, 0);
    uint64_t own = fmm_client_owner(&cache->client);
    CHECK(fmm_lock_try(&control->lock, own));
    CHECK_EQ(fmm_page_stats_read(cache, 0, &page), FMM_OK);
    CHECK(page.held && (pid_t)page.holder == getpid());
    CHECK(fmm_lock_release(&control->lock, own));
    control->live[0] = control->live[1] = UINT64_MAX;
    control->internal = UINT64_MAX;
    CHECK_EQ(fmm_page_stats_read(cache, 0, &page), FMM_OK);
    CHECK(page.new_bytes + page.main_bytes <= page.total_bytes);
    CHECK_EQ(page.entries, 0);
    control->live[0] = control->live[1] = control->internal = 0;
    end();
}

static const struct check_case cases[] = {
    CASE(a_new_cache_has_counted_nothing),
    CASE(entries_and_bytes_follow_every_change),
    CASE(reads_and_hits_count_when_asked_to),
    CASE(the_reads_of_a_client_are_always_counted),
    CASE(what_was_stored_is_there_or_was_evicted),
    CASE(pages_are_told_apart_and_their_sum_is_the_file),
    CASE(a_page_tells_who_holds_it_and_never_more_than_there_is),
};

CHECK_MAIN(cases)
