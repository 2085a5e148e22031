#include "py_escaped.h"

#include <stdbool.h>

/* A str has room for its UTF-8, but not for these bytes. So they are kept
 * beside it, in a dict of the interpreter: by the address of the str, the str
 * and its bytes. When nobody else has that str any more, no call can need its
 * bytes: both go when the dict has grown to twice of what was left last. */
#define KEPT "fastmmap.escaped"
#define LIMIT "fastmmap.escaped limit"
#define LIMIT_MIN 64

/* Whether only the dict has a text. */
static bool
is_forgotten(PyObject *pair)
{
    return Py_REFCNT(PyTuple_GET_ITEM(pair, 0)) == 1;
}

/* A dict of those that somebody has. */
static PyObject *
needed_texts(PyObject *kept)
{
    PyObject *needed = PyDict_New(), *address, *pair;
    Py_ssize_t place = 0;
    while (needed != NULL && PyDict_Next(kept, &place, &address, &pair)) {
        if (!is_forgotten(pair) && PyDict_SetItem(needed, address, pair) < 0) {
            Py_CLEAR(needed);
        }
    }
    return needed;
}

static Py_ssize_t
limit_of(PyObject *space)
{
    PyObject *limit = PyDict_GetItemString(space, LIMIT);
    return limit != NULL ? PyLong_AsSsize_t(limit) : LIMIT_MIN;
}

static int
set_limit(PyObject *space, Py_ssize_t size)
{
    PyObject *limit = PyLong_FromSsize_t(size < LIMIT_MIN ? LIMIT_MIN : size);
    int outcome =
        limit != NULL ? PyDict_SetItemString(space, LIMIT, limit) : -1;
    Py_XDECREF(limit);
    return outcome;
}

/* Put a dict in the place of `kept` that has what is needed of it. */
static int
replace_kept(PyObject *space, PyObject *kept)
{
    PyObject *needed = needed_texts(kept);
    if (needed == NULL || set_limit(space, 2 * PyDict_GET_SIZE(needed)) < 0) {
        Py_XDECREF(needed);
        return -1;
    }
    int outcome = PyDict_SetItemString(space, KEPT, needed);
    Py_DECREF(needed);
    return outcome;
}

/* Drop what nobody needs, when there is much. Nothing of Python runs between
 * looking and replacing; then it may, for a text of a class has a __del__. */
static int
drop_forgotten(PyObject *space)
{
    PyObject *kept = Py_XNewRef(PyDict_GetItemString(space, KEPT));
    if (kept == NULL || PyDict_GET_SIZE(kept) < limit_of(space)) {
        Py_XDECREF(kept);
        return 0;
    }
    int collects = PyGC_Disable();
    int outcome = replace_kept(space, kept);
    if (collects) {
        PyGC_Enable();
    }
    Py_DECREF(kept);
    return outcome;
}

/* The dict, borrowed. */
static PyObject *
kept_texts(PyObject *space)
{
    PyObject *kept = PyDict_GetItemString(space, KEPT);
    if (kept == NULL) {
        PyObject *made = PyDict_New(); /* others may have made one meanwhile */
        PyObject *key = PyUnicode_FromString(KEPT);
        if (made != NULL && key != NULL) {
            kept = PyDict_SetDefault(space, key, made);
        }
        Py_XDECREF(key);
        Py_XDECREF(made);
    }
    return kept;
}

/* Keep the bytes for as long as the text is there; returns them, or those that
 * others have kept meanwhile, borrowed. */
static PyObject *
keep(PyObject *space, PyObject *address, PyObject *text, PyObject *bytes)
{
    PyObject *pair = PyTuple_Pack(2, text, bytes);
    PyObject *kept =
        pair != NULL && drop_forgotten(space) == 0 ? kept_texts(space) : NULL;
    PyObject *there =
        kept != NULL ? PyDict_SetDefault(kept, address, pair) : NULL;
    Py_XDECREF(pair);
    return there != NULL ? PyTuple_GET_ITEM(there, 1) : NULL;
}

/* The bytes of a text that is there again when they are decoded; NULL with an
 * exception for any other. */
static PyObject *
escape(PyObject *text)
{
    PyObject *bytes =
        PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
    if (bytes == NULL) {
        return NULL;
    }
    PyObject *again = PyUnicode_DecodeUTF8(
        PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), "surrogateescape");
    if (again != NULL && PyUnicode_Compare(again, text) != 0 &&
        !PyErr_Occurred()) {
        (void)PyUnicode_AsUTF8(text); /* raises what it did before */
    }
    Py_XDECREF(again);
    if (PyErr_Occurred()) {
        Py_CLEAR(bytes);
    }
    return bytes;
}

/* The bytes of a text, found or made; borrowed from the dict. */
static PyObject *
bytes_for(PyObject *space, PyObject *address, PyObject *text)
{
    PyObject *kept = PyDict_GetItemString(space, KEPT);
    PyObject *pair =
        kept != NULL ? PyDict_GetItemWithError(kept, address) : NULL;
    if (pair != NULL || PyErr_Occurred()) {
        return pair != NULL ? PyTuple_GET_ITEM(pair, 1) : NULL;
    }
    PyObject *bytes = escape(text);
    if (bytes == NULL) {
        return NULL;
    }
    PyObject *borrowed = keep(space, address, text, bytes);
    Py_DECREF(bytes);
    return borrowed;
}

const char *
escaped_bytes(PyObject *text, Py_ssize_t *len)
{
    PyObject *space = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *address = PyLong_FromVoidPtr(text);
    PyObject *bytes = NULL;
    if (space == NULL) {
        PyErr_NoMemory();
    }
    else if (address != NULL) {
        bytes = bytes_for(space, address, text);
    }
    Py_XDECREF(address);
    if (bytes == NULL) {
        return NULL;
    }
    *len = PyBytes_GET_SIZE(bytes);
    return PyBytes_AS_STRING(bytes);
}
