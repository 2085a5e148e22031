/* The module _core: its state, types and functions. */
#include "py_attempt.h"
#include "py_cache.h"

#include "py_holdings.h"
#include "py_lease.h"
#include "py_scan.h"

static struct module_state *
state_of_module(PyObject *module)
{
    return PyModule_GetState(module);
}

/* ------------------------------------------------------------- functions */

PyDoc_STRVAR(core_sweep_doc,
"sweep($module, path, /)\n\
--\n\
\n\
Remove a cache file that no process has open.\n\
\n\
Args:\n\
    path: Path of the file.\n\
\n\
Returns:\n\
    Whether it was removed.");

static PyObject *
core_sweep(PyObject *Py_UNUSED(module), PyObject *path)
{
    PyObject *bytes;
    if (!PyUnicode_FSConverter(path, &bytes)) {
        return NULL;
    }
    bool removed = fmm_sweep(PyBytes_AS_STRING(bytes));
    Py_DECREF(bytes);
    return PyBool_FromLong(removed);
}

PyDoc_STRVAR(core_get_travel_doc,
"get_travel($module, /)\n\
--\n\
\n\
Return how far this process's idea of now is ahead, in milliseconds.");

static PyObject *
core_get_travel(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLongLong(state_of_module(module)->travel_ms);
}

PyDoc_STRVAR(core_set_travel_doc,
"set_travel($module, ms, /)\n\
--\n\
\n\
Set how far this process's idea of now is ahead, in milliseconds.");

