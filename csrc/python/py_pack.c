#include "py_pack.h"

#include <string.h>
#include <zlib.h>

#include "py_call.h"
#include "py_error.h"

#define LENGTH_SIZE sizeof(uint64_t)
#define GIL_RELEASE_SIZE 8192u /* less is done sooner than it is released */
/* No compressor here does better: the cap for lengths in a hostile file. */
#define RATIO_MAX UINT64_C(33000)
/* From that size on a sample tells whether to compress a value at all. */
#define SAMPLED_SIZE 1048576u
#define SAMPLE_PIECES 3u  /* the beginning, the middle, the end */
#define PIECE_SIZE 98304u /* more than lz4 looks back: long repeats are seen */
#define SAMPLE_SIZE ((size_t)SAMPLE_PIECES * PIECE_SIZE)

/* ------------------------------------------------------------------ zlib */

/* Without the GIL where it pays. `out_len` holds the capacity before. */
static int
zlib_run(bool compress_it, const struct fmm_value *in, unsigned char *out,
         uLong *out_len)
{
    PyThreadState *released =
        in->len >= GIL_RELEASE_SIZE ? PyEval_SaveThread() : NULL;
    int outcome = compress_it
                      ? compress(out, out_len, in->data, (uLong)in->len)
                      : uncompress(out, out_len, in->data, (uLong)in->len);
    if (released != NULL) {
        PyEval_RestoreThread(released);
    }
    return outcome;
}

/* A bytes object: room for the length, then the compressed value. */
static PyObject *
zlib_pack(const struct fmm_value *value)
{
    uLong len = compressBound((uLong)value->len);
    PyObject *packed =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(LENGTH_SIZE + len));
    if (packed == NULL) {
        return NULL;
    }
    unsigned char *out = (unsigned char *)PyBytes_AS_STRING(packed);
    if (zlib_run(true, value, out + LENGTH_SIZE, &len) != Z_OK) {
        Py_DECREF(packed);
        return PyErr_NoMemory();
    }
    _PyBytes_Resize(&packed, (Py_ssize_t)(LENGTH_SIZE + len));
    return packed;
}

static PyObject *
zlib_unpack(const struct cache_object *self, const struct fmm_value *packed,
            uint64_t size)
{
    uLong len = (uLong)size;
    PyObject *plain = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (plain == NULL) {
        return NULL;
    }
    unsigned char *out = (unsigned char *)PyBytes_AS_STRING(plain);
    if (zlib_run(false, packed, out, &len) != Z_OK || len != size) {
        Py_DECREF(plain);
        return error_corrupt_value(self->state, "zlib cannot expand it");
    }
    return plain;
}

/* ------------------------------------------------------------- functions */

static PyObject *
bytes_of(const struct fmm_value *value)
{
    return PyBytes_FromStringAndSize(value->data, (Py_ssize_t)value->len);
}

static PyObject *
call_compress(const struct cache_object *self, const struct fmm_value *value)
{
    if (self->codec.compress == NULL) {
        return PyErr_Format(self->state->error, "the cache has no compressor");
    }
    PyObject *plain = bytes_of(value);
    PyObject *result =
        plain != NULL ? call_kept_one(self->codec.compress, plain) : NULL;
    PyObject *bytes = result != NULL ? PyBytes_FromObject(result) : NULL;
    Py_XDECREF(result);
    Py_XDECREF(plain);
    return bytes;
}

static PyObject *
callable_pack(const struct cache_object *self, const struct fmm_value *value)
{
    PyObject *bytes = call_compress(self, value);
    if (bytes == NULL) {
        return NULL;
    }
    Py_ssize_t len = PyBytes_GET_SIZE(bytes);
    PyObject *packed =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)LENGTH_SIZE + len);
    if (packed != NULL) {
        memcpy(PyBytes_AS_STRING(packed) + LENGTH_SIZE,
               PyBytes_AS_STRING(bytes), (size_t)len);
    }
    Py_DECREF(bytes);
    return packed;
}

/* Whether the exception that is set says that the bytes are bad. What a
 * user's function raises reaches the caller as it is. */
static bool
is_damage(const struct codec *codec)
{
    return codec->compressor == COMPRESSOR_PACKAGE &&
           PyErr_ExceptionMatches(PyExc_Exception) &&
           !PyErr_ExceptionMatches(PyExc_MemoryError);
}

