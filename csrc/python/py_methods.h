/* The methods of _core.Keyspace and _core.Cache, with their docstrings, which
 * stand beside them: py_keyspace_type.c and py_cache_type.c list them. */
#pragma once

#include "py_cache.h"

#define DECLARE_METHOD(name)                                           \
    extern const char name##_doc[];                                    \
    PyObject *name(struct cache_object *self, PyObject *const *values, \
                   Py_ssize_t count, PyObject *names)

/* The same, of one that is called with a tuple, one argument, or none. */
#define DECLARE_PLAIN_METHOD(name)  \
    extern const char name##_doc[]; \
    PyObject *name(PyObject *self, PyObject *argument)

/* An entry of a list of methods. */
#define FAST_METHOD(name)                                     \
    {                                                         \
#name, (PyCFunction)(void (*)(void))cache_##name,     \
            METH_FASTCALL | METH_KEYWORDS, cache_##name##_doc \
    }

/* py_get.c */
DECLARE_METHOD(cache_get);
DECLARE_METHOD(cache_exists);
DECLARE_METHOD(cache_ttl);
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

/* py_get_or_set.c */
DECLARE_METHOD(cache_get_or_set);

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
DECLARE_PLAIN_METHOD(cache_read_tags);
DECLARE_PLAIN_METHOD(cache_invalidate_tag);

/* py_lease.c */
DECLARE_PLAIN_METHOD(cache_lease_peek);

/* py_waits.c */
DECLARE_PLAIN_METHOD(cache_wait_publish);
DECLARE_PLAIN_METHOD(cache_wait_look);
DECLARE_PLAIN_METHOD(cache_wait_end);

/* py_held_key.c, py_item.c */
DECLARE_METHOD(cache_get_and_set);
DECLARE_METHOD(cache_lock);

/* py_scan.c, py_pages.c */
PyObject *cache_iter(PyObject *self);
DECLARE_PLAIN_METHOD(cache_scan);
Py_ssize_t cache_length(PyObject *self);
DECLARE_PLAIN_METHOD(cache_clear);
DECLARE_PLAIN_METHOD(cache_purge);
DECLARE_METHOD(cache_empty);
DECLARE_PLAIN_METHOD(cache_flush);
DECLARE_METHOD(cache_get_statistics);
DECLARE_PLAIN_METHOD(cache_stats);
DECLARE_PLAIN_METHOD(cache_check_page);
DECLARE_PLAIN_METHOD(cache_page_stats);
DECLARE_PLAIN_METHOD(cache_info);

/* py_clients.c */
DECLARE_PLAIN_METHOD(cache_clients);

/* The work of empty(), also due at exit. Returns -1 with an exception. */
int pages_empty(struct cache_object *self, bool only_expired,
                uint64_t *dropped);
