/* The type _core.Cache: its life, attributes and slots. */
#include "py_cache.h"

#include "py_error.h"
#include "py_methods.h"
#include "py_section.h"

#include <errno.h>
#include <string.h>

/* ----------------------------------------------------------- the open file */

int
cache_raise_closed(const struct cache_object *self)
{
    PyErr_Format(self->state->closed_error, "%V: the cache is closed",
                 self->path, "no file"); /* before __init__ */
    return -1;
}

void
cache_detach(struct cache_object *self)
{
    struct mapping *map = self->map;
    self->map = NULL;
    if (map != NULL) {
        mapping_release(map);
    }
}

static void
cache_set_map(struct cache_object *self, struct mapping *map)
{
    cache_detach(self);
    self->map = map;
    self->info = map->info;
    self->told_nameless = false;
}

/* Open the path again. NULL as of mapping_open(). What it takes along is its
 * own: another thread may attach, or open, the object meanwhile. */
static struct mapping *
open_again(const struct cache_object *self, bool must_exist,
           struct fmm_error *error)
{
    const struct fmm_info info = self->info;
    PyObject *path = Py_NewRef(self->path_bytes);
    struct fmm_options options = {
        .path = PyBytes_AS_STRING(path),
        .serializer = info.serializer,
        .compressor = info.compressor,
        .must_exist = must_exist,
        .mode = self->mode,
        .allow_shared = self->allow_shared,
        .allow_network_fs = self->allow_network_fs,
        .sigbus_guard = self->sigbus_guard,
        .inspect = self->inspect,
    };
    if (!must_exist) {
        options.page_size = info.page_size;
        options.num_pages = info.num_pages;
        options.slots = info.slots;
    }
    struct mapping *map = mapping_open(&options, error);
    Py_DECREF(path);
    return map;
}

int
cache_reattach(struct cache_object *self, bool required)
{
    const struct mapping *old = self->map;
    struct fmm_error error;
    struct mapping *map = open_again(self, true, &error);
    if (map == NULL && error.status == FMM_ERR_OS && error.errnum == ENOENT) {
        if (!required) {
            return 0;
        }
        /* Replaced, and what replaced it was removed: make it anew, rather
         * than fail for ever. */
        map = self->inspect ? NULL : open_again(self, false, &error);
    }
    if (map == NULL) {
        return error.status == FMM_OK
                   ? -1
                   : error_raise_open(self->state, &error, self->path);
    }
    if (self->map != old) { /* closed or attached by another thread */
        mapping_release(map);
        return self->map != NULL ? 0 : cache_raise_closed(self);
    }
    cache_set_map(self, map);
    return 0;
}

/* ----------------------------------------------------------------- opening */

PyObject *
cache_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
          PyObject *Py_UNUSED(kwargs))
{
    struct module_state *state = state_of_type(type);
    struct cache_object *self =
        state != NULL ? (struct cache_object *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->root = self;
    self->forks = fmm_forks();
    self->expire_ms = self->tombstone_ms = self->lock_timeout_ms = -1;
    return (PyObject *)self;
}

/* Parse the arguments of __init__; the strings stay the caller's. */
static int
parse_options(PyObject *args, PyObject *kwargs, PyObject **path,
              struct fmm_options *o)
{
    static const char *const list[] = {
        "path",         "cache_size",   "page_size",
        "num_pages",    "slots",        "entry_size",
        "serializer",   "compressor",   "mode",
        "init_file",    "must_exist",   "sparse",
        "verify",       "allow_shared", "allow_network_fs",
        "sigbus_guard", "inspect",      NULL};
    unsigned long long cache_size = 0, page_size = 0;
    int flags[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "U|$KKIIIzzIpppppppp:Cache",
            (char **)(uintptr_t)list, path, &cache_size, &page_size,
            &o->num_pages, &o->slots, &o->entry_size, &o->serializer,
            &o->compressor, &o->mode, &flags[0], &flags[1], &flags[2],
            &flags[3], &flags[4], &flags[5], &flags[6], &flags[7])) {
        return -1;
    }
    o->cache_size = cache_size;
    o->page_size = page_size;
    o->init_file = flags[0];
    o->must_exist = flags[1];
    o->sparse = flags[2];
    o->verify = flags[3];
    o->allow_shared = flags[4];
    o->allow_network_fs = flags[5];
    o->sigbus_guard = flags[6];
    o->inspect = flags[7];
    return 0;
}

