/* Any file at fmm_open(), opened with any options, and used if it opens.
 *
 * The input: 16 bytes of options, 48 of choices, then the fields of the
 * header without the zeros between them, then the file from its 4096th byte
 * on. */
#include "hostile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmm_hash.h"
#include "fmm_process.h"
#include "fuzz.h"

#define OPTIONS_SIZE 16u
#define FIXED_SIZE 144u /* of the header: up to its checksum */
#define IDENTITY_AT (IMAGE_PREFIX + FIXED_SIZE)
#define RETIRED_AT (IDENTITY_AT + sizeof(struct fmm_identity))
#define CLIENTS_AT (RETIRED_AT + 4u)
#define BODY_AT (CLIENTS_AT + 4u)
#define SIZE_MAX_OF_FILE (UINT64_C(2) << 20)

enum of_file { /* bits of byte 0: what the file is like */
               FILE_IS_AT_HOME = 1,
               FILE_IS_WHOLE = 2, /* as large as its header says */
               FILE_IS_LINKED = 4,
               FILE_IS_PUBLIC = 8,
               FILE_SHRINKS = 16 /* while it is open */
};

enum of_options { /* bits of byte 1: what is asked for */
                  ASK_VERIFY = 1,
                  ASK_INIT = 2,
                  ASK_EXISTING = 4,
                  ASK_SHARED = 8,
                  ASK_GUARD = 16
};

enum of_sizes { /* bits of byte 2: which sizes are asked for */
                ASK_PAGE_SIZE = 1,
                ASK_PAGES = 2,
                ASK_SLOTS = 4,
                ASK_SERIALIZER = 8,
                ASK_COMPRESSOR = 16,
                ASK_FOLLOWS = 32,
                ASK_ENTRY_SIZE = 64
};

static void
load_header(struct fmm_header *header, const uint8_t *data, size_t size)
{
    memset(header, 0, sizeof(*header));
    input_copy(header, FIXED_SIZE, data, size, IMAGE_PREFIX);
    input_copy(&header->identity, sizeof(header->identity), data, size,
               IDENTITY_AT);
    uint32_t retired;
    input_copy(&retired, sizeof(retired), data, size, RETIRED_AT);
    header->retired = retired;
    uint32_t clients;
    input_copy(&clients, sizeof(clients), data, size, CLIENTS_AT);
    header->clients = clients;
}

static uint64_t
size_of_file(const struct fmm_header *header, const uint8_t *data, size_t size)
{
    if ((data[0] & FILE_IS_WHOLE) && header->file_size <= SIZE_MAX_OF_FILE) {
        return header->file_size;
    }
    return size > BODY_AT ? FMM_HEADER_SIZE + size - BODY_AT : size * 16;
}

static void
write_file(const char *path, const uint8_t *data, size_t size)
{
    struct fmm_header header;
    struct stat status;
    load_header(&header, data, size);
    uint64_t length = size_of_file(&header, data, size);
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && fstat(fd, &status) == 0);
    if (data[0] & FILE_IS_AT_HOME) {
        fmm_process_identity(&header.identity);
        header.identity.device = status.st_dev;
        header.identity.inode = status.st_ino;
    }
    REQUIRE(pwrite(fd, &header, sizeof(header), 0) == sizeof(header));
    if (size > BODY_AT) {
        ssize_t rest = (ssize_t)(size - BODY_AT);
        REQUIRE(pwrite(fd, data + BODY_AT, (size_t)rest, FMM_HEADER_SIZE) ==
                rest);
    }
    REQUIRE(ftruncate(fd, (off_t)length) == 0);
    REQUIRE(fchmod(fd, data[0] & FILE_IS_PUBLIC ? 0666 : 0600) == 0);
    close(fd);
}

static struct fmm_options
options_of(const char *path, const uint8_t *data)
{
    static const char *const names[] = {"", "raw", "pickle", "zlib"};
    uint8_t asked = data[1], sizes = data[2];
    bool fresh = asked & ASK_INIT;
    return (struct fmm_options){
        .path = path,
        .page_size = sizes & ASK_PAGE_SIZE ? data[3] * UINT64_C(512)
                     : fresh               ? 4096
                                           : 0,
        .num_pages = sizes & ASK_PAGES ? data[4]
                     : fresh           ? 1
                                       : 0,
        .slots = sizes & ASK_SLOTS ? data[5] : 0,
        .entry_size = sizes & ASK_ENTRY_SIZE ? data[6] * UINT32_C(77777) : 0,
        .serializer = sizes & ASK_SERIALIZER ? names[data[7] % 4] : NULL,
        .compressor = sizes & ASK_COMPRESSOR ? names[data[8] % 4] : NULL,
        .serializer_follows = sizes & ASK_FOLLOWS,
        .compressor_follows = sizes & ASK_FOLLOWS,
        .init_file = asked & ASK_INIT,
        .must_exist = asked & ASK_EXISTING,
        .sparse = true,
        .verify = asked & ASK_VERIFY,
        .allow_shared = asked & ASK_SHARED,
        .sigbus_guard = asked & ASK_GUARD,
    };
}