static PyObject *
core_set_travel(PyObject *module, PyObject *ms)
{
    long long travel = PyLong_AsLongLong(ms);
    if (travel == -1 && PyErr_Occurred()) {
        return NULL;
    }
    state_of_module(module)->travel_ms = travel;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(core_monotonic_doc,
"monotonic($module, /)\n\
--\n\
\n\
Return seconds of a clock that never jumps and that nothing replaces.");

/* Clocks of our own: tests of users replace those of the module time. */
static PyObject *
core_monotonic(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyFloat_FromDouble((double)fmm_monotonic_ns() / 1e9);
}

PyDoc_STRVAR(core_now_doc,
"now($module, /)\n\
--\n\
\n\
Return seconds since 1970, as this process's caches have them.");

static PyObject *
core_now(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    int64_t travel_ms = state_of_module(module)->travel_ms;
    return PyFloat_FromDouble((double)((int64_t)fmm_now_ms() + travel_ms) /
                              1000.0);
}

PyDoc_STRVAR(core_now_ns_doc,
"now_ns($module, /)\n\
--\n\
\n\
Return nanoseconds since 1970, as this process's caches have them.");

static PyObject *
core_now_ns(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    int64_t travel_ms = state_of_module(module)->travel_ms;
    return PyLong_FromLongLong((long long)fmm_now_ns() + travel_ms * 1000000);
}

PyDoc_STRVAR(core_get_waiters_doc,
"get_waiters($module, /)\n\
--\n\
\n\
Return how many callers of this process wait for locks of fastmmap.sync.");

static PyObject *
core_get_waiters(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    const struct module_state *state = state_of_module(module);
    return PyLong_FromSize_t(
        state->waiters_forks == fmm_forks() ? state->waiters : 0);
}

static PyMethodDef core_functions[] = {
    {"sweep", core_sweep, METH_O, core_sweep_doc},
    {"monotonic", core_monotonic, METH_NOARGS, core_monotonic_doc},
    {"now", core_now, METH_NOARGS, core_now_doc},
    {"now_ns", core_now_ns, METH_NOARGS, core_now_ns_doc},
    {"get_travel", core_get_travel, METH_NOARGS, core_get_travel_doc},
    {"set_travel", core_set_travel, METH_O, core_set_travel_doc},
    {"share", holdings_share, METH_VARARGS, holdings_share_doc},
    {"attempt", (PyCFunction)(void (*)(void))attempt_call,
     METH_FASTCALL | METH_KEYWORDS, attempt_call_doc},
    {"get_waiters", core_get_waiters, METH_NOARGS, core_get_waiters_doc},
    {NULL, NULL, 0, NULL},
};

/* ------------------------------------------------------------------ state */

/* Something to import, and where in the state it goes. */
struct import_row {
    const char *module, *name;
    size_t place;
};

#define PLACE(member) offsetof(struct module_state, member)

static const struct import_row imports[] = {
    {"fastmmap.errors", "Error", PLACE(error)},
    {"fastmmap.errors", "FormatError", PLACE(format_error)},
    {"fastmmap.errors", "VersionError", PLACE(version_error)},
    {"fastmmap.errors", "CorruptError", PLACE(corrupt_error)},
    {"fastmmap.errors", "LockError", PLACE(lock_error)},
    {"fastmmap.errors", "LockTimeout", PLACE(lock_timeout)},
    {"fastmmap.errors", "LockLost", PLACE(lock_lost)},
    {"fastmmap.errors", "ClosedError", PLACE(closed_error)},
    {"fastmmap.errors", "PageBusy", PLACE(page_busy)},
    {"fastmmap.types", "Entry", PLACE(entry)},
    {"fastmmap.types", "Store", PLACE(store)},
    {"fastmmap.types", "KEEP", PLACE(keep)},
    {"fastmmap.types", "GetAndSetResult", PLACE(get_and_set_result)},
    {"fastmmap.types", "RemoveResult", PLACE(remove_result)},
    {"fastmmap.serializers", "dump_int", PLACE(dump_int)},
    {"fastmmap.serializers", "load_int", PLACE(load_int)},
    {"fastmmap.serializers", "join_pickle", PLACE(join_pickle)},
    {"fastmmap.durations", "lifetime_ms", PLACE(lifetime_ms)},
    {"fastmmap.callbacks", "log_failure", PLACE(log_failure)},
    {"fastmmap.callbacks", "log_orphan", PLACE(log_orphan)},
    {"fastmmap.callbacks", "log_nameless", PLACE(log_nameless)},
    {"fastmmap.callbacks", "log_progress", PLACE(log_progress)},
    {"fastmmap.callbacks", "log_kept", PLACE(log_kept)},
    {"fastmmap.callbacks", "log_other_version", PLACE(log_other_version)},
    {"fastmmap.callbacks", "log_notice", PLACE(log_notice)},
    {"io", "UnsupportedOperation", PLACE(unsupported)},
    {"fastmmap.unreadable", "tell", PLACE(tell_unreadable)},
    {"fastmmap.unreadable", "is_of_signal", PLACE(is_of_signal)},
    {"pickle", "dumps", PLACE(pickle_dumps)},
    {"pickle", "loads", PLACE(pickle_loads)},
};

/* A name, and where in the state it goes. */
struct name_row {
    const char *name;
    size_t place;
};

static const struct name_row names[] = {
    {"trio", PLACE(trio)},
    {"threading", PLACE(threading)},
    {"get_ident", PLACE(get_ident)},
    {"_asyncio", PLACE(asyncio)},
    {"current_task", PLACE(current_task)},
    {"_get_running_loop", PLACE(running_loop)},
    {"_current_tasks", PLACE(current_tasks)},
    {"now_ns", PLACE(now_ns_name)},
};

#define PICKLE_PROTOCOL 5

static PyObject **
state_place(struct module_state *state, size_t place)
{
    return (PyObject **)(void *)((char *)state + place);
}

static int
import_one(struct module_state *state, const struct import_row *row)
{
    PyObject *module = PyImport_ImportModule(row->module);
    PyObject *object =
        module != NULL ? PyObject_GetAttrString(module, row->name) : NULL;
    Py_XDECREF(module);
    *state_place(state, row->place) = object;
    return object != NULL ? 0 : -1;
}

static int
intern_names(struct module_state *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *name = PyUnicode_InternFromString(names[i].name);
        *state_place(state, names[i].place) = name;
        if (name == NULL) {
            return -1;
        }
    }
    return 0;
}

/* A type, where it goes in the state, and whether Python sees its name. A base
 * stands before what is made of it. */
struct type_row {
    PyType_Spec *spec;
    size_t place, base;
    bool named;
};

#define NO_BASE SIZE_MAX
#define TYPE(spec, member, named)            \
    {                                        \
        &spec, PLACE(member), NO_BASE, named \
    }

static const struct type_row types[] = {
    TYPE(keyspace_spec, keyspace_type, true),
    {&cache_spec, PLACE(cache_type), PLACE(keyspace_type), true},
    TYPE(item_spec, item_type, true),
    TYPE(scanner_spec, scanner_type, false),
    TYPE(lease_spec, lease_type, true),
    TYPE(holdings_spec, holdings_type, true),
    TYPE(acquirable_spec, acquirable_type, true),
    TYPE(acquiring_spec, acquiring_type, false),
    TYPE(counts_spec, counts_type, true),
    TYPE(memoized_spec, memoized_type, true),
    TYPE(limiter_spec, limiter_type, true),
};

