/* The object that `with cache.lock(key) as item` is about. Threads may share
 * it, as they share a threading.Lock: each has a block of its own. */
#include "py_args.h"
#include "py_block.h"
#include "py_methods.h"
#include "py_sections.h"

#include <math.h>

struct item_object {
    PyObject_HEAD struct cache_object *cache;
    PyObject *key;
    int64_t timeout_ms;
    struct block *blocks; /* that go on; the newest first */
    struct block *last;   /* the one that ended last, to be looked at */
};

static struct item_object *
item_of(PyObject *object)
{
    return (struct item_object *)object;
}

/* Where the newest block of this thread is, or the NULL at the end. */
static struct block **
own_block(struct item_object *self)
{
    struct block **place = &self->blocks;
    while (*place != NULL && (*place)->thread != PyThread_get_thread_ident()) {
        place = &(*place)->next;
    }
    return place;
}

/* Take the block out of its place; the reference is the caller's. */
static struct block *
take_out(struct block **place)
{
    struct block *block = *place;
    *place = block->next;
    block->next = NULL;
    return block;
}

/* --------------------------------------------------------------- the block */

/* In a child that was forked inside a block, that one is the parent's, and
 * the child may take the page like anybody else. */
static int
refuse_second(struct item_object *self)
{
    struct block **place = own_block(self);
    if (*place == NULL) {
        return 0;
    }
    if (!section_holds((*place)->held.section)) {
        block_drop(take_out(place));
        return 0;
    }
    PyErr_Format(self->cache->state->lock_error,
                 "%U: the lock of key %.200R is held already",
                 self->cache->path, self->key);
    return -1;
}

PyDoc_STRVAR(item_enter_doc,
"__enter__($self, /)\n\
--\n\
\n\
Take the page and read the key.\n\
\n\
Raises:\n\
    LockTimeout: The page was held for all of that time.\n\
    LockError: This thread is inside this block, or the cache, already.");

static PyObject *
item_enter(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct item_object *self = item_of(object);
    if (refuse_second(self) < 0) {
        return NULL;
    }
    struct block *block =
        block_take(self->cache, self->key, &self->timeout_ms);
    if (block == NULL) {
        return NULL;
    }
    block->next = self->blocks;
    self->blocks = block;
    return Py_NewRef(object);
}

/* The block that __exit__ ends, taken out: that of this thread, else that of
 * another one, which may have handed the end over, as a threading.Lock can
 * be released by anybody. NULL with LockError. */
static struct block *
block_to_end(struct item_object *self)
{
    struct block **place = own_block(self);
    if (*place == NULL) {
        place = &self->blocks;
        /* Not from a callback: it would end what begins meanwhile. */
        if (*place != NULL && section_refuse_reentry(self->cache->root) < 0) {
            return NULL;
        }
    }
    if (*place != NULL) {
        return take_out(place);
    }
    PyErr_Format(self->cache->state->lock_error,
                 "%U: the lock of key %.200R is not held", self->cache->path,
                 self->key);
    return NULL;
}

PyDoc_STRVAR(item_exit_doc,
"__exit__($self, /, *exc_info)\n\
--\n\
\n\
Write the changes, unless the block raised, and release the page.\n\
\n\
Another thread may end a block, where nothing but that thread will.\n\
\n\
Raises:\n\
    ValueError: The value does not fit, or a newer modseq refuses it.\n\
    LockError: There is no block to end, or a parent process has it.");

/* The block leaves the item before any code of others runs: whoever comes by
 * way of the item meanwhile finds that it has ended. */
static PyObject *
item_exit(PyObject *object, PyObject *args)
{
    struct item_object *self = item_of(object);
    struct block *block = block_to_end(self), *before = self->last;
    int outcome = 0;
    if (block == NULL) {
        return NULL;
    }
    self->last = block_keep(block);
    if (PyTuple_GET_SIZE(args) > 0 && PyTuple_GET_ITEM(args, 0) != Py_None) {
        block_cancel(block);
    }
    else {
        outcome = block_finish(self->cache, block, self->key);
    }
    block_drop(block);
    if (before != NULL) {
        block_drop(before);
    }
    return outcome < 0 ? NULL : Py_NewRef(Py_None);
}

