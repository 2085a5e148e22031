/* Who tells the user's store of a key: one at a time, in all processes. See
 * fmm.h. */
#include "fmm.h"

#include "fmm_file.h"
#include "fmm_lock.h"
#include "fmm_turn_lock.h"

#define SEVERAL UINT64_MAX /* keys that are told in one another */

enum fmm_status
fmm_turn_take(struct fmm_cache *cache, const struct fmm_call *call,
              uint64_t hash, struct fmm_turn *writer_out)
{
    struct fmm_turn_lock *lock = fmm_turn_lock_of(cache->header, hash);
    struct fmm_lock_result ignored;
    uint64_t owner = fmm_client_owner(&cache->client);
    if (fmm_file_retired(cache) || owner == 0) {
        return fmm_client_refusal(&cache->client);
    }
    enum fmm_status status = fmm_lock_take(&lock->word, owner, &cache->client,
                                           call->wait_ms, &ignored);
    if (status != FMM_OK) {
        return status;
    }
    /* Whoever replaces the file sets the mark while it has all locks: who has
     * got one of them after that sees the mark. */
    if (fmm_file_retired(cache)) {
        fmm_lock_release(&lock->word, owner);
        return FMM_RETIRED;
    }
    fmm_turn_lock_note(lock, 0); /* what one who died was at */
    *writer_out = (struct fmm_turn){.owner = owner, .hash = hash};
    return FMM_OK;
}

static bool
has(struct fmm_cache *cache, const struct fmm_turn *writer)
{
    return writer->owner != 0 &&
           writer->owner == fmm_client_owner(&cache->client);
}

static uint64_t
noted(const struct fmm_cache *cache, uint64_t hash)
{
    return atomic_load_explicit(&fmm_turn_lock_of(cache->header, hash)->hash,
                                memory_order_relaxed);
}

uint64_t
fmm_turn_note(struct fmm_cache *cache, const struct fmm_turn *writer,
              uint64_t hash)
{
    uint64_t before = noted(cache, hash);
    bool alone = before == 0 || before == hash;
    if (has(cache, writer)) {
        fmm_turn_lock_note(fmm_turn_lock_of(cache->header, hash),
                           alone ? hash : SEVERAL);
    }
    return before;
}

bool
fmm_turn_is_at(const struct fmm_cache *cache, uint64_t hash)
{
    return noted(cache, hash) == hash;
}

bool
fmm_turn_may_be_at(const struct fmm_cache *cache, uint64_t hash)
{
    uint64_t at = noted(cache, hash);
    return at == hash || at == SEVERAL;
}

bool
fmm_turn_shared(uint64_t hash, uint64_t other)
{
    return fmm_turn_lock_shared(hash, other);
}

uint64_t
fmm_turn_bit(uint64_t hash)
{
    return fmm_turn_lock_bit(hash);
}

void
fmm_turn_leave(struct fmm_cache *cache, const struct fmm_turn *writer,
               uint64_t before)
{
    if (has(cache, writer)) {
        fmm_turn_lock_note(fmm_turn_lock_of(cache->header, writer->hash),
                           before);
        atomic_thread_fence(memory_order_seq_cst);
    }
}

bool
fmm_turn_release(struct fmm_cache *cache, struct fmm_turn *writer)
{
    struct fmm_turn_lock *lock = fmm_turn_lock_of(cache->header, writer->hash);
    bool held = has(cache, writer);
    if (held) {
        fmm_turn_lock_note(lock, 0);
        held = fmm_lock_release(&lock->word, writer->owner);
    }
    writer->owner = 0;
    return held;
}
