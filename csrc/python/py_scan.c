#include "py_scan.h"

#include "py_args.h"
#include "py_begin.h"
#include "py_error.h"
#include "py_expiry.h"
#include "py_methods.h"
#include "py_read.h"
#include "py_unreadable.h"
#include "py_value.h"

#define FLAG_DIRTY 1
#define FLAG_COMPRESSED 2
#define FLAG_SPLIT 4
#define FLAG_TAGGED 8
#define SMALL_SCAN 4096 /* bytes to begin with */

/* ------------------------------------------------------------------ a walk */

struct scan_op {
    struct op op;
    struct scan_walk *walk;
};

static enum fmm_status
run_scan(struct fmm_cache *cache, struct op *op)
{
    struct fmm_scan *scan = &((struct scan_op *)op)->walk->scan;
    scan->scope = op->key.scope;
    return fmm_scan_page(cache, &op->call, op->key.page, scan);
}

static int
scan_into_buffer(struct cache_object *self, void *what)
{
    struct scan_op *s = what;
    struct scan_walk *walk = s->walk;
    walk->scan.buffer = walk->buffer.data;
    walk->scan.capacity = walk->buffer.capacity;
    int status = op_call_long(self, &s->op, run_scan);
    walk->buffer.needed = walk->scan.used;
    return status;
}

/* Copy the next page. */
static int
copy_page(struct cache_object *self, struct scan_walk *walk)
{
    struct scan_op s = {.walk = walk};
    if (op_begin(self, &s.op) < 0) {
        return -1;
    }
    s.op.key.page = walk->page++;
    int status =
        buffer_fill(&walk->buffer, SMALL_SCAN, scan_into_buffer, self, &s);
    walk->scan.cursor = 0;
    return status;
}

/* Copy the next page; the GIL is released meanwhile. */
static int
copy_alone(struct cache_object *self, struct scan_walk *walk)
{
    walk->busy = true;
    int status = copy_page(self, walk);
    walk->busy = false;
    if (status != FMM_OK) {
        walk->scan.used = walk->scan.cursor = 0;
    }
    return status < 0 ? -1 : 0;
}

static bool
next_record(struct scan_walk *walk, struct scan_row *record)
{
    while (walk->scan.buffer != NULL &&
           fmm_scan_next(&walk->scan, &record->meta, &record->key,
                         &record->value)) {
        if (record->meta.type != VALUE_NOT_FOUND) {
            return true;
        }
    }
    return false;
}

int
scan_walk_next(struct cache_object *self, struct scan_walk *walk,
               struct scan_row *record)
{
    if (walk->busy) {
        PyErr_SetString(PyExc_ValueError,
                        "the iterator is in use by another thread");
        return -1;
    }
    while (!next_record(walk, record)) {
        if (walk->page >= self->root->info.num_pages) {
            return 0;
        }
        if (copy_alone(self, walk) < 0) {
            return -1;
        }
    }
    return 1;
}

void
scan_walk_end(struct scan_walk *walk)
{
    buffer_drop(&walk->buffer);
    *walk = (struct scan_walk){.page = UINT32_MAX};
}

Py_ssize_t
cache_length(PyObject *object)
{
    struct cache_object *self = (struct cache_object *)object;
    struct scan_walk walk = {.scan.found = true};
    struct scan_row record;
    Py_ssize_t length = 0;
    int more;
    while ((more = scan_walk_next(self, &walk, &record)) > 0) {
        length++;
    }
    scan_walk_end(&walk);
    return more < 0 ? -1 : length;
}

/* ------------------------------------------------------------ the iterator */

struct scanner_object {
    PyObject_HEAD struct cache_object *cache;
    struct scan_walk walk;
    enum scan_mode mode;
};

static PyObject *
record_key(const struct scan_row *record)
{
    return key_to_object(record->key, record->meta.key_len,
                         record->meta.key_kind);
}

/* The same whole, of one that is in parts: NULL without an exception when they
 * are not there any more. */
