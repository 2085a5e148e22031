/* The page lock: one word, many processes, deaths. */
#include "support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmm_lock.h"
#include "fmm_file.h"
#include "fmm_process.h"

#define COUNT 20000u
#define PROCESSES 4
#define ROUNDS 100u

/* Shared words: the lock, and what the cases need. */
enum { LOCK, COUNTER, READY, ROUND, FINISHED, INSIDE, WORDS };
static fmm_word64 *words;
static struct fmm_cache *cache; /* whose clients take the lock */

static uint64_t
own(void)
{
    return fmm_client_owner(&cache->client);
}

/* Each case starts with all words zero. */
static void
reset(void)
{
    for (int i = 0; i < WORDS; i++) {
        words[i] = 0;
    }
}

static enum fmm_status
take(int64_t wait_ms, struct fmm_lock_result *result)
{
    return fmm_lock_take(&words[LOCK], own(), &cache->client, wait_ms, result);
}

static bool
release(void)
{
    return fmm_lock_release(&words[LOCK], own());
}

static void
a_free_lock_is_taken_at_once(void)
{
    struct fmm_lock_result result;
    reset();
    CHECK_EQ(take(0, &result), FMM_OK);
    CHECK(!result.waited && !result.owner_died);
    CHECK_EQ(words[LOCK], own());
    CHECK(release());
    CHECK_EQ(words[LOCK], 0);
}

static void
a_held_lock_is_busy_until_the_deadline(void)
{
    struct fmm_lock_result result;
    reset();
    CHECK_EQ(take(0, &result), FMM_OK);
    CHECK_EQ(take(0, &result), FMM_BUSY);
    uint64_t began = fmm_monotonic_ms();
    CHECK_EQ(take(40, &result), FMM_BUSY);
    CHECK(fmm_monotonic_ms() - began >= 39);
    CHECK(release());
    CHECK_EQ(words[LOCK], 0);
}

static void
only_its_owner_releases_a_lock(void)
{
    struct fmm_lock_result result;
    reset();
    CHECK(!release()); /* nobody holds it */
    CHECK_EQ(words[LOCK], 0);
    CHECK_EQ(take(0, &result), FMM_OK);
    uint64_t other = own() + 2;
    CHECK(!fmm_lock_release(&words[LOCK], other));
    CHECK_EQ(words[LOCK], own());
    CHECK(release());
    CHECK(!release());
}

static void
hold_for_a_while(void *unused)
{
    struct fmm_lock_result result;
    (void)unused;
    CHECK_EQ(take(0, &result), FMM_OK);
    words[READY] = 1;
    sleep_ms(50);
    CHECK(release());
}

static void
await_ready(void)
{
    while (words[READY] == 0) {
        sleep_ms(1);
    }
}

static void
a_waiter_gets_the_lock_when_it_is_released(void)
{
    struct fmm_lock_result result;
    reset();
    pid_t child = spawn(hold_for_a_while, NULL);
    await_ready();
    CHECK_EQ(take(10000, &result), FMM_OK);
    CHECK(result.waited && !result.owner_died);
    CHECK(release());
    CHECK_EQ(words[LOCK], 0);
    join(child);
}

static void
hold_for_ever(void *unused)
{
    struct fmm_lock_result result;
    (void)unused;
    CHECK_EQ(take(0, &result), FMM_OK);
    words[READY] = 1;
    for (;;) {
        pause();
    }
}

static void
the_lock_of_a_killed_owner_is_taken_over(void)
{
    struct fmm_lock_result result;
    reset();
    pid_t child = spawn(hold_for_ever, NULL);
    await_ready();
    kill_child(child);
    CHECK(words[LOCK] != 0);
    CHECK_EQ(take(0, &result), FMM_BUSY); /* who does not wait asks not */
    CHECK_EQ(take(5000, &result), FMM_OK);
    CHECK(result.owner_died);
    CHECK(release());
    CHECK_EQ(words[LOCK], 0);
}

