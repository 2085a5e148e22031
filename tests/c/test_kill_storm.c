/* Writers killed at random instants: nothing lost, torn or hung.
 *
 *   test_kill_storm               three seconds
 *   test_kill_storm 600           as many seconds as that
 *   test_kill_storm --seed=7 60   with the random numbers of an earlier run
 *
 * Each writer owns some keys and stores ever higher generations of them.
 * Before a store it notes in shared memory, which outlives it, that the
 * generation began; after it, that it is done. Whoever reads a key must
 * find a whole value of a generation between the two. A key may be missing
 * only because it was evicted: no more of them than evictions were counted,
 * and one for each kill, for who is killed in an eviction does not count it.
 * Dirty keys may never be missing at all.
 *
 * Nothing may depend on the repair after a death: it passes without, see
 * tests/mutants/run.py --harmless. */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 3u
#define READERS 1u
#define KEYS 240u     /* of values; each writer owns every third */
#define DIRTY_KEYS 6u /* the first of them are always stored dirty */
#define NUMBERS 6u    /* keys of integers */
#define WORDS_MAX 60u
#define SECONDS 3u
#define HUNG_S 20u

/* What is shared and outlives writers. */
static struct shared {
    fmm_word64 began[KEYS], done[KEYS];
    fmm_word64 number_began[NUMBERS], number_done[NUMBERS];
    fmm_word64 stop, reads, misses, evictions_seen, torn, stale;
} * shared;
static const char *path;
static struct fmm_cache *cache;
static unsigned storm_seconds = SECONDS;

