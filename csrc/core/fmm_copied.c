#include "fmm_copied.h"

#include <stdlib.h>

#include "fmm_directory.h"
#include "fmm_hash.h"
#include "fmm_parts.h"
#include "fmm_parts_evict.h"

/* ------------------------------------------------------------- describing */

static const enum fmm_key_kind KINDS[] = {FMM_KEY_TEXT, FMM_KEY_BYTES,
                                          FMM_KEY_INTERNAL};

/* One number for hash and kind; again, it is the hash. */
static uint64_t
mix_kind(uint64_t hash, enum fmm_key_kind kind)
{
    return hash ^ (uint64_t)kind * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t
mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0xff51afd7ed558ccd);
    return sum ^ sum >> 32;
}

void
fmm_copied_describe(const struct fmm_page *page, const struct fmm_found *found,
                    struct fmm_copied *out)
{
    const struct fmm_entry *entry = &found->entry;
    bool integer = (entry->flags & FMM_ENTRY_INTEGER) != 0;
    uint64_t key = mix_kind(entry->hash, fmm_entry_kind(entry));
    *out = (struct fmm_copied){
        .key = key != 0 ? key : 1,
        .position = fmm_page_position(page, found),
        .state = found->word & (FMM_SLOT_DIRTY | FMM_SLOT_REMOVED),
        .ring = found->ring,
        .hint = atomic_load_explicit(&page->index.hints[found->slot],
                                     memory_order_relaxed),
        .length = entry->total,
    };
    out->sum = mix(
        mix(mix(out->position, out->state | found->ring), entry->expire_at),
        integer ? (uint64_t)fmm_entry_integer(entry) : 0);
}

/* ---------------------------------------------------------------- sorting */

static int
compare(const void *a, const void *b)
{
    const struct fmm_copied *one = *(const struct fmm_copied *const *)a;
    const struct fmm_copied *other = *(const struct fmm_copied *const *)b;
    if (one->ring != other->ring) {
        return one->ring == FMM_RING_M ? -1 : 1;
    }
    return one->position < other->position ? -1 : 1;
}

static uint64_t
list(const unsigned char *buffer, uint64_t used,
     const struct fmm_copied **items)
{
    uint64_t count = 0;
    for (uint64_t at = 0; at < used; count++) {
        const struct fmm_copied *copied = (const void *)(buffer + at);
        if (items != NULL) {
            items[count] = copied;
        }
        at += sizeof(*copied) + copied->length;
    }
    return count;
}

bool
fmm_copied_sort(const unsigned char *buffer, uint64_t used,
                struct fmm_copied_list *out)
{
    out->count = list(buffer, used, NULL);
    out->items = malloc((out->count + 1) * sizeof(const void *));
    if (out->items == NULL) {
        return false;
    }
    list(buffer, used, out->items);
    qsort(out->items, out->count, sizeof(const void *), compare);
    return true;
}

/* ---------------------------------------------------------------- storing */

/* Where it goes, and what with. */
struct landing {
    struct fmm_cache *to;
    const struct fmm_call *call;
    const struct fmm_copied *copied;
    struct fmm_entry_source source;
};

static void
drop_found(const struct fmm_page *page, const struct fmm_found *found,
           struct fmm_ticket *ticket)
{
    fmm_entry_displace(&found->entry, &ticket->displaced);
    fmm_page_clear_slot(page, found);
}

/* Values in parts that are to leave, since small ones came. */
static void
settle(const struct landing *l, struct fmm_ticket *ticket)
{
    fmm_displaced_drop(l->to, l->call, NULL, &ticket->displaced);
    const struct fmm_directory *directory =
        fmm_directory_of(l->to->base, &l->to->geometry);
    if (fmm_directory_debt(directory) != 0) {
        fmm_parts_drop_gone(l->to, l->call, NULL);
        fmm_parts_pay_debt(l->to, l->call, NULL, 0);
    }
}

