/* Who has a file open, and who is gone: as the kernel knows it. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmm_client.h"
#include "fmm_platform.h"

#define CHILDREN_OF_SWEEPER 60

/* Shared words: what a child says, and how it is told to go on. */
enum { OWNER, READY, GO, RESULT, WORDS };
static fmm_word64 *words;
static struct fmm_cache *cache;

static void
begin(void)
{
    for (int i = 0; i < WORDS; i++) {
        words[i] = 0;
    }
    cache = new_cache(4096, 1);
}

static void
end(void)
{
    fmm_close(cache);
}

static void
await(int word)
{
    while (words[word] == 0) {
        sleep_ms(1);
    }
}

static uint64_t
owner_of(struct fmm_cache *of)
{
    return fmm_client_owner(&of->client);
}

static bool
lives(uint64_t owner)
{
    return fmm_client_lives(&cache->client, owner);
}

static bool
dies_soon(uint64_t owner)
{
    for (int i = 0; i < 2000 && lives(owner); i++) {
        sleep_ms(1);
    }
    return !lives(owner);
}

/* ----------------------------------------------------------- the table */

static void
a_client_is_stable_and_has_no_waiters_bit(void)
{
    begin();
    uint64_t owner = owner_of(cache);
    CHECK(owner != 0 && (owner & 1) == 0);
    CHECK_EQ(owner_of(cache), owner);
    CHECK(lives(owner) && lives(owner | 1));
    CHECK_EQ(fmm_client_pid(&cache->client, owner), getpid());
    end();
}

static void
words_that_name_nobody_are_dead(void)
{
    begin();
    uint64_t owner = owner_of(cache);
    CHECK(!lives(0) && !lives(1) && !lives(FMM_OWNER_NOBODY));
    CHECK(!lives(UINT64_MAX) && !lives(dead_owner()));
    CHECK(!lives(owner + (UINT64_C(1) << FMM_OWNER_GENERATION_SHIFT)));
    CHECK_EQ(fmm_client_pid(&cache->client, dead_owner()), 0);
    end();
}

static void
each_open_cache_is_a_client_and_its_entry_is_used_again(void)
{
    begin();
    struct fmm_cache *other = open_path(scratch("cache"));
    uint64_t owner = owner_of(other);
    CHECK(owner != owner_of(cache) && lives(owner));
    CHECK_EQ(fmm_client_used(&cache->client), 2);
    fmm_close(other);
    CHECK(!lives(owner));
    other = open_path(scratch("cache"));
    CHECK_EQ(fmm_client_used(&cache->client), 2);
    CHECK_EQ(fmm_owner_entry(owner_of(other)), fmm_owner_entry(owner));
    CHECK(owner_of(other) != owner && !lives(owner));
    fmm_close(other);
    end();
}

static void
become_client_and_wait(void *unused)
{
    (void)unused;
    words[OWNER] = owner_of(cache);
    words[READY] = 1;
    for (;;) {
        pause();
    }
}

static void
the_entries_of_the_dead_are_used_again(void)
{
    begin();
    for (int i = 0; i < 100; i++) {
        words[READY] = 0;
        pid_t child = spawn(become_client_and_wait, NULL);
        await(READY);
        kill_child(child);
    }
    CHECK_EQ(fmm_client_used(&cache->client), 2);
    CHECK_EQ(fmm_owner_generation(words[OWNER]), 100);
    end();
}

static void
lock_entries(int fd, short type)
{
    struct flock lock = {.l_type = type,
                         .l_whence = SEEK_SET,
                         .l_start = FMM_BYTE_CLIENTS,
                         .l_len = FMM_CLIENTS};
    REQUIRE(fcntl(fd, F_OFD_SETLK, &lock) == 0);
}

