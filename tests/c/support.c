#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILD_SECONDS 60u
#define PATH_BYTES 256
#define FILLER_MAX (1u << 20)

struct fmm_call call = {.wait_ms = 20000};

/* Before any case: cases may ask for the time before they open. */
__attribute__((constructor)) static void
start_clock(void)
{
    call.now_ms = fmm_now_ms() + 1;
}

/* -------------------------------------------------------- scratch files */

static char directory[PATH_BYTES];
static pid_t directory_owner;

static void
remove_directory(void)
{
    if (getpid() != directory_owner) {
        return;
    }
    DIR *stream = opendir(directory);
    struct dirent *item;
    while (stream != NULL && (item = readdir(stream)) != NULL) {
        if (unlinkat(dirfd(stream), item->d_name, 0) != 0) {
            unlinkat(dirfd(stream), item->d_name, AT_REMOVEDIR);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    rmdir(directory);
}

static void
make_directory(void)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL) {
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    }
    snprintf(directory, sizeof(directory), "%s/fmmtest.XXXXXX", parent);
    REQUIRE(mkdtemp(directory) != NULL);
    directory_owner = getpid();
    atexit(remove_directory);
}

const char *
scratch(const char *name)
{
    static char paths[8][PATH_BYTES + 64];
    static unsigned next;
    if (directory[0] == '\0') {
        make_directory();
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

bool
path_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

unsigned
count_files(const char *name)
{
    unsigned count = 0;
    struct dirent *item;
    DIR *stream = opendir(directory);
    REQUIRE(stream != NULL);
    while ((item = readdir(stream)) != NULL) {
        count += strncmp(item->d_name, name, strlen(name)) == 0;
    }
    closedir(stream);
    return count;
}

void
copy_file(const char *from, const char *to)
{
    char buffer[4096];
    ssize_t length;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(in >= 0 && out >= 0);
    while ((length = read(in, buffer, sizeof(buffer))) > 0) {
        REQUIRE(write(out, buffer, (size_t)length) == length);
    }
    close(in);
    close(out);
}

void
poke_file(const char *path, uint64_t offset, const void *bytes, size_t length)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    REQUIRE(fd >= 0);
    REQUIRE(pwrite(fd, bytes, length, (off_t)offset) == (ssize_t)length);
    close(fd);
}

/* --------------------------------------------------------------- caches */

struct fmm_cache *
open_cache(const struct fmm_options *options)
{
    struct fmm_cache *cache = NULL;
    struct fmm_error error = {.text = ""};
    enum fmm_status status = fmm_open(options, &cache, &error);
    if (!CHECK_EQ(status, FMM_OK)) {
        fprintf(stderr, "    %s\n", error.text);
    }
    REQUIRE(cache != NULL);
    return cache;
}

struct fmm_cache *
open_path(const char *path)
{
    const struct fmm_options options = {.path = path, .must_exist = true};
    return open_cache(&options);
}

struct fmm_cache *
new_cache(uint64_t page_size, uint32_t num_pages)
{
    const struct fmm_options options = {
        .path = scratch("cache"),
        .page_size = page_size,
        .num_pages = num_pages,
        .init_file = true,
    };
    return open_cache(&options);
}

uint64_t
dead_owner(void)
{
    return UINT64_C(77) << FMM_OWNER_GENERATION_SHIFT |
           3u << FMM_OWNER_ENTRY_SHIFT;
}

/* So that nothing of the cache lies behind its last page. */
static struct fmm_client_entry heap_clients[FMM_CLIENTS];

struct fmm_cache *
heap_cache(uint64_t page_size, uint32_t num_pages, uint32_t buckets)
{
    struct fmm_cache *cache = calloc(1, sizeof(*cache));
    REQUIRE(cache != NULL);
    REQUIRE(
        fmm_geometry_layout(page_size, num_pages, buckets, &cache->geometry));
    size_t size = cache->geometry.clients_at;
    cache->base = aligned_alloc(FMM_HEADER_SIZE, size);
    REQUIRE(cache->base != NULL);
    memset(cache->base, 0, size);
    cache->header = (struct fmm_header *)(void *)cache->base;
    cache->seed[0] = 1;
    cache->seed[1] = 2;
    cache->client = (struct fmm_client){.fd = -1,
                                        .alone = true,
                                        .base = cache->base,
                                        .header = cache->header,
                                        .table = heap_clients};
    cache->created_ms = call.now_ms / 1000 * 1000;
    return cache;
}

void
heap_cache_free(struct fmm_cache *cache)
{
    free(cache->base);
    free(cache);
}

void
keep_index(struct fmm_cache *cache)
{
    struct fmm_geometry *geometry = &cache->geometry;
    geometry->main_least = geometry->ring_size[FMM_RING_M];
}

void
view_page(struct fmm_cache *cache, uint32_t number, struct fmm_page *page_out)
{
    fmm_page_view(cache->base, &cache->geometry, number, page_out);
}

/* ----------------------------------------------------------- operations */

const char *
name_of(char kind, unsigned n)
{
    static char name[16];
    snprintf(name, sizeof(name), "%c%07u", kind, n);
    return name;
}

struct fmm_key
text_key(const struct fmm_cache *cache, const char *text)
{
    struct fmm_key key;
    fmm_key_init(cache, &key, text, strlen(text), FMM_KEY_TEXT);
    return key;
}

struct fmm_value
text_value(const char *text)
{
    return (struct fmm_value){.data = text, .len = strlen(text), .type = 3};
}

enum fmm_status
set_text_as(struct fmm_cache *cache, const char *key, const char *value,
            const struct fmm_store_options *store)
{
    struct fmm_key k = text_key(cache, key);
    struct fmm_value v = text_value(value);
    struct fmm_ticket ticket;
    return fmm_set(cache, &call, &k, &v, store, &ticket);
}

enum fmm_status
set_text(struct fmm_cache *cache, const char *key, const char *value)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    return set_text_as(cache, key, value, &store);
}

