/* What the module owns: types, exceptions, Python helpers, the clock's shift.
 *
 * One per interpreter. Guarded by the GIL. */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "fmm.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
/* Inline all that the function calls, the core's part too where the linker
 * optimizes. For the calls of every day. */
#define FLATTEN __attribute__((flatten))
/* Stays a call, even there. */
#define NOINLINE __attribute__((noinline))
/* The rare long branch: a call, and out of the way. */
#define COLD __attribute__((cold, noinline))

/* PyDoc_STRVAR() of a function that another file lists among the methods of a
 * type, or the functions of the module. */
#define METHOD_DOC(name, text) const char name[] = PyDoc_STR(text)

struct holding;

struct module_state {
    PyTypeObject *space_type, *cache_type, *item_type, *scanner_type;
    PyTypeObject *lease_type, *holdings_type, *acquirable_type;
    PyTypeObject *acquiring_type;
    /* fastmmap.errors */
    PyObject *error, *format_error, *corrupt_error;
    PyObject *lock_error, *lock_timeout, *lock_lost, *closed_error;
    /* fastmmap.types */
    PyObject *entry, *store, *keep, *get_and_set_result, *remove_result;
    /* Functions of the package and of pickle. */
    PyObject *pickle_dumps, *pickle_loads, *pickle_protocol;
    PyObject *dump_int, *load_int;
    PyObject *lifetime_ms;
    PyObject *log_failure, *log_orphan, *log_nameless;
    PyObject *tell_unreadable;
    /* Leases that were given back, and may not have ended for sure. */
    struct holding *unsure;
    /* Where the holdings of RLocks are, by cache and keys: a dict. */
    PyObject *shared;
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
extern PyType_Spec space_spec, cache_spec, item_spec, scanner_spec;
extern PyType_Spec lease_spec, holdings_spec, acquirable_spec, acquiring_spec;
