#include "py_near.h"

#include <string.h>

#define LINE 64u            /* bytes, of memory as processors have it */
#define SHARE_OF_SETS 2u    /* of the budget, at most for the table */
#define SHARE_OF_ONE 32u    /* the same for one object */
#define CALM 4u             /* after something kept has changed */
#define DRAWS 16u           /* one of so many is kept where all is full */
#define STEPS 32u           /* sets that the hand passes at most */
#define RESERVE 512u        /* bytes; with fewer left all is full */
#define FACTOR_OF_OBJECTS 4 /* memory of an object, by that of its bytes */

/* ------------------------------------------------------------------ its life */

#define SET_SIZE \
    (sizeof(struct near_set) + NEAR_WAYS * sizeof(struct near_way))

static inline struct near_way *
way_of(const struct near *near, const struct near_set *set, uint32_t way)
{
    return &near->ways[(size_t)(set - near->sets) * NEAR_WAYS + way];
}

/* The largest power of two that the budget has room for. */
static uint64_t
sets_for(size_t budget)
{
    uint64_t sets = 1;
    while (sets * 2 * SET_SIZE <= budget / SHARE_OF_SETS) {
        sets *= 2;
    }
    return sets;
}

/* What was taken out of a table, to be freed when nothing of it is half done:
 * that may run code of Python. */
struct leavings {
    PyObject *objects[2 * (NEAR_WAYS * STEPS + 2)];
    size_t count;
};

static void
take_out(struct near *near, struct near_set *set, uint32_t way,
         struct leavings *out)
{
    struct near_way *one = way_of(near, set, way);
    if (one->key == NULL) {
        return;
    }
    out->objects[out->count++] = one->key;
    out->objects[out->count++] = one->value;
    near->used -= one->charge;
    one->key = one->value = NULL;
    set->hashes[way] = 0;
    set->used &= (uint8_t) ~(1u << way);
}

static void
drop(struct leavings *out)
{
    while (out->count > 0) {
        Py_DECREF(out->objects[--out->count]);
    }
}

/* What code of Python brings into the table meanwhile may go or stay. */
void
near_clear(struct near *near)
{
    for (uint64_t i = 0; near->sets != NULL && i <= near->mask; i++) {
        struct leavings out = {.count = 0};
        for (uint32_t way = 0; way < NEAR_WAYS; way++) {
            take_out(near, &near->sets[i], way, &out);
        }
        near->sets[i].noted = 0;
        drop(&out);
    }
}

void
near_close(struct near *near)
{
    struct near closed = *near;
    *near = (struct near){.sets = NULL};
    near_clear(&closed);
    PyMem_Free(closed.memory);
}

void
near_open(struct near *near, size_t budget)
{
    uint64_t sets = sets_for(budget);
    size_t bytes = sets * SET_SIZE;
    void *memory = bytes <= budget ? PyMem_Calloc(1, bytes + LINE) : NULL;
    struct near old = *near;
    *near = (struct near){.sets = NULL};
    if (memory != NULL) {
        uintptr_t at = ((uintptr_t)memory + LINE - 1) & ~(uintptr_t)(LINE - 1);
        near->ways = (struct near_way *)at;
        near->sets = (struct near_set *)(near->ways + sets * NEAR_WAYS);
        near->memory = memory;
        near->mask = sets - 1;
        near->budget = budget;
        near->used = bytes;
    }
    near_close(&old);
}

int
near_traverse(const struct near *near, visitproc visit, void *arg)
{
    for (uint64_t i = 0; near->sets != NULL && i <= near->mask; i++) {
        for (uint32_t way = 0; way < NEAR_WAYS; way++) {
            const struct near_way *one = &near->ways[i * NEAR_WAYS + way];
            if (one->shared) {
                Py_VISIT(one->value);
            }
        }
    }
    return 0;
}

/* ----------------------------------------------------------------- a question */

/* Whether two keys, exact ones, are one. */
static bool
is_same_key(PyObject *a, PyObject *b)
{
    if (a == b) {
        return true;
    }
    if (Py_TYPE(a) != Py_TYPE(b)) {
        return false;
    }
    if (PyBytes_CheckExact(a)) {
        return PyBytes_GET_SIZE(a) == PyBytes_GET_SIZE(b) &&
               memcmp(PyBytes_AS_STRING(a), PyBytes_AS_STRING(b),
                      (size_t)PyBytes_GET_SIZE(a)) == 0;
    }
    size_t length = (size_t)PyUnicode_GET_LENGTH(a);
    size_t kind = (size_t)PyUnicode_KIND(a);
    return (size_t)PyUnicode_GET_LENGTH(b) == length &&
           (size_t)PyUnicode_KIND(b) == kind &&
           memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b), length * kind) == 0;
}

/* The way of a key; NEAR_WAYS: it is not kept. */
static inline uint32_t
find_way(const struct near *near, const struct near_set *set,
         const struct near_ask *ask)
{
    for (uint32_t way = 0; way < NEAR_WAYS; way++) {
        const struct near_way *one = way_of(near, set, way);
        if (set->hashes[way] == ask->hash && one->key != NULL &&
            one->scoped == ask->scoped && is_same_key(one->key, ask->key)) {
            return way;
        }
    }
    return NEAR_WAYS;
}

/* What is kept is not there any more. */
FMM_COLD static void
forget(struct near *near, struct near_set *set, uint32_t way)
{
    struct leavings out = {.count = 0};
    take_out(near, set, way, &out);
    set->calm = CALM;
    drop(&out);
}

