/* Dirty entries: handed out by ticket, read, marked clean. */
#include "fmm.h"

#include "fmm_leave.h"
#include "fmm_hold.h"
#include "fmm_process.h"
#include "fmm_read.h"

/* The entry of a ticket, if it is still that version and dirty. */
static bool
find_ticket(const struct fmm_page *page, const struct fmm_ticket *ticket,
            struct fmm_found *out)
{
    if (ticket->ring > FMM_RING_M) {
        return false;
    }
    const struct fmm_ring *ring = &page->ring[ticket->ring];
    uint64_t offset = fmm_ring_offset(ring, ticket->position);
    struct fmm_entry entry;
    if (ticket->position < ring->tail || ticket->position >= ring->head ||
        !fmm_entry_load(ring->base, ring->size, offset, &entry)) {
        return false;
    }
    uint32_t slot =
        fmm_index_find_place(&page->index, entry.hash, ticket->ring, offset);
    return slot != FMM_SLOT_NONE && fmm_page_load_slot(page, slot, out) &&
           (out->word & FMM_SLOT_DIRTY) != 0;
}

/* Removing a value marks its entry: that is another version of the key. */
static bool
is_same_removal(const struct fmm_found *found, const struct fmm_ticket *ticket)
{
    return ticket->removed == ((found->word & FMM_SLOT_REMOVED) != 0);
}

/* An integer changes in place: its value is part of the version. */
static bool
is_same_word(const struct fmm_found *found, uint64_t word)
{
    return (found->entry.flags & FMM_ENTRY_INTEGER) == 0 ||
           (uint64_t)fmm_entry_integer(&found->entry) == word;
}

enum fmm_status
fmm_dirty_read_locked(const struct fmm_guard *guard, struct fmm_ticket *ticket,
                      void *buffer, size_t capacity, struct fmm_meta *meta_out)
{
    struct fmm_page page;
    struct fmm_found found;
    fmm_hold_view(guard, &page);
    if (!find_ticket(&page, ticket, &found)) {
        return FMM_MISS;
    }
    const struct fmm_entry *entry = &found.entry;
    fmm_page_describe(&page, &found, guard->cache->created_ms, 0, meta_out);
    ticket->removed = (found.word & FMM_SLOT_REMOVED) != 0;
    if (meta_out->tombstone) {
        meta_out->value_len = 0;
    }
    if (!fmm_fits(meta_out->key_len, meta_out->value_len, capacity)) {
        return FMM_TOO_SMALL;
    }
    if (entry->flags & FMM_ENTRY_INTEGER) {
        ticket->word = (uint64_t)fmm_entry_integer(entry);
    }
    fmm_copy_out(buffer, entry->key, entry->key_len);
    if (!meta_out->tombstone) {
        fmm_entry_copy_value(entry, (unsigned char *)buffer + entry->key_len);
    }
    return FMM_OK;
}

enum fmm_status
fmm_dirty_done_locked(const struct fmm_guard *guard,
                      const struct fmm_ticket *ticket)
{
    struct fmm_page page;
    struct fmm_found found;
    fmm_hold_view(guard, &page);
    if (!find_ticket(&page, ticket, &found) ||
        !is_same_word(&found, ticket->word) ||
        !is_same_removal(&found, ticket)) {
        return FMM_MISS;
    }
    if (ticket->removed) {
        fmm_page_clear_slot(&page, &found);
        return FMM_OK;
    }
    fmm_index_publish(&page.index, found.slot, found.word & ~FMM_SLOT_STATE);
    return FMM_OK;
}

enum fmm_status
fmm_dirty_find_locked(const struct fmm_guard *guard, const struct fmm_key *key,
                      struct fmm_ticket *ticket_out)
{
    struct fmm_page page;
    struct fmm_found found;
    fmm_hold_view(guard, &page);
    if (!fmm_page_find(&page, key, &found) ||
        (found.word & FMM_SLOT_DIRTY) == 0) {
        return FMM_MISS;
    }
    fmm_leave_hand_out(&page, &found, ticket_out);
    return FMM_OK;
}

