/* The type _core.Memoized: a function that looks for its result in a cache.
 *
 * A call finds its key, and the value of that, and is done when there is one.
 * All else is code of Python: making a key, computing, waiting for others. */
#include "py_attempt.h"
#include "py_cache.h"
#include "py_counts.h"
#include "py_known_keys.h"
#include "py_unreadable.h"

#include <structmember.h>

struct memoized_object {
    PyObject_HEAD struct module_state *state;
    vectorcallfunc call;
    struct cache_object *cache; /* owned, as are those below */
    struct counts_object *counts;
    PyObject *key_of; /* makes the key of a call */
    PyObject *settle; /* is called with key, value, args, kwargs; the value is
                         `absent`, or a record; or `unknown` */
    PyObject *absent, *unknown;
    PyObject *dict, *weak_references;
    struct known_keys known;
    bool steady;          /* the same arguments have the same key always */
    bool share;           /* results are not changed by who gets them */
    bool brief;           /* waits for no page: the value is `unknown` then */
    PyObject *watch;      /* owned; NULL: nobody */
    const PyObject *seen; /* last told to it; compared only: it may be gone */
};

static struct memoized_object *
memoized_of(PyObject *object)
{
    return (struct memoized_object *)object;
}

/* ----------------------------------------------------------------- calling */

/* Show another first argument to `watch`. Returns 0, or -1 with an exception. */
FMM_NOINLINE static int
show_news(struct memoized_object *self, const struct args *args)
{
    if (args->count == 0 || args->values[0] == self->seen) {
        return 0;
    }
    self->seen = args->values[0];
    PyObject *watch = Py_NewRef(self->watch); /* it may take itself away */
    PyObject *said = PyObject_CallOneArg(watch, args->values[0]);
    Py_DECREF(watch);
    Py_XDECREF(said);
    return said != NULL ? 0 : -1;
}

/* The key of a call; a new reference, or NULL with an exception. */
static PyObject *
find_key(struct memoized_object *self, const struct args *args)
{
    uint64_t hash;
    if (FMM_UNLIKELY(self->watch != NULL) && show_news(self, args) < 0) {
        return NULL;
    }
    bool knowable = self->steady && known_keys_hash(&self->known, args, &hash);
    PyObject *key =
        knowable ? known_keys_find(&self->known, args, hash) : NULL;
    if (FMM_LIKELY(key != NULL)) {
        return Py_NewRef(key);
    }
    key = PyObject_Vectorcall(self->key_of, args->values, (size_t)args->count,
                              args->names);
    if (key != NULL && knowable) {
        known_keys_add(&self->known, args, hash, key);
    }
    return key;
}

/* Look for a value without a wait. Returns as unreadable_read(), with
 * `unknown` for a value whose page somebody has. */
static int
glance(struct memoized_object *self, PyObject *key, PyObject **value)
{
    struct attempt *attempt = attempt_begin(0);
    if (attempt == NULL) {
        return -1;
    }
    int found = unreadable_read(self->cache, key, self->share, value);
    attempt_end(attempt);
    if (found < 0 && PyErr_ExceptionMatches(self->state->page_busy)) {
        PyErr_Clear();
        *value = Py_NewRef(self->unknown);
        return 1;
    }
    return found;
}

/* What is stored under a key, or `absent`; a new reference, or NULL with an
 * exception. */
FMM_NOINLINE static PyObject *
find_value(struct memoized_object *self, PyObject *key)
{
    PyObject *value;
    int found = self->brief
                    ? glance(self, key, &value)
                    : unreadable_read(self->cache, key, self->share, &value);
    if (FMM_UNLIKELY(found == 0)) {
        return Py_NewRef(self->absent);
    }
    return found > 0 ? value : NULL;
}

/* Whether it is a result as it is. Lists that look like a record, see
 * fastmmap.memoize, are for Python to tell. */
static bool
is_result(const struct memoized_object *self, PyObject *value)
{
    bool record = PyList_CheckExact(value) && PyList_GET_SIZE(value) == 5 &&
                  PyUnicode_Check(PyList_GET_ITEM(value, 0));
    return !record && value != self->absent && value != self->unknown;
}

