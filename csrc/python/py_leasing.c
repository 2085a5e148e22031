#include "py_leasing.h"

#include "py_begin.h"
#include "py_missing.h"
#include "py_writeback.h"

#define GLANCE_MS 2

/* ------------------------------------------------------------------ taking */

struct take_op {
    struct op op;
    const struct fmm_lease_request *request;
    struct fmm_lease lease;
    struct fmm_ticket ticket;
};

static enum fmm_status
run_take(struct fmm_cache *cache, struct op *op)
{
    struct take_op *t = (struct take_op *)op;
    op_hash(cache, op);
    return fmm_lease_take(cache, &op->call, &op->key, t->request, &t->lease,
                          &t->ticket);
}

/* Who waits looks again, for as long as it wants to wait: at its page only for
 * as long as an operation of another may take. A lock does so whatever
 * lock_timeout says, which is for those that make one attempt. */
static void
glance(const struct cache_object *self, struct take_op *t)
{
    int64_t longest = self->lock_timeout_ms;
    t->op.quiet = longest < 0 || (t->request->lock && longest > GLANCE_MS);
    if (t->op.quiet) {
        t->op.timeout_ms = GLANCE_MS;
    }
}

/* Note what was taken: nothing that can fail. */
static void
note(struct cache_object *self, struct holding *holding,
     const struct take_op *t)
{
    struct mapping *map = t->op.pinned;
    holding->map = map != NULL ? map : mapping_pin(self->root->map);
    holding->key = t->op.key;
    holding->token = t->lease.token;
    holding->forks = fmm_forks();
    holding->duration_ms = t->request->duration_ms;
}

/* Ask for it once. Returns as holding_take(), but FMM_BUSY for a page that
 * somebody has. */
static int
take_once(struct cache_object *self, struct holding *holding,
          struct take_op *t)
{
    if (op_set_key(self, holding->name, &t->op.key) < 0 ||
        op_begin(self, &t->op) < 0) {
        return -1;
    }
    t->op.pin = true;
    glance(self, t);
    return writeback_call(self, &t->op, run_take, &t->ticket);
}

/* The same. The mark that read_cb found nothing is no value: where it is in
 * the way, it goes first. */
static int
take(struct cache_object *self, struct holding *holding, struct take_op *t)
{
    if (t->request->refresh && missing_forget(self, holding->name) < 0) {
        return -1;
    }
    int status = take_once(self, holding, t);
    if (status == FMM_EXISTS) {
        int forgotten = missing_forget(self, holding->name);
        if (forgotten != 0) {
            return forgotten < 0 ? -1 : take_once(self, holding, t);
        }
    }
    return status;
}

int
holding_take(struct cache_object *self, struct holding *holding,
             const struct fmm_lease_request *request, struct fmm_lease *theirs)
{
    struct take_op t = {.request = request};
    holding_confirm(self->state);
    int status = take(self, holding, &t);
    if (status < 0) {
        return -1;
    }
    if (status != FMM_OK) {
        *theirs = t.lease;
        return status == FMM_BUSY ? FMM_LEASED : status;
    }
    note(self, holding, &t);
    if (op_refuse_damaged(self->root, holding->map) < 0) {
        holding_release(self->state, holding);
        return -1;
    }
    return FMM_OK;
}

bool
holding_lasts(const struct cache_object *self, const struct holding *holding)
{
    const struct fmm_call call = {.now_ms = op_now(self)};
    struct fmm_lease lease = {.token = 0};
    uint64_t since;
    enum fmm_status status = fmm_lease_peek(holding->map->cache, &call,
                                            &holding->key, &lease, &since);
    return status == FMM_OK && lease.token == holding->token;
}

/* --------------------------------------------------------------- extending */

struct extend_op {
    struct op op;
    uint64_t token, duration_ms;
};

static enum fmm_status
run_extend(struct fmm_cache *cache, struct op *op)
{
    const struct extend_op *e = (const struct extend_op *)op;
    op_hash(cache, op);
    return fmm_lease_extend(cache, &op->call, &op->key, e->token,
                            e->duration_ms);
}

int
holding_extend(struct cache_object *self, const struct holding *holding,
               uint64_t duration_ms)
{
    struct extend_op e = {.token = holding->token, .duration_ms = duration_ms};
    PyObject *name = Py_NewRef(holding->name); /* it may be freed meanwhile */
    int status = -1;
    if (op_set_key(self, name, &e.op.key) == 0 && op_begin(self, &e.op) == 0) {
        status = op_call(self, &e.op, run_extend);
    }
    Py_DECREF(name);
    return status;
}