static int
add_type(PyObject *module, const struct type_row *row)
{
    struct module_state *state = state_of_module(module);
    PyObject *base =
        row->base != NO_BASE ? *state_place(state, row->base) : NULL;
    PyObject *type = PyType_FromModuleAndSpec(module, row->spec, base);
    *state_place(state, row->place) = type;
    if (type == NULL || !row->named) {
        return type != NULL ? 0 : -1;
    }
    return PyModule_AddType(module, (PyTypeObject *)type);
}

/* Numbers that C and Python call by the same names. */
static int
add_constants(PyObject *module)
{
    return PyModule_AddIntMacro(module, LEASE_TAKEN) < 0 ||
                   PyModule_AddIntMacro(module, LEASE_LEASED) < 0 ||
                   PyModule_AddIntMacro(module, LEASE_EXISTS) < 0 ||
                   PyModule_AddIntMacro(module, LEASE_REFUSED) < 0 ||
                   PyModule_AddIntMacro(module, LEASE_STORED) < 0 ||
                   PyModule_AddIntMacro(module, LEASE_LOST) < 0 ||
                   PyModule_AddIntMacro(module, KIND_LOCK) < 0 ||
                   PyModule_AddIntMacro(module, KIND_RLOCK) < 0 ||
                   PyModule_AddIntMacro(module, KIND_SEMAPHORE) < 0 ||
                   PyModule_AddIntMacro(module, SCAN_ITEMS) < 0 ||
                   PyModule_AddIntMacro(module, SCAN_VALUES) < 0 ||
                   PyModule_AddIntMacro(module, SCAN_RECORDS) < 0 ||
                   PyModule_AddIntMacro(module, SCAN_ENTRIES) < 0 ||
                   PyModule_AddIntMacro(module, SCAN_GROUPS) < 0
               ? -1
               : 0;
}

static int
core_exec(PyObject *module)
{
    struct module_state *state = state_of_module(module);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(imports); i++) {
        if (import_one(state, &imports[i]) < 0) {
            return -1;
        }
    }
    if (intern_names(state) < 0) {
        return -1;
    }
    if (!PyType_Check(state->store)) {
        PyErr_SetString(PyExc_TypeError,
                        "fastmmap.types.Store is not a class");
        return -1;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        if (add_type(module, &types[i]) < 0) {
            return -1;
        }
    }
    state->dict = PyModule_GetDict(module);
    state->now_ns =
        Py_XNewRef(PyDict_GetItemWithError(state->dict, state->now_ns_name));
    state->pickle_protocol = PyLong_FromLong(PICKLE_PROTOCOL);
    state->pickle_keywords = Py_BuildValue("(s)", "buffer_callback");
    state->unpickle_keywords = Py_BuildValue("(s)", "buffers");
    state->shared = PyDict_New();
    return state->pickle_protocol != NULL && state->shared != NULL &&
                   state->pickle_keywords != NULL &&
                   state->unpickle_keywords != NULL
               ? add_constants(module)
               : -1;
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = state_of_module(module);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(imports); i++) {
        Py_VISIT(*state_place(state, imports[i].place));
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        Py_VISIT(*state_place(state, types[i].place));
    }
    return 0;
}

static int
core_clear(PyObject *module)
{
    struct module_state *state = state_of_module(module);
    holding_forget_all(state);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(imports); i++) {
        Py_CLEAR(*state_place(state, imports[i].place));
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        Py_CLEAR(*state_place(state, names[i].place));
    }
    Py_CLEAR(state->now_ns);
    Py_CLEAR(state->pickle_protocol);
    Py_CLEAR(state->pickle_keywords);
    Py_CLEAR(state->unpickle_keywords);
    Py_CLEAR(state->shared);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        Py_CLEAR(*state_place(state, types[i].place));
    }
    return 0;
}

static void
core_free(void *module)
{
    (void)core_clear(module);
}

/* Interpreters that share the GIL may import it. It guards what all of them
 * share: the mappings' counts and the sections of the process. */
static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

PyDoc_STRVAR(core_doc,
"The engine of fastmmap as Python sees it; use ``fastmmap.FastMmap``.");

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,       .m_name = state_module_name,
    .m_doc = core_doc,           .m_size = sizeof(struct module_state),
    .m_methods = core_functions, .m_slots = core_slots,
    .m_traverse = core_traverse, .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
