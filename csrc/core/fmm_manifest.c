#include "fmm_manifest.h"

#include "fmm_hash.h"
#include "fmm_lock.h"

#define LOOKS_MAX 16
#define LAPPED FMM_BUSY

/* Not that of a removal, which lives on until the user's store has heard of it:
 * the parts are dead, and it must not leave with them. */
static bool
names(const struct fmm_entry *entry, struct fmm_parts *wanted)
{
    struct fmm_parts parts = {.length = 0};
    if ((entry->flags & FMM_ENTRY_TOMBSTONE) == 0) {
        fmm_entry_parts(entry, &parts);
    }
    bool same = entry->hash == wanted->id[FMM_PART_HASH] &&
                parts.length != 0 &&
                memcmp(parts.id, wanted->id, sizeof(parts.id)) == 0;
    if (same) {
        *wanted = parts;
    }
    return same;
}

/* Look for a slot whose entry names these parts, as a reader looks for a
 * key. */
static enum fmm_status
look_once(const struct fmm_page *page, const uint64_t tail[2],
          struct fmm_parts *wanted, struct fmm_found *found)
{
    struct fmm_candidates c;
    fmm_index_candidates(page->index.buckets, wanted->id[FMM_PART_HASH], &c);
    uint32_t matches = fmm_index_tagged(&page->index, &c);
    while (matches) {
        uint32_t slot = fmm_index_take(&c, &matches);
        bool named = fmm_page_load_slot(page, slot, found) &&
                     names(&found->entry, wanted);
        if (!fmm_page_is_whole(page, tail[found->ring], found->ring,
                               found->offset)) {
            return LAPPED;
        }
        if (named) {
            return FMM_OK;
        }
    }
    return FMM_MISS;
}

/* What the part says of its value, and the page where that should be. */
static uint32_t
look_where(const struct fmm_page *page, const struct fmm_entry *part,
           struct fmm_parts *wanted)
{
    fmm_copy_out(wanted->id, part->key, sizeof(wanted->id));
    uint64_t hash = wanted->id[FMM_PART_HASH];
    return fmm_hash_page(hash, page->geometry->num_pages);
}

bool
fmm_manifest_lives(const struct fmm_page *page, const struct fmm_entry *part,
                   uint64_t now_ms)
{
    enum fmm_status status = LAPPED;
    struct fmm_parts wanted;
    struct fmm_found found;
    struct fmm_page other;
    uint64_t tail[2];
    uint32_t number = look_where(page, part, &wanted);
    for (int i = 0; i < LOOKS_MAX && status == LAPPED; i++) {
        fmm_page_look(page->base, page->geometry, number, &other, tail);
        status = look_once(&other, tail, &wanted, &found);
    }
    return status == LAPPED ||
           (status == FMM_OK && !fmm_entry_expired(&found.entry, now_ms));
}

bool
fmm_manifest_find(const struct fmm_page *page, struct fmm_parts *parts,
                  struct fmm_found *found_out)
{
    uint64_t tail[2];
    fmm_page_load_tails(page, tail);
    return look_once(page, tail, parts, found_out) == FMM_OK;
}

/* Its page is held: nothing laps us. */
static bool
evict_locked(const struct fmm_page *other, struct fmm_parts *parts)
{
    struct fmm_found found;
    if (!fmm_manifest_find(other, parts, &found)) {
        return false;
    }
    fmm_page_clear_slot(other, &found);
    fmm_count_add(&other->control->evictions, 1);
    return true;
}

bool
fmm_manifest_evict(const struct fmm_page *page, const struct fmm_entry *part,
                   struct fmm_parts *parts_out)
{
    struct fmm_parts parts;
    struct fmm_page other;
    bool evicted = false;
    uint32_t number = look_where(page, part, &parts);
    if (number == page->number) {
        evicted = evict_locked(page, &parts);
    }
    else {
        fmm_word64 *lock = &fmm_page_control(page->base, number)->lock;
        uint64_t holder = fmm_lock_holder(&page->control->lock);
        if (holder != 0 && fmm_lock_try(lock, holder)) {
            fmm_page_glance(page->base, page->geometry, number, &other);
            evicted = evict_locked(&other, &parts);
            fmm_lock_release(lock, holder);
        }
    }
    if (evicted) {
        *parts_out = parts;
    }
    return evicted;
}
