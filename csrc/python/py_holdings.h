/* What this process holds of one lock: the type _core.Holdings.
 *
 * A lock has it to itself; RLocks of one name and cache object share one. */
#pragma once

#include "py_holding.h"

enum lock_kind { KIND_LOCK, KIND_RLOCK, KIND_SEMAPHORE };

struct holdings_object {
    PyObject_HEAD struct cache_object *cache; /* owned; NULL before __init__ */
    PyObject *keys;        /* a tuple of str: one for each permit */
    struct holding *first; /* those that were taken, in that order */
    enum lock_kind kind;
    uint64_t turn;   /* where the next look for a free permit begins */
    PyObject *place; /* where it is shared; NULL: nowhere */
};

/* Those of an RLock that all its objects share, by cache object and key; made
 * where there are none. A new reference, or NULL with an exception. */
extern const char holdings_share_doc[];
PyObject *holdings_share(PyObject *module, PyObject *args);

/* Take a permit for a caller that lasts so long. Returns 1: it has it; 0:
 * others have them all; or -1 with an exception, which for a key that is not
 * to be had speaks of a lock of that name. */
int holdings_take(struct holdings_object *self, PyObject *caller,
                  uint64_t duration_ms, PyObject *name);
/* What is given back next: the caller's own, or, but for RLocks, any of this
 * process. `caller` NULL: it could not be told, this thread's then. */
struct holding *holdings_find(const struct holdings_object *self,
                              PyObject *caller);
/* The first of this process, whoever has it. */
struct holding *holdings_find_any(const struct holdings_object *self);
/* How many this process has. */
Py_ssize_t holdings_count(const struct holdings_object *self);
/* Give one of them back, or one time of it. False: it was lost before. */
bool holdings_give_back(struct holdings_object *self, struct holding *holding);
/* Forget one that a parent of this process holds. False: there is none. */
bool holdings_forget_inherited(struct holdings_object *self);
/* Raise LockLost for a lock of that name. Returns -1. */
int holdings_raise_lost(const struct holdings_object *self, PyObject *name);
