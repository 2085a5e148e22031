#include "fmm_leave.h"

#include "fmm_directory.h"
#include "fmm_ghost.h"
#include "fmm_manifest.h"

enum fmm_status
fmm_leave_hand_out(const struct fmm_page *page, const struct fmm_found *found,
                   struct fmm_ticket *ticket)
{
    bool integer = (found->entry.flags & FMM_ENTRY_INTEGER) != 0;
    fmm_index_publish(&page->index, found->slot,
                      (found->word | FMM_SLOT_PENDING) & ~FMM_SLOT_FRESH);
    ticket->hash = found->entry.hash;
    ticket->removed = (found->word & FMM_SLOT_REMOVED) != 0;
    ticket->gone = (found->entry.flags & FMM_ENTRY_TOMBSTONE) != 0;
    ticket->position = fmm_page_position(page, found);
    ticket->word = integer ? (uint64_t)fmm_entry_integer(&found->entry) : 0;
    ticket->page = page->number;
    ticket->ring = found->ring;
    return FMM_DIRTY;
}

void
fmm_leave_expired(const struct fmm_page *page, const struct fmm_found *found)
{
    bool internal = fmm_entry_kind(&found->entry) == FMM_KEY_INTERNAL;
    fmm_count_add(&page->control->expirations, internal ? 0 : 1);
}

void
fmm_leave_slot(const struct fmm_page *page, const struct fmm_found *found)
{
    bool internal = fmm_entry_kind(&found->entry) == FMM_KEY_INTERNAL;
    fmm_ghost_add(page, found->entry.hash);
    fmm_count_add(&page->control->slot_evictions, 1);
    fmm_count_add(&page->control->evictions, internal ? 0 : 1);
}

/* ---------------------------------------------------- parts of values */

bool
fmm_leave_is_own(const void *own, const struct fmm_entry *entry)
{
    unsigned char id[sizeof(((struct fmm_parts *)NULL)->id)];
    if (FMM_LIKELY(own == NULL) || !fmm_entry_is_part(entry)) {
        return false;
    }
    fmm_copy_out(id, entry->key, sizeof(id));
    return memcmp(id, own, sizeof(id)) == 0;
}

/* In this order: what is on its way no more has its manifest by now. */
FMM_COLD bool
fmm_leave_is_wanted_part(const struct fmm_page *page, const void *own,
                         const struct fmm_entry *entry, uint64_t now_ms)
{
    return fmm_leave_is_own(own, entry) ||
           fmm_directory_is_coming(page->base, page->geometry, entry->key) ||
           fmm_manifest_lives(page, entry, now_ms);
}

/* The parts before it are dropped from the first one on, as far as to the one
 * that is missing now; those after it from the next one on. */
void
fmm_leave_value(const struct fmm_page *page, const struct fmm_entry *entry,
                struct fmm_ticket *ticket)
{
    struct fmm_displaced *displaced = &ticket->displaced;
    struct fmm_parts parts;
    uint32_t number;
    if (!fmm_entry_is_part(entry) ||
        displaced->count + 2 > FMM_DISPLACED_MAX ||
        !fmm_manifest_evict(page, entry, &parts)) {
        return;
    }
    fmm_copy_out(&number, entry->key + FMM_PART_NUMBER, sizeof(number));
    displaced->parts[displaced->count++] = parts;
    parts.page = (uint32_t)fmm_entry_modseq(entry);
    parts.count = number;
    displaced->parts[displaced->count++] = parts;
}

void
fmm_leave_orphans(const struct fmm_page *page, uint64_t now_ms)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    struct fmm_found found;
    for (uint32_t slot = 0; slot < slots; slot++) {
        fmm_page_fetch_ahead(page, slot);
        if (fmm_page_load_slot(page, slot, &found) &&
            fmm_entry_is_part(&found.entry) &&
            !fmm_leave_is_wanted_part(page, NULL, &found.entry, now_ms)) {
            fmm_page_clear_slot(page, &found);
        }
    }
}