static void
use(struct fmm_cache *cache, const uint8_t *data, const char *path)
{
    struct hostile h = {.cache = cache};
    struct fmm_info info;
    struct fmm_stats stats;
    fmm_info(cache, &info);
    REQUIRE(strlen(info.serializer) < FMM_NAME_SIZE);
    REQUIRE(strlen(info.compressor) < FMM_NAME_SIZE);
    bool shrinks = (data[0] & FILE_SHRINKS) && (data[1] & ASK_GUARD);
    while (input_left() > 0) {
        hostile_operation(&h);
        if (shrinks && input_left() < 24) {
            REQUIRE(truncate(path, data[9] * 256) == 0);
            shrinks = false;
        }
    }
    fmm_stats_read(cache, &stats);
    fmm_replaced(cache);
    if (info.num_pages == 1 && !fmm_damaged(cache)) {
        cache->header->retired = 0;
        image_unlock(cache);
        hostile_settle(&h);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fmm_cache *cache = NULL;
    struct fmm_error error = {.text = ""};
    if (size < IMAGE_PREFIX) {
        return 0;
    }
    const char *path = scratch("file"), *name = path;
    write_file(path, data, size);
    if (data[0] & FILE_IS_LINKED) {
        name = scratch("link");
        unlink(name);
        REQUIRE(symlink(path, name) == 0);
    }
    input_begin(data + OPTIONS_SIZE, IMAGE_PREFIX - OPTIONS_SIZE);
    const struct fmm_options options = options_of(name, data);
    enum fmm_status status = fmm_open(&options, &cache, &error);
    REQUIRE((status == FMM_OK) == (cache != NULL));
    REQUIRE(status == FMM_OK || (status < 0 && error.text[0] != '\0'));
    if (cache != NULL) {
        use(cache, data, path);
        fmm_close(cache);
    }
    return 0;
}

/* --------------------------------------------------------------- mutating */

/* A field of the header, and mostly the checksum that makes it good. */
static void
mutate_header(unsigned char *fields)
{
    static const uint32_t near[] = {1, 2, 8, 4096, 8192, 1 << 16, 1 << 30};
    static const uint64_t no_seed[2] = {0, 0};
    uint64_t checked = offsetof(struct fmm_header, checksum);
    mutate_half(fields + 4 * mutate_below(FIXED_SIZE / 4),
                near[mutate_below(7)]);
    if (mutate_below(8)) {
        uint64_t sum = fmm_hash(no_seed, fields, checked);
        memcpy(fields + checked, &sum, sizeof(sum));
    }
}

/* A page, if the input has all of the file that its header describes. */
static void
mutate_body(unsigned char *input, size_t size)
{
    struct fmm_header header;
    struct fmm_geometry g;
    load_header(&header, input, size);
    if (fmm_geometry_layout(header.page_size, header.num_pages, header.buckets,
                            &g) &&
        g.clients_at == FMM_HEADER_SIZE + size - BODY_AT) {
        uint64_t n = mutate_below(g.num_pages);
        unsigned char *body = malloc(g.clients_at);
        REQUIRE(body != NULL);
        memcpy(body + FMM_HEADER_SIZE, input + BODY_AT, size - BODY_AT);
        const struct page_parts page = {body + FMM_HEADER_SIZE +
                                            n * FMM_CONTROL_SIZE,
                                        body + g.indexes_at + n * g.index_size,
                                        body + g.rings_at + n * g.rings_size};
        mutate_page(&g, &page);
        memcpy(input + BODY_AT, body + FMM_HEADER_SIZE, size - BODY_AT);
        free(body);
    }
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                        unsigned seed)
{
    mutate_seed(seed);
    uint64_t pick = mutate_below(8);
    if (size <= BODY_AT || pick == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    if (pick == 1) {
        LLVMFuzzerMutate(data, IMAGE_PREFIX, IMAGE_PREFIX);
    }
    else if (pick < 5) {
        mutate_header(data + IMAGE_PREFIX);
    }
    else if (pick == 5) { /* identity and mark */
        LLVMFuzzerMutate(data + IDENTITY_AT, BODY_AT - IDENTITY_AT,
                         BODY_AT - IDENTITY_AT);
    }
    else {
        mutate_body(data, size);
    }
    return size;
}
