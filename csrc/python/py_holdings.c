#include "py_holdings.h"

#include "py_caller.h"
#include "py_leasing.h"

static struct holdings_object *
holdings_of(PyObject *object)
{
    return (struct holdings_object *)object;
}

/* ----------------------------------------------------------------- the list */

static void
append(struct holdings_object *self, struct holding *holding)
{
    struct holding **place = &self->first;
    while (*place != NULL) {
        place = &(*place)->next;
    }
    *place = holding;
}

static void
unlink_one(struct holdings_object *self, const struct holding *holding)
{
    struct holding **place = &self->first;
    while (*place != NULL && *place != holding) {
        place = &(*place)->next;
    }
    if (*place != NULL) {
        *place = holding->next;
    }
}

static struct holding *
find_own(const struct holdings_object *self, PyObject *caller)
{
    struct holding *h = self->first;
    for (; h != NULL; h = h->next) {
        bool same = caller != NULL ? caller_same(h->caller, caller)
                                   : h->thread == PyThread_get_thread_ident();
        if (same && holding_is_mine(h)) {
            break;
        }
    }
    return h;
}

struct holding *
holdings_find(const struct holdings_object *self, PyObject *caller)
{
    struct holding *h = find_own(self, caller);
    return h != NULL || self->kind == KIND_RLOCK ? h : holdings_find_any(self);
}

struct holding *
holdings_find_any(const struct holdings_object *self)
{
    struct holding *h = self->first;
    while (h != NULL && !holding_is_mine(h)) {
        h = h->next;
    }
    return h;
}

Py_ssize_t
holdings_count(const struct holdings_object *self)
{
    Py_ssize_t count = 0;
    for (const struct holding *h = self->first; h != NULL; h = h->next) {
        count += holding_is_mine(h) ? 1 : 0;
    }
    return count;
}

/* ------------------------------------------------------------------- taking */

/* Say why the cache gives no lease. Returns -1. */
static int
raise_refused(const struct holdings_object *self, PyObject *key, int status,
              PyObject *name)
{
    PyErr_Format(self->cache->state->lock_error,
                 "%U: %R cannot be acquired: key %R %s; give locks a "
                 "separate cache file",
                 self->cache->path, name, key,
                 status == FMM_EXISTS ? "holds a value"
                                      : "has no room in its page");
    return -1;
}

/* Look at one key. Returns as holdings_take(). */
static int
take_key(struct holdings_object *self, PyObject *key, PyObject *caller,
         uint64_t duration_ms, PyObject *name)
{
    const struct fmm_lease_request request = {.duration_ms = duration_ms,
                                              .lock = true};
    struct fmm_lease theirs;
    struct holding *holding = holding_new(key);
    if (holding == NULL) {
        return -1;
    }
    holding->caller = caller_note(caller);
    holding->thread = PyThread_get_thread_ident();
    holding->depth = 1;
    if (holding->caller == NULL) {
        holding_free(self->cache->state, holding);
        return -1;
    }
    int status = holding_take(self->cache, holding, &request, &theirs);
    if (status == FMM_OK) {
        append(self, holding);
        return 1;
    }
    holding_free(self->cache->state, holding);
    if (status > 0 && status != FMM_LEASED) {
        return raise_refused(self, key, status, name);
    }
    return status < 0 ? -1 : 0;
}

/* Whether others look for it where it is: in a file that another took the place
 * of it is nothing. */
static bool
is_current(const struct cache_object *cache, const struct holding *holding)
{
    return cache->map == NULL || cache->map == holding->map;
}

int
holdings_raise_lost(const struct holdings_object *self, PyObject *name)
{
    PyErr_Format(self->cache->state->lock_lost,
                 "%U: %R was lost before it was released: its time was over, "
                 "its key was removed, or its file replaced; others may have "
                 "had it meanwhile",
                 self->cache->path, name);
    return -1;
}

/* Take once more what the caller has. A lease whose time is over begins anew,
 * unless another has or had it: then it is lost. Returns as holdings_take(). */
static int
take_again(struct holdings_object *self, struct holding *own, PyObject *caller,
           PyObject *name)
{
    int status = FMM_MISS;
    if (is_current(self->cache, own)) {
        status = holding_lasts(self->cache, own)
                     ? FMM_OK
                     : holding_extend(self->cache, own, own->duration_ms);
    }
    if (status < 0) {
        return -1;
    }
    own = find_own(self, caller); /* others ran meanwhile */
    if (status != FMM_OK || own == NULL) {
        return holdings_raise_lost(self, name);
    }
    own->depth++;
    return 1;
}

/* Callers begin at different permits: each finds a free one soon. */
static Py_ssize_t
next_turn(struct holdings_object *self, Py_ssize_t count)
{
    self->turn = self->turn * UINT64_C(6364136223846793005) +
                 UINT64_C(1442695040888963407);
    return (Py_ssize_t)((self->turn >> 33) % (uint64_t)count);
}

int
holdings_take(struct holdings_object *self, PyObject *caller,
              uint64_t duration_ms, PyObject *name)
{
    Py_ssize_t count = PyTuple_GET_SIZE(self->keys);
    struct holding *own =
        self->kind == KIND_RLOCK ? find_own(self, caller) : NULL;
    int taken = 0;
    if (own != NULL) {
        return take_again(self, own, caller, name);
    }
    Py_ssize_t first = next_turn(self, count);
    for (Py_ssize_t i = 0; i < count && taken == 0; i++) {
        PyObject *key = PyTuple_GET_ITEM(self->keys, (first + i) % count);
        taken = take_key(self, key, caller, duration_ms, name);
    }
    return taken;
}

