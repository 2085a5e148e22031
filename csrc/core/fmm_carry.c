#include "fmm_carry.h"

#include <stdlib.h>

#include "fmm_copied.h"
#include "fmm_hash.h"
#include "fmm_hold.h"
#include "fmm_read.h"

#define BUFFER_FIRST (UINT64_C(1) << 20)
#define SLOTS_AT_ONCE 4096u /* with the page held: less than 1 ms */

bool
fmm_carry_begin(struct fmm_carry *carry, struct fmm_cache *from,
                struct fmm_cache *to)
{
    *carry = (struct fmm_carry){.from = from, .to = to};
    carry->capacity = BUFFER_FIRST;
    carry->buffer = malloc(BUFFER_FIRST);
    carry->memos = calloc(from->geometry.num_pages, sizeof(*carry->memos));
    return carry->buffer != NULL && carry->memos != NULL;
}

void
fmm_carry_end(struct fmm_carry *carry)
{
    for (uint32_t n = 0;
         carry->memos != NULL && n < carry->from->geometry.num_pages; n++) {
        fmm_memo_free(&carry->memos[n]);
    }
    free(carry->memos);
    free(carry->buffer);
    carry->memos = NULL;
    carry->buffer = NULL;
}

void
fmm_carry_turn(struct fmm_carry *carry)
{
    carry->round++;
    carry->page = 0;
    carry->changed = carry->wanted = carry->misplaced = 0;
    carry->locks = 0;
    carry->stuck = false;
}

/* ----------------------------------------------------------- out of a page */

/* Records of groups, values that live, removals that somebody has yet to hear
 * of; not the parts of values, which go with those. The records come first: a
 * tag without its own would have ended. */
static bool
is_wanted(const struct fmm_carry *carry, const struct fmm_found *found)
{
    const struct fmm_entry *entry = &found->entry;
    if (fmm_entry_kind(entry) == FMM_KEY_INTERNAL) {
        return fmm_entry_is_record(entry);
    }
    if (carry->round == FMM_CARRY_RECORDS) {
        return false;
    }
    if ((found->word & (FMM_SLOT_REMOVED | FMM_SLOT_DIRTY)) != 0) {
        return true;
    }
    return !fmm_entry_bare(entry) &&
           !fmm_read_expired(carry->from, entry, carry->call.now_ms);
}

/* Locks by name are of clients of the old file, and cannot go along. */
static void
count_lock(struct fmm_carry *carry, const struct fmm_entry *entry)
{
    struct fmm_lease lease;
    if ((entry->flags & FMM_ENTRY_LEASE) == 0) {
        return;
    }
    fmm_entry_lease(entry, &lease);
    bool held = (lease.token & FMM_LEASE_LOCK) != 0 &&
                fmm_lease_runs(&lease, carry->call.now_ms) &&
                fmm_client_lives(&carry->from->client, lease.owner);
    carry->locks += held ? 1 : 0;
}

/* Copy the entry of a slot, if it has changed. False: there is no room. */
static bool
take_slot(struct fmm_carry *carry, const struct fmm_page *page, uint32_t slot)
{
    struct fmm_found found;
    if (!fmm_page_load_slot(page, slot, &found)) {
        return true;
    }
    count_lock(carry, &found.entry);
    if (!is_wanted(carry, &found)) {
        return true;
    }
    struct fmm_copied copied;
    fmm_copied_describe(page, &found, &copied);
    struct fmm_memo_item *item =
        fmm_memo_find(&carry->memos[page->number], copied.key);
    bool same = item != NULL && item->sum == copied.sum;
    uint64_t size = sizeof(copied) + copied.length;
    if (same) {
        item->round = carry->round;
    }
    else if (!fmm_fits(carry->used, size, carry->capacity)) {
        carry->least = carry->used == 0 ? size : 0;
        return false;
    }
    else {
        memcpy(carry->buffer + carry->used, &copied, sizeof(copied));
        fmm_copy_out(carry->buffer + carry->used + sizeof(copied),
                     found.entry.at, copied.length);
        carry->used += size;
        carry->changed++;
    }
    bool own = fmm_entry_kind(&found.entry) == FMM_KEY_INTERNAL;
    carry->wanted += own ? 0 : 1;
    return true;
}

/* From `*slot` on, as many as may be. */
static void
take_slots(struct fmm_carry *carry, const struct fmm_page *page,
           uint32_t *slot, uint32_t *slots_out)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    uint32_t end = slots;
    if (!carry->held && *slot < slots) {
        end = *slot + (uint32_t)fmm_min(SLOTS_AT_ONCE, slots - *slot);
    }
    carry->used = 0;
    carry->least = 0;
    while (*slot < end) {
        fmm_page_fetch_ahead(page, *slot);
        if (!take_slot(carry, page, *slot)) {
            break;
        }
        (*slot)++;
    }
    *slots_out = slots;
}