/* ------------------------------------------------------------- attributes */

/* What there is to look at, to be dropped again: the block of this thread,
 * else that of another one, else the last. NULL with LockError. */
static struct block *
block_to_see(struct item_object *self)
{
    struct block *block = *own_block(self);
    if (block == NULL) {
        block = self->blocks != NULL ? self->blocks : self->last;
    }
    if (block != NULL) {
        return block_keep(block);
    }
    PyErr_Format(self->cache->state->lock_error,
                 "%U: use lock() of key %.200R in a with statement",
                 self->cache->path, self->key);
    return NULL;
}

/* The block of this thread, to be dropped again. NULL with LockError. */
static struct block *
block_to_change(struct item_object *self)
{
    struct block *block = *own_block(self);
    if (block != NULL) {
        return block_keep(block);
    }
    PyErr_Format(self->cache->state->lock_error,
                 "%U: key %.200R can be changed inside the with block only, "
                 "by the thread that entered it",
                 self->cache->path, self->key);
    return NULL;
}

PyDoc_STRVAR(item_get_value_doc,
"The value, ``None`` when there is none; assign to store another.\n\
\n\
An assignment keeps the expiry that the entry has; a new one gets the\n\
default. Raises what the serializer raises, LockError outside the block.");

static PyObject *
item_get_value(PyObject *object, void *Py_UNUSED(closure))
{
    struct block *block = block_to_see(item_of(object));
    if (block == NULL) {
        return NULL;
    }
    PyObject *value = block_value(item_of(object)->cache, block);
    block_drop(block);
    return value;
}

PyDoc_STRVAR(item_get_exists_doc,
"Whether there is a value, or will be when the block ends.");

static PyObject *
item_get_exists(PyObject *object, void *Py_UNUSED(closure))
{
    struct block *block = block_to_see(item_of(object));
    if (block == NULL) {
        return NULL;
    }
    bool exists = block->action == BLOCK_KEEP ? block->held.found
                                              : block->action == BLOCK_STORE;
    block_drop(block);
    return PyBool_FromLong(exists);
}

PyDoc_STRVAR(item_get_expire_on_doc,
"When the value expires, seconds since 1970; ``None`` for never.");

static PyObject *
item_get_expire_on(PyObject *object, void *Py_UNUSED(closure))
{
    struct block *block = block_to_see(item_of(object));
    if (block == NULL) {
        return NULL;
    }
    bool found = block->action == BLOCK_KEEP && block->held.found;
    uint64_t expire_at = block->action == BLOCK_STORE ? block->store.expire_at
                         : found ? block->held.meta.expire_at
                                 : 0;
    block_drop(block);
    return expiry_to_object(expire_at);
}

PyDoc_STRVAR(item_get_modseq_doc,
"The modseq of the value, or ``None``.");

static PyObject *
item_get_modseq(PyObject *object, void *Py_UNUSED(closure))
{
    struct block *block = block_to_see(item_of(object));
    if (block == NULL) {
        return NULL;
    }
    bool stored = block->action == BLOCK_STORE;
    bool found = block->action == BLOCK_KEEP && block->held.found;
    bool has = stored ? block->store.has_modseq
                      : found && block->held.meta.has_modseq;
    uint64_t modseq = stored ? block->store.modseq : block->held.meta.modseq;
    block_drop(block);
    return has ? PyLong_FromUnsignedLongLong(modseq) : Py_NewRef(Py_None);
}

/* ---------------------------------------------------------------- changes */

static int
item_change(struct item_object *self, const struct store_request *request)
{
    struct block *block = block_to_change(self);
    if (block == NULL) {
        return -1;
    }
    int outcome = block_change(self->cache, block, request);
    block_drop(block);
    return outcome;
}

static int
item_set_value(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "value cannot be deleted: use remove()");
        return -1;
    }
    return item_change(item_of(object),
                       &(struct store_request){.value = value});
}

