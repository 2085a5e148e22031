#include "fmm_insert.h"

#include "fmm_directory.h"
#include "fmm_evict.h"
#include "fmm_ghost.h"
#include "fmm_grow.h"
#include "fmm_hand.h"
#include "fmm_manifest.h"
#include "fmm_seal.h"
#include "fmm_victim.h"

#define LIVES 3u /* of what is admitted into ring M */
#define LIVES_LARGE 2u
#define KEPT_OF_S 16u /* one part in so many of a ring is not for parts */
#define KEPT_OF_M 64u
#define PART_AROUND (FMM_ENTRY_HEADER + 8u + FMM_PART_NAME) /* its modseq */

enum fmm_status
fmm_insert_allowed(const struct fmm_found *old,
                   const struct fmm_store_options *store)
{
    bool tombstone = false;
    if (old != NULL) {
        tombstone = (old->entry.flags & FMM_ENTRY_TOMBSTONE) != 0;
        if (store->has_modseq ? fmm_entry_modseq(&old->entry) > store->modseq
                              : tombstone) {
            return FMM_STALE;
        }
    }
    bool present = old != NULL && !tombstone;
    if (store->mode == FMM_STORE_ADD && present) {
        return FMM_EXISTS;
    }
    if (store->mode == FMM_STORE_REPLACE && !present) {
        return FMM_MISS;
    }
    return FMM_OK;
}

/* Where the new entry will be named, and what that slot names now. */
struct place {
    const struct fmm_found *old; /* NULL: nothing sound */
    struct fmm_found victim;     /* room for `old` */
    uint32_t slot;
    bool same_key;
    uint32_t lives; /* in ring M, for what was asked for before */
};

FMM_COLD static enum fmm_status
choose_victim(const struct fmm_work *work,
              const struct fmm_entry_source *source, struct place *place)
{
    enum fmm_status status =
        fmm_victim_choose(work, source->key->hash, &place->victim);
    place->slot = place->victim.slot;
    if (status == FMM_MISS) {
        fmm_page_note_loss(work->page);
        return FMM_OK; /* take it */
    }
    if (status == FMM_OK) {
        fmm_page_note_departure(work->page, &place->victim);
        place->old = &place->victim;
    }
    return status;
}

static enum fmm_status
choose_slot(const struct fmm_work *work, const struct fmm_entry_source *source,
            const struct fmm_found *old, uint64_t length, struct place *place)
{
    const struct fmm_index *index = &work->page->index;
    place->old = old;
    /* A value that takes the place of a bare lease is new. */
    place->same_key = old != NULL && !fmm_entry_bare(&old->entry);
    if (old != NULL) {
        place->slot = old->slot;
        return FMM_OK;
    }
    place->slot = fmm_index_find_empty(index, source->key->hash);
    if (FMM_UNLIKELY(place->slot == FMM_SLOT_NONE) &&
        fmm_grow_index(work->page, length)) {
        place->slot = fmm_index_find_empty(index, source->key->hash);
    }
    if (place->slot != FMM_SLOT_NONE) {
        return FMM_OK;
    }
    return choose_victim(work, source, place);
}

/* Whether the user's store has no version of the key, as far as can be known:
 * then nothing has to be deleted there. */
static bool
is_fresh(const struct fmm_page *page, const struct place *place)
{
    uint64_t old = place->old != NULL ? place->old->word : 0;
    if (place->same_key || (old & FMM_SLOT_REMOVED) != 0) {
        return (old & FMM_SLOT_FRESH) != 0;
    }
    return page->control->departed == 0;
}

/* A clean one may be in the store, or will be there soon. A dirty tombstone
 * without a number is the mark of a removal. */
static uint64_t
state_of(const struct fmm_page *page, const struct fmm_entry_source *source,
         const struct place *place)
{
    if (FMM_LIKELY(!source->store->dirty)) {
        return 0;
    }
    fmm_page_note_unwritten(page);
    if (source->value == NULL && !source->store->has_modseq) {
        return FMM_SLOT_DIRTY | FMM_SLOT_REMOVED;
    }
    return FMM_SLOT_DIRTY | (is_fresh(page, place) ? FMM_SLOT_FRESH : 0u);
}

