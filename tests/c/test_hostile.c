/* Any bytes: no call leaves the cache's memory or loops for ever, and a
 * page that was spoilt works again.
 *
 * The cache lies on the heap in exactly its size, so that a build with
 * AddressSanitizer sees the first byte beyond it. */
#include "support.h"

#include <pthread.h>

#define KEYS 60u

static struct fmm_cache *cache;
static atomic_bool stop;

static const char *
some_key(void)
{
    static char name[16];
    snprintf(name, sizeof(name), "k%u", (unsigned)check_random_below(KEYS));
    return name;
}

static void
some_set(struct fmm_ticket *ticket)
{
    static unsigned char data[4096];
    const struct fmm_store store = {
        .mode = (enum fmm_store_mode)check_random_below(3),
        .expire_at = check_random_below(4) ? 0 : call.now_ms + SECOND,
        .modseq = check_random_below(9),
        .has_modseq = check_random_below(4) == 0,
        .dirty = check_random_below(4) == 0,
    };
    struct fmm_key key = text_key(cache, some_key());
    struct fmm_value value = {
        .data = data, .len = check_random_below(900), .type = 2};
    fmm_set(cache, &call, &key, &value, &store, ticket);
}

static void
some_change(struct fmm_ticket *ticket)
{
    const struct fmm_store store = {.mode = FMM_STORE_SET};
    const struct fmm_removal removal = {
        .has_modseq = check_random_below(2) == 0, .modseq = 5};
    struct fmm_key key = text_key(cache, some_key());
    int64_t result;
    uint64_t expire_at;
    switch (check_random_below(3)) {
    case 0:
        fmm_remove(cache, &call, &key, &removal, NULL, ticket);
        break;
    case 1:
        fmm_incr(cache, &call, &key, 1, 0, &store, &result, &expire_at,
                 ticket);
        break;
    default:
        fmm_touch(cache, &call, &key, call.now_ms + SECOND);
    }
}

static void
some_read(void)
{
    static unsigned char buffer[8192];
    struct fmm_key key = text_key(cache, some_key());
    struct fmm_meta meta;
    fmm_get(cache, &call, &key, buffer, check_random_below(8192), &meta);
    fmm_exists(cache, &call, &key, &meta);
}

static void
some_write_back(struct fmm_ticket *ticket)
{
    static unsigned char buffer[8192];
    struct fmm_meta meta;
    uint32_t cursor = (uint32_t)check_random_below(40);
    ticket->page %= cache->geometry.num_pages;
    fmm_dirty_read(cache, &call, ticket, buffer, check_random_below(8192),
                   &meta);
    fmm_dirty_done(cache, &call, ticket);
    fmm_dirty_next(cache, &call, ticket->page, false, &cursor, ticket);
}

static void
some_whole_page(bool repair)
{
    static unsigned char buffer[65536];
    struct fmm_scan scan = {.buffer = buffer,
                            .values = true,
                            .capacity = check_random_below(65536)};
    uint32_t page = (uint32_t)check_random_below(cache->geometry.num_pages);
    struct fmm_page_report report;
    uint64_t count = 0;
    if (fmm_scan_page(cache, &call, page, &scan) == FMM_OK) {
        struct fmm_meta meta;
        const void *key, *value;
        while (fmm_scan_next(&scan, &meta, &key, &value)) {
            CHECK((const unsigned char *)value + meta.value_len <=
                  buffer + scan.used);
        }
    }
    fmm_count_page(cache, &call, page, &count);
    fmm_check_page(cache, &call, page, repair, &report);
}

static void
some_operation(struct fmm_ticket *ticket)
{
    switch (check_random_below(16)) {
    case 0:
        some_whole_page(false);
        break;
    case 1:
        some_write_back(ticket);
        break;
    case 2:
    case 3:
        some_change(ticket);
        break;
    case 4:
    case 5:
    case 6:
        some_read();
        break;
    default:
        some_set(ticket);
    }
}

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
    uint64_t page =
        g->pages_at + g->page_size * check_random_below(g->num_pages);
    uint64_t pick = check_random_below(8);
    fmm_word64 *word =
        pick < 2 ? some_word(FMM_HEADER_SIZE,
                             g->num_pages * (uint64_t)FMM_CONTROL_SIZE)
        : pick < 5
            ? some_word(page, g->ring_at[0])
            : some_word(page + g->ring_at[0], g->page_size - g->ring_at[0]);
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
begin(uint32_t num_pages)
{
    cache = heap_cache(4096, num_pages, 4);
}

/* Whatever was done to it, after a repair the cache is sound. */
static void
end(void)
{
    for (uint32_t n = 0; n < cache->geometry.num_pages; n++) {
        struct fmm_page_report report;
        CHECK_EQ(fmm_check_page(cache, &call, n, true, &report), FMM_OK);
    }
    check_pages(cache, true);
    struct fmm_ticket ticket;
    const struct fmm_removal all = {.keep_dirty = false};
    struct fmm_key key = text_key(cache, "key");
    fmm_remove(cache, &call, &key, &all, NULL, &ticket);
    enum fmm_status status = set_text(cache, "key", "value");
    CHECK(status == FMM_DIRTY || holds(cache, "key", "value"));
    heap_cache_free(cache);
}

static void
spoilt_words_do_no_harm(void)
{
    for (int round = 0; round < 400; round++) {
        struct fmm_ticket ticket = {.page = 0};
        begin(2);
        for (int i = 0; i < 100; i++) {
            some_set(&ticket);
        }
        for (int i = 0; i < 200; i++) {
            if (i % 8 == 0) {
                spoil_one();
            }
            some_operation(&ticket);
        }
        end();
    }
}

static void
pages_of_random_bytes_do_no_harm(void)
{
    for (int round = 0; round < 300; round++) {
        struct fmm_ticket ticket = {.page = 0};
        begin(1);
        const struct fmm_geometry *g = &cache->geometry;
        uint64_t end_at = round % 2 ? g->file_size : g->pages_at + 512;
        for (uint64_t at = g->pages_at; at < end_at; at += 8) {
            *(fmm_word64 *)(void *)(cache->base + at) = check_random();
        }
        for (int i = 0; i < 300; i++) {
            some_operation(&ticket);
        }
        end();
    }
}

/* Positions and slots that just fit, as one who means harm would write. */
static void
forged_positions_and_slots_do_no_harm(void)
{
    for (int round = 0; round < 2000; round++) {
        struct fmm_page page;
        struct fmm_ticket ticket = {.page = 0};
        begin(1);
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
            some_operation(&ticket);
        }
        end();
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
    struct fmm_ticket ticket = {.page = 0};
    begin(1);
    stop = false;
    REQUIRE(pthread_create(&thread, NULL, spoil_meanwhile, NULL) == 0);
    uint64_t until = fmm_monotonic_ms() + 2000;
    while (fmm_monotonic_ms() < until) {
        some_operation(&ticket);
    }
    stop = true;
    pthread_join(thread, NULL);
    end();
}

static const struct check_case cases[] = {
    CASE(spoilt_words_do_no_harm),
    CASE(pages_of_random_bytes_do_no_harm),
    CASE(forged_positions_and_slots_do_no_harm),
    CASE(words_that_are_spoilt_meanwhile_do_no_harm),
};

CHECK_MAIN(cases)
