/* The type _core.Keyspace, the operations on keys that caches have, too, and
 * namespaces made of it. */
#include "py_begin.h"
#include "py_ending.h"
#include "py_methods.h"
#include "py_op.h"

#define DEPTH_MAX 16     /* of namespaces in namespaces; each is a look-up */
#define NAME_MAX_LEN 500 /* bytes; a record fits into the smallest page */

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
    self->share = parent->share;
    self->codec = parent->codec;
    Py_XINCREF(self->codec.dumps);
    Py_XINCREF(self->codec.loads);
    Py_XINCREF(self->codec.compress);
    Py_XINCREF(self->codec.decompress);
    self->path = Py_XNewRef(parent->path);
}

static int
keyspace_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"parent", "name", NULL};
    struct cache_object *self = (struct cache_object *)object;
    struct cache_object *parent;
    PyObject *name;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!U:Keyspace", (char **)(uintptr_t)list,
            self->state->keyspace_type, &parent, &name)) {
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
                     "namespace %.200R: namespaces nest at most %d deep", name,
                     DEPTH_MAX);
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

/* -------------------------------------------------------------- attributes */

static const struct cache_object *
cache_of(PyObject *object)
{
    return (struct cache_object *)object;
}

static const struct fmm_info *
info_of(PyObject *object)
{
    return &cache_of(object)->root->info;
}

PyDoc_STRVAR(get_share_file_doc,
"Absolute path of the file, str.");

static PyObject *
get_share_file(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *path = cache_of(self)->path;
    return Py_NewRef(path != NULL ? path : Py_None);
}

PyDoc_STRVAR(get_cache_size_doc,
"Bytes of all pages together.");

static PyObject *
get_cache_size(PyObject *self, void *Py_UNUSED(closure))
{
    const struct fmm_info *info = info_of(self);
    return PyLong_FromUnsignedLongLong(info->page_size * info->num_pages);
}

PyDoc_STRVAR(get_page_size_doc,
"Bytes of a page.");

static PyObject *
get_page_size(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(info_of(self)->page_size);
}

PyDoc_STRVAR(get_num_pages_doc,
"Number of pages.");

static PyObject *
get_num_pages(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(info_of(self)->num_pages);
}

PyDoc_STRVAR(get_serializer_doc,
"Name of the serializer that the file records; \"custom\" for a pair.");

static PyObject *
get_serializer(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(info_of(self)->serializer);
}

PyDoc_STRVAR(get_compressor_doc,
"Name of the compressor that the file records, or ``None``.");

static PyObject *
get_compressor(PyObject *self, void *Py_UNUSED(closure))
{
    const char *name = info_of(self)->compressor;
    return name[0] == '\0' ? Py_NewRef(Py_None) : PyUnicode_FromString(name);
}

PyDoc_STRVAR(get_expire_time_doc,
"Default lifetime in seconds, 0.0 for never; \"now\" when at once.");

static PyObject *
get_expire_time(PyObject *self, void *Py_UNUSED(closure))
{
    int64_t ms = cache_of(self)->expire_ms;
    if (ms == 0) {
        return PyUnicode_FromString("now");
    }
    return PyFloat_FromDouble(ms < 0 ? 0.0 : (double)ms / 1000.0);
}

PyDoc_STRVAR(get_closed_doc,
"Whether ``close()`` was called.");

static PyObject *
get_closed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(cache_of(self)->root->map == NULL);
}

PyDoc_STRVAR(get_created_doc,
"Whether this object made the file.");

static PyObject *
get_created(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(info_of(self)->created);
}

