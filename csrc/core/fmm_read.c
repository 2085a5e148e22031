#include "fmm_read.h"

#include "fmm_hold.h"
#include "fmm_name.h"

#define OVERRUNS_MAX 16
#define LAPPED FMM_BUSY

/* One look at one page. The tails are loaded before any slot. */
struct look {
    const struct fmm_cache *cache;
    const struct fmm_read *read;
    struct fmm_page page;
    uint64_t tail[2];
    uint64_t created_ms;
};

static inline bool
is_whole(const struct look *look, uint32_t ring_id, uint64_t offset)
{
    return fmm_page_is_whole(&look->page, look->tail[ring_id], ring_id,
                             offset);
}

static void
take_hit(const struct look *look, const struct fmm_found *found)
{
    uint64_t now_ms = look->read->call->now_ms;
    if (FMM_UNLIKELY(look->cache->client.read_only)) {
        return;
    }
    uint64_t since = now_ms > look->created_ms ? now_ms - look->created_ms : 0;
    fmm_hint_hit(&look->page.index.hints[found->slot], since / 1000);
}

static inline void
describe(const struct look *look, const struct fmm_found *found)
{
    const struct fmm_call *call = look->read->call;
    struct fmm_meta *meta = look->read->meta;
    if (call->brief) {
        fmm_entry_describe_value(&found->entry, meta);
        return;
    }
    fmm_page_describe(&look->page, found, look->created_ms, call->now_ms,
                      meta);
}

/* Who has the lease of the key, in whatever state its value is. */
FMM_NOINLINE static void
take_lease(const struct look *look, const struct fmm_found *found)
{
    const struct fmm_read *read = look->read;
    fmm_entry_lease(&found->entry, read->lease);
    if (read->token != NULL && read->lease->token != 0) {
        *read->token = fmm_entry_token(&found->entry);
    }
    describe(look, found);
}

/* Where the control block says that these slots are; false: it has changed since.
 */
static bool
find_index(const struct look *look, uint32_t *index_out)
{
    const struct fmm_geometry *geometry = look->page.geometry;
    struct fmm_page page;
    fmm_page_at_first(look->page.base, geometry, look->page.number, &page);
    uint64_t word =
        atomic_load_explicit(&page.control->index, memory_order_acquire);
    fmm_page_find_index(&page, word);
    *index_out = (uint32_t)(word >> 32);
    return page.index.slots == look->page.index.slots;
}

static uint64_t
place_of(const struct look *look, const volatile void *at)
{
    return (uint64_t)((const volatile unsigned char *)at - look->page.base);
}

#define SEEN_WITHIN (UINT64_C(16) << 30)

/* Note where a whole and live value was seen. */
FMM_COLD static void
take_sighting(const struct look *look, const struct fmm_found *found)
{
    const struct fmm_index *index = &look->page.index;
    struct fmm_sighting *sighting = look->read->sighting;
    uint64_t expiry = place_of(look, fmm_entry_expiry(&found->entry));
    struct fmm_ring ring;
    if (!find_index(look, &sighting->index) ||
        look->cache->client.size > SEEN_WITHIN) {
        return;
    }
    fmm_page_ring(&look->page, found->ring, &ring);
    sighting->word = found->word;
    sighting->position =
        fmm_ring_position(&ring, look->tail[found->ring], found->offset);
    sighting->slot =
        (uint32_t)(place_of(look, &index->slots[found->slot]) / 8);
    sighting->expiry = (uint32_t)(expiry / 8);
    sighting->hint =
        (uint32_t)(place_of(look, &index->hints[found->slot]) / 4);
    sighting->page = look->page.number;
    sighting->is_integer = (found->entry.flags & FMM_ENTRY_INTEGER) != 0;
    sighting->is_tagged = (found->entry.flags & FMM_ENTRY_TAGGED) != 0;
}

/* The key is in this slot, if the bytes were whole. */
static enum fmm_status
take_found(const struct look *look, const struct fmm_found *found)
{
    const struct fmm_read *read = look->read;
    const struct fmm_entry *entry = &found->entry;
    uint64_t now_ms = read->call->now_ms;
    bool gone = fmm_read_gone(look->cache, entry, now_ms);
    bool split =
        (entry->flags & FMM_ENTRY_IN_PARTS) != 0 && read->parts != NULL;
    bool fits = entry->value_len <= read->capacity;
    if (FMM_UNLIKELY(split)) {
        fmm_entry_parts(entry, read->parts);
    }
    if (!gone) {
        describe(look, found);
        if (read->buffer != NULL && fits) {
            fmm_entry_copy_value(entry, read->buffer);
        }
    }
    if (FMM_UNLIKELY(read->lease != NULL)) {
        take_lease(look, found);
    }
    if (!is_whole(look, found->ring, found->offset)) {
        if (read->lease != NULL) {
            read->lease->token = 0;
        }
        return LAPPED;
    }
    if (gone) {
        return FMM_MISS;
    }
    if (read->buffer == NULL) {
        return FMM_OK;
    }
    if (!fits && !split) {
        return FMM_TOO_SMALL;
    }
    take_hit(look, found);
    if (FMM_UNLIKELY(read->sighting != NULL) && !split) {
        take_sighting(look, found);
    }
    return FMM_LIKELY(!split) ? FMM_OK : FMM_SPLIT;
}

