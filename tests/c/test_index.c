/* Slots and hints. */
#include "check.h"

#include <string.h>

#include "fmm_hash.h"
#include "fmm_index.h"

#define BUCKETS 5u
#define SLOTS (BUCKETS * FMM_BUCKET_SLOTS)

static fmm_word64 slots[SLOTS];
static fmm_word32 hints[SLOTS];
static const struct fmm_index table = {slots, hints, BUCKETS};

static void
clear(void)
{
    memset((void *)(uintptr_t)slots, 0, sizeof(slots));
    memset((void *)(uintptr_t)hints, 0, sizeof(hints));
}

static void
a_slot_word_keeps_ring_offset_tag_and_dirty(void)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t hash = check_random();
        uint64_t offset = 8 * check_random_below(UINT64_C(1) << 27);
        uint32_t ring = (uint32_t)check_random_below(2);
        bool dirty = check_random_below(2) != 0;
        uint64_t word = fmm_slot_word(hash, ring, offset, dirty);
        struct fmm_candidates c;
        fmm_index_candidates(BUCKETS, hash, &c);
        CHECK_EQ(fmm_slot_offset(word), offset);
        CHECK_EQ(fmm_slot_ring(word), ring);
        CHECK_EQ((word & FMM_SLOT_DIRTY) != 0, dirty);
        CHECK_EQ(word & (FMM_SLOT_USED | FMM_SLOT_TAG), c.match);
        CHECK(word != 0);
    }
    CHECK_EQ(fmm_slot_word(0, 0, 0, false) != 0, true);
}

static void
a_slot_matches_only_by_its_tag(void)
{
    struct fmm_candidates c;
    uint64_t hash = check_random();
    fmm_index_candidates(BUCKETS, hash, &c);
    clear();
    CHECK_EQ(fmm_index_tagged(&table, &c), 0);
    slots[c.first[0] + 1] = fmm_slot_word(hash ^ 1, 0, 0, false);
    slots[c.first[0] + 2] = c.match & ~FMM_SLOT_USED;
    CHECK_EQ(fmm_index_tagged(&table, &c), 0);
    slots[c.first[0] + 3] = fmm_slot_word(hash, 1, 64, true);
    slots[c.first[0] + 6] = fmm_slot_word(hash, 0, 0, false);
    slots[c.first[1] + 7] = fmm_slot_word(hash, 0, 0, false);
    uint32_t matches = fmm_index_tagged(&table, &c);
    CHECK_EQ(fmm_index_take(&c, &matches), c.first[0] + 3);
    CHECK_EQ(fmm_index_take(&c, &matches), c.first[0] + 6);
    CHECK_EQ(fmm_index_take(&c, &matches), c.first[1] + 7);
    CHECK_EQ(matches, 0);
}

/* Each slot alone, whatever its other bits: no place is compared wrongly. */
static void
each_candidate_has_a_bit_of_its_own(void)
{
    struct fmm_candidates c;
    uint64_t hash = check_random();
    fmm_index_candidates(BUCKETS, hash, &c);
    for (uint32_t n = 0; n < FMM_CANDIDATES; n++) {
        clear();
        slots[fmm_index_slot(&c, n)] =
            c.match | (check_random() & ~(FMM_SLOT_USED | FMM_SLOT_TAG));
        CHECK_EQ(fmm_index_tagged(&table, &c), 1u << n);
        CHECK_EQ(fmm_index_matches(&table, &c, FMM_SLOT_USED, 0),
                 0xffffu & ~(1u << n));
    }
}

static void
candidates_are_two_whole_buckets(void)
{
    for (int i = 0; i < 1000; i++) {
        struct fmm_candidates c;
        fmm_index_candidates(BUCKETS, check_random(), &c);
        CHECK(c.first[0] != c.first[1]);
        for (uint32_t n = 0; n < FMM_CANDIDATES; n++) {
            CHECK(fmm_index_slot(&c, n) < SLOTS);
        }
        CHECK_EQ(fmm_index_slot(&c, 7), c.first[0] + 7);
        CHECK_EQ(fmm_index_slot(&c, 8), c.first[1]);
    }
}

static void
a_place_is_found_dirty_or_not(void)
{
    uint64_t hash = check_random();
    struct fmm_candidates c;
    fmm_index_candidates(BUCKETS, hash, &c);
    for (uint32_t n = 0; n < FMM_CANDIDATES; n++) {
        clear();
        uint32_t slot = fmm_index_slot(&c, n);
        uint64_t word = fmm_slot_word(hash, 1, 800, false);
        fmm_index_publish(&table, slot, word);
        CHECK_EQ(fmm_index_find_place(&table, hash, 1, 800), slot);
        fmm_index_publish(&table, slot,
                          word | FMM_SLOT_DIRTY | FMM_SLOT_PENDING);
        CHECK_EQ(fmm_index_find_place(&table, hash, 1, 800), slot);
        CHECK_EQ(fmm_index_find_place(&table, hash, 0, 800), FMM_SLOT_NONE);
        CHECK_EQ(fmm_index_find_place(&table, hash, 1, 808), FMM_SLOT_NONE);
        CHECK_EQ(fmm_index_find_place(&table, hash ^ 1, 1, 800),
                 FMM_SLOT_NONE);
    }
}

