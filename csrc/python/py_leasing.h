/* Taking a lease, extending it, looking after it: what may wait for a page.
 * Giving it back is py_holding.h. */
#pragma once

#include "py_holding.h"
#include "py_op.h"

/* Take the lease of its key. Returns FMM_OK: it is held from now on, and
 * nothing has run since; FMM_LEASED: `theirs` has it, or, with the token 0,
 * somebody has its page; FMM_EXISTS, FMM_STALE, FMM_NO_ROOM; or -1 with an
 * exception, and nothing is held. */
int holding_take(struct cache_object *self, struct holding *holding,
                 const struct fmm_lease_request *request,
                 struct fmm_lease *theirs);
/* Whether its lease goes on, as far as one look tells. */
bool holding_lasts(const struct cache_object *self,
                   const struct holding *holding);
/* Let it last that long from now. Returns a status, or -1 with an
 * exception. */
int holding_extend(struct cache_object *self, const struct holding *holding,
                   uint64_t duration_ms);
