/* Counters of all pages. */
#include "fmm.h"

#include "fmm_file.h"
#include "fmm_page.h"

/* Bytes between tail and head, loaded while others move them. */
static uint64_t
used_bytes(const struct fmm_ring *ring)
{
    uint64_t tail =
        atomic_load_explicit(ring->tail_word, memory_order_relaxed);
    uint64_t head =
        atomic_load_explicit(ring->head_word, memory_order_relaxed);
    uint64_t used = fmm_ring_distance(ring, tail, head);
    return fmm_min(used, ring->size);
}

/* Advisory numbers, read while others write them. */
static void
add_page(const struct fmm_page *page, struct fmm_stats *stats)
{
    const struct fmm_control *c = page->control;
    stats->live_bytes += fmm_page_live(page);
    stats->used_bytes += used_bytes(&page->ring[FMM_RING_S]) +
                         used_bytes(&page->ring[FMM_RING_M]);
    uint64_t entries = fmm_count_load(&c->entries);
    uint64_t internal = fmm_count_load(&c->internal);
    stats->entries += entries - fmm_min(internal, entries);
    stats->stores += fmm_count_load(&c->stores);
    stats->evictions += fmm_count_load(&c->evictions);
    stats->expirations += fmm_count_load(&c->expirations);
    stats->slot_evictions += fmm_count_load(&c->slot_evictions);
    stats->moved_bytes += fmm_count_load(&c->moved_bytes);
    stats->recoveries += fmm_count_load(&c->recoveries);
    stats->repaired += fmm_count_load(&c->repaired);
    stats->reads += atomic_load_explicit(&c->reads, memory_order_relaxed);
    stats->hits += atomic_load_explicit(&c->hits, memory_order_relaxed);
    stats->lock_waits +=
        atomic_load_explicit(&c->lock_waits, memory_order_relaxed);
}

void
fmm_stats_read(const struct fmm_cache *cache, struct fmm_stats *stats_out)
{
    struct fmm_page page;
    *stats_out = (struct fmm_stats){
        .total_bytes = cache->geometry.file_size,
    };
    for (uint32_t n = 0; n < cache->geometry.num_pages; n++) {
        fmm_page_view(cache->base, &cache->geometry, n, &page);
        add_page(&page, stats_out);
    }
}

void
fmm_stats_clear(struct fmm_cache *cache)
{
    struct fmm_page page;
    for (uint32_t n = 0; n < cache->geometry.num_pages; n++) {
        fmm_page_view(cache->base, &cache->geometry, n, &page);
        atomic_store_explicit(&page.control->reads, 0, memory_order_relaxed);
        atomic_store_explicit(&page.control->hits, 0, memory_order_relaxed);
    }
}