static PyObject *
callable_unpack(const struct cache_object *self,
                const struct fmm_value *packed, uint64_t size)
{
    PyObject *decompress = Py_XNewRef(self->codec.decompress);
    if (decompress == NULL) {
        return PyErr_Format(self->state->error, "the cache has no compressor");
    }
    PyObject *result = PyObject_CallFunction(decompress, "y#K", packed->data,
                                             (Py_ssize_t)packed->len,
                                             (unsigned long long)size);
    Py_DECREF(decompress);
    PyObject *plain = result != NULL ? PyBytes_FromObject(result) : NULL;
    Py_XDECREF(result);
    if (plain != NULL && (uint64_t)PyBytes_GET_SIZE(plain) == size) {
        return plain;
    }
    Py_XDECREF(plain);
    if (PyErr_Occurred() && !is_damage(&self->codec)) {
        return NULL;
    }
    return error_corrupt_value(self->state, "it cannot be decompressed");
}

/* ----------------------------------------------------------------- both */

static bool
may_shrink(const struct codec *codec, const struct fmm_value *value)
{
    return codec->compressor != COMPRESSOR_NONE &&
           value->len >= codec->compress_min_size &&
           value->len > LENGTH_SIZE && value->type != VALUE_INT &&
           value->type != VALUE_FLOAT;
}

static PyObject *
pack(const struct cache_object *self, const struct fmm_value *value)
{
    return self->codec.compressor == COMPRESSOR_ZLIB
               ? zlib_pack(value)
               : callable_pack(self, value);
}

/* A bytes object: pieces from all over a large value. */
static PyObject *
take_sample(const struct fmm_value *value)
{
    PyObject *sample =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)SAMPLE_SIZE);
    if (sample == NULL) {
        return NULL;
    }
    size_t step = (value->len - PIECE_SIZE) / (SAMPLE_PIECES - 1);
    for (size_t i = 0; i < SAMPLE_PIECES; i++) {
        memcpy(PyBytes_AS_STRING(sample) + i * PIECE_SIZE,
               (const char *)value->data + i * step, PIECE_SIZE);
    }
    return sample;
}

/* Whether to compress a value. A sample of a large one has to shrink by an
 * eighth, for compressing all of it takes long; unless the cache could not
 * take it as it is. A user's function gets whole values only: it may know what is
 * in them. Returns 1, 0, or -1 with an exception. */
static int
shrinks(const struct cache_object *self, const struct fmm_value *value)
{
    if (self->codec.compressor == COMPRESSOR_CUSTOM ||
        value->len < SAMPLED_SIZE || value->len > self->root->info.max_value) {
        return 1;
    }
    PyObject *sample = take_sample(value);
    if (sample == NULL) {
        return -1;
    }
    const struct fmm_value part = {.data = PyBytes_AS_STRING(sample),
                                   .len = SAMPLE_SIZE};
    PyObject *packed = pack(self, &part);
    Py_DECREF(sample);
    if (packed == NULL) {
        return -1;
    }
    size_t len = (size_t)PyBytes_GET_SIZE(packed);
    Py_DECREF(packed);
    return len <= SAMPLE_SIZE - SAMPLE_SIZE / 8;
}

int
pack_value(const struct cache_object *self, struct encoded *encoded)
{
    struct fmm_value *value = &encoded->value;
    if (!may_shrink(&self->codec, value)) {
        return 0;
    }
    int worth_it = shrinks(self, value);
    if (worth_it <= 0) {
        return worth_it;
    }
    PyObject *packed = pack(self, value);
    if (packed == NULL) {
        return -1;
    }
    size_t len = (size_t)PyBytes_GET_SIZE(packed);
    if (len >= value->len) {
        Py_DECREF(packed);
        return 0;
    }
    uint64_t size = value->len;
    memcpy(PyBytes_AS_STRING(packed), &size, LENGTH_SIZE);
    value->data = PyBytes_AS_STRING(packed);
    value->len = len;
    value->compressed = true;
    Py_XSETREF(encoded->backing, packed);
    return 0;
}

PyObject *
unpack_value(const struct cache_object *self, const unsigned char *data,
             size_t len)
{
    uint64_t size;
    if (len < LENGTH_SIZE) {
        return error_corrupt_value(self->state, "it is cut short");
    }
    memcpy(&size, data, LENGTH_SIZE);
    struct fmm_value packed = {.data = data + LENGTH_SIZE,
                               .len = len - LENGTH_SIZE};
    if (size > packed.len * RATIO_MAX || size > PY_SSIZE_T_MAX / 2) {
        return error_corrupt_value(self->state, "its length is absurd");
    }
    switch (self->codec.compressor) {
    case COMPRESSOR_ZLIB:
        return zlib_unpack(self, &packed, size);
    case COMPRESSOR_PACKAGE:
    case COMPRESSOR_CUSTOM:
        return callable_unpack(self, &packed, size);
    case COMPRESSOR_NONE:
        break;
    }
    return error_corrupt_value(
        self->state, "it is compressed, in a file without a compressor");
}
