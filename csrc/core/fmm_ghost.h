/* Ghosts: what was evicted lately, as 16 bits of its hash. As many as slots. */
#pragma once

#include "fmm_page.h"

/* Remember a hash, the newest first. */
void fmm_ghost_add(const struct fmm_page *page, uint64_t hash);
/* Whether it is remembered. As many count as there are entries: of more, too
 * many come back for what they were once. */
bool fmm_ghost_has(const struct fmm_page *page, uint64_t hash);
