/* What a process is called, its forks, and its clocks. */
#include "support.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fmm_process.h"

static fmm_word64 *words;

static void
tell_forks(void *unused)
{
    (void)unused;
    words[0] = fmm_forks();
}

static void
a_child_counts_as_a_fork(void)
{
    uint64_t forks = fmm_forks();
    join(spawn(tell_forks, NULL));
    CHECK_EQ(words[0], forks + 1);
    CHECK_EQ(fmm_forks(), forks);
}

static void
tell_forks_of_a_grandchild(void *unused)
{
    (void)unused;
    join(spawn(tell_forks, NULL));
}

static void
each_generation_counts(void)
{
    uint64_t forks = fmm_forks();
    join(spawn(tell_forks_of_a_grandchild, NULL));
    CHECK_EQ(words[0], forks + 2);
}

/* Without fork(), and so without what pthread_atfork() was told. */
static void
a_child_that_the_library_knows_nothing_of_counts(void)
{
    uint64_t forks = fmm_forks();
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        words[0] = fmm_forks();
        words[1] = fmm_forks();
        _exit(0);
    }
    join(child);
    CHECK_EQ(words[0], forks + 1);
    CHECK_EQ(words[1], forks + 1);
}

static void
a_process_has_a_number_and_a_name(void)
{
    char name[16], prefix[5];
    memset(prefix, 'x', sizeof(prefix));
    fmm_process_command(name, sizeof(name));
    CHECK_EQ(fmm_process_pid(), getpid());
    CHECK(strcmp(name, "test_process") == 0);
    fmm_process_command(prefix, sizeof(prefix));
    CHECK(memcmp(prefix, "test", sizeof(prefix)) == 0);
}

static void
the_identity_is_the_same_in_every_process_of_a_boot(void)
{
    struct fmm_identity one, two;
    const struct fmm_identity nothing = {.device = 0};
    fmm_process_identity(&one);
    fmm_process_identity(&two);
    CHECK(memcmp(&one, &two, sizeof(one)) == 0);
    CHECK(memcmp(one.boot_id, nothing.boot_id, sizeof(one.boot_id)) != 0);
    CHECK(one.device == 0 && one.inode == 0); /* the caller's */
}

static void
wake_soon(void *unused)
{
    (void)unused;
    sleep_ms(30);
    words[0] = 2;
    fmm_process_wake(&words[0]);
}

static void
a_sleeper_is_woken_by_another_process(void)
{
    words[0] = 1;
    pid_t child = spawn(wake_soon, NULL);
    uint64_t began = fmm_monotonic_ms();
    while (words[0] == 1) {
        fmm_process_wait(&words[0], 1, 20 * 1000 * 1000);
    }
    CHECK(fmm_monotonic_ms() - began < 15000);
    join(child);
}

static void
sleep_ends_by_time_or_when_the_word_differs(void)
{
    words[0] = 1;
    fmm_process_wait(&words[0], 1, 1000);
    fmm_process_wait(&words[0], 2, 50 * 1000 * 1000);
    CHECK_EQ(words[0], 1);
}

static void
random_bytes_differ(void)
{
    uint64_t one[2] = {0, 0}, two[2] = {0, 0};
    CHECK(fmm_process_random(one, sizeof(one)));
    CHECK(fmm_process_random(two, sizeof(two)));
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
    CASE(a_child_counts_as_a_fork),
    CASE(each_generation_counts),
    CASE(a_child_that_the_library_knows_nothing_of_counts),
    CASE(a_process_has_a_number_and_a_name),
    CASE(the_identity_is_the_same_in_every_process_of_a_boot),
    CASE(a_sleeper_is_woken_by_another_process),
    CASE(sleep_ends_by_time_or_when_the_word_differs),
    CASE(random_bytes_differ),
    CASE(clocks_count_milliseconds),
};

static void
do_nothing(void)
{
}

int
main(int argc, char **argv)
{
    fmm_forks_watch(do_nothing);
    words = shared_words(2);
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
