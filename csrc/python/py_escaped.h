/* Keys that are no Unicode: file names that os.fsdecode() could not read. */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* The bytes that such a str stands for; they last as long as it does. NULL
 * with UnicodeEncodeError for other lone surrogates. */
const char *escaped_bytes(PyObject *text, Py_ssize_t *len);
