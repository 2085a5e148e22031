#include "fmm_page.h"

#define BUCKETS_AHEAD 3u /* whose entries are on their way in a walk */

void
fmm_page_view(unsigned char *base, const struct fmm_geometry *geometry,
              uint32_t number, struct fmm_page *out)
{
    fmm_page_glance(base, geometry, number, out);
    fmm_page_ring(out, FMM_RING_S, &out->ring[FMM_RING_S]);
    fmm_page_ring(out, FMM_RING_M, &out->ring[FMM_RING_M]);
}

void
fmm_page_change_index(struct fmm_page *page, uint64_t at, uint32_t buckets)
{
    uint64_t word = at / FMM_RING_ALIGN << 32 | buckets;
    page->control->hand = 0;
    atomic_store_explicit(&page->control->index, word, memory_order_release);
    fmm_page_use_index(page, at, buckets);
    page->ring[FMM_RING_M].size = page->ring_size[FMM_RING_M];
}

bool
fmm_page_settle(struct fmm_page *page)
{
    bool settled = fmm_ring_settle(&page->ring[FMM_RING_S]);
    return fmm_ring_settle(&page->ring[FMM_RING_M]) && settled;
}

bool
fmm_page_load_slot(const struct fmm_page *page, uint32_t slot,
                   struct fmm_found *out)
{
    out->slot = slot;
    out->word = fmm_index_word(&page->index, slot);
    out->ring = fmm_slot_ring(out->word);
    out->offset = fmm_slot_offset(out->word);
    struct fmm_ring ring;
    fmm_page_ring(page, out->ring, &ring);
    const uint64_t mask = FMM_SLOT_USED | FMM_SLOT_RESERVED;
    if ((out->word & mask) != FMM_SLOT_USED ||
        !fmm_entry_load(ring.base, ring.size, out->offset, &out->entry)) {
        return false;
    }
    if (FMM_UNLIKELY(out->word & FMM_SLOT_REMOVED)) {
        out->entry.flags |= FMM_ENTRY_TOMBSTONE | FMM_ENTRY_REMOVED;
    }
    return true;
}

/* Where a slot leads, whatever is there; NULL: out of its ring. */
static inline const unsigned char *
slot_place(const struct fmm_page *page, uint32_t slot)
{
    uint64_t word = fmm_index_word(&page->index, slot);
    uint64_t offset = fmm_slot_offset(word);
    struct fmm_ring ring;
    fmm_page_ring(page, fmm_slot_ring(word), &ring);
    return offset < ring.size ? ring.base + offset : NULL;
}

void
fmm_page_fetch_slot(const struct fmm_page *page, uint32_t slot)
{
    const unsigned char *at = slot_place(page, slot);
    if (at != NULL) {
        __builtin_prefetch(at);
        fmm_entry_prefetch_rest(at);
    }
}

FMM_FLATTEN bool
fmm_page_find(const struct fmm_page *page, const struct fmm_key *key,
              struct fmm_found *out)
{
    struct fmm_candidates c;
    fmm_index_candidates(page->index.buckets, key->hash, &c);
    uint32_t matches = fmm_index_tagged(&page->index, &c);
    while (matches) {
        uint32_t slot = fmm_index_take(&c, &matches);
        if (fmm_page_load_slot(page, slot, out) &&
            fmm_entry_has_key(&out->entry, key)) {
            return true;
        }
    }
    return false;
}

uint64_t
fmm_page_position(const struct fmm_page *page, const struct fmm_found *found)
{
    const struct fmm_ring *ring = &page->ring[found->ring];
    return fmm_ring_position(ring, ring->tail, found->offset);
}

void
fmm_page_describe(const struct fmm_page *page, const struct fmm_found *found,
                  uint64_t created_ms, uint64_t now_ms,
                  struct fmm_meta *meta_out)
{
    const fmm_word32 *hint = &page->index.hints[found->slot];
    fmm_entry_describe(&found->entry, created_ms, now_ms, meta_out);
    meta_out->dirty = (found->word & FMM_SLOT_DIRTY) != 0;
    meta_out->credit = fmm_hint_credit(hint);
    uint64_t now = now_ms > created_ms ? (now_ms - created_ms) / 1000 : 0;
    meta_out->accessed_at =
        created_ms + UINT64_C(1000) * fmm_hint_seconds(hint, now);
}

