/* Files: made whole under no name, named once, swept, locked by bytes. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmm_map.h"
#include "fmm_platform.h"

#define SIZE 65536u
#define LEFTOVER "cache.0123456789abcdef.fmmtmp"

static int
create(const char *path, bool sparse, char *name)
{
    int fd = fmm_platform_create(path, 0640, name);
    if (fd >= 0 && !fmm_platform_resize(fd, SIZE, sparse ? 0 : SIZE)) {
        int saved = errno;
        fmm_platform_discard(fd, name);
        errno = saved;
        return -1;
    }
    return fd;
}

static void
a_new_file_has_no_name_until_it_is_published(void)
{
    const char *path = scratch("cache");
    char name[FMM_PATH_SIZE];
    struct fmm_file_stat stat;
    int fd = create(path, false, name);
    REQUIRE(fd >= 0);
    CHECK(!path_exists(path));
    CHECK(fmm_platform_publish(fd, name, path, false));
    REQUIRE(fmm_platform_stat_path(path, &stat));
    CHECK(stat.regular && !stat.foreign);
    CHECK_EQ(stat.size, SIZE);
    CHECK_EQ(stat.mode, 0640);
    CHECK_EQ(stat.links, 1);
    CHECK_EQ(count_files("cache"), 1);
    fmm_platform_close(fd);
    CHECK(fmm_platform_unlink(path));
}

static void
the_mode_is_exact_whatever_the_umask(void)
{
    char name[FMM_PATH_SIZE];
    struct fmm_file_stat stat;
    mode_t old = umask(0777);
    int fd = fmm_platform_create(scratch("cache"), 0664, name);
    umask(old);
    REQUIRE(fd >= 0);
    CHECK(fmm_platform_stat(fd, &stat));
    CHECK_EQ(stat.mode, 0664);
    fmm_platform_discard(fd, name);
    CHECK_EQ(count_files("cache"), 0);
}

static void
the_first_name_wins(void)
{
    const char *path = scratch("cache");
    char name[2][FMM_PATH_SIZE];
    struct fmm_file_stat first, named;
    int one = create(path, true, name[0]), two = create(path, true, name[1]);
    REQUIRE(one >= 0 && two >= 0);
    CHECK(fmm_platform_publish(one, name[0], path, false));
    CHECK(!fmm_platform_publish(two, name[1], path, false));
    CHECK_EQ(errno, EEXIST);
    CHECK(fmm_platform_stat(one, &first));
    CHECK(fmm_platform_stat_path(path, &named));
    CHECK(first.inode == named.inode);
    CHECK(fmm_platform_publish(two, name[1], path, true)); /* replaces */
    CHECK(fmm_platform_stat_path(path, &named));
    CHECK(first.inode != named.inode);
    CHECK_EQ(count_files("cache"), 1);
    fmm_platform_close(one);
    fmm_platform_close(two);
    fmm_platform_unlink(path);
}

static uint64_t
blocks_of(int fd)
{
    struct stat status;
    REQUIRE(fstat(fd, &status) == 0);
    return (uint64_t)status.st_blocks * 512;
}

static void
space_is_reserved_unless_sparse(void)
{
    char name[FMM_PATH_SIZE];
    int fd = create(scratch("cache"), false, name);
    REQUIRE(fd >= 0);
    CHECK(blocks_of(fd) >= SIZE);
    fmm_platform_discard(fd, name);
    fd = create(scratch("cache"), true, name);
    REQUIRE(fd >= 0);
    CHECK(blocks_of(fd) < SIZE);
    fmm_platform_discard(fd, name);
}

static void
space_that_is_given_back_reads_as_zeros(void)
{
    char name[FMM_PATH_SIZE];
    unsigned char byte = 7;
    int fd = create(scratch("cache"), false, name);
    REQUIRE(fd >= 0);
    REQUIRE(pwrite(fd, &byte, 1, 0) == 1);
    REQUIRE(pwrite(fd, &byte, 1, SIZE / 2) == 1);
    uint64_t before = blocks_of(fd);
    unsigned char *map = fmm_map_file(fd, SIZE);
    REQUIRE(map != NULL);
    fmm_map_give_back(map + SIZE / 2, SIZE / 2);
    fmm_map_end(map, SIZE);
    bool given_back = blocks_of(fd) < before; /* not where it is emulated */
    REQUIRE(pread(fd, &byte, 1, SIZE / 2) == 1);
    CHECK_EQ(byte, given_back ? 0 : 7);
    REQUIRE(pread(fd, &byte, 1, 0) == 1);
    CHECK_EQ(byte, 7);
    CHECK_EQ(lseek(fd, 0, SEEK_END), SIZE);
    fmm_platform_discard(fd, name);
}

