#include "py_value.h"

#include <string.h>

#include "py_call.h"
#include "py_error.h"
#include "py_pack.h"
#include "py_pickle.h"

/* -------------------------------------------------------------- encoding */

static int
encode_str(PyObject *object, enum value_type type, struct encoded *out)
{
    if (PyUnicode_IS_COMPACT_ASCII(object)) {
        out->backing = Py_NewRef(object);
        encoded_set(out, type, PyUnicode_DATA(object),
                    (size_t)PyUnicode_GET_LENGTH(object));
        return 0;
    }
    return encoded_set_bytes(
        out, type,
        PyUnicode_AsEncodedString(object, "utf-8", "surrogatepass"));
}

/* Returns 1 when the int is too large for the core. */
static int
encode_int(PyObject *object, struct encoded *out)
{
    int overflow;
    out->scalar.integer = PyLong_AsLongLongAndOverflow(object, &overflow);
    encoded_set(out, VALUE_INT, &out->scalar.integer, sizeof(int64_t));
    return overflow != 0;
}

static int
encode_any_int(const struct cache_object *self, PyObject *object,
               struct encoded *out)
{
    if (encode_int(object, out) == 0) {
        return 0;
    }
    return encoded_set_bytes(
        out, VALUE_BIG_INT,
        PyObject_CallOneArg(self->state->dump_int, object));
}

static int
encode_callable(const struct cache_object *self, PyObject *object,
                struct encoded *out)
{
    if (PyLong_CheckExact(object)) {
        return encode_any_int(self, object, out);
    }
    if (self->codec.dumps == NULL) {
        PyErr_SetString(self->state->error, "the cache has no serializer");
        return -1;
    }
    PyObject *result = call_kept_one(self->codec.dumps, object);
    int outcome = -1;
    if (result == NULL) {
        return -1;
    }
    if (PyBytes_CheckExact(result)) {
        return encoded_set_bytes(out, VALUE_OBJECT, result);
    }
    if (PyUnicode_Check(result)) {
        outcome = encode_str(result, VALUE_TEXT, out);
    }
    else if (PyObject_CheckBuffer(result)) {
        outcome =
            encoded_set_bytes(out, VALUE_OBJECT, PyBytes_FromObject(result));
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "the serializer's dumps() must return bytes or str, "
                     "not %s",
                     Py_TYPE(result)->tp_name);
    }
    Py_DECREF(result);
    return outcome;
}

static int
encode_pickle(const struct cache_object *self, PyObject *object,
              struct encoded *out)
{
    if (FMM_UNLIKELY(self->codec.dumps != NULL)) {
        return encode_callable(self, object, out);
    }
    return pickle_encode(self, object, out);
}

/* Exact types by their own tags, all else by pickle, or by what was given in
 * its place. */
static int
encode_typed(const struct cache_object *self, PyObject *object,
             struct encoded *out)
{
    if (PyBytes_CheckExact(object)) {
        return encoded_set_bytes(out, VALUE_BYTES, Py_NewRef(object));
    }
    if (PyUnicode_CheckExact(object)) {
        return encode_str(object, VALUE_STR, out);
    }
    if (PyLong_CheckExact(object)) {
        return encode_any_int(self, object, out);
    }
    if (PyFloat_CheckExact(object)) {
        out->scalar.real = PyFloat_AS_DOUBLE(object);
        encoded_set(out, VALUE_FLOAT, &out->scalar.real, sizeof(double));
        return 0;
    }
    if (object == Py_None || PyBool_Check(object)) {
        encoded_set(out,
                    object == Py_None   ? VALUE_NONE
                    : object == Py_True ? VALUE_TRUE
                                        : VALUE_FALSE,
                    "", 0);
        return 0;
    }
    return encode_pickle(self, object, out);
}