void
fmm_page_add_live(const struct fmm_page *page, uint32_t ring, uint64_t bytes)
{
    fmm_count_add(&page->control->live[ring], bytes);
}

/* Never below zero: the counters may be off after a death. */
static void
subtract(uint64_t *counter, uint64_t n)
{
    bool more = *counter > n;
    fmm_count_store(counter, more ? *counter - n : 0);
}

void
fmm_page_drop_live(const struct fmm_page *page, uint32_t ring, uint64_t bytes)
{
    subtract(&page->control->live[ring], bytes);
}

void
fmm_page_count_in(const struct fmm_page *page, uint32_t ring, uint64_t bytes)
{
    fmm_count_add(&page->control->entries, 1);
    fmm_page_add_live(page, ring, bytes);
}

void
fmm_page_count_internal(const struct fmm_page *page, enum fmm_serving what,
                        uint64_t bytes)
{
    fmm_count_add(&page->control->internal, 1);
    if (what == FMM_IS_RECORD) {
        fmm_count_add(&page->control->records, 1);
        fmm_count_add(&page->control->record_bytes, bytes);
    }
    if (what == FMM_IS_NAME) {
        fmm_count_add(&page->control->names, 1);
        fmm_count_add(&page->control->name_bytes, bytes);
    }
}

static void
count_internal_out(const struct fmm_page *page, const struct fmm_entry *entry)
{
    subtract(&page->control->internal, 1);
    if (fmm_entry_is_record(entry)) {
        subtract(&page->control->records, 1);
        subtract(&page->control->record_bytes, entry->total);
    }
    if (fmm_entry_is_name(entry)) {
        subtract(&page->control->names, 1);
        subtract(&page->control->name_bytes, entry->total);
    }
}

void
fmm_page_count_out(const struct fmm_page *page, const struct fmm_found *found)
{
    fmm_page_drop_live(page, found->ring, found->entry.total);
    subtract(&page->control->entries, 1);
    if (FMM_UNLIKELY(fmm_entry_kind(&found->entry) == FMM_KEY_INTERNAL)) {
        count_internal_out(page, &found->entry);
    }
}

/* It is spent before it is stored anywhere, by a release: killed then, the next
 * one is another. */
uint32_t
fmm_page_new_generation(const struct fmm_page *page)
{
    fmm_count_add(&page->control->generation, 1);
    return (uint32_t)fmm_count_load(&page->control->generation);
}

/* Pairs with the fence in fmm_read_base(): the slot of the record is stored
 * after this, by a release. */
static void
set_base(const struct fmm_page *page, uint64_t hash, uint32_t generation)
{
    atomic_store_explicit(fmm_page_base(page, hash), generation,
                          memory_order_release);
}

void
fmm_page_end_base(const struct fmm_page *page, uint64_t hash)
{
    set_base(page, hash, fmm_page_new_generation(page));
}

void
fmm_page_note_departure(const struct fmm_page *page,
                        const struct fmm_found *found)
{
    if (FMM_UNLIKELY(fmm_entry_is_record(&found->entry))) {
        fmm_page_end_base(page, found->entry.hash);
    }
    bool value = (found->entry.flags & FMM_ENTRY_TOMBSTONE) == 0 &&
                 fmm_entry_kind(&found->entry) != FMM_KEY_INTERNAL;
    if (value && (found->word & FMM_SLOT_FRESH) == 0) {
        page->control->departed = 1;
    }
}

FMM_COLD void
fmm_page_note_loss(const struct fmm_page *page)
{
    uint32_t generation = fmm_page_new_generation(page);
    page->control->departed = 1;
    for (uint32_t base = 0; base < page->geometry->bases; base++) {
        set_base(page, base, generation);
    }
}

void
fmm_page_clear_bad_slot(const struct fmm_page *page, uint32_t slot,
                        bool *noted)
{
    if (!*noted) {
        fmm_page_note_loss(page);
        *noted = true;
    }
    fmm_index_publish(&page->index, slot, 0);
}

void
fmm_page_clear_slot(const struct fmm_page *page, const struct fmm_found *found)
{
    fmm_page_note_departure(page, found);
    fmm_index_publish(&page->index, found->slot, 0);
    fmm_page_count_out(page, found);
}

