/* Any bytes: no call leaves the cache's memory or loops for ever, and a
 * page that was spoilt works again.
 *
 * The cache lies on the heap in exactly its size, so that a build with
 * AddressSanitizer sees the first byte beyond it. */
#include "hostile.h"

#include "fmm_evict.h"

#include <pthread.h>

static struct fmm_cache *cache;
static atomic_bool stop;

/* --------------------------------------------------------------- spoiling */

static fmm_word64 *
some_word(uint64_t at, uint64_t size)
{
    uint64_t offset = at + 8 * check_random_below(size / 8);
    return (fmm_word64 *)(void *)(cache->base + offset);
}

/* A word of the control blocks, the index, or a ring; not of the lock, for
 * that may name a living process, for which anybody has to wait. */
static void
spoil_one(void)
{
    const struct fmm_geometry *g = &cache->geometry;
    uint64_t index = g->rings_at - g->indexes_at;
    uint64_t pick = check_random_below(8);
    fmm_word64 *word =
        pick < 2   ? some_word(FMM_HEADER_SIZE,
                               g->num_pages * (uint64_t)FMM_CONTROL_SIZE)
        : pick < 5 ? some_word(g->indexes_at, index)
                   : some_word(g->rings_at, g->clients_at - g->rings_at);
    uint64_t in_block = (uint64_t)((unsigned char *)(uintptr_t)word -
                                   cache->base - FMM_HEADER_SIZE) %
                        FMM_CONTROL_SIZE;
    if (pick < 2 && in_block == offsetof(struct fmm_control, lock)) {
        return;
    }
    switch (check_random_below(4)) {
    case 0:
        *word = check_random();
        break;
    case 1:
        *word ^= UINT64_C(1) << check_random_below(64);
        break;
    case 2:
        *word += 8 * (check_random_below(65) - 32);
        break;
    default:
        *word = check_random() & 0xffff;
    }
}

static void
begin(struct hostile *h, uint32_t num_pages)
{
    cache = heap_cache(4096, num_pages, 4);
    *h = (struct hostile){.cache = cache};
}

/* Whatever was done to it, after a repair the cache is sound. */
static void
end(struct hostile *h)
{
    hostile_settle(h);
    heap_cache_free(h->cache);
}

static void
spoilt_words_do_no_harm(void)
{
    for (int round = 0; round < 400; round++) {
        struct hostile h;
        begin(&h, 2);
        for (int i = 0; i < 100; i++) {
            hostile_set(&h);
        }
        for (int i = 0; i < 200; i++) {
            if (i % 8 == 0) {
                spoil_one();
            }
            hostile_operation(&h);
        }
        end(&h);
    }
}

static void
pages_of_random_bytes_do_no_harm(void)
{
    for (int round = 0; round < 300; round++) {
        struct hostile h;
        begin(&h, 1);
        const struct fmm_geometry *g = &cache->geometry;
        uint64_t end_at = round % 2 ? g->clients_at : g->indexes_at + 512;
        for (uint64_t at = g->indexes_at; at < end_at; at += 8) {
            *(fmm_word64 *)(void *)(cache->base + at) = check_random();
        }
        for (int i = 0; i < 300; i++) {
            hostile_operation(&h);
        }
        end(&h);
    }
}

/* Positions and slots that just fit, as one who means harm would write. */
static void
forged_positions_and_slots_do_no_harm(void)
{
    for (int round = 0; round < 2000; round++) {
        struct fmm_page page;
        struct hostile h;
        begin(&h, 1);
        view_page(cache, 0, &page);
        for (int ring = 0; ring < 2; ring++) {
            uint64_t lap = UINT64_C(1) << page.ring[ring].shift;
            uint64_t base = check_random() >> check_random_below(64);
            uint64_t used = check_random_below(2 * lap + 2);
            page.control->tail[ring] = base;
            page.control->head[ring] = base + used;
        }
        for (uint32_t slot = 0; slot < 32; slot++) {
            page.index.slots[slot] =
                FMM_SLOT_USED | (check_random() & ~(FMM_SLOT_OFFSET)) |
                check_random_below(page.ring[1].size / 8 + 2);
        }
        for (int i = 0; i < 40; i++) {
            hostile_operation(&h);
        }
        end(&h);
    }
}

static void *
spoil_meanwhile(void *unused)
{
    (void)unused;
    while (!stop) {
        spoil_one();
    }
    return NULL;
}

static void
words_that_are_spoilt_meanwhile_do_no_harm(void)
{
    pthread_t thread;
    struct hostile h;
    begin(&h, 1);
    stop = false;
    REQUIRE(pthread_create(&thread, NULL, spoil_meanwhile, NULL) == 0);
    uint64_t until = fmm_monotonic_ms() + 2000;
    while (fmm_monotonic_ms() < until) {
        hostile_operation(&h);
    }
    stop = true;
    pthread_join(thread, NULL);
    end(&h);
}

/* Or the tail would pass the head, and everything count as free. */
static void
a_tail_whose_entry_steps_over_the_head_is_damage(void)
{
    struct fmm_cache *own = new_cache(4096, 1);
    struct fmm_work work;
    struct fmm_page page;
    view_page(own, 0, &page);
    const struct fmm_ring *ring = &page.ring[FMM_RING_S];
    fmm_store_shared(ring->base,
                     ring->size | (uint64_t)FMM_ENTRY_PADDING << 32);
    page.control->head[FMM_RING_S] = ring->size / 8 - 1;
    REQUIRE(fmm_page_settle(&page));
    fmm_evict_begin(&work, &page, call.now_ms, 16);
    CHECK_EQ(fmm_evict_make_room(&work, FMM_RING_S, 16), FMM_ERR_CORRUPT);
    fmm_close(own);
}

/* What an entry costs is by the average one: nothing is divided by it. */
static void
counters_of_nothing_do_not_stop_evictions(void)
{
    struct fmm_cache *own = new_cache(4096, 1);
    struct fmm_page page;
    char name[16];
    view_page(own, 0, &page);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "key%d", i);
        if (i % 2) {
            page.control->entries = 0;
        }
        else {
            page.control->live[FMM_RING_S] = 0;
            page.control->live[FMM_RING_M] = 0;
        }
        CHECK_EQ(set_text(own, name, "value"), FMM_OK);
        CHECK(holds(own, name, "value"));
    }
    CHECK(stats_of(own).evictions > 0);
    fmm_close(own);
}

static const struct check_case cases[] = {
    CASE(spoilt_words_do_no_harm),
    CASE(pages_of_random_bytes_do_no_harm),
    CASE(forged_positions_and_slots_do_no_harm),
    CASE(counters_of_nothing_do_not_stop_evictions),
    CASE(a_tail_whose_entry_steps_over_the_head_is_damage),
    CASE(words_that_are_spoilt_meanwhile_do_no_harm),
};

CHECK_MAIN(cases)
