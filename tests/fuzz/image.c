/* Page images: an input as one page with its control block, in a cache on
 * the heap of which not a byte lies beyond the last page. */
#include "fuzz.h"

static const struct {
    uint64_t page_size;
    uint32_t buckets;
} shapes[] = {{4096, 4}, {4096, 1}, {4096, 2}, {4096, 21}, {8192, 3}};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct fmm_cache *
image_cache(uint8_t choice)
{
    static struct fmm_cache *caches[SHAPES];
    size_t shape = choice % SHAPES;
    if (caches[shape] == NULL) {
        call.now_ms = INPUT_NOW;
        caches[shape] =
            heap_cache(shapes[shape].page_size, 1, shapes[shape].buckets);
    }
    return caches[shape];
}

void
image_unlock(struct fmm_cache *cache)
{
    struct fmm_page page;
    view_page(cache, 0, &page);
    page.control->lock = 0;
}

void
image_load(struct fmm_cache *cache, const uint8_t *data, size_t size)
{
    const struct fmm_geometry *g = &cache->geometry;
    unsigned char *control = cache->base + FMM_HEADER_SIZE;
    input_copy(control, FMM_CONTROL_SIZE, data, size, IMAGE_CONTROL_AT);
    input_copy(cache->base + g->indexes_at, g->page_size, data, size,
               IMAGE_PAGE_AT);
    if (size < 2 || (data[1] & 15) != 15) {
        image_unlock(cache);
    }
    cache->header->retired = 0;
    image_choices(data, size);
}

void
image_choices(const uint8_t *data, size_t size)
{
    size_t end = size < IMAGE_PREFIX ? size : IMAGE_PREFIX;
    size_t begin = end < IMAGE_CHOICES_AT ? end : IMAGE_CHOICES_AT;
    input_begin(data + begin, end - begin);
}
