/* Whole pages: copy them out, drop. */
#include "fmm.h"

#include "fmm_hold.h"
#include "fmm_read.h"

/* What a walk over a page is looking for. */
struct search {
    const struct fmm_hold *hold;
    uint64_t now_ms;
    uint64_t scope;
};

/* Whether a slot names a value that can be seen now, of a key that is the
 * user's, in that scope. */
static bool
load_value(const struct search *search, uint32_t slot, struct fmm_found *out)
{
    const struct fmm_hold *hold = search->hold;
    return fmm_page_load_slot(&hold->page, slot, out) &&
           fmm_entry_kind(&out->entry) <= FMM_KEY_BYTES &&
           fmm_entry_scope(&out->entry) == search->scope &&
           !fmm_read_gone(hold->cache, &out->entry, search->now_ms);
}

static uint32_t
count_slots(const struct fmm_page *page)
{
    return page->index.buckets * FMM_BUCKET_SLOTS;
}

/* -------------------------------------------------------------- copying */

/* Append one record: description, key, value. */
static void
write_record(unsigned char *to, const struct fmm_entry *entry,
             const struct fmm_meta *meta, bool values)
{
    memcpy(to, meta, sizeof(*meta));
    fmm_copy_out(to + sizeof(*meta), entry->key, entry->key_len);
    if (values) {
        fmm_entry_copy_value(entry, to + sizeof(*meta) + entry->key_len);
    }
}

static uint64_t
record_size(const struct fmm_meta *meta, bool values)
{
    return fmm_align8(sizeof(*meta) + meta->key_len +
                      (values ? meta->value_len : 0));
}

static void
scan_locked(const struct fmm_hold *hold, const struct fmm_call *call,
            struct fmm_scan *scan)
{
    const struct search search = {hold, call->now_ms, scan->scope};
    struct fmm_found found;
    struct fmm_meta meta;
    scan->used = 0;
    scan->cursor = 0;
    for (uint32_t slot = 0; slot < count_slots(&hold->page); slot++) {
        fmm_page_fetch_ahead(&hold->page, slot);
        if (!load_value(&search, slot, &found)) {
            continue;
        }
        fmm_page_describe(&hold->page, &found, hold->cache->created_ms,
                          call->now_ms, &meta);
        uint64_t size = record_size(&meta, scan->values);
        if (fmm_fits(scan->used, size, scan->capacity)) {
            write_record(scan->buffer + scan->used, &found.entry, &meta,
                         scan->values);
        }
        scan->used += size;
    }
}

/* What all records of a sound page take at most. */
static uint64_t
largest_scan(const struct fmm_page *page)
{
    uint64_t slots = (uint64_t)page->index.buckets * FMM_BUCKET_SLOTS;
    return page->geometry->page_size + slots * (sizeof(struct fmm_meta) + 8);
}

enum fmm_status
fmm_scan_page(struct fmm_cache *cache, const struct fmm_call *call,
              uint32_t page, struct fmm_scan *scan)
{
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take(cache, call, page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    scan_locked(&hold, call, scan);
    if (FMM_UNLIKELY(scan->used > largest_scan(&hold.page))) {
        fmm_hold_repair(&hold.page); /* slots that share entries */
        scan_locked(&hold, call, scan);
    }
    fmm_hold_release(&hold);
    return scan->used <= scan->capacity ? FMM_OK : FMM_TOO_SMALL;
}

bool
fmm_scan_next(struct fmm_scan *scan, struct fmm_meta *meta_out,
              const void **key_out, const void **value_out)
{
    if (scan->cursor >= scan->used) {
        return false;
    }
    const unsigned char *at = scan->buffer + scan->cursor;
    memcpy(meta_out, at, sizeof(*meta_out));
    *key_out = at + sizeof(*meta_out);
    *value_out = at + sizeof(*meta_out) + meta_out->key_len;
    scan->cursor += record_size(meta_out, scan->values);
    return true;
}

/* ------------------------------------------------------------- dropping */

/* What is to be dropped of one page, and what was. */
struct dropping {
    const struct fmm_hold *hold;
    uint64_t now_ms;
    enum fmm_drop what;
    bool keep_dirty;
    bool spared; /* a lock */
    uint64_t values;
};

/* Whether somebody has a lease that outlives this: a lock, always; the right
 * to compute a value anew, while it is dropped for its age alone. */
static bool
is_in_use(const struct dropping *d, const struct fmm_entry *entry)
{
    struct fmm_lease lease;
    fmm_entry_lease(entry, &lease);
    return fmm_lease_runs(&lease, d->now_ms) &&
           (d->what == FMM_DROP_EXPIRED ||
            (lease.token & FMM_LEASE_LOCK) != 0);
}

/* Drop one slot's entry if it is meant. */
static void
drop_slot(struct dropping *d, uint32_t slot)
{
    const struct fmm_page *page = &d->hold->page;
    struct fmm_found found;
    if (!fmm_page_load_slot(page, slot, &found)) {
        fmm_index_publish(&page->index, slot, 0);
        return;
    }
    bool expired = fmm_read_expired(d->hold->cache, &found.entry, d->now_ms);
    bool dirty = (found.word & FMM_SLOT_DIRTY) != 0;
    if ((d->what == FMM_DROP_EXPIRED && !expired) ||
        (d->keep_dirty && dirty)) {
        return;
    }
    /* A removal that the user's store has yet to hear of is no value: whoever
     * is writing the value just now would bring it back. */
    bool removal = dirty && (found.entry.flags & FMM_ENTRY_TOMBSTONE) != 0;
    if (removal || is_in_use(d, &found.entry)) {
        d->spared = true;
        return;
    }
    fmm_page_clear_slot(page, &found);
    fmm_count_add(&page->control->expirations, expired ? 1 : 0);
    bool value = (found.entry.flags & FMM_ENTRY_TOMBSTONE) == 0 &&
                 fmm_entry_kind(&found.entry) != FMM_KEY_INTERNAL;
    d->values += value ? 1 : 0;
}

enum fmm_status
fmm_drop_page(struct fmm_cache *cache, const struct fmm_call *call,
              uint32_t page, enum fmm_drop what, bool keep_dirty,
              uint64_t *dropped)
{
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take(cache, call, page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    struct dropping d = {.hold = &hold,
                         .now_ms = call->now_ms,
                         .what = what,
                         .keep_dirty = keep_dirty};
    for (uint32_t slot = 0; slot < count_slots(&hold.page); slot++) {
        fmm_page_fetch_ahead(&hold.page, slot);
        if (fmm_index_word(&hold.page.index, slot) != 0) {
            drop_slot(&d, slot);
        }
    }
    if (what == FMM_DROP_ALL && !keep_dirty && !d.spared) {
        fmm_page_reset(&hold.page);
    }
    fmm_hold_release(&hold);
    *dropped += d.values;
    return FMM_OK;
}
