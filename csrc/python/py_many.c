/* The values of many keys, each from its own page.
 *
 * A lookup waits for memory twice, for the index and for the entry. So some
 * keys are taken together: all of their lines are on the way before the first
 * is read, and the waits are one. */
#include "py_args.h"
#include "py_methods.h"
#include "py_read.h"
#include "py_unreadable.h"

#define TOGETHER 16

/* Some keys of an iterator. */
struct some_keys {
    PyObject *objects[TOGETHER];
    struct fmm_key keys[TOGETHER];
    int count;
};

static void
drop_keys(struct some_keys *some)
{
    for (int i = 0; i < some->count; i++) {
        Py_DECREF(some->objects[i]);
    }
}

/* Take the next keys. Returns 0, or -1 with an exception; drop_keys() is the
 * caller's in any case. */
static int
take_keys(const struct cache_object *self, PyObject *iterator,
          struct some_keys *some)
{
    PyObject *object;
    some->count = 0;
    while (some->count < TOGETHER &&
           (object = PyIter_Next(iterator)) != NULL) {
        some->objects[some->count++] = object;
        if (op_set_key(self, object, &some->keys[some->count - 1]) < 0) {
            return -1;
        }
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* Ask for their entries: the index is there by now. For one it is no use. */
static void
fetch_entries(const struct cache_object *self, const struct some_keys *some)
{
    const struct mapping *map = self->root->map;
    if (map == NULL || some->count < 2) {
        return;
    }
    for (int i = 0; i < some->count; i++) {
        fmm_key_fetch(map->cache, &some->keys[i]);
    }
}

/* Put the values of those that have one into the dict. */
static int
collect(struct cache_object *self, const struct some_keys *some,
        PyObject *result)
{
    PyObject *value;
    int found = 0;
    for (int i = 0; i < some->count && found >= 0; i++) {
        found = read_hashed(self, some->objects[i], &some->keys[i], &value);
        if (found > 0) {
            found = PyDict_SetItem(result, some->objects[i], value);
            Py_DECREF(value);
        }
        else if (found == READ_UNDECODED &&
                 unreadable_tell(self, some->objects[i], "left out") > 0) {
            PyErr_Clear();
            found = 0;
        }
    }
    return found < 0 ? -1 : 0;
}

/* The same for all keys of an iterator. */
static int
collect_all(struct cache_object *self, PyObject *iterator, PyObject *result)
{
    struct some_keys some;
    int done;
    do {
        done = take_keys(self, iterator, &some);
        if (done == 0) {
            fetch_entries(self, &some);
            done = collect(self, &some, result);
        }
        drop_keys(&some);
    } while (done == 0 && some.count == TOGETHER);
    return done;
}

static const char *const keys_names[] = {"keys", NULL};
static const struct args_spec many_spec = {"get_many", keys_names, 1, 1};

METHOD_DOC(cache_get_many_doc,
"get_many($self, /, keys)\n\
--\n\
\n\
Return the values of many keys; never calls ``read_cb``.\n\
\n\
Each key is read by itself, after `keys` has yielded it and up to fifteen\n\
more.\n\
\n\
Args:\n\
    keys: Iterable of str and bytes.\n\
\n\
Returns:\n\
    A dict of those that were found and can be read.\n\
\n\
Raises:\n\
    TypeError: A key is of another type.");

PyObject *
cache_get_many(struct cache_object *self, PyObject *const *values,
               Py_ssize_t count, PyObject *names)
{
    PyObject *keys = NULL;
    if (args_parse(&many_spec, &(struct args){values, count, names}, &keys) <
        0) {
        return NULL;
    }
    PyObject *iterator = PyObject_GetIter(keys);
    PyObject *result = iterator != NULL ? PyDict_New() : NULL;
    if (result != NULL && collect_all(self, iterator, result) < 0) {
        Py_CLEAR(result);
    }
    Py_XDECREF(iterator);
    return result;
}
