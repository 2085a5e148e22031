#include "fmm_reboot.h"

#include <stdlib.h>

#include "fmm_directory.h"
#include "fmm_hand.h"
#include "fmm_hash.h"
#include "fmm_seal.h"

/* More generations than a page gives away in the time after which the system
 * writes a page of memory to the disk: none of them is given twice. */
#define GENERATIONS_LOST (UINT64_C(1) << 24)

/* A slot, and where it leads. */
struct item {
    uint64_t place; /* as in the seal, without the page */
    uint32_t slot;
    uint32_t total; /* bytes of its entry; 0: it was dropped */
};

struct verifying {
    unsigned char *base;
    const struct fmm_geometry *geometry;
    const uint64_t *seed;
    const struct fmm_options *options;
    struct fmm_reboot *found;
    struct fmm_page page;
    struct item *items; /* of the page, by place */
    uint64_t count, capacity;
    unsigned char *claimed; /* listings that a manifest names */
    bool noted;             /* that the page has lost something */
};

/* ------------------------------------------------------------------ slots */

static uint32_t
item_ring(const struct item *item)
{
    return (uint32_t)(item->place >> 31) & 1u;
}

static uint64_t
item_offset(const struct item *item)
{
    return (item->place & ((UINT64_C(1) << 31) - 1)) * 8u;
}

static void
drop(struct verifying *v, struct item *item)
{
    fmm_page_clear_bad_slot(&v->page, item->slot, &v->noted);
    item->total = 0;
    v->found->dropped++;
}

static int
by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct item *)a)->place;
    uint64_t y = ((const struct item *)b)->place;
    return x < y ? -1 : x > y;
}

/* What a word leads to; what cannot be is dropped later, for its place. */
static void
collect(struct verifying *v)
{
    uint32_t slots = v->page.index.buckets * FMM_BUCKET_SLOTS;
    v->count = 0;
    for (uint32_t slot = 0; slot < slots; slot++) {
        uint64_t word = fmm_index_word(&v->page.index, slot);
        if (word != 0) {
            uint32_t ring = fmm_slot_ring(word);
            uint64_t offset = fmm_slot_offset(word);
            v->items[v->count++] = (struct item){
                fmm_seal_place(0, ring, offset & (UINT64_C(8) * INT32_MAX)),
                slot, 0};
        }
    }
    /* In the order in which they lie on the disk. */
    qsort(v->items, v->count, sizeof(*v->items), by_place);
}

static bool
is_whole(const struct fmm_page *page, uint32_t slot, struct fmm_found *found)
{
    if (!fmm_page_load_slot(page, slot, found)) {
        return false;
    }
    /* The flags are not those of a removal now: it is the entry that is sealed. */
    return fmm_page_is_candidate(page, found) &&
           fmm_seal_holds(
               &found->entry, page->geometry->seal_key,
               fmm_seal_place(page->number, found->ring, found->offset));
}

/* A lease that nothing was stored under: who had it is gone. */
static bool
is_bare_lease(const struct fmm_found *found)
{
    const uint16_t both = FMM_ENTRY_TOMBSTONE | FMM_ENTRY_LEASE;
    return (found->entry.flags & both) == both &&
           (found->word & FMM_SLOT_REMOVED) == 0;
}

/* Nobody is at work on it any more, and what the store has is not known. */
static void
forget_state(const struct fmm_page *page, const struct fmm_found *found)
{
    const uint64_t spent = FMM_SLOT_PENDING | FMM_SLOT_FRESH;
    fmm_entry_end_lease(&found->entry);
    if ((found->word & spent) != 0) {
        fmm_index_publish(&page->index, found->slot, found->word & ~spent);
    }
}

static void
check_item(struct verifying *v, struct item *item, uint64_t *end)
{
    struct fmm_found found;
    if (item->place < *end || !is_whole(&v->page, item->slot, &found)) {
        drop(v, item);
        return;
    }
    if (is_bare_lease(&found)) {
        fmm_index_publish(&v->page.index, item->slot, 0);
        return;
    }
    forget_state(&v->page, &found);
    item->total = found.entry.total;
    *end = item->place + item->total / 8u;
}

static void
check_items(struct verifying *v)
{
    uint64_t end = 0;
    for (uint64_t i = 0; i < v->count; i++) {
        check_item(v, &v->items[i], &end);
    }
}

/* ------------------------------------------------- two entries of one key */

static struct fmm_key
key_of(const struct fmm_entry *entry, uint32_t page)
{
    return (struct fmm_key){.data = entry->key,
                            .len = entry->key_len,
                            .hash = entry->hash,
                            .scope = fmm_entry_scope(entry),
                            .page = page,
                            .kind = fmm_entry_kind(entry)};
}

