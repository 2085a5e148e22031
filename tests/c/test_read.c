/* Reading without a lock, beside writers at full speed and stopped ones.
 *
 * A value tells of itself: its words are its length, its key's number and
 * its generation, mixed. A torn one cannot pass. */
#include "support.h"

#include "fmm_read.h"

#include <signal.h>
#include <unistd.h>

#define KEYS 400u
#define WORDS_MAX 400u
#define READ_MS 1000u

enum { STOP, READY, WORDS };
static fmm_word64 *words;
static struct fmm_cache *cache;

static uint64_t
mix(uint64_t x)
{
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

/* Word i of a value. */
static uint64_t
word_of(uint64_t key, uint64_t generation, uint64_t length, uint64_t i)
{
    return mix(key + mix(generation + mix(length + mix(i))));
}

static struct fmm_key
numbered_key(uint32_t n, uint32_t *room)
{
    struct fmm_key key;
    *room = n;
    fmm_key_init(cache, &key, room, sizeof(*room), FMM_KEY_BYTES);
    return key;
}

static enum fmm_status
write_value(uint32_t n, uint64_t generation, uint64_t length, bool dirty)
{
    static uint64_t data[WORDS_MAX];
    const struct fmm_store_options store = {.dirty = dirty};
    struct fmm_ticket ticket;
    uint32_t room;
    struct fmm_key key = numbered_key(n, &room);
    data[0] = generation;
    for (uint64_t i = 1; i < length; i++) {
        data[i] = word_of(n, generation, length, i);
    }
    struct fmm_value value = {.data = data, .len = 8 * length, .type = 2};
    return fmm_set(cache, &call, &key, &value, &store, &ticket);
}

/* Whether what was read is one whole value of that key. */
static bool
is_true_value(uint32_t n, const uint64_t *data, size_t len)
{
    uint64_t length = len / 8;
    if (len % 8 != 0 || length == 0 || length > WORDS_MAX) {
        return false;
    }
    for (uint64_t i = 1; i < length; i++) {
        if (data[i] != word_of(n, data[0], length, i)) {
            return false;
        }
    }
    return true;
}

static void
write_at_full_speed(void *unused)
{
    (void)unused;
    for (uint64_t generation = 1; words[STOP] == 0; generation++) {
        uint32_t n = 1 + (uint32_t)check_random_below(KEYS - 1);
        uint64_t length = 1 + check_random_below(WORDS_MAX);
        enum fmm_status status = write_value(n, generation, length, false);
        CHECK(status == FMM_OK || status == FMM_DIRTY);
        words[READY] = 1;
    }
}

static void
begin(uint64_t page_size)
{
    cache = new_cache(page_size, 1);
    words[STOP] = 0;
    words[READY] = 0;
}

/* Read for a while: nothing torn, and key 0, dirty and thus never evicted,
 * never missed. */
static void
read_beside_writer(uint64_t page_size)
{
    static uint64_t data[WORDS_MAX];
    uint64_t hits = 0, torn = 0, missed = 0;
    begin(page_size);
    CHECK_EQ(write_value(0, 1, 20, true), FMM_OK);
    pid_t writer = spawn(write_at_full_speed, NULL);
    uint64_t end = fmm_monotonic_ms() + READ_MS;
    for (uint32_t i = 0; i % 64 != 0 || fmm_monotonic_ms() < end; i++) {
        uint32_t n = i % 4 == 0 ? 0 : (uint32_t)check_random_below(KEYS);
        uint32_t room;
        struct fmm_meta meta = {.value_len = 0};
        struct fmm_key key = numbered_key(n, &room);
        enum fmm_status status =
            fmm_get(cache, &call, &key, data, sizeof(data), &meta);
        CHECK(status == FMM_OK || status == FMM_MISS);
        hits += status == FMM_OK;
        missed += n == 0 && status == FMM_MISS;
        torn += status == FMM_OK && !is_true_value(n, data, meta.value_len);
    }
    words[STOP] = 1;
    join(writer);
    CHECK(hits > 1000);
    CHECK_EQ(torn, 0);
    CHECK_EQ(missed, 0);
    CHECK(stats_of(cache).evictions > 100);
    check_pages(cache, true);
    fmm_close(cache);
}

static void
no_value_is_torn_in_a_small_page(void)
{
    read_beside_writer(16384);
}

static void
no_value_is_torn_in_a_large_page(void)
{
    read_beside_writer(262144);
}

/* An integer changes by one word: every value seen was stored. */
static void
add_at_full_speed(void *unused)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    struct fmm_key key = text_key(cache, "n");
    (void)unused;
    while (words[STOP] == 0) {
        struct fmm_ticket ticket;
        int64_t result;
        uint64_t expire_at;
        REQUIRE(fmm_incr(cache, &call, &key, INT64_C(0x100000001), 0, &store,
                         &result, &expire_at, &ticket) == FMM_OK);
        words[READY] = 1;
    }
}

static void
an_integer_is_never_torn_and_never_goes_back(void)
{
    int64_t last = 0;
    begin(16384);
    struct fmm_key key = text_key(cache, "n");
    pid_t writer = spawn(add_at_full_speed, NULL);
    while (words[READY] == 0) {
        sleep_ms(1);
    }
    uint64_t end = fmm_monotonic_ms() + READ_MS / 4;
    while (fmm_monotonic_ms() < end) {
        struct fmm_meta meta;
        int64_t found = 0;
        REQUIRE(fmm_get(cache, &call, &key, &found, 8, &meta) == FMM_OK);
        CHECK_EQ(found % INT64_C(0x100000001), 0);
        CHECK(found >= last);
        last = found;
    }
    words[STOP] = 1;
    join(writer);
    fmm_close(cache);
}