PyDoc_STRVAR(item_set_doc,
"set($self, /, value, expire_time=None, *, expire_on=None, modseq=None)\n\
--\n\
\n\
Store a value when the block ends.\n\
\n\
Args:\n\
    value: Whatever the serializer takes; it is serialized now.\n\
    expire_time: Lifetime: seconds, a timedelta, or text such as \"10s\".\n\
    expire_on: Seconds since 1970; wins over `expire_time`. Without either\n\
        the entry keeps the expiry that it has.\n\
    modseq: Refuse to replace anything newer than this number.\n\
\n\
Returns:\n\
    None.\n\
\n\
Raises:\n\
    LockError: The block has ended, or is another thread's.\n\
    ValueError: An argument is out of its range.");

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
    if (item_change(item_of(object), &request) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(item_remove_doc,
"remove($self, /)\n\
--\n\
\n\
Remove the key when the block ends; ``delete_cb`` is called then.\n\
\n\
Returns:\n\
    None.\n\
\n\
Raises:\n\
    LockError: The block has ended, or is another thread's.");

static PyObject *
item_remove(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct item_object *self = item_of(object);
    struct block *block = block_to_change(self);
    if (block == NULL) {
        return NULL;
    }
    int outcome = block_remove(self->cache, block);
    block_drop(block);
    return outcome < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---------------------------------------------------------------- the type */

static int
block_traverse(const struct block *block, visitproc visit, void *arg)
{
    if (block->held.section != NULL) {
        Py_VISIT(block->held.section->cache);
    }
    Py_VISIT(block->value);
    return 0;
}

static int
item_traverse(PyObject *object, visitproc visit, void *arg)
{
    const struct item_object *self = item_of(object);
    const struct block *block = self->blocks;
    int outcome =
        self->last != NULL ? block_traverse(self->last, visit, arg) : 0;
    for (; block != NULL && outcome == 0; block = block->next) {
        outcome = block_traverse(block, visit, arg);
    }
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->cache);
    Py_VISIT(self->key);
    return outcome;
}

/* An item that nobody has any more: its blocks cannot end, so the pages are
 * given back here, and nothing is written. */
static int
item_clear(PyObject *object)
{
    struct item_object *self = item_of(object);
    struct block *last = self->last;
    self->last = NULL;
    while (self->blocks != NULL) {
        block_drop(take_out(&self->blocks));
    }
    if (last != NULL) {
        block_drop(last);
    }
    return 0;
}

/* Cache and key stay until here: a method may still be called after the
 * collector broke a cycle. Neither needs the item to be collected itself. */
static void
item_dealloc(PyObject *object)
{
    struct item_object *self = item_of(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    item_clear(object);
    Py_CLEAR(self->key);
    Py_CLEAR(self->cache);
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
    {"value", item_get_value, item_set_value, item_get_value_doc, NULL},
    {"exists", item_get_exists, NULL, item_get_exists_doc, NULL},
    {"expire_on", item_get_expire_on, NULL, item_get_expire_on_doc, NULL},
    {"modseq", item_get_modseq, NULL, item_get_modseq_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(item_doc,
"A key whose page is held while the ``with`` block runs.\n\
\n\
Made by ``FastMmap.lock()``. An assigned ``value``, a set or a removal is\n\
written when the block ends, and not at all when it raises. In a child\n\
forked inside the block nothing is written, and the end of the block is a\n\
LockError: the page is the parent's.\n\
\n\
Threads may share one, as they share a threading.Lock: each waits for its\n\
turn. Only the thread that entered a block changes it. Others see its\n\
state, or after the block the last one.\n\
\n\
At the end of the block a value that does not fit raises ValueError; the old\n\
value stays.");

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
                     "timeout is %R: expected 0 seconds or more, or None",
                     object);
        return -1;
    }
    *timeout_ms = (int64_t)ceil(seconds * 1000.0);
    return 0;
}

METHOD_DOC(cache_lock_doc,
"lock($self, /, key, timeout=None)\n\
--\n\
\n\
Return a context manager that holds the page of a key.\n\
\n\
``with cache.lock(key) as item:`` gives a ``LockedItem``, whose ``value``\n\
can be read and assigned. Changes are written when the block ends, none when\n\
it raises. The cache cannot be used by the same thread meanwhile.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    timeout: Seconds to wait for the page; ``None`` is ``lock_timeout``.\n\
\n\
Returns:\n\
    A ``LockedItem``.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: `timeout` is negative.");

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
    if (self->path == NULL) { /* never opened: nothing to tell in errors */
        cache_raise_closed(self);
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
