/* Reading again what was seen before: a few loads in the place of a search.
 *
 * Nobody tells anybody of a change. What replaces, removes, expires, evicts or
 * clears a value changes one of the words that are looked at here. */
#include "fmm.h"

#include "fmm_entry.h"
#include "fmm_hold.h"
#include "fmm_read.h"

static uint64_t
load_acquire(const struct fmm_cache *cache, uint32_t eights)
{
    const void *at = cache->base + 8 * (uint64_t)eights;
    return atomic_load_explicit((const fmm_word64 *)at, memory_order_acquire);
}

/* What an entry may lose while it stays: its number, its tags. */
FMM_COLD static bool
is_unchanged(const struct fmm_cache *cache, const struct fmm_sighting *seen,
             uint64_t now_ms, int64_t integer)
{
    const void *slot = cache->base + 8 * (uint64_t)seen->slot;
    struct fmm_found found;
    struct fmm_page page;
    fmm_page_glance(cache->base, &cache->geometry, seen->page, &page);
    uint64_t slots = (uint64_t)page.index.buckets * FMM_BUCKET_SLOTS;
    uint64_t number = (uint64_t)((const fmm_word64 *)slot - page.index.slots);
    if (number >= slots ||
        !fmm_page_load_slot(&page, (uint32_t)number, &found) ||
        found.word != seen->word) {
        return false;
    }
    if (seen->is_integer && fmm_entry_integer(&found.entry) != integer) {
        return false;
    }
    return !seen->is_tagged || fmm_read_tags_hold(cache, &found.entry, now_ms);
}

/* Whether the entry is there, with the bytes that were read. The slot word comes
 * first: acquire, so that nothing below is older than it. It may be the same for
 * another entry, a lap later at the same place: then the tail has passed the
 * position. Whoever saw a word of an entry that was overwritten sees that;
 * pairs with the release fence in fmm_ring_advance_tail(). An index that was
 * replaced names for ever what it named then. */
static bool
is_in_place(const struct fmm_cache *cache, const struct fmm_sighting *seen,
            uint64_t now_ms, int64_t integer)
{
    const struct fmm_control *control =
        fmm_page_control(cache->base, seen->page);
    if (load_acquire(cache, seen->slot) != seen->word ||
        atomic_load_explicit(&control->index, memory_order_acquire) >> 32 !=
            seen->index) {
        return false;
    }
    uint64_t expire_at = load_acquire(cache, seen->expiry);
    if (expire_at != 0 && expire_at <= now_ms) {
        return false;
    }
    if (FMM_UNLIKELY(seen->is_integer || seen->is_tagged) &&
        !is_unchanged(cache, seen, now_ms, integer)) {
        return false;
    }
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&control->tail[fmm_slot_ring(seen->word)],
                                memory_order_relaxed) <= seen->position;
}

static void
take_hit(struct fmm_cache *cache, const struct fmm_call *call,
         const struct fmm_sighting *seen)
{
    void *hint = cache->base + 4 * (uint64_t)seen->hint;
    if (FMM_UNLIKELY(cache->client.read_only)) {
        return;
    }
    fmm_hint_hit(hint, fmm_hold_seconds(cache, call->now_ms));
}

bool
fmm_see_again(struct fmm_cache *cache, const struct fmm_call *call,
              const struct fmm_sighting *seen, int64_t integer)
{
    if (FMM_UNLIKELY(fmm_file_retired(cache)) ||
        !is_in_place(cache, seen, call->now_ms, integer)) {
        return false;
    }
    take_hit(cache, call, seen);
    if (FMM_LIKELY(call->count == FMM_COUNTED)) {
        fmm_client_count(&cache->client, FMM_COUNT_HITS);
        return true;
    }
    const struct fmm_key key = {.page = seen->page};
    fmm_count_read(cache, call, &key, FMM_OK);
    return true;
}
