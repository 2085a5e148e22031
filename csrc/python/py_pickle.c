#include "py_pickle.h"

#include <string.h>

#include "py_buffer.h"
#include "py_call.h"
#include "py_error.h"

#define BESIDE_LEAST 16384 /* bytes of a buffer; smaller ones stay inside */
#define SEEKS_LEAST 262144 /* bytes of a pickle that may have buffers inside */
#define LOOKED_AT 8        /* items of containers, for buffers */
#define ALIGNMENT 64u      /* of each buffer in the value */
#define WORD sizeof(uint64_t)

/* The value, in the byte order of the machine: how many buffers there are, the
 * length of the pickle, the length of each buffer; the pickle; each buffer,
 * from the next multiple of ALIGNMENT on. It ends with the last one. */

static size_t
header_size(size_t count)
{
    return (2 + count) * WORD;
}

static size_t
padding_after(size_t length)
{
    return (ALIGNMENT - length % ALIGNMENT) % ALIGNMENT;
}

/* -------------------------------------------------------------- collecting */

/* What comes back as the same type only out of a pickle: beside it, it would come
 * back as a view. */
static bool
is_plain_bytes(PyObject *object)
{
    return object != NULL &&
           (PyBytes_CheckExact(object) || PyByteArray_CheckExact(object));
}

/* Called by pickle for each buffer: whether it goes into the pickle. */
static PyObject *
collect(PyObject *list, PyObject *buffer)
{
    const Py_buffer *view = PyPickleBuffer_GetBuffer(buffer);
    if (view == NULL) {
        return NULL;
    }
    if (view->len < BESIDE_LEAST || is_plain_bytes(view->obj) ||
        !PyBuffer_IsContiguous(view, 'A')) {
        Py_RETURN_TRUE;
    }
    if (PyList_Append(list, buffer) < 0) {
        return NULL;
    }
    Py_RETURN_FALSE;
}

static PyMethodDef collect_def = {"collect", collect, METH_O, NULL};

static PyObject *
dump_with(const struct cache_object *self, PyObject *object,
          PyObject *collector)
{
    const struct module_state *state = self->state;
    PyObject *const args[] = {object, state->pickle_protocol, collector};
    return PyObject_Vectorcall(state->pickle_dumps, args, 2,
                               state->pickle_keywords);
}

/* The pickle of an object without its large buffers, which come into the tuple
 * `*buffers`. NULL with an exception. */
static PyObject *
dump_apart(const struct cache_object *self, PyObject *object,
           PyObject **buffers)
{
    PyObject *list = PyList_New(0), *pickle = NULL;
    PyObject *collector =
        list != NULL ? PyCFunction_New(&collect_def, list) : NULL;
    *buffers = NULL;
    if (collector != NULL) {
        pickle = dump_with(self, object, collector);
    }
    if (pickle != NULL && (*buffers = PyList_AsTuple(list)) == NULL) {
        Py_CLEAR(pickle);
    }
    Py_XDECREF(collector);
    Py_XDECREF(list);
    return pickle;
}

/* ------------------------------------------------------------------ pieces */

/* A value in pieces, for as long as it is on its way. The memory of each buffer
 * stays where it is, whatever its owner does. */
struct apart {
    PyObject *pickle;
    uint64_t *header;
    size_t views_count, pieces_count, len;
    Py_buffer *views;
    struct fmm_piece *pieces;
};

static const char capsule_name[] = "fastmmap.apart";
static const unsigned char padding[ALIGNMENT];

static void
apart_free(struct apart *apart)
{
    for (size_t i = 0; i < apart->views_count; i++) {
        PyBuffer_Release(&apart->views[i]);
    }
    PyMem_Free(apart->views);
    PyMem_Free(apart->pieces);
    PyMem_Free(apart->header);
    Py_XDECREF(apart->pickle);
    PyMem_Free(apart);
}

static void
capsule_end(PyObject *capsule)
{
    apart_free(PyCapsule_GetPointer(capsule, capsule_name));
}

static void
add_piece(struct apart *apart, const void *data, size_t len)
{
    if (len != 0) {
        apart->pieces[apart->pieces_count++] = (struct fmm_piece){data, len};
        apart->len += len;
    }
}

