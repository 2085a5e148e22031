/* One page: what its slots name, its counters, its reset. */
#include "support.h"

#include "fmm_insert.h"

/* A settled page of a cache on the heap. */
static struct fmm_cache *cache;
static struct fmm_page page;

static void
begin(void)
{
    cache = heap_cache(4096, 2, 4);
    view_page(cache, 1, &page);
    REQUIRE(fmm_page_settle(&page));
}

static void
end(void)
{
    heap_cache_free(cache);
}

static struct fmm_key
put(const char *key, const char *value, bool dirty)
{
    struct fmm_key k = text_key(cache, key);
    struct fmm_value v = text_value(value);
    struct fmm_store_options store = {.dirty = dirty};
    struct fmm_ticket ticket;
    struct fmm_found old;
    const struct fmm_entry_source source = {&k, &v, &store, 0, NULL};
    bool found = fmm_page_find(&page, &k, &old);
    CHECK_EQ(fmm_insert_entry(&page, &source, found ? &old : NULL, 0, &ticket),
             FMM_OK);
    return k;
}

static void
the_parts_of_a_page_lie_in_its_bytes(void)
{
    begin();
    const struct fmm_geometry *g = &cache->geometry;
    unsigned char *at = cache->base + g->indexes_at + g->index_size;
    unsigned char *rings = cache->base + g->rings_at + g->rings_size;
    CHECK((uintptr_t)page.index.slots == (uintptr_t)at);
    CHECK((uintptr_t)page.index.hints == (uintptr_t)(at + g->hints_at));
    CHECK(page.ring[0].base == rings);
    CHECK(page.ring[1].base == rings + g->ring_size[0]);
    CHECK(page.ring[1].base + page.ring[1].size ==
          cache->base + g->clients_at);
    CHECK((unsigned char *)page.control ==
          cache->base + FMM_HEADER_SIZE + FMM_CONTROL_SIZE);
    end();
}

static void
a_key_is_found_after_it_was_inserted(void)
{
    struct fmm_found found;
    begin();
    struct fmm_key a = put("a", "1", false);
    struct fmm_key b = put("b", "2", true);
    struct fmm_key c = text_key(cache, "c");
    REQUIRE(fmm_page_find(&page, &a, &found));
    CHECK_EQ(found.entry.value[0], '1');
    CHECK((found.word & FMM_SLOT_DIRTY) == 0);
    REQUIRE(fmm_page_find(&page, &b, &found));
    CHECK_EQ(found.entry.value[0], '2');
    CHECK((found.word & FMM_SLOT_DIRTY) != 0);
    CHECK(!fmm_page_find(&page, &c, &found));
    end();
}

static void
a_slot_that_names_nothing_sound_is_passed_over(void)
{
    struct fmm_found found;
    begin();
    struct fmm_key a = put("a", "1", false);
    REQUIRE(fmm_page_find(&page, &a, &found));
    uint64_t word = found.word;
    page.index.slots[found.slot] = word | FMM_SLOT_OFFSET;
    CHECK(!fmm_page_load_slot(&page, found.slot, &found));
    CHECK(!fmm_page_find(&page, &a, &found));
    page.index.slots[found.slot] = word & ~FMM_SLOT_USED;
    CHECK(!fmm_page_find(&page, &a, &found));
    page.index.slots[found.slot] = 0;
    CHECK(!fmm_page_load_slot(&page, found.slot, &found));
    end();
}

static void
positions_are_those_of_the_ring(void)
{
    struct fmm_found found;
    begin();
    struct fmm_key a = put("a", "1", false);
    struct fmm_key b = put("b", "2", false);
    REQUIRE(fmm_page_find(&page, &a, &found));
    CHECK_EQ(fmm_page_position(&page, &found), 0);
    REQUIRE(fmm_page_find(&page, &b, &found));
    CHECK_EQ(fmm_page_position(&page, &found), 5);
    CHECK_EQ(page.ring[FMM_RING_S].head, 10);
    end();
}