/* The median of some: a busy machine may be late now and then. */
static void
a_lock_is_taken_over_within_ten_milliseconds_of_a_kill(void)
{
    unsigned soon = 0;
    for (int i = 0; i < 11; i++) {
        struct fmm_lock_result result;
        reset();
        pid_t child = spawn(hold_for_ever, NULL);
        await_ready();
        CHECK_EQ(take(13, &result), FMM_BUSY);
        uint64_t began = fmm_monotonic_ms();
        kill(child, SIGKILL);
        CHECK_EQ(take(5000, &result), FMM_OK);
        soon += fmm_monotonic_ms() - began <= 10;
        CHECK(result.owner_died && release());
        kill_child(child);
    }
    CHECK(soon >= 6);
}

static void
the_lock_of_a_zombie_is_taken_over(void)
{
    struct fmm_lock_result result;
    reset();
    pid_t child = spawn(hold_for_ever, NULL);
    await_ready();
    kill(child, SIGKILL);
    siginfo_t info;
    REQUIRE(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK_EQ(take(5000, &result), FMM_OK);
    CHECK(result.owner_died);
    CHECK(release());
    kill_child(child);
}

/* A death while others sleep: the first to ask takes over, all get it. */
static void
take_once(void *unused)
{
    struct fmm_lock_result result;
    (void)unused;
    CHECK_EQ(take(20000, &result), FMM_OK);
    words[COUNTER] += result.owner_died ? 1000 : 1;
    CHECK(release());
}

static void
one_of_many_waiters_takes_over(void)
{
    pid_t children[PROCESSES];
    reset();
    pid_t holder = spawn(hold_for_ever, NULL);
    await_ready();
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = spawn(take_once, NULL);
    }
    sleep_ms(30);
    CHECK_EQ(words[COUNTER], 0);
    kill_child(holder);
    for (int i = 0; i < PROCESSES; i++) {
        join(children[i]);
    }
    CHECK_EQ(words[COUNTER], 1000 + PROCESSES - 1);
    CHECK_EQ(words[LOCK], 0);
}

static void
take_over_each_round(void *unused)
{
    struct fmm_lock_result result;
    (void)unused;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        while (words[ROUND] != round) {
            fmm_process_pause();
        }
        CHECK_EQ(take(20000, &result), FMM_OK);
        CHECK_EQ(words[INSIDE]++, 0);
        words[COUNTER] += result.owner_died;
        for (int i = 0; i < 1000; i++) {
            fmm_process_pause();
        }
        words[INSIDE]--;
        CHECK(release());
        words[FINISHED]++;
    }
}

/* All begin to wait at once, and so notice the death at once. */
static void
two_never_take_over_the_same_lock(void)
{
    pid_t children[PROCESSES];
    uint64_t dead = dead_owner();
    reset();
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = spawn(take_over_each_round, NULL);
    }
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        words[LOCK] = dead; /* a while to find out */
        words[ROUND] = round;
        while (words[FINISHED] < round * PROCESSES) {
            sleep_ms(1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        join(children[i]);
    }
    CHECK_EQ(words[COUNTER], ROUNDS);
}

static void
sleep_on_the_lock(void *unused)
{
    (void)unused;
    uint64_t seen = words[LOCK];
    words[READY] = 1;
    fmm_process_wait(&words[LOCK], seen, 30u * 1000 * 1000);
}

/* Waiters look again every ten milliseconds; this one does not. */
static void
a_release_wakes_who_sleeps(void)
{
    reset();
    words[LOCK] = own() | 1;
    uint64_t began = fmm_monotonic_ms();
    pid_t child = spawn(sleep_on_the_lock, NULL);
    await_ready();
    sleep_ms(50);
    CHECK(release());
    join(child);
    CHECK(fmm_monotonic_ms() - began < 20000);
}

static void
a_stopped_owner_keeps_its_lock(void)
{
    struct fmm_lock_result result;
    reset();
    pid_t child = spawn(hold_for_ever, NULL);
    await_ready();
    kill(child, SIGSTOP);
    CHECK_EQ(take(60, &result), FMM_BUSY);
    kill_child(child);
}

