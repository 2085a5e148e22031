/* Counters of all pages and of all clients. */
#include "fmm.h"

#include "fmm_file.h"
#include "fmm_lock.h"
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
    stats->page_reads += atomic_load_explicit(&c->reads, memory_order_relaxed);
    stats->page_hits += atomic_load_explicit(&c->hits, memory_order_relaxed);
    stats->lock_waits +=
        atomic_load_explicit(&c->lock_waits, memory_order_relaxed);
}

/* What an entry of the table counted, of one kind: `before` it was taken last,
 * or in all. */
static uint64_t
count_of(const struct fmm_client_entry *entry, enum fmm_client_count what,
         bool before)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; s < FMM_CLIENT_STRIPES; s++) {
        const struct fmm_client_stripe *stripe = &entry->stripes[s];
        sum += before ? fmm_count_load(&stripe->before[what])
                      : atomic_load_explicit(&stripe->counts[what],
                                             memory_order_relaxed);
    }
    return sum;
}

static void
add_clients(const struct fmm_cache *cache, struct fmm_stats *stats)
{
    uint32_t used = fmm_client_used(&cache->client);
    for (uint32_t n = 0; n < used; n++) {
        const struct fmm_client_entry *entry = &cache->client.table[n];
        stats->hits += count_of(entry, FMM_COUNT_HITS, false);
        stats->misses += count_of(entry, FMM_COUNT_MISSES, false);
    }
}

void
fmm_stats_read(const struct fmm_cache *cache, struct fmm_stats *stats_out)
{
    struct fmm_page page;
    *stats_out = (struct fmm_stats){
        .total_bytes = cache->geometry.clients_at,
    };
    add_clients(cache, stats_out);
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

/* Who holds it. A word that another overwrites meanwhile names another. */
static void
look_for_holder(const struct fmm_cache *cache, struct fmm_control *control,
                struct fmm_page_stats *out)
{
    uint64_t owner = fmm_lock_holder(&control->lock);
    out->held = owner != 0;
    out->holder = owner != 0 ? fmm_client_pid(&cache->client, owner) : 0;
}

/* Live bytes of a ring: no more than there are, whatever the file says. */
static uint64_t
live_bytes(const struct fmm_page *page, enum fmm_ring_id ring, uint64_t most)
{
    return fmm_min(fmm_count_load(&page->control->live[ring]), most);
}

enum fmm_status
fmm_page_stats_read(const struct fmm_cache *cache, uint32_t number,
                    struct fmm_page_stats *stats_out)
{
    struct fmm_page page;
    struct fmm_page_stats out = {.held = false};
    if (number >= cache->geometry.num_pages) {
        return FMM_ERR_ARGUMENT;
    }
    fmm_page_view(cache->base, &cache->geometry, number, &page);
    uint64_t fresh = used_bytes(&page.ring[FMM_RING_S]);
    uint64_t proved = used_bytes(&page.ring[FMM_RING_M]);
    uint64_t entries = fmm_count_load(&page.control->entries);
    uint64_t internal = fmm_count_load(&page.control->internal);
    out.total_bytes = page.ring[FMM_RING_S].size + page.ring[FMM_RING_M].size;
    out.used_bytes = fresh + proved;
    out.new_bytes = live_bytes(&page, FMM_RING_S, fresh);
    out.main_bytes = live_bytes(&page, FMM_RING_M, proved);
    out.entries = entries - fmm_min(internal, entries);
    out.stores = fmm_count_load(&page.control->stores);
    out.evictions = fmm_count_load(&page.control->evictions);
    look_for_holder(cache, page.control, &out);
    *stats_out = out;
    return FMM_OK;
}

static uint64_t
count_since(const struct fmm_client_entry *entry, enum fmm_client_count what)
{
    return count_of(entry, what, false) - count_of(entry, what, true);
}

static void
describe(const struct fmm_client_entry *entry, struct fmm_client_info *out)
{
    *out = (struct fmm_client_info){
        .since_ms = fmm_count_load(&entry->since_ms),
        .hits = count_since(entry, FMM_COUNT_HITS),
        .misses = count_since(entry, FMM_COUNT_MISSES),
        .stores = count_since(entry, FMM_COUNT_STORES),
        .waits = count_since(entry, FMM_COUNT_WAITS),
        .pid = __atomic_load_n(&entry->pid, __ATOMIC_RELAXED),
    };
    fmm_copy_out(out->command, (const unsigned char *)entry->command,
                 sizeof(out->command) - 1);
}

bool
fmm_clients_next(struct fmm_cache *cache, uint32_t *cursor,
                 struct fmm_client_info *info_out)
{
    uint64_t own = fmm_client_owner(&cache->client);
    while (*cursor < fmm_client_used(&cache->client)) {
        uint32_t number = (*cursor)++;
        uint64_t owner = fmm_client_owner_of(&cache->client, number);
        if (fmm_client_lives(&cache->client, owner)) {
            describe(&cache->client.table[number], info_out);
            info_out->own = owner == own;
            return true;
        }
    }
    return false;
}
