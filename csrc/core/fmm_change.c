/* The operations that change one key, each in a page that is held. */
#include "fmm.h"

#include "fmm_directory.h"
#include "fmm_leave.h"
#include "fmm_hand.h"
#include "fmm_hold.h"
#include "fmm_parts_evict.h"
#include "fmm_read.h"
#include "fmm_seal.h"

/* One change: what all its steps need. */
struct change {
    struct fmm_cache *cache;
    const struct fmm_call *call;
    const struct fmm_key *key;
    struct fmm_page *page;
    struct fmm_ticket *ticket;
};

/* The key's entry, expired or not; NULL when there is none. */
static const struct fmm_found *
find(const struct change *c, struct fmm_found *room)
{
    return fmm_page_find(c->page, c->key, room) ? room : NULL;
}

static bool
is_live(const struct change *c, const struct fmm_found *found)
{
    return found != NULL && !fmm_entry_bare(&found->entry) &&
           !fmm_read_expired(c->cache, &found->entry, c->call->now_ms);
}

static bool
is_visible(const struct change *c, const struct fmm_found *found)
{
    return found != NULL &&
           !fmm_read_gone(c->cache, &found->entry, c->call->now_ms);
}

/* -------------------------------------------------------------- storing */

/* Replace `old` (NULL: none) by a value, or by a tombstone (NULL). */
static enum fmm_status
insert_as_told(const struct change *c, const struct fmm_value *value,
               const struct fmm_store_options *store,
               const struct fmm_found *old)
{
    uint64_t now_ms = c->call->now_ms;
    const struct fmm_entry_source source = {
        c->key, value, store, (uint32_t)fmm_hold_seconds(c->cache, now_ms),
        NULL};
    return fmm_hold_insert(c->page, &source, old, now_ms, c->ticket);
}

/* The same, with the tags that `old` has. */
FMM_NOINLINE static enum fmm_status
insert_with_tags_of(const struct change *c, const struct fmm_value *value,
                    const struct fmm_store_options *store,
                    const struct fmm_found *old)
{
    struct fmm_tag tags[FMM_TAGS_MAX];
    struct fmm_store_options with = *store;
    with.tags = tags;
    with.tag_count = fmm_entry_tags(&old->entry, tags);
    return insert_as_told(c, value, &with, old);
}

static enum fmm_status
insert(const struct change *c, const struct fmm_value *value,
       const struct fmm_store_options *store, const struct fmm_found *old)
{
    bool keep = store->keep_tags && old != NULL &&
                (old->entry.flags & FMM_ENTRY_TAGGED) != 0;
    return FMM_UNLIKELY(keep && is_visible(c, old))
               ? insert_with_tags_of(c, value, store, old)
               : insert_as_told(c, value, store, old);
}

static enum fmm_status
set(const struct change *c, const struct fmm_value *value,
    const struct fmm_store_options *store)
{
    struct fmm_found room;
    if (FMM_UNLIKELY(value->split) && value->file != fmm_serial(c->cache)) {
        return FMM_NO_ROOM; /* its parts are in the file that was here */
    }
    fmm_ring_prefetch(&c->page->ring[FMM_RING_S]);
    const struct fmm_found *old = find(c, &room);
    enum fmm_status status =
        fmm_insert_allowed(is_live(c, old) ? old : NULL, store);
    return status == FMM_OK ? insert(c, value, store, old) : status;
}

enum fmm_status
fmm_set_locked(const struct fmm_guard *guard, const struct fmm_call *call,
               const struct fmm_key *key, const struct fmm_value *value,
               const struct fmm_store_options *store,
               struct fmm_ticket *ticket_out)
{
    struct fmm_page page;
    const struct change c = {guard->cache, call, key, &page, ticket_out};
    fmm_hold_view(guard, &page);
    return fmm_hold_count_store(guard->cache, key, set(&c, value, store));
}

/* Values in parts that are to leave, since small ones came. */
FMM_COLD static void
pay_debt(struct fmm_cache *cache, const struct fmm_call *call)
{
    const struct fmm_call once = {.now_ms = call->now_ms};
    fmm_parts_drop_gone(cache, &once, NULL);
    fmm_parts_pay_debt(cache, &once, NULL, 0);
}

