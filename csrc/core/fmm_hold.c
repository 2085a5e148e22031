#include "fmm_hold.h"

#include "fmm_lock.h"
#include "fmm_verify.h"

FMM_COLD void
fmm_hold_repair(struct fmm_page *page)
{
    struct fmm_page_report report;
    fmm_verify_repair(page, &report);
}

FMM_COLD static void
after_death(struct fmm_page *page)
{
    fmm_count_add(&page->control->recoveries, 1);
    fmm_hold_repair(page);
}

/* Debug builds: whether a page is as every change must leave it. */
static bool
is_sound(const struct fmm_page *page)
{
#ifdef FMM_DEBUG
    struct fmm_page copy = *page;
    struct fmm_page_report report;
    fmm_verify_page(&copy, &report);
    return !report.bad_rings && !report.bad_slots && !report.miscounted;
#else
    (void)page;
    return false;
#endif
}

/* Finish what a killed holder left half-way in the rings. */
static void
settle(struct fmm_page *page)
{
    if (FMM_UNLIKELY(!fmm_page_settle(page))) {
        fmm_hold_repair(page);
    }
}

enum fmm_status
fmm_hold_take_raw(struct fmm_cache *cache, const struct fmm_call *call,
                  uint32_t page, struct fmm_hold *hold_out)
{
    struct fmm_lock_result result;
    hold_out->owner = fmm_client_owner(&cache->client);
    if (FMM_UNLIKELY(hold_out->owner == 0)) {
        return fmm_client_refusal(&cache->client);
    }
    if (page >= cache->geometry.num_pages) {
        return FMM_ERR_ARGUMENT;
    }
    struct fmm_control *control = fmm_page_control(cache->base, page);
    hold_out->cache = cache;
    hold_out->lock = &control->lock;
    enum fmm_status status =
        fmm_lock_take(&control->lock, hold_out->owner, &cache->client,
                      call->wait_ms, &result);
    if (FMM_UNLIKELY(status != FMM_OK)) {
        return fmm_file_retired(cache) ? FMM_RETIRED : status;
    }
    /* Whoever replaces the file sets the mark before it gives the pages back:
     * what is stored from now on is stored in a file that counts. */
    if (FMM_UNLIKELY(fmm_file_retired(cache))) {
        fmm_lock_release(&control->lock, hold_out->owner);
        return FMM_RETIRED;
    }
    fmm_page_view(cache->base, &cache->geometry, page, &hold_out->page);
    if (FMM_UNLIKELY(result.waited)) {
        atomic_fetch_add_explicit(&control->lock_waits, 1,
                                  memory_order_relaxed);
        fmm_client_count(&cache->client, FMM_COUNT_WAITS);
    }
    hold_out->owner_died = result.owner_died;
    hold_out->sound = false;
    return FMM_OK;
}

FMM_FLATTEN enum fmm_status
fmm_hold_take(struct fmm_cache *cache, const struct fmm_call *call,
              uint32_t page, struct fmm_hold *hold_out)
{
    enum fmm_status status = fmm_hold_take_raw(cache, call, page, hold_out);
    if (status != FMM_OK) {
        return status;
    }
    if (FMM_UNLIKELY(hold_out->owner_died)) {
        after_death(&hold_out->page);
    }
    settle(&hold_out->page);
    hold_out->sound = is_sound(&hold_out->page);
    return FMM_OK;
}

void
fmm_hold_release(const struct fmm_hold *hold)
{
    bool kept =
        !hold->sound || fmm_damaged(hold->cache) || is_sound(&hold->page);
    assert(kept);
    (void)kept;
    fmm_lock_release(hold->lock, hold->owner);
}

void
fmm_hold_view(const struct fmm_guard *guard, struct fmm_page *page_out)
{
    const struct fmm_cache *cache = guard->cache;
    fmm_page_view(cache->base, &cache->geometry, guard->page, page_out);
    settle(page_out);
}

enum fmm_status
fmm_hold_reach(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_guard *guard, uint32_t page,
               struct fmm_hold *hold_out)
{
    const struct fmm_call once = {.now_ms = call->now_ms};
    if (guard == NULL || guard->page != page) {
        return fmm_hold_take(cache, guard == NULL ? call : &once, page,
                             hold_out);
    }
    fmm_hold_view(guard, &hold_out->page);
    return FMM_OK;
}

void
fmm_hold_leave(const struct fmm_hold *hold, const struct fmm_guard *guard)
{
    if (guard == NULL || guard->page != hold->page.number) {
        fmm_hold_release(hold);
    }
}

/* The page was found damaged: repair it, and insert into what is left. */
FMM_COLD static enum fmm_status
insert_repaired(struct fmm_page *page, const struct fmm_entry_source *source,
                uint64_t now_ms, struct fmm_ticket *ticket)
{
    struct fmm_found again;
    fmm_hold_repair(page);
    const struct fmm_found *old =
        fmm_page_find(page, source->key, &again) ? &again : NULL;
    return fmm_insert_entry(page, source, old, now_ms, ticket);
}

enum fmm_status
fmm_hold_insert(struct fmm_page *page, const struct fmm_entry_source *source,
                const struct fmm_found *old, uint64_t now_ms,
                struct fmm_ticket *ticket)
{
    enum fmm_status status =
        fmm_insert_entry(page, source, old, now_ms, ticket);
    return FMM_LIKELY(status != FMM_ERR_CORRUPT)
               ? status
               : insert_repaired(page, source, now_ms, ticket);
}

uint64_t
fmm_hold_seconds(const struct fmm_cache *cache, uint64_t now_ms)
{
    return now_ms > cache->created_ms ? (now_ms - cache->created_ms) / 1000
                                      : 0;
}
