/* Groups: the generations that keys of namespaces and values with tags name.
 * See fmm.h.
 *
 * A record is an integer under an internal key, made where there is none, and
 * removed to end its generation: each is one store of a slot. Generations are
 * random and not used twice, so that a record that was lost and made anew
 * brings nothing back. */
#include "fmm.h"

#include "fmm_hold.h"
#include "fmm_process.h"
#include "fmm_read.h"

enum fmm_status
fmm_group_find(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_key *key, uint64_t *generation_out)
{
    struct fmm_call quietly = {
        .now_ms = call->now_ms, .wait_ms = call->wait_ms, .brief = true};
    uint64_t generation = 0;
    struct fmm_meta meta;
    enum fmm_status status =
        fmm_get(cache, &quietly, key, &generation, sizeof(generation), &meta);
    if (status != FMM_OK) {
        return status == FMM_TOO_SMALL ? FMM_MISS : status;
    }
    if (meta.type != FMM_TYPE_INT || generation == 0) {
        return FMM_MISS;
    }
    *generation_out = generation;
    return FMM_OK;
}

/* Whoever uses a group reads its record, and who reads few of its values
 * shall not lose the others with it: it starts with all the credit there is. */
static void
favour(const struct fmm_hold *hold, const struct fmm_key *key, uint64_t now_ms)
{
    struct fmm_found found;
    if (fmm_page_find(&hold->page, key, &found)) {
        fmm_hint_fill(&hold->page.index.hints[found.slot],
                      fmm_hold_seconds(hold->cache, now_ms));
    }
}

/* Store a record in the page that is held, unless there is one by now. */
static enum fmm_status
make_locked(struct fmm_hold *hold, const struct fmm_call *call,
            const struct fmm_key *key, uint64_t *generation,
            struct fmm_ticket *ticket)
{
    const struct fmm_value value = {
        .data = generation, .len = sizeof(*generation), .type = FMM_TYPE_INT};
    const struct fmm_store store = {.mode = FMM_STORE_SET};
    const struct fmm_entry_source source = {
        key, &value, &store,
        (uint32_t)fmm_hold_seconds(hold->cache, call->now_ms), NULL};
    struct fmm_found found;
    uint64_t there = fmm_read_generation(hold->cache, key, call->now_ms);
    if (there != 0) {
        *generation = there;
        return FMM_OK;
    }
    bool old = fmm_page_find(&hold->page, key, &found);
    enum fmm_status status = fmm_hold_insert(
        &hold->page, &source, old ? &found : NULL, call->now_ms, ticket);
    if (status == FMM_OK) {
        favour(hold, key, call->now_ms);
    }
    return status;
}

enum fmm_status
fmm_group_make(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_key *key, uint64_t *generation_out,
               struct fmm_ticket *ticket_out)
{
    struct fmm_hold hold;
    uint64_t generation;
    enum fmm_status status = fmm_group_find(cache, call, key, generation_out);
    if (status != FMM_MISS) {
        return status;
    }
    if (!fmm_platform_random(&generation, sizeof(generation))) {
        return FMM_ERR_OS;
    }
    generation = fmm_max(generation, 1);
    status = fmm_hold_take(cache, call, key->page, &hold);
    if (status == FMM_OK) {
        status = make_locked(&hold, call, key, &generation, ticket_out);
        fmm_hold_release(&hold);
    }
    if (status == FMM_OK) {
        *generation_out = generation;
    }
    return status;
}

enum fmm_status
fmm_group_end(struct fmm_cache *cache, const struct fmm_call *call,
              const struct fmm_key *key)
{
    const struct fmm_removal plainly = {.has_modseq = false};
    struct fmm_ticket ticket;
    return fmm_remove(cache, call, key, &plainly, NULL, &ticket);
}