static inline void
settle(struct fmm_cache *cache, const struct fmm_call *call)
{
    const struct fmm_directory *directory =
        fmm_directory_of(cache->base, &cache->geometry);
    if (FMM_UNLIKELY(fmm_directory_debt(directory) != 0)) {
        pay_debt(cache, call);
    }
}

FMM_FLATTEN enum fmm_status
fmm_set(struct fmm_cache *cache, const struct fmm_call *call,
        const struct fmm_key *key, const struct fmm_value *value,
        const struct fmm_store_options *store, struct fmm_ticket *ticket_out)
{
    struct fmm_hold hold;
    const struct change c = {cache, call, key, &hold.page, ticket_out};
    enum fmm_status status = fmm_hold_take(cache, call, key->page, &hold);
    if (status == FMM_OK) {
        status = set(&c, value, store);
        fmm_hold_release(&hold);
        settle(cache, call);
    }
    return fmm_hold_count_store(cache, key, status);
}

/* ------------------------------------------------------------- removing */

/* What will be left to do. */
static enum fmm_due
due_of(const struct fmm_removal *removal, const struct fmm_found *old)
{
    uint64_t word = old != NULL ? old->word : 0;
    if ((word & FMM_SLOT_FRESH) != 0) {
        return FMM_DUE_NOTHING;
    }
    bool mark = removal->mark || (word & FMM_SLOT_DIRTY) != 0;
    return mark ? FMM_DUE_MARKED : FMM_DUE_DELETION;
}

/* The removal is a change that is to be written back, like any other: one
 * store. What is being computed from the value is void before it. */
static void
mark_removed(const struct change *c, const struct fmm_found *old)
{
    const uint64_t spent = FMM_SLOT_PENDING | FMM_SLOT_FRESH;
    fmm_page_note_unwritten(c->page);
    fmm_entry_end_lease(&old->entry);
    fmm_index_publish(&c->page->index, old->slot,
                      (old->word & ~spent) | FMM_SLOT_DIRTY |
                          FMM_SLOT_REMOVED);
}

static void
remove_found(const struct change *c, const struct fmm_found *old,
             enum fmm_due due)
{
    fmm_entry_displace(&old->entry, &c->ticket->displaced);
    if (due == FMM_DUE_MARKED) {
        mark_removed(c, old);
    }
    else {
        fmm_page_clear_slot(c->page, old);
    }
}

/* Where nothing is, the mark is a tombstone without a number. */
static enum fmm_status
remove_plainly(const struct change *c, const struct fmm_found *old,
               enum fmm_due *due)
{
    const struct fmm_store_options mark = {.dirty = true};
    enum fmm_status status = FMM_OK;
    if (old != NULL) {
        remove_found(c, old, *due);
    }
    else if (*due == FMM_DUE_MARKED) {
        status = insert(c, NULL, &mark, NULL);
    }
    if (status == FMM_NO_ROOM) {
        *due = FMM_DUE_DELETION;
        status = FMM_OK;
    }
    return status;
}

/* A tombstone that finds no room: a plain removal has to do. */
static void
remove_unburied(const struct change *c, enum fmm_due due)
{
    struct fmm_found now;
    if (fmm_page_find(c->page, c->key, &now)) {
        remove_found(c, &now, due);
    }
}

/* Leave a tombstone in the place of `old`; its modseq never goes down. */
FMM_NOINLINE static enum fmm_status
bury(const struct change *c, const struct fmm_removal *removal,
     const struct fmm_found *old, enum fmm_due due)
{
    uint64_t known = is_live(c, old) ? fmm_entry_modseq(&old->entry) : 0;
    const struct fmm_store_options store = {
        .expire_at = removal->expire_at,
        .modseq = fmm_max(removal->modseq, known),
        .has_modseq = true,
        .dirty = due == FMM_DUE_MARKED,
    };
    enum fmm_status status = insert(c, NULL, &store, old);
    if (status == FMM_NO_ROOM) {
        remove_unburied(c, due);
        status = FMM_OK;
    }
    return status;
}

