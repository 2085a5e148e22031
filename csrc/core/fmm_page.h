/* One page: control block, two rings, index and ghosts seen together.
 *
 * The caller holds the page lock in what changes a page, and where it follows
 * the rings; readers look without one. Knows no file, no lock and no policy of
 * eviction. */
#pragma once

#include "fmm_entry.h"
#include "fmm_index.h"
#include "fmm_options.h"
#include "fmm_ring.h"

/* Pointers into the map, bounds from private memory. */
struct fmm_page {
    unsigned char *base; /* of the map */
    unsigned char *rings;
    const struct fmm_geometry *geometry;
    struct fmm_control *control;
    struct fmm_index index;
    uint64_t ring_size[2]; /* ring M ends where a larger index begins */
    uint32_t number;
    struct fmm_ring ring[2];
};

/* Before a value becomes dirty: say so in the header. The page is locked: whoever
 * clears the word has looked at all pages under their locks since. */
static inline void
fmm_page_note_unwritten(const struct fmm_page *page)
{
    fmm_word64 *word = &((struct fmm_header *)(void *)page->base)->unwritten;
    if (FMM_UNLIKELY(atomic_load_explicit(word, memory_order_relaxed) !=
                     FMM_UNWRITTEN)) {
        /* The slot that follows is stored with release. */
        atomic_store_explicit(word, FMM_UNWRITTEN, memory_order_relaxed);
    }
}

/* A slot and the entry that it names. */
struct fmm_found {
    struct fmm_entry entry;
    uint64_t word;
    uint64_t offset;
    uint32_t slot, ring;
};

/* Use an index that begins at that offset in the rings. */
static inline void
fmm_page_use_index(struct fmm_page *page, uint64_t at, uint32_t buckets)
{
    page->index = fmm_index_at(page->rings + at, buckets);
    page->ring_size[FMM_RING_M] = at - page->geometry->ring_at[FMM_RING_M];
}
/* Follow the word that says where a larger index is. Hostile: what cannot be is
 * as if it were not there. Inline, for a page that is not looked at by others
 * stays in registers. */
static inline void
fmm_page_find_index(struct fmm_page *page, uint64_t word)
{
    const struct fmm_geometry *geometry = page->geometry;
    uint64_t at = (word >> 32) * FMM_RING_ALIGN;
    uint32_t buckets = (uint32_t)word;
    uint64_t least = geometry->ring_at[FMM_RING_M] + geometry->main_least;
    if (buckets != 0 && at >= least && at <= geometry->rings_size &&
        fmm_geometry_index_size(buckets) <= geometry->rings_size - at) {
        fmm_page_use_index(page, at, buckets);
    }
}
/* Pointers only: the rings' positions are loaded by fmm_page_settle(). Who
 * holds the page looks when it does: the index may have grown before. */
void fmm_page_view(unsigned char *base, const struct fmm_geometry *geometry,
                   uint32_t number, struct fmm_page *out);
static inline struct fmm_control *
fmm_page_control(unsigned char *base, uint32_t number)
{
    void *at = base + FMM_HEADER_SIZE + (size_t)number * FMM_CONTROL_SIZE;
    return at;
}
/* A page with the index that it was made with. */
static inline void
fmm_page_at_first(unsigned char *base, const struct fmm_geometry *geometry,
                  uint32_t number, struct fmm_page *out)
{
    unsigned char *at =
        base + geometry->indexes_at + geometry->index_size * number;
    void *slots = at, *hints = at + geometry->hints_at;
    out->base = base;
    out->rings = base + geometry->rings_at + geometry->rings_size * number;
    out->geometry = geometry;
    out->control = fmm_page_control(base, number);
    out->index = (struct fmm_index){slots, hints, geometry->buckets};
    out->ring_size[FMM_RING_S] = geometry->ring_size[FMM_RING_S];
    out->ring_size[FMM_RING_M] = geometry->ring_size[FMM_RING_M];
    out->number = number;
}
/* The same without the rings: enough for fmm_page_load_slot(). */
static inline void
fmm_page_glance(unsigned char *base, const struct fmm_geometry *geometry,
                uint32_t number, struct fmm_page *out)
{
    fmm_page_at_first(base, geometry, number, out);
    /* Pairs with the release in fmm_page_change_index(). */
    uint64_t word =
        atomic_load_explicit(&out->control->index, memory_order_acquire);
    if (FMM_UNLIKELY(word != 0)) {
        fmm_page_find_index(out, word);
    }
}

/* One ring of a page. */
static inline void
fmm_page_ring(const struct fmm_page *page, uint32_t ring, struct fmm_ring *out)
{
    const struct fmm_geometry *geometry = page->geometry;
    out->base = page->rings + geometry->ring_at[ring];
    out->size = page->ring_size[ring];
    out->shift = geometry->ring_shift[ring];
    out->head_word = &page->control->head[ring];
    out->tail_word = &page->control->tail[ring];
}

/* Both tails; pairs with the release in fmm_ring_advance_tail(). */
static inline void
fmm_page_load_tails(const struct fmm_page *page, uint64_t tail_out[2])
{
    const fmm_word64 *tail = page->control->tail;
    tail_out[FMM_RING_S] =
        atomic_load_explicit(&tail[FMM_RING_S], memory_order_acquire);
    tail_out[FMM_RING_M] =
        atomic_load_explicit(&tail[FMM_RING_M], memory_order_acquire);
}

/* A glance without the lock: both tails, before any slot, since the slot tells
 * the ring, and before the word that tells where the slots are: an index that
 * was replaced names for ever what it named then, so nothing that a tail has
 * passed may be looked up in it. */
