/* Creating and replacing, killed before and after each system call, and
 * with each system call failing in turn. */
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmm_header.h"
#include "fmm_platform.h"
#include "fmm_process.h"

#define CALLS_MAX 200 /* of one open; it makes some thirty */

/* One way to open, and what it finds. */
struct scene {
    const char *name;
    struct fmm_options options;
    bool exists;   /* a cache with an entry is there before */
    bool foreign;  /* it comes from another boot, with locks held */
    bool chrooted; /* no /proc: the way by a temporary name */
};

static struct fmm_options
plain(void)
{
    return (struct fmm_options){
        .path = scratch("cache"), .page_size = 4096, .num_pages = 2};
}

/* A closed cache with one entry, as if from before a reboot if asked. */
static void
prepare(const struct scene *scene)
{
    const unsigned char boot[16] = {1, 2, 3};
    const uint64_t owner = (uint64_t)getppid() << 1; /* alive, not holding */
    unlink(scratch("cache"));
    if (!scene->exists) {
        return;
    }
    struct fmm_options options = plain();
    struct fmm_cache *cache = open_cache(&options);
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    fmm_close(cache);
    if (scene->foreign) {
        poke_file(options.path, offsetof(struct fmm_header, identity), boot,
                  sizeof(boot));
        poke_file(options.path,
                  FMM_HEADER_SIZE + offsetof(struct fmm_control, lock), &owner,
                  sizeof(owner));
    }
}

static unsigned
open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 32; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static struct fmm_options
options_of(const struct scene *scene)
{
    struct fmm_options options = scene->options;
    options.path = scene->chrooted ? "cache" : scratch("cache");
    return options;
}

/* The file says whose lock words are in it. */
static void
check_at_home(const struct fmm_cache *cache, const struct scene *scene)
{
    struct fmm_identity here;
    REQUIRE(scene->chrooted || fmm_process_identity(&here));
    CHECK(scene->chrooted ||
          memcmp(here.boot_id, cache->header->identity.boot_id,
                 sizeof(here.boot_id)) == 0);
    CHECK_EQ(cache->header->identity.inode, cache->client.inode);
}

/* An open that failed leaves what was there. */
static void
check_kept(const struct scene *scene)
{
    CHECK_EQ(path_exists(scratch("cache")), scene->exists);
    if (scene->exists) {
        struct fmm_cache *cache = open_path(scratch("cache"));
        CHECK(holds(cache, "key", "value"));
        fmm_close(cache);
    }
}

/* A first open, elsewhere, makes the allocator take from the system what it
 * needs. */
static void
open_elsewhere(void)
{
    struct fmm_options first = plain();
    first.path = scratch("first");
    fmm_close(open_cache(&first));
}

/* In the child. */
static void
open_it(void *argument)
{
    const struct scene *scene = argument;
    struct fmm_options options = options_of(scene);
    struct fmm_cache *cache = NULL;
    struct fmm_error error = {.text = ""};
    open_elsewhere();
    if (scene->chrooted) {
        REQUIRE(chroot(scratch("")) == 0 && chdir("/") == 0);
    }
    unsigned before = open_descriptors();
    syscalls_begin();
    enum fmm_status status = fmm_open(&options, &cache, &error);
    syscalls_end();
    if (status == FMM_OK) {
        check_at_home(cache, scene);
    }
    else {
        CHECK(status == FMM_ERR_OS || status == FMM_ERR_MEMORY);
        CHECK_EQ(error.status, status);
        CHECK(status != FMM_ERR_OS || error.errnum != 0);
        CHECK(cache == NULL);
        check_kept(scene);
    }
    fmm_close(cache);
    CHECK_EQ(open_descriptors(), before);
}

/* What has the name is a whole file or nothing, whatever happened. */
static void
check_whole(void)
{
    struct fmm_file_stat stat;
    struct fmm_header header;
    struct fmm_geometry geometry;
    struct fmm_error error = {.text = ""};
    int fd = fmm_platform_open(scratch("cache"));
    if (fd < 0) {
        CHECK_EQ(errno, ENOENT);
        return;
    }
    REQUIRE(fmm_platform_stat(fd, &stat));
    CHECK(fmm_platform_read(fd, &header, sizeof(header)));
    CHECK_EQ(fmm_header_check(&header, stat.size, &geometry, &error), FMM_OK);
    CHECK_EQ(stat.mode, 0600);
    fmm_platform_close(fd);
}

/* It opens at once, all its locks are free, and it holds what it may. */
static void
check_usable(const struct scene *scene)
{
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_options options = plain();
    struct fmm_cache *cache = open_cache(&options);
    uint64_t count =
        count_values(cache, &once, 0) + count_values(cache, &once, 1);
    CHECK(count == 0 || (scene->exists && holds(cache, "key", "value")));
    CHECK(count == 1 || !scene->exists || scene->options.init_file);
    CHECK_EQ(set_text(cache, "more", "value"), FMM_OK);
    CHECK(holds(cache, "more", "value"));
    check_pages(cache, true);
    fmm_close(cache);
}

/* A killed process may leave a file under a temporary name: the next one
 * to create or replace takes it away. */