/* What the entry of an internal key is for. */
static enum fmm_serving
serving_of(const struct fmm_entry_source *source)
{
    const struct fmm_value *value = source->value;
    if (value != NULL && value->type == FMM_TYPE_INT) {
        return FMM_IS_RECORD;
    }
    return value != NULL && value->compressed && !source->store->has_modseq
               ? FMM_IS_NAME
               : FMM_SERVES_NONE;
}

/* Outlined: files on memory file systems, the usual ones, have none. */
FMM_NOINLINE static void
seal(const struct fmm_page *page, uint32_t ring_id, uint64_t offset)
{
    fmm_seal_new(page->ring[ring_id].base + offset, page->geometry->seal_key,
                 fmm_seal_place(page->number, ring_id, offset));
}

/* Write beyond the head, move the head, store the slot: the commit. */
static void
commit(struct fmm_page *page, const struct fmm_entry_source *source,
       uint32_t ring_id, uint64_t length, const struct place *place)
{
    struct fmm_ring *ring = &page->ring[ring_id];
    fmm_word32 *hint = &page->index.hints[place->slot];
    uint64_t offset = fmm_ring_reserve(ring, length);
    uint64_t word = fmm_slot_word(source->key->hash, ring_id, offset, false) |
                    state_of(page, source, place);

    fmm_entry_write(ring->base + offset, source, length);
    if (FMM_UNLIKELY(page->geometry->seal_size != 0)) {
        seal(page, ring_id, offset);
    }
    fmm_ring_append(ring, length);
    fmm_hand_note(page, source->store->expire_at);
    if (place->same_key) {
        fmm_hint_touch(hint, source->stored_at);
    }
    else {
        fmm_hint_reset(hint, source->stored_at);
        if (place->lives != 0) {
            fmm_hint_admit(hint, place->lives, source->stored_at);
        }
    }
    fmm_index_publish(&page->index, place->slot, word);
    if (place->old != NULL) {
        fmm_page_count_out(page, place->old);
    }
    fmm_page_count_in(page, ring_id, length);
    if (FMM_LIKELY(source->key->kind != FMM_KEY_INTERNAL)) {
        fmm_count_add(&page->control->stores, 1);
    }
    else {
        fmm_page_count_internal(page, serving_of(source), length);
    }
}

/* A key that is overwritten stays in its ring, unless it grew too large. */
static uint32_t
choose_ring(const struct fmm_page *page, const struct fmm_key *key,
            const struct fmm_found *old, uint64_t length)
{
    if (old == NULL || fmm_entry_bare(&old->entry)) {
        return fmm_evict_choose_ring(page, key, length);
    }
    if (length > page->ring[FMM_RING_S].size / 3) {
        return FMM_RING_M;
    }
    return old->ring;
}

/* The `id` of the parts that an entry belongs to: it is one, or names them. */
static const void *
parts_of(const struct fmm_entry_source *source)
{
    if (FMM_UNLIKELY(fmm_entry_is_part_key(source->key))) {
        return source->key->data;
    }
    return FMM_UNLIKELY(source->value != NULL && source->value->split)
               ? source->value->data
               : NULL;
}

/* Large entries fill pages unevenly. But parts belong to a key that is found
 * by its hash. */
static bool
belongs_in_parts(const struct fmm_page *page,
                 const struct fmm_entry_source *source, uint64_t length)
{
    return length > page->geometry->max_entry && !source->store->whole;
}

/* A new working set has to outlive an old one that was read often. A large entry
 * may be in ring M for its size alone. */
static inline uint32_t
lives_in(const struct fmm_work *work, const struct fmm_key *key, uint32_t ring)
{
    if (ring == FMM_RING_S) {
        return 0;
    }
    if (FMM_UNLIKELY(work->large)) {
        return fmm_ghost_has(work->page, key->hash) ? LIVES_LARGE : 0;
    }
    return LIVES;
}

uint64_t
fmm_insert_size(const struct fmm_geometry *geometry,
                const struct fmm_entry_source *source)
{
    uint64_t most = geometry->max_part - geometry->seal_size;
    uint64_t length = fmm_entry_size(source, most);
    return length != 0 ? length + geometry->seal_size : 0;
}