/* The file says how its values are stored; zlib, pickle and raw need no
 * more than its name. */
static void
cache_set_codec(struct cache_object *self)
{
    const char *serializer = self->info.serializer;
    const char *compressor = self->info.compressor;
    self->codec.serializer =
        strcmp(serializer, "pickle") == 0 ? SERIALIZER_PICKLE
        : strcmp(serializer, "raw") == 0  ? SERIALIZER_RAW
                                          : SERIALIZER_CALLABLES;
    self->codec.compressor =
        compressor[0] == '\0'               ? COMPRESSOR_NONE
        : strcmp(compressor, "zlib") == 0   ? COMPRESSOR_ZLIB
        : strcmp(compressor, "custom") == 0 ? COMPRESSOR_CUSTOM
                                            : COMPRESSOR_PACKAGE;
}

/* An open cache is in use: by threads, namespaces, blocks. */
static int
refuse_open(const struct cache_object *self)
{
    if (self->map == NULL && self->parent == NULL) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError,
                 "%V: the cache is open: make another object, or close it "
                 "first",
                 self->path, "a namespace");
    return -1;
}

/* Take an open file over, with what it was opened with. */
static void
cache_set_file(struct cache_object *self, struct mapping *map,
               const struct fmm_options *options)
{
    cache_set_map(self, map);
    self->checked_ms = fmm_now_ms();
    self->mode = options->mode;
    self->allow_shared = options->allow_shared;
    self->allow_network_fs = options->allow_network_fs;
    self->sigbus_guard = options->sigbus_guard;
    self->inspect = options->inspect;
    cache_set_codec(self);
}

/* Open the file. Another thread may be about the same, for the GIL is
 * released meanwhile: one of them wins. */
static int
cache_open(struct cache_object *self, PyObject *path, PyObject *path_bytes,
           struct fmm_options *options)
{
    struct fmm_error error;
    options->path = PyBytes_AS_STRING(path_bytes);
    struct mapping *map = mapping_open(options, &error);
    if (map == NULL) {
        return error.status == FMM_OK
                   ? -1
                   : error_raise_open(self->state, &error, path);
    }
    if (refuse_open(self) < 0) {
        mapping_release(map);
        return -1;
    }
    cache_set_file(self, map, options);
    Py_XSETREF(self->path_bytes, Py_NewRef(path_bytes));
    Py_XSETREF(self->path, Py_NewRef(path));
    return 0;
}

static int
cache_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    struct cache_object *self = (struct cache_object *)object;
    struct fmm_options options = {.path = NULL};
    PyObject *path, *path_bytes;
    if (parse_options(args, kwargs, &path, &options) < 0 ||
        refuse_open(self) < 0 || !PyUnicode_FSConverter(path, &path_bytes)) {
        return -1;
    }
    int outcome = cache_open(self, path, path_bytes, &options);
    Py_DECREF(path_bytes);
    return outcome;
}

/* Keep an object; None is none. */
static void
keep(PyObject **place, PyObject *object)
{
    Py_XSETREF(*place, object == Py_None ? NULL : Py_XNewRef(object));
}

PyDoc_STRVAR(cache_configure_doc,
"_configure($self, /, dumps, loads, compress, decompress, *,\
 compress_min_size, expire_ms, tombstone_ms, lock_timeout_ms, enable_stats,\
 context, read_cb, write_cb, delete_cb, cache_not_found, write_back,\
 allow_recursive)\n\
--\n\
\n\
Say how the cache is used.");

