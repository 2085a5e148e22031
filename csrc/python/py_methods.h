/* The methods of _core.Keyspace and _core.Cache: py_space.c and py_cache.c
 * list them, py_docs.h documents them. */
#pragma once

#include "py_cache.h"

#define DECLARE_METHOD(name)                                           \
    PyObject *name(struct cache_object *self, PyObject *const *values, \
                   Py_ssize_t count, PyObject *names)

/* An entry of a list of methods. */
#define FAST_METHOD(name)                                 \
    {                                                     \
#name, (PyCFunction)(void (*)(void))cache_##name, \
            METH_FASTCALL | METH_KEYWORDS, name##_doc     \
    }

/* py_read.c */
DECLARE_METHOD(cache_get);
DECLARE_METHOD(cache_exists);
DECLARE_METHOD(cache_get_entry);
DECLARE_METHOD(cache_get_many);
PyObject *cache_subscript(PyObject *self, PyObject *key);
int cache_contains(PyObject *self, PyObject *key);

/* py_store.c */
DECLARE_METHOD(cache_set);
DECLARE_METHOD(cache_add);
DECLARE_METHOD(cache_replace);
DECLARE_METHOD(cache_set_many);
DECLARE_METHOD(cache_setdefault);
int cache_assign(struct cache_object *self, PyObject *key, PyObject *value);

/* py_change.c */
DECLARE_METHOD(cache_incr);
DECLARE_METHOD(cache_decr);
DECLARE_METHOD(cache_touch);

/* py_unreadable.c */
DECLARE_METHOD(cache_find);

/* py_remove.c */
DECLARE_METHOD(cache_remove);
DECLARE_METHOD(cache_get_and_remove);
DECLARE_METHOD(cache_pop);
DECLARE_METHOD(cache_delete_many);
DECLARE_METHOD(cache_expire);
int cache_delete(struct cache_object *self, PyObject *key);

/* py_multi.c */
DECLARE_METHOD(cache_multi_get);
DECLARE_METHOD(cache_multi_set);

/* py_tags.c */
PyObject *cache_read_tags(PyObject *self, PyObject *tags);
PyObject *cache_invalidate_tag(PyObject *self, PyObject *tag);

/* py_lease.c */
PyObject *cache_lease_peek(PyObject *self, PyObject *args);

/* py_waits.c */
PyObject *cache_wait_publish(PyObject *self, PyObject *args);
PyObject *cache_wait_look(PyObject *self, PyObject *token);
PyObject *cache_wait_end(PyObject *self, PyObject *token);

/* py_lock.c, py_item.c */
DECLARE_METHOD(cache_get_and_set);
DECLARE_METHOD(cache_lock);

/* py_scan.c, py_pages.c */
PyObject *cache_iter(PyObject *self);
PyObject *cache_scan(PyObject *self, PyObject *mode);
Py_ssize_t cache_length(PyObject *self);
PyObject *cache_clear(PyObject *self, PyObject *ignored);
PyObject *cache_purge(PyObject *self, PyObject *ignored);
DECLARE_METHOD(cache_empty);
PyObject *cache_flush(PyObject *self, PyObject *ignored);
DECLARE_METHOD(cache_get_statistics);
PyObject *cache_stats(PyObject *self, PyObject *ignored);
PyObject *cache_check_page(PyObject *self, PyObject *args);
PyObject *cache_info(PyObject *self, PyObject *ignored);
/* The work of empty(), also due at exit. Returns -1 with an exception. */
int pages_empty(struct cache_object *self, bool only_expired,
                uint64_t *dropped);