enum fmm_status
take_lease(struct fmm_cache *cache, const struct fmm_key *key, uint64_t ms,
           bool refresh, struct fmm_lease *lease, struct fmm_ticket *ticket)
{
    const struct fmm_lease_request request = {.duration_ms = ms,
                                              .refresh = refresh};
    return fmm_lease_take(cache, &call, key, &request, lease, ticket);
}

enum fmm_status
end_lease(struct fmm_cache *cache, const struct fmm_key *key, uint64_t token)
{
    bool sure;
    return fmm_lease_release(cache, &call, key, token, &sure);
}

static unsigned char filler[FILLER_MAX], found_filler[FILLER_MAX];

static void
fill(const char *key, size_t length)
{
    uint64_t x = strlen(key);
    for (const char *at = key; *at != '\0'; at++) {
        x = x * 31 + (unsigned char)*at;
    }
    for (size_t i = 0; i < length; i++) {
        x = x * UINT64_C(6364136223846793005) + 1;
        filler[i] = (unsigned char)(x >> 56);
    }
}

enum fmm_status
set_filler(struct fmm_cache *cache, const char *key, size_t length)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    struct fmm_key k = text_key(cache, key);
    struct fmm_value v = {.data = filler, .len = length, .type = 2};
    struct fmm_ticket ticket = {.displaced = {.count = 0}};
    REQUIRE(length <= FILLER_MAX);
    fill(key, length);
    enum fmm_status status = fmm_set(cache, &call, &k, &v, &store, &ticket);
    fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
    return status;
}

bool
is_filler(struct fmm_cache *cache, const char *key, size_t length)
{
    struct fmm_key k = text_key(cache, key);
    struct fmm_meta meta;
    REQUIRE(length <= FILLER_MAX);
    fill(key, length);
    return fmm_get(cache, &call, &k, found_filler, FILLER_MAX, &meta) ==
               FMM_OK &&
           meta.value_len == length &&
           memcmp(found_filler, filler, length) == 0;
}