/* The number that an object stands for, which the file may have changed. */
static int64_t
integer_of(const struct near_way *one)
{
    return FMM_UNLIKELY(one->place.is_integer) ? PyLong_AsLongLong(one->value)
                                               : 0;
}

FMM_FLATTEN PyObject *
near_serve(struct near *near, struct fmm_cache *cache,
           const struct fmm_call *call, const struct near_ask *ask)
{
    struct near_set *set = near_set_of(near, ask->hash);
    uint32_t way = find_way(near, set, ask);
    if (FMM_UNLIKELY(way == NEAR_WAYS)) {
        return NULL;
    }
    const struct near_way *one = way_of(near, set, way);
    if (FMM_UNLIKELY(one->shared && !ask->share)) {
        return NULL;
    }
    if (FMM_UNLIKELY(
            !fmm_see_again(cache, call, &one->place, integer_of(one)))) {
        forget(near, set, way);
        return NULL;
    }
    if ((set->used >> way & 1u) == 0) {
        set->used |= (uint8_t)(1u << way);
    }
    return Py_NewRef(one->value);
}

/* -------------------------------------------------------------------- keeping */

static bool
has_room(const struct near *near, const struct near_set *set)
{
    return near->used + RESERVE <= near->budget &&
           (way_of(near, set, 0)->key == NULL ||
            way_of(near, set, 1)->key == NULL ||
            way_of(near, set, 2)->key == NULL);
}

/* Where something has to go for it, few are kept: keys that are asked for in
 * turn, more than there is room for, would all be kept in vain. */
FMM_COLD bool
near_wants(struct near *near, struct near_set *set)
{
    set->noted = 0;
    set->patience = 0;
    if (set->calm != 0) {
        set->calm--;
        return false;
    }
    return has_room(near, set) || near->draw++ % DRAWS == 0;
}

/* Whether nobody can change it. */
static bool
is_fixed(PyObject *value)
{
    return PyBytes_CheckExact(value) || PyUnicode_CheckExact(value) ||
           PyFloat_CheckExact(value) || PyLong_CheckExact(value) ||
           PyBool_Check(value) || value == Py_None;
}

/* The memory of a str or bytes object, about. */
static size_t
text_size(PyObject *text)
{
    if (PyBytes_CheckExact(text)) {
        return sizeof(PyBytesObject) + 15 + (size_t)PyBytes_GET_SIZE(text);
    }
    return sizeof(PyASCIIObject) + 15 +
           (size_t)PyUnicode_GET_LENGTH(text) * (size_t)PyUnicode_KIND(text);
}

/* The same of a key and its value. */
static size_t
charge_of(const struct near_ask *ask, PyObject *value, size_t value_len)
{
    size_t charge = text_size(ask->key);
    if (PyBytes_CheckExact(value) || PyUnicode_CheckExact(value)) {
        return charge + text_size(value);
    }
    return charge + LINE +
           (is_fixed(value) ? 0 : FACTOR_OF_OBJECTS * value_len);
}

/* Let those go that had no hit since the hand came by. */
static bool
make_room(struct near *near, size_t charge, struct leavings *out)
{
    for (uint32_t i = 0; near->used + charge > near->budget && i < STEPS;
         i++) {
        struct near_set *set = &near->sets[near->hand++ & near->mask];
        uint8_t used = set->used;
        for (uint32_t way = 0; way < NEAR_WAYS; way++) {
            if ((used >> way & 1u) == 0) {
                take_out(near, set, way, out);
            }
        }
        set->used = 0;
    }
    return near->used + charge <= near->budget;
}

/* The way of a new one: its own, a free one, or that of the next in turn without
 * a hit since its last. */
static uint32_t
choose_way(const struct near *near, struct near_set *set,
           const struct near_ask *ask)
{
    uint32_t way = find_way(near, set, ask);
    for (uint32_t i = 0; i < NEAR_WAYS && way == NEAR_WAYS; i++) {
        way = way_of(near, set, i)->key == NULL ? i : NEAR_WAYS;
    }
    while (way == NEAR_WAYS) {
        uint32_t next = set->turn++ % NEAR_WAYS;
        way = (set->used >> next & 1u) == 0 ? next : NEAR_WAYS;
        set->used &= (uint8_t) ~(1u << next);
    }
    return way;
}

static void
put(struct near *near, const struct near_ask *ask, uint32_t way,
    const struct near_way *one)
{
    struct near_set *set = near_set_of(near, ask->hash);
    Py_INCREF(one->key);
    Py_INCREF(one->value);
    *way_of(near, set, way) = *one;
    set->hashes[way] = ask->hash;
    near->used += one->charge;
}

FMM_COLD void
near_keep(struct near *near, const struct near_ask *ask,
          const struct fmm_sighting *place, PyObject *value, size_t value_len)
{
    size_t charge = charge_of(ask, value, value_len);
    struct leavings out = {.count = 0};
    if (place->word == 0 || charge > near->budget / SHARE_OF_ONE ||
        (!ask->share && !is_fixed(value))) {
        return;
    }
    const struct near_way one = {
        .key = ask->key,
        .value = value,
        .place = *place,
        .charge = (uint32_t)charge,
        .shared = !is_fixed(value),
        .scoped = ask->scoped,
    };
    struct near_set *set = near_set_of(near, ask->hash);
    uint32_t way = choose_way(near, set, ask);
    take_out(near, set, way, &out);
    if (make_room(near, charge, &out)) {
        put(near, ask, way, &one);
    }
    drop(&out);
}