static PyObject *
record_split(struct cache_object *cache, PyObject *key)
{
    PyObject *whole = NULL;
    bool known_missing;
    return read_plainly(cache, key, false, &whole, &known_missing) > 0 ? whole
                                                                       : NULL;
}

/* The value of a record. NULL, without an exception for one that is left out:
 * it cannot be read any more, or is gone. */
static PyObject *
record_value(struct cache_object *cache, const struct scan_row *record,
             PyObject *key)
{
    bool split = record->meta.split;
    PyObject *value = FMM_UNLIKELY(split)
                          ? record_split(cache, key)
                          : value_decode(cache, &record->meta, record->value);
    if (FMM_UNLIKELY(value == NULL && PyErr_Occurred())) {
        if (!split) {
            error_add_note(key, cache->path);
        }
        if (unreadable_tell(cache, key, "left out") > 0) {
            PyErr_Clear();
        }
    }
    return value;
}

/* A tuple of new references, which are given away; NULL where one is. */
static PyObject *
tuple_of(PyObject **members, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t n = 0; n < count; n++) {
        if (tuple == NULL || members[n] == NULL) {
            Py_CLEAR(tuple);
            Py_XDECREF(members[n]);
            continue;
        }
        PyTuple_SET_ITEM(tuple, n, members[n]);
    }
    return tuple;
}

/* Key, bytes in the file, expiry, stored, last access, flags, credit, and the value
 * unless it is NULL. A million of them are made at a time: no format is read for each. */
static PyObject *
record_tuple(const struct scan_row *record, PyObject *key, PyObject *value)
{
    const struct fmm_meta *meta = &record->meta;
    int flags = (meta->dirty ? FLAG_DIRTY : 0) |
                (meta->compressed ? FLAG_COMPRESSED : 0) |
                (meta->split ? FLAG_SPLIT : 0) |
                (meta->tagged ? FLAG_TAGGED : 0);
    PyObject *members[] = {
        Py_NewRef(key),
        PyLong_FromSize_t(meta->size),
        expiry_to_object(meta->expire_at),
        PyLong_FromUnsignedLongLong(meta->stored_at / 1000),
        PyLong_FromUnsignedLongLong(meta->accessed_at / 1000),
        PyLong_FromLong(flags),
        PyLong_FromUnsignedLong(meta->credit),
        Py_XNewRef(value),
    };
    return tuple_of(members, value != NULL ? 8 : 7);
}

static PyObject *
record_dict(const struct scan_row *record, PyObject *key)
{
    const struct fmm_meta *meta = &record->meta;
    int flags = (meta->dirty ? FLAG_DIRTY : 0) |
                (meta->compressed ? FLAG_COMPRESSED : 0);
    PyObject *expire_on = expiry_to_object(meta->expire_at);
    PyObject *modseq = meta->has_modseq
                           ? PyLong_FromUnsignedLongLong(meta->modseq)
                           : Py_NewRef(Py_None);
    if (expire_on == NULL || modseq == NULL) {
        Py_XDECREF(expire_on);
        Py_XDECREF(modseq);
        return NULL;
    }
    return Py_BuildValue("{sOsdsNsisN}", "key", key, "last_access",
                         (double)meta->accessed_at / 1000.0, "expire_on",
                         expire_on, "flags", flags, "modseq", modseq);
}

