#include "py_args.h"

#include "py_escaped.h"

static int
raise_count(const struct args_spec *spec, Py_ssize_t given)
{
    PyErr_Format(PyExc_TypeError,
                 "%s() takes at most %zd positional arguments (%zd given)",
                 spec->function, spec->positional, given);
    return -1;
}

/* What the right word is, for those who are used to another one; "" where that
 * is not known. */
static PyObject *
hint_for(PyObject *keyword)
{
    PyObject *words = PyImport_ImportModule("fastmmap.words");
    PyObject *hint = words != NULL
                         ? PyObject_CallMethod(words, "hint", "O", keyword)
                         : NULL;
    Py_XDECREF(words);
    if (hint == NULL) {
        PyErr_Clear();
        hint = PyUnicode_FromString("");
    }
    return hint;
}

static int
raise_unexpected(const struct args_spec *spec, PyObject *keyword)
{
    PyObject *hint = hint_for(keyword);
    if (hint != NULL) {
        PyErr_Format(PyExc_TypeError,
                     "%s() got an unexpected keyword argument '%U'%S",
                     spec->function, keyword, hint);
        Py_DECREF(hint);
    }
    return -1;
}

/* The place of a keyword among the names, or -1 with TypeError. */
static Py_ssize_t
keyword_place(const struct args_spec *spec, PyObject *keyword)
{
    for (Py_ssize_t i = 0; spec->names[i] != NULL; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, spec->names[i]) == 0) {
            return i;
        }
    }
    return raise_unexpected(spec, keyword);
}

static int
parse_keywords(const struct args_spec *spec, const struct args *args,
               PyObject **out)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args->names);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(args->names, i);
        Py_ssize_t place = keyword_place(spec, keyword);
        if (place < 0) {
            return -1;
        }
        if (out[place] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got multiple values for argument '%U'",
                         spec->function, keyword);
            return -1;
        }
        out[place] = args->values[args->count + i];
    }
    return 0;
}

FMM_NOINLINE int
args_parse(const struct args_spec *spec, const struct args *args,
           PyObject **out)
{
    if (args->count > spec->positional) {
        return raise_count(spec, args->count);
    }
    for (Py_ssize_t i = 0; i < args->count; i++) {
        out[i] = args->values[i];
    }
    if (args->names != NULL && parse_keywords(spec, args, out) < 0) {
        return -1;
    }
    for (Py_ssize_t i = args->count; i < spec->required; i++) {
        if (out[i] == NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() missing required argument '%s' (pos %zd)",
                         spec->function, spec->names[i], i + 1);
            return -1;
        }
    }
    return 0;
}

/* The bytes of a text; NULL with an exception. */
static const char *
text_bytes(PyObject *text, Py_ssize_t *len)
{
    const char *data = PyUnicode_AsUTF8AndSize(text, len);
    if (data != NULL || !PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        return data;
    }
    PyErr_Clear();
    return escaped_bytes(text, len);
}

FMM_NOINLINE int
key_from_object_slow(PyObject *object, struct fmm_key *key)
{
    Py_ssize_t len = 0;
    if (PyUnicode_Check(object)) {
        key->data = text_bytes(object, &len);
        key->kind = FMM_KEY_TEXT;
    }
    else if (PyBytes_Check(object)) {
        key->data = PyBytes_AS_STRING(object);
        len = PyBytes_GET_SIZE(object);
        key->kind = FMM_KEY_BYTES;
    }
    else {
        PyErr_Format(PyExc_TypeError, "a key must be str or bytes, not %s",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    key->len = (size_t)len;
    key->scope = 0;
    key->hashed_by = 0;
    return key->data == NULL ? -1 : 0;
}

PyObject *
key_to_object(const void *data, size_t len, enum fmm_key_kind kind)
{
    Py_ssize_t size = (Py_ssize_t)len;
    return kind == FMM_KEY_TEXT
               ? PyUnicode_DecodeUTF8(data, size, "surrogateescape")
               : PyBytes_FromStringAndSize(data, size);
}

int
modseq_from_object(PyObject *object, uint64_t *modseq, bool *has)
{
    *has = object != NULL && object != Py_None;
    if (!*has) {
        return 0;
    }
    if (!PyLong_Check(object) || PyBool_Check(object)) {
        PyErr_Format(PyExc_TypeError, "modseq must be an int, not %s",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *modseq = PyLong_AsUnsignedLongLong(object);
    if (*modseq == UINT64_MAX && PyErr_Occurred()) {
        PyErr_Format(PyExc_ValueError, "modseq is %R: expected 0 to 2**64 - 1",
                     object);
        return -1;
    }
    return 0;
}

int
int64_from_object(PyObject *object, const char *name, int64_t *out)
{
    int overflow;
    if (!PyLong_Check(object) || PyBool_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int, not %s", name,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *out = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0) {
        PyErr_Format(PyExc_OverflowError, "%s is beyond 64 bits", name);
        return -1;
    }
    return 0;
}
