#include "py_known_keys.h"

#include <string.h>

#define WAYS 8u         /* slots of a set */
#define SLOTS_MIN 64u   /* of a table */
#define SLOTS_MAX 4096u /* most programs ask for fewer at a time */
#define TEXT_MAX 512    /* longer texts are not kept alive */
#define DEPTH_MAX 4     /* of tuples in tuples */
#define HASH_FACTOR UINT64_C(0x9E3779B97F4A7C15)

struct known_call {
    PyObject *key;
    PyObject *names;    /* of the last arguments, a tuple; NULL: none */
    Py_ssize_t count;   /* of all arguments */
    PyObject *values[]; /* NULL: ignored */
};

/* --------------------------------------------------------------- arguments */

static Py_ssize_t
names_count(PyObject *names)
{
    return names != NULL ? PyTuple_GET_SIZE(names) : 0;
}

static bool
is_ignored(const struct known_keys *self, const struct args *args,
           Py_ssize_t i)
{
    return i < args->count && i < 64 && (self->ignored >> i & 1) != 0;
}

static bool
is_known_type(PyObject *value, int depth)
{
    if (PyUnicode_CheckExact(value) || PyLong_CheckExact(value) ||
        value == Py_None || PyFloat_CheckExact(value) || PyBool_Check(value) ||
        PyBytes_CheckExact(value)) {
        return true;
    }
    if (!PyTuple_CheckExact(value) || depth == DEPTH_MAX) {
        return false;
    }
    Py_ssize_t i = 0, count = PyTuple_GET_SIZE(value);
    while (i < count && is_known_type(PyTuple_GET_ITEM(value, i), depth + 1)) {
        i++;
    }
    return i == count;
}

/* Whether it is worth keeping. */
static bool
is_short(PyObject *value)
{
    if (PyUnicode_CheckExact(value)) {
        return PyUnicode_GET_LENGTH(value) <= TEXT_MAX;
    }
    if (PyBytes_CheckExact(value)) {
        return PyBytes_GET_SIZE(value) <= TEXT_MAX;
    }
    if (PyLong_CheckExact(value)) {
        int overflow;
        PyLong_AsLongLongAndOverflow(value, &overflow);
        return overflow == 0;
    }
    if (!PyTuple_CheckExact(value)) {
        return true;
    }
    Py_ssize_t i = 0, count = PyTuple_GET_SIZE(value);
    while (i < count && is_short(PyTuple_GET_ITEM(value, i))) {
        i++;
    }
    return i == count && count <= TEXT_MAX / 8;
}

/* Of two values of known types: whether one can stand for the other. */
static bool
is_same(PyObject *a, PyObject *b)
{
    if (a == b) {
        return true;
    }
    if (Py_TYPE(a) != Py_TYPE(b)) {
        return false;
    }
    if (!PyTuple_CheckExact(a)) {
        return PyObject_RichCompareBool(a, b, Py_EQ) == 1;
    }
    Py_ssize_t i = 0, count = PyTuple_GET_SIZE(a);
    if (PyTuple_GET_SIZE(b) != count) {
        return false;
    }
    while (i < count &&
           is_same(PyTuple_GET_ITEM(a, i), PyTuple_GET_ITEM(b, i))) {
        i++;
    }
    return i == count;
}

bool
known_keys_hash(const struct known_keys *self, const struct args *args,
                uint64_t *hash_out)
{
    Py_ssize_t count = args->count + names_count(args->names);
    uint64_t hash = (uint64_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (is_ignored(self, args, i)) {
            continue;
        }
        if (!is_known_type(args->values[i], 0)) {
            return false;
        }
        hash = (hash ^ (uint64_t)PyObject_Hash(args->values[i])) * HASH_FACTOR;
        hash ^= hash >> 32;
    }
    *hash_out = hash;
    return true;
}

static bool
has_names(PyObject *known, PyObject *names)
{
    if (known == names) {
        return true;
    }
    return known != NULL && names != NULL && is_same(known, names);
}

static bool
is_of(const struct known_keys *self, const struct known_call *call,
      const struct args *args)
{
    Py_ssize_t i = 0, count = args->count + names_count(args->names);
    if (call->count != count || !has_names(call->names, args->names)) {
        return false;
    }
    while (i < count && (is_ignored(self, args, i) ||
                         is_same(call->values[i], args->values[i]))) {
        i++;
    }
    return i == count;
}

