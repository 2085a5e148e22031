/* What groups a file inherits from another of the same seed, beside records.
 *
 * A group without a record has the generation of its base, and where the base of
 * a group is follows from the sizes of the file. */
#pragma once

#include "fmm_file.h"

/* Give the bases and the pages of `to` the generations of those of `from`, as
 * nobody changes either. Groups whose bases differ, and share one now, end. */
void fmm_heir_take_groups(const struct fmm_cache *from,
                          const struct fmm_cache *to);
