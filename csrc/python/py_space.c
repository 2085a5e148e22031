/* Namespaces: the type _core.Keyspace, the operations on keys that caches
 * have, too, and how a namespace finds the generation that its keys are in. */
#include "py_space.h"

#include "py_methods.h"
#include "py_writeback.h"

#define DEPTH_MAX 16     /* of namespaces in namespaces; each is a look-up */
#define NAME_MAX_LEN 500 /* bytes; a record fits into the smallest page */

/* ------------------------------------------------------------- generations */

struct space_op {
    struct op op;
    const struct cache_object *space;
    bool make;
    struct fmm_ticket ticket;
};

/* The generation of a namespace, by way of those that it is in. The key of
 * the op becomes that of the record, whose page may have to be waited for. */
static enum fmm_status
resolve(struct fmm_cache *cache, struct space_op *s,
        const struct cache_object *space, uint64_t *generation)
{
    struct fmm_key *key = &s->op.key;
    uint64_t scope = 0;
    if (space->parent->parent != NULL) {
        enum fmm_status status = resolve(cache, s, space->parent, &scope);
        if (status != FMM_OK) {
            return status;
        }
    }
    *key = (struct fmm_key){
        .data = PyBytes_AS_STRING(space->record),
        .len = (size_t)PyBytes_GET_SIZE(space->record),
        .scope = scope,
        .kind = FMM_KEY_INTERNAL,
    };
    fmm_key_hash(cache, key);
    return s->make ? fmm_group_make(cache, &s->op.call, key, generation,
                                    &s->ticket)
                   : fmm_group_find(cache, &s->op.call, key, generation);
}

static enum fmm_status
run_space(struct fmm_cache *cache, struct op *op)
{
    struct space_op *s = (struct space_op *)op;
    uint64_t generation;
    enum fmm_status status = resolve(cache, s, s->space, &generation);
    if (status == FMM_OK) {
        op->key.scope = generation;
    }
    return status;
}

/* It is a part of the key, whose hash is another from now on. */
static void
set_scope(struct op *op, uint64_t scope)
{
    op->key.scope = scope;
    op->key.hashed_by = 0;
}

NOINLINE int
space_find(struct cache_object *self, struct op *op)
{
    struct space_op s = {.op = *op, .space = self};
    int status = op_call(self, &s.op, run_space);
    set_scope(op, status == FMM_OK ? s.op.key.scope : SPACE_NONE);
    return status < 0 ? -1 : 0;
}

int
space_raise_no_room(const struct cache_object *self)
{
    PyErr_Format(self->state->error,
                 "%U: no room for the record of a namespace or tag: changed "
                 "values fill its page, and write_cb does not take them",
                 self->path);
    return -1;
}

int
space_make(struct cache_object *self, struct op *op)
{
    struct space_op s = {.op = *op, .space = self, .make = true};
    int status = writeback_call(self, &s.op, run_space, &s.ticket);
    if (status != FMM_OK) {
        return status < 0 ? -1 : space_raise_no_room(self);
    }
    set_scope(op, s.op.key.scope);
    return 0;
}

static enum fmm_status
run_end(struct fmm_cache *cache, struct op *op)
{
    op_hash(cache, op);
    return fmm_group_end(cache, &op->call, &op->key);
}

PyDoc_STRVAR(space_clear_doc,
"clear($self, /)\n\
--\n\
\n\
Drop everything in the namespace, at once and however much it is.\n\
\n\
What is being stored or computed meanwhile is dropped, too, if it began\n\
before. The space is reclaimed when others need it.\n\
\n\
Returns:\n\
    None.");

