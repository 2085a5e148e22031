/* Groups are named, for people: keys and tags say numbers. See fmm.h.
 *
 * A name is an entry like any other, and advice: it comes where there is room for
 * it, and goes when nobody has used its group for a while. With a group for each
 * user some are named. */
#include "fmm.h"

#include "fmm_hold.h"
#include "fmm_name.h"
#include "fmm_read.h"

/* Room for a value: the name and what stands before it. */
struct noted {
    unsigned char bytes[FMM_NAME_BEFORE + FMM_NAME_MAX];
    size_t len;
};

/* Nothing that lives leaves for a name. */
static bool
has_room(const struct fmm_page *page, uint64_t hash, uint64_t length)
{
    return !fmm_name_are_many(page) &&
           fmm_ring_has_room(&page->ring[FMM_RING_S], length) &&
           fmm_ring_has_room(&page->ring[FMM_RING_M], length) &&
           fmm_index_find_empty(&page->index, hash) != FMM_SLOT_NONE;
}

static void
describe(const struct fmm_key *name, enum fmm_group_kind what,
         struct noted *out)
{
    memcpy(out->bytes, &name->scope, sizeof(name->scope));
    out->bytes[sizeof(name->scope)] = (unsigned char)what;
    memcpy(out->bytes + FMM_NAME_BEFORE, name->data, name->len);
    out->len = FMM_NAME_BEFORE + name->len;
}

/* It is kept like a record. */
static void
insert(struct fmm_hold *hold, const struct fmm_call *call,
       const struct fmm_key *key, const struct noted *noted)
{
    const struct fmm_value value = {
        .data = noted->bytes, .len = noted->len, .compressed = true};
    const struct fmm_store_options store = {.mode = FMM_STORE_ADD};
    uint32_t seconds = (uint32_t)fmm_hold_seconds(hold->cache, call->now_ms);
    const struct fmm_entry_source source = {key, &value, &store, seconds,
                                            NULL};
    struct fmm_page *page = &hold->page;
    struct fmm_ticket ticket = {.displaced = {.count = 0}};
    struct fmm_found found;
    uint64_t length = fmm_insert_size(page->geometry, &source);
    if (length == 0 || !has_room(page, key->hash, length) ||
        fmm_page_find(page, key, &found)) {
        return;
    }
    if (fmm_hold_insert(page, &source, NULL, call->now_ms, &ticket) ==
            FMM_OK &&
        fmm_page_find(page, key, &found)) {
        fmm_hint_fill(&page->index.hints[found.slot], seconds);
    }
}

bool
fmm_name_noted(const struct fmm_cache *cache, uint64_t record_hash,
               uint64_t now_ms)
{
    struct fmm_name_key key;
    fmm_name_key(record_hash, cache->geometry.num_pages, &key);
    return fmm_read_name(cache, &key.key, now_ms);
}

void
fmm_name_note(struct fmm_cache *cache, const struct fmm_call *call,
              const struct fmm_key *record, const struct fmm_key *name,
              enum fmm_group_kind what)
{
    const struct fmm_call once = {.now_ms = call->now_ms};
    struct fmm_name_key key;
    struct fmm_page page;
    struct fmm_hold hold;
    struct noted noted;
    fmm_name_key(record->hash, cache->geometry.num_pages, &key);
    if (name->len > FMM_NAME_MAX ||
        fmm_read_name(cache, &key.key, call->now_ms)) {
        return;
    }
    fmm_page_view(cache->base, &cache->geometry, key.key.page, &page);
    if (fmm_name_are_many(&page) ||
        fmm_hold_take(cache, &once, key.key.page, &hold) != FMM_OK) {
        return;
    }
    describe(name, what, &noted);
    insert(&hold, call, &key.key, &noted);
    fmm_hold_release(&hold);
}
