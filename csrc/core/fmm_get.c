/* Reading a value: without a lock, or from a page that is held. */
#include "fmm.h"

#include "fmm_hold.h"
#include "fmm_parts.h"
#include "fmm_read.h"

/* Put a value together that is in parts. */
FMM_COLD static enum fmm_status
assemble(const struct fmm_cache *cache, const struct fmm_read *read)
{
    const struct fmm_parts *parts = read->parts;
    if (!fmm_parts_sound(&cache->geometry, parts)) {
        return FMM_MISS;
    }
    read->meta->value_len = parts->length;
    read->meta->size += parts->length; /* of an entry that is described */
    if (parts->length > read->capacity) {
        return FMM_TOO_SMALL;
    }
    return fmm_parts_read(cache, read->call, parts, read->buffer);
}

/* The same with the page of the key held, so that nothing takes its place
 * meanwhile: what misses a part now is lost, and goes. */
FMM_COLD static enum fmm_status
assemble_held(const struct fmm_cache *cache, const struct fmm_page *page,
              const struct fmm_read *read, const struct fmm_found *found)
{
    fmm_entry_parts(&found->entry, read->parts);
    enum fmm_status status = assemble(cache, read);
    if (status == FMM_MISS) {
        fmm_page_clear_slot(page, found);
        fmm_count_add(&page->control->evictions, 1);
    }
    return status == FMM_BUSY ? FMM_MISS : status;
}

/* Copy out of a page that is held. */
static enum fmm_status
read_page(const struct fmm_cache *cache, const struct fmm_page *page,
          const struct fmm_read *read)
{
    uint64_t now_ms = read->call->now_ms;
    struct fmm_found found;
    if (!fmm_page_find(page, read->key, &found) ||
        fmm_read_gone(cache, &found.entry, now_ms)) {
        return FMM_MISS;
    }
    fmm_page_describe(page, &found, cache->created_ms, now_ms, read->meta);
    if (read->buffer == NULL) {
        return FMM_OK;
    }
    if (FMM_UNLIKELY(found.entry.flags & FMM_ENTRY_IN_PARTS)) {
        enum fmm_status status = assemble_held(cache, page, read, &found);
        if (status != FMM_OK) {
            return status;
        }
    }
    else if (found.entry.value_len > read->capacity) {
        return FMM_TOO_SMALL;
    }
    else {
        fmm_entry_copy_value(&found.entry, read->buffer);
    }
    fmm_hint_hit(&page->index.hints[found.slot],
                 fmm_hold_seconds(cache, now_ms));
    return FMM_OK;
}

enum fmm_status
fmm_get_locked(const struct fmm_guard *guard, const struct fmm_call *call,
               const struct fmm_key *key, void *buffer, size_t capacity,
               struct fmm_meta *meta_out)
{
    struct fmm_parts parts;
    const struct fmm_read read = {.call = call,
                                  .key = key,
                                  .buffer = buffer,
                                  .capacity = capacity,
                                  .meta = meta_out,
                                  .parts = &parts};
    struct fmm_page page;
    fmm_hold_view(guard, &page);
    return read_page(guard->cache, &page, &read);
}

#define LOOKS 16 /* of one who may not take the page */

/* What misses a part each time has lost it. */
static enum fmm_status
read_again(const struct fmm_cache *cache, const struct fmm_read *read)
{
    enum fmm_status status = FMM_BUSY;
    for (int i = 0; i < LOOKS; i++) {
        status = fmm_read_entry(cache, read);
        if (status == FMM_SPLIT) {
            status = assemble(cache, read);
        }
        else if (status != FMM_BUSY) {
            break;
        }
        if (status != FMM_BUSY && status != FMM_MISS) {
            break;
        }
    }
    return status;
}

/* A reader that was lapped too often takes the lock once. */
FMM_COLD static enum fmm_status
read_locked(struct fmm_cache *cache, const struct fmm_read *read)
{
    struct fmm_hold hold;
    if (cache->client.read_only) {
        return read_again(cache, read);
    }
    enum fmm_status status =
        fmm_hold_take(cache, read->call, read->key->page, &hold);
    if (status == FMM_OK) {
        status = read_page(cache, &hold.page, read);
        fmm_hold_release(&hold);
    }
    return status;
}

static enum fmm_status
read_any(struct fmm_cache *cache, const struct fmm_read *read)
{
    if (FMM_UNLIKELY(fmm_file_retired(cache))) {
        return FMM_RETIRED;
    }
    enum fmm_status status = fmm_read_entry(cache, read);
    if (FMM_UNLIKELY(status == FMM_SPLIT)) {
        status = assemble(cache, read);
        /* Evicted, or replaced while it was read. */
        status = status == FMM_MISS ? FMM_BUSY : status;
    }
    if (FMM_UNLIKELY(status == FMM_BUSY)) {
        status = read_locked(cache, read);
    }
    return status;
}

FMM_NOINLINE static void
count_by_page(struct fmm_cache *cache, uint32_t number, enum fmm_status status)
{
    struct fmm_page page;
    if (cache->client.read_only) {
        return;
    }
    fmm_page_glance(cache->base, &cache->geometry, number, &page);
    atomic_fetch_add_explicit(&page.control->reads, 1, memory_order_relaxed);
    if (status == FMM_OK) {
        atomic_fetch_add_explicit(&page.control->hits, 1,
                                  memory_order_relaxed);
    }
}

void
fmm_count_read(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_key *key, enum fmm_status status)
{
    bool done = status == FMM_OK || status == FMM_MISS;
    if (FMM_UNLIKELY(!done || call->count == FMM_NOT_COUNTED)) {
        return; /* it is no read, or will be repeated */
    }
    fmm_client_count(&cache->client,
                     status == FMM_OK ? FMM_COUNT_HITS : FMM_COUNT_MISSES);
    if (FMM_UNLIKELY(call->count == FMM_COUNTED_BY_PAGE)) {
        count_by_page(cache, key->page, status);
    }
}

enum fmm_status
fmm_get(struct fmm_cache *cache, const struct fmm_call *call,
        const struct fmm_key *key, void *buffer, size_t capacity,
        struct fmm_meta *meta_out)
{
    struct fmm_parts parts;
    const struct fmm_read read = {.call = call,
                                  .key = key,
                                  .buffer = buffer,
                                  .capacity = capacity,
                                  .meta = meta_out,
                                  .parts = &parts,
                                  .sighting = call->sighting};
    enum fmm_status status = read_any(cache, &read);
    fmm_count_read(cache, call, key, status);
    return status;
}

enum fmm_status
fmm_exists(struct fmm_cache *cache, const struct fmm_call *call,
           const struct fmm_key *key, struct fmm_meta *meta_out)
{
    struct fmm_meta ignored;
    const struct fmm_read read = {.call = call,
                                  .key = key,
                                  .meta =
                                      meta_out != NULL ? meta_out : &ignored};
    enum fmm_status status = read_any(cache, &read);
    fmm_count_read(cache, call, key, status);
    return status;
}
