/* Is a page sound? Each kind of damage is found, and costs no more than it
 * must. */
#include "support.h"

#include "fmm_process.h"
#include "fmm_verify.h"

static struct fmm_cache *cache;

/* One page with three small entries. */
static void
begin(struct fmm_page *page)
{
    cache = heap_cache(4096, 1, 4);
    CHECK_EQ(set_text(cache, "a", "1"), FMM_OK);
    CHECK_EQ(set_text(cache, "b", "2"), FMM_OK);
    CHECK_EQ(set_text(cache, "c", "3"), FMM_OK);
    view_page(cache, 0, page);
    REQUIRE(fmm_page_settle(page));
}

static void
end(void)
{
    heap_cache_free(cache);
}

static uint32_t
slot_of(const struct fmm_page *page, const char *key)
{
    struct fmm_key k = text_key(cache, key);
    struct fmm_found found;
    REQUIRE(fmm_page_find(page, &k, &found));
    return found.slot;
}

static struct fmm_page_report
check(bool repair)
{
    struct fmm_page_report report;
    REQUIRE(fmm_check_page(cache, &call, 0, repair, &report) == FMM_OK);
    return report;
}

static void
a_sound_page_has_no_findings(void)
{
    struct fmm_page page;
    begin(&page);
    struct fmm_page_report report = check(false);
    CHECK_EQ(report.entries, 3);
    CHECK_EQ(report.live_bytes, 120);
    CHECK_EQ(report.dead_bytes, 0);
    CHECK(!report.bad_slots && !report.bad_rings && !report.miscounted);
    CHECK_EQ(report.text[0], 0);
    remove_text(cache, "b");
    report = check(false);
    CHECK_EQ(report.entries, 2);
    CHECK_EQ(report.dead_bytes, 40);
    end();
}

/* Spoil the slot of "b" by `word`: one bad slot, and the rest stays. */
static void
check_bad_slot(uint64_t keep, uint64_t put)
{
    struct fmm_page page;
    begin(&page);
    fmm_word64 *slot = &page.index.slots[slot_of(&page, "b")];
    *slot = (*slot & keep) | put;
    uint64_t spoilt = *slot;
    struct fmm_page_report report = check(false);
    CHECK_EQ(report.bad_slots, 1);
    CHECK(report.text[0] != '\0');
    CHECK(*slot == spoilt); /* a check changes nothing */
    check(true);
    CHECK(*slot == 0);
    report = check(false);
    CHECK(!report.bad_slots && !report.bad_rings && !report.miscounted);
    CHECK_EQ(report.entries, 2);
    CHECK(holds(cache, "a", "1") && holds(cache, "c", "3"));
    CHECK(!has(cache, "b"));
    end();
}

static void
a_slot_that_names_no_sound_entry_is_bad(void)
{
    check_bad_slot(~FMM_SLOT_OFFSET, FMM_SLOT_OFFSET); /* off the ring */
    check_bad_slot(~FMM_SLOT_OFFSET, 1);         /* the middle of an entry */
    check_bad_slot(~FMM_SLOT_OFFSET, 30);        /* beyond the head */
    check_bad_slot(~UINT64_C(0), FMM_SLOT_RING); /* in the other ring */
    check_bad_slot(~FMM_SLOT_TAG, 0);            /* with another tag */
    check_bad_slot(~FMM_SLOT_USED, 0); /* not in use, yet not empty */
}

/* The last of three entries, when the head is at the end of the first. */
static void
a_slot_beyond_the_head_is_bad(void)
{
    struct fmm_cache *own = new_cache(4096, 1);
    struct fmm_page_report report;
    struct fmm_page page;
    CHECK_EQ(set_text(own, "1", "one"), FMM_OK);
    view_page(own, 0, &page);
    uint64_t head = page.control->head[FMM_RING_S];
    CHECK_EQ(set_text(own, "2", "two"), FMM_OK);
    CHECK_EQ(set_text(own, "3", "three"), FMM_OK);
    page.control->head[FMM_RING_S] = head;
    CHECK_EQ(fmm_check_page(own, &call, 0, true, &report), FMM_OK);
    CHECK_EQ(report.bad_slots, 2);
    CHECK(holds(own, "1", "one") && !has(own, "2") && !has(own, "3"));
    fmm_close(own);
}

static void
a_slot_with_reserved_bits_is_bad(void)
{
    for (unsigned bit = 48; bit < 58; bit++) {
        check_bad_slot(~UINT64_C(0), UINT64_C(1) << bit);
    }
}