static void
counters_follow_what_slots_name(void)
{
    struct fmm_found found;
    begin();
    struct fmm_key a = put("a", "1", false);
    put("b", "22", false);
    CHECK_EQ(page.control->entries, 2);
    CHECK_EQ(fmm_page_live(&page), 80);
    CHECK_EQ(fmm_page_dead(&page, FMM_RING_S), 0);
    put("b", "3", false);
    CHECK_EQ(page.control->entries, 2);
    CHECK_EQ(fmm_page_live(&page), 80);
    CHECK_EQ(fmm_page_dead(&page, FMM_RING_S), 40);
    REQUIRE(fmm_page_find(&page, &a, &found));
    fmm_page_clear_slot(&page, &found);
    CHECK_EQ(page.control->entries, 1);
    CHECK_EQ(fmm_page_live(&page), 40);
    CHECK_EQ(page.control->stores, 3);
    end();
}

static void
counters_that_are_off_never_fall_below_nothing(void)
{
    struct fmm_found found;
    begin();
    struct fmm_key a = put("a", "1", false);
    page.control->entries = 0;
    page.control->live[FMM_RING_S] = 8;
    REQUIRE(fmm_page_find(&page, &a, &found));
    fmm_page_clear_slot(&page, &found);
    CHECK_EQ(page.control->entries, 0);
    CHECK_EQ(fmm_page_live(&page), 0);
    page.control->live[FMM_RING_S] = UINT64_MAX;
    CHECK_EQ(fmm_page_dead(&page, FMM_RING_S), 0);
    end();
}

static void
a_recount_sets_the_counters_right(void)
{
    begin();
    put("a", "1", false);
    put("b", "2", false);
    page.control->entries = 77;
    page.control->live[FMM_RING_S] = 7777;
    page.control->live[FMM_RING_M] = 7777;
    fmm_page_recount(&page);
    CHECK_EQ(page.control->entries, 2);
    CHECK_EQ(page.control->live[FMM_RING_S], 80);
    CHECK_EQ(page.control->live[FMM_RING_M], 0);
    end();
}

static void
a_reset_page_is_empty_and_usable(void)
{
    struct fmm_found found;
    begin();
    struct fmm_key a = put("a", "1", true);
    fmm_page_reset(&page);
    CHECK(!fmm_page_find(&page, &a, &found));
    CHECK_EQ(page.control->entries, 0);
    CHECK_EQ(fmm_ring_used(&page.ring[FMM_RING_S]), 0);
    put("a", "2", false);
    CHECK(fmm_page_find(&page, &a, &found));
    end();
}

static void
spoil(void *part, uint64_t size)
{
    unsigned char *at = part;
    for (uint64_t i = 0; i < size; i++) {
        at[i] = (unsigned char)check_random();
    }
}

static void
a_page_of_any_bytes_can_be_reset(void)
{
    for (int round = 0; round < 200; round++) {
        begin();
        const struct fmm_geometry *g = &cache->geometry;
        spoil(page.index.slots, g->index_size);
        spoil(page.rings, g->rings_size);
        for (int ring = 0; ring < 2; ring++) {
            page.control->head[ring] = check_random();
            page.control->tail[ring] = check_random();
        }
        CHECK(!fmm_page_settle(&page));
        fmm_page_reset(&page);
        CHECK(fmm_page_settle(&page));
        put("a", "1", false);
        CHECK_EQ(page.control->entries, 1);
        end();
    }
}

static void
a_description_tells_what_the_index_knows(void)
{
    struct fmm_found found;
    struct fmm_meta meta;
    begin();
    struct fmm_key a = put("a", "1", true);
    REQUIRE(fmm_page_find(&page, &a, &found));
    fmm_hint_hit(&page.index.hints[found.slot], 33);
    fmm_page_describe(&page, &found, 5000, 0, &meta);
    CHECK(meta.dirty);
    CHECK_EQ(meta.accessed_at, 38000);
    CHECK_EQ(meta.value_len, 1);
    end();
}

static const struct check_case cases[] = {
    CASE(the_parts_of_a_page_lie_in_its_bytes),
    CASE(a_key_is_found_after_it_was_inserted),
    CASE(a_slot_that_names_nothing_sound_is_passed_over),
    CASE(positions_are_those_of_the_ring),
    CASE(counters_follow_what_slots_name),
    CASE(counters_that_are_off_never_fall_below_nothing),
    CASE(a_recount_sets_the_counters_right),
    CASE(a_reset_page_is_empty_and_usable),
    CASE(a_page_of_any_bytes_can_be_reset),
    CASE(a_description_tells_what_the_index_knows),
};

CHECK_MAIN(cases)
