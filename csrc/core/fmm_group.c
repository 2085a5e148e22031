/* Groups: the generations that keys of namespaces and values with tags name.
 * See fmm.h.
 *
 * A record is an integer under an internal key, stored when a group is ended:
 * that is one store of a slot. Generations are not used twice, so that a record
 * that was lost and made anew brings nothing back; nor does one that is lost
 * alone, for its base is changed before. */
#include "fmm.h"

#include "fmm_hand.h"
#include "fmm_hash.h"
#include "fmm_hold.h"
#include "fmm_read.h"

#define RECORDS_SHARE 20u /* one part in so many of a page is for records */
#define RECORDS_LEAST 16u /* of a small page */

enum fmm_status
fmm_group_find(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_key *record, uint32_t *generation_out)
{
    struct fmm_call quietly = {
        .now_ms = call->now_ms, .wait_ms = call->wait_ms, .brief = true};
    uint64_t generation;
    struct fmm_meta meta;
    fmm_read_use_name(cache, record, call->now_ms);
    enum fmm_status status = fmm_get(cache, &quietly, record, &generation,
                                     sizeof(generation), &meta);
    if (status == FMM_OK && meta.type == FMM_TYPE_INT) {
        *generation_out = (uint32_t)generation;
        return FMM_OK;
    }
    if (status == FMM_OK || status == FMM_MISS || status == FMM_TOO_SMALL) {
        *generation_out = fmm_read_base(cache, record);
        return FMM_OK;
    }
    return status;
}

uint64_t
fmm_group_scope(const struct fmm_cache *cache, const struct fmm_key *record,
                uint32_t generation)
{
    const uint64_t seed[2] = {~cache->seed[0], cache->seed[1]};
    const uint64_t names[2] = {record->hash, generation};
    return fmm_max(fmm_hash(seed, names, sizeof(names)), 1);
}

/* --------------------------------------------------------------- records */

static bool
has_many_records(const struct fmm_page *page)
{
    const struct fmm_control *control = page->control;
    uint64_t slots = (uint64_t)page->index.buckets * FMM_BUCKET_SLOTS;
    uint64_t bytes = page->ring_size[FMM_RING_S] + page->ring_size[FMM_RING_M];
    return control->records >= fmm_max(slots / RECORDS_SHARE, RECORDS_LEAST) ||
           control->record_bytes > bytes / RECORDS_SHARE;
}

/* Drop a record, unless it was asked for since it was stored or spared. */
static void
pass_record(const struct fmm_page *page, uint32_t slot)
{
    fmm_word32 *hint = &page->index.hints[slot];
    struct fmm_found found;
    if (!fmm_page_load_slot(page, slot, &found) ||
        !fmm_entry_is_record(&found.entry)) {
        return;
    }
    if (fmm_hint_credit(hint) == FMM_HINT_CREDIT_MAX) {
        fmm_hint_pay(hint, 1);
    }
    else {
        fmm_page_clear_slot(page, &found);
    }
}

/* Groups that are ended once and never used again must not take the room of
 * values. Where all are in use, and too many, all go. */
FMM_COLD static void
thin_out(const struct fmm_page *page)
{
    uint32_t slots = page->index.buckets * FMM_BUCKET_SLOTS;
    for (int i = 0; i < 2 && has_many_records(page); i++) {
        for (uint32_t slot = 0; slot < slots; slot++) {
            fmm_page_fetch_ahead(page, slot);
            pass_record(page, slot);
        }
    }
}

/* ---------------------------------------------------------------- ending */

/* All the credit there is but one: who has all was asked for. */
static void
favour(const struct fmm_hold *hold, const struct fmm_key *record,
       uint64_t now_ms)
{
    struct fmm_found found;
    if (fmm_page_find(&hold->page, record, &found)) {
        fmm_word32 *hint = &hold->page.index.hints[found.slot];
        fmm_hint_fill(hint, fmm_hold_seconds(hold->cache, now_ms));
        fmm_hint_pay(hint, 1);
    }
}

static enum fmm_status
store_record(struct fmm_hold *hold, const struct fmm_call *call,
             const struct fmm_key *record, struct fmm_ticket *ticket)
{
    uint64_t generation = fmm_page_new_generation(&hold->page);
    const struct fmm_value value = {
        .data = &generation, .len = sizeof(generation), .type = FMM_TYPE_INT};
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    const struct fmm_entry_source source = {
        record, &value, &store,
        (uint32_t)fmm_hold_seconds(hold->cache, call->now_ms), NULL};
    struct fmm_found found;
    bool old = fmm_page_find(&hold->page, record, &found);
    if (!old && has_many_records(&hold->page) &&
        fmm_hand_is_room_short(&hold->page)) {
        thin_out(&hold->page);
    }
    enum fmm_status status = fmm_hold_insert(
        &hold->page, &source, old ? &found : NULL, call->now_ms, ticket);
    if (status == FMM_OK) {
        favour(hold, record, call->now_ms);
    }
    return status;
}

/* Without a record it has a base again, which becomes another before. */
static void
end_base(const struct fmm_hold *hold, const struct fmm_key *record)
{
    struct fmm_found found;
    fmm_page_end_base(&hold->page, record->hash);
    if (fmm_page_find(&hold->page, record, &found)) {
        fmm_page_clear_slot(&hold->page, &found);
    }
}

enum fmm_status
fmm_group_end(struct fmm_cache *cache, const struct fmm_call *call,
              const struct fmm_key *record, struct fmm_ticket *ticket_out)
{
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take(cache, call, record->page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    status = FMM_NO_ROOM;
    if (ticket_out != NULL) {
        status = store_record(&hold, call, record, ticket_out);
    }
    if (status == FMM_NO_ROOM) {
        end_base(&hold, record);
        status = FMM_OK;
    }
    fmm_hold_release(&hold);
    return status;
}