static PyGetSetDef keyspace_attributes[] = {
    {"share_file", get_share_file, NULL, get_share_file_doc, NULL},
    {"cache_size", get_cache_size, NULL, get_cache_size_doc, NULL},
    {"page_size", get_page_size, NULL, get_page_size_doc, NULL},
    {"num_pages", get_num_pages, NULL, get_num_pages_doc, NULL},
    {"serializer", get_serializer, NULL, get_serializer_doc, NULL},
    {"compressor", get_compressor, NULL, get_compressor_doc, NULL},
    {"expire_time", get_expire_time, NULL, get_expire_time_doc, NULL},
    {"closed", get_closed, NULL, get_closed_doc, NULL},
    {"_created", get_created, NULL, get_created_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---------------------------------------------------------------- the type */

static void
locate_space(const struct fmm_cache *cache, struct ending *e)
{
    op_hash(cache, &e->op);
}

PyDoc_STRVAR(keyspace_clear_doc,
"clear($self, /)\n\
--\n\
\n\
Drop everything in the namespace, at once, however much it is.\n\
\n\
This includes values being stored or computed by calls that began before.\n\
The space is reclaimed when needed.\n\
\n\
Returns:\n\
    None.");

static PyObject *
keyspace_clear(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct cache_object *self = (struct cache_object *)object;
    struct ending e = {.locate = locate_space};
    if (self->parent == NULL) {
        cache_raise_closed(self);
        return NULL;
    }
    e.op.key = (struct fmm_key){
        .data = PyBytes_AS_STRING(self->record),
        .len = (size_t)PyBytes_GET_SIZE(self->record),
        .kind = FMM_KEY_INTERNAL,
    };
    if (op_begin(self->parent, &e.op) < 0 || ending_call(self, &e) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(keyspace_scope_doc,
"_scope($self, /)\n\
--\n\
\n\
Return the scope of the keys in the namespace, for now; 0 of a cache.");

static PyObject *
keyspace_scope(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct op op;
    if (op_begin((struct cache_object *)object, &op) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(op.key.scope);
}

static int
keyspace_ass_subscript(PyObject *object, PyObject *key, PyObject *value)
{
    struct cache_object *self = (struct cache_object *)object;
    return value != NULL ? cache_assign(self, key, value)
                         : cache_delete(self, key);
}

static PyMethodDef keyspace_methods[] = {
    FAST_METHOD(get),
    FAST_METHOD(get_entry),
    FAST_METHOD(get_many),
    FAST_METHOD(get_or_set),
    FAST_METHOD(multi_get),
    FAST_METHOD(exists),
    FAST_METHOD(ttl),
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
    {"clear", keyspace_clear, METH_NOARGS, keyspace_clear_doc},
    {"invalidate_tag", cache_invalidate_tag, METH_O, cache_invalidate_tag_doc},
    {"_read_tags", cache_read_tags, METH_O, cache_read_tags_doc},
    {"_scan", cache_scan, METH_O, cache_scan_doc},
    {"_scope", keyspace_scope, METH_NOARGS, keyspace_scope_doc},
    {"_find", (PyCFunction)(void (*)(void))cache_find,
     METH_FASTCALL | METH_KEYWORDS, cache_find_doc},
    {"_lease_peek", cache_lease_peek, METH_VARARGS, cache_lease_peek_doc},
    {"_wait_publish", cache_wait_publish, METH_VARARGS,
     cache_wait_publish_doc},
    {"_wait_look", cache_wait_look, METH_O, cache_wait_look_doc},
    {"_wait_end", cache_wait_end, METH_O, cache_wait_end_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(keyspace_doc,
"Keyspace(parent, name)\n\
--\n\
\n\
The operations on keys: the base of caches and of ``fastmmap.Namespace``.\n\
\n\
`parent` is a cache or a namespace, `name` a str.");

static PyType_Slot keyspace_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)keyspace_doc},
    {Py_tp_new, cache_new},
    {Py_tp_init, keyspace_init},
    {Py_tp_traverse, cache_traverse},
    {Py_tp_clear, cache_clear_references},
    {Py_tp_dealloc, cache_dealloc},
    {Py_tp_methods, keyspace_methods},
    {Py_tp_getset, keyspace_attributes},
    {Py_tp_iter, cache_iter},
    {Py_mp_length, cache_length},
    {Py_mp_subscript, cache_subscript},
    {Py_mp_ass_subscript, keyspace_ass_subscript},
    {Py_sq_contains, cache_contains},
    {0, NULL},
};

PyType_Spec keyspace_spec = {
    .name = "fastmmap._core.Keyspace",
    .basicsize = sizeof(struct cache_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = keyspace_slots,
};