static void
a_hostile_word_that_names_a_living_client_ends_by_deadline(void)
{
    struct fmm_lock_result result;
    reset();
    words[LOCK] = own(); /* ourselves, who never took it */
    CHECK_EQ(take(30, &result), FMM_BUSY);
    words[LOCK] = own() | 1;
    CHECK_EQ(take(30, &result), FMM_BUSY);
}

static void
a_hostile_word_that_names_nobody_is_taken_over(void)
{
    const uint64_t nobody[] = {
        1,
        UINT64_MAX,
        UINT64_MAX - 1,
        UINT64_C(1) << 63,
        FMM_OWNER_NOBODY,
        /* our entry, but another generation */
        own() + (UINT64_C(1) << FMM_OWNER_GENERATION_SHIFT),
        own() - (UINT64_C(1) << FMM_OWNER_GENERATION_SHIFT),
        /* an entry that nobody ever had */
        own() + (9u << FMM_OWNER_ENTRY_SHIFT),
    };
    reset();
    for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
        struct fmm_lock_result result;
        words[LOCK] = nobody[i];
        CHECK_EQ(take(5000, &result), FMM_OK);
        CHECK(result.owner_died);
        CHECK(release());
        CHECK_EQ(words[LOCK], 0);
    }
}

static void
release_soon(void *unused)
{
    (void)unused;
    sleep_ms(60);
    words[LOCK] = 0;
}

/* Deadlines of any length are waited for, the longest too. */
static void
a_very_late_deadline_is_no_early_one(void)
{
    const int64_t late[] = {
        INT64_C(1) << 40, INT64_C(1) << 54, INT64_C(1) << 61, INT64_MAX, -1,
        INT64_MIN};
    reset();
    for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
        struct fmm_lock_result result;
        words[LOCK] = own();
        pid_t child = spawn(release_soon, NULL);
        CHECK_EQ(take(late[i], &result), FMM_OK);
        CHECK(result.waited);
        words[LOCK] = 0;
        join(child);
    }
}

static void
count_up(void *unused)
{
    struct fmm_lock_result result;
    (void)unused;
    for (unsigned i = 0; i < COUNT; i++) {
        REQUIRE(take(-1, &result) == FMM_OK);
        CHECK(!result.owner_died);
        uint64_t seen =
            atomic_load_explicit(&words[COUNTER], memory_order_relaxed);
        atomic_store_explicit(&words[COUNTER], seen + 1, memory_order_relaxed);
        REQUIRE(release());
    }
}

static void
many_processes_count_without_a_loss(void)
{
    pid_t children[PROCESSES];
    reset();
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = spawn(count_up, NULL);
    }
    for (int i = 0; i < PROCESSES; i++) {
        join(children[i]);
    }
    CHECK_EQ(words[COUNTER], PROCESSES * COUNT);
    CHECK_EQ(words[LOCK], 0);
}

static const struct check_case cases[] = {
    CASE(a_free_lock_is_taken_at_once),
    CASE(a_held_lock_is_busy_until_the_deadline),
    CASE(only_its_owner_releases_a_lock),
    CASE(a_waiter_gets_the_lock_when_it_is_released),
    CASE(the_lock_of_a_killed_owner_is_taken_over),
    CASE(a_lock_is_taken_over_within_ten_milliseconds_of_a_kill),
    CASE(the_lock_of_a_zombie_is_taken_over),
    CASE(one_of_many_waiters_takes_over),
    CASE(two_never_take_over_the_same_lock),
    CASE(a_release_wakes_who_sleeps),
    CASE(a_stopped_owner_keeps_its_lock),
    CASE(a_hostile_word_that_names_a_living_client_ends_by_deadline),
    CASE(a_hostile_word_that_names_nobody_is_taken_over),
    CASE(a_very_late_deadline_is_no_early_one),
    CASE(many_processes_count_without_a_loss),
};

int
main(int argc, char **argv)
{
    words = shared_words(WORDS);
    fmm_close(new_cache(4096, 1));
    cache = open_path(scratch("cache")); /* the second one of its entry */
    int status =
        check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
    fmm_close(cache);
    free_words(words, WORDS);
    return status;
}