/* --------------------------------------------------------------- the table */

static struct known_slot *
set_of(const struct known_keys *self, uint64_t hash)
{
    return self->slots + (hash & (self->count / WAYS - 1)) * WAYS;
}

PyObject *
known_keys_find(const struct known_keys *self, const struct args *args,
                uint64_t hash)
{
    if (self->slots == NULL) {
        return NULL;
    }
    const struct known_slot *set = set_of(self, hash);
    for (size_t i = 0; i < WAYS && set[i].call != NULL; i++) {
        if (set[i].hash == hash && is_of(self, set[i].call, args)) {
            return set[i].call->key;
        }
    }
    return NULL;
}

static void
call_free(struct known_call *call)
{
    if (call != NULL) {
        for (Py_ssize_t i = 0; i < call->count; i++) {
            Py_XDECREF(call->values[i]);
        }
        Py_XDECREF(call->names);
        Py_DECREF(call->key);
        PyMem_Free(call);
    }
}

/* NULL without an exception: it is not worth keeping, or there is no memory. */
static struct known_call *
call_new(const struct known_keys *self, const struct args *args, PyObject *key)
{
    Py_ssize_t count = args->count + names_count(args->names);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!is_ignored(self, args, i) && !is_short(args->values[i])) {
            return NULL;
        }
    }
    struct known_call *call =
        PyMem_Calloc(1, sizeof(*call) + (size_t)count * sizeof(PyObject *));
    if (call != NULL) {
        call->key = Py_NewRef(key);
        call->names = Py_XNewRef(args->names);
        call->count = count;
        for (Py_ssize_t i = 0; i < count; i++) {
            call->values[i] =
                is_ignored(self, args, i) ? NULL : Py_NewRef(args->values[i]);
        }
    }
    return call;
}

/* The place for a new one of its set, the last; NULL: it is full. */
static struct known_slot *
free_slot(const struct known_keys *self, uint64_t hash)
{
    struct known_slot *set = self->slots != NULL ? set_of(self, hash) : NULL;
    for (size_t i = 0; set != NULL && i < WAYS; i++) {
        if (set[i].call == NULL) {
            return set + i;
        }
    }
    return NULL;
}

/* Have twice the slots. A set becomes two, so each has room for its own. False:
 * there may not be more, or there is no memory. */
static bool
grow(struct known_keys *self)
{
    struct known_keys grown = {.count = self->count * 2};
    if (self->count == 0) {
        grown.count = SLOTS_MIN;
    }
    if (grown.count <= SLOTS_MAX) {
        grown.slots = PyMem_Calloc(grown.count, sizeof(*grown.slots));
    }
    if (grown.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < self->count; i++) {
        if (self->slots[i].call != NULL) {
            *free_slot(&grown, self->slots[i].hash) = self->slots[i];
        }
    }
    PyMem_Free(self->slots);
    self->slots = grown.slots;
    self->count = grown.count;
    return true;
}

/* A slot for a new one, where another may be; NULL: there is no memory. */
static struct known_slot *
make_room(struct known_keys *self, uint64_t hash)
{
    struct known_slot *slot = free_slot(self, hash);
    while (slot == NULL && grow(self)) {
        slot = free_slot(self, hash);
    }
    if (slot == NULL && self->slots != NULL) {
        slot = set_of(self, hash) + self->turn++ % WAYS;
    }
    return slot;
}

void
known_keys_add(struct known_keys *self, const struct args *args, uint64_t hash,
               PyObject *key)
{
    struct known_slot *slot, old = {hash, call_new(self, args, key)};
    if (old.call != NULL && (slot = make_room(self, hash)) != NULL) {
        struct known_slot made = old;
        old = *slot;
        *slot = made;
    }
    call_free(old.call);
}

void
known_keys_clear(struct known_keys *self)
{
    for (size_t i = 0; i < self->count; i++) {
        call_free(self->slots[i].call);
    }
    PyMem_Free(self->slots);
    self->slots = NULL;
    self->count = 0;
}
