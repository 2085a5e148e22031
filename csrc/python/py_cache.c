#include "py_cache.h"

#include "py_error.h"

#include <errno.h>

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
    near_close(&self->near); /* last: it may run code of Python */
}

void
cache_set_map(struct cache_object *self, struct mapping *map)
{
    struct mapping *old = self->map;
    self->map = map;
    self->info = map->info;
    self->told_nameless = self->told_kept = false;
    if (old != NULL) {
        mapping_release(old);
    }
    near_clear(&self->near); /* last: it may run code of Python */
}

/* A guarded map may lose bytes at any time, which only ordinary reads notice. */
void
cache_keep_near(struct cache_object *self, size_t budget)
{
    bool keeps = self->map != NULL && !self->sigbus_guard;
    near_open(&self->near, keeps ? budget : 0);
}

int
cache_tell(const struct cache_object *self, const struct fmm_error *notice)
{
    if (notice->text[0] == '\0') {
        return 0;
    }
    PyObject *done = PyObject_CallFunction(self->state->log_notice, "Os",
                                           self->path, notice->text);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

/* Open the path again. NULL as mapping_open(). What it takes along is its
 * own: another thread may attach, or open, the object meanwhile. */
static struct mapping *
open_again(const struct cache_object *self, bool must_exist,
           struct fmm_error *error)
{
    const struct fmm_info info = self->info;
    PyObject *path = Py_NewRef(self->path);
    PyObject *path_bytes = Py_NewRef(self->path_bytes);
    struct fmm_options options = {
        .path = PyBytes_AS_STRING(path_bytes),
        .serializer = info.serializer,
        .compressor = info.compressor,
        .must_exist = must_exist,
        .mode = self->mode,
        .allow_shared = self->allow_shared,
        .allow_network_fs = self->allow_network_fs,
        .sigbus_guard = self->sigbus_guard,
        .inspect = self->inspect,
        .read_only = self->read_only,
    };
    if (!must_exist) {
        options.page_size = info.page_size;
        options.num_pages = info.num_pages;
        options.slots = info.slots;
    }
    struct mapping *map = mapping_open(self->state, path, &options, error);
    Py_DECREF(path_bytes);
    Py_DECREF(path);
    return map;
}

/* A child whose fork found no way to open the file: what follows would be
 * another file, so the object is closed. */
static int
close_lost(struct cache_object *self)
{
    cache_detach(self);
    PyErr_Format(self->state->closed_error,
                 "%U: this process was forked and could not open the file for "
                 "itself (no descriptors left, or neither its name nor /proc "
                 "leads to it): the cache is closed here, open it again",
                 self->path);
    return -1;
}

/* Go on with the file that is open, for the one that has its name is another
 * user's, or of another version: say so once. It is looked for again when the name
 * is. */
static int
keep_file(struct cache_object *self, const struct fmm_error *error,
          PyObject *log)
{
    fmm_keep(self->map->cache);
    if (self->told_kept) {
        return 0;
    }
    self->told_kept = true;
    PyObject *done = PyObject_CallFunction(log, "Os", self->path, error->text);
    Py_XDECREF(done);
    if (done == NULL) {
        return -1;
    }
    return self->map != NULL ? 0 : cache_raise_closed(self);
}

/* The file that has the name cannot be had. Returns as cache_reattach(). */
static int
stay(struct cache_object *self, const struct fmm_error *error)
{
    if (error->status == FMM_ERR_VERSION) {
        return keep_file(self, error, self->state->log_other_version);
    }
    if (error->status == FMM_ERR_OS && fmm_usurped(self->map->cache)) {
        return keep_file(self, error, self->state->log_kept);
    }
    return error_raise_open(self->state, error, self->path);
}

/* Another thread closed or attached the object meanwhile: whatever became of
 * our attempt, that counts. */
static int
leave_to_other(struct cache_object *self, struct mapping *map)
{
    if (map != NULL) {
        mapping_release(map);
    }
    return self->map != NULL ? 0 : cache_raise_closed(self);
}

/* Which opening it is, and 0 for none: memory that was freed meanwhile may have
 * become another one. */
static uint64_t
serial_of(const struct cache_object *self)
{
    return self->map != NULL ? fmm_serial(self->map->cache) : 0;
}

int
cache_reattach(struct cache_object *self, bool required)
{
    if (self->map != NULL && fmm_lost(self->map->cache)) {
        return close_lost(self);
    }
    uint64_t old = serial_of(self);
    struct fmm_error error;
    struct mapping *map = open_again(self, true, &error);
    bool nowhere =
        map == NULL && error.status == FMM_ERR_OS && error.errnum == ENOENT;
    if (nowhere && required && !self->inspect && serial_of(self) == old) {
        /* Replaced, and what replaced it was removed: make it anew, rather
         * than fail for ever. */
        map = open_again(self, false, &error);
    }
    if (map == NULL && error.status == FMM_OK) {
        return -1;
    }
    if (serial_of(self) != old) {
        return leave_to_other(self, map);
    }
    if (map == NULL) {
        return nowhere && !required ? 0 : stay(self, &error);
    }
    cache_set_map(self, map);
    return 0;
}

/* ------------------------------------------------- the life of the object */

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
    return near_traverse(&self->near, visit, arg);
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
    near_close(&self->near);
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
