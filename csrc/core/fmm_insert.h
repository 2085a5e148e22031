/* Storing an entry in a page: conditions, room, slot, commit.
 *
 * The caller holds the page. Whatever the outcome but FMM_OK, the old
 * value stays. */
#pragma once

#include "fmm_entry.h"
#include "fmm_page.h"

/* Whether the store's mode and modseq let it replace `old` (NULL: there
 * is none, or an expired one). FMM_OK, FMM_EXISTS, FMM_MISS, FMM_STALE. */
enum fmm_status fmm_insert_allowed(const struct fmm_found *old,
                                   const struct fmm_store *store);

/* Store it, replacing `old`, the key's entry in the page, or NULL. FMM_OK,
 * FMM_NO_ROOM, FMM_DIRTY (fills the ticket), FMM_ERR_CORRUPT (the page
 * must be repaired). */
enum fmm_status fmm_insert_entry(struct fmm_page *page,
                                 const struct fmm_entry_source *source,
                                 const struct fmm_found *old, uint64_t now_ms,
                                 struct fmm_ticket *ticket);
