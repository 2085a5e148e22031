/* Stand-in where libFuzzer is not linked: nothing is mutated there. */
#include "fuzz.h"

size_t
LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    (void)data;
    (void)max_size;
    return size;
}