/* The arguments with a name, a dict; NULL with an exception. */
static PyObject *
dict_of_names(const struct args *args)
{
    PyObject *kwargs = PyDict_New();
    Py_ssize_t count = args->names != NULL ? PyTuple_GET_SIZE(args->names) : 0;
    for (Py_ssize_t i = 0; kwargs != NULL && i < count; i++) {
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(args->names, i),
                           args->values[args->count + i]) < 0) {
            Py_CLEAR(kwargs);
        }
    }
    return kwargs;
}

/* A tuple of the arguments without a name; NULL with an exception. */
static PyObject *
tuple_of_values(const struct args *args)
{
    PyObject *tuple = PyTuple_New(args->count);
    for (Py_ssize_t i = 0; tuple != NULL && i < args->count; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args->values[i]));
    }
    return tuple;
}

static PyObject *
settle(struct memoized_object *self, PyObject *key, PyObject *value,
       const struct args *args)
{
    PyObject *given[] = {key, value, tuple_of_values(args),
                         dict_of_names(args)};
    PyObject *result = given[2] != NULL && given[3] != NULL
                           ? PyObject_Vectorcall(self->settle, given, 4, NULL)
                           : NULL;
    Py_XDECREF(given[2]);
    Py_XDECREF(given[3]);
    return result;
}

static PyObject *
memoized_call(PyObject *object, PyObject *const *values, size_t flags,
              PyObject *names)
{
    struct memoized_object *self = memoized_of(object);
    const struct args args = {values, PyVectorcall_NARGS(flags), names};
    PyObject *key = find_key(self, &args);
    PyObject *value = key != NULL ? find_value(self, key) : NULL;
    if (FMM_LIKELY(value != NULL && is_result(self, value))) {
        self->counts->hits++;
    }
    else if (value != NULL) {
        Py_SETREF(value, settle(self, key, value, &args));
    }
    Py_XDECREF(key);
    return value;
}

PyDoc_STRVAR(memoized_call_packed_doc,
"call_packed($self, args, kwargs, /)\n\
--\n\
\n\
Call it with arguments that are in a tuple and a dict.");

static PyObject *
memoized_call_packed(PyObject *self, PyObject *const *values, Py_ssize_t count)
{
    if (count != 2 || !PyTuple_Check(values[0]) || !PyDict_Check(values[1])) {
        PyErr_SetString(PyExc_TypeError, "expected a tuple and a dict");
        return NULL;
    }
    if (PyDict_GET_SIZE(values[1]) != 0 || memoized_of(self)->call == NULL) {
        return PyObject_Call(self, values[0], values[1]);
    }
    return memoized_call(self, &PyTuple_GET_ITEM(values[0], 0),
                         (size_t)PyTuple_GET_SIZE(values[0]), NULL);
}

/* --------------------------------------------------------------- its life */

static int
memoized_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"cache",   "counts", "key_of",
                                       "settle",  "absent", "unknown",
                                       "ignored", "share",  NULL};
    struct memoized_object *self = memoized_of(object);
    struct module_state *state = state_of_type(Py_TYPE(object));
    PyObject *cache, *counts, *key_of, *function, *absent, *unknown, *ignored;
    int share = 0;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!O!OOOOO|p:Memoized", (char **)(uintptr_t)list,
            state->keyspace_type, &cache, state->counts_type, &counts, &key_of,
            &function, &absent, &unknown, &ignored, &share)) {
        return -1;
    }
    if (self->cache != NULL) {
        PyErr_SetString(PyExc_TypeError, "it is a function by now");
        return -1;
    }
    if (ignored != Py_None) {
        self->known.ignored = PyLong_AsUnsignedLongLongMask(ignored);
        self->steady = true;
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    self->state = state;
    self->call = memoized_call;
    self->cache = (struct cache_object *)Py_NewRef(cache);
    self->counts = (struct counts_object *)Py_NewRef(counts);
    self->key_of = Py_NewRef(key_of);
    self->settle = Py_NewRef(function);
    self->absent = Py_NewRef(absent);
    self->unknown = Py_NewRef(unknown);
    self->brief = unknown != Py_None;
    self->share = share || self->cache->share;
    struct cache_object *root = self->cache->root;
    if (share && root->near_unsaid && root->near.sets == NULL) {
        cache_keep_near(root, NEAR_DEFAULT);
    }
    return 0;
}

static int
memoized_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct memoized_object *self = memoized_of(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->cache);
    Py_VISIT(self->key_of);
    Py_VISIT(self->settle);
    Py_VISIT(self->watch);
    Py_VISIT(self->dict);
    return 0;
}

