/* Words that change while operations run: the tail of an input of the
 * target race. */
#pragma once

#include "fuzz.h"

#define SCRIPT_STEPS 16u

/* One word of control block and page, and what it becomes. */
struct script_step {
    uint64_t where; /* which word; counted from the control block on */
    uint64_t value;
};

/* Where the script lies in an input of this geometry. */
static inline size_t
script_at(const struct fmm_geometry *geometry)
{
    return IMAGE_PAGE_AT + geometry->page_size;
}
