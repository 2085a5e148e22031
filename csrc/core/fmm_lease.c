/* Leases: who computes the value of a key. See fmm.h.
 *
 * A lease is three words of the key's entry: of one that has no value, a bare
 * lease, or of a value that was stored with room for them. Whether its owner
 * lives is asked while no page is held; only the very lease whose owner was
 * found dead is taken over then. */
#include "fmm.h"

#include "fmm_leave.h"
#include "fmm_hash.h"
#include "fmm_hold.h"
#include "fmm_read.h"

#define TAKE_TRIES 4  /* while a lease changes hands under our eyes */
#define END_TRIES 256 /* while its page changes under our eyes */

static const struct fmm_lease no_lease;

/* One attempt to take a lease. */
struct taking {
    struct fmm_cache *cache;
    const struct fmm_call *call;
    const struct fmm_key *key;
    bool refresh, lock;
    struct fmm_lease ours, theirs;
    uint64_t dead; /* token of a lease that nobody holds any more; 0: none */
    struct fmm_ticket *ticket;
};

/* -------------------------------------------------------------- looking */

static enum fmm_status
read_locked(struct fmm_cache *cache, const struct fmm_read *read)
{
    struct fmm_hold hold;
    struct fmm_found found;
    if (cache->client.read_only) {
        return FMM_BUSY;
    }
    enum fmm_status status =
        fmm_hold_take(cache, read->call, read->key->page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    status = FMM_MISS;
    if (fmm_page_find(&hold.page, read->key, &found)) {
        bool gone = fmm_read_gone(cache, &found.entry, read->call->now_ms);
        fmm_entry_lease(&found.entry, read->lease);
        fmm_page_describe(&hold.page, &found, cache->created_ms,
                          read->call->now_ms, read->meta);
        status = gone ? FMM_MISS : FMM_OK;
    }
    fmm_hold_release(&hold);
    return status;
}

/* The lease of a key, in any state, and its entry. FMM_OK: it has a live
 * value. */
static enum fmm_status
look(struct fmm_cache *cache, const struct fmm_call *call,
     const struct fmm_key *key, struct fmm_lease *lease, struct fmm_meta *meta)
{
    const struct fmm_read read = {
        .call = call, .key = key, .meta = meta, .lease = lease};
    if (FMM_UNLIKELY(fmm_file_retired(cache))) {
        return FMM_RETIRED;
    }
    *lease = no_lease;
    enum fmm_status status = fmm_read_entry(cache, &read);
    return FMM_UNLIKELY(status == FMM_BUSY) ? read_locked(cache, &read)
                                            : status;
}

static bool
lives(struct fmm_cache *cache, const struct fmm_lease *lease)
{
    return lease->owner == fmm_client_owner(&cache->client) ||
           fmm_client_lives(&cache->client, lease->owner);
}

enum fmm_status
fmm_lease_peek(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_key *key, struct fmm_lease *lease_out,
               uint64_t *since_out)
{
    struct fmm_lease lease;
    struct fmm_meta meta = {.stored_at = call->now_ms};
    enum fmm_status status = look(cache, call, key, &lease, &meta);
    if (status != FMM_OK && status != FMM_MISS) {
        return status;
    }
    if (!fmm_lease_runs(&lease, call->now_ms) || !lives(cache, &lease)) {
        return FMM_MISS;
    }
    lease.pid = fmm_client_pid(&cache->client, lease.owner);
    *lease_out = lease;
    *since_out = meta.stored_at;
    return FMM_OK;
}

/* --------------------------------------------------------------- taking */

static bool
may_take(const struct taking *t, const struct fmm_lease *theirs)
{
    return !fmm_lease_runs(theirs, t->call->now_ms) ||
           (t->dead != 0 && theirs->token == t->dead);
}

/* Put a bare lease in the place of `old` (NULL: none). */
static enum fmm_status
take_bare(const struct taking *t, struct fmm_page *page,
          const struct fmm_found *old)
{
    uint64_t now_ms = t->call->now_ms;
    const struct fmm_store_options store = {.expire_at = t->ours.deadline};
    const struct fmm_entry_source source = {
        t->key, NULL, &store, (uint32_t)fmm_hold_seconds(t->cache, now_ms),
        &t->ours};
    return fmm_hold_insert(page, &source, old, now_ms, t->ticket);
}

static enum fmm_status
take_locked(struct taking *t, struct fmm_page *page)
{
    uint64_t now_ms = t->call->now_ms;
    struct fmm_found old;
    if (!fmm_page_find(page, t->key, &old)) {
        return take_bare(t, page, NULL);
    }
    bool visible = !fmm_read_gone(t->cache, &old.entry, now_ms);
    bool roomy = (old.entry.flags & FMM_ENTRY_LEASE) != 0;
    if (visible && !(t->refresh && roomy)) {
        return FMM_EXISTS;
    }
    fmm_entry_lease(&old.entry, &t->theirs);
    if (!may_take(t, &t->theirs)) {
        return FMM_LEASED;
    }
    if (visible) {
        fmm_entry_set_lease(&old.entry, &t->ours);
        return FMM_OK;
    }
    if (!fmm_entry_bare(&old.entry) &&
        !fmm_read_expired(t->cache, &old.entry, now_ms)) {
        return FMM_STALE; /* a tombstone, which would refuse the value */
    }
    if (old.word & FMM_SLOT_DIRTY) { /* expired, and not yet written back */
        return fmm_leave_hand_out(page, &old, t->ticket);
    }
    return take_bare(t, page, &old);
}

/* As good as random for who does not know the seed, and never 0: the hash of
 * two numbers that no client of the file has had before. Its lowest bit tells
 * locks from computations. */
static uint64_t
make_token(struct taking *t)
{
    uint64_t count =
        atomic_fetch_add_explicit(&t->cache->tokens, 1, memory_order_relaxed);
    const uint64_t numbers[] = {t->ours.owner, count};
    uint64_t token = fmm_hash(t->cache->seed, numbers, sizeof(numbers));
    return fmm_max(token & ~FMM_LEASE_LOCK, FMM_LEASE_LOCK + 1) |
           (t->lock ? FMM_LEASE_LOCK : 0);
}

/* Look, and take it if nobody alive has it. FMM_LEASED: somebody has, or it
 * changed hands since; `t->theirs` lives in the first case only. */
static enum fmm_status
attempt(struct taking *t, bool *lives_out)
{
    struct fmm_hold hold;
    struct fmm_meta ignored;
    enum fmm_status status =
        look(t->cache, t->call, t->key, &t->theirs, &ignored);
    *lives_out = false;
    t->dead = 0;
    if (status == FMM_OK && !t->refresh) {
        return FMM_EXISTS;
    }
    if (fmm_lease_runs(&t->theirs, t->call->now_ms)) {
        if (lives(t->cache, &t->theirs)) {
            *lives_out = true;
            return FMM_LEASED;
        }
        t->dead = t->theirs.token;
    }
    t->ours.token = make_token(t);
    status = fmm_hold_take(t->cache, t->call, t->key->page, &hold);
    if (status == FMM_OK) {
        status = take_locked(t, &hold.page);
        fmm_hold_release(&hold);
    }
    return status;
}

enum fmm_status
fmm_lease_take(struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_key *key,
               const struct fmm_lease_request *request,
               struct fmm_lease *lease_out, struct fmm_ticket *ticket_out)
{
    uint64_t duration_ms = request->duration_ms;
    struct taking t = {.cache = cache,
                       .call = call,
                       .key = key,
                       .refresh = request->refresh,
                       .lock = request->lock,
                       .ours = {.deadline = call->now_ms + duration_ms,
                                .owner = fmm_client_owner(&cache->client)},
                       .ticket = ticket_out};
    enum fmm_status status = FMM_LEASED;
    bool alive = false;
    if (duration_ms == 0 || duration_ms > FMM_LEASE_MS_MAX) {
        return FMM_ERR_ARGUMENT;
    }
    if (t.ours.owner == 0) {
        return fmm_client_refusal(&cache->client);
    }
    for (int i = 0; i < TAKE_TRIES && status == FMM_LEASED && !alive; i++) {
        status = attempt(&t, &alive);
    }
    if (status == FMM_LEASED) {
        t.theirs.pid = fmm_client_pid(&cache->client, t.theirs.owner);
    }
    if (status == FMM_OK || status == FMM_LEASED) {
        *lease_out = status == FMM_OK ? t.ours : t.theirs;
    }
    return status;
}

/* ------------------------------------------- storing, extending, ending */

/* The key's entry, if the lease in it is that of the token. */
static bool
find_own(const struct fmm_page *page, const struct fmm_key *key,
         uint64_t token, struct fmm_found *out)
{
    struct fmm_lease lease;
    if (token == 0 || !fmm_page_find(page, key, out)) {
        return false;
    }
    fmm_entry_lease(&out->entry, &lease);
    return lease.token == token;
}

static enum fmm_status
store_locked(struct fmm_hold *hold, const struct fmm_call *call,
             const struct fmm_entry_source *source, uint64_t token,
             struct fmm_ticket *ticket)
{
    struct fmm_found old;
    if (!find_own(&hold->page, source->key, token, &old)) {
        return FMM_MISS;
    }
    bool live = !fmm_entry_bare(&old.entry) &&
                !fmm_read_expired(hold->cache, &old.entry, call->now_ms);
    enum fmm_status status =
        fmm_insert_allowed(live ? &old : NULL, source->store);
    return status == FMM_OK ? fmm_hold_insert(&hold->page, source, &old,
                                              call->now_ms, ticket)
                            : status;
}

enum fmm_status
fmm_lease_value(struct fmm_cache *cache, const struct fmm_call *call,
                const struct fmm_key *key, const struct fmm_value *value,
                const struct fmm_lease_store *store,
                struct fmm_ticket *ticket_out)
{
    const struct fmm_entry_source source = {
        key, value, &store->store,
        (uint32_t)fmm_hold_seconds(cache, call->now_ms),
        store->leasable ? &no_lease : NULL};
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take(cache, call, key->page, &hold);
    if (status == FMM_OK) {
        status = store_locked(&hold, call, &source, store->token, ticket_out);
        fmm_hold_release(&hold);
    }
    return fmm_hold_count_store(cache, key, status);
}

static void
end_found(const struct fmm_page *page, const struct fmm_found *found)
{
    if (fmm_entry_bare(&found->entry)) {
        fmm_page_clear_slot(page, found);
    }
    else {
        fmm_entry_end_lease(&found->entry);
    }
}

static enum fmm_status
release_locked(const struct fmm_page *page, const struct fmm_key *key,
               uint64_t token)
{
    struct fmm_found found;
    if (!find_own(page, key, token, &found)) {
        return FMM_MISS;
    }
    end_found(page, &found);
    return FMM_OK;
}

void
fmm_lease_void_locked(const struct fmm_guard *guard, const struct fmm_key *key)
{
    struct fmm_lease lease = no_lease;
    struct fmm_found found;
    struct fmm_page page;
    fmm_hold_view(guard, &page);
    if (fmm_page_find(&page, key, &found)) {
        fmm_entry_lease(&found.entry, &lease);
    }
    if (lease.token != 0 && (lease.token & FMM_LEASE_LOCK) == 0) {
        end_found(&page, &found);
    }
}

/* End it where it was found. The bytes may be those of another entry by now:
 * then they are not the token, which is random, and nothing is written. */
static bool
swap_token(fmm_word64 *place, uint64_t token)
{
    return atomic_compare_exchange_strong_explicit(
        place, &token, 0, memory_order_seq_cst, memory_order_relaxed);
}

/* End a lease while others, or this very thread, have its page.
 *
 * The entry is found as a reader finds it, and its token taken away by one
 * compare-and-swap. What may happen to it meanwhile:
 *
 * - Another entry takes its place, or its slot is cleared: the lease ended by
 *   that, and the word that is changed belongs to nobody.
 * - It is taken over, past its deadline: the token is another, and stays.
 * - It is extended: that changes another word.
 * - It moves. The mover copies it, lets the slot name the copy, and then looks
 *   at the token of the old one again (fmm_entry_follow_lease); here the token
 *   is taken away, and then the key is looked up again. Between the two steps
 *   of each there is a full fence, so that one of them sees what the other did:
 *   the mover the 0, or this loop the copy. tests/model tries all orders.
 *
 * A mover that is killed between its two steps does not look again: for that
 * one the caller is not sure. */
static enum fmm_status
end_unlocked(struct fmm_cache *cache, const struct fmm_call *call,
             const struct fmm_key *key, uint64_t token)
{
    struct fmm_lease lease;
    struct fmm_meta ignored;
    fmm_word64 *place = NULL;
    const struct fmm_read read = {.call = call,
                                  .key = key,
                                  .meta = &ignored,
                                  .lease = &lease,
                                  .token = &place};
    bool ended = false;
    if (token == 0) {
        return FMM_MISS;
    }
    for (int i = 0; i < END_TRIES; i++) {
        lease = no_lease;
        enum fmm_status status = fmm_read_entry(cache, &read);
        if (status == FMM_BUSY) {
            continue;
        }
        if (lease.token != token) {
            return ended ? FMM_OK : FMM_MISS;
        }
        ended = swap_token(place, token) || ended;
        atomic_thread_fence(memory_order_seq_cst);
    }
    return ended ? FMM_OK : FMM_BUSY;
}

enum fmm_status
fmm_lease_release(struct fmm_cache *cache, const struct fmm_call *call,
                  const struct fmm_key *key, uint64_t token, bool *sure_out)
{
    const struct fmm_call once = {.now_ms = call->now_ms};
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take(cache, &once, key->page, &hold);
    *sure_out = status != FMM_BUSY;
    if (status == FMM_OK) {
        status = release_locked(&hold.page, key, token);
        fmm_hold_release(&hold);
    }
    return status == FMM_BUSY ? end_unlocked(cache, call, key, token) : status;
}

static enum fmm_status
extend_locked(const struct fmm_page *page, const struct fmm_key *key,
              uint64_t token, uint64_t deadline)
{
    struct fmm_found found;
    if (!find_own(page, key, token, &found)) {
        return FMM_MISS;
    }
    if (fmm_entry_bare(&found.entry)) {
        fmm_entry_set_expiry(&found.entry, deadline);
    }
    fmm_entry_set_deadline(&found.entry, deadline);
    return FMM_OK;
}

enum fmm_status
fmm_lease_extend(struct fmm_cache *cache, const struct fmm_call *call,
                 const struct fmm_key *key, uint64_t token,
                 uint64_t duration_ms)
{
    struct fmm_hold hold;
    if (duration_ms == 0 || duration_ms > FMM_LEASE_MS_MAX) {
        return FMM_ERR_ARGUMENT;
    }
    enum fmm_status status = fmm_hold_take(cache, call, key->page, &hold);
    if (status == FMM_OK) {
        uint64_t deadline = call->now_ms + duration_ms;
        status = extend_locked(&hold.page, key, token, deadline);
        fmm_hold_release(&hold);
    }
    return status;
}
