#include "py_counts.h"

#include <structmember.h>

static void
counts_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(counts_hits_doc,
"How often a result was there.");

PyDoc_STRVAR(counts_misses_doc,
"How often one was computed.");

static PyMemberDef counts_members[] = {
    {"hits", T_ULONGLONG, offsetof(struct counts_object, hits), 0,
     counts_hits_doc},
    {"misses", T_ULONGLONG, offsetof(struct counts_object, misses), 0,
     counts_misses_doc},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(counts_doc,
"Counts()\n\
--\n\
\n\
How often a function of this process was asked, and computed.");

static PyType_Slot counts_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)counts_doc},
    {Py_tp_dealloc, counts_dealloc},
    {Py_tp_members, counts_members},
    {0, NULL},
};

PyType_Spec counts_spec = {
    .name = "fastmmap._core.Counts",
    .basicsize = sizeof(struct counts_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = counts_slots,
};