/* Fill `n` slots of a bucket. */
static void
occupy(uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        slots[first + i] = FMM_SLOT_USED;
    }
}

static void
a_new_entry_goes_to_the_emptier_bucket(void)
{
    struct fmm_candidates c;
    uint64_t hash = check_random();
    fmm_index_candidates(BUCKETS, hash, &c);
    clear();
    CHECK_EQ(fmm_index_find_empty(&table, hash), c.first[0]);
    occupy(c.first[0], 3);
    occupy(c.first[1], 2);
    CHECK_EQ(fmm_index_find_empty(&table, hash), c.first[1] + 2);
    occupy(c.first[1], 4);
    CHECK_EQ(fmm_index_find_empty(&table, hash), c.first[0] + 3);
    occupy(c.first[0], 8);
    CHECK_EQ(fmm_index_find_empty(&table, hash), c.first[1] + 4);
    occupy(c.first[1], 8);
    CHECK_EQ(fmm_index_find_empty(&table, hash), FMM_SLOT_NONE);
}

static void
a_hit_earns_six_of_at_most_fifteen(void)
{
    fmm_word32 hint = 0;
    fmm_hint_reset(&hint, 9);
    CHECK_EQ(fmm_hint_credit(&hint), 0);
    CHECK_EQ(fmm_hint_seconds(&hint, 30), 9);
    const uint32_t expected[] = {6, 12, 15, 15};
    for (uint32_t i = 0; i < 4; i++) {
        fmm_hint_hit(&hint, 10 + i);
        CHECK_EQ(fmm_hint_credit(&hint), expected[i]);
        CHECK_EQ(fmm_hint_seconds(&hint, 30), 10 + i);
    }
    fmm_hint_touch(&hint, 20);
    CHECK_EQ(fmm_hint_credit(&hint), 15);
    CHECK_EQ(fmm_hint_seconds(&hint, 30), 20);
}

static void
credit_is_paid_down_to_nothing(void)
{
    fmm_word32 hint = 0;
    fmm_hint_hit(&hint, 7);
    fmm_hint_pay(&hint, 4);
    CHECK_EQ(fmm_hint_credit(&hint), 2);
    fmm_hint_pay(&hint, 4);
    CHECK_EQ(fmm_hint_credit(&hint), 0);
    CHECK_EQ(fmm_hint_seconds(&hint, 30), 7);
}

static void
an_access_is_told_however_old_the_file_is(void)
{
    const uint64_t lap = (uint64_t)FMM_HINT_ACCESS + 1, day = 86400;
    fmm_word32 hint = 0;
    for (uint64_t when = 0; when < 20 * lap; when += lap / 3) {
        fmm_hint_reset(&hint, when);
        CHECK_EQ(fmm_hint_credit(&hint), 0);
        CHECK_EQ(fmm_hint_seconds(&hint, when), when);
        CHECK_EQ(fmm_hint_seconds(&hint, when + 2500 * day), when);
        /* By the clock of another, or set back since. */
        uint64_t now = when > 300 * day ? when - 300 * day : 0;
        CHECK_EQ(fmm_hint_seconds(&hint, now), when);
    }
    fmm_hint_hit(&hint, UINT64_MAX);
    CHECK_EQ(fmm_hint_credit(&hint), 6);
}

static void
in_a_young_file_an_access_is_what_it_is(void)
{
    fmm_word32 hint = 0;
    fmm_hint_reset(&hint, 100000000); /* three years */
    CHECK_EQ(fmm_hint_seconds(&hint, 0), 100000000);
    CHECK_EQ(fmm_hint_seconds(&hint, 100000001), 100000000);
}

static const struct check_case cases[] = {
    CASE(a_slot_word_keeps_ring_offset_tag_and_dirty),
    CASE(a_slot_matches_only_by_its_tag),
    CASE(each_candidate_has_a_bit_of_its_own),
    CASE(candidates_are_two_whole_buckets),
    CASE(a_place_is_found_dirty_or_not),
    CASE(a_new_entry_goes_to_the_emptier_bucket),
    CASE(a_hit_earns_six_of_at_most_fifteen),
    CASE(credit_is_paid_down_to_nothing),
    CASE(an_access_is_told_however_old_the_file_is),
    CASE(in_a_young_file_an_access_is_what_it_is),
};

CHECK_MAIN(cases)