static int
encode_raw(PyObject *object, struct encoded *out)
{
    if (PyBytes_Check(object)) {
        return encoded_set_bytes(out, VALUE_BYTES, Py_NewRef(object));
    }
    if (PyUnicode_Check(object)) {
        return encode_str(object, VALUE_STR, out);
    }
    if (object == Py_None) {
        encoded_set(out, VALUE_NONE, "", 0);
        return 0;
    }
    if (PyObject_CheckBuffer(object)) {
        /* A copy: its owner may change it while the GIL is released. */
        return encoded_set_bytes(out, VALUE_BYTES, PyBytes_FromObject(object));
    }
    PyErr_Format(PyExc_TypeError,
                 "a value of serializer=\"raw\" must be bytes-like, str or "
                 "None, not %s",
                 Py_TYPE(object)->tp_name);
    return -1;
}

static int
encode_plain(const struct cache_object *self, PyObject *object,
             struct encoded *out)
{
    switch (self->codec.serializer) {
    case SERIALIZER_PICKLE:
        return encode_typed(self, object, out);
    case SERIALIZER_RAW:
        return encode_raw(object, out);
    case SERIALIZER_CALLABLES:
        break;
    }
    return encode_callable(self, object, out);
}

int
value_encode(const struct cache_object *self, PyObject *object,
             struct encoded *out)
{
    out->backing = NULL;
    if (encode_plain(self, object, out) < 0) {
        value_free(out);
        return -1;
    }
    if (self->codec.compressor != COMPRESSOR_NONE &&
        pack_value(self, out) < 0) {
        value_free(out);
        return -1;
    }
    return 0;
}

int
value_freeze(struct encoded *encoded)
{
    struct fmm_value *value = &encoded->value;
    if (value->pieces == NULL) {
        return 0;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)value->len);
    if (bytes == NULL) {
        return -1;
    }
    fmm_value_copy(value, PyBytes_AS_STRING(bytes));
    value->data = PyBytes_AS_STRING(bytes);
    value->pieces = NULL;
    Py_SETREF(encoded->backing, bytes);
    return 0;
}

void
value_encode_not_found(struct encoded *out)
{
    out->backing = NULL;
    encoded_set(out, VALUE_NOT_FOUND, "", 0);
}

void
value_free(struct encoded *encoded)
{
    Py_CLEAR(encoded->backing);
}

void
value_move(struct encoded *to, struct encoded *from)
{
    PyObject *old = to->backing;
    *to = *from;
    if (from->value.data == &from->scalar) {
        to->value.data = &to->scalar;
    }
    from->backing = NULL;
    Py_XDECREF(old); /* last: its end may run code */
}

/* -------------------------------------------------------------- decoding */

static PyObject *
decode_int(const struct cache_object *self, const void *data, size_t len)
{
    int64_t integer;
    if (len != sizeof(integer)) {
        return error_corrupt_value(self->state, "it is not an integer");
    }
    memcpy(&integer, data, sizeof(integer));
    return PyLong_FromLongLong(integer);
}

static PyObject *
decode_float(const struct cache_object *self, const void *data, size_t len)
{
    double real;
    if (len != sizeof(real)) {
        return error_corrupt_value(self->state, "it is not a float");
    }
    memcpy(&real, data, sizeof(real));
    return PyFloat_FromDouble(real);
}

static PyObject *
decode_str(const struct cache_object *self, const void *data, size_t len)
{
    PyObject *text =
        PyUnicode_DecodeUTF8(data, (Py_ssize_t)len, "surrogatepass");
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeError)) {
        return error_corrupt_value(self->state, "it is not UTF-8");
    }
    return text;
}

static PyObject *
decode_big_int(const struct cache_object *self, const void *data, size_t len)
{
    return PyObject_CallFunction(self->state->load_int, "y#", data,
                                 (Py_ssize_t)len);
}

/* Bytes of the serializer. Only pickle caches unpickle, whatever the file
 * says of its values, and not those that were given something else to do. */