/* The slot that names the key. */
static inline enum fmm_status
find(struct look *look, struct fmm_found *found)
{
    const struct fmm_key *key = look->read->key;
    struct fmm_candidates c;
    fmm_index_candidates(look->page.index.buckets, key->hash, &c);
    uint32_t matches = fmm_index_tagged(&look->page.index, &c);
    while (matches) {
        uint32_t slot = fmm_index_take(&c, &matches);
        bool sound = fmm_page_load_slot(&look->page, slot, found);
        if (FMM_LIKELY(sound && fmm_entry_has_key(&found->entry, key))) {
            return FMM_OK;
        }
        /* Another key, or bytes that were overwritten meanwhile? */
        if (!is_whole(look, found->ring, found->offset)) {
            return LAPPED;
        }
    }
    return FMM_MISS;
}

static inline enum fmm_status
look_once(const struct fmm_cache *cache, const struct fmm_read *read)
{
    struct look look; /* an initializer would clear what is filled below */
    look.cache = cache;
    look.read = read;
    look.created_ms = cache->created_ms;
    struct fmm_found found;
    fmm_page_look(cache->base, &cache->geometry, read->key->page, &look.page,
                  look.tail);
    enum fmm_status status = find(&look, &found);
    return status == FMM_OK ? take_found(&look, &found) : status;
}

FMM_COLD static enum fmm_status
look_again(const struct fmm_cache *cache, const struct fmm_read *read)
{
    enum fmm_status status = LAPPED;
    for (int i = 1; i < OVERRUNS_MAX && status == LAPPED; i++) {
        status = look_once(cache, read);
    }
    return status;
}

FMM_FLATTEN enum fmm_status
fmm_read_entry(const struct fmm_cache *cache, const struct fmm_read *read)
{
    enum fmm_status status = look_once(cache, read);
    return FMM_LIKELY(status != LAPPED) ? status : look_again(cache, read);
}

/* --------------------------------------------------------------- groups */

/* Who saw the slot of a record empty sees what its base became before; pairs
 * with the release in fmm_index_publish(). */
uint32_t
fmm_read_base(const struct fmm_cache *cache, const struct fmm_key *key)
{
    const struct fmm_page page = {.base = cache->base,
                                  .geometry = &cache->geometry,
                                  .number = key->page};
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(fmm_page_base(&page, key->hash),
                                memory_order_relaxed);
}

bool
fmm_read_generation(const struct fmm_cache *cache, const struct fmm_key *key,
                    uint64_t now_ms, uint32_t *generation_out)
{
    const struct fmm_call call = {.now_ms = now_ms, .brief = true};
    uint64_t generation;
    struct fmm_meta meta;
    const struct fmm_read read = {.call = &call,
                                  .key = key,
                                  .buffer = &generation,
                                  .capacity = sizeof(generation),
                                  .meta = &meta};
    enum fmm_status status = fmm_read_entry(cache, &read);
    bool there = status == FMM_OK && meta.type == FMM_TYPE_INT;
    *generation_out = there ? (uint32_t)generation : fmm_read_base(cache, key);
    return status != LAPPED;
}

bool
fmm_read_name(const struct fmm_cache *cache, const struct fmm_key *key,
              uint64_t now_ms)
{
    const struct fmm_call call = {.now_ms = now_ms, .brief = true};
    unsigned char noted[FMM_NAME_BEFORE + FMM_NAME_MAX];
    struct fmm_meta meta;
    struct fmm_page page;
    fmm_page_at_first(cache->base, &cache->geometry, key->page, &page);
    bool many = fmm_name_are_many(&page);
    const struct fmm_read read = {.call = &call,
                                  .key = key,
                                  .buffer = many ? NULL : noted,
                                  .capacity = sizeof(noted),
                                  .meta = &meta};
    return fmm_read_entry(cache, &read) != FMM_MISS;
}

void
fmm_read_use_name(const struct fmm_cache *cache, const struct fmm_key *record,
                  uint64_t now_ms)
{
    struct fmm_name_key key;
    if (FMM_UNLIKELY(fmm_name_is_due(now_ms))) {
        fmm_name_key(record->hash, cache->geometry.num_pages, &key);
        fmm_read_name(cache, &key.key, now_ms);
    }
}

FMM_NOINLINE bool
fmm_read_tags_hold(const struct fmm_cache *cache,
                   const struct fmm_entry *entry, uint64_t now_ms)
{
    struct fmm_tag tags[FMM_TAGS_MAX];
    struct fmm_key key;
    uint32_t count = fmm_entry_tags(entry, tags);
    for (uint32_t i = 0; i < count; i++) {
        fmm_tag_key(cache, &tags[i], &key);
        fmm_read_use_name(cache, &key, now_ms);
        uint32_t now;
        if (!fmm_read_generation(cache, &key, now_ms, &now) ||
            now != tags[i].generation) {
            return false;
        }
    }
    return true;
}
