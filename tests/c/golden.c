#include "golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FMM_GOLDEN, or the directory beside this source as it was compiled. */
const char *
golden_path(const char *name)
{
    static char path[512];
    static const char here[] = __FILE__;
    const char *directory = getenv("FMM_GOLDEN");
    const char *slash = strrchr(here, '/');
    int length = slash != NULL ? (int)(slash - here) : 1;
    if (directory != NULL) {
        snprintf(path, sizeof(path), "%s/%s", directory, name);
    }
    else {
        snprintf(path, sizeof(path), "%.*s/../golden/%s", length,
                 slash != NULL ? here : ".", name);
    }
    return path;
}
