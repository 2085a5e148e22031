#include "py_ending.h"

static enum fmm_status
run_end(struct fmm_cache *cache, struct op *op)
{
    struct ending *e = (struct ending *)op;
    e->locate(cache, e);
    return fmm_group_end(cache, &op->call, &op->key,
                         e->without_record ? NULL : &e->ticket);
}

/* What fills the page is written back, but not at any price: other groups may
 * end with this one. */
int
ending_call(struct cache_object *self, struct ending *ending)
{
    ending->without_record = false;
    int status = writeback_call(self, &ending->op, run_end, &ending->ticket);
    if (status == FMM_NO_ROOM) {
        ending->without_record = true;
        status = op_call(self, &ending->op, run_end);
    }
    return status < 0 ? -1 : 0;
}