static inline void
fmm_page_look(unsigned char *base, const struct fmm_geometry *geometry,
              uint32_t number, struct fmm_page *out, uint64_t tail_out[2])
{
    out->control = fmm_page_control(base, number);
    fmm_page_load_tails(out, tail_out);
    fmm_page_glance(base, geometry, number, out);
}

/* Whether what was copied from `offset` of a ring is whole: its `tail`, loaded
 * before, has not passed it since. Whoever saw one overwritten byte sees the
 * new tail; pairs with the release fence in fmm_ring_advance_tail(). */
static inline bool
fmm_page_is_whole(const struct fmm_page *page, uint64_t tail, uint32_t ring_id,
                  uint64_t offset)
{
    struct fmm_ring ring;
    fmm_page_ring(page, ring_id, &ring);
    uint64_t position = fmm_ring_position(&ring, tail, offset);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(ring.tail_word, memory_order_relaxed) <=
           position;
}

/* Load and settle both rings. False: the page must be repaired. */
bool fmm_page_settle(struct fmm_page *page);

/* Load what a slot names. False: nothing, or nothing sound. */
bool fmm_page_load_slot(const struct fmm_page *page, uint32_t slot,
                        struct fmm_found *out);
/* Whether the slot is in a candidate bucket of its entry's hash, with its tag. */
bool fmm_page_is_candidate(const struct fmm_page *page,
                           const struct fmm_found *found);
/* Ask for the lines of what a slot names. */
void fmm_page_fetch_slot(const struct fmm_page *page, uint32_t slot);
/* In a walk over all slots: ask for what is next but a few. Entries lie in no
 * order; without that, each is a wait for memory, with the page held. */
void fmm_page_fetch_ahead(const struct fmm_page *page, uint32_t slot);
/* The entry of a key, expired ones and tombstones too. */
bool fmm_page_find(const struct fmm_page *page, const struct fmm_key *key,
                   struct fmm_found *out);
/* Its position in its ring: unique for ever. */
uint64_t fmm_page_position(const struct fmm_page *page,
                           const struct fmm_found *found);

/* Describe it; times are relative to the file's creation. */
void fmm_page_describe(const struct fmm_page *page,
                       const struct fmm_found *found, uint64_t created_ms,
                       uint64_t now_ms, struct fmm_meta *meta_out);

/* The base of a group whose record has that hash, and would be in this page. */
static inline fmm_word32 *
fmm_page_base(const struct fmm_page *page, uint64_t hash)
{
    const struct fmm_geometry *geometry = page->geometry;
    void *bases = page->base + geometry->bases_at;
    return (fmm_word32 *)bases + (uint64_t)page->number * geometry->bases +
           (hash & (geometry->bases - 1u));
}
/* A number that no group of the page has had for its generation. */
uint32_t fmm_page_new_generation(const struct fmm_page *page);
/* End the groups without a record that have the base of that hash. */
void fmm_page_end_base(const struct fmm_page *page, uint64_t hash);

/* Before an entry goes that no other version of its key takes the place of:
 * from now on a key that is not in the page may be in the user's store all the
 * same, and without its record a group has another generation than before it
 * was ended. */
void fmm_page_note_departure(const struct fmm_page *page,
                             const struct fmm_found *found);
/* The same before what cannot be read goes: it may have been any entry. */
void fmm_page_note_loss(const struct fmm_page *page);
/* Let a slot name nothing that names nothing sound. Of those that are found in
 * one walk, the first notes the loss. */
void fmm_page_clear_bad_slot(const struct fmm_page *page, uint32_t slot,
                             bool *noted);
/* Let the slot name nothing; the bytes are the ring's to reclaim. */
void fmm_page_clear_slot(const struct fmm_page *page,
                         const struct fmm_found *found);
/* Account for an entry of `bytes` that a slot names now, and for one that none
 * names any more. */
void fmm_page_count_in(const struct fmm_page *page, uint32_t ring,
                       uint64_t bytes);
/* What serves groups among the entries of internal keys. */
enum fmm_serving { FMM_SERVES_NONE, FMM_IS_RECORD, FMM_IS_NAME };
/* Of an internal key: besides. */
void fmm_page_count_internal(const struct fmm_page *page,
                             enum fmm_serving what, uint64_t bytes);
void fmm_page_count_out(const struct fmm_page *page,
                        const struct fmm_found *found);
/* Account for `bytes` more, or fewer, of named entries in a ring. */
void fmm_page_add_live(const struct fmm_page *page, uint32_t ring,
                       uint64_t bytes);
void fmm_page_drop_live(const struct fmm_page *page, uint32_t ring,
                        uint64_t bytes);

/* Bytes of a ring that no slot names: dead entries and padding. */
uint64_t fmm_page_dead(const struct fmm_page *page, uint32_t ring);
/* Bytes of the entries that slots name, both rings. */
uint64_t fmm_page_live(const struct fmm_page *page);

/* Whether few slots are free: then entries leave for want of one, whatever the
 * bytes. */
static inline bool
fmm_page_lacks_slots(const struct fmm_page *page)
{
    uint64_t slots = (uint64_t)page->index.buckets * FMM_BUCKET_SLOTS;
    return page->control->entries > slots - slots / 16;
}

/* Let a larger index, which is complete, take the place of the present one. It
 * begins at that offset in the rings, where no entry is: there ring M ends. */
void fmm_page_change_index(struct fmm_page *page, uint64_t at,
                           uint32_t buckets);

/* Forget everything, dirty or not. Works on a damaged page too. */
void fmm_page_reset(struct fmm_page *page);
/* Count entries and live bytes anew; the counters are advisory. It reads all
 * entries: due after so many laps of ring M, as one set in a thousand that
 * did would be what the slow ones are. */
#define FMM_RECOUNT_LAPS UINT64_C(16)
void fmm_page_recount(const struct fmm_page *page);
