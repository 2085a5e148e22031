/* Who is running: the task of an event loop, or else the thread. */
#pragma once

#include "py_state.h"

/* A new reference to what tells the caller from others: a task, or the
 * identity of the thread, an int. NULL with an exception. Runs code of Python
 * only where that must be asked: in a program with trio or greenlets. */
PyObject *caller_now(void);
/* Whether two are the same; calls nobody. */
bool caller_same(PyObject *one, PyObject *other);
