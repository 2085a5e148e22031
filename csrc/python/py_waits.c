/* Who waits for whom: a computation that waits for another says so in the file,
 * for those who may be waiting for it in turn. See fastmmap/crossing.py.
 *
 * An internal entry for each who waits on behalf of a lease: its key is "w" and
 * the token of that lease, plus a small number where several wait; its value is
 * the 8 bytes of the token of the lease that is waited for. It lasts for a moment
 * only, and is renewed. */
#include "py_begin.h"
#include "py_encoded.h"
#include "py_methods.h"
#include "py_writeback.h"

#define NAME_SIZE 9u /* other internal keys have 8 or 20 bytes, or an "n" */

struct wait_op {
    struct store_op store;
    struct fmm_value value;
    struct fmm_meta meta;
    int64_t other;
    unsigned char name[NAME_SIZE];
};

/* Begin an operation on the entry of a token. */
static int
begin(struct cache_object *self, struct wait_op *w, uint64_t token)
{
    struct fmm_key *key = &w->store.op.key;
    w->name[0] = 'w';
    memcpy(w->name + 1, &token, sizeof(token));
    if (op_begin(self->root, &w->store.op) < 0) {
        return -1;
    }
    *key = (struct fmm_key){
        .data = w->name, .len = NAME_SIZE, .kind = FMM_KEY_INTERNAL};
    return 0;
}

static enum fmm_status
run_publish(struct fmm_cache *cache, struct op *op)
{
    struct wait_op *w = (struct wait_op *)op;
    op_hash(cache, op);
    return fmm_set(cache, &op->call, &op->key, &w->value, &w->store.store,
                   &w->store.ticket);
}

METHOD_DOC(cache_wait_publish_doc,
"_wait_publish($self, token, other, ms, /)\n\
--\n\
\n\
Say for so long that the holder of a lease waits for another lease.");

PyObject *
cache_wait_publish(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct wait_op w = {.store.store.mode = FMM_STORE_SET};
    unsigned long long token, other, ms;
    if (!PyArg_ParseTuple(args, "KKK:_wait_publish", &token, &other, &ms) ||
        begin(self, &w, token) < 0) {
        return NULL;
    }
    w.other = (int64_t)other;
    w.value = (struct fmm_value){
        .data = &w.other, .len = sizeof(w.other), .type = VALUE_BYTES};
    w.store.store.expire_at = w.store.op.call.now_ms + ms;
    int status =
        writeback_call(self->root, &w.store.op, run_publish, &w.store.ticket);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static enum fmm_status
run_look(struct fmm_cache *cache, struct op *op)
{
    struct wait_op *w = (struct wait_op *)op;
    op_hash(cache, op);
    return fmm_get(cache, &op->call, &op->key, &w->other, sizeof(w->other),
                   &w->meta);
}

METHOD_DOC(cache_wait_look_doc,
"_wait_look($self, token, /)\n\
--\n\
\n\
Return the token that the holder of a lease waits for, and until when that\n\
is said to be so, ms since 1970; ``None``: it waits for none.");

PyObject *
cache_wait_look(PyObject *object, PyObject *token)
{
    struct cache_object *self = (struct cache_object *)object;
    struct wait_op w = {.other = 0};
    unsigned long long number = PyLong_AsUnsignedLongLong(token);
    if (PyErr_Occurred() || begin(self, &w, number) < 0) {
        return NULL;
    }
    w.store.op.call.count = FMM_NOT_COUNTED;
    int status = op_call(self->root, &w.store.op, run_look);
    if (status < 0) {
        return NULL;
    }
    if (status != FMM_OK || w.meta.type != VALUE_BYTES) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("KK", (unsigned long long)w.other,
                         (unsigned long long)w.meta.expire_at);
}

static enum fmm_status
run_end(struct fmm_cache *cache, struct op *op)
{
    const struct fmm_removal plainly = {.has_modseq = false};
    struct wait_op *w = (struct wait_op *)op;
    op_hash(cache, op);
    return fmm_remove(cache, &op->call, &op->key, &plainly, NULL,
                      &w->store.ticket);
}

METHOD_DOC(cache_wait_end_doc,
"_wait_end($self, token, /)\n\
--\n\
\n\
Say it no longer.");

PyObject *
cache_wait_end(PyObject *object, PyObject *token)
{
    struct cache_object *self = (struct cache_object *)object;
    struct wait_op w = {.other = 0};
    unsigned long long number = PyLong_AsUnsignedLongLong(token);
    if (PyErr_Occurred() || begin(self, &w, number) < 0 ||
        op_call(self->root, &w.store.op, run_end) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
