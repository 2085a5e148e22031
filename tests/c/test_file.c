/* Opening: create, attach, replace, identity, and whatever else may lie
 * under the name. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmm_platform.h"
#include "fmm_process.h"

#define IDENTITY offsetof(struct fmm_header, identity)
#define RETIRED offsetof(struct fmm_header, retired)

static const struct fmm_options *
small(void)
{
    static struct fmm_options options;
    options = (struct fmm_options){
        .path = scratch("cache"), .page_size = 4096, .num_pages = 2};
    return &options;
}

/* A closed cache file with one entry. */
static const char *
make_file(void)
{
    struct fmm_cache *cache = new_cache(4096, 2);
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    fmm_close(cache);
    return scratch("cache");
}

static struct fmm_error
check_refused(const struct fmm_options *options, enum fmm_status status,
              int errnum)
{
    struct fmm_cache *cache = NULL;
    struct fmm_error error = {.text = ""};
    CHECK_EQ(fmm_open(options, &cache, &error), status);
    CHECK(cache == NULL);
    CHECK_EQ(error.status, status);
    CHECK_EQ(error.errnum, errnum);
    CHECK(error.text[0] != '\0');
    return error;
}

static struct fmm_error
check_path_refused(const char *path, enum fmm_status status, int errnum)
{
    const struct fmm_options options = {
        .path = path, .page_size = 4096, .num_pages = 2};
    return check_refused(&options, status, errnum);
}

/* ------------------------------------------------------ create, attach */

static void
a_missing_file_is_created_and_then_attached(void)
{
    struct fmm_info info;
    struct fmm_file_stat stat;
    unlink(small()->path);
    struct fmm_cache *cache = open_cache(small());
    fmm_info(cache, &info);
    CHECK(info.created && info.page_size == 4096 && info.num_pages == 2);
    REQUIRE(fmm_platform_stat_path(small()->path, &stat));
    CHECK_EQ(stat.mode, 0600);
    CHECK_EQ(stat.size, info.file_size);
    CHECK(stat.inode == info.inode && stat.device == info.device);
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    struct fmm_cache *again = open_path(small()->path);
    fmm_info(again, &info);
    CHECK(!info.created);
    CHECK(holds(again, "key", "value"));
    CHECK_EQ(set_text(again, "key", "other"), FMM_OK);
    CHECK(holds(cache, "key", "other"));
    fmm_close(cache);
    fmm_close(again);
    fmm_close(NULL);
    CHECK_EQ(count_files("cache"), 1);
}

static void
a_file_outlives_its_users(void)
{
    make_file();
    for (int i = 0; i < 3; i++) {
        struct fmm_cache *cache = open_path(scratch("cache"));
        CHECK(holds(cache, "key", "value"));
        fmm_close(cache);
    }
}

static void
a_mode_that_is_asked_for_is_exact(void)
{
    struct fmm_file_stat stat;
    struct fmm_options options = *small();
    options.mode = 0644;
    unlink(options.path);
    mode_t old = umask(0077);
    fmm_close(open_cache(&options));
    umask(old);
    REQUIRE(fmm_platform_stat_path(options.path, &stat));
    CHECK_EQ(stat.mode, 0644);
    fmm_close(open_cache(&options)); /* readable by others is no harm */
}

static void
must_exist_creates_nothing(void)
{
    const struct fmm_options options = {.path = scratch("missing"),
                                        .must_exist = true};
    check_refused(&options, FMM_ERR_OS, ENOENT);
    CHECK(!path_exists(options.path));
}

static void
inspect_creates_nothing(void)
{
    const struct fmm_options options = {.path = scratch("unseen"),
                                        .inspect = true};
    check_refused(&options, FMM_ERR_OS, ENOENT);
    CHECK(!path_exists(options.path));
}

