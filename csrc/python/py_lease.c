/* The type _core.Lease: the right to compute the value of a key, for as long
 * as a block runs. It is what get_or_set() and memoize() are made of. */
#include "py_lease.h"

#include "py_args.h"
#include "py_begin.h"
#include "py_holding.h"
#include "py_leasing.h"
#include "py_methods.h"
#include "py_store.h"
#include "py_tags.h"

#include <structmember.h>

struct lease_object {
    PyObject_HEAD struct cache_object *cache; /* owned; NULL before __init__ */
    PyObject *key;
    struct holding *holding; /* NULL: nothing was taken */
    uint64_t duration_ms;
    char running; /* inside its block */
};

static struct lease_object *
lease_of(PyObject *object)
{
    return (struct lease_object *)object;
}

/* ------------------------------------------------------------------ looking */

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

METHOD_DOC(cache_lease_peek_doc,
"_lease_peek($self, key, /)\n\
--\n\
\n\
Return who has the lease of a key: the id of the process, when it was taken,\n\
in whole seconds since 1970, and when it ends, in seconds. None: nobody has.");

PyObject *
cache_lease_peek(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct peek_op p;
    PyObject *key;
    holding_confirm(self->state);
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
    return Py_BuildValue("Idd", p.lease.pid, (double)p.since_ms / 1000.0,
                         (double)p.lease.deadline / 1000.0);
}

/* ------------------------------------------------------------------- taking */

/* An outcome, the process that has it, and the token. */
static PyObject *
take_result(enum lease_outcome outcome, uint32_t pid, uint64_t token)
{
    return Py_BuildValue("iIK", (int)outcome, (unsigned)pid,
                         (unsigned long long)token);
}

/* The same for a lease that was not taken. */
static PyObject *
refusal(int status, const struct fmm_lease *theirs)
{
    switch (status) {
    case FMM_LEASED:
        return take_result(LEASE_LEASED, theirs->pid, theirs->token);
    case FMM_EXISTS:
        return take_result(LEASE_EXISTS, 0, 0);
    default: /* FMM_STALE, FMM_NO_ROOM */
        return take_result(LEASE_REFUSED, 0, 0);
    }
}

static int
require_cache(const struct lease_object *self)
{
    if (self->cache != NULL) {
        return 0;
    }
    PyErr_SetString(PyExc_TypeError, "the lease was not made by __init__()");
    return -1;
}

/* Give back what it holds, if it does; whether that was still there. */
static bool
let_go(struct lease_object *self)
{
    struct holding *holding = self->holding;
    self->holding = NULL;
    if (holding == NULL) {
        return false;
    }
    bool released = holding_release(self->cache->state, holding);
    holding_free(self->cache->state, holding);
    return released;
}

PyDoc_STRVAR(lease_take_doc,
"take($self, refresh=False, /)\n\
--\n\
\n\
Take it, if that is possible now.\n\
\n\
Returns:\n\
    An outcome, the process that has it, and the token that it has:\n\
    LEASE_TAKEN and 0; LEASE_LEASED by another; LEASE_EXISTS, there is a\n\
    value; or LEASE_REFUSED, for none could be stored.");

static PyObject *
lease_take(PyObject *object, PyObject *args)
{
    struct lease_object *self = lease_of(object);
    struct fmm_lease theirs = {.token = 0};
    int refresh = 0;
    if (!PyArg_ParseTuple(args, "|p:take", &refresh) ||
        require_cache(self) < 0) {
        return NULL;
    }
    const struct fmm_lease_request request = {.duration_ms = self->duration_ms,
                                              .refresh = refresh != 0};
    struct holding *holding = holding_new(self->key);
    if (holding == NULL) {
        return NULL;
    }
    int status = holding_take(self->cache, holding, &request, &theirs);
    if (status != FMM_OK) {
        holding_free(self->cache->state, holding);
        return status < 0 ? NULL : refusal(status, &theirs);
    }
    let_go(self); /* what another thread took by this very object */
    self->holding = holding;
    return take_result(LEASE_TAKEN, 0, holding->token);
}