/* Which of two to keep: the later one, as far as can be told. */
static bool
is_newer(const struct fmm_found *a, const struct fmm_found *b)
{
    if (a->entry.stored_at != b->entry.stored_at) {
        return a->entry.stored_at > b->entry.stored_at;
    }
    if (fmm_entry_is_record(&a->entry) && fmm_entry_is_record(&b->entry)) {
        return fmm_entry_integer(&a->entry) > fmm_entry_integer(&b->entry);
    }
    return a->slot < b->slot;
}

/* Whether another slot names a newer entry of the key. */
static bool
is_outdated(const struct verifying *v, const struct fmm_found *found)
{
    const struct fmm_page *page = &v->page;
    const struct fmm_key key = key_of(&found->entry, page->number);
    struct fmm_candidates c;
    struct fmm_found other;
    fmm_index_candidates(page->index.buckets, key.hash, &c);
    uint32_t matches = fmm_index_tagged(&page->index, &c);
    while (matches) {
        uint32_t slot = fmm_index_take(&c, &matches);
        if (slot != found->slot && fmm_page_load_slot(page, slot, &other) &&
            fmm_entry_has_key(&other.entry, &key) && is_newer(&other, found)) {
            return true;
        }
    }
    return false;
}

static void
drop_outdated(struct verifying *v)
{
    struct fmm_found found;
    for (uint64_t i = 0; i < v->count; i++) {
        struct item *item = &v->items[i];
        if (item->total != 0 &&
            fmm_page_load_slot(&v->page, item->slot, &found) &&
            is_outdated(v, &found)) {
            fmm_index_publish(&v->page.index, item->slot, 0);
            item->total = 0;
            v->found->dropped++;
        }
    }
}

/* Those that are left. */
static void
keep_whole(struct verifying *v)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < v->count; i++) {
        if (v->items[i].total != 0) {
            v->items[kept++] = v->items[i];
        }
    }
    v->count = kept;
}

/* ------------------------------------------------------------------ rings */

/* The items of a ring. */
static struct item *
items_of(const struct verifying *v, uint32_t ring_id, uint64_t *count_out)
{
    uint64_t first = 0;
    while (first < v->count && item_ring(&v->items[first]) < ring_id) {
        first++;
    }
    uint64_t end = first;
    while (end < v->count && item_ring(&v->items[end]) == ring_id) {
        end++;
    }
    *count_out = end - first;
    return v->items + first;
}

/* The number of the first item that does not lie before `offset`. */
static uint64_t
first_from(const struct item *items, uint64_t count, uint64_t offset)
{
    uint64_t first = 0;
    while (first < count && item_offset(&items[first]) < offset) {
        first++;
    }
    return first;
}

/* Whether from tail to head there is a chain, and every item a link of it. */
static bool
is_chain(const struct fmm_ring *ring, const struct item *items, uint64_t count)
{
    uint64_t left = fmm_ring_used(ring), at = ring->tail, met = 0;
    uint64_t next = first_from(items, count, fmm_ring_offset(ring, at));
    struct fmm_entry entry;
    for (; left > 0; left -= entry.total) {
        uint64_t offset = fmm_ring_offset(ring, at);
        if (!fmm_entry_load_any(ring->base, ring->size, offset, &entry) ||
            entry.total > left) {
            return false;
        }
        next = next < count ? next : 0;
        if (met < count && item_offset(&items[next]) == offset) {
            next++;
            met++;
        }
        at = fmm_ring_add(ring, at, entry.total);
    }
    return met == count;
}

static void
pad(const struct fmm_ring *ring, uint64_t from, uint64_t to)
{
    if (to > from) {
        fmm_store_shared(ring->base + from,
                         (to - from) | (uint64_t)FMM_ENTRY_PADDING << 32);
    }
}

/* A gap, which is two where the chain is to begin in it. */
static void
pad_gap(const struct fmm_ring *ring, uint64_t from, uint64_t to,
        uint64_t start)
{
    bool split = from < start && start < to;
    pad(ring, from, split ? start : to);
    if (split) {
        pad(ring, start, to);
    }
}

/* Where a chain through the whole ring may begin: the oldest lay at the head;
 * not within an item. */
static uint64_t
start_of(const struct fmm_ring *ring, const struct item *items, uint64_t count)
{
    uint64_t start = fmm_ring_offset(ring, ring->head);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = item_offset(&items[i]);
        if (offset < start && start < offset + items[i].total) {
            return offset;
        }
    }
    return start;
}

/* The lap that comes after all that there were. */
static uint64_t
next_lap(const struct fmm_ring *ring)
{
    uint64_t last = fmm_max(ring->head, ring->tail) >> ring->shift;
    return (last + 3) << ring->shift >> 62 == 0 ? last + 1 : 0;
}

