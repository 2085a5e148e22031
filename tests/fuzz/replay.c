/* Run one target over files, without libFuzzer: `fuzz_page FILE...`. */
#include "fuzz.h"

#include <stdlib.h>

#define INPUT_MAX (1u << 20)

/* In an allocation of its exact size, as the fuzzer hands it out. */
static void
replay(const char *path)
{
    static uint8_t buffer[INPUT_MAX];
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(buffer, 1, sizeof(buffer), stream);
    fclose(stream);
    uint8_t *data = malloc(size ? size : 1);
    REQUIRE(data != NULL);
    memcpy(data, buffer, size);
    fprintf(stderr, "%s\n", path); /* the last one is the one that failed */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
    }
    printf("passed: %d inputs of %s\n", argc - 1, argv[0]);
    return argc > 1 ? 0 : 1;
}
