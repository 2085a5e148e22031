/* Opening: attach to the cache file of a name, or make one; lose every race
 * against others who do so gracefully. */
#pragma once

#include "fmm_file.h"

/* fmm_open() but for its `verify`. */
enum fmm_status fmm_open_file(const struct fmm_options *options,
                              struct fmm_cache **cache_out,
                              struct fmm_error *error);
