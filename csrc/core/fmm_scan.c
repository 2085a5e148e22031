/* Whole pages: copy them out, drop. */
#include "fmm.h"

#include "fmm_directory.h"
#include "fmm_hash.h"
#include "fmm_hold.h"
#include "fmm_map.h"
#include "fmm_read.h"

/* What a walk over a page is looking for. */
struct search {
    const struct fmm_hold *hold;
    uint64_t now_ms;
    uint64_t scope;
    bool groups; /* of whatever scope, and names of groups */
    bool found;  /* by its key alone */
};

/* Whether an entry has the hash of its key. Those on the page of another key,
 * as multi_set() stores them, have that of both. */
static bool
has_own_hash(const struct search *search, const struct fmm_entry *entry)
{
    const struct fmm_cache *cache = search->hold->cache;
    const uint64_t seed[2] = {cache->seed[0] ^ search->scope, cache->seed[1]};
    return fmm_hash(seed, entry->key, entry->key_len) == entry->hash;
}

/* Whether an entry is what is looked for, as far as its key tells. */
static bool
is_meant(const struct search *search, const struct fmm_entry *entry)
{
    if (fmm_entry_kind(entry) > FMM_KEY_BYTES) {
        return search->groups && fmm_entry_is_name(entry);
    }
    return search->groups || (fmm_entry_scope(entry) == search->scope &&
                              (!search->found || has_own_hash(search, entry)));
}

/* Whether a slot names such a value, which can be seen now. */
static bool
load_value(const struct search *search, uint32_t slot, struct fmm_found *out)
{
    const struct fmm_hold *hold = search->hold;
    return fmm_page_load_slot(&hold->page, slot, out) &&
           is_meant(search, &out->entry) &&
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

/* The groups of a value, in the place of its key and of itself. */
struct membership {
    uint64_t scope;
    struct fmm_tag tags[FMM_TAGS_MAX];
};

static void
join_groups(struct fmm_entry *entry, struct fmm_meta *meta,
            struct membership *groups)
{
    if (fmm_entry_kind(entry) <= FMM_KEY_BYTES) {
        uint32_t count = fmm_entry_tags(entry, groups->tags);
        groups->scope = fmm_entry_scope(entry);
        entry->key = (const unsigned char *)groups;
        entry->key_len =
            (uint32_t)(sizeof(groups->scope) + count * sizeof(*groups->tags));
        entry->value_len = 0;
        entry->flags = 0;
        meta->key_len = entry->key_len;
        meta->value_len = 0;
    }
}

static uint64_t
record_size(const struct fmm_meta *meta, bool values)
{
    return fmm_align8(sizeof(*meta) + meta->key_len +
                      (values ? meta->value_len : 0));
}

/* Of one who may not take the page: `tail` as it was before any slot was
 * read. */
static bool
is_whole(const struct fmm_page *page, const uint64_t tail[2],
         const struct fmm_found *found)
{
    return tail == NULL || fmm_page_is_whole(page, tail[found->ring],
                                             found->ring, found->offset);
}

static void
scan_slots(const struct fmm_hold *hold, const uint64_t tail[2],
           const struct fmm_call *call, struct fmm_scan *scan)
{
    const struct search search = {hold, call->now_ms, scan->scope,
                                  scan->groups, scan->found};
    struct membership groups;
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
        if (scan->groups) {
            join_groups(&found.entry, &meta, &groups);
        }
        uint64_t size = record_size(&meta, scan->values);
        if (fmm_fits(scan->used, size, scan->capacity)) {
            write_record(scan->buffer + scan->used, &found.entry, &meta,
                         scan->values);
        }
        scan->used += is_whole(&hold->page, tail, &found) ? size : 0;
    }
}

/* What all records of a sound page take at most. */
static uint64_t
largest_scan(const struct fmm_page *page)
{
    uint64_t slots = (uint64_t)page->index.buckets * FMM_BUCKET_SLOTS;
    return page->geometry->page_size + slots * (sizeof(struct fmm_meta) + 8);
}

/* Without the page: what is overwritten meanwhile is left out. */
static enum fmm_status
scan_freely(struct fmm_cache *cache, const struct fmm_call *call,
            uint32_t page, struct fmm_scan *scan)
{
    struct fmm_hold view = {.cache = cache};
    uint64_t tail[2];
    if (page >= cache->geometry.num_pages) {
        return FMM_ERR_ARGUMENT;
    }
    fmm_page_look(cache->base, &cache->geometry, page, &view.page, tail);
    scan_slots(&view, tail, call, scan);
    if (scan->used > largest_scan(&view.page)) {
        return FMM_ERR_CORRUPT; /* slots that share entries */
    }
    return scan->used <= scan->capacity ? FMM_OK : FMM_TOO_SMALL;
}

