/* A failing allocator: every n-th allocation of an open fails, be it of the
 * heap, a map or a directory stream, until nothing fails any more. The
 * linker puts these functions in the place of the C library's. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALLOCATIONS_MAX 50u

static unsigned made, fails_at;        /* allocations; 0: none fails */
static int64_t held_blocks, held_maps; /* not given back yet */

void *__real_calloc(size_t count, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);
ssize_t __real_getline(char **line, size_t *capacity, FILE *file);
DIR *__real_opendir(const char *name);
void *__real_mmap(void *at, size_t length, int protection, int flags, int fd,
                  off_t offset);
int __real_munmap(void *at, size_t length);

void *__wrap_calloc(size_t count, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);
ssize_t __wrap_getline(char **line, size_t *capacity, FILE *file);
DIR *__wrap_opendir(const char *name);
void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd,
                  off_t offset);
int __wrap_munmap(void *at, size_t length);

static bool
fails(void)
{
    made++;
    errno = ENOMEM;
    return made == fails_at;
}

void *
__wrap_calloc(size_t count, size_t size)
{
    void *block = fails() ? NULL : __real_calloc(count, size);
    held_blocks += block != NULL;
    return block;
}

char *
__wrap_strdup(const char *text)
{
    char *copy = fails() ? NULL : __real_strdup(text);
    held_blocks += copy != NULL;
    return copy;
}

void
__wrap_free(void *block)
{
    held_blocks -= block != NULL;
    __real_free(block);
}

/* It allocates for the first line; the others are short enough. */
ssize_t
__wrap_getline(char **line, size_t *capacity, FILE *file)
{
    bool first = *line == NULL;
    ssize_t length =
        first && fails() ? -1 : __real_getline(line, capacity, file);
    held_blocks += first && *line != NULL;
    return length;
}

DIR *
__wrap_opendir(const char *name)
{
    return fails() ? NULL : __real_opendir(name);
}

void *
__wrap_mmap(void *at, size_t length, int protection, int flags, int fd,
            off_t offset)
{
    void *map = fails()
                    ? MAP_FAILED
                    : __real_mmap(at, length, protection, flags, fd, offset);
    held_maps += map != MAP_FAILED;
    return map;
}

int
__wrap_munmap(void *at, size_t length)
{
    held_maps--;
    return __real_munmap(at, length);
}

/* ----------------------------------------------------------------- cases */

static struct fmm_options
options_for(bool init_file, bool sigbus_guard)
{
    return (struct fmm_options){.path = scratch("cache"),
                                .page_size = 4096,
                                .num_pages = 2,
                                .init_file = init_file,
                                .sigbus_guard = sigbus_guard};
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

static void
make_file(bool exists)
{
    struct fmm_options options = options_for(false, false);
    unlink(options.path);
    if (exists) {
        struct fmm_cache *cache = open_cache(&options);
        CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
        fmm_close(cache);
    }
}

/* What is there is what was there. */
static void
check_kept(bool existed)
{
    CHECK_EQ(path_exists(scratch("cache")), existed);
    if (existed) {
        struct fmm_cache *cache = open_path(scratch("cache"));
        CHECK(holds(cache, "key", "value"));
        check_pages(cache, true);
        fmm_close(cache);
    }
}

/* Open with allocation number `at` failing. False: it made fewer. */
static bool
open_failing(const struct fmm_options *options, bool exists, unsigned at)
{
    struct fmm_cache *cache = NULL;
    struct fmm_error error = {.text = ""};
    make_file(exists);
    const int64_t blocks = held_blocks, maps = held_maps;
    const unsigned descriptors = open_descriptors();
    made = 0;
    fails_at = at;
    enum fmm_status status = fmm_open(options, &cache, &error);
    bool reached = made >= at;
    fails_at = 0;
    if (status != FMM_OK) {
        CHECK(status == FMM_ERR_MEMORY ||
              (status == FMM_ERR_OS && error.errnum == ENOMEM));
        CHECK(error.text[0] != '\0' && cache == NULL);
        check_kept(exists);
    }
    fmm_close(cache);
    CHECK_EQ(held_blocks, blocks);
    CHECK_EQ(held_maps, maps);
    CHECK_EQ(open_descriptors(), descriptors);
    CHECK_EQ(count_files("cache"), status == FMM_OK || exists);
    CHECK(reached || status == FMM_OK);
    return reached;
}

static void
fail_each_allocation(bool init_file, bool exists)
{
    make_file(true); /* what a process allocates once, it has by now */
    for (unsigned guard = 0; guard < 2; guard++) {
        struct fmm_options options = options_for(init_file, guard == 1);
        unsigned at = 1;
        while (at < ALLOCATIONS_MAX && open_failing(&options, exists, at)) {
            at++;
        }
        CHECK(at > 2 && at < ALLOCATIONS_MAX);
        printf("%u allocations failed, each once\n", at - 1);
    }
}

static void
each_allocation_of_a_creation_may_fail(void)
{
    fail_each_allocation(false, false);
}

static void
each_allocation_of_an_attachment_may_fail(void)
{
    fail_each_allocation(false, true);
}

static void
each_allocation_of_a_replacement_may_fail_and_keeps_the_old_cache(void)
{
    fail_each_allocation(true, true);
}

/* Operations allocate nothing: none can fail for want of memory. */
static void
operations_on_an_open_cache_allocate_nothing(void)
{
    struct fmm_cache *cache = new_cache(4096, 2);
    unsigned char records[4096];
    struct fmm_scan scan = {.buffer = records, .capacity = sizeof(records)};
    uint64_t dropped = 0;
    made = 0;
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        CHECK_EQ(set_filler(cache, key, 100), FMM_OK);
        CHECK(is_filler(cache, key, 100));
    }
    CHECK_EQ(remove_text(cache, "199"), FMM_OK);
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    check_pages(cache, true);
    CHECK(!fmm_replaced(cache));
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
    CHECK_EQ(made, 0);
    fmm_close(cache);
}

static const struct check_case cases[] = {
    CASE(each_allocation_of_a_creation_may_fail),
    CASE(each_allocation_of_an_attachment_may_fail),
    CASE(each_allocation_of_a_replacement_may_fail_and_keeps_the_old_cache),
    CASE(operations_on_an_open_cache_allocate_nothing),
};

CHECK_MAIN(cases)