/* Whether a tombstone of that modseq comes too late for a live value. */
static bool
outlives(const struct change *c, const struct fmm_found *old,
         const struct fmm_removal *removal)
{
    return removal->has_modseq && is_visible(c, old) &&
           (old->entry.flags & FMM_ENTRY_MODSEQ) != 0 &&
           fmm_entry_modseq(&old->entry) >= removal->modseq;
}

static enum fmm_status
take_away(const struct change *c, const struct fmm_removal *removal,
          enum fmm_due *due_out)
{
    struct fmm_found room;
    const struct fmm_found *old = find(c, &room);
    bool dirty = old != NULL && (old->word & FMM_SLOT_DIRTY) != 0;
    /* Asked now: what follows may change the entry's bytes. */
    enum fmm_status outcome = is_visible(c, old) ? FMM_OK : FMM_MISS;
    enum fmm_due due = due_of(removal, old);
    enum fmm_status status = FMM_OK;
    if (removal->keep_dirty) {
        c->page->control->departed = 1;
    }
    if (dirty && removal->keep_dirty) {
        return fmm_leave_hand_out(c->page, old, c->ticket);
    }
    if (outlives(c, old, removal)) {
        due = FMM_DUE_NOTHING;
    }
    else {
        status = removal->has_modseq ? bury(c, removal, old, due)
                                     : remove_plainly(c, old, &due);
    }
    if (status == FMM_OK && due_out != NULL) {
        *due_out = due;
    }
    return status == FMM_OK ? outcome : status;
}

enum fmm_status
fmm_remove_locked(const struct fmm_guard *guard, const struct fmm_call *call,
                  const struct fmm_key *key, const struct fmm_removal *removal,
                  enum fmm_due *due_out, struct fmm_ticket *ticket_out)
{
    struct fmm_page page;
    const struct change c = {guard->cache, call, key, &page, ticket_out};
    fmm_hold_view(guard, &page);
    return take_away(&c, removal, due_out);
}

enum fmm_status
fmm_remove(struct fmm_cache *cache, const struct fmm_call *call,
           const struct fmm_key *key, const struct fmm_removal *removal,
           enum fmm_due *due_out, struct fmm_ticket *ticket_out)
{
    struct fmm_hold hold;
    const struct change c = {cache, call, key, &hold.page, ticket_out};
    enum fmm_status status = fmm_hold_take(cache, call, key->page, &hold);
    if (status == FMM_OK) {
        status = take_away(&c, removal, due_out);
        fmm_hold_release(&hold);
    }
    return status;
}

/* ----------------------------------------------------- changing in place */

/* An addition: what to add to, and what came of it. */
struct addition {
    const struct fmm_store_options *store;
    int64_t delta, initial, result;
    uint64_t expire_at;
};

FMM_NOINLINE static enum fmm_status
store_result(const struct change *c, struct addition *a,
             const struct fmm_found *old)
{
    const struct fmm_value value = {
        .data = &a->result, .len = sizeof(a->result), .type = FMM_TYPE_INT};
    struct fmm_store_options store = *a->store;
    store.expire_at = a->expire_at;
    enum fmm_status status =
        fmm_insert_allowed(is_live(c, old) ? old : NULL, &store);
    return status == FMM_OK ? insert(c, &value, &store, old) : status;
}

/* The same for one that keeps all but its number. */
FMM_COLD static enum fmm_status
renew(const struct change *c, const struct addition *a,
      const struct fmm_found *found)
{
    const struct fmm_value value = {
        .data = &a->result, .len = sizeof(a->result), .type = FMM_TYPE_INT};
    struct fmm_store_options store = *a->store;
    store.expire_at = a->expire_at;
    store.dirty = store.dirty || (found->word & FMM_SLOT_DIRTY) != 0;
    store.keep_tags = true;
    return insert(c, &value, &store, found);
}

/* The number is under the seal: a power cut before this store costs both, if
 * both were on their way to the disk, or the process was killed in between. */
