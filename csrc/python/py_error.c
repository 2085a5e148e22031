/* The one table from status to exception. */
#include "py_error.h"

/* Which exception of the state a status is, and what to tell. */
struct error_row {
    enum fmm_status status;
    size_t exception; /* offset in struct module_state; 0: see below */
    const char *text;
};

static const struct error_row error_table[] = {
    {FMM_ERR_FORMAT, offsetof(struct module_state, format_error),
     "the file is no longer the one that was opened: open it again"},
    {FMM_ERR_CORRUPT, offsetof(struct module_state, corrupt_error),
     "a page failed its checks and was emptied: its values are gone, the "
     "rest is kept, and the cache can still be used"},
    {FMM_ERR_READ_ONLY, offsetof(struct module_state, unsupported),
     "the cache was opened with read_only=True, and can only be read: open it "
     "without, as a user who may write the file"},
    {FMM_ERR_ARGUMENT, offsetof(struct module_state, error),
     "the core refused an argument: please report this"},
};

static PyObject *
exception_of(const struct module_state *state, const struct error_row *row)
{
    return *(PyObject *const *)(const void *)((const char *)state +
                                              row->exception);
}

int
error_raise(const struct module_state *state, enum fmm_status status,
            PyObject *path)
{
    if (status == FMM_ERR_MEMORY) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(error_table); i++) {
        if (error_table[i].status == status) {
            PyErr_Format(exception_of(state, &error_table[i]), "%U: %s", path,
                         error_table[i].text);
            return -1;
        }
    }
    if (status == FMM_ERR_OS) {
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        return -1;
    }
    PyErr_Format(state->error, "%U: unexpected outcome %d of the core", path,
                 (int)status);
    return -1;
}

/* OSError picks its subclass by errno: FileNotFoundError and so on. */
static void
raise_os_error(const struct fmm_error *error, PyObject *path)
{
    PyObject *exc = PyObject_CallFunction(PyExc_OSError, "isO", error->errnum,
                                          error->text, path);
    if (exc != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
    }
}

int
error_raise_open(const struct module_state *state,
                 const struct fmm_error *error, PyObject *path)
{
    switch ((int)error->status) {
    case FMM_ERR_OS:
        raise_os_error(error, path);
        break;
    case FMM_ERR_MEMORY:
        PyErr_NoMemory();
        break;
    case FMM_ERR_ARGUMENT:
        PyErr_Format(PyExc_ValueError, "%U: %s", path, error->text);
        break;
    case FMM_BUSY:
        PyErr_Format(state->lock_timeout, "%U: %s", path, error->text);
        break;
    case FMM_ERR_CORRUPT:
        PyErr_Format(state->corrupt_error, "%U: %s", path, error->text);
        break;
    case FMM_ERR_VERSION:
        PyErr_Format(state->version_error, "%U: %s", path, error->text);
        break;
    default:
        PyErr_Format(state->format_error, "%U: %s", path, error->text);
    }
    return -1;
}

PyObject *
error_take(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

void
error_put(PyObject *exc)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exc);
#else
    PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    Py_DECREF(exc);
#endif
}

void
error_add_note(PyObject *key, PyObject *path)
{
    PyObject *exc = error_take();
    PyObject *text =
        PyUnicode_FromFormat("while reading key %.200R of %U", key, path);
    /* CPython 3.10 has no notes; a note that fails is no error either. */
    PyObject *done = text != NULL && PyObject_HasAttrString(exc, "add_note")
                         ? PyObject_CallMethod(exc, "add_note", "O", text)
                         : NULL;
    Py_XDECREF(done);
    Py_XDECREF(text);
    PyErr_Clear();
    error_put(exc);
}

PyObject *
error_corrupt_value(const struct module_state *state, const char *what)
{
    PyObject *cause = PyErr_Occurred() ? error_take() : NULL;
    PyErr_Format(state->corrupt_error,
                 "a stored value is damaged: %s; set or remove its key", what);
    if (cause != NULL) {
        PyObject *exc = error_take();
        PyException_SetCause(exc, cause);
        error_put(exc);
    }
    return NULL;
}
