#include "py_missing.h"

#include "py_begin.h"
#include "py_encoded.h"

static enum fmm_status
run_forget(struct fmm_cache *cache, struct op *op)
{
    const struct fmm_removal plainly = {.has_modseq = false};
    struct fmm_ticket ticket;
    struct fmm_guard guard;
    struct fmm_meta meta;
    op_hash(cache, op);
    op->call.count = FMM_NOT_COUNTED; /* no read of the user's */
    enum fmm_status status = fmm_exists(cache, &op->call, &op->key, &meta);
    if (status != FMM_OK || meta.type != VALUE_NOT_FOUND) {
        return status == FMM_OK ? FMM_MISS : status;
    }
    status = op_guard_take(cache, op, &guard);
    if (status != FMM_OK) {
        return status;
    }
    status = fmm_get_locked(&guard, &op->call, &op->key, NULL, 0, &meta);
    bool marked = status == FMM_OK && meta.type == VALUE_NOT_FOUND;
    if (marked) {
        fmm_remove_locked(&guard, &op->call, &op->key, &plainly, NULL,
                          &ticket);
    }
    fmm_guard_release(&guard);
    return marked ? FMM_OK : FMM_MISS;
}

int
missing_forget(struct cache_object *self, PyObject *key)
{
    struct op op;
    if (key_from_object(key, &op.key) < 0 || op_begin(self, &op) < 0) {
        return -1;
    }
    int status = op_call(self, &op, run_forget);
    return status < 0 ? -1 : status == FMM_OK;
}
