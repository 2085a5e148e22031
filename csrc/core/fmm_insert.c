#include "fmm_insert.h"

#include "fmm_evict.h"
#include "fmm_grow.h"
#include "fmm_hand.h"
#include "fmm_owner.h"
#include "fmm_victim.h"

enum fmm_status
fmm_insert_allowed(const struct fmm_found *old, const struct fmm_store *store)
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
    bool admitted; /* into ring M, for it was asked for before */
};

FMM_COLD static enum fmm_status
choose_victim(const struct fmm_work *work,
              const struct fmm_entry_source *source, struct place *place)
{
    enum fmm_status status =
        fmm_victim_choose(work, source->key->hash, &place->victim);
    place->slot = place->victim.slot;
    if (status == FMM_MISS) {
        return FMM_OK; /* take it */
    }
    place->old = status == FMM_OK ? &place->victim : NULL;
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
    if (source->value == NULL && !source->store->has_modseq) {
        return FMM_SLOT_DIRTY | FMM_SLOT_REMOVED;
    }
    return FMM_SLOT_DIRTY | (is_fresh(page, place) ? FMM_SLOT_FRESH : 0u);
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
    fmm_ring_append(ring, length);
    fmm_hand_note(page, source->store->expire_at);
    if (place->same_key) {
        fmm_hint_touch(hint, source->stored_at);
    }
    else {
        fmm_hint_reset(hint, source->stored_at);
        if (place->admitted) {
            fmm_hint_admit(hint, source->stored_at);
        }
    }
    fmm_index_publish(&page->index, place->slot, word);
    if (place->old != NULL) {
        fmm_page_count_out(page, place->old);
    }
    fmm_page_count_in(page, source->key->kind);
    fmm_page_add_live(page, ring_id, length);
    if (source->key->kind != FMM_KEY_INTERNAL) {
        fmm_count_add(&page->control->stores, 1);
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
    if (FMM_UNLIKELY(fmm_owner_is_part_key(source->key))) {
        return source->key->data;
    }
    return FMM_UNLIKELY(source->value != NULL && source->value->split)
               ? source->value->data
               : NULL;
}

FMM_FLATTEN enum fmm_status
fmm_insert_entry(struct fmm_page *page, const struct fmm_entry_source *source,
                 const struct fmm_found *old, uint64_t now_ms,
                 struct fmm_ticket *ticket)
{
    uint64_t length =
        fmm_entry_size(source, fmm_geometry_max_entry(page->geometry));
    struct fmm_work work;
    struct fmm_found again;
    struct place place;
    if (length == 0) {
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
        fmm_entry_parts(&place.old->entry, &ticket->displaced);
    }
    /* A large entry is there for its size. */
    place.admitted = ring == FMM_RING_M && !work.large;
    commit(page, source, ring, length, &place);
    fmm_evict_tidy(&work);
    return FMM_OK;
}