bool
fmm_page_is_candidate(const struct fmm_page *page,
                      const struct fmm_found *found)
{
    struct fmm_candidates c;
    uint32_t first = found->slot - found->slot % FMM_BUCKET_SLOTS;
    fmm_index_candidates(page->index.buckets, found->entry.hash, &c);
    return (found->word & (FMM_SLOT_USED | FMM_SLOT_TAG)) == c.match &&
           (first == c.first[0] || first == c.first[1]);
}

uint64_t
fmm_page_dead(const struct fmm_page *page, uint32_t ring)
{
    uint64_t used = fmm_ring_used(&page->ring[ring]);
    return used - fmm_min(page->control->live[ring], used);
}

uint64_t
fmm_page_live(const struct fmm_page *page)
{
    return fmm_count_load(&page->control->live[FMM_RING_S]) +
           fmm_count_load(&page->control->live[FMM_RING_M]);
}

void
fmm_page_reset(struct fmm_page *page)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    fmm_page_note_loss(page);
    for (uint32_t slot = 0; slot < slots; slot++) {
        fmm_index_publish(&page->index, slot, 0);
    }
    fmm_ring_reset(&page->ring[FMM_RING_S]);
    fmm_ring_reset(&page->ring[FMM_RING_M]);
    page->control->earliest = 0;
    page->control->hand = 0;
    fmm_page_recount(page);
}

/* Ask for the headers of the entries that a bucket names. */
static void
prefetch_entries(const struct fmm_page *page, uint32_t bucket)
{
    for (uint32_t i = 0; i < FMM_BUCKET_SLOTS; i++) {
        const unsigned char *at =
            slot_place(page, bucket * FMM_BUCKET_SLOTS + i);
        if (at != NULL) {
            __builtin_prefetch(at);
        }
    }
}

void
fmm_page_fetch_ahead(const struct fmm_page *page, uint32_t slot)
{
    uint32_t bucket = slot / FMM_BUCKET_SLOTS + BUCKETS_AHEAD;
    if (slot % FMM_BUCKET_SLOTS == 0 && bucket < page->index.buckets) {
        prefetch_entries(page, bucket);
    }
}

/* What the slots of a page name, counted. */
struct tally {
    uint64_t live[2];
    uint64_t entries, internal, records, record_bytes, names, name_bytes;
};

FMM_COLD static void
count_own(const struct fmm_entry *entry, struct tally *tally)
{
    tally->internal++;
    if (fmm_entry_is_record(entry)) {
        tally->records++;
        tally->record_bytes += entry->total;
    }
    if (fmm_entry_is_name(entry)) {
        tally->names++;
        tally->name_bytes += entry->total;
    }
}

/* The first word of an entry is enough: the counters are advisory. */
static void
count_slot(const struct fmm_page *page, uint32_t slot, struct tally *tally)
{
    uint64_t word = fmm_index_word(&page->index, slot);
    uint32_t id = fmm_slot_ring(word);
    const struct fmm_ring *ring = &page->ring[id];
    struct fmm_entry entry;
    if ((word & FMM_SLOT_USED) != 0 &&
        fmm_entry_load_first(ring->base, ring->size, fmm_slot_offset(word),
                             &entry)) {
        tally->live[id] += entry.total;
        tally->entries++;
        if (FMM_UNLIKELY(fmm_entry_kind(&entry) == FMM_KEY_INTERNAL)) {
            count_own(&entry, tally);
        }
    }
}

static void
count_slots(const struct fmm_page *page, struct tally *tally)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    for (uint32_t slot = 0; slot < slots; slot++) {
        fmm_page_fetch_ahead(page, slot);
        count_slot(page, slot, tally);
    }
}

FMM_COLD void
fmm_page_recount(const struct fmm_page *page)
{
    struct fmm_control *control = page->control;
    struct tally tally = {.entries = 0};
    count_slots(page, &tally);
    fmm_count_store(&control->live[FMM_RING_S], tally.live[FMM_RING_S]);
    fmm_count_store(&control->live[FMM_RING_M], tally.live[FMM_RING_M]);
    fmm_count_store(&control->entries, tally.entries);
    fmm_count_store(&control->internal, tally.internal);
    fmm_count_store(&control->records, tally.records);
    fmm_count_store(&control->record_bytes, tally.record_bytes);
    fmm_count_store(&control->names, tally.names);
    fmm_count_store(&control->name_bytes, tally.name_bytes);
    control->recount_at = page->ring[FMM_RING_M].tail +
                          (FMM_RECOUNT_LAPS << page->ring[FMM_RING_M].shift);
}