/* Make a chain of the whole ring: the items, and padding between them. */
static void
join(struct fmm_ring *ring, const struct item *items, uint64_t count)
{
    uint64_t start = start_of(ring, items, count), at = 0;
    uint64_t lap = next_lap(ring);
    for (uint64_t i = 0; i < count; i++) {
        pad_gap(ring, at, item_offset(&items[i]), start);
        at = item_offset(&items[i]) + items[i].total;
    }
    pad_gap(ring, at, ring->size, start);
    ring->tail = lap << ring->shift | start / 8u;
    ring->head = (lap + 1) << ring->shift | start / 8u;
    atomic_store_explicit(ring->tail_word, ring->tail, memory_order_relaxed);
    atomic_store_explicit(ring->head_word, ring->head, memory_order_release);
}

static void
join_rings(struct verifying *v)
{
    bool joined = !fmm_page_settle(&v->page);
    for (uint32_t id = 0; id < 2; id++) {
        struct fmm_ring *ring = &v->page.ring[id];
        uint64_t count;
        const struct item *items = items_of(v, id, &count);
        bool sane = ring->head != 0 || ring->tail != 0 || !joined;
        if (!sane || !is_chain(ring, items, count)) {
            join(ring, items, count);
            joined = true;
        }
    }
    v->found->pages += joined ? 1 : 0;
}

/* ------------------------------------------------------------------- pages */

static void
count_item(struct verifying *v, const struct item *item)
{
    struct fmm_found found;
    if (fmm_page_load_slot(&v->page, item->slot, &found)) {
        v->found->entries++;
        v->found->dirty += (found.word & FMM_SLOT_DIRTY) != 0 ? 1 : 0;
        fmm_hand_note(&v->page, found.entry.expire_at);
    }
}

static void
verify_page(struct verifying *v, uint32_t number)
{
    fmm_page_view(v->base, v->geometry, number, &v->page);
    struct fmm_control *control = v->page.control;
    atomic_store_explicit(&control->lock, 0, memory_order_relaxed);
    control->departed = 1;
    control->generation += GENERATIONS_LOST;
    control->earliest = control->passed = control->hand = 0;
    v->noted = false;
    collect(v);
    check_items(v);
    drop_outdated(v);
    keep_whole(v);
    join_rings(v);
    for (uint64_t i = 0; i < v->count; i++) {
        count_item(v, &v->items[i]);
    }
    fmm_page_recount(&v->page);
}

/* --------------------------------------------------------- values in parts */

/* The entry of a part; `*link` is its page, and then that of the next one. */
static bool
find_part(const struct verifying *v, const struct fmm_parts *parts,
          uint32_t number, uint64_t *link, uint64_t *length_out)
{
    unsigned char name[FMM_PART_NAME];
    struct fmm_page page;
    struct fmm_found found;
    memcpy(name, parts->id, sizeof(parts->id));
    memcpy(name + FMM_PART_NUMBER, &number, sizeof(number));
    memcpy(name + FMM_PART_LISTING, &parts->listing, sizeof(number));
    const struct fmm_key key = {.data = name,
                                .len = sizeof(name),
                                .hash = fmm_hash(v->seed, name, sizeof(name)),
                                .kind = FMM_KEY_INTERNAL};
    fmm_page_glance(v->base, v->geometry,
                    (uint32_t)(*link % v->geometry->num_pages), &page);
    if (!fmm_page_find(&page, &key, &found)) {
        return false;
    }
    *link = fmm_entry_modseq(&found.entry);
    *length_out = found.entry.value_len;
    return true;
}

static bool
has_all_parts(const struct verifying *v, const struct fmm_parts *parts)
{
    uint64_t left = parts->length, link = parts->page, length;
    for (uint32_t number = parts->count; number-- > 0;) {
        if (!find_part(v, parts, number, &link, &length) || length > left) {
            return false;
        }
        left -= length;
    }
    return left == 0;
}

/* A listing for the value of a manifest: no other names it. */
static bool
claim(struct verifying *v, const struct fmm_parts *parts,
      const struct fmm_entry *entry)
{
    void *at = fmm_directory_of(v->base, v->geometry) + 1;
    struct fmm_listing *listing = at;
    uint32_t number = parts->listing;
    if (number < FMM_LISTS || number >= v->geometry->listings ||
        v->claimed[number]) {
        return false;
    }
    v->claimed[number] = 1;
    listing += number;
    bool same = memcmp(listing->id, parts->id, sizeof(parts->id)) == 0;
    bool main = same && listing->list == FMM_LIST_MAIN;
    memcpy(listing->id, parts->id, sizeof(parts->id));
    listing->length = parts->length;
    listing->expire_at = entry->expire_at;
    listing->list = main ? FMM_LIST_MAIN : FMM_LIST_NEW;
    listing->listed_at = entry->stored_at;
    listing->page = parts->page;
    listing->count = parts->count;
    return true;
}

