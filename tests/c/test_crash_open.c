/* Every instruction of opening may be the last one of its process, too.
 *
 * A child creates a file, puts a new one in the place of an old one, or
 * takes over a file from another boot. After each of its instructions the
 * file that has the name, if one has it, is looked at by who comes next; and
 * a child is killed at each of its system calls, for between two of those no
 * name changes. */
#include "stepper.h"
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmm_header.h"
#include "fmm_process.h"

#define OPENING_S 60u
#define FILE_BYTES \
    (3u * 4096u) /* header, control blocks, one page; then the
                                  table of clients */

static struct fmm_cache *old;
static unsigned long seen_old, seen_new, named;
static ino_t known; /* the last file that was found to be in order */

/* A fresh cache of one page under the name "cache". */
static void
open_child(void *replace)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = 4096,
                                        .num_pages = 1,
                                        .init_file = replace != NULL};
    fmm_close(open_cache(&options));
}

/* The bytes under the name, as they are: a whole, empty cache at home. */
static void
check_new_file(const char *path)
{
    static unsigned char bytes[FILE_BYTES];
    struct fmm_header *header = (void *)bytes;
    struct fmm_geometry geometry;
    struct fmm_error error = {.text = ""};
    struct fmm_identity here;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0 && fstat(fd, &status) == 0);
    CHECK_EQ(read(fd, bytes, sizeof(bytes)), FILE_BYTES);
    close(fd);
    CHECK_EQ(status.st_mode & 07777, 0600);
    CHECK_EQ(
        fmm_header_check(header, (uint64_t)status.st_size, &geometry, &error),
        FMM_OK);
    CHECK_EQ(geometry.clients_at, FILE_BYTES);
    fmm_process_identity(&here);
    here.device = status.st_dev;
    here.inode = status.st_ino;
    CHECK(memcmp(&header->identity, &here, sizeof(here)) == 0);
    /* What a replaced file held may be in the user's store. */
    struct fmm_control *control = (void *)(bytes + FMM_HEADER_SIZE);
    REQUIRE(control->departed <= 1);
    control->departed = 0;
    for (size_t i = FMM_HEADER_SIZE; i < FILE_BYTES; i++) {
        REQUIRE(bytes[i] == 0);
    }
}

/* It works: what is set can be got. */
static void
check_usable(const char *path)
{
    struct fmm_cache *cache = open_path(path);
    check_pages(cache, true);
    fmm_close(cache);
}

/* ------------------------------------------------------------- stepping */

static void
look_at_the_name(void *unused)
{
    const char *path = scratch("cache");
    struct stat status;
    (void)unused;
    if (stat(path, &status) != 0) {
        CHECK(old == NULL && named == 0);
        return;
    }
    named++;
    bool is_old = old != NULL && status.st_ino == old->client.inode;
    *(is_old ? &seen_old : &seen_new) += 1;
    CHECK(!is_old || (!fmm_replaced(old) && seen_new == 0));
    if (!is_old && status.st_ino != known) {
        check_new_file(path);
        known = status.st_ino;
    }
}

static void
begin(void)
{
    unlink(scratch("cache"));
    old = NULL;
    known = 0;
    seen_old = seen_new = named = 0;
}

static void
every_step_of_creation_shows_nothing_or_a_whole_file(void)
{
    const struct stepped child = {NULL, open_child, NULL, OPENING_S};
    begin();
    unsigned long steps = step_each(&child, look_at_the_name, NULL);
    CHECK(seen_new > 0 && seen_new < steps);
    printf("steps create: %lu instructions, %lu with a name\n", steps, named);
    check_usable(scratch("cache"));
    CHECK_EQ(count_files("cache"), 1);
}

static void
every_step_of_a_replacement_shows_the_old_or_the_new_file(void)
{
    const struct stepped child = {NULL, open_child, &seen_new, OPENING_S};
    begin();
    old = new_cache(4096, 1);
    set_text(old, "key", "value");
    unsigned long steps = step_each(&child, look_at_the_name, NULL);
    CHECK(seen_old > 0 && seen_new > 0 && named == seen_old + seen_new);
    CHECK(fmm_replaced(old));
    printf("steps replace: %lu instructions, %lu after it\n", steps, seen_new);
    fmm_close(old);
    check_usable(scratch("cache"));
    CHECK_EQ(count_files("cache"), 1);
}