static PyObject *
decode_object(const struct cache_object *self, PyObject *bytes)
{
    PyObject *loads = self->codec.loads;
    if (loads == NULL && self->codec.serializer == SERIALIZER_PICKLE) {
        loads = self->state->pickle_loads;
    }
    if (loads == NULL) {
        return error_corrupt_value(self->state, "it is of another serializer");
    }
    return call_kept_one(loads, bytes);
}

static PyObject *
decode_text(const struct cache_object *self, const void *data, size_t len)
{
    if (self->codec.loads == NULL) {
        return error_corrupt_value(self->state, "it is of another serializer");
    }
    PyObject *text = decode_str(self, data, len);
    PyObject *object =
        text != NULL ? call_kept_one(self->codec.loads, text) : NULL;
    Py_XDECREF(text);
    return object;
}

static PyObject *
decode_copied(const struct cache_object *self, const void *data, size_t len)
{
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
    PyObject *object = bytes != NULL ? decode_object(self, bytes) : NULL;
    Py_XDECREF(bytes);
    return object;
}

static PyObject *
decode_plain(const struct cache_object *self, uint8_t type, const void *data,
             size_t len)
{
    switch (type) {
    case VALUE_BYTES:
        return PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
    case VALUE_STR:
        return decode_str(self, data, len);
    case VALUE_OBJECT:
        return decode_copied(self, data, len);
    case VALUE_INT:
        return decode_int(self, data, len);
    case VALUE_FLOAT:
        return decode_float(self, data, len);
    case VALUE_TRUE:
        Py_RETURN_TRUE;
    case VALUE_FALSE:
        Py_RETURN_FALSE;
    case VALUE_NONE:
    case VALUE_NOT_FOUND:
        Py_RETURN_NONE;
    case VALUE_BIG_INT:
        return decode_big_int(self, data, len);
    case VALUE_TEXT:
        return decode_text(self, data, len);
    case VALUE_BUFFERS:
        return pickle_decode_copy(self, data, len);
    default:
        return error_corrupt_value(self->state, "its type is unknown");
    }
}

/* Of a bytes object that is this value and can be handed on as it is. */
static PyObject *
decode_whole(const struct cache_object *self, uint8_t type, PyObject *bytes)
{
    if (type == VALUE_BYTES) {
        return bytes;
    }
    PyObject *object = type == VALUE_OBJECT
                           ? decode_object(self, bytes)
                           : decode_plain(self, type, PyBytes_AS_STRING(bytes),
                                          (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return object;
}

PyObject *
value_decode(const struct cache_object *self, const struct fmm_meta *meta,
             const void *data)
{
    if (FMM_LIKELY(!meta->compressed)) {
        return decode_plain(self, meta->type, data, meta->value_len);
    }
    PyObject *bytes = unpack_value(self, data, meta->value_len);
    return bytes != NULL ? decode_whole(self, meta->type, bytes) : NULL;
}

/* Of a block of memory, with which the object may live on. */
static PyObject *
decode_block(const struct cache_object *self, const struct fmm_meta *meta,
             PyObject *block)
{
    bool beside = meta->type == VALUE_BUFFERS && !meta->compressed;
    PyObject *object =
        beside ? pickle_decode_block(self, block, meta->value_len)
               : value_decode(self, meta, PyByteArray_AS_STRING(block));
    Py_DECREF(block);
    return object;
}

PyObject *
value_decode_bytes(const struct cache_object *self,
                   const struct fmm_meta *meta, PyObject *bytes)
{
    if (FMM_UNLIKELY(PyByteArray_CheckExact(bytes))) {
        return decode_block(self, meta, bytes);
    }
    bool whole = (size_t)PyBytes_GET_SIZE(bytes) == meta->value_len;
    if (whole && !meta->compressed) {
        return decode_whole(self, meta->type, bytes);
    }
    PyObject *object = value_decode(self, meta, PyBytes_AS_STRING(bytes));
    Py_DECREF(bytes);
    return object;
}
