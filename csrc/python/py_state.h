/* What the module owns: types, exceptions, Python helpers, the clock's shift.
 *
 * One per interpreter. Guarded by the GIL. */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "fmm.h"

/* PyDoc_STRVAR() of a function that another file lists among the methods of a
 * type, or the functions of the module. */
#define METHOD_DOC(name, text) const char name[] = PyDoc_STR(text)

struct holding;

struct module_state {
    PyTypeObject *keyspace_type, *cache_type, *item_type, *scanner_type;
    PyTypeObject *lease_type, *holdings_type, *acquirable_type;
    PyTypeObject *acquiring_type, *counts_type, *memoized_type;
    PyTypeObject *limiter_type;
    /* fastmmap.errors */
    PyObject *error, *format_error, *version_error, *corrupt_error;
    PyObject *lock_error, *lock_timeout, *lock_lost, *closed_error;
    PyObject *page_busy;
    /* fastmmap.types */
    PyObject *entry, *store, *keep, *get_and_set_result, *remove_result;
    /* Functions of the package and of pickle. */
    PyObject *pickle_dumps, *pickle_loads, *pickle_protocol;
    PyObject *pickle_keywords, *unpickle_keywords; /* of the two, tuples */
    PyObject *join_pickle;
    PyObject *dump_int, *load_int;
    PyObject *lifetime_ms;
    PyObject *log_failure, *log_orphan, *log_nameless, *log_kept,
        *log_progress, *log_other_version;
    PyObject *log_notice;
    PyObject *unsupported; /* io.UnsupportedOperation */
    PyObject *tell_unreadable, *is_of_signal;
    /* Leases that were given back, and may not have ended for sure. */
    struct holding *unsure;
    /* Where the holdings of RLocks are, by cache and keys: a dict. */
    PyObject *shared;
    /* Interned names, by which py_caller.c finds modules and what is in
     * them. */
    PyObject *trio, *threading, *get_ident, *asyncio, *current_task;
    PyObject *running_loop, *current_tasks;
    /* What is in the module, borrowed; the function now_ns() of it, which
     * tests replace, and its name. */
    PyObject *dict, *now_ns, *now_ns_name;
    /* Who waits in C for a lock of fastmmap.sync, and the fork count then. */
    size_t waiters;
    uint64_t waiters_forks;
    /* How far this process's idea of now is off, for tests. */
    int64_t travel_ms;
};

/* The name in the definition of the module. */
extern const char state_module_name[];
/* The state of the module that `type`, or a base of it, belongs to. */
struct module_state *state_of_type(PyTypeObject *type);

/* Types, made by py_module.c from these. */
extern PyType_Spec keyspace_spec, cache_spec, item_spec, scanner_spec;
extern PyType_Spec lease_spec, holdings_spec, acquirable_spec, acquiring_spec;
extern PyType_Spec counts_spec, memoized_spec, limiter_spec;