/* End the generation. Where there is none, there is nothing to end. */
static PyObject *
space_clear(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct cache_object *self = (struct cache_object *)object;
    struct op op;
    if (self->parent == NULL) {
        cache_raise_closed(self);
        return NULL;
    }
    op.key = (struct fmm_key){
        .data = PyBytes_AS_STRING(self->record),
        .len = (size_t)PyBytes_GET_SIZE(self->record),
        .kind = FMM_KEY_INTERNAL,
    };
    if (op_begin(self->parent, &op) < 0 || op_call(self, &op, run_end) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ making */

static int
depth_of(const struct cache_object *space)
{
    int depth = 0;
    for (; space->parent != NULL; space = space->parent) {
        depth++;
    }
    return depth;
}

/* "n" and the name: the records of tags are found by 8 bytes, of which none
 * that is as long begins so but by a chance of one in 2**64. */
static PyObject *
record_of_name(PyObject *name)
{
    PyObject *record = PyBytes_FromString("n");
    PyObject *bytes = PyUnicode_AsUTF8String(name);
    if (bytes != NULL && PyBytes_GET_SIZE(bytes) > NAME_MAX_LEN) {
        PyErr_Format(PyExc_ValueError,
                     "the name of a namespace has %zd bytes: at most %d are "
                     "possible",
                     PyBytes_GET_SIZE(bytes), NAME_MAX_LEN);
        Py_CLEAR(bytes);
    }
    if (record != NULL && bytes != NULL) {
        PyBytes_Concat(&record, bytes);
    }
    else {
        Py_CLEAR(record);
    }
    Py_XDECREF(bytes);
    return record;
}

/* How values are stored and for how long is as in the parent. */
static void
inherit(struct cache_object *self, const struct cache_object *parent)
{
    self->lock_timeout_ms = parent->lock_timeout_ms;
    self->expire_ms = parent->expire_ms;
    self->tombstone_ms = parent->tombstone_ms;
    self->enable_stats = parent->enable_stats;
    self->sigbus_guard = parent->sigbus_guard;
    self->codec = parent->codec;
    Py_XINCREF(self->codec.dumps);
    Py_XINCREF(self->codec.loads);
    Py_XINCREF(self->codec.compress);
    Py_XINCREF(self->codec.decompress);
    self->path = Py_XNewRef(parent->path);
}

static int
space_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"parent", "name", NULL};
    struct cache_object *self = (struct cache_object *)object;
    struct cache_object *parent;
    PyObject *name;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!U:Keyspace", (char **)(uintptr_t)list,
            self->state->space_type, &parent, &name)) {
        return -1;
    }
    if (self->path != NULL ||
        PyObject_TypeCheck(object, self->state->cache_type)) {
        PyErr_SetString(PyExc_TypeError, "it is a namespace or cache by now");
        return -1;
    }
    if (parent->path == NULL) { /* itself, say */
        cache_raise_closed(parent);
        return -1;
    }
    if (depth_of(parent) >= DEPTH_MAX) {
        PyErr_Format(PyExc_ValueError,
                     "namespace %.200R: at most %d may be in one another",
                     name, DEPTH_MAX);
        return -1;
    }
    self->record = record_of_name(name);
    if (self->record == NULL) {
        return -1;
    }
    inherit(self, parent);
    self->parent = (struct cache_object *)Py_NewRef((PyObject *)parent);
    self->root = parent->root;
    return 0;
}

/* ---------------------------------------------------------------- the type */

static int
space_ass_subscript(PyObject *object, PyObject *key, PyObject *value)
{
    struct cache_object *self = (struct cache_object *)object;
    return value != NULL ? cache_assign(self, key, value)
                         : cache_delete(self, key);
}

static PyMethodDef space_methods[] = {
    FAST_METHOD(get),
    FAST_METHOD(get_entry),
    FAST_METHOD(get_many),
    FAST_METHOD(multi_get),
    FAST_METHOD(exists),
    FAST_METHOD(set),
    FAST_METHOD(add),
    FAST_METHOD(replace),
    FAST_METHOD(set_many),
    FAST_METHOD(multi_set),
    FAST_METHOD(setdefault),
    FAST_METHOD(incr),
    FAST_METHOD(decr),
    FAST_METHOD(touch),
    FAST_METHOD(remove),
    FAST_METHOD(get_and_remove),
    FAST_METHOD(pop),
    FAST_METHOD(delete_many),
    FAST_METHOD(expire),
    FAST_METHOD(get_and_set),
    FAST_METHOD(lock),
    {"clear", space_clear, METH_NOARGS, space_clear_doc},
    {"invalidate_tag", cache_invalidate_tag, METH_O, cache_invalidate_tag_doc},
    {"_read_tags", cache_read_tags, METH_O, cache_read_tags_doc},
    {"_scan", cache_scan, METH_O, cache_scan_doc},
    {"_find", (PyCFunction)(void (*)(void))cache_find,
     METH_FASTCALL | METH_KEYWORDS, cache_find_doc},
    {"_lease_peek", cache_lease_peek, METH_VARARGS, cache_lease_peek_doc},
    {"_wait_publish", cache_wait_publish, METH_VARARGS,
     cache_wait_publish_doc},
    {"_wait_look", cache_wait_look, METH_O, cache_wait_look_doc},
    {"_wait_end", cache_wait_end, METH_O, cache_wait_end_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(space_doc,
"Keyspace(parent, name)\n\
--\n\
\n\
The operations on keys: the base of caches and of ``fastmmap.Namespace``.\n\
\n\
`parent` is a cache or a namespace, `name` a str.");

static PyType_Slot space_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)space_doc},
    {Py_tp_new, cache_new},
    {Py_tp_init, space_init},
    {Py_tp_traverse, cache_traverse},
    {Py_tp_clear, cache_clear_references},
    {Py_tp_dealloc, cache_dealloc},
    {Py_tp_methods, space_methods},
    {Py_tp_getset, cache_attributes},
    {Py_tp_iter, cache_iter},
    {Py_mp_length, cache_length},
    {Py_mp_subscript, cache_subscript},
    {Py_mp_ass_subscript, space_ass_subscript},
    {Py_sq_contains, cache_contains},
    {0, NULL},
};

PyType_Spec space_spec = {
    .name = "fastmmap._core.Keyspace",
    .basicsize = sizeof(struct cache_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = space_slots,
};
