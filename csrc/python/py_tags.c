#include "py_tags.h"

#include "py_args.h"
#include "py_begin.h"
#include "py_ending.h"
#include "py_methods.h"

void
tags_put(PyObject *tags, struct fmm_store_options *store)
{
    /* The bytes of a bytes object are aligned to 8. */
    store->tags = (const struct fmm_tag *)(void *)PyBytes_AS_STRING(tags);
    store->tag_count =
        (uint32_t)((size_t)PyBytes_GET_SIZE(tags) / sizeof(*store->tags));
}

/* A tag, named like a key. */
static int
tag_from_object(PyObject *object, struct fmm_key *name)
{
    if (PyUnicode_Check(object) || PyBytes_Check(object)) {
        return key_from_object(object, name);
    }
    PyErr_Format(PyExc_TypeError, "a tag must be str or bytes, not %s",
                 Py_TYPE(object)->tp_name);
    return -1;
}

/* ---------------------------------------------------------------- reading */

struct tags_op {
    struct op op;
    struct fmm_key names[FMM_TAGS_MAX];
    struct fmm_tag tags[FMM_TAGS_MAX];
    Py_ssize_t count;
};

/* Find the record of a tag by its name; the page is for who waits for it. */
static void
find_record(const struct fmm_cache *cache, struct op *op,
            const struct fmm_key *name, struct fmm_tag *tag)
{
    tag->id = fmm_tag_id(cache, name);
    fmm_tag_key(cache, tag, &op->key);
}

static enum fmm_status
run_tags(struct fmm_cache *cache, struct op *op)
{
    struct tags_op *t = (struct tags_op *)op;
    enum fmm_status status = FMM_OK;
    for (Py_ssize_t i = 0; i < t->count && status == FMM_OK; i++) {
        find_record(cache, op, &t->names[i], &t->tags[i]);
        status =
            fmm_group_find(cache, &op->call, &op->key, &t->tags[i].generation);
        fmm_name_note(cache, &op->call, &op->key, &t->names[i],
                      t->names[i].kind == FMM_KEY_BYTES ? FMM_BYTES_TAG
                                                        : FMM_TEXT_TAG);
    }
    return status;
}

/* The names as a tuple. */
static PyObject *
names_of(PyObject *tags)
{
    if (PyUnicode_Check(tags) || PyBytes_Check(tags)) {
        PyErr_Format(PyExc_TypeError,
                     "tags is %.200R: expected an iterable of tags, such as "
                     "[%.200R]",
                     tags, tags);
        return NULL;
    }
    PyObject *names = PySequence_Tuple(tags);
    if (names != NULL && PyTuple_GET_SIZE(names) > (Py_ssize_t)FMM_TAGS_MAX) {
        PyErr_Format(PyExc_ValueError,
                     "%zd tags: a value has at most %u of them",
                     PyTuple_GET_SIZE(names), FMM_TAGS_MAX);
        Py_CLEAR(names);
    }
    return names;
}

static int
read_names(struct cache_object *self, struct tags_op *t, PyObject *names)
{
    t->count = PyTuple_GET_SIZE(names);
    if (t->count == 0) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < t->count; i++) {
        if (tag_from_object(PyTuple_GET_ITEM(names, i), &t->names[i]) < 0) {
            return -1;
        }
    }
    if (op_begin(self, &t->op) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < t->count; i++) {
        t->names[i].scope = t->op.key.scope;
    }
    return op_call(self, &t->op, run_tags);
}

METHOD_DOC(cache_read_tags_doc,
"_read_tags($self, tags, /)\n\
--\n\
\n\
Return tags as they are now, bytes, for ``Lease.store``.");

PyObject *
cache_read_tags(PyObject *self, PyObject *tags)
{
    struct tags_op t;
    PyObject *names = names_of(tags);
    if (names == NULL) {
        return NULL;
    }
    int outcome = read_names((struct cache_object *)self, &t, names);
    Py_DECREF(names);
    return outcome < 0 ? NULL
                       : PyBytes_FromStringAndSize(
                             (const char *)t.tags,
                             t.count * (Py_ssize_t)sizeof(t.tags[0]));
}

/* ----------------------------------------------------------- invalidating */

static void
locate_tag(const struct fmm_cache *cache, struct ending *e)
{
    find_record(cache, &e->op, &e->name, &e->tag);
}

METHOD_DOC(cache_invalidate_tag_doc,
"invalidate_tag($self, tag, /)\n\
--\n\
\n\
Drop all values with a tag, at once, however many there are.\n\
\n\
This includes values being stored or computed by callers that named the tag\n\
before. Changed values are still written back. The space is reclaimed when\n\
needed.\n\
\n\
Args:\n\
    tag: str or bytes. Each namespace has separate tags.\n\
\n\
Returns:\n\
    True: values may have had it; which ones is not recorded.\n\
\n\
Raises:\n\
    TypeError: The tag is neither str nor bytes.\n\
    LockTimeout: The page was held for all of ``lock_timeout``.");

PyObject *
cache_invalidate_tag(PyObject *object, PyObject *tag)
{
    struct cache_object *self = (struct cache_object *)object;
    struct ending e = {.locate = locate_tag};
    if (tag_from_object(tag, &e.name) < 0 || op_begin(self, &e.op) < 0) {
        return NULL;
    }
    e.name.scope = e.op.key.scope;
    return ending_call(self, &e) < 0 ? NULL : Py_NewRef(Py_True);
}