/* ------------------------------------------------------------------ storing */

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
    return fmm_lease_value(cache, &op->call, &op->key, c->store.value, &store,
                           &c->store.ticket);
}

/* A value has taken the place of the lease. */
static void
consume(struct lease_object *self, uint64_t token)
{
    struct holding *holding = self->holding;
    if (holding != NULL && holding->token == token) {
        self->holding = NULL;
        holding_drop(holding);
        holding_free(self->cache->state, holding);
    }
}

/* Store what is encoded by now, and tell write_cb. */
static int
store_computed(struct lease_object *self, const struct store_request *request,
               struct compute_op *c)
{
    struct cache_object *cache = self->cache;
    struct store_op *s = &c->store;
    if (op_set_key(cache, request->key, &s->op.key) < 0 ||
        op_begin(cache, &s->op) < 0 ||
        expiry_resolve(cache, &request->expiry, s->op.call.now_ms,
                       cache->expire_ms, &s->store.expire_at) < 0) {
        return -1;
    }
    int status = writeback_store_by(cache, s, run_compute);
    if (status == FMM_OK) {
        consume(self, c->token);
    }
    return status < 0 ? -1 : store_tell(cache, request, status, &s->store);
}

static PyObject *
store_result(int status)
{
    return PyLong_FromLong(status == FMM_OK     ? LEASE_STORED
                           : status == FMM_MISS ? LEASE_LOST
                                                : LEASE_REFUSED);
}

/* The token under which it may store; 0: none. */
static uint64_t
token_of(const struct lease_object *self)
{
    const struct holding *holding = self->holding;
    return holding != NULL && holding_is_mine(holding) ? holding->token : 0;
}

PyDoc_STRVAR(lease_store_doc,
"store($self, value, expire_time=None, leasable=False, tags=b\"\", /)\n\
--\n\
\n\
Store the computed value, which ends it.\n\
\n\
Returns:\n\
    LEASE_STORED; LEASE_LOST: it was gone; LEASE_REFUSED: there is\n\
    no room.");

static PyObject *
lease_store(PyObject *object, PyObject *args)
{
    struct lease_object *self = lease_of(object);
    struct store_request request = {.key = self->key};
    struct compute_op c = {.token = token_of(self)};
    struct encoded encoded;
    PyObject *tags = NULL;
    int leasable = 0;
    if (!PyArg_ParseTuple(args, "O|OpO!:store", &request.value,
                          &request.expiry.time, &leasable, &PyBytes_Type,
                          &tags) ||
        require_cache(self) < 0) {
        return NULL;
    }
    if (c.token == 0) {
        return store_result(FMM_MISS);
    }
    if (value_encode(self->cache, request.value, &encoded) < 0) {
        return NULL;
    }
    c.store.store.dirty = self->cache->write_back;
    if (tags != NULL) {
        tags_put(tags, &c.store.store);
    }
    c.store.value = &encoded.value;
    c.store.key = request.key;
    c.store.object = request.value;
    c.leasable = leasable != 0;
    int status = store_computed(self, &request, &c);
    value_free(&encoded);
    return status < 0 ? NULL : store_result(status);
}

/* ------------------------------------------------------------------- ending */

PyDoc_STRVAR(lease_release_doc,
"release($self, /)\n\
--\n\
\n\
Give it back; tell whether it was still there. Waits for nothing.");

static PyObject *
lease_release(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(let_go(lease_of(self)));
}

PyDoc_STRVAR(lease_enter_doc,
"__enter__($self, /)\n\
--\n\
\n\
Begin the block. Takes nothing.");

static PyObject *
lease_enter(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    lease_of(self)->running = 1;
    return Py_NewRef(self);
}

PyDoc_STRVAR(lease_exit_doc,
"__exit__($self, /, *exc_info)\n\
--\n\
\n\
Release it, unless a value replaced it.");

static PyObject *
lease_exit(PyObject *self, PyObject *Py_UNUSED(args))
{
    lease_of(self)->running = 0;
    let_go(lease_of(self));
    Py_RETURN_NONE;
}

/* --------------------------------------------------------------- its life */