/* ------------------------------------------------- a file from elsewhere */

static const struct fmm_header *elsewhere; /* the whole file, mapped */

/* At home means: no lock word is left of those that it had elsewhere. */
static void
look_at_the_locks(void *unused)
{
    const struct fmm_control *control =
        (const void *)((const unsigned char *)elsewhere + FMM_HEADER_SIZE);
    struct fmm_identity here;
    (void)unused;
    fmm_process_identity(&here);
    if (memcmp(elsewhere->identity.boot_id, here.boot_id,
               sizeof(here.boot_id)) == 0) {
        named++;
        CHECK_EQ(control->lock, 0);
    }
}

static void
attach_child(void *unused)
{
    (void)unused;
    fmm_close(open_path(scratch("cache")));
}

static void
every_step_of_coming_home_clears_the_locks_first(void)
{
    const struct stepped child = {NULL, attach_child, NULL, OPENING_S};
    const unsigned char other_boot = 0x5a;
    const uint64_t lock = dead_owner();
    begin();
    struct fmm_cache *cache = new_cache(4096, 1);
    set_text(cache, "key", "value");
    fmm_close(cache);
    poke_file(scratch("cache"), offsetof(struct fmm_header, identity),
              &other_boot, 1);
    poke_file(scratch("cache"),
              FMM_HEADER_SIZE + offsetof(struct fmm_control, lock), &lock,
              sizeof(lock));
    int fd = open(scratch("cache"), O_RDONLY | O_CLOEXEC);
    elsewhere = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    REQUIRE(elsewhere != MAP_FAILED);
    unsigned long steps = step_each(&child, look_at_the_locks, NULL);
    CHECK(named > 0 && named < steps);
    printf("steps come home: %lu instructions\n", steps);
    munmap((void *)(uintptr_t)elsewhere, FILE_BYTES);
    cache = open_path(scratch("cache"));
    CHECK(holds(cache, "key", "value"));
    CHECK_EQ(set_text(cache, "key", "other"), FMM_OK);
    fmm_close(cache);
}

/* --------------------------------------------------------------- killing */

static void
a_creation_killed_at_any_call_leaves_nothing_or_a_whole_file(void)
{
    const struct stepped child = {NULL, open_child, NULL, OPENING_S};
    unsigned long n = 1, complete = 0;
    for (begin(); kill_at_call(&child, n); n++, unlink(scratch("cache"))) {
        complete += path_exists(scratch("cache"));
        if (path_exists(scratch("cache"))) {
            check_new_file(scratch("cache"));
        }
        open_child(NULL);
        check_usable(scratch("cache"));
        CHECK_EQ(count_files("cache"), 1);
    }
    CHECK(complete > 0 && n > complete + 1);
    printf("kills create: %lu calls, %lu with a file\n", n - 1, complete);
}

static void
a_replacement_killed_at_any_call_leaves_the_old_or_the_new_file(void)
{
    const struct stepped child = {NULL, open_child, &seen_new, OPENING_S};
    unsigned long n = 1, new = 0;
    begin();
    for (;; n++) {
        unlink(scratch("cache"));
        old = new_cache(4096, 1);
        set_text(old, "key", "value");
        bool killed = kill_at_call(&child, n);
        struct fmm_cache *cache = open_path(scratch("cache"));
        bool is_old = cache->client.inode == old->client.inode;
        CHECK_EQ(holds(cache, "key", "value"), is_old);
        CHECK_EQ(fmm_replaced(old), !is_old);
        new += !is_old;
        check_pages(cache, true);
        fmm_close(cache);
        fmm_close(old);
        open_child(&seen_new); /* sweeps what was left */
        CHECK_EQ(count_files("cache"), 1);
        if (!killed) {
            break;
        }
    }
    CHECK(new > 1 && n > new);
    printf("kills replace: %lu calls, %lu with the new file\n", n - 1,
           new - 1);
}

static const struct check_case cases[] = {
    CASE(every_step_of_creation_shows_nothing_or_a_whole_file),
    CASE(every_step_of_a_replacement_shows_the_old_or_the_new_file),
    CASE(every_step_of_coming_home_clears_the_locks_first),
    CASE(a_creation_killed_at_any_call_leaves_nothing_or_a_whole_file),
    CASE(a_replacement_killed_at_any_call_leaves_the_old_or_the_new_file),
};

CHECK_MAIN(cases)
