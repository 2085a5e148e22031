#include "py_caller.h"

/* An attribute of a module that is imported, if it has it; a new reference.
 * NULL without an exception. */
static PyObject *
attribute_of(const char *module, const char *name)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *found = PyDict_GetItemString(modules, module);
    PyObject *value =
        found != NULL ? PyObject_GetAttrString(found, name) : NULL;
    PyErr_Clear();
    return value;
}

static bool
is_imported(const char *module)
{
    return PyDict_GetItemString(PyImport_GetModuleDict(), module) != NULL;
}

/* fastmmap.sync.caller knows all kinds of them. */
static PyObject *
ask_python(void)
{
    PyObject *module = PyImport_ImportModule("fastmmap.sync.caller");
    PyObject *caller =
        module != NULL ? PyObject_CallMethod(module, "caller", NULL) : NULL;
    Py_XDECREF(module);
    return caller;
}

/* The running task of asyncio, from CPython 3.12 on. */
static PyObject *
task_by_call(PyObject *current_task)
{
    PyObject *task = PyObject_CallNoArgs(current_task);
    PyErr_Clear(); /* no running loop */
    return task;
}

/* Before that only its table is there for C. */
static PyObject *
task_by_table(PyObject *running_loop, PyObject *tasks)
{
    PyObject *loop = PyObject_CallNoArgs(running_loop);
    PyObject *task =
        loop != NULL && loop != Py_None ? PyObject_GetItem(tasks, loop) : NULL;
    PyErr_Clear();
    Py_XDECREF(loop);
    return task;
}

/* The running task of asyncio; NULL or None: there is none. */
static PyObject *
running_task(void)
{
    PyObject *task = NULL;
    PyObject *current = attribute_of("_asyncio", "current_task");
    if (current != NULL) {
        task = task_by_call(current);
        Py_DECREF(current);
        return task;
    }
    PyObject *loop = attribute_of("_asyncio", "_get_running_loop");
    PyObject *tasks = attribute_of("_asyncio", "_current_tasks");
    if (loop != NULL && tasks != NULL) {
        task = task_by_table(loop, tasks);
    }
    Py_XDECREF(loop);
    Py_XDECREF(tasks);
    return task;
}

/* Greenlets have identities of their own: their get_ident() is no builtin. */
static bool
has_greenlets(void)
{
    PyObject *get_ident = attribute_of("threading", "get_ident");
    bool builtin = get_ident == NULL || PyCFunction_Check(get_ident);
    Py_XDECREF(get_ident);
    return !builtin;
}

PyObject *
caller_now(void)
{
    if (is_imported("trio") || has_greenlets()) {
        return ask_python();
    }
    PyObject *task = running_task();
    if (task != NULL && task != Py_None) {
        return task;
    }
    Py_XDECREF(task);
    return PyLong_FromUnsignedLong(PyThread_get_thread_ident());
}

PyObject *
caller_note(PyObject *caller)
{
    if (PyLong_CheckExact(caller)) {
        return Py_NewRef(caller);
    }
    PyObject *noted = PyWeakref_NewRef(caller, NULL);
    if (noted == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear(); /* a task of a kind that knows no weak references */
        noted = Py_NewRef(caller);
    }
    return noted;
}

/* Whether a weak reference leads to that object. */
static bool
leads_to(PyObject *weak, PyObject *object)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *found = NULL;
    bool same = PyWeakref_GetRef(weak, &found) > 0 && found == object;
    Py_XDECREF(found);
    return same;
#else
    return PyWeakref_GetObject(weak) == object;
#endif
}

bool
caller_same(PyObject *noted, PyObject *caller)
{
    if (PyWeakref_CheckRef(noted)) {
        return leads_to(noted, caller);
    }
    if (noted == caller || !PyLong_CheckExact(noted) ||
        !PyLong_CheckExact(caller)) {
        return noted == caller;
    }
    return PyObject_RichCompareBool(noted, caller, Py_EQ) == 1;
}