static void
check_swept(void)
{
    struct fmm_options options = plain();
    CHECK(count_files("cache") <= 2);
    options.init_file = true;
    fmm_close(open_cache(&options));
    CHECK_EQ(count_files("cache"), 1);
}

/* Who has the old file open goes on with it, or hears of the new one. */
static void
check_user(struct fmm_cache *user)
{
    struct fmm_file_stat stat;
    bool same = fmm_platform_stat_path(scratch("cache"), &stat) &&
                stat.inode == user->client.inode;
    CHECK(same != fmm_replaced(user));
    CHECK(!same || holds(user, "key", "value"));
    fmm_close(user);
}

static unsigned
kill_at_each_call(struct scene *scene, enum syscall_fate fate)
{
    struct syscall_plan plan = {
        .body = open_it, .argument = scene, .fate = fate};
    bool reached = true;
    for (; reached && plan.at < CALLS_MAX; plan.at++) {
        prepare(scene);
        struct fmm_cache *user = scene->exists && !scene->foreign
                                     ? open_path(scratch("cache"))
                                     : NULL;
        reached = syscalls_run(&plan);
        check_whole();
        if (user != NULL) {
            check_user(user);
        }
        check_usable(scene);
        check_swept();
    }
    CHECK(!reached);
    return plan.at - 1;
}

static void
kill_everywhere(struct scene *scene)
{
    if (scene->chrooted && geteuid() != 0) {
        printf("not run without root (chroot): %s\n", scene->name);
        return;
    }
    unsigned before = kill_at_each_call(scene, SYSCALL_KILL_BEFORE);
    unsigned after = kill_at_each_call(scene, SYSCALL_KILL_AFTER);
    CHECK(before > 5 && after > 5);
    printf("%s: killed before %u and after %u system calls\n", scene->name,
           before, after);
}

/* ------------------------------------------------------------ the scenes */

static struct scene
creation(void)
{
    return (struct scene){.name = "creation", .options = plain()};
}

static struct scene
replacement(void)
{
    struct scene scene = {
        .name = "replacement", .options = plain(), .exists = true};
    scene.options.init_file = true;
    return scene;
}

static struct scene
attachment_after_reboot(void)
{
    return (struct scene){.name = "first open after a reboot",
                          .options = plain(),
                          .exists = true,
                          .foreign = true};
}

static void
a_creator_may_be_killed_at_each_system_call(void)
{
    struct scene scene = creation();
    kill_everywhere(&scene);
}

static void
a_creator_without_unnamed_files_may_be_killed_at_each_system_call(void)
{
    struct scene scene = creation();
    scene.name = "creation by a temporary name";
    scene.chrooted = true;
    kill_everywhere(&scene);
}

static void
a_replacer_may_be_killed_at_each_system_call(void)
{
    struct scene scene = replacement();
    kill_everywhere(&scene);
}

static void
a_replacer_without_unnamed_files_may_be_killed_at_each_system_call(void)
{
    struct scene scene = replacement();
    scene.name = "replacement by a temporary name";
    scene.chrooted = true;
    kill_everywhere(&scene);
}

static void
the_first_opener_after_a_reboot_may_be_killed_at_each_system_call(void)
{
    struct scene scene = attachment_after_reboot();
    kill_everywhere(&scene);
}

/* ---------------------------------------------------------------- faults */

/* Each system call fails once: an error that says why, or none. Nothing
 * leaks; an error keeps the old cache. */
static void
check_after_fault(const struct scene *scene)
{
    check_whole();
    check_usable(scene);
    CHECK_EQ(count_files("cache"), 1);
}

static unsigned
fail_each_call(struct scene *scene, int errnum)
{
    struct syscall_plan plan = {.body = open_it,
                                .argument = scene,
                                .fate = SYSCALL_FAIL,
                                .errnum = errnum};
    bool reached = true;
    for (; reached && plan.at < CALLS_MAX; plan.at++) {
        prepare(scene);
        reached = syscalls_run(&plan);
        unsigned long failed = check_failures();
        check_after_fault(scene);
        if (check_failures() != failed) {
            fprintf(stderr, "    after call %u of %s failed with %s\n",
                    plan.at, scene->name, strerror(errnum));
        }
    }
    CHECK(!reached);
    return plan.at - 1;
}

static void
fail_everywhere(struct scene *scene)
{
    static const int errors[] = {ENOMEM, EMFILE, EIO, ENOSPC, EINTR};
    if (!syscalls_can_fail()) {
        printf("not run on this architecture: faults in %s\n", scene->name);
        return;
    }
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        unsigned calls = fail_each_call(scene, errors[i]);
        CHECK(calls > 5);
        printf("%s: %u system calls failed with %s\n", scene->name, calls,
               strerror(errors[i]));
    }
}

static void
each_system_call_of_a_creation_may_fail(void)
{
    struct scene scene = creation();
    fail_everywhere(&scene);
}

static void
each_system_call_of_a_replacement_may_fail(void)
{
    struct scene scene = replacement();
    fail_everywhere(&scene);
}