/* Afterwards a call is a TypeError. */
static int
memoized_clear(PyObject *object)
{
    struct memoized_object *self = memoized_of(object);
    self->call = NULL;
    Py_CLEAR(self->cache);
    Py_CLEAR(self->key_of);
    Py_CLEAR(self->settle);
    Py_CLEAR(self->watch);
    Py_CLEAR(self->dict);
    return 0;
}

static void
memoized_dealloc(PyObject *object)
{
    struct memoized_object *self = memoized_of(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    memoized_clear(object);
    known_keys_clear(&self->known);
    Py_XDECREF((PyObject *)self->counts);
    Py_XDECREF(self->absent);
    Py_XDECREF(self->unknown);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ------------------------------------------------------- like a function's */

/* Of a method it is bound to the object. */
static PyObject *
memoized_get(PyObject *self, PyObject *object, PyObject *Py_UNUSED(type))
{
    return object == NULL || object == Py_None ? Py_NewRef(self)
                                               : PyMethod_New(self, object);
}

/* Its name, else what it looks like; a partial has no name. */
static PyObject *
memoized_title(PyObject *self)
{
    PyObject *title = PyObject_GetAttrString(self, "__qualname__");
    if (title == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        title = PyObject_GetAttrString(self, "__wrapped__");
    }
    return title;
}

static PyObject *
memoized_repr(PyObject *self)
{
    PyObject *title = memoized_title(self);
    PyObject *repr =
        title != NULL
            ? PyUnicode_FromFormat("<memoized function %S at %p>", title, self)
            : NULL;
    Py_XDECREF(title);
    return repr;
}

PyDoc_STRVAR(memoized_reduce_doc,
"__reduce__($self, /)\n\
--\n\
\n\
Return the name: it is pickled by that, as functions are.");

static PyObject *
memoized_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyMethodDef memoized_methods[] = {
    {"call_packed", (PyCFunction)(void (*)(void))memoized_call_packed,
     METH_FASTCALL, memoized_call_packed_doc},
    {"__reduce__", memoized_reduce, METH_NOARGS, memoized_reduce_doc},
    {NULL, NULL, 0, NULL},
};

static PyObject *
memoized_get_watch(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *watch = memoized_of(self)->watch;
    return Py_NewRef(watch != NULL ? watch : Py_None);
}

/* It has seen nothing yet. */
static int
memoized_set_watch(PyObject *self, PyObject *watch, void *Py_UNUSED(closure))
{
    memoized_of(self)->seen = NULL;
    Py_XSETREF(memoized_of(self)->watch,
               watch != Py_None ? Py_XNewRef(watch) : NULL);
    return 0;
}

static PyGetSetDef memoized_attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"watch", memoized_get_watch, memoized_set_watch,
     "It is called with each other first argument, unless it is None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define OFFSET(name, member)                                                  \
    {                                                                         \
        name, T_PYSSIZET, offsetof(struct memoized_object, member), READONLY, \
            NULL                                                              \
    }

static PyMemberDef memoized_members[] = {
    OFFSET("__dictoffset__", dict),
    OFFSET("__weaklistoffset__", weak_references),
    OFFSET("__vectorcalloffset__", call),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(memoized_doc,
"Memoized(cache, counts, key_of, settle, absent, unknown, ignored,\
 share=False)\n\
--\n\
\n\
A function whose results are in a cache, under the keys that ``key_of`` makes.\n\
\n\
``settle(key, value, args, kwargs)`` gives a result that is not there as it is:\n\
``value`` is a record of fastmmap.memoize, or ``absent``; or ``unknown``, if\n\
that is not None, for a value that one would have to wait for. ``ignored`` has\n\
the bits of positional arguments that make no part of the key; None: keys may\n\
depend on more than the arguments. With ``share`` results are not changed by who\n\
gets them.");

static PyType_Slot memoized_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)memoized_doc},
    {Py_tp_init, memoized_init},
    {Py_tp_traverse, memoized_traverse},
    {Py_tp_clear, memoized_clear},
    {Py_tp_dealloc, memoized_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, memoized_get},
    {Py_tp_repr, memoized_repr},
    {Py_tp_methods, memoized_methods},
    {Py_tp_getset, memoized_attributes},
    {Py_tp_members, memoized_members},
    {0, NULL},
};

PyType_Spec memoized_spec = {
    .name = "fastmmap._core.Memoized",
    .basicsize = sizeof(struct memoized_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = memoized_slots,
};