static void
check_manifest(struct verifying *v, const struct fmm_found *found)
{
    struct fmm_parts parts;
    fmm_entry_parts(&found->entry, &parts);
    if (parts.length <= fmm_geometry_max_value(v->geometry) &&
        parts.count <= parts.length && has_all_parts(v, &parts) &&
        claim(v, &parts, &found->entry)) {
        return;
    }
    fmm_page_clear_bad_slot(&v->page, found->slot, &v->noted);
    fmm_page_count_out(&v->page, found);
    v->found->dropped++;
    v->found->entries--;
}

/* The parts of what was removed have been dropped before. */
static void
check_manifests(struct verifying *v, uint32_t number)
{
    fmm_page_view(v->base, v->geometry, number, &v->page);
    uint32_t slots = v->page.index.buckets * FMM_BUCKET_SLOTS;
    struct fmm_found found;
    v->noted = false;
    for (uint32_t slot = 0; slot < slots; slot++) {
        fmm_page_fetch_ahead(&v->page, slot);
        if (fmm_page_load_slot(&v->page, slot, &found) &&
            (found.entry.flags & FMM_ENTRY_IN_PARTS) != 0 &&
            (found.word & FMM_SLOT_REMOVED) == 0) {
            check_manifest(v, &found);
        }
    }
}

/* The lists are made by who takes the directory first. */
static void
settle_directory(const struct verifying *v)
{
    struct fmm_directory *directory = fmm_directory_of(v->base, v->geometry);
    void *at = directory + 1;
    struct fmm_listing *listings = at;
    atomic_store_explicit(&directory->lock, 0, memory_order_relaxed);
    atomic_store_explicit(&directory->debt, 0, memory_order_relaxed);
    directory->built = 0;
    directory->hand = directory->passed = 0;
    directory->earliest = 1;
    for (uint32_t n = FMM_LISTS; n < v->geometry->listings; n++) {
        if (!v->claimed[n]) {
            listings[n].list = FMM_LIST_FREE;
            listings[n].length = 0;
        }
    }
}

/* -------------------------------------------------------------------- file */

/* A larger index may have any size that its page has room for. */
static bool
make_room(struct verifying *v, uint32_t number)
{
    struct fmm_page page;
    fmm_page_glance(v->base, v->geometry, number, &page);
    uint64_t slots = (uint64_t)page.index.buckets * FMM_BUCKET_SLOTS;
    if (slots > v->capacity) {
        free(v->items);
        v->items = malloc(slots * sizeof(*v->items));
        v->capacity = v->items != NULL ? slots : 0;
    }
    return v->items != NULL;
}

static enum fmm_status
verify_all(struct verifying *v)
{
    uint32_t pages = v->geometry->num_pages;
    for (uint32_t n = 0; n < pages; n++) {
        if (!make_room(v, n)) {
            return FMM_ERR_MEMORY;
        }
        verify_page(v, n);
        if (!fmm_options_go_on(v->options, n + 1, pages)) {
            return FMM_ERR_OS;
        }
    }
    for (uint32_t n = 0; n < pages; n++) {
        check_manifests(v, n);
    }
    settle_directory(v);
    return FMM_OK;
}

enum fmm_status
fmm_reboot_verify(unsigned char *base, const struct fmm_geometry *geometry,
                  const uint64_t seed[2], const struct fmm_options *options,
                  struct fmm_reboot *out)
{
    struct verifying v = {.base = base,
                          .geometry = geometry,
                          .seed = seed,
                          .options = options,
                          .found = out};
    *out = (struct fmm_reboot){.entries = 0};
    v.claimed = calloc(geometry->listings, 1);
    enum fmm_status status =
        v.claimed != NULL ? verify_all(&v) : FMM_ERR_MEMORY;
    free(v.claimed);
    free(v.items);
    return status;
}

static bool
page_is_whole(const struct fmm_page *page)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    struct fmm_found found;
    for (uint32_t slot = 0; slot < slots; slot++) {
        fmm_page_fetch_ahead(page, slot);
        if (fmm_index_word(&page->index, slot) != 0 &&
            !is_whole(page, slot, &found)) {
            return false;
        }
    }
    return true;
}

enum fmm_status
fmm_reboot_look(unsigned char *base, const struct fmm_geometry *geometry,
                const struct fmm_options *options)
{
    struct fmm_page page;
    for (uint32_t n = 0; n < geometry->num_pages; n++) {
        fmm_page_view(base, geometry, n, &page);
        if (!page_is_whole(&page)) {
            return FMM_MISS;
        }
        if (!fmm_options_go_on(options, n + 1, geometry->num_pages)) {
            return FMM_ERR_OS;
        }
    }
    return FMM_OK;
}
