/* An open file with a count of those who use it without the GIL, or who
 * hold a page of it. Guarded by the GIL. */
#pragma once

#include "py_state.h"

struct mapping {
    struct fmm_cache *cache;
    struct fmm_info info;
    size_t pins;
    bool orphan; /* to be closed with the last pin */
};

/* Open a file as opening_run() does. NULL: `error` says why, or, when its status
 * is FMM_OK, an exception is set. */
struct mapping *mapping_open(const struct module_state *state, PyObject *path,
                             const struct fmm_options *options,
                             struct fmm_error *error);
/* Close it, now or with the last pin. */
void mapping_release(struct mapping *map);
struct mapping *mapping_pin(struct mapping *map);
void mapping_unpin(struct mapping *map);
