/* From the core's status to a Python exception. */
#pragma once

#include "py_state.h"

/* Raise what `status`, < 0, means for the file at `path`. Returns -1. */
int error_raise(const struct module_state *state, enum fmm_status status,
                PyObject *path);
/* Raise what fmm_open() said of `path`. Returns -1. */
int error_raise_open(const struct module_state *state,
                     const struct fmm_error *error, PyObject *path);
/* The exception that is set, taken out and normalized: a new reference. */
PyObject *error_take(void);
/* Set it again; takes the reference over. */
void error_put(PyObject *exc);
/* Add to the exception that is set which key of which file it is about. */
void error_add_note(PyObject *key, PyObject *path);
/* Raise CorruptError for the value of a key, `what` is wrong with it. The
 * exception that is set, if any, becomes its cause. Returns NULL. */
PyObject *error_corrupt_value(const struct module_state *state,
                              const char *what);