/* Room for so many buffers; NULL with an exception. */
static struct apart *
apart_new(size_t count)
{
    struct apart *apart = PyMem_Calloc(1, sizeof(*apart));
    if (apart == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    apart->views = PyMem_Calloc(count, sizeof(*apart->views));
    apart->pieces = PyMem_Calloc(2 + 2 * count, sizeof(*apart->pieces));
    apart->header = PyMem_Calloc(1, header_size(count));
    if (apart->views == NULL || apart->pieces == NULL ||
        apart->header == NULL) {
        apart_free(apart);
        PyErr_NoMemory();
        return NULL;
    }
    return apart;
}

/* Look at the memory of each buffer. Returns 0, or -1 with an exception. */
static int
take_views(struct apart *apart, PyObject *buffers)
{
    size_t count = (size_t)PyTuple_GET_SIZE(buffers);
    for (size_t i = 0; i < count; i++) {
        PyObject *buffer = PyTuple_GET_ITEM(buffers, (Py_ssize_t)i);
        if (PyObject_GetBuffer(buffer, &apart->views[i],
                               PyBUF_ANY_CONTIGUOUS) < 0) {
            return -1;
        }
        apart->views_count++;
        apart->header[2 + i] = (uint64_t)apart->views[i].len;
    }
    return 0;
}

static void
lay_out(struct apart *apart)
{
    size_t pickle_len = (size_t)PyBytes_GET_SIZE(apart->pickle);
    apart->header[0] = apart->views_count;
    apart->header[1] = pickle_len;
    add_piece(apart, apart->header, header_size(apart->views_count));
    add_piece(apart, PyBytes_AS_STRING(apart->pickle), pickle_len);
    for (size_t i = 0; i < apart->views_count; i++) {
        add_piece(apart, padding, padding_after(apart->len));
        add_piece(apart, apart->views[i].buf, (size_t)apart->views[i].len);
    }
}

/* A capsule that keeps all of it alive; takes over `pickle`. */
static PyObject *
capsule_new(PyObject *pickle, PyObject *buffers, struct apart **out)
{
    struct apart *apart = apart_new((size_t)PyTuple_GET_SIZE(buffers));
    if (apart == NULL) {
        Py_DECREF(pickle);
        return NULL;
    }
    apart->pickle = pickle;
    PyObject *capsule = take_views(apart, buffers) == 0
                            ? PyCapsule_New(apart, capsule_name, capsule_end)
                            : NULL;
    if (capsule == NULL) {
        apart_free(apart);
        return NULL;
    }
    lay_out(apart);
    *out = apart;
    return capsule;
}

/* ---------------------------------------------------------------- encoding */

/* Takes over `pickle`. */
static int
encode_pieces(PyObject *pickle, PyObject *buffers, struct encoded *out)
{
    struct apart *apart;
    PyObject *capsule = capsule_new(pickle, buffers, &apart);
    if (capsule == NULL) {
        return -1;
    }
    out->backing = capsule;
    encoded_set(out, VALUE_BUFFERS, NULL, apart->len);
    out->value.pieces = apart->pieces;
    return 0;
}

FMM_NOINLINE static int
encode_apart(const struct cache_object *self, PyObject *object,
             struct encoded *out)
{
    PyObject *buffers;
    PyObject *pickle = dump_apart(self, object, &buffers);
    if (pickle == NULL) {
        return -1;
    }
    int outcome = PyTuple_GET_SIZE(buffers) == 0
                      ? encoded_set_bytes(out, VALUE_OBJECT, pickle)
                      : encode_pieces(pickle, buffers, out);
    Py_DECREF(buffers);
    return outcome;
}

/* Whether an object looks as if it had large buffers: arrays have, and classes
 * of Python may have. */
static inline bool
looks_large(PyObject *object)
{
    const PyTypeObject *type = Py_TYPE(object);
    return (type->tp_flags & Py_TPFLAGS_HEAPTYPE) != 0 ||
           (type->tp_as_buffer != NULL &&
            type->tp_as_buffer->bf_getbuffer != NULL &&
            !PyBytes_CheckExact(object));
}

static bool has_large(PyObject *object, int *left);

static bool
items_have_large(PyObject *const *items, Py_ssize_t count, int *left)
{
    for (Py_ssize_t i = 0; *left > 0 && i < count; i++) {
        if (has_large(items[i], left)) {
            return true;
        }
    }
    return false;
}

static bool
values_have_large(PyObject *dict, int *left)
{
    Py_ssize_t at = 0;
    PyObject *value;
    while (*left > 0 && PyDict_Next(dict, &at, NULL, &value)) {
        if (has_large(value, left)) {
            return true;
        }
    }
    return false;
}

/* The same for what is in containers, however deep; `left` are the items that may
 * still be looked at, which bounds the depth, too. */
static bool
has_large(PyObject *object, int *left)
{
    (*left)--;
    if (PyDict_CheckExact(object)) {
        return values_have_large(object, left);
    }
    if (PyList_CheckExact(object)) {
        return items_have_large(((PyListObject *)object)->ob_item,
                                PyList_GET_SIZE(object), left);
    }
    if (PyTuple_CheckExact(object)) {
        return items_have_large(((PyTupleObject *)object)->ob_item,
                                PyTuple_GET_SIZE(object), left);
    }
    return looks_large(object);
}

static inline bool
may_have_buffers(PyObject *object)
{
    int left = 1 + LOOKED_AT;
    return has_large(object, &left);
}

/* A pickle this large may have buffers inside that were not seen. From now on they
 * are looked for in all values of this cache; this one is stored as it is, for
 * to pickle again might give something else: an object may have been read. */
static int
encode_pickle(const struct cache_object *self, PyObject *pickle,
              struct encoded *out)
{
    if (pickle != NULL && PyBytes_GET_SIZE(pickle) >= SEEKS_LEAST) {
        self->root->seeks_buffers = true;
    }
    return encoded_set_bytes(out, VALUE_OBJECT, pickle);
}

int
pickle_encode(const struct cache_object *self, PyObject *object,
              struct encoded *out)
{
    bool packs = self->codec.compressor != COMPRESSOR_NONE;
    if (FMM_UNLIKELY(!packs && (self->root->seeks_buffers ||
                                may_have_buffers(object)))) {
        return encode_apart(self, object, out);
    }
    PyObject *const args[] = {object, self->state->pickle_protocol};
    PyObject *pickle =
        PyObject_Vectorcall(self->state->pickle_dumps, args, 2, NULL);
    return encode_pickle(self, pickle, out);
}

/* ---------------------------------------------------------------- decoding */

/* Where things are in a value, as it says. */
struct layout {
    const unsigned char *header;
    size_t count, pickle_at, pickle_len, len;
};

static uint64_t
load_word(const struct layout *layout, size_t number)
{
    uint64_t word;
    memcpy(&word, layout->header + number * WORD, WORD);
    return word;
}

/* Whatever the bytes are: false when they are no such value. */
static bool
read_layout(const void *data, size_t len, struct layout *out)
{
    *out = (struct layout){.header = data, .len = len};
    if (len < header_size(0)) {
        return false;
    }
    uint64_t count = load_word(out, 0);
    if (count > (len - header_size(0)) / WORD) {
        return false;
    }
    uint64_t pickle_len = load_word(out, 1);
    out->count = (size_t)count;
    out->pickle_at = header_size(out->count);
    out->pickle_len = (size_t)pickle_len;
    return pickle_len <= len - out->pickle_at;
}

/* The bytes from one place to another, as a view that may be written to. */
static PyObject *
view_of(PyObject *whole, size_t from, size_t to)
{
    return PySequence_GetSlice(whole, (Py_ssize_t)from, (Py_ssize_t)to);
}

/* A list of the buffers; NULL with an exception. */
static PyObject *
list_buffers(const struct cache_object *self, const struct layout *layout,
             PyObject *whole)
{
    PyObject *list = PyList_New(0);
    size_t at = layout->pickle_at + layout->pickle_len;
    for (size_t i = 0; list != NULL && i < layout->count; i++) {
        uint64_t length = load_word(layout, 2 + i);
        at += padding_after(at);
        if (at > layout->len || length > layout->len - at) {
            Py_DECREF(list);
            return error_corrupt_value(self->state,
                                       "its buffers are too long");
        }
        PyObject *view = view_of(whole, at, at + (size_t)length);
        if (view == NULL || PyList_Append(list, view) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(view);
        at += (size_t)length;
    }
    return list;
}

/* Those who were given something in the place of pickle get one that has all
 * inside. */
static PyObject *
load_parts(const struct cache_object *self, PyObject *pickle,
           PyObject *buffers)
{
    PyObject *const args[] = {pickle, buffers};
    if (self->codec.loads == NULL) {
        return PyObject_Vectorcall(self->state->pickle_loads, args, 1,
                                   self->state->unpickle_keywords);
    }
    PyObject *joined =
        PyObject_Vectorcall(self->state->join_pickle, args, 2, NULL);
    PyObject *object =
        joined != NULL ? call_kept_one(self->codec.loads, joined) : NULL;
    Py_XDECREF(joined);
    return object;
}

static PyObject *
load_views(const struct cache_object *self, const struct layout *layout,
           PyObject *whole)
{
    PyObject *buffers = list_buffers(self, layout, whole);
    PyObject *pickle = NULL, *object = NULL;
    if (buffers != NULL) {
        pickle = view_of(whole, layout->pickle_at,
                         layout->pickle_at + layout->pickle_len);
    }
    if (pickle != NULL) {
        object = load_parts(self, pickle, buffers);
    }
    Py_XDECREF(pickle);
    Py_XDECREF(buffers);
    return object;
}

PyObject *
pickle_decode_block(const struct cache_object *self, PyObject *block,
                    size_t len)
{
    struct layout layout;
    if (self->codec.serializer != SERIALIZER_PICKLE) {
        return error_corrupt_value(self->state, "it is of another serializer");
    }
    if (!read_layout(PyByteArray_AS_STRING(block), len, &layout)) {
        return error_corrupt_value(self->state, "its lengths are absurd");
    }
    PyObject *whole = PyMemoryView_FromObject(block);
    PyObject *object = whole != NULL ? load_views(self, &layout, whole) : NULL;
    Py_XDECREF(whole);
    return object;
}

PyObject *
pickle_decode_copy(const struct cache_object *self, const void *data,
                   size_t len)
{
    PyObject *block = buffer_new_block(len);
    if (block == NULL) {
        return NULL;
    }
    memcpy(PyByteArray_AS_STRING(block), data, len);
    PyObject *object = pickle_decode_block(self, block, len);
    Py_DECREF(block);
    return object;
}