/* -------------------------------------------------------------- giving back */

bool
holdings_give_back(struct holdings_object *self, struct holding *holding)
{
    if (--holding->depth > 0) {
        return true;
    }
    bool current = is_current(self->cache, holding);
    unlink_one(self, holding);
    bool there = holding_release(self->cache->state, holding);
    holding_free(self->cache->state, holding);
    return there && current;
}

bool
holdings_forget_inherited(struct holdings_object *self)
{
    struct holding *h = self->first;
    while (h != NULL && holding_is_mine(h)) {
        h = h->next;
    }
    if (h == NULL) {
        return false;
    }
    unlink_one(self, h);
    holding_free(self->cache->state, h);
    return true;
}

/* --------------------------------------------------------------- its life */

static int
holdings_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static const char *const list[] = {"cache", "keys", "kind", NULL};
    struct holdings_object *self = holdings_of(object);
    struct module_state *state = state_of_type(Py_TYPE(object));
    struct cache_object *cache;
    PyObject *keys;
    int kind;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!O!i:Holdings", (char **)(uintptr_t)list,
            state->keyspace_type, &cache, &PyTuple_Type, &keys, &kind)) {
        return -1;
    }
    if (self->cache != NULL || PyTuple_GET_SIZE(keys) == 0 ||
        kind < KIND_LOCK || kind > KIND_SEMAPHORE) {
        PyErr_SetString(PyExc_TypeError, "expected keys, and a kind, once");
        return -1;
    }
    self->cache = (struct cache_object *)Py_NewRef((PyObject *)cache);
    self->keys = Py_NewRef(keys);
    self->kind = (enum lock_kind)kind;
    self->turn = (uint64_t)(uintptr_t)self ^ fmm_now_ms();
    return 0;
}

/* What all that share it are found by. */
static PyObject *
place_of(PyObject *args)
{
    PyObject *cache = PyTuple_GET_ITEM(args, 0);
    PyObject *keys = PyTuple_GET_ITEM(args, 1);
    return Py_BuildValue("NO", PyLong_FromVoidPtr(cache), keys);
}

/* Make one, and let others find it: the table does not own it. */
static PyObject *
make_shared(struct module_state *state, PyObject *args, PyObject *place)
{
    PyObject *made =
        PyObject_CallObject((PyObject *)state->holdings_type, args);
    PyObject *address = made != NULL ? PyLong_FromVoidPtr(made) : NULL;
    if (address == NULL || PyDict_SetItem(state->shared, place, address) < 0) {
        Py_CLEAR(made);
    }
    else {
        holdings_of(made)->place = Py_NewRef(place);
    }
    Py_XDECREF(address);
    return made;
}

METHOD_DOC(holdings_share_doc,
"share($module, cache, keys, kind, /)\n\
--\n\
\n\
Return the Holdings that all locks of these keys share while there are any.");

PyObject *
holdings_share(PyObject *module, PyObject *args)
{
    struct module_state *state = PyModule_GetState(module);
    PyObject *cache, *keys;
    int kind;
    if (!PyArg_ParseTuple(args, "O!O!i:share", state->keyspace_type, &cache,
                          &PyTuple_Type, &keys, &kind)) {
        return NULL;
    }
    PyObject *place = place_of(args);
    PyObject *found =
        place != NULL ? PyDict_GetItemWithError(state->shared, place) : NULL;
    if (found != NULL) {
        found = Py_NewRef((PyObject *)PyLong_AsVoidPtr(found));
    }
    else if (!PyErr_Occurred()) {
        found = make_shared(state, args, place);
    }
    Py_XDECREF(place);
    return found;
}

/* Nobody is to find it any more. */
static void
leave_table(struct holdings_object *self)
{
    PyObject *place = self->place;
    self->place = NULL;
    if (place != NULL) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        if (self->cache->state->shared != NULL) {
            PyDict_DelItem(self->cache->state->shared, place);
        }
        PyErr_Restore(type, value, traceback);
        Py_DECREF(place);
    }
}

static int
holdings_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct holdings_object *self = holdings_of(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->cache);
    Py_VISIT(self->keys);
    for (const struct holding *h = self->first; h != NULL; h = h->next) {
        Py_VISIT(h->caller);
    }
    return 0;
}

/* What was not given back is now: nobody else could. */
static int
holdings_clear(PyObject *object)
{
    struct holdings_object *self = holdings_of(object);
    struct holding *h;
    leave_table(self);
    while ((h = self->first) != NULL) {
        self->first = h->next;
        holding_free(self->cache->state, h);
    }
    Py_CLEAR(self->cache);
    return 0;
}

static void
holdings_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    holdings_clear(object);
    Py_CLEAR(holdings_of(object)->keys);
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(holdings_doc,
"Holdings(cache, keys, kind)\n\
--\n\
\n\
What this process holds of a lock: kind 0, of an RLock: 1, or of a\n\
semaphore: 2, which has as many permits as there are keys.");

static PyType_Slot holdings_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)holdings_doc},
    {Py_tp_init, holdings_init},
    {Py_tp_traverse, holdings_traverse},
    {Py_tp_clear, holdings_clear},
    {Py_tp_dealloc, holdings_dealloc},
    {0, NULL},
};

PyType_Spec holdings_spec = {
    .name = "fastmmap._core.Holdings",
    .basicsize = sizeof(struct holdings_object),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = holdings_slots,
};
