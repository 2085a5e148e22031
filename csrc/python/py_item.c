/* The object that `with cache.lock(key) as item` is about. */
#include "py_args.h"
#include "py_callback.h"
#include "py_docs.h"
#include "py_error.h"
#include "py_lock.h"
#include "py_methods.h"
#include "py_remove.h"

#include <math.h>

enum item_action { ITEM_KEEP, ITEM_STORE, ITEM_REMOVE };

struct item_object {
    PyObject_HEAD struct cache_object *cache;
    PyObject *key;
    int64_t timeout_ms;
    struct held held;
    bool entered;    /* once at least: there is something to look at */
    PyObject *value; /* as it will be; NULL: not decoded yet */
    enum item_action action;
    struct encoded encoded;
    struct fmm_store store;
};

/* --------------------------------------------------------------- the block */

static void
item_forget(struct item_object *self)
{
    self->action = ITEM_KEEP;
    Py_CLEAR(self->value);
    Py_CLEAR(self->held.bytes);
    value_free(&self->encoded);
}

static PyObject *
item_enter(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct item_object *self = (struct item_object *)object;
    if (self->held.section != NULL) {
        PyErr_Format(self->cache->state->lock_error,
                     "%U: the lock of key %.200R is held already",
                     self->cache->path, self->key);
        return NULL;
    }
    item_forget(self);
    if (held_take(self->cache, &self->held, self->key, &self->timeout_ms) <
        0) {
        return NULL;
    }
    self->entered = true;
    return Py_NewRef(object);
}

static int
write_item(struct item_object *self)
{
    const struct store_request request = {.key = self->key,
                                          .value = self->value};
    int status =
        held_store(&self->held, &request, &self->encoded, &self->store);
    held_leave(&self->held);
    if (status < 0) {
        return -1;
    }
    if (store_tell(self->cache, &request, status, &self->store) < 0) {
        return -1;
    }
    if (status > 0) {
        store_raise_refused(self->cache, self->key, status);
        return -1;
    }
    return 0;
}

static int
remove_item(struct item_object *self)
{
    const struct fmm_removal plainly = {.mark = remove_marks(self->cache)};
    enum fmm_due due = FMM_DUE_NOTHING;
    int status = writeback_remove_held(self->held.section, &self->held.op,
                                       &plainly, &due);
    held_leave(&self->held);
    if (status < 0) {
        return -1;
    }
    return remove_finish(self->cache, self->key, due);
}

/* The end of a block that went well. In a child that was forked inside it
 * the page, and the right to write, are the parent's. */
static int
finish_item(struct item_object *self)
{
    if (!section_holds(self->held.section)) {
        return 0;
    }
    switch (self->action) {
    case ITEM_STORE:
        return write_item(self);
    case ITEM_REMOVE:
        return remove_item(self);
    case ITEM_KEEP:
        break;
    }
    return 0;
}

static PyObject *
item_exit(PyObject *object, PyObject *args)
{
    struct item_object *self = (struct item_object *)object;
    bool raised =
        PyTuple_GET_SIZE(args) > 0 && PyTuple_GET_ITEM(args, 0) != Py_None;
    int outcome = 0;
    if (self->held.section == NULL) {
        PyErr_Format(self->cache->state->lock_error,
                     "%U: the lock of key %.200R is not held",
                     self->cache->path, self->key);
        return NULL;
    }
    if (raised) {
        self->action = ITEM_KEEP;
        Py_CLEAR(self->value);
    }
    else {
        outcome = finish_item(self);
    }
    held_leave(&self->held);
    value_free(&self->encoded);
    return outcome < 0 ? NULL : Py_NewRef(Py_None);
}

/* ------------------------------------------------------------- attributes */

static int
require_entered(const struct item_object *self)
{
    if (self->entered) {
        return 0;
    }
    PyErr_Format(self->cache->state->lock_error,
                 "%U: lock() of key %.200R is to be used in a with statement",
                 self->cache->path, self->key);
    return -1;
}

static int
require_held(const struct item_object *self)
{
    if (self->held.section != NULL) {
        return 0;
    }
    PyErr_Format(self->cache->state->lock_error,
                 "%U: key %.200R can be changed inside the with block only",
                 self->cache->path, self->key);
    return -1;
}

static PyObject *
item_get_value(PyObject *object, void *Py_UNUSED(closure))
{
    struct item_object *self = (struct item_object *)object;
    if (require_entered(self) < 0) {
        return NULL;
    }
    if (self->value == NULL) {
        self->value = held_value(self->cache, &self->held);
    }
    return Py_XNewRef(self->value);
}

static PyObject *
item_get_exists(PyObject *object, void *Py_UNUSED(closure))
{
    struct item_object *self = (struct item_object *)object;
    if (require_entered(self) < 0) {
        return NULL;
    }
    return PyBool_FromLong(self->action == ITEM_KEEP
                               ? self->held.found
                               : self->action == ITEM_STORE);
}

static PyObject *
item_get_expire_on(PyObject *object, void *Py_UNUSED(closure))
{
    struct item_object *self = (struct item_object *)object;
    if (require_entered(self) < 0) {
        return NULL;
    }
    if (self->action == ITEM_STORE) {
        return expiry_to_object(self->store.expire_at);
    }
    bool found = self->action == ITEM_KEEP && self->held.found;
    return expiry_to_object(found ? self->held.meta.expire_at : 0);
}