static enum fmm_status
take(struct fmm_carry *carry, uint32_t *slot, uint32_t *slots_out)
{
    struct fmm_hold hold;
    struct fmm_cache *from = carry->from;
    if (carry->held) {
        fmm_page_view(from->base, &from->geometry, carry->page, &hold.page);
        if (!fmm_page_settle(&hold.page)) {
            return FMM_ERR_CORRUPT;
        }
        take_slots(carry, &hold.page, slot, slots_out);
        return FMM_OK;
    }
    enum fmm_status status =
        fmm_hold_take(from, &carry->call, carry->page, &hold);
    if (status == FMM_OK) {
        take_slots(carry, &hold.page, slot, slots_out);
        fmm_hold_release(&hold);
    }
    return status;
}

/* ------------------------------------------------------------ into another */

/* The page of a key that is on another's: where all keys of the old page go
 * together. False: they do not, or it would be taken for the key's own. */
static bool
find_common_page(const struct fmm_carry *carry, uint64_t hash,
                 uint32_t *page_out)
{
    uint64_t pages = carry->from->geometry.num_pages;
    uint32_t to = carry->to->geometry.num_pages;
    uint64_t first = fmm_hash_first(carry->page, pages);
    uint64_t end = fmm_hash_first((uint64_t)carry->page + 1, pages);
    uint32_t page = fmm_hash_page(first, to);
    *page_out = page;
    return fmm_hash_page(end - 1, to) == page &&
           fmm_hash_page(hash, to) != page;
}

static bool
find_page(const struct fmm_carry *carry, uint64_t hash, uint32_t *page_out)
{
    if (fmm_hash_page(hash, carry->from->geometry.num_pages) != carry->page) {
        return find_common_page(carry, hash, page_out);
    }
    *page_out = fmm_hash_page(hash, carry->to->geometry.num_pages);
    return true;
}

/* Store one, and remember it. What finds no room is remembered too: it would not
 * find any the next time. */
static enum fmm_status
put(struct fmm_carry *carry, const struct fmm_copied *copied,
    const unsigned char *bytes)
{
    struct fmm_memo_item item = {copied->key, copied->sum, carry->round, 0};
    struct fmm_entry entry;
    if (!fmm_entry_load(bytes, copied->length, 0, &entry)) {
        return FMM_OK;
    }
    if (!find_page(carry, entry.hash, &item.page)) {
        carry->misplaced++;
        carry->changed--; /* it will be met again */
        return FMM_OK;
    }
    enum fmm_status status = fmm_copied_store(
        carry->from, carry->to, &carry->call, copied, &entry, item.page);
    if (status == FMM_MISS) {
        return FMM_OK; /* its parts went meanwhile */
    }
    if (status == FMM_NO_ROOM || status == FMM_DIRTY) {
        if ((copied->state & FMM_SLOT_DIRTY) != 0) {
            carry->stuck = true; /* and is tried again the next time */
            return FMM_OK;
        }
        status = FMM_OK;
    }
    if (status == FMM_OK && !fmm_memo_put(&carry->memos[carry->page], &item)) {
        status = FMM_ERR_MEMORY;
    }
    return status;
}

/* All that was taken, the oldest first. */
static enum fmm_status
put_all(struct fmm_carry *carry)
{
    enum fmm_status status = FMM_OK;
    struct fmm_copied_list list;
    if (!fmm_copied_sort(carry->buffer, carry->used, &list)) {
        return FMM_ERR_MEMORY;
    }
    for (uint64_t i = 0; i < list.count && status == FMM_OK; i++) {
        const struct fmm_copied *copied = list.items[i];
        status = put(carry, copied, (const unsigned char *)(copied + 1));
    }
    free(list.items);
    return status;
}

/* What is not in the old file any more goes from the new one. */
static enum fmm_status
drop_gone(struct fmm_carry *carry)
{
    struct fmm_memo *memo = &carry->memos[carry->page];
    const struct fmm_memo_item *item;
    uint64_t cursor = 0;
    bool any = false;
    while ((item = fmm_memo_next_unseen(memo, carry->round, &cursor)) !=
           NULL) {
        fmm_copied_drop(carry->to, &carry->call, item->key, item->page);
        carry->changed++;
        any = true;
    }
    return !any || fmm_memo_forget_unseen(memo, carry->round) ? FMM_OK
                                                              : FMM_ERR_MEMORY;
}

/* A larger buffer, where one entry needs that. */
static bool
widen(struct fmm_carry *carry)
{
    if (carry->least > carry->capacity) {
        unsigned char *buffer = realloc(carry->buffer, carry->least);
        if (buffer == NULL) {
            return false;
        }
        carry->buffer = buffer;
        carry->capacity = carry->least;
    }
    return true;
}

enum fmm_status
fmm_carry_page(struct fmm_carry *carry)
{
    enum fmm_status status = FMM_OK;
    uint32_t slot = 0, slots = 1;
    if (carry->page >= carry->from->geometry.num_pages) {
        return FMM_MISS;
    }
    while (slot < slots && status == FMM_OK) {
        status = take(carry, &slot, &slots);
        if (status == FMM_OK) {
            status = widen(carry) ? put_all(carry) : FMM_ERR_MEMORY;
        }
    }
    if (status == FMM_OK) {
        status = drop_gone(carry);
    }
    carry->page += status == FMM_OK ? 1 : 0;
    return status;
}
