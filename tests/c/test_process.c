/* Who a process is, whether it lives, and its clocks. */
#include "support.h"

#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmm_process.h"

static fmm_word64 *words;

static void
an_owner_word_is_stable_and_has_no_waiters_bit(void)
{
    uint64_t owner = fmm_platform_owner();
    CHECK(owner != 0 && (owner & 1) == 0);
    CHECK(owner == fmm_platform_owner());
    CHECK_EQ(owner >> 1 & 0x3fffff, getpid());
}

static void
tell_owner(void *unused)
{
    (void)unused;
    words[0] = fmm_platform_owner();
    words[1] = fmm_forks();
}

static void
a_child_is_another_owner_and_counts_as_a_fork(void)
{
    uint64_t owner = fmm_platform_owner(), forks = fmm_forks();
    join(spawn(tell_owner, NULL));
    CHECK(words[0] != owner);
    CHECK_EQ(words[1], forks + 1);
    CHECK_EQ(fmm_forks(), forks);
    CHECK(!fmm_platform_alive(words[0]));
}

static void
a_process_lives_until_it_dies(void)
{
    CHECK(fmm_platform_alive(fmm_platform_owner()));
    CHECK(fmm_platform_alive(fmm_platform_owner() | 1));
    CHECK(!fmm_platform_alive(0));
    CHECK(!fmm_platform_alive(1));
}

static void
a_pid_with_another_start_time_is_dead(void)
{
    uint64_t owner = fmm_platform_owner();
    CHECK(!fmm_platform_alive(owner + (UINT64_C(1) << 23)));
    /* no start time was to be had: the pid alone has to do */
    CHECK(fmm_platform_alive(owner & ((UINT64_C(1) << 23) - 1)));
}

static void
wait_for_the_end(void *unused)
{
    (void)unused;
    words[0] = fmm_platform_owner();
    for (;;) {
        pause();
    }
}

static void
a_stopped_process_lives_and_a_zombie_does_not(void)
{
    words[0] = 0;
    pid_t child = spawn(wait_for_the_end, NULL);
    while (words[0] == 0) {
        sleep_ms(1);
    }
    kill(child, SIGSTOP);
    CHECK(fmm_platform_alive(words[0]));
    kill(child, SIGKILL);
    siginfo_t info;
    REQUIRE(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK(!fmm_platform_alive(words[0]));
    kill_child(child);
    CHECK(!fmm_platform_alive(words[0]));
}

static void
maps_of_a_file_are_counted_by_process(void)
{
    struct fmm_cache *cache = new_cache(16384, 1);
    uint64_t owner = fmm_platform_owner();
    const unsigned char *inside = cache->base + 9000;
    CHECK_EQ(fmm_platform_maps(owner, inside), 1);
    struct fmm_cache *again = open_path(scratch("cache"));
    CHECK_EQ(fmm_platform_maps(owner, inside), 2);
    fmm_close(again);
    CHECK_EQ(fmm_platform_maps(owner, inside), 1);
    fmm_close(cache);
}

static void
close_inherited(void *cache)
{
    fmm_close(cache);
    wait_for_the_end(NULL);
}

static void
a_process_that_closed_a_file_maps_it_no_more(void)
{
    struct fmm_cache *cache = new_cache(16384, 1);
    words[0] = 0;
    pid_t child = spawn(close_inherited, cache);
    while (words[0] == 0) {
        sleep_ms(1);
    }
    CHECK_EQ(fmm_platform_maps(words[0], cache->base), 0);
    kill_child(child);
    CHECK_EQ(fmm_platform_maps(words[0], cache->base), UINT_MAX);
    fmm_close(cache);
}

static void
maps_of_plain_memory_cannot_be_told(void)
{
    uint64_t here = 0;
    CHECK_EQ(fmm_platform_maps(fmm_platform_owner(), &here), UINT_MAX);
}

static void
the_first_process_lives(void)
{
    CHECK(fmm_platform_alive(UINT64_C(1) << 1));
}

static void
the_identity_is_the_same_in_every_process_of_a_boot(void)
{
    struct fmm_identity one, two;
    const struct fmm_identity nothing = {.pid_namespace = 0};
    fmm_platform_identity(&one);
    fmm_platform_identity(&two);
    CHECK(memcmp(&one, &two, sizeof(one)) == 0);
    CHECK(memcmp(one.boot_id, nothing.boot_id, sizeof(one.boot_id)) != 0);
    CHECK(one.pid_namespace != 0);
    CHECK(one.device == 0 && one.inode == 0); /* the caller's */
}

static void
wake_soon(void *unused)
{
    (void)unused;
    sleep_ms(30);
    words[0] = 2;
    fmm_platform_wake(&words[0]);
}

static void
a_sleeper_is_woken_by_another_process(void)
{
    words[0] = 1;
    pid_t child = spawn(wake_soon, NULL);
    uint64_t began = fmm_monotonic_ms();
    while (words[0] == 1) {
        fmm_platform_wait(&words[0], 1, 20 * 1000 * 1000);
    }
    CHECK(fmm_monotonic_ms() - began < 15000);
    join(child);
}

static void
sleep_ends_by_time_or_when_the_word_differs(void)
{
    words[0] = 1;
    fmm_platform_wait(&words[0], 1, 1000);
    fmm_platform_wait(&words[0], 2, 50 * 1000 * 1000);
    CHECK_EQ(words[0], 1);
}

static void
random_bytes_differ(void)
{
    uint64_t one[2] = {0, 0}, two[2] = {0, 0};
    CHECK(fmm_platform_random(one, sizeof(one)));
    CHECK(fmm_platform_random(two, sizeof(two)));
    CHECK(memcmp(one, two, sizeof(one)) != 0);
}

static void
clocks_count_milliseconds(void)
{
    uint64_t wall = fmm_now_ms(), monotonic = fmm_monotonic_ms();
    sleep_ms(30);
    CHECK(fmm_monotonic_ms() - monotonic >= 29);
    CHECK(wall > UINT64_C(1600000000000));
    CHECK(fmm_now_ms() - wall < 60000);
}

static const struct check_case cases[] = {
    CASE(an_owner_word_is_stable_and_has_no_waiters_bit),
    CASE(a_child_is_another_owner_and_counts_as_a_fork),
    CASE(a_process_lives_until_it_dies),
    CASE(a_pid_with_another_start_time_is_dead),
    CASE(a_stopped_process_lives_and_a_zombie_does_not),
    CASE(maps_of_a_file_are_counted_by_process),
    CASE(a_process_that_closed_a_file_maps_it_no_more),
    CASE(maps_of_plain_memory_cannot_be_told),
    CASE(the_first_process_lives),
    CASE(the_identity_is_the_same_in_every_process_of_a_boot),
    CASE(a_sleeper_is_woken_by_another_process),
    CASE(sleep_ends_by_time_or_when_the_word_differs),
    CASE(random_bytes_differ),
    CASE(clocks_count_milliseconds),
};

int
main(int argc, char **argv)
{
    words = shared_words(2);
    int status =
        check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
    free_words(words, 2);
    return status;
}
