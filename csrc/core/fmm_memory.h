/* The memory limits of control groups (cgroups): what a file on tmpfs is charged
 * to. Of version 1 and 2, and of systems that have both. */
#pragma once

#include "fmm_base.h"

#define FMM_MEMORY_PLACE 4096u /* bytes of a path, its end included */

struct fmm_memory_demand {
    uint64_t bytes;
    bool at_once; /* not as time goes by: what others use counts, too */
};

/* A group that does not allow that much. */
struct fmm_memory_limit {
    uint64_t bytes; /* that it may use */
    uint64_t free;  /* of them, with what the kernel can drop */
    char place[FMM_MEMORY_PLACE + 32]; /* the file that has the limit */
};

/* Whether the group of this process and all those above it allow it; if not,
 * which does not. What cannot be read is no limit. `proc` is "/proc". */
bool fmm_memory_allows(const char *proc,
                       const struct fmm_memory_demand *demand,
                       struct fmm_memory_limit *limit_out);