static enum fmm_status
insert(const struct landing *l)
{
    const struct fmm_key *key = l->source.key;
    const fmm_word32 hint = l->copied->hint;
    struct fmm_ticket ticket = {.displaced = {.count = 0}};
    struct fmm_found found;
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take(l->to, l->call, key->page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    bool old = fmm_page_find(&hold.page, key, &found);
    status = fmm_hold_insert(&hold.page, &l->source, old ? &found : NULL,
                             l->call->now_ms, &ticket);
    if (fmm_page_find(&hold.page, key, &found)) {
        if (status == FMM_OK) {
            fmm_hint_copy(&hold.page.index.hints[found.slot], &hint);
        }
        else {
            drop_found(&hold.page, &found, &ticket);
        }
    }
    fmm_hold_release(&hold);
    settle(l, &ticket);
    return status;
}

static enum fmm_status
insert_in_parts(struct landing *l)
{
    const struct fmm_value *value = l->source.value;
    struct fmm_parts_job job = {.value = value,
                                .expire_at = l->source.store->expire_at};
    const struct fmm_value head = {.data = &job.parts,
                                   .len = sizeof(job.parts),
                                   .type = value->type,
                                   .compressed = value->compressed,
                                   .split = true};
    struct fmm_ticket ticket = {.displaced = {.count = 0}};
    enum fmm_status status =
        fmm_parts_store(l->to, l->call, l->source.key, &job, &ticket);
    if (status != FMM_OK) {
        return status;
    }
    l->source.value = &head;
    status = insert(l);
    fmm_parts_finish(l->to, l->call, &job, status == FMM_OK);
    return status;
}

/* A value that is too large for an entry there finds no room as one, and what
 * there was of it has gone by then. */
static enum fmm_status
insert_somehow(struct landing *l)
{
    const struct fmm_value *value = l->source.value;
    enum fmm_status status = insert(l);
    bool large = status == FMM_NO_ROOM && value != NULL &&
                 fmm_parts_needed(l->to, l->source.key, value->len);
    return large ? insert_in_parts(l) : status;
}

/* A value in parts, put together first. */
static enum fmm_status
insert_whole(const struct fmm_cache *from, struct landing *l,
             const struct fmm_entry *entry)
{
    struct fmm_parts parts = {.length = 0};
    struct fmm_value value = *l->source.value;
    fmm_entry_parts(entry, &parts);
    if (!fmm_parts_sound(&from->geometry, &parts)) {
        return FMM_MISS;
    }
    void *buffer = malloc(parts.length);
    if (buffer == NULL) {
        return FMM_ERR_MEMORY;
    }
    enum fmm_status status = fmm_parts_read(from, l->call, &parts, buffer);
    value.data = buffer;
    value.len = parts.length;
    l->source.value = &value;
    status = status == FMM_OK ? insert_somehow(l) : FMM_MISS;
    free(buffer);
    return status;
}

/* With room for a lease where there was some; the lease itself stays behind. */
enum fmm_status
fmm_copied_store(const struct fmm_cache *from, struct fmm_cache *to,
                 const struct fmm_call *call, const struct fmm_copied *copied,
                 const struct fmm_entry *entry, uint32_t page)
{
    static const struct fmm_lease none;
    bool removed = (copied->state & FMM_SLOT_REMOVED) != 0;
    bool gone = removed || (entry->flags & FMM_ENTRY_TOMBSTONE) != 0;
    int64_t integer = 0;
    struct fmm_tag tags[FMM_TAGS_MAX];
    const struct fmm_key key = {.data = entry->key,
                                .len = entry->key_len,
                                .scope = fmm_entry_scope(entry),
                                .hash = entry->hash,
                                .page = page,
                                .kind = fmm_entry_kind(entry)};
    const struct fmm_store_options store = {
        .expire_at = removed ? 0 : entry->expire_at,
        .modseq = fmm_entry_modseq(entry),
        .has_modseq = !removed && (entry->flags & FMM_ENTRY_MODSEQ) != 0,
        .dirty = (copied->state & FMM_SLOT_DIRTY) != 0,
        .whole = fmm_hash_page(entry->hash, to->geometry.num_pages) != page,
        .tags = tags,
        .tag_count = gone ? 0 : fmm_entry_tags(entry, tags)};
    struct fmm_value value = {.data = entry->value,
                              .len = entry->value_len,
                              .type = entry->type,
                              .compressed =
                                  (entry->flags & FMM_ENTRY_COMPRESSED) != 0};
    if ((entry->flags & FMM_ENTRY_INTEGER) != 0) {
        integer = fmm_entry_integer(entry);
        value.data = &integer;
        value.len = sizeof(integer);
    }
    bool leasable = !gone && (entry->flags & FMM_ENTRY_LEASE) != 0;
    struct landing l = {to,
                        call,
                        copied,
                        {&key, gone ? NULL : &value, &store, entry->stored_at,
                         leasable ? &none : NULL}};
    return (entry->flags & FMM_ENTRY_IN_PARTS) != 0 && !gone
               ? insert_whole(from, &l, entry)
               : insert_somehow(&l);
}

/* --------------------------------------------------------------- dropping */

/* The entry of that hash and kind; there are no others of it in a page. */
static bool
find(const struct fmm_page *page, uint64_t hash, enum fmm_key_kind kind,
     struct fmm_found *out)
{
    struct fmm_candidates c;
    fmm_index_candidates(page->index.buckets, hash, &c);
    uint32_t matches = fmm_index_tagged(&page->index, &c);
    while (matches) {
        if (fmm_page_load_slot(page, fmm_index_take(&c, &matches), out) &&
            out->entry.hash == hash && fmm_entry_kind(&out->entry) == kind) {
            return true;
        }
    }
    return false;
}

void
fmm_copied_drop(struct fmm_cache *to, const struct fmm_call *call,
                uint64_t key, uint32_t page)
{
    struct fmm_ticket ticket = {.displaced = {.count = 0}};
    struct fmm_found found;
    struct fmm_hold hold;
    if (fmm_hold_take(to, call, page, &hold) != FMM_OK) {
        return;
    }
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        if (find(&hold.page, mix_kind(key, KINDS[i]), KINDS[i], &found)) {
            drop_found(&hold.page, &found, &ticket);
        }
    }
    fmm_hold_release(&hold);
    fmm_displaced_drop(to, call, NULL, &ticket.displaced);
}
