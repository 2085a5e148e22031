/* Any sequence of operations on a sound cache, beside the model of
 * tests/c/model.c. The first byte chooses the geometry. */
#include "model.h"

#include "fuzz.h"

#define KEYS 40u
#define CHECK_EVERY 16u

static const struct {
    uint64_t page_size;
    uint32_t num_pages, buckets;
} shapes[] = {{4096, 1, 2},  {4096, 1, 1}, {4096, 2, 4},
              {4096, 1, 21}, {8192, 1, 3}, {16384, 1, 4}};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* Empty, but for its header; made once. */
static struct fmm_cache *
empty_cache(uint8_t choice)
{
    static struct fmm_cache *caches[SHAPES];
    size_t n = choice % SHAPES;
    if (caches[n] == NULL) {
        call.now_ms = INPUT_NOW;
        caches[n] = heap_cache(shapes[n].page_size, shapes[n].num_pages,
                               shapes[n].buckets);
    }
    memset(caches[n]->base, 0, caches[n]->geometry.clients_at);
    return caches[n];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned steps = 0;
    if (size == 0) {
        return 0;
    }
    input_begin(data + 1, size - 1);
    struct fmm_cache *cache = empty_cache(data[0]);
    model_begin(cache, KEYS);
    while (input_left() > 0) {
        model_step();
        if (++steps % CHECK_EVERY == 0) {
            check_pages(cache, true);
        }
    }
    model_check();
    return 0;
}