static void
fill_up(void *unused)
{
    const struct rlimit limit = {.rlim_cur = SIZE / 2, .rlim_max = SIZE / 2};
    char name[FMM_PATH_SIZE];
    (void)unused;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_EQ(create(scratch("cache"), false, name), -1);
    CHECK_EQ(errno, EFBIG);
}

static void
what_does_not_fit_leaves_nothing_behind(void)
{
    scratch("");
    join(spawn(fill_up, NULL));
    CHECK_EQ(count_files("cache"), 0);
}

static void
bad_places_are_told_by_errno(void)
{
    char name[FMM_PATH_SIZE];
    CHECK_EQ(create(scratch("no/such/directory"), true, name), -1);
    CHECK_EQ(errno, ENOENT);
    static char longest[2 * FMM_PATH_SIZE];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '/';
    longest[5000] = '/';
    CHECK_EQ(create(longest, true, name), -1);
    CHECK_EQ(errno, ENAMETOOLONG);
}

static void
an_open_file_closes_on_exec_and_follows_no_link(void)
{
    const char *path = scratch("file"), *link = scratch("link");
    close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    int fd = fmm_platform_open(path);
    REQUIRE(fd >= 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    fmm_platform_close(fd);
    REQUIRE(symlink(path, link) == 0);
    CHECK_EQ(fmm_platform_open(link), -1);
    CHECK_EQ(errno, ELOOP);
    unlink(link);
    unlink(path);
}

static void
a_short_file_is_not_read_as_a_whole_one(void)
{
    const char *path = scratch("file");
    char buffer[8] = "";
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    CHECK(fmm_platform_write(fd, "12345", 5));
    CHECK(fmm_platform_read(fd, buffer, 5));
    CHECK(memcmp(buffer, "12345", 5) == 0);
    CHECK(!fmm_platform_read(fd, buffer, 6));
    close(fd);
    unlink(path);
}

/* -------------------------------------------------------------- sweeping */

static void
touch_file(const char *name)
{
    int fd = open(scratch(name), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    close(fd);
}

static void
leftovers_of_the_same_name_are_swept_and_nothing_else(void)
{
    static const char *const others[] = {
        "cache",
        "cache.0123456789abcdef",
        "cache.0123456789abcde.fmmtmp",
        "other.0123456789abcdef.fmmtmp",
        "cache2.0123456789abcdef.fmmtmp",
        "acache.0123456789abcdef.fmmtmp",
        "cache.0123456789abcdef.fmmtmp2",
    };
    const size_t count = sizeof(others) / sizeof(others[0]);
    touch_file(LEFTOVER);
    for (size_t i = 0; i < count; i++) {
        touch_file(others[i]);
    }
    fmm_platform_sweep(scratch("cache"));
    CHECK(!path_exists(scratch(LEFTOVER)));
    for (size_t i = 0; i < count; i++) {
        CHECK(path_exists(scratch(others[i])));
        unlink(scratch(others[i]));
    }
}

static void
a_temporary_file_in_use_is_not_swept(void)
{
    touch_file(LEFTOVER);
    int fd = fmm_platform_open(scratch(LEFTOVER));
    CHECK(fmm_platform_lock_byte(fd, FMM_BYTE_PRESENCE, FMM_SHARED));
    fmm_platform_sweep(scratch("cache"));
    CHECK(path_exists(scratch(LEFTOVER)));
    fmm_platform_close(fd);
    fmm_platform_sweep(scratch("cache"));
    CHECK(!path_exists(scratch(LEFTOVER)));
}

static void
links_and_fifos_under_a_leftover_name_do_no_harm(void)
{
    touch_file("precious");
    REQUIRE(symlink(scratch("precious"), scratch(LEFTOVER)) == 0);
    fmm_platform_sweep(scratch("cache"));
    CHECK(path_exists(scratch("precious")));
    unlink(scratch(LEFTOVER));
    unlink(scratch("precious"));
    REQUIRE(mkfifo(scratch(LEFTOVER), 0600) == 0);
    fmm_platform_sweep(scratch("cache")); /* must not hang on opening it */
    unlink(scratch(LEFTOVER));
}

/* ------------------------------------------------------------ lock bytes */

static void
lock_bytes_are_by_open_file(void)
{
    touch_file("file");
    int one = fmm_platform_open(scratch("file"));
    int two = fmm_platform_open(scratch("file"));
    CHECK(fmm_platform_lock_byte(one, FMM_BYTE_PRESENCE, FMM_SHARED));
    CHECK(fmm_platform_lock_byte(two, FMM_BYTE_PRESENCE, FMM_SHARED));
    CHECK(!fmm_platform_lock_byte(two, FMM_BYTE_PRESENCE, FMM_EXCLUSIVE));
    CHECK(fmm_platform_lock_byte(two, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    CHECK(!fmm_platform_lock_byte(one, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    CHECK(fmm_platform_lock_byte(two, FMM_BYTE_OPENING, FMM_UNLOCKED));
    CHECK(fmm_platform_lock_byte(one, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    fmm_platform_close(one); /* frees what it held, not the other's */
    CHECK(fmm_platform_lock_byte(two, FMM_BYTE_PRESENCE, FMM_EXCLUSIVE));
    fmm_platform_close(two);
    unlink(scratch("file"));
}

static int inherited;

static void
close_inherited(void *unused)
{
    (void)unused;
    close(inherited);
}

static void
a_lock_byte_outlives_a_child_that_closes_it(void)
{
    touch_file("file");
    inherited = fmm_platform_open(scratch("file"));
    int other = fmm_platform_open(scratch("file"));
    CHECK(fmm_platform_lock_byte(inherited, FMM_BYTE_PRESENCE, FMM_SHARED));
    join(spawn(close_inherited, NULL));
    CHECK(!fmm_platform_lock_byte(other, FMM_BYTE_PRESENCE, FMM_EXCLUSIVE));
    close(inherited);
    close(other);
    unlink(scratch("file"));
}

static void
waiting_for_a_lock_byte_ends(void)
{
    touch_file("file");
    int one = fmm_platform_open(scratch("file"));
    int two = fmm_platform_open(scratch("file"));
    CHECK(fmm_platform_lock_byte(one, FMM_BYTE_OPENING, FMM_EXCLUSIVE));
    uint64_t began = fmm_monotonic_ms();
    CHECK(!fmm_platform_lock_byte_wait(two, FMM_BYTE_OPENING, FMM_EXCLUSIVE,
                                       30));
    CHECK(fmm_monotonic_ms() - began >= 29);
    close(one);
    CHECK(
        fmm_platform_lock_byte_wait(two, FMM_BYTE_OPENING, FMM_EXCLUSIVE, 30));
    close(two);
    unlink(scratch("file"));
}

/* ----------------------------------------------------------------- maps */

static void
a_guarded_map_survives_the_truncation_of_its_file(void)
{
    char name[FMM_PATH_SIZE];
    int fd = create(scratch("cache"), false, name);
    REQUIRE(fd >= 0);
    volatile unsigned char *base = fmm_map_file(fd, SIZE);
    void *map = (void *)(uintptr_t)base;
    REQUIRE(base != NULL);
    REQUIRE(fmm_map_trap(map, SIZE));
    base[SIZE - 1] = 7;
    CHECK(!fmm_map_damaged(map));
    REQUIRE(ftruncate(fd, 4096) == 0);
    CHECK_EQ(base[SIZE - 1], 0);
    CHECK(fmm_map_damaged(map));
    fmm_map_untrap(map);
    CHECK(!fmm_map_damaged(map));
    fmm_map_end(map, SIZE);
    fmm_platform_discard(fd, name);
}

static void
touch_unguarded(void *unused)
{
    char name[FMM_PATH_SIZE];
    int fd = create(scratch("cache"), false, name);
    volatile unsigned char *one = fmm_map_file(fd, SIZE);
    volatile unsigned char *two = fmm_map_file(fd, SIZE);
    (void)unused;
    REQUIRE(fmm_map_trap((void *)(uintptr_t)one, SIZE));
    REQUIRE(ftruncate(fd, 0) == 0);
    close(STDERR_FILENO); /* a sanitizer has its say there */
    two[0] = 1;
}

static void
the_guard_of_one_map_hides_no_fault_of_another(void)
{
    int status;
    pid_t child = spawn(touch_unguarded, NULL);
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status != 0); /* killed, or ended by a sanitizer */
}

static const struct check_case cases[] = {
    CASE(a_new_file_has_no_name_until_it_is_published),
    CASE(the_mode_is_exact_whatever_the_umask),
    CASE(the_first_name_wins),
    CASE(space_is_reserved_unless_sparse),
    CASE(space_that_is_given_back_reads_as_zeros),
    CASE(what_does_not_fit_leaves_nothing_behind),
    CASE(bad_places_are_told_by_errno),
    CASE(an_open_file_closes_on_exec_and_follows_no_link),
    CASE(a_short_file_is_not_read_as_a_whole_one),
    CASE(leftovers_of_the_same_name_are_swept_and_nothing_else),
    CASE(a_temporary_file_in_use_is_not_swept),
    CASE(links_and_fifos_under_a_leftover_name_do_no_harm),
    CASE(lock_bytes_are_by_open_file),
    CASE(a_lock_byte_outlives_a_child_that_closes_it),
    CASE(waiting_for_a_lock_byte_ends),
    CASE(a_guarded_map_survives_the_truncation_of_its_file),
    CASE(the_guard_of_one_map_hides_no_fault_of_another),
};

CHECK_MAIN(cases)
