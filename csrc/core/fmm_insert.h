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
                                   const struct fmm_store_options *store);

/* Bytes that an entry takes, its seal included; 0: more than there may be. */
uint64_t fmm_insert_size(const struct fmm_geometry *geometry,
                         const struct fmm_entry_source *source);

/* Store it, replacing `old`, the key's entry in the page, or NULL. FMM_OK,
 * FMM_NO_ROOM, FMM_DIRTY (fills the ticket), FMM_ERR_CORRUPT (the page
 * must be repaired). */
enum fmm_status fmm_insert_entry(struct fmm_page *page,
                                 const struct fmm_entry_source *source,
                                 const struct fmm_found *old, uint64_t now_ms,
                                 struct fmm_ticket *ticket);

/* A value that is being stored in parts, from its end. */
struct fmm_part_source {
    const struct fmm_key *key; /* of the next part */
    const struct fmm_value *value;
    const struct fmm_store_options *store; /* its modseq names the next page */
    uint64_t left;  /* bytes of the value, from its begin, to be stored */
    uint64_t press; /* bytes that small entries may have to leave for it */
    uint64_t least; /* bytes of an entry, fewer are not worth one */
    uint32_t stored_at;
};

/* Bytes of a ring that parts may take. */
uint64_t fmm_insert_room(const struct fmm_page *page, uint32_t ring);
/* Store as much of the end of what is left as there is a hole for. FMM_OK: of
 * `*taken_out` bytes there is a part now. Else as fmm_insert_entry(). */
enum fmm_status fmm_insert_part(struct fmm_page *page,
                                const struct fmm_part_source *part,
                                uint64_t now_ms, struct fmm_ticket *ticket,
                                uint64_t *taken_out);