static int
lease_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"cache", "key", "ms", NULL};
    struct lease_object *self = lease_of(object);
    struct module_state *state = state_of_type(Py_TYPE(object));
    struct cache_object *cache;
    struct fmm_key key;
    PyObject *name;
    unsigned long long ms;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!OK:Lease", (char **)(uintptr_t)list,
            state->keyspace_type, &cache, &name, &ms) ||
        key_from_object(name, &key) < 0) {
        return -1;
    }
    if (self->cache != NULL) {
        PyErr_SetString(PyExc_TypeError, "it is a lease by now");
        return -1;
    }
    self->cache = (struct cache_object *)Py_NewRef((PyObject *)cache);
    self->key = Py_NewRef(name);
    self->duration_ms = ms;
    return 0;
}

static int
lease_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)lease_of(self)->cache);
    return 0;
}

/* What it holds it gives back, and the cache is needed for that. */
static int
lease_clear(PyObject *object)
{
    struct lease_object *self = lease_of(object);
    if (self->cache != NULL) {
        let_go(self);
    }
    Py_CLEAR(self->cache);
    return 0;
}

static void
lease_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    lease_clear(self);
    Py_CLEAR(lease_of(self)->key);
    type->tp_free(self);
    Py_DECREF(type);
}

/* -------------------------------------------------------------- attributes */

PyDoc_STRVAR(lease_get_token_doc,
"What tells it from other leases; ``None`` when it holds nothing.");

static PyObject *
lease_get_token(PyObject *self, void *Py_UNUSED(closure))
{
    uint64_t token = token_of(lease_of(self));
    if (token == 0) {
        Py_RETURN_NONE;
    }
    return PyLong_FromUnsignedLongLong(token);
}

PyDoc_STRVAR(lease_get_inherited_doc,
"Whether a parent of this process holds it, and not this process.");

static PyObject *
lease_get_inherited(PyObject *self, void *Py_UNUSED(closure))
{
    const struct holding *holding = lease_of(self)->holding;
    return PyBool_FromLong(holding != NULL && holding->map != NULL &&
                           !holding_is_mine(holding));
}

static PyGetSetDef lease_attributes[] = {
    {"token", lease_get_token, NULL, lease_get_token_doc, NULL},
    {"inherited", lease_get_inherited, NULL, lease_get_inherited_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(lease_running_doc,
"Whether its block runs.");

PyDoc_STRVAR(lease_key_doc,
"The key.");

PyDoc_STRVAR(lease_cache_doc,
"The cache or namespace.");

static PyMemberDef lease_members[] = {
    {"cache", T_OBJECT_EX, offsetof(struct lease_object, cache), READONLY,
     lease_cache_doc},
    {"key", T_OBJECT_EX, offsetof(struct lease_object, key), READONLY,
     lease_key_doc},
    {"running", T_BOOL, offsetof(struct lease_object, running), READONLY,
     lease_running_doc},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef lease_methods[] = {
    {"take", lease_take, METH_VARARGS, lease_take_doc},
    {"store", lease_store, METH_VARARGS, lease_store_doc},
    {"release", lease_release, METH_NOARGS, lease_release_doc},
    {"__enter__", lease_enter, METH_NOARGS, lease_enter_doc},
    {"__exit__", lease_exit, METH_VARARGS, lease_exit_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(lease_doc,
"Lease(cache, key, ms)\n\
--\n\
\n\
The right to compute the value of a key while a block runs.\n\
\n\
It holds nothing until ``take()``, and nothing after its block, however that\n\
ends. A child that was forked meanwhile holds nothing of it.");

static PyType_Slot lease_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)lease_doc},
    {Py_tp_init, lease_init},
    {Py_tp_traverse, lease_traverse},
    {Py_tp_clear, lease_clear},
    {Py_tp_dealloc, lease_dealloc},
    {Py_tp_methods, lease_methods},
    {Py_tp_members, lease_members},
    {Py_tp_getset, lease_attributes},
    {0, NULL},
};

PyType_Spec lease_spec = {
    .name = "fastmmap._core.Lease",
    .basicsize = sizeof(struct lease_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lease_slots,
};