bool
holds(struct fmm_cache *cache, const char *key, const char *value)
{
    struct fmm_key k = text_key(cache, key);
    struct fmm_meta meta;
    char buffer[1024];
    return fmm_get(cache, &call, &k, buffer, sizeof(buffer), &meta) ==
               FMM_OK &&
           meta.value_len == strlen(value) &&
           memcmp(buffer, value, meta.value_len) == 0;
}

bool
has(struct fmm_cache *cache, const char *key)
{
    struct fmm_key k = text_key(cache, key);
    return fmm_exists(cache, &call, &k, NULL) == FMM_OK;
}

enum fmm_status
remove_text(struct fmm_cache *cache, const char *key)
{
    const struct fmm_removal removal = {.has_modseq = false};
    struct fmm_key k = text_key(cache, key);
    struct fmm_ticket ticket;
    return fmm_remove(cache, &call, &k, &removal, NULL, &ticket);
}

uint64_t
count_values(struct fmm_cache *cache, const struct fmm_call *when,
             uint32_t page)
{
    struct fmm_scan scan = {.buffer = NULL};
    struct fmm_meta meta;
    const void *key, *value;
    uint64_t count = 0;
    enum fmm_status status = fmm_scan_page(cache, when, page, &scan);
    if (status == FMM_TOO_SMALL) {
        scan.capacity = scan.used;
        scan.buffer = malloc(scan.capacity);
        REQUIRE(scan.buffer != NULL);
        status = fmm_scan_page(cache, when, page, &scan);
    }
    CHECK_EQ(status, FMM_OK);
    while (fmm_scan_next(&scan, &meta, &key, &value)) {
        count++;
    }
    free(scan.buffer);
    return count;
}

void
check_pages(struct fmm_cache *cache, bool counted)
{
    for (uint32_t n = 0; n < cache->geometry.num_pages; n++) {
        struct fmm_page_report report;
        REQUIRE(fmm_check_page(cache, &call, n, false, &report) == FMM_OK);
        bool sound = CHECK_EQ(report.bad_slots, 0);
        sound = CHECK(!report.bad_rings) && sound;
        sound = CHECK(!counted || !report.miscounted) && sound;
        if (!sound) {
            struct fmm_page page;
            view_page(cache, n, &page);
            fprintf(stderr,
                    "    page %u: %s; counted, and there: %" PRIu64
                    ", %" PRIu64 " entries, %" PRIu64 ", %" PRIu64
                    " internal, %" PRIu64 ", %" PRIu64 " bytes\n",
                    n, report.text, page.control->entries, report.entries,
                    page.control->internal, report.internal,
                    fmm_page_live(&page), report.live_bytes);
        }
    }
}

struct fmm_stats
stats_of(const struct fmm_cache *cache)
{
    struct fmm_stats stats;
    fmm_stats_read(cache, &stats);
    return stats;
}

/* ------------------------------------------------------------- children */

pid_t
spawn(void (*body)(void *), void *argument)
{
    fflush(stdout);
    pid_t parent = getpid();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        unsigned long before = check_failures();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        check_deadline(CHILD_SECONDS);
        body(argument);
        _exit(check_failures() == before ? 0 : 1);
    }
    return child;
}

void
join(pid_t child)
{
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
}

void
kill_child(pid_t child)
{
    kill(child, SIGKILL);
    REQUIRE(waitpid(child, NULL, 0) == child);
}

void
sleep_ms(unsigned ms)
{
    const struct timespec span = {.tv_sec = ms / 1000,
                                  .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&span, NULL);
}

fmm_word64 *
shared_words(size_t count)
{
    void *words = mmap(NULL, count * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(words != MAP_FAILED);
    return words;
}

void
free_words(fmm_word64 *words, size_t count)
{
    munmap((void *)(uintptr_t)words, count * sizeof(uint64_t));
}