static void
names_are_recorded_and_compared(void)
{
    struct fmm_info info;
    struct fmm_options options = *small();
    options.serializer = "json";
    options.compressor = "zlib";
    unlink(options.path);
    struct fmm_cache *cache = open_cache(&options);
    fmm_info(cache, &info);
    CHECK(strcmp(info.serializer, "json") == 0);
    CHECK(strcmp(info.compressor, "zlib") == 0);
    fmm_close(cache);
    options.serializer = "pickle";
    check_refused(&options, FMM_ERR_FORMAT, 0);
    options.serializer = NULL;
    fmm_close(open_cache(&options));
    options.num_pages = 3;
    check_refused(&options, FMM_ERR_FORMAT, 0);
    options.num_pages = 0;
    options.page_size = 1;
    check_refused(&options, FMM_ERR_ARGUMENT, 0);
    unlink(options.path);
}

static void
a_name_that_does_not_fit_the_header_is_refused(void)
{
    struct fmm_options options = *small();
    options.serializer = "a-serializer-with-32-bytes-of-it";
    unlink(options.path);
    check_refused(&options, FMM_ERR_ARGUMENT, 0);
    options.serializer = "a-serializer-with-31-bytes-in-i";
    fmm_close(open_cache(&options));
    fmm_close(open_cache(&options));
    unlink(options.path);
}

static void
a_sparse_file_may_be_larger_than_four_gigabytes(void)
{
    const struct fmm_options options = {.path = scratch("large"),
                                        .cache_size = UINT64_C(5) << 30,
                                        .sparse = true};
    struct fmm_cache *cache = open_cache(&options);
    struct fmm_info info;
    fmm_info(cache, &info);
    CHECK(info.file_size > UINT64_C(5) << 30);
    for (int i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        CHECK_EQ(set_text(cache, key, key), FMM_OK);
        CHECK(holds(cache, key, key));
    }
    fmm_close(cache);
    unlink(options.path);
}

static void
create_without_space(void *unused)
{
    const struct fmm_options options = {.path = scratch("cache")};
    const struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
    (void)unused;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    struct fmm_error error = check_refused(&options, FMM_ERR_OS, EFBIG);
    CHECK(strstr(error.text, "files may not be that large") != NULL);
}

static void
a_lack_of_space_is_told_at_creation(void)
{
    unlink(scratch("cache"));
    join(spawn(create_without_space, NULL));
    CHECK_EQ(count_files("cache"), 0);
}

/* --------------------------------------------------- not a cache to open */

static void
a_directory_device_fifo_or_link_is_refused(void)
{
    const char *path = scratch("odd");
    check_path_refused(scratch(""), FMM_ERR_OS, EISDIR);
    check_path_refused("/dev/null", FMM_ERR_FORMAT, 0);
    REQUIRE(mkfifo(path, 0600) == 0);
    check_path_refused(path, FMM_ERR_FORMAT, 0);
    unlink(path);
    make_file();
    REQUIRE(symlink(scratch("cache"), path) == 0);
    check_path_refused(path, FMM_ERR_OS, ELOOP);
    unlink(path);
    REQUIRE(symlink(scratch("nowhere"), path) == 0);
    check_path_refused(path, FMM_ERR_OS, ELOOP);
    CHECK(!path_exists(scratch("nowhere")));
    unlink(path);
    check_path_refused(scratch("no/directory"), FMM_ERR_OS, ENOENT);
    check_path_refused(scratch("cache/file"), FMM_ERR_OS, ENOTDIR);
}

static void
a_file_that_is_not_ours_is_left_alone(void)
{
    char text[100] = "Dear diary";
    const char *path = scratch("diary");
    struct fmm_options options = {.path = path, .init_file = true};
    close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    poke_file(path, 0, text, sizeof(text));
    check_refused(&options, FMM_ERR_FORMAT, 0);
    options.init_file = false;
    check_refused(&options, FMM_ERR_FORMAT, 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char found[100];
    CHECK(fmm_platform_read(fd, found, sizeof(found)));
    CHECK(memcmp(found, text, sizeof(text)) == 0);
    close(fd);
    unlink(path);
}

static void
an_empty_file_is_taken_over(void)
{
    const char *path = scratch("cache");
    unlink(path);
    close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    struct fmm_cache *cache = open_cache(small());
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    fmm_close(cache);
    cache = open_path(path);
    CHECK(holds(cache, "key", "value"));
    fmm_close(cache);
    CHECK_EQ(count_files("cache"), 1);
}

static void
a_truncated_file_is_refused_until_replaced(void)
{
    const off_t sizes[] = {9, 100, 4095, 4096, 8192, 12288};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct fmm_options options = *small();
        make_file();
        REQUIRE(truncate(options.path, sizes[i]) == 0);
        check_refused(&options, FMM_ERR_FORMAT, 0);
        options.init_file = true;
        fmm_close(open_cache(&options));
    }
}