static PyObject *
cache_configure(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"dumps",
                                       "loads",
                                       "compress",
                                       "decompress",
                                       "compress_min_size",
                                       "expire_ms",
                                       "tombstone_ms",
                                       "lock_timeout_ms",
                                       "enable_stats",
                                       "context",
                                       "read_cb",
                                       "write_cb",
                                       "delete_cb",
                                       "cache_not_found",
                                       "write_back",
                                       "allow_recursive",
                                       NULL};
    struct cache_object *self = (struct cache_object *)object;
    PyObject *dumps, *loads, *compress, *decompress;
    PyObject *context, *read_cb, *write_cb, *delete_cb;
    Py_ssize_t min_size;
    long long expire_ms, tombstone_ms, lock_timeout_ms;
    int enable_stats, cache_not_found, write_back, allow_recursive;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOO$nLLLpOOOOppp:_configure",
            (char **)(uintptr_t)list, &dumps, &loads, &compress, &decompress,
            &min_size, &expire_ms, &tombstone_ms, &lock_timeout_ms,
            &enable_stats, &context, &read_cb, &write_cb, &delete_cb,
            &cache_not_found, &write_back, &allow_recursive)) {
        return NULL;
    }
    keep(&self->codec.dumps, dumps);
    keep(&self->codec.loads, loads);
    keep(&self->codec.compress, compress);
    keep(&self->codec.decompress, decompress);
    self->codec.compress_min_size = (size_t)min_size;
    self->expire_ms = expire_ms;
    self->tombstone_ms = tombstone_ms;
    self->lock_timeout_ms = lock_timeout_ms;
    self->enable_stats = enable_stats;
    keep(&self->context, context);
    keep(&self->read_cb, read_cb);
    keep(&self->write_cb, write_cb);
    keep(&self->delete_cb, delete_cb);
    self->cache_not_found = cache_not_found;
    self->write_back = write_back;
    self->allow_recursive = allow_recursive;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(cache_set_exit_work_doc,
"_set_exit_work($self, /, *, unlink, empty, last)\n\
--\n\
\n\
Say what is due when the cache is closed.");

static PyObject *
cache_set_exit_work(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"unlink", "empty", "last", NULL};
    struct cache_object *self = (struct cache_object *)object;
    int unlink, empty, last;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$ppp:_set_exit_work",
                                     (char **)(uintptr_t)list, &unlink, &empty,
                                     &last)) {
        return NULL;
    }
    self->unlink_on_exit = unlink;
    self->empty_on_exit = empty;
    self->unlink_last = last;
    Py_RETURN_NONE;
}

/* ----------------------------------------------------------------- closing */

static int
cache_unlink(struct cache_object *self)
{
    struct fmm_error error;
    if (self->map == NULL || fmm_unlink(self->map->cache, &error) >= 0) {
        return 0;
    }
    return error_raise_open(self->state, &error, self->path);
}

/* Due in the process that made the object, once. */
static int
do_exit_work(struct cache_object *self)
{
    bool own = self->forks == fmm_forks();
    bool empty = own && self->empty_on_exit;
    bool unlink = own && self->unlink_on_exit;
    uint64_t dropped;
    self->empty_on_exit = self->unlink_on_exit = false;
    int outcome = empty ? pages_empty(self, false, &dropped) : 0;
    if (unlink && outcome == 0) {
        outcome = cache_unlink(self);
    }
    return outcome;
}

static int
cache_end(struct cache_object *self)
{
    int outcome = self->map != NULL ? do_exit_work(self) : 0;
    cache_detach(self);
    if (self->unlink_last && outcome == 0) {
        /* No more than a look while processes that inherited it use it. */
        (void)fmm_sweep(PyBytes_AS_STRING(self->path_bytes));
    }
    return outcome;
}

static int
cache_close(struct cache_object *self)
{
    if (self->map != NULL && self->sections != 0 &&
        section_refuse_reentry(self) < 0) {
        return -1;
    }
    return cache_end(self);
}

PyDoc_STRVAR(cache_close_method_doc,
"close($self, /)\n\
--\n\
\n\
Close the cache, after the work due at exit; closing twice is fine.\n\
\n\
In the process that created the object ``empty_on_exit`` and\n\
``unlink_on_exit`` are done now. The file is closed in any case.\n\
\n\
Returns:\n\
    None.\n\
\n\
Raises:\n\
    LockError: Called by code that the cache called.");

static PyObject *
cache_close_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return cache_close((struct cache_object *)self) < 0 ? NULL
                                                        : Py_NewRef(Py_None);
}

