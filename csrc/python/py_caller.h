/* Who is running: the task of an event loop, or else the thread. */
#pragma once

#include "py_state.h"

/* A new reference to what tells the caller from others: a task, or the
 * identity of the thread, an int. NULL with an exception. Runs code of Python
 * only where that must be asked: in a program with trio or greenlets. */
PyObject *caller_now(const struct module_state *state);
/* What to note of a caller: a task is not kept alive by it, for its end may be
 * what gives its locks back. A new reference, or NULL with an exception. */
PyObject *caller_note(PyObject *caller);
/* Whether what was noted is that caller; calls nobody. */
bool caller_same(PyObject *noted, PyObject *caller);