static void
a_full_table_is_an_error_that_says_so(void)
{
    const struct fmm_options options = {.path = scratch("cache")};
    struct fmm_error error = {.text = ""};
    struct fmm_cache *late = NULL;
    begin();
    fmm_close(cache);
    int fd = open(options.path, O_RDWR | O_CLOEXEC);
    lock_entries(fd, F_WRLCK);
    CHECK_EQ(fmm_open(&options, &late, &error), FMM_ERR_OS);
    CHECK_EQ(error.errnum, EUSERS);
    CHECK(strstr(error.text, "2048 clients") != NULL);
    CHECK(late == NULL);
    lock_entries(fd, F_UNLCK);
    fmm_close(open_path(options.path));
    close(fd);
}

static void
the_last_entry_of_a_table_is_found(void)
{
    begin();
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = FMM_BYTE_CLIENTS + 1,
                         .l_len = FMM_CLIENTS - 2};
    int fd = open(scratch("cache"), O_RDWR | O_CLOEXEC);
    REQUIRE(fcntl(fd, F_OFD_SETLK, &lock) == 0);
    struct fmm_cache *last = open_path(scratch("cache"));
    CHECK_EQ(fmm_owner_entry(owner_of(last)), FMM_CLIENTS - 1);
    CHECK(lives(owner_of(last)));
    fmm_close(last);
    close(fd);
    end();
}

/* Whatever stands there: nobody is asked beyond the table, and whoever comes
 * gets an entry. */
static void
any_bytes_in_the_table_do_no_harm(void)
{
    begin();
    uint64_t at = cache->geometry.clients_at;
    for (int round = 0; round < 300; round++) {
        uint64_t *table = (void *)(cache->base + at);
        for (int i = 0; i < 64 * 64; i++) {
            table[i] = check_random();
        }
        cache->header->clients = (uint32_t)check_random();
        struct fmm_cache *other = open_path(scratch("cache"));
        CHECK(lives(owner_of(other)));
        for (int i = 0; i < 20; i++) {
            lives(check_random());
        }
        uint32_t cursor = 0;
        struct fmm_client_info info;
        for (int i = 0; i < 3; i++) {
            fmm_clients_next(cache, &cursor, &info);
        }
        stats_of(cache);
        fmm_close(other);
    }
    end();
}

/* --------------------------------------------------------------- deaths */

