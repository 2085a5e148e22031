/* Leases, as fastmmap.single_flight uses them. */
#include "py_args.h"
#include "py_methods.h"
#include "py_store.h"
#include "py_tags.h"

struct lease_op {
    struct op op;
    struct fmm_lease_request request;
    struct fmm_lease lease;
    struct fmm_ticket ticket;
};

/* ------------------------------------------------------------------ taking */

static enum fmm_status
run_take(struct fmm_cache *cache, struct op *op)
{
    struct lease_op *l = (struct lease_op *)op;
    op_hash(cache, op);
    return fmm_lease_take(cache, &op->call, &op->key, &l->request, &l->lease,
                          &l->ticket);
}

/* The word for an outcome, and what goes with it: the token, or who has it. */
static PyObject *
outcome_of(const struct lease_op *l, int status)
{
    switch (status) {
    case FMM_OK:
        return Py_BuildValue("sK", "taken",
                             (unsigned long long)l->lease.token);
    case FMM_LEASED:
        return Py_BuildValue("sK", "leased",
                             (unsigned long long)fmm_lease_pid(&l->lease));
    case FMM_EXISTS:
        return Py_BuildValue("sK", "exists", 0ull);
    default: /* a tombstone, or no room */
        return Py_BuildValue("sK", "refused", 0ull);
    }
}

PyObject *
cache_lease_take(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct lease_op l;
    PyObject *key;
    unsigned long long duration_ms;
    int refresh = 0;
    if (!PyArg_ParseTuple(args, "OK|p:_lease_take", &key, &duration_ms,
                          &refresh) ||
        store_forget_missing(self, key) < 0 ||
        op_set_key(self, key, &l.op.key) < 0 ||
        op_begin_store(self, &l.op) < 0) {
        return NULL;
    }
    l.request = (struct fmm_lease_request){.duration_ms = duration_ms,
                                           .refresh = refresh != 0};
    int status = writeback_call(self, &l.op, run_take, &l.ticket);
    return status < 0 ? NULL : outcome_of(&l, status);
}

/* ----------------------------------------------------------------- looking */

struct peek_op {
    struct op op;
    struct fmm_lease lease;
    uint64_t since_ms;
};

static enum fmm_status
run_peek(struct fmm_cache *cache, struct op *op)
{
    struct peek_op *p = (struct peek_op *)op;
    op_hash(cache, op);
    return fmm_lease_peek(cache, &op->call, &op->key, &p->lease, &p->since_ms);
}

PyObject *
cache_lease_peek(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct peek_op p;
    PyObject *key;
    if (!PyArg_ParseTuple(args, "O:_lease_peek", &key) ||
        op_set_key(self, key, &p.op.key) < 0 || op_begin(self, &p.op) < 0) {
        return NULL;
    }
    int status = op_call(self, &p.op, run_peek);
    if (status < 0) {
        return NULL;
    }
    if (status != FMM_OK) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("Idd", fmm_lease_pid(&p.lease),
                         (double)p.since_ms / 1000.0,
                         (double)p.lease.deadline / 1000.0);
}

/* --------------------------------------------- storing, extending, releasing */

struct compute_op {
    struct store_op store;
    uint64_t token;
    bool leasable;
};

static enum fmm_status
run_compute(struct fmm_cache *cache, struct op *op)
{
    struct compute_op *c = (struct compute_op *)op;
    const struct fmm_lease_store store = {
        .token = c->token, .store = c->store.store, .leasable = c->leasable};
    op_hash(cache, op);
    return fmm_lease_store(cache, &op->call, &op->key, c->store.value, &store,
                           &c->store.ticket);
}

/* Store what is encoded by now, and tell write_cb. */
static int
store_computed(struct cache_object *self, const struct store_request *request,
               struct compute_op *c)
{
    struct store_op *s = &c->store;
    if (op_set_key(self, request->key, &s->op.key) < 0 ||
        op_begin(self, &s->op) < 0 ||
        expiry_resolve(self, &request->expiry, s->op.call.now_ms,
                       self->expire_ms, &s->store.expire_at) < 0) {
        return -1;
    }
    int status = writeback_store_by(self, s, run_compute);
    return status < 0 ? -1 : store_tell(self, request, status, &s->store);
}

PyObject *
cache_lease_store(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct store_request request = {.modseq = NULL};
    struct compute_op c = {.store = {.store = {.dirty = self->write_back}}};
    struct encoded encoded;
    PyObject *tags = NULL;
    unsigned long long token;
    int leasable = 0;
    if (!PyArg_ParseTuple(args, "OOK|OpO!:_lease_store", &request.key,
                          &request.value, &token, &request.expiry.time,
                          &leasable, &PyBytes_Type, &tags) ||
        value_encode(self, request.value, &encoded) < 0) {
        return NULL;
    }
    if (tags != NULL) {
        tags_put(tags, &c.store.store);
    }
    c.store.value = &encoded.value;
    c.store.key = request.key;
    c.store.object = request.value;
    c.token = token;
    c.leasable = leasable != 0;
    int status = store_computed(self, &request, &c);
    value_free(&encoded);
    return status < 0 ? NULL : PyBool_FromLong(status == FMM_OK);
}

static enum fmm_status
run_release(struct fmm_cache *cache, struct op *op)
{
    bool sure;
    op_hash(cache, op);
    return fmm_lease_release(cache, &op->call, &op->key,
                             ((struct lease_op *)op)->lease.token, &sure);
}

PyObject *
cache_lease_release(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct lease_op l;
    PyObject *key;
    unsigned long long token;
    if (!PyArg_ParseTuple(args, "OK:_lease_release", &key, &token) ||
        op_set_key(self, key, &l.op.key) < 0 || op_begin(self, &l.op) < 0) {
        return NULL;
    }
    l.lease.token = token;
    int status = op_call(self, &l.op, run_release);
    return status < 0 ? NULL : PyBool_FromLong(status == FMM_OK);
}

static enum fmm_status
run_extend(struct fmm_cache *cache, struct op *op)
{
    struct lease_op *l = (struct lease_op *)op;
    op_hash(cache, op);
    return fmm_lease_extend(cache, &op->call, &op->key, l->lease.token,
                            l->request.duration_ms);
}

PyObject *
cache_lease_extend(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct lease_op l;
    PyObject *key;
    unsigned long long token, duration_ms;
    if (!PyArg_ParseTuple(args, "OKK:_lease_extend", &key, &token,
                          &duration_ms) ||
        op_set_key(self, key, &l.op.key) < 0 || op_begin(self, &l.op) < 0) {
        return NULL;
    }
    l.lease.token = token;
    l.request.duration_ms = duration_ms;
    int status = op_call(self, &l.op, run_extend);
    return status < 0 ? NULL : PyBool_FromLong(status == FMM_OK);
}
