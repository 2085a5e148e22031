/* Holding a page: its lock taken, its state settled.
 *
 * What every writing operation begins and ends with. After the death of a
 * holder the page is verified and recounted here; nothing depends on it. */
#pragma once

#include "fmm_file.h"
#include "fmm_insert.h"

struct fmm_hold {
    struct fmm_page page;
    fmm_word64 *lock;
    uint64_t owner;
    bool owner_died; /* the last holder; the page may be miscounted */
    bool sound;      /* debug builds: it was when it was taken */
    struct fmm_cache *cache;
};

/* FMM_OK, FMM_BUSY, FMM_RETIRED, or FMM_ERR_ARGUMENT: no such page. */
enum fmm_status fmm_hold_take(struct fmm_cache *cache,
                              const struct fmm_call *call, uint32_t page,
                              struct fmm_hold *hold_out);
/* The same, the page left as it is: nothing repaired, rings not loaded. */
enum fmm_status fmm_hold_take_raw(struct fmm_cache *cache,
                                  const struct fmm_call *call, uint32_t page,
                                  struct fmm_hold *hold_out);
void fmm_hold_release(const struct fmm_hold *hold);

/* The page of a guard, settled. */
void fmm_hold_view(const struct fmm_guard *guard, struct fmm_page *page_out);
/* A page for a caller with a guard: its own, as it is held, or another one,
 * which is not waited for. Without a guard (NULL), as fmm_hold_take(). */
enum fmm_status fmm_hold_reach(struct fmm_cache *cache,
                               const struct fmm_call *call,
                               const struct fmm_guard *guard, uint32_t page,
                               struct fmm_hold *hold_out);
/* The end of that: what the caller holds stays held. */
void fmm_hold_leave(const struct fmm_hold *hold,
                    const struct fmm_guard *guard);

/* Make a damaged page usable again; empties it if it must. */
void fmm_hold_repair(struct fmm_page *page);

/* fmm_insert_entry(); a page found damaged on the way is repaired, and then
 * again. */
enum fmm_status fmm_hold_insert(struct fmm_page *page,
                                const struct fmm_entry_source *source,
                                const struct fmm_found *old, uint64_t now_ms,
                                struct fmm_ticket *ticket);

/* Count what became of a store, if it was one of a user's key. */
static inline enum fmm_status
fmm_hold_count_store(struct fmm_cache *cache, const struct fmm_key *key,
                     enum fmm_status status)
{
    if (status == FMM_OK && key->kind != FMM_KEY_INTERNAL) {
        fmm_client_count(&cache->client, FMM_COUNT_STORES);
    }
    return status;
}

/* Whole seconds since the creation of the file. */
uint64_t fmm_hold_seconds(const struct fmm_cache *cache, uint64_t now_ms);