static PyObject *
item_get_modseq(PyObject *object, void *Py_UNUSED(closure))
{
    struct item_object *self = (struct item_object *)object;
    if (require_entered(self) < 0) {
        return NULL;
    }
    bool found = self->action == ITEM_KEEP && self->held.found;
    if (found && self->held.meta.has_modseq) {
        return PyLong_FromUnsignedLongLong(self->held.meta.modseq);
    }
    if (self->action == ITEM_STORE && self->store.has_modseq) {
        return PyLong_FromUnsignedLongLong(self->store.modseq);
    }
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- changes */

/* Encode now, so that an error shows where the value was given. */
static int
item_change(struct item_object *self, const struct store_request *request)
{
    struct encoded encoded;
    struct fmm_store store;
    if (require_held(self) < 0 ||
        held_resolve(self->cache, &self->held, request, &store) < 0 ||
        value_encode(self->cache, request->value, &encoded) < 0) {
        return -1;
    }
    value_move(&self->encoded, &encoded);
    self->action = ITEM_STORE;
    self->store = store;
    Py_XSETREF(self->value, Py_NewRef(request->value));
    return 0;
}

static int
item_set_value(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "value cannot be deleted: use remove()");
        return -1;
    }
    return item_change((struct item_object *)object,
                       &(struct store_request){.value = value});
}

static PyObject *
item_set(PyObject *object, PyObject *const *values, Py_ssize_t count,
         PyObject *names)
{
    static const char *const list[] = {"value", "expire_time", "expire_on",
                                       "modseq", NULL};
    static const struct args_spec spec = {"set", list, 1, 2};
    PyObject *out[4] = {NULL, NULL, NULL, NULL};
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0) {
        return NULL;
    }
    const struct store_request request = {
        .value = out[0], .expiry = {out[1], out[2]}, .modseq = out[3]};
    if (item_change((struct item_object *)object, &request) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
item_remove(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct item_object *self = (struct item_object *)object;
    if (require_held(self) < 0) {
        return NULL;
    }
    item_forget(self);
    self->value = Py_NewRef(Py_None);
    self->action = ITEM_REMOVE;
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- the type */

static int
item_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct item_object *self = (struct item_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->cache);
    Py_VISIT(self->value);
    return 0;
}

static int
item_clear(PyObject *object)
{
    struct item_object *self = (struct item_object *)object;
    held_release(&self->held);
    item_forget(self);
    Py_CLEAR(self->cache);
    return 0;
}

/* An item that nobody has any more: its block cannot end, so the page is
 * given back here, and nothing is written. */
static void
item_dealloc(PyObject *object)
{
    struct item_object *self = (struct item_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    item_clear(object);
    Py_CLEAR(self->key);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef item_methods[] = {
    {"set", (PyCFunction)(void (*)(void))item_set,
     METH_FASTCALL | METH_KEYWORDS, item_set_doc},
    {"remove", item_remove, METH_NOARGS, item_remove_doc},
    {"__enter__", item_enter, METH_NOARGS, item_enter_doc},
    {"__exit__", item_exit, METH_VARARGS, item_exit_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef item_attributes[] = {
    {"value", item_get_value, item_set_value, item_value_doc, NULL},
    {"exists", item_get_exists, NULL, item_exists_doc, NULL},
    {"expire_on", item_get_expire_on, NULL, item_expire_on_doc, NULL},
    {"modseq", item_get_modseq, NULL, item_modseq_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot item_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)item_doc},
    {Py_tp_traverse, item_traverse},
    {Py_tp_clear, item_clear},
    {Py_tp_dealloc, item_dealloc},
    {Py_tp_methods, item_methods},
    {Py_tp_getset, item_attributes},
    {0, NULL},
};

PyType_Spec item_spec = {
    .name = "fastmmap._core.LockedItem",
    .basicsize = sizeof(struct item_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = item_slots,
};

/* Turn seconds into milliseconds; None is what the cache does. */
static int
parse_timeout(const struct cache_object *cache, PyObject *object,
              int64_t *timeout_ms)
{
    *timeout_ms = cache->lock_timeout_ms;
    if (!is_given(object)) {
        return 0;
    }
    double seconds = PyBool_Check(object) ? -1.0 : PyFloat_AsDouble(object);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (!(seconds >= 0 && seconds < 9e15)) {
        PyErr_Format(PyExc_ValueError,
                     "timeout is %R: expected seconds from 0 on, or None",
                     object);
        return -1;
    }
    *timeout_ms = (int64_t)ceil(seconds * 1000.0);
    return 0;
}

PyObject *
cache_lock(struct cache_object *self, PyObject *const *values,
           Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"key", "timeout", NULL};
    static const struct args_spec spec = {"lock", list, 1, 2};
    PyObject *out[] = {NULL, NULL};
    struct fmm_key key;
    int64_t timeout_ms;
    if (args_parse(&spec, &(struct args){values, count, names}, out) < 0 ||
        key_from_object(out[0], &key) < 0 ||
        parse_timeout(self, out[1], &timeout_ms) < 0) {
        return NULL;
    }
    PyTypeObject *type = self->state->item_type;
    struct item_object *item = (struct item_object *)type->tp_alloc(type, 0);
    if (item == NULL) {
        return NULL;
    }
    item->cache = (struct cache_object *)Py_NewRef((PyObject *)self);
    item->key = Py_NewRef(out[0]);
    item->timeout_ms = timeout_ms;
    return (PyObject *)item;
}
