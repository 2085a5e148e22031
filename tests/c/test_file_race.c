/* Many processes that create, replace and are killed meanwhile: whoever
 * opens, opens a whole file, and nothing is left behind. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmm_creator.h"
#include "fmm_platform.h"

#define RACERS 16
#define ROUNDS 12

enum { GO, CREATED, WORDS };
static fmm_word64 *words;

/* What the racers open, and how. */
struct plan {
    struct fmm_options options;
    bool chrooted;
};

static void
await_start(void)
{
    while (words[GO] == 0) {
        sleep_ms(1);
    }
}

static void
race(void *argument)
{
    const struct plan *plan = argument;
    struct fmm_info info;
    char key[16];
    if (plan->chrooted) {
        REQUIRE(chroot(scratch("")) == 0 && chdir("/") == 0);
    }
    await_start();
    struct fmm_cache *cache = open_cache(&plan->options);
    fmm_info(cache, &info);
    words[CREATED] += info.created;
    snprintf(key, sizeof(key), "%d", (int)getpid());
    enum fmm_status status = set_text(cache, key, "here");
    CHECK(status == FMM_OK ||
          (plan->options.init_file && status == FMM_RETIRED));
    CHECK_EQ(info.num_pages, 4);
    CHECK(fmm_serial(cache) != 0); /* however often it had to try */
    fmm_close(cache);
}

static void
run_race(struct plan *plan, pid_t children[RACERS])
{
    words[GO] = 0;
    words[CREATED] = 0;
    for (int i = 0; i < RACERS; i++) {
        children[i] = spawn(race, plan);
    }
    words[GO] = 1;
    for (int i = 0; i < RACERS; i++) {
        join(children[i]);
    }
}

static unsigned
count_present(const char *path, const pid_t children[RACERS])
{
    unsigned count = 0;
    struct fmm_cache *cache = open_path(path);
    for (int i = 0; i < RACERS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", (int)children[i]);
        count += holds(cache, key, "here");
    }
    check_pages(cache, true);
    fmm_close(cache);
    return count;
}

static struct plan
plan_for(const char *path)
{
    return (struct plan){
        .options = {.path = path, .page_size = 16384, .num_pages = 4}};
}

static void
of_many_creators_one_wins_and_all_share(void)
{
    pid_t children[RACERS];
    struct plan plan = plan_for(scratch("cache"));
    for (int round = 0; round < ROUNDS; round++) {
        unlink(plan.options.path);
        run_race(&plan, children);
        CHECK_EQ(words[CREATED], 1);
        CHECK_EQ(count_present(plan.options.path, children), RACERS);
        CHECK_EQ(count_files("cache"), 1);
    }
}

/* Without /proc there are no unnamed files: the way by a temporary name.
 * A directory of its own stands for such a system, where root may. */
static void
the_same_where_there_are_no_unnamed_files(void)
{
    pid_t children[RACERS];
    if (geteuid() != 0) {
        return;
    }
    struct plan plan = plan_for("cache");
    plan.chrooted = true;
    for (int round = 0; round < ROUNDS; round++) {
        unlink(scratch("cache"));
        run_race(&plan, children);
        CHECK_EQ(words[CREATED], 1);
        CHECK_EQ(count_files("cache"), 1);
    }
}

static void
many_replacers_leave_one_whole_file(void)
{
    pid_t children[RACERS];
    struct plan plan = plan_for(scratch("cache"));
    plan.options.init_file = true;
    for (int round = 0; round < ROUNDS; round++) {
        run_race(&plan, children);
        CHECK_EQ(words[CREATED], 0); /* something had the name */
        CHECK(count_present(plan.options.path, children) >= 1);
        CHECK_EQ(count_files("cache"), 1);
    }
}

/* --------------------------------------------------- kills during opening */

static void
open_again_and_again(void *argument)
{
    const struct fmm_options *options = argument;
    await_start();
    for (;;) {
        if (options->init_file == false) {
            unlink(options->path);
        }
        struct fmm_cache *cache = NULL;
        struct fmm_error error;
        if (fmm_open(options, &cache, &error) == FMM_OK) {
            fmm_close(cache);
        }
    }
}

/* At each moment what has the name is whole, whoever was killed. */
static void
storm_of_openers(struct fmm_options *options)
{
    words[GO] = 1;
    for (int round = 0; round < 60; round++) {
        pid_t child = spawn(open_again_and_again, options);
        sleep_ms(1 + (unsigned)check_random_below(8));
        kill_child(child);
        struct fmm_options plain = *options;
        plain.init_file = false;
        fmm_close(open_cache(&plain));
    }
}