static void
foreign_header_fields_are_refused(void)
{
    static const struct {
        uint64_t offset;
        uint32_t word;
    } fields[] = {
        {offsetof(struct fmm_header, byte_order), 0x04030201},
        {offsetof(struct fmm_header, word_size), 4},
        {offsetof(struct fmm_header, header_size), 8192},
        {offsetof(struct fmm_header, file_size), 4096},
        {offsetof(struct fmm_header, page_size), 8192},
        {offsetof(struct fmm_header, num_pages), 1},
        {offsetof(struct fmm_header, buckets), 1},
        {offsetof(struct fmm_header, seed), 0},
        {offsetof(struct fmm_header, created_ms), 0},
        {offsetof(struct fmm_header, serializer), 0x41414141},
        {offsetof(struct fmm_header, compressor), 0x41414141},
        {offsetof(struct fmm_header, checksum), 0},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *path = make_file();
        poke_file(path, fields[i].offset, &fields[i].word, 4);
        check_path_refused(path, FMM_ERR_FORMAT, 0);
    }
}

static void
other_versions_are_refused(void)
{
    static const uint32_t versions[] = {FMM_VERSION - 1, FMM_VERSION + 1, 0};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        const char *path = make_file();
        poke_file(path, offsetof(struct fmm_header, version), &versions[i], 4);
        check_path_refused(path, FMM_ERR_VERSION, 0);
    }
}

static void
what_others_could_write_is_refused_unless_allowed(void)
{
    struct fmm_options options = *small();
    make_file();
    REQUIRE(chmod(options.path, 0620) == 0);
    check_refused(&options, FMM_ERR_OS, EACCES);
    REQUIRE(chmod(options.path, 0602) == 0);
    check_refused(&options, FMM_ERR_OS, EACCES);
    options.allow_shared = true;
    fmm_close(open_cache(&options));
    options.allow_shared = false;
    REQUIRE(chmod(options.path, 0644) == 0);
    fmm_close(open_cache(&options));
}

/* Only root can make a file of somebody else. */
static void
a_file_of_another_user_is_refused_unless_allowed(void)
{
    struct fmm_options options = *small();
    make_file();
    if (geteuid() == 0 && chown(options.path, 65534, 65534) == 0) {
        check_refused(&options, FMM_ERR_OS, EACCES);
        options.allow_shared = true;
        fmm_close(open_cache(&options));
    }
    unlink(options.path);
}

/* -------------------------------------------------------------- replace */

static void
a_replaced_file_is_seen_as_retired_by_its_users(void)
{
    struct fmm_options options = *small();
    struct fmm_key key;
    struct fmm_meta meta;
    char buffer[16];
    make_file();
    struct fmm_cache *old = open_path(options.path);
    CHECK(!fmm_replaced(old));
    options.init_file = true;
    struct fmm_cache *new = open_cache(&options);
    key = text_key(old, "key");
    CHECK_EQ(fmm_get(old, &call, &key, buffer, sizeof(buffer), &meta),
             FMM_RETIRED);
    CHECK_EQ(fmm_exists(old, &call, &key, NULL), FMM_RETIRED);
    CHECK_EQ(set_text(old, "key", "late"), FMM_RETIRED);
    CHECK_EQ(remove_text(old, "key"), FMM_RETIRED);
    CHECK(fmm_replaced(old));
    CHECK(!fmm_replaced(new) && !has(new, "key"));
    fmm_close(old);
    old = open_path(options.path);
    CHECK_EQ(set_text(new, "key", "shared"), FMM_OK);
    CHECK(holds(old, "key", "shared"));
    fmm_close(old);
    fmm_close(new);
    CHECK_EQ(count_files("cache"), 1);
}