static void
a_slot_outside_its_buckets_is_bad(void)
{
    struct fmm_page page;
    struct fmm_candidates c;
    begin(&page);
    struct fmm_key b = text_key(cache, "b");
    uint32_t slot = slot_of(&page, "b");
    fmm_index_candidates(4, b.hash, &c);
    uint32_t other = 0;
    while (other == c.first[0] || other == c.first[1]) {
        other += FMM_BUCKET_SLOTS;
    }
    page.index.slots[other + 5] = (uint64_t)page.index.slots[slot];
    CHECK_EQ(check(false).bad_slots, 1);
    check(true);
    CHECK(holds(cache, "b", "2"));
    CHECK_EQ(page.index.slots[other + 5], 0);
    end();
}

/* More live bytes than were ever written: which of them are, none can say. */
static void
slots_that_share_an_entry_cost_the_page(void)
{
    struct fmm_page page;
    begin(&page);
    struct fmm_key b = text_key(cache, "b");
    uint32_t empty = fmm_index_find_empty(&page.index, b.hash);
    REQUIRE(empty != FMM_SLOT_NONE);
    page.index.slots[empty] = (uint64_t)page.index.slots[slot_of(&page, "b")];
    struct fmm_page_report report = check(false);
    CHECK(report.bad_rings && report.bad_slots == 0);
    check(true);
    CHECK_EQ(check(false).entries, 0);
    CHECK_EQ(stats_of(cache).repaired, 1);
    end();
}

/* Overwrite the first word of "b" in ring S. */
static void
check_bad_chain(uint64_t word)
{
    struct fmm_page page;
    begin(&page);
    fmm_store_shared(page.ring[FMM_RING_S].base + 40, word);
    struct fmm_page_report report = check(false);
    CHECK(report.bad_rings);
    CHECK(report.text[0] != '\0');
    CHECK(holds(cache, "a", "1"));
    check(true);
    report = check(false);
    CHECK(!report.bad_rings && !report.bad_slots && !report.miscounted);
    CHECK_EQ(report.entries, 0);
    CHECK_EQ(stats_of(cache).repaired, 1);
    CHECK_EQ(set_text(cache, "a", "2"), FMM_OK);
    CHECK(holds(cache, "a", "2"));
    end();
}

static void
a_broken_chain_of_entries_costs_the_page(void)
{
    check_bad_chain(0);
    check_bad_chain(UINT64_MAX);
    check_bad_chain(41);
    check_bad_chain(88);   /* beyond the head */
    check_bad_chain(4096); /* beyond the ring */
}

/* Senseless positions: they too are found by looking, and only a repair
 * empties the page. */
static void
check_bad_position(uint64_t head, uint64_t tail)
{
    struct fmm_page page;
    begin(&page);
    page.control->head[FMM_RING_S] = head;
    page.control->tail[FMM_RING_S] = tail;
    CHECK(check(false).bad_rings);
    CHECK(page.control->head[FMM_RING_S] == head);
    CHECK(page.index.slots[slot_of(&page, "a")] != 0);
    CHECK(check(true).bad_rings);
    struct fmm_page_report report = check(false);
    CHECK(!report.bad_rings && !report.bad_slots);
    CHECK_EQ(report.entries, 0);
    CHECK_EQ(stats_of(cache).repaired, 1);
    end();
}

static void
senseless_positions_are_found_and_cost_the_page(void)
{
    check_bad_position(0, 5);
    check_bad_position(UINT64_MAX, 0);
    check_bad_position(UINT64_MAX, UINT64_MAX);
    check_bad_position(UINT64_C(1) << 40, 0);
}

static void
a_write_repairs_a_page_that_it_finds_damaged(void)
{
    struct fmm_page page;
    begin(&page);
    page.control->tail[FMM_RING_M] = UINT64_MAX;
    CHECK_EQ(set_text(cache, "d", "4"), FMM_OK);
    CHECK(holds(cache, "d", "4"));
    CHECK_EQ(stats_of(cache).repaired, 1);
    check_pages(cache, true);
    end();
}

/* A chain that breaks only when room has to be made. */
static void
a_set_that_meets_a_broken_chain_repairs_and_stores(void)
{
    struct fmm_page page;
    begin(&page);
    fmm_store_shared(page.ring[FMM_RING_S].base, 0);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        CHECK_EQ(set_text(cache, key, "value"), FMM_OK);
        CHECK(holds(cache, key, "value"));
    }
    CHECK_EQ(stats_of(cache).repaired, 1);
    check_pages(cache, true);
    end();
}

static void
wrong_counters_are_told_and_repaired(void)
{
    struct fmm_page page;
    begin(&page);
    page.control->entries++;
    CHECK(check(false).miscounted);
    check(true);
    CHECK(!check(false).miscounted);
    CHECK(holds(cache, "a", "1"));
    CHECK_EQ(stats_of(cache).repaired, 0);
    end();
}

