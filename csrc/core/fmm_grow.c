#include "fmm_grow.h"

#define WORTH_SHARE 4u /* it grows by so much of it, or more */
#define SAMPLE 32u     /* entries that stand for all */

/* The bytes that ring M can give up at most, of which it needs the first. */
static uint64_t
most_bytes(const struct fmm_page *page, uint64_t first)
{
    uint64_t size = page->ring[FMM_RING_M].size;
    uint64_t keep =
        fmm_max(first + FMM_RING_ALIGN, page->geometry->main_least);
    return size > keep ? size - keep : 0;
}

/* The size of an entry for which there are to be slots: the mean of a sample, in
 * which none counts for more than the average. Larger ones leave first where room
 * is short, and a slot that is wanting makes a small one leave. */
static uint64_t
typical_size(const struct fmm_page *page)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    uint64_t entries = fmm_max(page->control->entries, 1);
    uint64_t average = fmm_page_live(page) / entries;
    uint64_t sum = 0, count = 0;
    struct fmm_found found;
    for (uint32_t slot = 0; slot < slots && count < SAMPLE; slot++) {
        if (fmm_page_load_slot(page, slot, &found)) {
            sum += fmm_min(found.entry.total, average);
            count++;
        }
    }
    return fmm_max(sum / fmm_max(count, 1), FMM_ENTRY_HEADER);
}

/* The buckets for entries of the typical size, as many as fit; 0: too few to
 * be worth it. */
static uint32_t
wanted_buckets(const struct fmm_page *page, uint64_t room)
{
    uint64_t bytes = page->ring[FMM_RING_S].size + page->ring[FMM_RING_M].size;
    uint64_t most = room / fmm_geometry_index_size(1);
    uint64_t wanted = fmm_geometry_buckets(bytes, typical_size(page));
    uint64_t buckets = fmm_min(wanted, most);
    uint64_t now = page->index.buckets;
    return buckets < now + now / WORTH_SHARE ? 0 : (uint32_t)buckets;
}

bool
fmm_grow_needs_end(const struct fmm_page *page)
{
    const struct fmm_ring *main = &page->ring[FMM_RING_M];
    uint32_t buckets = wanted_buckets(page, most_bytes(page, 0));
    uint64_t size = fmm_geometry_index_size(buckets);
    uint64_t tail = fmm_ring_offset(main, main->tail);
    uint64_t end = main->size - size;
    /* Not before: what lies between would go in vain. */
    return buckets != 0 && fmm_ring_offset(main, main->head) < end &&
           tail + size / 2 > end;
}

bool
fmm_grow_needs_turn(const struct fmm_page *page)
{
    return wanted_buckets(page, most_bytes(page, 0)) / 2 >=
           page->index.buckets;
}

/* Name in the larger index what the present one does. False: a bucket is full.
 */
static bool
copy_slots(const struct fmm_page *page, const struct fmm_index *larger)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    struct fmm_found found;
    bool noted = false;
    for (uint32_t slot = 0; slot < slots; slot++) {
        fmm_page_fetch_ahead(page, slot);
        if (!fmm_page_load_slot(page, slot, &found)) {
            if (fmm_index_word(&page->index, slot) != 0) {
                fmm_page_clear_bad_slot(page, slot, &noted);
            }
            continue;
        }
        uint32_t to = fmm_index_find_empty(larger, found.entry.hash);
        if (to == FMM_SLOT_NONE) {
            return false;
        }
        fmm_index_publish(larger, to, found.word);
        fmm_hint_copy(&larger->hints[to], &page->index.hints[slot]);
    }
    return true;
}

/* Readers may still look at what was there, and find that it was passed. */
static void
clear(unsigned char *at, uint64_t size)
{
    for (uint64_t i = 0; i < size; i += sizeof(uint64_t)) {
        fmm_store_shared(at + i, 0);
    }
}

/* Until the last step nobody sees anything of it; killed before, there is
 * nothing but bytes in a part of ring M that is free. */
FMM_COLD bool
fmm_grow_index(struct fmm_page *page, uint64_t length)
{
    const struct fmm_ring *main = &page->ring[FMM_RING_M];
    uint64_t head = fmm_ring_offset(main, main->head);
    uint64_t room = most_bytes(page, head + length);
    uint32_t buckets = 0;
    if (room != 0 && fmm_ring_is_in_one_lap(main)) {
        buckets = wanted_buckets(page, room);
    }
    if (buckets == 0) {
        return false;
    }
    uint64_t size = fmm_geometry_index_size(buckets);
    uint64_t at = page->geometry->ring_at[FMM_RING_M] + main->size - size;
    struct fmm_index larger = fmm_index_at(page->rings + at, buckets);
    clear(page->rings + at, size);
    if (!copy_slots(page, &larger)) {
        return false;
    }
    fmm_page_change_index(page, at, buckets);
    return true;
}
