/* Mutations of page images. */
#include "fuzz.h"

#include <stdlib.h>

/* In a copy that is aligned, and whole where the input was cut short. */
static size_t
mutate_fields(uint8_t *data, size_t size, size_t max_size)
{
    const struct fmm_geometry *g = &image_cache(data[0])->geometry;
    size_t whole = IMAGE_PAGE_AT + g->page_size;
    if (whole > max_size) {
        return size;
    }
    unsigned char *copy = calloc(1, whole);
    REQUIRE(copy != NULL);
    memcpy(copy, data, size < whole ? size : whole);
    unsigned char *index = copy + IMAGE_PAGE_AT;
    const struct page_parts page = {copy + IMAGE_CONTROL_AT, index,
                                    index + g->index_size};
    for (uint64_t i = 1 + mutate_below(4); i > 0; i--) {
        mutate_page(g, &page);
    }
    memcpy(data, copy, whole);
    free(copy);
    return whole;
}

size_t
image_mutate(uint8_t *data, size_t size, size_t max_size)
{
    uint64_t pick = mutate_below(8);
    if (size < IMAGE_PREFIX || pick == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    if (pick < 3) { /* other operations on the same page */
        LLVMFuzzerMutate(data, IMAGE_PREFIX, IMAGE_PREFIX);
        return size;
    }
    return mutate_fields(data, size, max_size);
}
