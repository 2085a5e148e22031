/* Any page: the input is the image of a page with its control block, and
 * the choices of what is done to it. */
#include "hostile.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hostile h = {.cache = image_cache(size ? data[0] : 0)};
    image_load(h.cache, data, size);
    while (input_left() > 0) {
        hostile_operation(&h);
    }
    image_unlock(h.cache);
    hostile_settle(&h);
    return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                        unsigned seed)
{
    mutate_seed(seed);
    return image_mutate(data, size, max_size);
}
