/* One log: wrap, padding, staying, settling, positions. */
#include "check.h"

#include <string.h>

#include "fmm_options.h"
#include "fmm_ring.h"

#define SIZE 640u /* no power of two, as rings are */
#define GUARD 64u

/* A ring with guard bytes on both sides. */
static struct {
    fmm_word64 head, tail;
    _Alignas(64) unsigned char bytes[GUARD + SIZE + GUARD];
    struct fmm_ring ring;
} s;

/* The words of the map, taken up as a new holder of the lock would. */
static bool
settle(void)
{
    return fmm_ring_settle(&s.ring);
}

/* An empty ring whose positions are at `offset` of a lap. */
static void
start_at(uint64_t lap, uint64_t offset)
{
    memset(s.bytes, 0xee, sizeof(s.bytes));
    s.ring = (struct fmm_ring){.base = s.bytes + GUARD,
                               .size = SIZE,
                               .shift = fmm_geometry_shift(SIZE),
                               .head_word = &s.head,
                               .tail_word = &s.tail};
    s.head = lap << s.ring.shift | offset / 8;
    s.tail = s.head;
    REQUIRE(settle());
}

static void
check_guards(void)
{
    for (uint32_t i = 0; i < GUARD; i++) {
        CHECK_EQ(s.bytes[i], 0xee);
        CHECK_EQ(s.bytes[GUARD + SIZE + i], 0xee);
    }
}

/* The next `length` bytes of the log, marked; returns their offset. */
static uint64_t
append(uint32_t length)
{
    uint64_t offset = fmm_ring_reserve(&s.ring, length);
    REQUIRE(offset + length <= SIZE);
    memset(s.ring.base + offset, 0, length);
    fmm_store_shared(s.ring.base + offset, length);
    fmm_ring_append(&s.ring, length);
    return offset;
}

/* Walk from tail to head: every step a known length, and the map says what
 * the holder thinks. Returns the bytes that are padding. */
static uint64_t
walk(void)
{
    uint64_t padding = 0;
    CHECK(s.head == s.ring.head && s.tail == s.ring.tail);
    for (uint64_t at = s.tail; at != s.head;) {
        uint64_t offset = fmm_ring_offset(&s.ring, at);
        uint64_t word = fmm_load_shared(s.ring.base + offset);
        uint32_t length = (uint32_t)word;
        REQUIRE(length >= 8 && length % 8 == 0 && offset + length <= SIZE);
        REQUIRE(length <= fmm_ring_distance(&s.ring, at, s.head));
        padding += (word >> 32 & FMM_ENTRY_PADDING) ? length : 0;
        at = fmm_ring_add(&s.ring, at, length);
    }
    return padding;
}

static void
what_is_appended_follows_what_was(void)
{
    start_at(0, 0);
    CHECK_EQ(append(40), 0);
    CHECK_EQ(append(64), 40);
    CHECK_EQ(fmm_ring_used(&s.ring), 104);
    CHECK_EQ(fmm_ring_free(&s.ring), SIZE - 104);
    fmm_ring_advance_tail(&s.ring, 40);
    CHECK_EQ(fmm_ring_used(&s.ring), 64);
    CHECK_EQ(walk(), 0);
}

static void
what_would_cross_the_end_begins_a_new_lap(void)
{
    start_at(0, 600);
    CHECK_EQ(append(48), 0);
    CHECK_EQ(walk(), 40);
    CHECK_EQ(fmm_ring_used(&s.ring), 88);
}

static void
what_ends_at_the_end_needs_no_padding(void)
{
    start_at(0, 600);
    CHECK_EQ(append(40), 600);
    CHECK_EQ(walk(), 0);
    CHECK_EQ(append(48), 0);
    CHECK_EQ(fmm_ring_used(&s.ring), 88);
}

static void
padding_may_be_as_short_as_a_word(void)
{
    start_at(0, SIZE - 8);
    CHECK_EQ(append(32), 0);
    CHECK_EQ(walk(), 8);
}

static void
room_counts_the_padding_before_the_end(void)
{
    start_at(0, 0);
    CHECK(fmm_ring_has_room(&s.ring, SIZE));
    CHECK(!fmm_ring_has_room(&s.ring, SIZE + 8));
    append(600);
    CHECK(fmm_ring_has_room(&s.ring, 40));
    CHECK(!fmm_ring_has_room(&s.ring, 48));
    fmm_ring_advance_tail(&s.ring, 600);
    CHECK(fmm_ring_has_room(&s.ring, 600)); /* after 40 of padding */
    CHECK(!fmm_ring_has_room(&s.ring, 608));
}