enum fmm_status
fmm_scan_page(struct fmm_cache *cache, const struct fmm_call *call,
              uint32_t page, struct fmm_scan *scan)
{
    struct fmm_hold hold;
    if (cache->client.read_only) {
        return scan_freely(cache, call, page, scan);
    }
    enum fmm_status status = fmm_hold_take(cache, call, page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    scan_slots(&hold, NULL, call, scan);
    if (FMM_UNLIKELY(scan->used > largest_scan(&hold.page))) {
        fmm_hold_repair(&hold.page); /* slots that share entries */
        scan_slots(&hold, NULL, call, scan);
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
    bool spared;  /* a lock */
    bool damaged; /* a slot that named nothing sound was cleared */
    bool more;    /* values in parts than can be displaced at once */
    struct fmm_displaced displaced;
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

/* Take a value in parts out of the directory. Where all goes, its parts do. */
static bool
displace(struct dropping *d, const struct fmm_entry *entry)
{
    struct fmm_parts parts = {.length = 0};
    struct fmm_cache *cache = d->hold->cache;
    if (d->what != FMM_DROP_ALL) {
        d->more |= d->displaced.count == FMM_DISPLACED_MAX;
        fmm_entry_displace(entry, &d->displaced);
        return !d->more;
    }
    fmm_entry_parts(entry, &parts);
    parts.count = 0;
    fmm_directory_forget(&cache->client, &cache->geometry, &parts);
    return true;
}

/* Drop one slot's entry if it is meant. */
static void
drop_slot(struct dropping *d, uint32_t slot)
{
    const struct fmm_page *page = &d->hold->page;
    struct fmm_found found;
    if (!fmm_page_load_slot(page, slot, &found)) {
        fmm_page_clear_bad_slot(page, slot, &d->damaged);
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
    if (FMM_UNLIKELY(found.entry.flags & FMM_ENTRY_IN_PARTS) &&
        !displace(d, &found.entry)) {
        return;
    }
    fmm_page_clear_slot(page, &found);
    fmm_count_add(&page->control->expirations, expired ? 1 : 0);
    bool value = (found.entry.flags & FMM_ENTRY_TOMBSTONE) == 0 &&
                 fmm_entry_kind(&found.entry) != FMM_KEY_INTERNAL;
    d->values += value ? 1 : 0;
}

static void
drop_slots(struct dropping *d, const struct fmm_page *page)
{
    for (uint32_t slot = 0; slot < count_slots(page); slot++) {
        fmm_page_fetch_ahead(page, slot);
        if (fmm_index_word(&page->index, slot) != 0) {
            drop_slot(d, slot);
        }
    }
}

/* Empty a page that has nothing left, and give back the memory of its rings: a
 * reader who still copies from there sees that the tail has passed. */
static void
empty_page(struct fmm_hold *hold)
{
    const struct fmm_cache *cache = hold->cache;
    fmm_page_reset(&hold->page);
    for (uint32_t i = 0; cache->gives_back && i < 2; i++) {
        const struct fmm_ring *ring = &hold->page.ring[i];
        fmm_map_give_back(ring->base, ring->size);
    }
}

enum fmm_status
fmm_drop_page(struct fmm_cache *cache, const struct fmm_call *call,
              uint32_t page, enum fmm_drop what, bool keep_dirty,
              uint64_t *dropped)
{
    struct fmm_hold hold;
    struct dropping d = {.hold = &hold,
                         .now_ms = call->now_ms,
                         .what = what,
                         .keep_dirty = keep_dirty};
    do {
        enum fmm_status status = fmm_hold_take(cache, call, page, &hold);
        if (status != FMM_OK) {
            return status;
        }
        d.more = false;
        drop_slots(&d, &hold.page);
        if (what == FMM_DROP_ALL && !keep_dirty && !d.spared) {
            empty_page(&hold);
        }
        fmm_hold_release(&hold);
        fmm_displaced_drop(cache, call, NULL, &d.displaced);
    } while (d.more);
    *dropped += d.values;
    return FMM_OK;
}
