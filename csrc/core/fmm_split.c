/* Storing values in parts. See fmm.h.
 *
 * The parts come first and the key's entry last: that is the commit. Killed
 * before, the parts are what nobody asks for, and are evicted. */
#include "fmm.h"

#include "fmm_entry.h"
#include "fmm_parts.h"
#include "fmm_process.h"

/* -------------------------------------------------------------- storing */

/* The hash tells eviction where to ask whose they are, see fmm_owner.h. The
 * first part goes on the page after the key's, so that the key's own page has
 * no more to hold than others. */
static bool
name_parts(const struct fmm_cache *cache, const struct fmm_key *key,
           struct fmm_split *split)
{
    split->parts = (struct fmm_parts){
        .length = split->value->len,
        .page = (key->page + 1) % cache->geometry.num_pages,
    };
    split->parts.id[FMM_PART_HASH] = key->hash;
    return fmm_platform_random(&split->parts.id[FMM_PART_RANDOM],
                               sizeof(split->parts.id[FMM_PART_RANDOM]));
}

static enum fmm_status
store_on_page(struct fmm_cache *cache, const struct fmm_call *call,
              const struct fmm_split *split, const struct fmm_key *key,
              struct fmm_ticket *ticket)
{
    const struct fmm_store store = {.expire_at = split->expire_at};
    const struct fmm_guard *guard = split->guard;
    struct fmm_value value = {.type = 0};
    uint64_t from = fmm_parts_span(&cache->geometry, &split->parts,
                                   split->next, &value.len);
    value.data = (const unsigned char *)split->value->data + from;
    if (guard != NULL && guard->page == key->page) {
        return fmm_set_locked(guard, call, key, &value, &store, ticket);
    }
    return fmm_set(cache, call, key, &value, &store, ticket);
}

static enum fmm_status
store_part(struct fmm_cache *cache, const struct fmm_call *call,
           struct fmm_split *split, struct fmm_ticket *ticket)
{
    struct fmm_part_key part;
    enum fmm_status status;
    fmm_parts_key(cache, &split->parts, split->next, &part);
    split->page = part.key.page;
    do {
        status = store_on_page(cache, call, split, &part.key, ticket);
    } while (status == FMM_BUSY && split->guard != NULL &&
             fmm_parts_next_page(cache, &part));
    return status;
}

/* What had to make way is gone as a whole: its room is wanted at once. */
static void
drop_displaced(struct fmm_cache *cache, const struct fmm_call *call,
               struct fmm_ticket *ticket)
{
    const struct fmm_call once = {.now_ms = call->now_ms};
    fmm_split_drop(cache, &once, &ticket->displaced);
    ticket->displaced.length = 0;
}

/* Whether all parts are there: others may have evicted one meanwhile. */
static bool
is_whole(struct fmm_cache *cache, const struct fmm_call *call,
         const struct fmm_split *split, uint32_t count)
{
    struct fmm_part_key part;
    enum fmm_status status = FMM_OK;
    for (uint32_t i = 0; i < count && status == FMM_OK; i++) {
        fmm_parts_key(cache, &split->parts, i, &part);
        status = fmm_parts_find(cache, call, &part);
    }
    return status != FMM_MISS;
}

enum fmm_status
fmm_split_store(struct fmm_cache *cache, const struct fmm_call *call,
                const struct fmm_key *key, struct fmm_split *split,
                struct fmm_ticket *ticket_out)
{
    uint32_t count = fmm_parts_count(&cache->geometry, split->value->len);
    enum fmm_status status = FMM_OK;
    if (!fmm_split_needed(cache, key, split->value->len)) {
        return FMM_NO_ROOM;
    }
    if (split->next == 0 && !name_parts(cache, key, split)) {
        return FMM_ERR_OS;
    }
    while (split->next < count && status == FMM_OK) {
        ticket_out->displaced.length = 0;
        status = store_part(cache, call, split, ticket_out);
        split->next += status == FMM_OK ? 1 : 0;
        drop_displaced(cache, call, ticket_out);
    }
    if (status == FMM_OK && !is_whole(cache, call, split, count)) {
        status = FMM_NO_ROOM;
    }
    if (status == FMM_NO_ROOM || status < 0) {
        fmm_split_drop(cache, call, &split->parts);
    }
    if (status == FMM_RETIRED) {
        split->next = 0; /* all of them, in the file that took its place */
    }
    return status;
}

bool
fmm_split_needed(const struct fmm_cache *cache, const struct fmm_key *key,
                 size_t value_len)
{
    uint64_t most = fmm_geometry_max_entry(&cache->geometry);
    uint64_t around = FMM_ENTRY_HEADER + 8 * FMM_ENTRY_WORDS_MAX;
    return !fmm_fits(around + key->len, value_len, most) &&
           value_len <= fmm_geometry_max_value(&cache->geometry) &&
           fmm_fits(around + key->len, sizeof(struct fmm_parts), most);
}

/* -------------------------------------------------- what was stored before */

/* The number of parts, 0 when there can be none. */
static uint32_t
count_sound(const struct fmm_cache *cache, const struct fmm_parts *parts)
{
    const struct fmm_geometry *geometry = &cache->geometry;
    return fmm_parts_sound(geometry, parts)
               ? fmm_parts_count(geometry, parts->length)
               : 0;
}

static enum fmm_status
touch_part(struct fmm_cache *cache, const struct fmm_call *call,
           struct fmm_split *split)
{
    struct fmm_part_key part;
    enum fmm_status status;
    fmm_parts_key(cache, &split->parts, split->next, &part);
    do {
        split->page = part.key.page;
        status = fmm_touch(cache, call, &part.key, split->expire_at, NULL);
    } while (status == FMM_MISS && fmm_parts_next_page(cache, &part));
    return status;
}

enum fmm_status
fmm_split_touch(struct fmm_cache *cache, const struct fmm_call *call,
                struct fmm_split *split)
{
    uint32_t count = count_sound(cache, &split->parts);
    enum fmm_status status = count != 0 ? FMM_OK : FMM_MISS;
    while (split->next < count && status == FMM_OK) {
        status = touch_part(cache, call, split);
        split->next += status == FMM_OK ? 1 : 0;
    }
    return status;
}

static void
drop_part(struct fmm_cache *cache, const struct fmm_call *call,
          struct fmm_part_key *part)
{
    const struct fmm_removal plainly = {.has_modseq = false};
    struct fmm_ticket ticket;
    enum fmm_status status;
    do {
        status = fmm_remove(cache, call, &part->key, &plainly, NULL, &ticket);
    } while (status == FMM_MISS && fmm_parts_next_page(cache, part));
}

void
fmm_split_drop(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_parts *parts)
{
    uint32_t count = count_sound(cache, parts);
    struct fmm_part_key part;
    for (uint32_t i = 0; i < count; i++) {
        fmm_parts_key(cache, parts, i, &part);
        drop_part(cache, call, &part);
    }
}
