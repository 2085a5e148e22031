/* Write first inputs for a target from real images: `seeds TARGET FOLDER`.
 *
 * Caches are filled by the same operations that the targets run, with random
 * choices: rings that wrapped, entries that stayed, dirty ones, tombstones,
 * integers. */
#include "hostile.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define FILLS 4u
#define FILE_INPUT_HEADER 248u /* what fuzz_file.c has before the body */

static const unsigned steps_of_fill[FILLS] = {4, 25, 120, 900};
static const char *folder;
static unsigned written;

static void
write_seed(const void *bytes, size_t size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/seed%03u", folder, written++);
    FILE *stream = fopen(path, "wb");
    REQUIRE(stream != NULL && fwrite(bytes, 1, size, stream) == size);
    REQUIRE(fclose(stream) == 0);
}

static void
fill_random(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(mutate_random() >> 13);
    }
}

/* So many operations by random choices. */
static void
use_randomly(struct fmm_cache *cache, unsigned steps)
{
    uint8_t choices[64];
    struct hostile h = {.cache = cache};
    for (unsigned i = 0; i < steps; i++) {
        fill_random(choices, sizeof(choices));
        input_begin(choices, sizeof(choices));
        hostile_operation(&h);
    }
}

/* A page image per shape and degree of use. */
static void
seed_pages(size_t script)
{
    for (uint8_t shape = 0; shape < 5; shape++) {
        for (unsigned fill = 0; fill < FILLS; fill++) {
            struct fmm_cache *cache = image_cache(shape);
            const struct fmm_geometry *g = &cache->geometry;
            size_t size = IMAGE_PAGE_AT + g->page_size + script;
            uint8_t *input = calloc(1, size);
            REQUIRE(input != NULL);
            memset(cache->base, 0, g->clients_at);
            use_randomly(cache, steps_of_fill[fill]);
            fill_random(input, IMAGE_PREFIX);
            input[0] = shape;
            input[1] = 0;
            memcpy(input + IMAGE_CONTROL_AT, cache->base + FMM_HEADER_SIZE,
                   FMM_CONTROL_SIZE);
            memcpy(input + IMAGE_PAGE_AT, cache->base + g->indexes_at,
                   g->page_size);
            fill_random(input + size - script, script);
            write_seed(input, size);
            free(input);
        }
    }
}

static void
seed_operations(void)
{
    uint8_t input[400];
    for (uint8_t shape = 0; shape < 6; shape++) {
        for (size_t size = 50; size <= sizeof(input); size *= 2) {
            fill_random(input, size);
            input[0] = shape;
            write_seed(input, size);
        }
    }
}

/* The file of an open cache as fuzz_file.c takes it. */
static void
seed_file(const struct fmm_cache *cache, const uint8_t options[16])
{
    size_t body = cache->geometry.clients_at - FMM_HEADER_SIZE;
    uint8_t *input = calloc(1, FILE_INPUT_HEADER + body);
    REQUIRE(input != NULL);
    fill_random(input, IMAGE_PREFIX);
    memcpy(input, options, 16);
    memcpy(input + IMAGE_PREFIX, cache->base, 144);
    memcpy(input + IMAGE_PREFIX + 144, &cache->header->identity, 32);
    memcpy(input + FILE_INPUT_HEADER, cache->base + FMM_HEADER_SIZE, body);
    write_seed(input, FILE_INPUT_HEADER + body);
    free(input);
}

static void
seed_files(void)
{
    /* At home and sound; from elsewhere; verified; replaced; guarded. */
    static const uint8_t options[][16] = {
        {3, 0},          {2, 0},  {3, 1},
        {3, 2},          {3, 16}, {19, 16, 0, 0, 0, 0, 0, 0, 0, 20},
        {7, 0},          {11, 8}, {11, 0},
        {3, 4, 3, 8, 2},
    };
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct fmm_cache *cache = new_cache(4096, 1 + i % 4 / 3);
        call.now_ms = INPUT_NOW;
        use_randomly(cache, steps_of_fill[i % FILLS]);
        seed_file(cache, options[i]);
        fmm_close(cache);
    }
}

int
main(int argc, char **argv)
{
    REQUIRE(argc == 3);
    folder = argv[2];
    mutate_seed(20240229);
    if (strcmp(argv[1], "ops") == 0) {
        seed_operations();
    }
    else if (strcmp(argv[1], "file") == 0) {
        seed_files();
    }
    else {
        seed_pages(strcmp(argv[1], "race") == 0 ? 32 : 0);
    }
    printf("%u seeds for %s\n", written, argv[1]);
    return 0;
}
