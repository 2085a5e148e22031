/* A file that is another than was asked for: refused, followed or replaced.
 *
 * Only who has the opening byte of the file locked comes here: of many who open it
 * at once one replaces it, and the others find what that one made. */
#pragma once

#include "fmm_create.h"

/* The file is of this version: compare it with the options, and do as they say
 * where it differs. FMM_RETIRED: open it again. */
enum fmm_status fmm_mismatch_settle(struct fmm_opening *o);

/* It is of an older version: replace it. FMM_RETIRED: open it again. */
enum fmm_status fmm_mismatch_renew(struct fmm_opening *o);