static void
a_creator_may_be_killed_at_any_time(void)
{
    struct plan plan = plan_for(scratch("cache"));
    storm_of_openers(&plan.options);
    plan.options.init_file = true;
    fmm_close(open_cache(&plan.options));
    CHECK_EQ(count_files("cache"), 1);
}

static void
a_replacer_may_be_killed_at_any_time(void)
{
    struct plan plan = plan_for(scratch("cache"));
    plan.options.init_file = true;
    storm_of_openers(&plan.options);
    fmm_close(open_cache(&plan.options)); /* sweeps what they left */
    CHECK_EQ(count_files("cache"), 1);
}

static void
hold_opening_byte(void *unused)
{
    (void)unused;
    int fd = fmm_platform_open(scratch("cache"));
    REQUIRE(fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    words[GO] = 1;
    for (;;) {
        pause();
    }
}

static void
an_opener_that_was_killed_blocks_nobody(void)
{
    words[GO] = 0;
    fmm_close(new_cache(16384, 4));
    pid_t child = spawn(hold_opening_byte, NULL);
    await_start();
    kill_child(child);
    fmm_close(open_path(scratch("cache")));
}

static void
find_the_newer_file(void *unused)
{
    (void)unused;
    words[GO] = 1;
    struct fmm_cache *cache = open_path(scratch("cache"));
    CHECK(holds(cache, "which", "newer"));
    CHECK(!fmm_replaced(cache));
    fmm_close(cache);
}

/* It opened the older file, and waits to attach to it, when another one
 * gets the name. */
static void
an_opener_that_waited_attaches_to_what_has_the_name(void)
{
    words[GO] = 0;
    struct fmm_cache *cache = new_cache(16384, 4);
    CHECK_EQ(set_text(cache, "which", "newer"), FMM_OK);
    fmm_close(cache);
    REQUIRE(rename(scratch("cache"), scratch("newer")) == 0);
    fmm_close(new_cache(16384, 4));
    int fd = fmm_platform_open(scratch("cache"));
    REQUIRE(fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    pid_t child = spawn(find_the_newer_file, NULL);
    await_start();
    sleep_ms(50);
    REQUIRE(rename(scratch("newer"), scratch("cache")) == 0);
    fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_UNLOCKED);
    fmm_platform_close(fd); /* the child has a copy */
    join(child);
}

/* ------------------------------------------------ one creator at a time */

static void
open_it(void *options)
{
    fmm_close(open_cache(options));
}

static void
who_finds_a_creator_waits_for_it_and_attaches(void)
{
    pid_t children[4];
    struct fmm_creator creator;
    struct plan plan = plan_for(scratch("cache"));
    unlink(plan.options.path);
    REQUIRE(fmm_creator_take(&creator, &plan.options) == FMM_OK);
    for (int i = 0; i < 4; i++) {
        children[i] = spawn(race, &plan);
    }
    words[CREATED] = 0;
    words[GO] = 1;
    sleep_ms(100);
    CHECK(!path_exists(plan.options.path));
    struct fmm_cache *other = open_cache(
        &(struct fmm_options){.path = scratch("other"),
                              .page_size = 16384,
                              .num_pages = 4}); /* another name: no wait */
    REQUIRE(rename(scratch("other"), plan.options.path) == 0);
    for (int i = 0; i < 4; i++) {
        join(children[i]); /* before the creator says that it is done */
    }
    CHECK_EQ(words[CREATED], 0);
    fmm_creator_release(&creator);
    fmm_close(other);
}

static bool
lose_patience(void *context, uint64_t done, uint64_t total)
{
    unsigned *asked = context;
    CHECK(done == 0 && total == 0);
    return ++*asked < 3;
}

/* Open a file that another is about; give up after some questions. */
static void
give_up(const char *path)
{
    unsigned asked = 0;
    struct fmm_cache *cache;
    struct fmm_error error;
    const struct fmm_options options = {
        .path = path, .go_on = lose_patience, .go_on_context = &asked};
    CHECK_EQ(fmm_open(&options, &cache, &error), FMM_ERR_OS);
    CHECK_EQ(error.errnum, EINTR);
    CHECK_EQ(asked, 3);
}

static void
who_waits_for_another_may_give_up(void)
{
    const char *path = scratch("cache");
    const struct fmm_options options = {.path = path};
    struct fmm_creator creator;
    unlink(path);
    REQUIRE(fmm_creator_take(&creator, &options) == FMM_OK);
    give_up(path);
    CHECK(!path_exists(path));
    fmm_creator_release(&creator);
    fmm_close(open_cache(&options));
    int fd = fmm_platform_open(path);
    REQUIRE(fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    give_up(path);
    fmm_platform_close(fd);
    fmm_close(open_cache(&options));
}

static void
create_for_ever(void *unused)
{
    struct fmm_creator creator;
    (void)unused;
    REQUIRE(fmm_creator_take(
                &creator, &(struct fmm_options){.path = scratch("cache")}) ==
            FMM_OK);
    words[GO] = 1;
    for (;;) {
        pause();
    }
}

static void
a_creator_that_was_killed_is_replaced_at_once(void)
{
    struct plan plan = plan_for(scratch("cache"));
    unlink(plan.options.path);
    words[GO] = 0;
    pid_t creator = spawn(create_for_ever, NULL);
    await_start();
    pid_t next = spawn(open_it, &plan.options);
    sleep_ms(50);
    CHECK(!path_exists(plan.options.path));
    uint64_t began = fmm_monotonic_ms();
    kill_child(creator);
    join(next);
    CHECK(fmm_monotonic_ms() - began < 2000);
    CHECK(path_exists(plan.options.path));
    CHECK_EQ(count_files("cache"), 1);
}

static void
a_child_of_a_creator_does_not_keep_its_right(void)
{
    struct fmm_creator creator;
    unlink(scratch("cache"));
    REQUIRE(fmm_creator_take(
                &creator, &(struct fmm_options){.path = scratch("cache")}) ==
            FMM_OK);
    words[GO] = 1;
    pid_t child = spawn(open_again_and_again,
                        &(struct fmm_options){.path = scratch("odd/path")});
    fmm_creator_release(&creator);
    uint64_t began = fmm_monotonic_ms();
    REQUIRE(fmm_creator_take(
                &creator, &(struct fmm_options){.path = scratch("cache")}) ==
            FMM_OK);
    CHECK(creator.fd >= 0);
    CHECK(fmm_monotonic_ms() - began < 2000);
    fmm_creator_release(&creator);
    kill_child(child);
}

/* ------------------------------------------- replaced under its users */

static void
use_until_told(void *unused)
{
    struct fmm_cache *cache = open_path(scratch("cache"));
    unsigned retired = 0;
    (void)unused;
    for (unsigned n = 0; words[GO] == 0; n++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", n % 100);
        enum fmm_status status = set_text(cache, key, "value");
        if (status == FMM_RETIRED) {
            retired++;
            fmm_close(cache);
            cache = open_path(scratch("cache"));
        }
        else {
            CHECK_EQ(status, FMM_OK);
        }
    }
    CHECK(retired > 0);
    fmm_close(cache);
}

static void
users_of_a_file_that_is_replaced_go_on_in_the_new_one(void)
{
    pid_t users[4];
    words[GO] = 0;
    fmm_close(new_cache(16384, 4));
    for (int i = 0; i < 4; i++) {
        users[i] = spawn(use_until_told, NULL);
    }
    for (int i = 0; i < 40; i++) {
        sleep_ms(5);
        fmm_close(new_cache(16384, 4));
    }
    words[GO] = 1;
    for (int i = 0; i < 4; i++) {
        join(users[i]);
    }
    CHECK_EQ(count_files("cache"), 1);
}

static const struct check_case cases[] = {
    CASE(of_many_creators_one_wins_and_all_share),
    CASE(the_same_where_there_are_no_unnamed_files),
    CASE(many_replacers_leave_one_whole_file),
    CASE(a_creator_may_be_killed_at_any_time),
    CASE(a_replacer_may_be_killed_at_any_time),
    CASE(an_opener_that_was_killed_blocks_nobody),
    CASE(an_opener_that_waited_attaches_to_what_has_the_name),
    CASE(who_finds_a_creator_waits_for_it_and_attaches),
    CASE(who_waits_for_another_may_give_up),
    CASE(a_creator_that_was_killed_is_replaced_at_once),
    CASE(a_child_of_a_creator_does_not_keep_its_right),
    CASE(users_of_a_file_that_is_replaced_go_on_in_the_new_one),
};

int
main(int argc, char **argv)
{
    words = shared_words(WORDS);
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