static void
each_system_call_of_an_attachment_may_fail(void)
{
    struct scene scene = replacement();
    scene.name = "attachment";
    scene.options.init_file = false;
    fail_everywhere(&scene);
}

static void
each_system_call_of_the_first_open_after_a_reboot_may_fail(void)
{
    struct scene scene = attachment_after_reboot();
    fail_everywhere(&scene);
}

/* What is to be said when calls of one kind fail. */
struct refusal {
    const char *words;
    fmm_word64 *told; /* shared */
};

static void
open_and_listen(void *argument)
{
    const struct refusal *refusal = argument;
    struct fmm_options options = plain();
    struct fmm_cache *cache = NULL;
    struct fmm_error error = {.text = ""};
    open_elsewhere();
    syscalls_begin();
    fmm_open(&options, &cache, &error);
    syscalls_end();
    *refusal->told += strstr(error.text, refusal->words) != NULL;
    fmm_close(cache);
}

static uint64_t
count_told(const char *words, int errnum)
{
    struct scene scene = creation();
    struct refusal refusal = {.words = words, .told = shared_words(1)};
    struct syscall_plan plan = {.body = open_and_listen,
                                .argument = &refusal,
                                .fate = SYSCALL_FAIL,
                                .errnum = errnum};
    for (bool reached = true; reached && plan.at < CALLS_MAX; plan.at++) {
        prepare(&scene);
        reached = syscalls_run(&plan);
    }
    uint64_t told = *refusal.told;
    free_words(refusal.told, 1);
    return told;
}

static void
what_a_system_does_not_have_is_named(void)
{
    if (!syscalls_can_fail()) {
        printf("not run on this architecture: what is not there\n");
        return;
    }
    CHECK(count_told("hard link", EPERM) == 1);
    CHECK(count_told("F_OFD_SETLK", EINVAL) >= 2);
}

/* Another process has the space by now, and then the name. */
static void
be_faster(void)
{
    struct fmm_options options = plain();
    options.path = scratch("faster");
    fmm_close(open_cache(&options));
    REQUIRE(rename(options.path, scratch("cache")) == 0);
}

static void
open_without_space(void *unused)
{
    struct fmm_options options = plain();
    struct fmm_cache *cache = NULL;
    struct fmm_error error = {.text = ""};
    (void)unused;
    open_elsewhere();
    syscalls_begin();
    enum fmm_status status = fmm_open(&options, &cache, &error);
    syscalls_end();
    CHECK(status == FMM_OK || strstr(error.text, "reserve") == NULL);
    fmm_close(cache);
}

static void
who_finds_no_space_attaches_to_what_has_the_name_by_then(void)
{
    struct scene scene = creation();
    struct syscall_plan plan = {.body = open_without_space,
                                .fate = SYSCALL_FAIL,
                                .errnum = ENOSPC,
                                .meanwhile = be_faster};
    if (!syscalls_can_fail()) {
        printf("not run on this architecture: faults in %s\n", scene.name);
        return;
    }
    for (bool reached = true; reached && plan.at < CALLS_MAX; plan.at++) {
        prepare(&scene);
        reached = syscalls_run(&plan);
        check_usable(&scene);
        CHECK_EQ(count_files("cache"), 1);
    }
}

/* Two processes that remove the file at their ends: neither fails. */
static void
remove_it(void *argument)
{
    struct fmm_cache *cache = open_path(scratch("cache"));
    struct fmm_error error = {.text = ""};
    (void)argument;
    syscalls_begin();
    enum fmm_status status = fmm_unlink(cache, &error);
    syscalls_end();
    CHECK(status == FMM_OK || status == FMM_MISS);
    fmm_close(cache);
}

static void
a_file_that_another_removes_at_any_call_is_no_error(void)
{
    struct scene scene = {.name = "removal", .exists = true};
    struct syscall_plan plan = {
        .body = remove_it, .fate = SYSCALL_FAIL, .errnum = ENOENT};
    if (!syscalls_can_fail()) {
        printf("not run on this architecture: faults in %s\n", scene.name);
        return;
    }
    bool reached = true;
    for (; reached && plan.at < CALLS_MAX; plan.at++) {
        prepare(&scene);
        reached = syscalls_run(&plan);
    }
    CHECK(!reached && plan.at > 2);
}

static const struct check_case cases[] = {
    CASE(a_creator_may_be_killed_at_each_system_call),
    CASE(a_creator_without_unnamed_files_may_be_killed_at_each_system_call),
    CASE(a_replacer_may_be_killed_at_each_system_call),
    CASE(a_replacer_without_unnamed_files_may_be_killed_at_each_system_call),
    CASE(the_first_opener_after_a_reboot_may_be_killed_at_each_system_call),
    CASE(each_system_call_of_a_creation_may_fail),
    CASE(each_system_call_of_a_replacement_may_fail),
    CASE(each_system_call_of_an_attachment_may_fail),
    CASE(each_system_call_of_the_first_open_after_a_reboot_may_fail),
    CASE(what_a_system_does_not_have_is_named),
    CASE(who_finds_no_space_attaches_to_what_has_the_name_by_then),
    CASE(a_file_that_another_removes_at_any_call_is_no_error),
};

CHECK_MAIN(cases)