static void
a_ring_full_of_the_shortest_padding_is_walked(void)
{
    struct fmm_page page;
    begin(&page);
    struct fmm_ring *ring = &page.ring[FMM_RING_M];
    for (uint64_t at = 0; at < ring->size; at += 8) {
        fmm_store_shared(ring->base + at,
                         8 | (uint64_t)FMM_ENTRY_PADDING << 32);
    }
    page.control->head[FMM_RING_M] = UINT64_C(1) << ring->shift;
    CHECK(!check(false).bad_rings);
    CHECK_EQ(check(false).dead_bytes, ring->size);
    end();
}

/* What lies beyond the head may look like more of the chain. */
static void
a_chain_that_steps_over_the_head_is_broken(void)
{
    struct fmm_page page;
    begin(&page);
    struct fmm_ring *ring = &page.ring[FMM_RING_M];
    for (uint64_t at = 0; at < ring->size; at += 8) {
        fmm_store_shared(ring->base + at,
                         8 | (uint64_t)FMM_ENTRY_PADDING << 32);
    }
    page.control->head[FMM_RING_M] = 5;
    CHECK(!check(false).bad_rings);
    fmm_store_shared(ring->base, 48 | (uint64_t)FMM_ENTRY_PADDING << 32);
    CHECK(check(false).bad_rings);
    end();
}

/* Or the walk along the chain would never end. */
static void
padding_of_no_length_breaks_the_chain(void)
{
    struct fmm_cache *own = new_cache(4096, 1);
    struct fmm_page_report report;
    struct fmm_page page;
    CHECK_EQ(set_text(own, "1", "one"), FMM_OK);
    view_page(own, 0, &page);
    fmm_store_shared(page.ring[FMM_RING_S].base,
                     (uint64_t)FMM_ENTRY_PADDING << 32);
    CHECK_EQ(fmm_check_page(own, &call, 0, false, &report), FMM_OK);
    CHECK(report.bad_rings);
    fmm_close(own);
}

/* A forged one: between the entries of the chain nothing else is read. */
static void
a_slot_whose_entry_steps_over_the_head_is_bad(void)
{
    struct fmm_page page;
    begin(&page);
    unsigned char *main = page.ring[FMM_RING_M].base;
    struct fmm_key b = text_key(cache, "b");
    fmm_store_shared(main, 32 | (uint64_t)FMM_ENTRY_PADDING << 32);
    fmm_copy_in(main + 8, page.ring[FMM_RING_S].base + 40, 40);
    page.control->head[FMM_RING_M] = 32 / 8;
    page.index.slots[slot_of(&page, "b")] =
        fmm_slot_word(b.hash, FMM_RING_M, 8, false);
    struct fmm_page_report report = check(false);
    CHECK(!report.bad_rings);
    CHECK_EQ(report.bad_slots, 1);
    check(true);
    CHECK(holds(cache, "a", "1") && !has(cache, "b"));
    end();
}

/* The counters of who died half-way are put right, and nothing else is. */
static void
a_check_that_takes_over_from_the_dead_counts_anew(void)
{
    struct fmm_page page;
    begin(&page);
    page.control->entries = 7;
    page.control->lock = dead_owner();
    CHECK(check(false).miscounted);
    CHECK_EQ(page.control->entries, 3);
    CHECK_EQ(page.control->recoveries, 1);
    CHECK(!check(false).miscounted);
    CHECK_EQ(page.control->recoveries, 1);
    end();
}

static const struct check_case cases[] = {
    CASE(a_sound_page_has_no_findings),
    CASE(a_slot_that_names_no_sound_entry_is_bad),
    CASE(a_slot_beyond_the_head_is_bad),
    CASE(a_slot_whose_entry_steps_over_the_head_is_bad),
    CASE(a_slot_with_reserved_bits_is_bad),
    CASE(a_slot_outside_its_buckets_is_bad),
    CASE(slots_that_share_an_entry_cost_the_page),
    CASE(a_broken_chain_of_entries_costs_the_page),
    CASE(senseless_positions_are_found_and_cost_the_page),
    CASE(a_write_repairs_a_page_that_it_finds_damaged),
    CASE(a_set_that_meets_a_broken_chain_repairs_and_stores),
    CASE(wrong_counters_are_told_and_repaired),
    CASE(a_ring_full_of_the_shortest_padding_is_walked),
    CASE(a_chain_that_steps_over_the_head_is_broken),
    CASE(padding_of_no_length_breaks_the_chain),
    CASE(a_check_that_takes_over_from_the_dead_counts_anew),
};

CHECK_MAIN(cases)