static void
a_killed_client_is_dead_at_once_and_a_zombie_too(void)
{
    begin();
    pid_t child = spawn(become_client_and_wait, NULL);
    await(READY);
    CHECK(words[OWNER] != owner_of(cache) && lives(words[OWNER]));
    kill(child, SIGSTOP);
    CHECK(lives(words[OWNER]));
    kill(child, SIGKILL);
    siginfo_t info;
    REQUIRE(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK(!lives(words[OWNER]));
    kill_child(child);
    CHECK(!lives(words[OWNER]));
    end();
}

static void
close_it_and_wait(void *unused)
{
    words[OWNER] = owner_of(cache);
    fmm_close(cache);
    words[READY] = 1;
    for (;;) {
        pause();
    }
    (void)unused;
}

static void
who_closed_the_file_is_gone_though_its_process_lives(void)
{
    begin();
    pid_t child = spawn(close_it_and_wait, NULL);
    await(READY);
    CHECK(!lives(words[OWNER]));
    kill_child(child);
    end();
}

static void
become_another_program(void *unused)
{
    (void)unused;
    words[OWNER] = owner_of(cache);
    execlp("sleep", "sleep", "60", (char *)NULL);
}

static void
who_became_another_program_is_gone(void)
{
    begin();
    pid_t child = spawn(become_another_program, NULL);
    await(OWNER);
    CHECK(dies_soon(words[OWNER]));
    CHECK(waitpid(child, NULL, WNOHANG) == 0);
    kill_child(child);
    end();
}

/* ---------------------------------------------------------------- forks */

/* The file is opened by a child, which has a child of its own and dies. */
static void
leave_a_child(void *body)
{
    cache = open_path(scratch("cache"));
    words[OWNER] = owner_of(cache);
    if (fork() == 0) {
        setsid();
        alarm(60); /* if this test fails, nobody ends it */
        (*(void (**)(void))body)();
        words[READY] = 1;
        await(GO);
        words[RESULT] = holds(cache, "key", "value") ? 1 : 2;
        _exit(0);
    }
    await(READY);
}

static void
check_orphan(void (*body)(void))
{
    begin();
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    join(spawn(leave_a_child, &body));
    CHECK(!lives(words[OWNER])); /* though its child goes on */
    words[GO] = 1;
    await(RESULT);
    CHECK_EQ(words[RESULT], 1);
    end();
}

static void
do_nothing(void)
{
}

static void
close_all_descriptors(void)
{
    syscall(SYS_close_range, 3, ~0u, 0);
}

static void
use_it(void)
{
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
}

static void
a_child_does_not_keep_its_dead_parent_alive(void)
{
    check_orphan(do_nothing);
    check_orphan(use_it);
    check_orphan(close_all_descriptors);
}

static void *
open_it(void *unused)
{
    cache = open_path(scratch("cache"));
    words[OWNER] = owner_of(cache);
    return unused;
}

/* Another thread forks while the file is being opened, which waits for `fd`
 * to unlock it; then the process dies. */
static void
fork_amid_opening(void *fd)
{
    pthread_t opener;
    int next = dup(*(int *)fd);
    close(next);
    REQUIRE(pthread_create(&opener, NULL, open_it, NULL) == 0);
    while (fcntl(next, F_GETFD) < 0) {
        sleep_ms(1);
    }
    if (fork() == 0) {
        setsid();
        alarm(60); /* if this test fails, nobody ends it */
        words[READY] = 1;
        await(GO);
        words[RESULT] = 1;
        _exit(0);
    }
    await(READY);
    fmm_platform_lock_byte(*(int *)fd, FMM_BYTE_OPENING, FMM_UNLOCKED);
    pthread_join(opener, NULL);
    CHECK(lives(words[OWNER]));
}

static void
a_child_forked_amid_an_opening_does_not_keep_its_parent_alive(void)
{
    begin();
    int fd = fmm_platform_open(scratch("cache"));
    REQUIRE(fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    join(spawn(fork_amid_opening, &fd));
    CHECK(!lives(words[OWNER])); /* though its child goes on */
    CHECK(fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    fmm_platform_close(fd);
    words[GO] = 1;
    await(RESULT);
    end();
}

static void *
sweep_until_told(void *path)
{
    while (words[READY] == 0) {
        CHECK(!fmm_sweep(path)); /* it is in use */
    }
    return NULL;
}

static void
fork_amid_sweeping(void *path)
{
    pthread_t sweeper;
    REQUIRE(pthread_create(&sweeper, NULL, sweep_until_told, path) == 0);
    for (int i = 0; i < CHILDREN_OF_SWEEPER; i++) {
        if (fork() == 0) {
            setsid();
            alarm(60); /* if this test fails, nobody ends it */
            await(GO);
            words[RESULT]++;
            _exit(0);
        }
    }
    words[READY] = 1;
    pthread_join(sweeper, NULL);
}

static void
a_child_forked_amid_a_sweep_keeps_nobody_from_opening(void)
{
    char path[256];
    begin();
    snprintf(path, sizeof(path), "%s", scratch("cache"));
    join(spawn(fork_amid_sweeping, path));
    int fd = fmm_platform_open(path);
    bool free = fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_EXCLUSIVE);
    fmm_platform_close(fd);
    words[GO] = 1;
    while (words[RESULT] < CHILDREN_OF_SWEEPER) {
        sleep_ms(1); /* until all have seen it */
    }
    CHECK(free);
    end();
}

static void
be_born(void *unused)
{
    (void)unused;
    words[RESULT] = cache->client.owner;
    words[OWNER] = owner_of(cache);
}

static void
a_child_is_a_client_of_its_own_with_its_first_need(void)
{
    begin();
    uint64_t owner = owner_of(cache);
    join(spawn(be_born, NULL));
    CHECK_EQ(words[RESULT], 0);
    CHECK(words[OWNER] != 0 && words[OWNER] != owner);
    CHECK(lives(owner) && !lives(words[OWNER]));
    end();
}

/* No handler of pthread_atfork() runs: it is noticed with the first need. */
static void
a_child_that_the_library_knows_nothing_of_is_a_client_of_its_own(void)
{
    begin();
    uint64_t owner = owner_of(cache);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        bool good = owner_of(cache) != owner && lives(owner);
        _exit(good && set_text(cache, "key", "value") == FMM_OK ? 0 : 1);
    }
    join(child);
    CHECK(holds(cache, "key", "value"));
    CHECK_EQ(owner_of(cache), owner);
    end();
}

static int
run_in_vfork(void *unused)
{
    (void)unused;
    _exit(0);
}

static void
vfork_and_spawn_change_nothing(void)
{
    static char stack[65536];
    char *const arguments[] = {(char *)(uintptr_t) "true", NULL};
    pid_t child;
    begin();
    uint64_t owner = owner_of(cache), forks = fmm_forks();
    REQUIRE(posix_spawnp(&child, "true", NULL, NULL, arguments, NULL) == 0);
    join(child);
    child = clone(run_in_vfork, stack + sizeof(stack),
                  CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    join(child);
    CHECK_EQ(fmm_forks(), forks);
    CHECK_EQ(owner_of(cache), owner);
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    end();
}

static void
leave_no_descriptors(void)
{
    struct rlimit none = {3, 3};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
}

static void
say_whether_lost(void *unused)
{
    struct fmm_key key = text_key(cache, "key");
    struct fmm_meta meta;
    (void)unused;
    CHECK_EQ(set_text(cache, "key", "lost"), FMM_RETIRED);
    CHECK_EQ(fmm_exists(cache, &call, &key, &meta), FMM_RETIRED);
    CHECK(fmm_lost(cache) && owner_of(cache) == 0);
    fmm_close(cache);
}

static void
fork_without_descriptors(void *unused)
{
    (void)unused;
    words[OWNER] = owner_of(cache);
    leave_no_descriptors();
    join(spawn(say_whether_lost, NULL));
    CHECK_EQ(owner_of(cache), words[OWNER]);
    CHECK_EQ(set_text(cache, "key", "kept"), FMM_OK);
}

static void
a_child_that_cannot_open_the_file_has_lost_it(void)
{
    begin();
    join(spawn(fork_without_descriptors, NULL));
    CHECK(holds(cache, "key", "kept"));
    end();
}

/* ---------------------------------------------------------- descriptors */

static void
open_and_lose_the_descriptor(void *unused)
{
    (void)unused;
    cache = open_path(scratch("cache"));
    close(cache->client.fd);
    become_client_and_wait(NULL);
}

static void
a_lock_stays_when_its_descriptor_is_closed_by_a_stranger(void)
{
    begin();
    pid_t child = spawn(open_and_lose_the_descriptor, NULL);
    await(READY);
    CHECK(lives(words[OWNER]));
    kill_child(child);
    CHECK(!lives(words[OWNER]));
    end();
}

/* Put another file in the place of the descriptor of `cache`. */
static void
take_the_descriptor_away(void)
{
    int stranger = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(dup2(stranger, cache->client.fd) >= 0);
    close(stranger);
}

static void
a_descriptor_that_is_another_file_by_now_is_not_believed(void)
{
    begin();
    pid_t child = spawn(become_client_and_wait, NULL);
    await(READY);
    int number = cache->client.fd;
    take_the_descriptor_away();
    CHECK(lives(words[OWNER]));
    kill_child(child);
    CHECK(!lives(words[OWNER]));
    end();
    CHECK(fcntl(number, F_GETFD) >= 0); /* it is the stranger's */
    close(number);
}

/* The number of a closed descriptor leads to the description of another
 * client, whose lock it does not show. */
static void
a_descriptor_of_another_client_is_not_believed(void)
{
    begin();
    struct fmm_cache *first = open_path(scratch("cache"));
    close(first->client.fd);
    struct fmm_cache *second = open_path(scratch("cache"));
    CHECK_EQ(first->client.fd, second->client.fd);
    CHECK(fmm_client_lives(&first->client, owner_of(second)));
    fmm_close(second);
    fmm_close(first);
    end();
}

static void
who_cannot_be_asked_after_is_alive(void)
{
    begin();
    pid_t child = spawn(become_client_and_wait, NULL);
    await(READY);
    close(cache->client.fd);
    unlink(scratch("cache"));
    CHECK(lives(words[OWNER]));
    kill_child(child);
    CHECK(lives(words[OWNER]));
    end();
}

/* ------------------------------------------------------------- counters */

static struct fmm_client_info
info_of(bool own)
{
    struct fmm_client_info info = {.pid = 0};
    uint32_t cursor = 0;
    while (fmm_clients_next(cache, &cursor, &info)) {
        if (info.own == own) {
            return info;
        }
    }
    return (struct fmm_client_info){.pid = 0};
}

static void
clients_are_listed_with_what_they_did(void)
{
    begin();
    uint64_t now_ms = fmm_now_ms();
    struct fmm_cache *other = open_path(scratch("cache"));
    set_text(other, "key", "value");
    holds(other, "key", "value");
    has(other, "key");
    has(other, "nothing");
    struct fmm_client_info own = info_of(true), info = info_of(false);
    CHECK((pid_t)own.pid == getpid() &&
          own.hits + own.misses + own.stores == 0);
    CHECK(info.hits == 2 && info.misses == 1 && info.stores == 1);
    CHECK((pid_t)info.pid == getpid() &&
          strcmp(info.command, "test_client") == 0);
    CHECK(info.since_ms + 1000 > now_ms && info.since_ms < now_ms + 60000);
    fmm_close(other);
    CHECK_EQ(info_of(false).pid, 0);
    end();
}

static void
what_the_dead_counted_stays_in_the_sum(void)
{
    begin();
    for (int i = 0; i < 3; i++) {
        struct fmm_cache *other = open_path(scratch("cache"));
        has(other, "nothing");
        CHECK_EQ(info_of(false).misses, 1);
        fmm_close(other);
    }
    CHECK_EQ(stats_of(cache).misses, 3);
    CHECK_EQ(fmm_client_used(&cache->client), 2);
    end();
}

static const struct check_case cases[] = {
    CASE(a_client_is_stable_and_has_no_waiters_bit),
    CASE(words_that_name_nobody_are_dead),
    CASE(each_open_cache_is_a_client_and_its_entry_is_used_again),
    CASE(the_entries_of_the_dead_are_used_again),
    CASE(a_full_table_is_an_error_that_says_so),
    CASE(the_last_entry_of_a_table_is_found),
    CASE(any_bytes_in_the_table_do_no_harm),
    CASE(a_killed_client_is_dead_at_once_and_a_zombie_too),
    CASE(who_closed_the_file_is_gone_though_its_process_lives),
    CASE(who_became_another_program_is_gone),
    CASE(a_child_does_not_keep_its_dead_parent_alive),
    CASE(a_child_forked_amid_an_opening_does_not_keep_its_parent_alive),
    CASE(a_child_forked_amid_a_sweep_keeps_nobody_from_opening),
    CASE(a_child_is_a_client_of_its_own_with_its_first_need),
    CASE(a_child_that_the_library_knows_nothing_of_is_a_client_of_its_own),
    CASE(vfork_and_spawn_change_nothing),
    CASE(a_child_that_cannot_open_the_file_has_lost_it),
    CASE(a_lock_stays_when_its_descriptor_is_closed_by_a_stranger),
    CASE(a_descriptor_that_is_another_file_by_now_is_not_believed),
    CASE(a_descriptor_of_another_client_is_not_believed),
    CASE(who_cannot_be_asked_after_is_alive),
    CASE(clients_are_listed_with_what_they_did),
    CASE(what_the_dead_counted_stays_in_the_sum),
};

int
main(int argc, char **argv)
{
    words = shared_words(WORDS);
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