FMM_FLATTEN enum fmm_status
fmm_insert_entry(struct fmm_page *page, const struct fmm_entry_source *source,
                 const struct fmm_found *old, uint64_t now_ms,
                 struct fmm_ticket *ticket)
{
    uint64_t length = fmm_insert_size(page->geometry, source);
    struct fmm_work work;
    struct fmm_found again;
    struct place place;
    if (length == 0 || FMM_UNLIKELY(belongs_in_parts(page, source, length))) {
        return FMM_NO_ROOM;
    }
    uint32_t ring = choose_ring(page, source->key, old, length);
    fmm_evict_begin(&work, page, now_ms, length);
    work.ticket = ticket;
    work.own = parts_of(source);
    if (FMM_UNLIKELY(fmm_hand_is_due(page, now_ms))) {
        work.retired = fmm_hand_move(page, now_ms, length);
    }
    enum fmm_status status = fmm_evict_make_room(&work, ring, length);
    if (status != FMM_OK) {
        return status;
    }
    if (old != NULL && work.retired) { /* it may have moved, or gone */
        old = fmm_page_find(page, source->key, &again) ? &again : NULL;
    }
    status = choose_slot(&work, source, old, length, &place);
    if (status != FMM_OK) {
        return status;
    }
    if (place.old != NULL) {
        fmm_entry_displace(&place.old->entry, &ticket->displaced);
    }
    place.lives = lives_in(&work, source->key, ring);
    commit(page, source, ring, length, &place);
    fmm_evict_tidy(&work);
    if (FMM_UNLIKELY(work.passed != 0)) {
        fmm_directory_owe(fmm_directory_of(page->base, page->geometry),
                          work.passed);
    }
    return FMM_OK;
}

/* The largest part that a ring may take: something of it is kept for small
 * entries, which have to find room on their own page. */
uint64_t
fmm_insert_room(const struct fmm_page *page, uint32_t ring_id)
{
    uint64_t size = page->ring_size[ring_id];
    uint64_t kept = size / (ring_id == FMM_RING_S ? KEPT_OF_S : KEPT_OF_M);
    uint64_t live = fmm_count_load(&page->control->live[ring_id]) + kept;
    return size > live ? size - live : 0;
}

/* Make it the end of what is left of the value. */
static void
take_end(struct fmm_value *value, uint64_t left)
{
    size_t skip = left - value->len;
    if (value->pieces != NULL) {
        value->skip += skip;
    }
    else {
        value->data = (const unsigned char *)value->data + skip;
    }
}

/* Store the end of a value where there is a hole for it in a ring. */
static enum fmm_status
insert_part(struct fmm_work *work, const struct fmm_part_source *part,
            uint32_t ring, uint64_t *taken_out)
{
    struct fmm_page *page = work->page;
    const uint64_t around = PART_AROUND + page->geometry->seal_size;
    struct fmm_value value = *part->value;
    struct fmm_entry_source source = {part->key, &value, part->store,
                                      part->stored_at, NULL};
    struct place place;
    uint64_t length;
    uint64_t most =
        fmm_min(fmm_align8(around + part->left),
                fmm_min(fmm_max(fmm_insert_room(page, ring), part->press),
                        page->ring[ring].size / 2)) &
        ~(uint64_t)7;
    uint64_t least = fmm_min(part->least, fmm_align8(around + part->left));
    if (most < least) {
        return FMM_NO_ROOM;
    }
    enum fmm_status status =
        fmm_evict_find_hole(work, ring, least, most, &length);
    if (status != FMM_OK || length < around) {
        return status == FMM_OK ? FMM_NO_ROOM : status;
    }
    status = choose_slot(work, &source, NULL, length, &place);
    if (status != FMM_OK) {
        return status;
    }
    value.len = fmm_min(part->left, (length & ~(uint64_t)7) - around);
    take_end(&value, part->left);
    if (place.old != NULL) {
        fmm_entry_displace(&place.old->entry, &work->ticket->displaced);
    }
    place.lives = 0;
    commit(page, &source, ring, fmm_align8(around + value.len), &place);
    fmm_hint_fill(&page->index.hints[place.slot], part->stored_at);
    *taken_out = value.len;
    return FMM_OK;
}

enum fmm_status
fmm_insert_part(struct fmm_page *page, const struct fmm_part_source *part,
                uint64_t now_ms, struct fmm_ticket *ticket,
                uint64_t *taken_out)
{
    struct fmm_work work;
    fmm_evict_begin(&work, page, now_ms, part->left);
    work.ticket = ticket;
    work.own = part->key->data;
    work.placing = true;
    enum fmm_status status = insert_part(&work, part, FMM_RING_M, taken_out);
    return status == FMM_NO_ROOM
               ? insert_part(&work, part, FMM_RING_S, taken_out)
               : status;
}