PyDoc_STRVAR(cache_detach_method_doc,
"_detach($self, /)\n\
--\n\
\n\
Close without the work due at exit.");

static PyObject *
cache_detach_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    cache_detach((struct cache_object *)self);
    Py_RETURN_NONE;
}

static void
cache_finalize(PyObject *self)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    /* A block that goes on now was forgotten together with the cache. */
    if (cache_end((struct cache_object *)self) < 0) {
        PyErr_WriteUnraisable(self);
    }
    PyErr_Restore(type, value, traceback);
}

int
cache_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct cache_object *self = (struct cache_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->parent);
    Py_VISIT(self->codec.dumps);
    Py_VISIT(self->codec.loads);
    Py_VISIT(self->codec.compress);
    Py_VISIT(self->codec.decompress);
    Py_VISIT(self->context);
    Py_VISIT(self->read_cb);
    Py_VISIT(self->write_cb);
    Py_VISIT(self->delete_cb);
    return 0;
}

int
cache_clear_references(PyObject *object)
{
    struct cache_object *self = (struct cache_object *)object;
    self->root = self; /* a namespace is closed without its parent */
    Py_CLEAR(self->parent);
    Py_CLEAR(self->codec.dumps);
    Py_CLEAR(self->codec.loads);
    Py_CLEAR(self->codec.compress);
    Py_CLEAR(self->codec.decompress);
    Py_CLEAR(self->context);
    Py_CLEAR(self->read_cb);
    Py_CLEAR(self->write_cb);
    Py_CLEAR(self->delete_cb);
    return 0;
}

void
cache_dealloc(PyObject *object)
{
    struct cache_object *self = (struct cache_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (PyObject_CallFinalizerFromDealloc(object) < 0) {
        return;
    }
    PyObject_GC_UnTrack(object);
    cache_detach(self);
    cache_clear_references(object);
    Py_CLEAR(self->record);
    Py_CLEAR(self->path);
    Py_CLEAR(self->path_bytes);
    type->tp_free(object);
    Py_DECREF(type);
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

PyGetSetDef cache_attributes[] = {
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

static PyMethodDef cache_methods[] = {
    FAST_METHOD(empty),
    FAST_METHOD(get_statistics),
    {"clear", cache_clear, METH_NOARGS, cache_clear_doc},
    {"purge", cache_purge, METH_NOARGS, cache_purge_doc},
    {"flush", cache_flush, METH_NOARGS, cache_flush_doc},
    {"close", cache_close_method, METH_NOARGS, cache_close_method_doc},
    {"_stats", cache_stats, METH_NOARGS, cache_stats_doc},
    {"_check_page", cache_check_page, METH_VARARGS, cache_check_page_doc},
    {"_info", cache_info, METH_NOARGS, cache_info_doc},
    {"_detach", cache_detach_method, METH_NOARGS, cache_detach_method_doc},
    {"_configure", (PyCFunction)(void (*)(void))cache_configure,
     METH_VARARGS | METH_KEYWORDS, cache_configure_doc},
    {"_set_exit_work", (PyCFunction)(void (*)(void))cache_set_exit_work,
     METH_VARARGS | METH_KEYWORDS, cache_set_exit_work_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(cache_doc,
"Cache(path, *, cache_size=0, page_size=0, num_pages=0, slots=0,\
 entry_size=0, serializer=None, compressor=None, mode=0, init_file=False,\
 must_exist=False, sparse=False, verify=False, allow_shared=False,\
 allow_network_fs=False, sigbus_guard=False, inspect=False)\n\
--\n\
\n\
An open cache file: the base of ``fastmmap.FastMmap``, whose options it\n\
takes in the core's own terms. 0 and ``None`` follow the file.");

static PyType_Slot cache_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)cache_doc},
    {Py_tp_init, cache_init},
    {Py_tp_traverse, cache_traverse},
    {Py_tp_clear, cache_clear_references},
    {Py_tp_finalize, cache_finalize},
    {Py_tp_dealloc, cache_dealloc},
    {Py_tp_methods, cache_methods},
    {0, NULL},
};

PyType_Spec cache_spec = {
    .name = "fastmmap._core.Cache",
    .basicsize = sizeof(struct cache_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cache_slots,
};
