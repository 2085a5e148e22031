#include "fmm_read.h"

#include "fmm_hold.h"
#include "fmm_mutant.h"

#define TRIES 16
#define LAPPED FMM_BUSY

/* One look at one page. The tails are loaded before any slot. */
struct look {
    const struct fmm_read *read;
    struct fmm_page page;
    uint64_t tail[2];
    uint64_t created_ms;
};

/* Whether what was copied from `offset` of a ring is whole: the tail has
 * not passed it since. Whoever saw one overwritten byte sees the new tail;
 * pairs with the release fence in fmm_ring_advance_tail(). */
static inline bool
is_whole(const struct look *look, uint32_t ring_id, uint64_t offset)
{
    const struct fmm_ring *ring = &look->page.ring[ring_id];
    uint64_t position = fmm_ring_position(ring, look->tail[ring_id], offset);
    atomic_thread_fence(memory_order_acquire);
    return FMM_MUTANT_IS(no_recheck) ||
           atomic_load_explicit(ring->tail_word, memory_order_relaxed) <=
               position;
}

/* Both tails first, the slot tells the ring; pairs with the release in
 * fmm_ring_advance_tail(). */
static inline void
load_tails(struct look *look)
{
    const struct fmm_ring *ring = look->page.ring;
    look->tail[FMM_RING_S] =
        atomic_load_explicit(ring[FMM_RING_S].tail_word, memory_order_acquire);
    look->tail[FMM_RING_M] =
        atomic_load_explicit(ring[FMM_RING_M].tail_word, memory_order_acquire);
}

static void
take_hit(const struct look *look, const struct fmm_found *found)
{
    uint64_t now_ms = look->read->call->now_ms;
    uint64_t since = now_ms > look->created_ms ? now_ms - look->created_ms : 0;
    fmm_hint_hit(&look->page.index.hints[found->slot], since / 1000);
}

/* The key is in this slot, if the bytes were whole. */
static enum fmm_status
take_found(const struct look *look, const struct fmm_found *found)
{
    const struct fmm_read *read = look->read;
    const struct fmm_entry *entry = &found->entry;
    uint64_t now_ms = read->call->now_ms;
    bool gone = fmm_entry_gone(entry, now_ms);
    bool fits = FMM_BOUND(read_capacity, entry->value_len <= read->capacity);
    if (!gone) {
        fmm_page_describe(&look->page, found, look->created_ms, now_ms,
                          read->meta);
        if (read->buffer != NULL && fits) {
            fmm_entry_copy_value(entry, read->buffer);
        }
    }
    if (!is_whole(look, found->ring, found->offset)) {
        return LAPPED;
    }
    if (gone) {
        return FMM_MISS;
    }
    if (read->buffer == NULL) {
        return FMM_OK;
    }
    if (!fits) {
        return FMM_TOO_SMALL;
    }
    take_hit(look, found);
    return FMM_OK;
}

/* FMM_MISS: the key is not there. */
static enum fmm_status
look_once(struct look *look)
{
    const struct fmm_page *page = &look->page;
    struct fmm_candidates c;
    struct fmm_found found;
    fmm_index_candidates(page->index.buckets, look->read->key->hash, &c);
    fmm_index_prefetch(&page->index, &c);
    load_tails(look);
    uint32_t matches = fmm_index_tagged(&page->index, &c);
    while (matches) {
        uint32_t slot = fmm_index_take(&c, &matches);
        bool sound = fmm_page_load_slot(page, slot, &found);
        FMM_MUTATE(slot_before_tails, load_tails(look));
        if (sound && fmm_entry_has_key(&found.entry, look->read->key)) {
            return take_found(look, &found);
        }
        /* Another key, or bytes that were overwritten meanwhile? */
        if (FMM_BOUND(read_place,
                      found.offset < page->ring[found.ring].size) &&
            !FMM_MUTANT_IS(misses_unchecked) &&
            !is_whole(look, found.ring, found.offset)) {
            return LAPPED;
        }
    }
    return FMM_MISS;
}

enum fmm_status
fmm_read_entry(const struct fmm_cache *cache, const struct fmm_read *read)
{
    struct look look;
    look.read = read;
    look.created_ms = cache->created_ms;
    fmm_page_view(cache->base, &cache->geometry, read->key->page, &look.page);
    for (int i = 0; i < TRIES; i++) {
        enum fmm_status status = look_once(&look);
        if (FMM_LIKELY(status != LAPPED)) {
            return status;
        }
    }
    return LAPPED;
}
