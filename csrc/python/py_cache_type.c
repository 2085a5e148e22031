/* The type _core.Cache: opening, the use that is made of it, closing. */
#include "py_error.h"
#include "py_methods.h"
#include "py_sections.h"
#include "py_turn.h"

#include <string.h>

/* ----------------------------------------------------------------- opening */

/* Parse the arguments of __init__; the strings stay the caller's. */
static int
parse_options(PyObject *args, PyObject *kwargs, PyObject **path,
              struct fmm_options *o)
{
    static const char *const list[] = {"path",
                                       "cache_size",
                                       "page_size",
                                       "num_pages",
                                       "slots",
                                       "entry_size",
                                       "serializer",
                                       "compressor",
                                       "mode",
                                       "init_file",
                                       "must_exist",
                                       "sparse",
                                       "verify",
                                       "allow_shared",
                                       "allow_network_fs",
                                       "sigbus_guard",
                                       "inspect",
                                       "read_only",
                                       "lock_timeout_ms",
                                       "serializer_follows",
                                       "compressor_follows",
                                       "renew_old",
                                       "on_mismatch",
                                       "only_whole",
                                       NULL};
    unsigned long long cache_size = 0, page_size = 0;
    long long wait_ms = -1;
    int flags[13] = {0};
    int on_mismatch = FMM_MISMATCH_ERROR;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "U|$KKIIIzzIpppppppppLpppip:Cache",
            (char **)(uintptr_t)list, path, &cache_size, &page_size,
            &o->num_pages, &o->slots, &o->entry_size, &o->serializer,
            &o->compressor, &o->mode, &flags[0], &flags[1], &flags[2],
            &flags[3], &flags[4], &flags[5], &flags[6], &flags[7], &flags[8],
            &wait_ms, &flags[9], &flags[10], &flags[11], &on_mismatch,
            &flags[12])) {
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
    o->inspect = flags[7] || flags[8];
    o->read_only = flags[8];
    o->turn_wait_ms = wait_ms;
    o->serializer_follows = flags[9];
    o->compressor_follows = flags[10];
    o->renew_old = flags[11];
    o->only_whole = flags[12];
    o->on_mismatch = (enum fmm_mismatch)on_mismatch;
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
    self->read_only = options->read_only;
    cache_set_codec(self);
}

#define TURN_WAIT_MS 60000 /* at most, for one who is stuck */
#define TURN_SLICE_MS 50   /* between two looks at signals */

/* Open it. With init_file those are waited for who tell the user's store of
 * what is in the old file. Returns NULL as mapping_open(), also with the
 * exception of a signal handler. */
static struct mapping *
open_in_turn(const struct module_state *state, PyObject *path,
             const struct fmm_options *options, struct fmm_error *error)
{
    int64_t wait_ms = options->turn_wait_ms;
    bool longest = wait_ms < 0 || wait_ms > TURN_WAIT_MS;
    int64_t left = turn_patience(longest ? TURN_WAIT_MS : wait_ms);
    struct fmm_options sliced = *options;
    for (;; left -= TURN_SLICE_MS) {
        sliced.turn_wait_ms = left < TURN_SLICE_MS ? left : TURN_SLICE_MS;
        struct mapping *map = mapping_open(state, path, &sliced, error);
        if (map != NULL || error->status != FMM_BUSY ||
            left <= TURN_SLICE_MS) {
            return map;
        }
        if (PyErr_CheckSignals() < 0) {
            error->status = FMM_OK;
            return NULL;
        }
    }
}

/* Open the file. Another thread may be about the same, for the GIL is
 * released meanwhile: one of them wins. */
static int
cache_open(struct cache_object *self, PyObject *path, PyObject *path_bytes,
           struct fmm_options *options)
{
    struct fmm_error error;
    options->path = PyBytes_AS_STRING(path_bytes);
    options->own_turns = options->init_file ? turn_own(path) : 0;
    struct mapping *map = open_in_turn(self->state, path, options, &error);
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
    return cache_tell(self, &error);
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

PyDoc_STRVAR(cache_check_options_doc,
"_check_options($self, /, path, **options)\n\
--\n\
\n\
Raise what opening raises for these options before it looks at a file.");

static PyObject *
cache_check_options(PyObject *object, PyObject *args, PyObject *kwargs)
{
    struct cache_object *self = (struct cache_object *)object;
    struct fmm_options options = {.path = NULL};
    struct fmm_error error;
    PyObject *path;
    if (parse_options(args, kwargs, &path, &options) < 0) {
        return NULL;
    }
    if (fmm_check_options(&options, &error) != FMM_OK) {
        error_raise_open(self->state, &error, path);
        return NULL;
    }
    Py_RETURN_NONE;
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
 allow_recursive, near, share)\n\
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
                                       "near",
                                       "share",
                                       NULL};
    struct cache_object *self = (struct cache_object *)object;
    PyObject *dumps, *loads, *compress, *decompress;
    PyObject *context, *read_cb, *write_cb, *delete_cb;
    Py_ssize_t min_size, near;
    long long expire_ms, tombstone_ms, lock_timeout_ms;
    int enable_stats, cache_not_found, write_back, allow_recursive, share;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOO$nLLLpOOOOpppnp:_configure",
            (char **)(uintptr_t)list, &dumps, &loads, &compress, &decompress,
            &min_size, &expire_ms, &tombstone_ms, &lock_timeout_ms,
            &enable_stats, &context, &read_cb, &write_cb, &delete_cb,
            &cache_not_found, &write_back, &allow_recursive, &near, &share)) {
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
    self->share = share;
    self->near_unsaid = near < 0;
    cache_keep_near(self, near >= 0 ? (size_t)near : share ? NEAR_DEFAULT : 0);
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

/* ---------------------------------------------------------------- the type */

static PyMethodDef cache_methods[] = {
    FAST_METHOD(empty),
    FAST_METHOD(get_statistics),
    {"clear", cache_clear, METH_NOARGS, cache_clear_doc},
    {"purge", cache_purge, METH_NOARGS, cache_purge_doc},
    {"flush", cache_flush, METH_NOARGS, cache_flush_doc},
    {"close", cache_close_method, METH_NOARGS, cache_close_method_doc},
    {"_clients", cache_clients, METH_NOARGS, cache_clients_doc},
    {"_resize", cache_resize, METH_VARARGS, cache_resize_doc},
    {"_stats", cache_stats, METH_NOARGS, cache_stats_doc},
    {"_page_stats", cache_page_stats, METH_O, cache_page_stats_doc},
    {"_check_page", cache_check_page, METH_VARARGS, cache_check_page_doc},
    {"_info", cache_info, METH_NOARGS, cache_info_doc},
    {"_detach", cache_detach_method, METH_NOARGS, cache_detach_method_doc},
    {"_check_options", (PyCFunction)(void (*)(void))cache_check_options,
     METH_VARARGS | METH_KEYWORDS, cache_check_options_doc},
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
 allow_network_fs=False, sigbus_guard=False, inspect=False,\
 read_only=False, lock_timeout_ms=-1, serializer_follows=False,\
 compressor_follows=False, renew_old=False, on_mismatch=0, only_whole=False)\n\
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
