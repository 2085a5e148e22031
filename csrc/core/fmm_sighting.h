/* A part of fmm.h: where a value was seen, to be read again without a search. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fmm_cache;
struct fmm_call;

/* Where fmm_get() saw a value. As long as it holds, whatever was made of the value
 * may stand for it. Good for the fmm_serial() of the cache that filled it, in
 * forked children too. `word` is 0 before the call, and after it when the place
 * could not be told: of values in parts, those read with the page held, and files
 * above 16 GiB. Small, for there are many. */
struct fmm_sighting {
    uint64_t word;         /* that the slot had */
    uint64_t position;     /* of the entry in its ring, unique for ever */
    uint32_t slot, expiry; /* where these are in the map, in eights of bytes */
    uint32_t hint;         /* the same in fours */
    uint32_t page;
    uint32_t index; /* where its index was, as its control block has it */
    bool is_integer, is_tagged;
};
/* Read a value again without looking for it. True: it is what was seen, and
 * lives: nobody had replaced, removed, evicted, expired or cleared it when this
 * call began; the read is counted and earns credit as of fmm_get(). False: use
 * that; nothing was counted. Takes no lock. `integer` is what was seen of a value
 * that changes in place. */
bool fmm_see_again(struct fmm_cache *cache, const struct fmm_call *call,
                   const struct fmm_sighting *sighting, int64_t integer);
