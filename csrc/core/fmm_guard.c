/* The pages that callers hold while they do several things. */
#include "fmm.h"

#include "fmm_hold.h"
#include "fmm_lock.h"

enum fmm_status
fmm_guard_take(struct fmm_cache *cache, const struct fmm_call *call,
               uint32_t page, struct fmm_guard *guard_out)
{
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take(cache, call, page, &hold);
    if (status == FMM_OK) {
        *guard_out = (struct fmm_guard){
            .cache = cache, .owner = hold.owner, .page = page};
    }
    return status;
}

bool
fmm_guard_held(const struct fmm_guard *guard)
{
    return guard->owner != 0 &&
           guard->owner == fmm_client_owner(&guard->cache->client);
}

bool
fmm_guard_retired(const struct fmm_guard *guard)
{
    return fmm_file_retired(guard->cache);
}

bool
fmm_guard_release(struct fmm_guard *guard)
{
    struct fmm_page page;
    bool held = fmm_guard_held(guard);
    if (held) {
        fmm_hold_view(guard, &page);
        held = fmm_lock_release(&page.control->lock, guard->owner);
    }
    guard->owner = 0;
    return held;
}