static uint64_t
mix(uint64_t x)
{
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

static uint64_t
word_of(uint32_t n, uint64_t generation, uint64_t i)
{
    return mix(n + mix(generation + mix(i)));
}

static struct fmm_key
key_of(uint32_t n, uint32_t *room)
{
    struct fmm_key key;
    *room = n;
    fmm_key_init(cache, &key, room, sizeof(*room), FMM_KEY_BYTES);
    return key;
}

/* --------------------------------------------------------------- writing */

static void
store_next(uint32_t n)
{
    uint64_t data[WORDS_MAX];
    const struct fmm_store_options store = {.dirty = n < DIRTY_KEYS};
    struct fmm_ticket ticket;
    uint32_t room;
    struct fmm_key key = key_of(n, &room);
    uint64_t generation = shared->began[n] + 1;
    uint64_t length = 1 + mix(generation + n) % WORDS_MAX;
    data[0] = generation;
    for (uint64_t i = 1; i < length; i++) {
        data[i] = word_of(n, generation, i);
    }
    struct fmm_value value = {.data = data, .len = 8 * length, .type = 2};
    shared->began[n] = generation;
    enum fmm_status status =
        fmm_set(cache, &call, &key, &value, &store, &ticket);
    if (status == FMM_OK) {
        shared->done[n] = generation;
    }
    else { /* nobody writes back here: dirty entries only move */
        CHECK_EQ(status, FMM_DIRTY);
    }
}

static void
add_next(uint32_t n)
{
    const struct fmm_store_options store = {.dirty = true};
    struct fmm_ticket ticket;
    uint32_t room;
    struct fmm_key key = key_of(KEYS + n, &room);
    int64_t result;
    uint64_t expire_at;
    shared->number_began[n]++;
    enum fmm_status status = fmm_incr(cache, &call, &key, 1, 0, &store,
                                      &result, &expire_at, &ticket);
    if (status == FMM_OK) {
        shared->number_done[n]++;
        CHECK((uint64_t)result >= shared->number_done[n]);
    }
    else {
        shared->number_began[n]--;
        CHECK_EQ(status, FMM_DIRTY);
    }
}

/* Hits earn credit: without, nothing would ever be moved. */
static void
read_some(uint32_t n)
{
    uint64_t data[WORDS_MAX];
    uint32_t room;
    struct fmm_key key = key_of(n, &room);
    struct fmm_meta meta;
    fmm_get(cache, &call, &key, data, sizeof(data), &meta);
}

static void
write_until_killed(void *argument)
{
    uint32_t own = (uint32_t)(uintptr_t)argument;
    check_deadline(storm_seconds + HUNG_S);
    cache = open_path(path);
    for (int i = 0; i < (int)(getpid() % 1000); i++) {
        check_random(); /* other numbers than the one before */
    }
    while (!shared->stop) {
        uint32_t n =
            own + WRITERS * (uint32_t)check_random_below(KEYS / WRITERS);
        if (check_random_below(16) == 0) {
            add_next(own + WRITERS * (n % (NUMBERS / WRITERS)));
        }
        else {
            store_next(n);
        }
        read_some((uint32_t)check_random_below(KEYS));
    }
    fmm_close(cache);
}

/* -------------------------------------------------------------- checking */

static bool
is_whole(uint32_t n, const uint64_t *data, size_t len)
{
    uint64_t length = len / 8;
    if (len == 0 || len % 8 || length != 1 + mix(data[0] + n) % WORDS_MAX) {
        return false;
    }
    for (uint64_t i = 1; i < length; i++) {
        if (data[i] != word_of(n, data[0], i)) {
            return false;
        }
    }
    return true;
}

static void
check_key(uint32_t n)
{
    uint64_t data[WORDS_MAX];
    uint32_t room;
    struct fmm_key key = key_of(n, &room);
    struct fmm_meta meta = {.value_len = 0};
    uint64_t done = shared->done[n];
    enum fmm_status status =
        fmm_get(cache, &call, &key, data, sizeof(data), &meta);
    uint64_t began = shared->began[n];
    shared->reads++;
    if (status == FMM_MISS) {
        CHECK(n >= DIRTY_KEYS || done == 0);
        shared->misses += done != 0;
        return;
    }
    REQUIRE(status == FMM_OK);
    if (!CHECK(is_whole(n, data, meta.value_len))) {
        shared->torn++;
    }
    else if (!CHECK(data[0] >= done && data[0] <= began)) {
        shared->stale++;
    }
}

static void
check_number(uint32_t n)
{
    uint32_t room;
    struct fmm_key key = key_of(KEYS + n, &room);
    struct fmm_meta meta;
    int64_t found = 0;
    uint64_t done = shared->number_done[n];
    enum fmm_status status =
        fmm_get(cache, &call, &key, &found, sizeof(found), &meta);
    uint64_t began = shared->number_began[n];
    CHECK(status == FMM_OK || done == 0);
    CHECK((uint64_t)found >= done && (uint64_t)found <= began);
}

static void
read_until_stopped(void *unused)
{
    (void)unused;
    check_deadline(storm_seconds + HUNG_S);
    cache = open_path(path);
    while (!shared->stop) {
        check_key((uint32_t)check_random_below(KEYS));
        check_number((uint32_t)check_random_below(NUMBERS));
    }
    fmm_close(cache);
}

/* ------------------------------------------------------------- the storm */

/* After a kill: every key is what it was or what it was to be. Returns how
 * many that were done are missing. */
static uint64_t
check_all(void)
{
    uint64_t before = shared->misses;
    for (uint32_t n = 0; n < KEYS; n++) {
        check_key(n);
    }
    for (uint32_t n = 0; n < NUMBERS; n++) {
        check_number(n);
    }
    return shared->misses - before;
}

static void
prepare(void)
{
    const struct fmm_options options = {
        .path = path, .page_size = 32768, .num_pages = 2, .slots = 512};
    cache = open_cache(&options);
    for (uint32_t n = 0; n < KEYS; n++) {
        store_next(n);
    }
}

/* Kill and replace writers; returns the number of kills. */
static uint64_t
storm(unsigned seconds)
{
    pid_t turns[WRITERS], reader;
    uint64_t kills = 0, end = fmm_monotonic_ms() + seconds * SECOND;
    for (uintptr_t i = 0; i < WRITERS; i++) {
        turns[i] = spawn(write_until_killed, (void *)i);
    }
    reader = spawn(read_until_stopped, NULL);
    while (fmm_monotonic_ms() < end && check_failures() == 0) {
        const struct timespec moment = {
            .tv_nsec = (long)check_random_below(1500 * 1000)};
        uintptr_t i = check_random_below(WRITERS);
        nanosleep(&moment, NULL);
        kill_child(turns[i]);
        kills++;
        check_deadline(HUNG_S);
        turns[i] = spawn(write_until_killed, (void *)i);
    }
    shared->stop = 1;
    for (uintptr_t i = 0; i < WRITERS; i++) {
        join(turns[i]);
    }
    join(reader);
    return kills;
}

static void
a_storm_of_kills_loses_tears_and_hangs_nothing(void)
{
    path = scratch("storm");
    prepare();
    uint64_t kills = storm(storm_seconds);
    struct fmm_stats before = stats_of(cache);
    uint64_t missing = check_all();
    CHECK(missing <= before.evictions + kills);
    CHECK_EQ(before.repaired, 0);
    CHECK_EQ(shared->torn, 0);
    CHECK_EQ(shared->stale, 0);
    for (uint32_t n = 0; n < 2; n++) {
        struct fmm_page_report report;
        CHECK_EQ(fmm_check_page(cache, &call, n, true, &report), FMM_OK);
        CHECK(!report.bad_rings && report.bad_slots == 0);
    }
    check_pages(cache, true);
    fmm_close(cache);
    printf("       %llu kills, %llu takeovers, %llu stores, %llu "
           "evictions, %llu reads, %llu misses\n",
           (unsigned long long)kills, (unsigned long long)before.recoveries,
           (unsigned long long)before.stores,
           (unsigned long long)before.evictions,
           (unsigned long long)shared->reads,
           (unsigned long long)shared->misses);
}

static const struct check_case cases[] = {
    CASE(a_storm_of_kills_loses_tears_and_hangs_nothing),
};

int
main(int argc, char **argv)
{
    size_t count = sizeof(struct shared) / sizeof(uint64_t) + 1;
    if (argc > 1 && atoi(argv[argc - 1]) > 0) {
        storm_seconds = (unsigned)atoi(argv[--argc]);
    }
    fmm_word64 *words = shared_words(count);
    shared = (struct shared *)(uintptr_t)words;
    int status = check_main(argc, argv, cases, 1);
    free_words(words, count);
    return status;
}
