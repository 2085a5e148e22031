/* Dropping the parts of values that are there no more. See fmm.h. */
#include "fmm.h"

#include "fmm_directory.h"
#include "fmm_hold.h"
#include "fmm_parts.h"

/* Remove a part; the page of the next one is `*link_out`. FMM_MISS: it is not
 * there. FMM_BUSY: its page is. */
static enum fmm_status
drop_part(struct fmm_cache *cache, const struct fmm_call *call,
          const struct fmm_guard *guard, const struct fmm_key *key,
          uint64_t *link_out)
{
    const struct fmm_call plain = {.now_ms = call->now_ms};
    struct fmm_found found;
    struct fmm_hold hold;
    struct fmm_meta meta;
    const struct fmm_read read = {.call = &plain, .key = key, .meta = &meta};
    enum fmm_status status = fmm_read_entry(cache, &read);
    if (status != FMM_OK) {
        return status;
    }
    *link_out = meta.modseq;
    status = fmm_hold_reach(cache, call, guard, key->page, &hold);
    if (status == FMM_OK) {
        if (fmm_page_find(&hold.page, key, &found)) {
            fmm_page_clear_slot(&hold.page, &found);
        }
        fmm_hold_leave(&hold, guard);
    }
    return status;
}

/* Remove the parts, as far as to one whose page is busy: from there on they
 * stay, or nobody would find them. Returns those. */
static struct fmm_parts
drop_chain(struct fmm_cache *cache, const struct fmm_call *call,
           const struct fmm_guard *guard, const struct fmm_parts *parts)
{
    struct fmm_parts rest = *parts;
    struct fmm_part_key part;
    enum fmm_status status;
    uint64_t link = 0;
    fmm_parts_first(cache, parts, &part);
    do {
        status = drop_part(cache, call, guard, &part.key, &link);
    } while (status == FMM_OK && fmm_parts_next(cache, parts, link, &part));
    rest.page = part.key.page;
    rest.count = status == FMM_BUSY ? part.number + 1 : 0;
    return rest;
}

void
fmm_parts_drop(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_guard *guard, const struct fmm_parts *parts)
{
    struct fmm_parts rest = *parts;
    rest.count = 0;
    if (fmm_parts_sound(&cache->geometry, parts)) {
        rest = drop_chain(cache, call, guard, parts);
    }
    fmm_directory_forget(&cache->client, &cache->geometry, &rest);
}

void
fmm_displaced_drop(struct fmm_cache *cache, const struct fmm_call *call,
                   const struct fmm_guard *guard,
                   struct fmm_displaced *displaced)
{
    for (uint32_t i = 0; i < displaced->count; i++) {
        fmm_parts_drop(cache, call, guard, &displaced->parts[i]);
    }
    displaced->count = 0;
}