static PyObject *
record_full_dict(const struct scan_row *record, PyObject *key, PyObject *value)
{
    PyObject *dict = record_dict(record, key);
    if (dict != NULL && PyDict_SetItemString(dict, "value", value) < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

static PyObject *
record_with_value(const struct scanner_object *self,
                  const struct scan_row *record, PyObject *key)
{
    PyObject *value = record_value(self->cache, record, key);
    if (value == NULL || self->mode == SCAN_VALUES) {
        return value;
    }
    PyObject *result = self->mode == SCAN_ITEMS ? PyTuple_Pack(2, key, value)
                       : self->mode == SCAN_ENTRIES
                           ? record_tuple(record, key, value)
                           : record_full_dict(record, key, value);
    Py_DECREF(value);
    return result;
}

/* Whether it is a name, its key or the groups, the value of a name, bytes in the
 * file. */
static PyObject *
record_groups(const struct scan_row *record)
{
    const struct fmm_meta *meta = &record->meta;
    PyObject *members[] = {
        PyBool_FromLong(meta->key_kind == FMM_KEY_INTERNAL),
        PyBytes_FromStringAndSize(record->key, (Py_ssize_t)meta->key_len),
        PyBytes_FromStringAndSize(record->value, (Py_ssize_t)meta->value_len),
        PyLong_FromSize_t(meta->size),
    };
    return tuple_of(members, 4);
}

static PyObject *
record_object(const struct scanner_object *self, const struct scan_row *record)
{
    if (self->mode == SCAN_GROUPS) {
        return record_groups(record);
    }
    PyObject *key = record_key(record);
    if (key == NULL || self->mode == SCAN_KEYS) {
        return key;
    }
    PyObject *result =
        self->mode == SCAN_RECORDS ? record_tuple(record, key, NULL)
        : self->mode == SCAN_DICTS ? record_dict(record, key)
                                   : record_with_value(self, record, key);
    Py_DECREF(key);
    return result;
}

/* A step of another thread, let in by what a value decodes to, would move
 * the buffer that the record is in: it is refused. */
static PyObject *
scanner_next(PyObject *object)
{
    struct scanner_object *self = (struct scanner_object *)object;
    struct scan_row record;
    PyObject *result = NULL;
    while (result == NULL && !PyErr_Occurred()) {
        if (self->cache == NULL ||
            scan_walk_next(self->cache, &self->walk, &record) <= 0) {
            return NULL;
        }
        self->walk.busy = true;
        result = record_object(self, &record);
        self->walk.busy = false;
    }
    return result;
}

static int
scanner_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((struct scanner_object *)object)->cache);
    return 0;
}

static int
scanner_clear(PyObject *object)
{
    Py_CLEAR(((struct scanner_object *)object)->cache);
    return 0;
}

static void
scanner_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    scan_walk_end(&((struct scanner_object *)object)->walk);
    scanner_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot scanner_slots[] = {
    {Py_tp_traverse, scanner_traverse}, {Py_tp_clear, scanner_clear},
    {Py_tp_dealloc, scanner_dealloc},   {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, scanner_next},     {0, NULL},
};

PyType_Spec scanner_spec = {
    .name = "fastmmap._core.Scanner",
    .basicsize = sizeof(struct scanner_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scanner_slots,
};

static PyObject *
scanner_new(struct cache_object *cache, enum scan_mode mode, bool found)
{
    struct op op;
    PyTypeObject *type = cache->state->scanner_type;
    if (op_begin(cache, &op) < 0) {
        return NULL;
    }
    struct scanner_object *self =
        (struct scanner_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->cache = (struct cache_object *)Py_NewRef((PyObject *)cache);
        self->mode = mode;
        self->walk.scan.values =
            mode >= SCAN_VALUE_DICTS && mode != SCAN_RECORDS;
        self->walk.scan.groups = mode == SCAN_GROUPS;
        self->walk.scan.found = found;
    }
    return (PyObject *)self;
}

PyObject *
cache_iter(PyObject *self)
{
    return scanner_new((struct cache_object *)self, SCAN_KEYS, true);
}

METHOD_DOC(cache_scan_doc,
"_scan($self, mode, /)\n\
--\n\
\n\
Return an iterator that copies one page at a time.");

PyObject *
cache_scan(PyObject *self, PyObject *mode)
{
    long number = PyLong_AsLong(mode);
    if (number < SCAN_KEYS || number > SCAN_GROUPS) {
        return PyErr_Format(PyExc_ValueError, "no such scan");
    }
    bool found = number == SCAN_ITEMS || number == SCAN_VALUES;
    return scanner_new((struct cache_object *)self, (enum scan_mode)number,
                       found);
}
