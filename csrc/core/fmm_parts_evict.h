/* Which value in parts leaves next.
 *
 * The rules are those of small entries, see fmm_evict.h: new ones are on
 * probation, a hit earns credit, and a second life is paid with it, the dearer
 * the larger the value. But there is one order for the whole file, so that it
 * makes no difference on which pages the parts are. */
#pragma once

#include "fmm_hold.h"

/* Let values go as far as bytes are owed, and there is no room for `length` in
 * parts. One may go when half of it is owed. `guard`: a page that the caller
 * holds, or NULL. */
void fmm_parts_pay_debt(struct fmm_cache *cache, const struct fmm_call *call,
                        const struct fmm_guard *guard, uint64_t length);
/* Drop what is left of values that have gone, on the pages that are free now. */
void fmm_parts_drop_gone(struct fmm_cache *cache, const struct fmm_call *call,
                         const struct fmm_guard *guard);
/* Let the next one go, owed or not. False: none can. */
bool fmm_parts_evict(struct fmm_cache *cache, const struct fmm_call *call,
                     const struct fmm_guard *guard);