FMM_COLD static void
seal_again(const struct fmm_page *page, const struct fmm_found *found)
{
    fmm_seal_set(&found->entry, page->geometry->seal_key,
                 fmm_seal_place(page->number, found->ring, found->offset));
}

/* Change the integer of an entry, one aligned store; before that it is dirty,
 * and what is being computed from the old number is void. */
static void
add_in_place(const struct change *c, const struct addition *a,
             const struct fmm_found *found)
{
    const struct fmm_page *page = c->page;
    uint64_t dirty = found->word | FMM_SLOT_DIRTY;
    if (a->store->dirty && found->word != dirty) {
        fmm_page_note_unwritten(page);
        fmm_index_publish(&page->index, found->slot, dirty);
    }
    fmm_entry_end_lease(&found->entry);
    fmm_entry_set_integer(&found->entry, a->result);
    if (FMM_UNLIKELY(page->geometry->seal_size != 0)) {
        seal_again(page, found);
    }
    /* Who adds is told the sum: that is a read, too. */
    fmm_hint_hit(&page->index.hints[found->slot],
                 fmm_hold_seconds(c->cache, c->call->now_ms));
    fmm_count_add(&page->control->stores, 1);
}

/* Add to the integer that is there. */
static enum fmm_status
add_to(const struct change *c, struct addition *a,
       const struct fmm_found *found)
{
    if ((found->entry.flags & FMM_ENTRY_INTEGER) == 0) {
        return FMM_NOT_INT;
    }
    if (__builtin_add_overflow(fmm_entry_integer(&found->entry), a->delta,
                               &a->result)) {
        return FMM_OVERFLOW;
    }
    a->expire_at = found->entry.expire_at;
    /* A store without a modseq clears it: that takes a new entry. */
    if ((found->entry.flags & FMM_ENTRY_MODSEQ) != 0 || a->store->has_modseq) {
        return store_result(c, a, found);
    }
    /* Of two blocks, a disk may have one as it was before. */
    if (FMM_UNLIKELY(c->cache->geometry.seal_size != 0) &&
        !fmm_seal_is_by_integer(&found->entry)) {
        return renew(c, a, found);
    }
    add_in_place(c, a, found);
    return FMM_OK;
}

static enum fmm_status
add(const struct change *c, struct addition *a)
{
    struct fmm_found room;
    const struct fmm_found *old = find(c, &room);
    if (is_visible(c, old)) {
        return add_to(c, a, old);
    }
    a->expire_at = a->store->expire_at;
    if (__builtin_add_overflow(a->initial, a->delta, &a->result)) {
        return FMM_OVERFLOW;
    }
    return store_result(c, a, old);
}

enum fmm_status
fmm_incr(struct fmm_cache *cache, const struct fmm_call *call,
         const struct fmm_key *key, int64_t delta, int64_t initial,
         const struct fmm_store_options *store, int64_t *result_out,
         uint64_t *expire_at_out, struct fmm_ticket *ticket_out)
{
    struct fmm_hold hold;
    const struct change c = {cache, call, key, &hold.page, ticket_out};
    struct addition a = {store, delta, initial, 0, 0};
    enum fmm_status status = fmm_hold_take(cache, call, key->page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    status = add(&c, &a);
    fmm_hold_release(&hold);
    if (fmm_hold_count_store(cache, key, status) == FMM_OK) {
        *result_out = a.result;
        *expire_at_out = a.expire_at;
    }
    return status;
}

enum fmm_status
fmm_touch(struct fmm_cache *cache, const struct fmm_call *call,
          const struct fmm_key *key, uint64_t expire_at)
{
    struct fmm_hold hold;
    const struct change c = {cache, call, key, &hold.page, NULL};
    struct fmm_found room;
    enum fmm_status status = fmm_hold_take(cache, call, key->page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    const struct fmm_found *found = find(&c, &room);
    if (is_visible(&c, found)) {
        fmm_hand_note(&hold.page, expire_at);
        fmm_entry_set_expiry(&found->entry, expire_at);
    }
    else {
        status = FMM_MISS;
    }
    fmm_hold_release(&hold);
    return status;
}
