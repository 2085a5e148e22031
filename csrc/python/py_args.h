/* Arguments of METH_FASTCALL | METH_KEYWORDS methods. */
#pragma once

#include "py_state.h"

/* How a method was called. */
struct args {
    PyObject *const *values;
    Py_ssize_t count; /* positional ones */
    PyObject *names;  /* of those behind them; NULL: none */
};

/* What a method takes: `names` in order, NULL at the end. */
struct args_spec {
    const char *function;
    const char *const *names;
    Py_ssize_t required;   /* the first ones */
    Py_ssize_t positional; /* that may be given without a name */
};

/* Sort the arguments into `out`, which holds NULL for each name. Borrowed
 * references. Returns 0, or -1 with a TypeError. */
int args_parse(const struct args_spec *spec, const struct args *args,
               PyObject **out);

/* Point `key` to the bytes of a str or bytes object, which must live on.
 * Returns 0, or -1 with TypeError, or UnicodeEncodeError for a str that is
 * neither text nor what os.fsdecode() makes of other bytes. */
int key_from_object_slow(PyObject *object, struct fmm_key *key);

static inline int
key_from_object(PyObject *object, struct fmm_key *key)
{
    if (FMM_LIKELY(PyUnicode_CheckExact(object) &&
                   PyUnicode_IS_COMPACT_ASCII(object))) {
        key->data = PyUnicode_DATA(object);
        key->len = (size_t)PyUnicode_GET_LENGTH(object);
        key->kind = FMM_KEY_TEXT;
        key->scope = 0;
        key->hashed_by = 0;
        return 0;
    }
    return key_from_object_slow(object, key);
}

/* A new str or bytes object. */
PyObject *key_to_object(const void *data, size_t len, enum fmm_key_kind kind);

/* A modseq; NULL and None are none. Returns 0, or -1 with an exception. */
int modseq_from_object(PyObject *object, uint64_t *modseq, bool *has);
/* A 64-bit signed integer, or -1 with TypeError or OverflowError. */
int int64_from_object(PyObject *object, const char *name, int64_t *out);
