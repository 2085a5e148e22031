#include "fmm_owner.h"

#include "fmm_hash.h"
#include "fmm_mutant.h"

#define TRIES 16
#define LAPPED FMM_BUSY

bool
fmm_owner_is_part(const struct fmm_entry *entry)
{
    return fmm_entry_kind(entry) == FMM_KEY_INTERNAL &&
           (entry->flags & FMM_ENTRY_INTEGER) == 0 &&
           entry->key_len == FMM_PART_NAME;
}

static bool
names(const struct fmm_entry *entry, const struct fmm_parts *wanted)
{
    struct fmm_parts parts = {.length = 0};
    fmm_entry_parts(entry, &parts);
    return entry->hash == wanted->id[FMM_PART_HASH] && parts.length != 0 &&
           memcmp(parts.id, wanted->id, sizeof(parts.id)) == 0;
}

/* Look for a slot whose entry names these parts, as a reader looks for a
 * key. */
static enum fmm_status
look_once(const struct fmm_page *page, const struct fmm_parts *wanted)
{
    struct fmm_candidates c;
    struct fmm_found found;
    uint64_t tail[2];
    fmm_index_candidates(page->index.buckets, wanted->id[FMM_PART_HASH], &c);
    fmm_page_load_tails(page, tail);
    uint32_t matches = fmm_index_tagged(&page->index, &c);
    while (matches) {
        uint32_t slot = fmm_index_take(&c, &matches);
        bool named = fmm_page_load_slot(page, slot, &found) &&
                     names(&found.entry, wanted);
        if (!FMM_MUTANT_IS(owner_unchecked) &&
            !fmm_page_is_whole(page, tail[found.ring], found.ring,
                               found.offset)) {
            return LAPPED;
        }
        if (named) {
            return FMM_OK;
        }
    }
    return FMM_MISS;
}

bool
fmm_owner_lives(const struct fmm_page *page, const struct fmm_entry *part)
{
    enum fmm_status status = LAPPED;
    struct fmm_parts wanted;
    struct fmm_page owner;
    fmm_copy_out(wanted.id, part->key, sizeof(wanted.id));
    fmm_page_glance(
        page->base, page->geometry,
        fmm_hash_page(wanted.id[FMM_PART_HASH], page->geometry->num_pages),
        &owner);
    for (int i = 0; i < TRIES && status == LAPPED; i++) {
        status = look_once(&owner, &wanted);
    }
    return status != FMM_MISS;
}