static void
a_file_that_was_removed_and_made_again_is_noticed(void)
{
    make_file();
    struct fmm_cache *old = open_path(scratch("cache"));
    unlink(scratch("cache"));
    CHECK(!fmm_replaced(old)); /* gone, but nothing to open instead */
    CHECK(holds(old, "key", "value"));
    struct fmm_cache *new = open_cache(small());
    CHECK(fmm_replaced(old));
    CHECK_EQ(fmm_unlink(old, NULL), FMM_MISS); /* not its name any more */
    CHECK(path_exists(scratch("cache")));
    CHECK_EQ(fmm_unlink(new, NULL), FMM_OK);
    CHECK(!path_exists(scratch("cache")));
    fmm_close(old);
    fmm_close(new);
}

static void
a_retired_mark_on_a_file_that_has_the_name_means_nothing(void)
{
    const uint32_t mark = 1;
    const char *path = make_file();
    poke_file(path, RETIRED, &mark, sizeof(mark));
    struct fmm_cache *cache = open_path(path);
    CHECK(holds(cache, "key", "value"));
    fmm_close(cache);
}

static void
stale_temporary_files_are_swept_at_creation(void)
{
    const char *left = scratch("cache.00000000deadbeef.fmmtmp");
    close(open(left, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    fmm_close(new_cache(4096, 2));
    CHECK(!path_exists(left));
}

static void
only_unused_cache_files_are_swept_by_path(void)
{
    const char *path = make_file();
    struct fmm_cache *cache = open_path(path);
    CHECK(!fmm_sweep(path));
    fmm_close(cache);
    close(open(scratch("note"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    CHECK(!fmm_sweep(scratch("note")));
    CHECK(!fmm_sweep(scratch("nothing")));
    CHECK(fmm_sweep(path));
    CHECK(!path_exists(path));
    unlink(scratch("note"));
}

/* ------------------------------------------------------------- identity */

static void
a_copied_file_opens_with_its_entries(void)
{
    struct fmm_cache *original;
    make_file();
    original = open_path(scratch("cache"));
    copy_file(scratch("cache"), scratch("copy"));
    struct fmm_cache *copy = open_path(scratch("copy"));
    CHECK(holds(copy, "key", "value"));
    CHECK_EQ(set_text(copy, "key", "other"), FMM_OK);
    CHECK(holds(original, "key", "value"));
    check_pages(copy, true);
    fmm_close(copy);
    fmm_close(original);
    unlink(scratch("copy"));
}

/* After a reboot lock words name processes that are others now. */
static void
lock_words_of_another_boot_are_cleared(void)
{
    const unsigned char boot[16] = {1, 2, 3};
    const char *path = make_file();
    const uint64_t owner = dead_owner();
    poke_file(path, IDENTITY, boot, sizeof(boot));
    for (uint64_t n = 0; n < 2; n++) {
        poke_file(path,
                  FMM_HEADER_SIZE + n * FMM_CONTROL_SIZE +
                      offsetof(struct fmm_control, lock),
                  &owner, sizeof(owner));
    }
    struct fmm_cache *cache = open_path(path);
    const struct fmm_call once = {.now_ms = call.now_ms};
    CHECK_EQ(count_values(cache, &once, 0) + count_values(cache, &once, 1), 1);
    fmm_close(cache);
    cache = open_path(path); /* at home now */
    CHECK(holds(cache, "key", "value"));
    fmm_close(cache);
}

static void
a_file_in_use_elsewhere_is_refused(void)
{
    const unsigned char boot[16] = {1, 2, 3};
    const char *path = make_file();
    struct fmm_cache *cache = open_path(path);
    poke_file(path, IDENTITY, boot, sizeof(boot));
    struct fmm_error error = check_path_refused(path, FMM_ERR_FORMAT, 0);
    CHECK(strstr(error.text, "another host") != NULL);
    fmm_close(cache);
    fmm_close(open_path(path));
}

/* A boot id that cannot be read is not another boot. */
static void
a_file_in_use_that_says_no_boot_is_shared(void)
{
    const unsigned char boot[16] = {0};
    const char *path = make_file();
    struct fmm_cache *cache = open_path(path);
    poke_file(path, IDENTITY, boot, sizeof(boot));
    struct fmm_cache *other = open_path(path);
    CHECK(holds(other, "key", "value"));
    fmm_close(other);
    fmm_close(cache);
}

/* --------------------------------------------------------------- damage */

static void
verify_empties_bad_pages_and_keeps_the_rest(void)
{
    struct fmm_options options = *small();
    const uint64_t wild = UINT64_C(1) << 50;
    struct fmm_cache *cache = new_cache(4096, 2);
    char key[16];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "%d", i);
        CHECK_EQ(set_text(cache, key, "x"), FMM_OK);
    }
    fmm_close(cache);
    poke_file(options.path,
              FMM_HEADER_SIZE + offsetof(struct fmm_control, head), &wild,
              sizeof(wild));
    options.verify = true;
    cache = open_cache(&options);
    struct fmm_info info;
    fmm_info(cache, &info);
    CHECK_EQ(info.repaired, 1);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "%d", i);
        CHECK_EQ(has(cache, key), text_key(cache, key).page == 1);
    }
    check_pages(cache, true);
    fmm_close(cache);
}

static void
a_guarded_cache_survives_its_truncation(void)
{
    struct fmm_options options = *small();
    make_file();
    options.sigbus_guard = true;
    struct fmm_cache *cache = open_cache(&options);
    CHECK(holds(cache, "key", "value"));
    REQUIRE(truncate(options.path, 0) == 0);
    CHECK(!has(cache, "key"));
    set_text(cache, "key", "again");
    CHECK(fmm_damaged(cache));
    fmm_close(cache);
    unlink(options.path);
}

static const struct check_case cases[] = {
    CASE(a_missing_file_is_created_and_then_attached),
    CASE(a_file_outlives_its_users),
    CASE(a_mode_that_is_asked_for_is_exact),
    CASE(must_exist_creates_nothing),
    CASE(inspect_creates_nothing),
    CASE(names_are_recorded_and_compared),
    CASE(a_name_that_does_not_fit_the_header_is_refused),
    CASE(a_sparse_file_may_be_larger_than_four_gigabytes),
    CASE(a_lack_of_space_is_told_at_creation),
    CASE(a_directory_device_fifo_or_link_is_refused),
    CASE(a_file_that_is_not_ours_is_left_alone),
    CASE(an_empty_file_is_taken_over),
    CASE(a_truncated_file_is_refused_until_replaced),
    CASE(foreign_header_fields_are_refused),
    CASE(other_versions_are_refused),
    CASE(what_others_could_write_is_refused_unless_allowed),
    CASE(a_file_of_another_user_is_refused_unless_allowed),
    CASE(a_replaced_file_is_seen_as_retired_by_its_users),
    CASE(a_file_that_was_removed_and_made_again_is_noticed),
    CASE(a_retired_mark_on_a_file_that_has_the_name_means_nothing),
    CASE(stale_temporary_files_are_swept_at_creation),
    CASE(only_unused_cache_files_are_swept_by_path),
    CASE(a_copied_file_opens_with_its_entries),
    CASE(lock_words_of_another_boot_are_cleared),
    CASE(a_file_in_use_elsewhere_is_refused),
    CASE(a_file_in_use_that_says_no_boot_is_shared),
    CASE(verify_empties_bad_pages_and_keeps_the_rest),
    CASE(a_guarded_cache_survives_its_truncation),
};

CHECK_MAIN(cases)