enum fmm_status
fmm_dirty_read(struct fmm_cache *cache, const struct fmm_call *call,
               struct fmm_ticket *ticket, void *buffer, size_t capacity,
               struct fmm_meta *meta_out)
{
    struct fmm_guard guard;
    enum fmm_status status = fmm_guard_take(cache, call, ticket->page, &guard);
    if (status == FMM_OK) {
        status =
            fmm_dirty_read_locked(&guard, ticket, buffer, capacity, meta_out);
        fmm_guard_release(&guard);
    }
    return status;
}

enum fmm_status
fmm_dirty_done(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_ticket *ticket)
{
    struct fmm_guard guard;
    enum fmm_status status = fmm_guard_take(cache, call, ticket->page, &guard);
    if (status == FMM_OK) {
        status = fmm_dirty_done_locked(&guard, ticket);
        fmm_guard_release(&guard);
    }
    return status;
}

/* Search one page. A cursor is the next slot u32 | buckets of its index u32: in
 * another index each entry has another slot. */
static enum fmm_status
next_dirty(const struct fmm_hold *hold, const struct fmm_call *call,
           bool only_expired, uint64_t *cursor, struct fmm_ticket *ticket)
{
    const struct fmm_page *page = &hold->page;
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    uint64_t index = (uint64_t)page->index.buckets << 32;
    uint32_t first =
        *cursor >> 32 == page->index.buckets ? (uint32_t)*cursor : 0;
    struct fmm_found found;
    for (uint32_t slot = first; slot < slots; slot++) {
        if (fmm_page_load_slot(page, slot, &found) &&
            (found.word & FMM_SLOT_DIRTY) != 0 &&
            (!only_expired ||
             fmm_read_expired(hold->cache, &found.entry, call->now_ms))) {
            *cursor = index | (slot + 1);
            fmm_leave_hand_out(page, &found, ticket);
            return FMM_OK;
        }
    }
    *cursor = index | slots;
    return FMM_MISS;
}

enum fmm_status
fmm_dirty_next(struct fmm_cache *cache, const struct fmm_call *call,
               uint32_t page, bool only_expired, uint64_t *cursor,
               struct fmm_ticket *ticket_out)
{
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take(cache, call, page, &hold);
    if (status == FMM_OK) {
        status = next_dirty(&hold, call, only_expired, cursor, ticket_out);
        fmm_hold_release(&hold);
    }
    return status;
}

static bool
has_dirty(const struct fmm_index *index)
{
    for (uint32_t slot = 0; slot < index->buckets * FMM_BUCKET_SLOTS; slot++) {
        if (fmm_index_word(index, slot) & FMM_SLOT_DIRTY) {
            return true;
        }
    }
    return false;
}

/* Whether a page is certain to have nothing dirty. */
static bool
is_clean(struct fmm_cache *cache, const struct fmm_call *call, uint32_t page)
{
    struct fmm_hold hold;
    if (fmm_hold_take(cache, call, page, &hold) != FMM_OK) {
        return false;
    }
    bool clean = !has_dirty(&hold.page.index);
    fmm_hold_release(&hold);
    return clean;
}

/* With a mark of our own in the word: whoever makes a page dirty that we looked
 * at already, and whoever else looks, puts another there. */
void
fmm_dirty_settle(struct fmm_cache *cache, const struct fmm_call *call)
{
    fmm_word64 *word = &cache->header->unwritten;
    uint64_t mark = 0;
    if (atomic_load(word) == 0 || !fmm_process_random(&mark, sizeof(mark)) ||
        mark <= FMM_UNWRITTEN) {
        return;
    }
    atomic_store(word, mark);
    for (uint32_t page = 0; page < cache->geometry.num_pages; page++) {
        if (!is_clean(cache, call, page)) {
            return;
        }
    }
    atomic_compare_exchange_strong(word, &mark, 0);
}

void
fmm_dirty_depart_locked(const struct fmm_guard *guard)
{
    struct fmm_page page;
    fmm_hold_view(guard, &page);
    page.control->departed = 1;
}