static void
a_full_ring_has_no_room_and_an_empty_one_all(void)
{
    start_at(0, 0);
    append(SIZE);
    CHECK(!fmm_ring_has_room(&s.ring, 8));
    CHECK_EQ(fmm_ring_free(&s.ring), 0);
    fmm_ring_advance_tail(&s.ring, SIZE);
    CHECK(fmm_ring_has_room(&s.ring, SIZE));
}

static void
the_shift_is_the_least_that_takes_all_offsets(void)
{
    for (uint64_t size = 64; size <= UINT64_C(1) << 30;
         size += size / 3 + 64) {
        size = size / 64 * 64;
        uint32_t shift = fmm_geometry_shift(size);
        CHECK((UINT64_C(8) << shift) >= size);
        CHECK(shift == 1 || (UINT64_C(8) << (shift - 1)) < size);
    }
}

/* Every offset names one position of the lap from a tail on, later ones
 * are larger, and the distance says how far. */
static void
an_offset_names_one_position_of_a_lap(void)
{
    start_at(0, 0);
    for (uint64_t tail_at = 0; tail_at < SIZE; tail_at += 8) {
        uint64_t tail = UINT64_C(5) << s.ring.shift | tail_at / 8;
        uint64_t at = tail;
        for (uint64_t passed = 0; passed < SIZE; passed += 8) {
            uint64_t offset = (tail_at + passed) % SIZE;
            CHECK_EQ(fmm_ring_offset(&s.ring, at), offset);
            CHECK_EQ(fmm_ring_position(&s.ring, tail, offset), at);
            CHECK_EQ(fmm_ring_distance(&s.ring, tail, at), passed);
            uint64_t next = fmm_ring_add(&s.ring, at, 8);
            CHECK(next > at);
            at = next;
        }
        CHECK_EQ(at, tail + (UINT64_C(1) << s.ring.shift));
    }
}

/* Let what is at the tail stay, with `used` bytes in the ring. */
static void
check_stay(uint64_t start, uint32_t length, uint32_t used)
{
    start_at(2, start);
    uint64_t offset = append(length);
    while (fmm_ring_offset(&s.ring, s.ring.tail) != offset) {
        fmm_ring_advance_tail(&s.ring, 8); /* the padding */
    }
    while (fmm_ring_used(&s.ring) < used) {
        append(8);
    }
    uint64_t lap = UINT64_C(1) << s.ring.shift;
    uint64_t next = fmm_ring_add(&s.ring, s.ring.tail, length);
    memset(s.ring.base + offset + 8, 0x5a, length - 8);
    fmm_ring_stay(&s.ring, length);
    CHECK_EQ(s.tail, next);
    CHECK_EQ(s.head, next + lap);
    CHECK_EQ(fmm_load_shared(s.ring.base + offset), length);
    CHECK_EQ(s.ring.base[offset + length - 1], 0x5a);
    CHECK_EQ(walk(), SIZE - used);
    CHECK(settle());
    CHECK_EQ(s.tail, next);
    check_guards();
}

static void
what_stays_becomes_the_newest_in_place(void)
{
    for (uint64_t start = 0; start < SIZE; start += 8) {
        for (uint32_t used = 48; used <= SIZE; used += 8) {
            check_stay(start, 48, used);
        }
    }
}

/* A stay is killed after each of its stores: what settle makes of it is
 * sound, and the stayer is in the log, at its old place or its new one. */
static void
settle_finishes_a_stay_that_was_killed(void)
{
    start_at(0, 64);
    append(64);
    while (fmm_ring_used(&s.ring) < SIZE - 16) {
        append(16);
    }
    uint64_t tail = s.tail;
    uint64_t next = fmm_ring_add(&s.ring, tail, 64);
    CHECK(settle()); /* before it: nothing to do */
    CHECK_EQ(s.tail, tail);
    append(16); /* as the padding would: the ring is full */
    CHECK(settle());
    CHECK_EQ(s.tail, tail);
    s.head = next + (UINT64_C(1) << s.ring.shift); /* the tail did not */
    CHECK(settle());
    CHECK_EQ(s.tail, next);
    CHECK_EQ(walk(), 0);
}

