#include "py_caller.h"

/* A module that is imported; borrowed, NULL without an exception. */
static PyObject *
imported(PyObject *name)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *found = PyDict_GetItemWithError(modules, name);
    PyErr_Clear();
    return found;
}

/* What a module has by a name; borrowed, NULL without an exception: it is no
 * module, or has no such thing. */
static PyObject *
found_in(PyObject *module, PyObject *name)
{
    if (module == NULL || !PyModule_Check(module)) {
        return NULL;
    }
    PyObject *found = PyDict_GetItemWithError(PyModule_GetDict(module), name);
    PyErr_Clear();
    return found;
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

/* Call what a module has by a name, if it does; NULL without an exception. */
static PyObject *
call_in(PyObject *module, PyObject *name)
{
    PyObject *function = Py_XNewRef(found_in(module, name));
    PyObject *result = function != NULL ? PyObject_CallNoArgs(function) : NULL;
    Py_XDECREF(function);
    PyErr_Clear();
    return result;
}

/* The task that runs in a loop of asyncio. From CPython 3.12 on C can ask for
 * it, before that only its table is there for C. */
static PyObject *
task_in(const struct module_state *state, PyObject *asyncio, PyObject *loop)
{
    if (found_in(asyncio, state->current_task) != NULL) {
        return call_in(asyncio, state->current_task);
    }
    PyObject *tasks = Py_XNewRef(found_in(asyncio, state->current_tasks));
    PyObject *task = tasks != NULL ? PyObject_GetItem(tasks, loop) : NULL;
    Py_XDECREF(tasks);
    PyErr_Clear();
    return task;
}

/* The running task of asyncio; NULL or None: there is none. */
static PyObject *
running_task(const struct module_state *state)
{
    PyObject *asyncio = imported(state->asyncio), *task = NULL;
    PyObject *loop =
        asyncio != NULL ? call_in(asyncio, state->running_loop) : NULL;
    if (loop != NULL && loop != Py_None) {
        task = task_in(state, asyncio, loop);
    }
    Py_XDECREF(loop);
    return task;
}

/* Greenlets have identities of their own: their get_ident() is no builtin. */
static bool
has_greenlets(const struct module_state *state)
{
    PyObject *get_ident =
        found_in(imported(state->threading), state->get_ident);
    return get_ident != NULL && !PyCFunction_Check(get_ident);
}

PyObject *
caller_now(const struct module_state *state)
{
    if (imported(state->trio) != NULL || has_greenlets(state)) {
        return ask_python();
    }
    PyObject *task = running_task(state);
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