/* ------------------------------------------------------ holders that hold */

static void
hold(void *unused)
{
    struct fmm_guard guard;
    (void)unused;
    REQUIRE(fmm_guard_take(cache, &call, 0, &guard) == FMM_OK);
    words[READY] = 1;
    for (;;) {
        pause();
    }
}

static void
a_stopped_holder_does_not_stop_readers(void)
{
    const struct fmm_call brief = {.now_ms = call.now_ms, .wait_ms = 20};
    begin(16384);
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    pid_t child = spawn(hold, NULL);
    while (words[READY] == 0) {
        sleep_ms(1);
    }
    kill(child, SIGSTOP);
    for (int i = 0; i < 1000; i++) {
        CHECK(holds(cache, "key", "value"));
        CHECK(!has(cache, "other"));
    }
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_touch(cache, &brief, &key, 0), FMM_BUSY);
    CHECK(stats_of(cache).lock_waits == 0);
    kill_child(child);
    CHECK_EQ(fmm_touch(cache, &call, &key, 0), FMM_OK);
    fmm_close(cache);
}

/* As a writer would that overtakes every reader: the tail goes on by whole
 * laps, so that the entry stays where it is. */
static void
lap_meanwhile(void *unused)
{
    struct fmm_page page;
    (void)unused;
    view_page(cache, 0, &page);
    uint64_t tail = page.control->tail[FMM_RING_S];
    uint64_t used = page.control->head[FMM_RING_S] - tail;
    while (words[STOP] == 0) {
        tail += UINT64_C(1) << page.ring[FMM_RING_S].shift;
        page.control->head[FMM_RING_S] = tail + used;
        page.control->tail[FMM_RING_S] = tail;
        words[READY] = 1;
    }
}

/* After sixteen tries a reader takes the lock: here it finds it held. */
static void
a_reader_that_is_lapped_again_and_again_takes_the_lock(void)
{
    const struct fmm_call once = {.now_ms = call.now_ms};
    static char buffer[16000]; /* takes long to copy */
    struct fmm_guard guard;
    struct fmm_meta meta;
    bool busy = false;
    begin(262144);
    CHECK_EQ(set_filler(cache, "key", sizeof(buffer)), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    pid_t child = spawn(lap_meanwhile, NULL);
    while (words[READY] == 0) {
        sleep_ms(1);
    }
    CHECK(is_filler(cache, "key", sizeof(buffer)));
    CHECK_EQ(fmm_guard_take(cache, &call, 0, &guard), FMM_OK);
    uint64_t end = fmm_monotonic_ms() + 60 * SECOND; /* of a busy machine */
    while (!busy && fmm_monotonic_ms() < end) {
        busy = fmm_get(cache, &once, &key, buffer, sizeof(buffer), &meta) ==
               FMM_BUSY;
    }
    CHECK(busy);
    words[STOP] = 1;
    join(child);
    CHECK(fmm_guard_release(&guard));
    CHECK(is_filler(cache, "key", sizeof(buffer)));
    fmm_close(cache);
}

static void
slots_of_other_entries_are_passed_over(void)
{
    struct fmm_page page;
    struct fmm_candidates c;
    begin(16384);
    CHECK_EQ(set_text(cache, "other", "else"), FMM_OK);
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    view_page(cache, 0, &page);
    struct fmm_key key = text_key(cache, "key");
    fmm_index_candidates(page.index.buckets, key.hash, &c);
    for (uint32_t i = 0; i < FMM_CANDIDATES; i++) {
        fmm_word64 *slot = &page.index.slots[fmm_index_slot(&c, i)];
        if (*slot == 0) { /* the same tag, but the bytes of "other" */
            *slot = c.match | (i % 2 ? 0 : FMM_SLOT_OFFSET);
        }
    }
    CHECK(holds(cache, "key", "value"));
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    CHECK(!has(cache, "key"));
    fmm_close(cache);
}

/* Wherever it points: it is passed over, and not taken for one that is
 * being overwritten again and again. */
static void
a_slot_off_its_ring_does_not_send_readers_to_the_lock(void)
{
    struct fmm_page page;
    struct fmm_candidates c;
    struct fmm_meta meta;
    begin(4096);
    view_page(cache, 0, &page);
    uint32_t shift = page.ring[FMM_RING_S].shift;
    while (page.control->tail[FMM_RING_S] < (UINT64_C(1) << shift) + 8) {
        CHECK_EQ(set_text(cache, "other", "else"), FMM_OK);
    }
    uint64_t lap = page.control->tail[FMM_RING_S] >> shift;
    struct fmm_key key = text_key(cache, "key");
    fmm_index_candidates(page.index.buckets, key.hash, &c);
    page.index.slots[fmm_index_slot(&c, 0)] = c.match | lap << shift;
    const struct fmm_read read = {.call = &call, .key = &key, .meta = &meta};
    CHECK_EQ(fmm_read_entry(cache, &read), FMM_MISS);
    fmm_close(cache);
}

static const struct check_case cases[] = {
    CASE(no_value_is_torn_in_a_small_page),
    CASE(no_value_is_torn_in_a_large_page),
    CASE(an_integer_is_never_torn_and_never_goes_back),
    CASE(a_stopped_holder_does_not_stop_readers),
    CASE(a_reader_that_is_lapped_again_and_again_takes_the_lock),
    CASE(slots_of_other_entries_are_passed_over),
    CASE(a_slot_off_its_ring_does_not_send_readers_to_the_lock),
};

int
main(int argc, char **argv)
{
    words = shared_words(WORDS);
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