static void
settle_leaves_every_sound_state_alone(void)
{
    for (uint64_t used = 0; used <= SIZE; used += 8) {
        start_at(3, 88);
        uint64_t tail = s.tail;
        s.head = used < SIZE
                     ? fmm_ring_position(&s.ring, tail, (88 + used) % SIZE)
                     : tail + (UINT64_C(1) << s.ring.shift);
        uint64_t head = s.head;
        CHECK(settle());
        CHECK(s.tail == tail && s.head == head);
        CHECK_EQ(fmm_ring_used(&s.ring), used);
    }
}

/* Nonsense is refused, the ring then counts as empty, and a reset makes it
 * usable. */
static void
check_nonsense(uint64_t tail, uint64_t head)
{
    start_at(0, 0);
    s.tail = tail;
    s.head = head;
    CHECK(!settle());
    CHECK_EQ(fmm_ring_used(&s.ring), 0);
    fmm_ring_reset(&s.ring);
    CHECK(settle());
    CHECK_EQ(fmm_ring_used(&s.ring), 0);
    CHECK(append(48) + 48 <= SIZE);
    check_guards();
}

static void
settle_refuses_positions_that_make_no_sense(void)
{
    start_at(0, 0);
    uint64_t lap = UINT64_C(1) << s.ring.shift;
    check_nonsense(1, 0);
    check_nonsense(UINT64_MAX, 0);
    check_nonsense(0, 2 * lap + 1);
    check_nonsense(0, UINT64_MAX);
    check_nonsense(SIZE / 8, SIZE / 8); /* beyond the ring */
    check_nonsense(0, SIZE / 8);
    check_nonsense(lap - 1, lap);
}

/* Positions that no file reaches by itself: what would wrap around. */
static void
settle_refuses_positions_that_no_file_reaches(void)
{
    start_at(0, 0);
    uint64_t lap = UINT64_C(1) << s.ring.shift;
    uint64_t last = UINT64_MAX / lap * lap; /* the beginning of a lap */
    check_nonsense(last, last);
    check_nonsense(last, last + 8);
    check_nonsense(UINT64_C(1) << 63, (UINT64_C(1) << 63) + 8);
}

static void
a_reset_never_reuses_a_position(void)
{
    start_at(7, 320);
    append(64);
    uint64_t head = s.head;
    fmm_ring_reset(&s.ring);
    CHECK(s.head >= head && s.tail == s.head);
    CHECK(settle());
}

static void
random_appends_and_retirements_keep_the_chain(void)
{
    start_at(check_random_below(1000), 8 * check_random_below(SIZE / 8));
    for (int i = 0; i < 100000; i++) {
        uint32_t length = 8 * (uint32_t)(1 + check_random_below(20));
        while (!fmm_ring_has_room(&s.ring, length)) {
            uint64_t offset = fmm_ring_offset(&s.ring, s.ring.tail);
            uint64_t word = fmm_load_shared(s.ring.base + offset);
            fmm_ring_advance_tail(&s.ring, (uint32_t)word);
        }
        append(length);
        REQUIRE(fmm_ring_used(&s.ring) <= SIZE);
        walk();
    }
    check_guards();
}

static const struct check_case cases[] = {
    CASE(what_is_appended_follows_what_was),
    CASE(what_would_cross_the_end_begins_a_new_lap),
    CASE(what_ends_at_the_end_needs_no_padding),
    CASE(padding_may_be_as_short_as_a_word),
    CASE(room_counts_the_padding_before_the_end),
    CASE(a_full_ring_has_no_room_and_an_empty_one_all),
    CASE(the_shift_is_the_least_that_takes_all_offsets),
    CASE(an_offset_names_one_position_of_a_lap),
    CASE(what_stays_becomes_the_newest_in_place),
    CASE(settle_finishes_a_stay_that_was_killed),
    CASE(settle_leaves_every_sound_state_alone),
    CASE(settle_refuses_positions_that_make_no_sense),
    CASE(settle_refuses_positions_that_no_file_reaches),
    CASE(a_reset_never_reuses_a_position),
    CASE(random_appends_and_retirements_keep_the_chain),
};

CHECK_MAIN(cases)
