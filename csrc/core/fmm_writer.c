/* Who tells the user's store of a key: one at a time, in all processes. See
 * fmm.h. */
#include "fmm.h"

#include "fmm_file.h"
#include "fmm_lock.h"
#include "fmm_writer_lock.h"

enum fmm_status
fmm_writer_take(struct fmm_cache *cache, const struct fmm_call *call,
                uint64_t hash, struct fmm_writer *writer_out)
{
    struct fmm_writer_lock *lock = fmm_writer_lock_of(cache->header, hash);
    struct fmm_lock_result ignored;
    uint64_t owner = fmm_file_owner(cache);
    if (fmm_file_retired(cache)) {
        return FMM_RETIRED;
    }
    enum fmm_status status =
        fmm_lock_take(&lock->word, owner, call->wait_ms, &ignored);
    if (status != FMM_OK) {
        return status;
    }
    /* The lock before the mark: whoever replaces the file sets the mark before
     * it looks at the locks. So one of the two sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    if (fmm_file_retired(cache)) {
        fmm_lock_release(&lock->word, owner);
        return FMM_RETIRED;
    }
    fmm_writer_lock_note(lock, hash);
    *writer_out = (struct fmm_writer){.owner = owner, .hash = hash};
    return FMM_OK;
}

bool
fmm_writer_is_at(const struct fmm_cache *cache, uint64_t hash)
{
    const struct fmm_writer_lock *lock =
        fmm_writer_lock_of(cache->header, hash);
    return atomic_load_explicit(&lock->hash, memory_order_relaxed) == hash;
}

bool
fmm_writer_shared(uint64_t hash, uint64_t other)
{
    return fmm_writer_lock_shared(hash, other);
}

void
fmm_writer_leave(struct fmm_cache *cache, const struct fmm_writer *writer)
{
    if (writer->owner == fmm_file_owner(cache)) {
        fmm_writer_lock_note(fmm_writer_lock_of(cache->header, writer->hash),
                             0);
        atomic_thread_fence(memory_order_seq_cst);
    }
}

bool
fmm_writer_release(struct fmm_cache *cache, struct fmm_writer *writer)
{
    struct fmm_writer_lock *lock =
        fmm_writer_lock_of(cache->header, writer->hash);
    bool held = writer->owner != 0 && writer->owner == fmm_file_owner(cache);
    if (held) {
        fmm_writer_lock_note(lock, 0);
        held = fmm_lock_release(&lock->word, writer->owner);
    }
    writer->owner = 0;
    return held;
}
