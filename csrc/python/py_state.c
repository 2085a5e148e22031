#include "py_state.h"

const char state_module_name[] = "fastmmap._core";

/* A module is ours when its definition has that very name, not an equal one. */
struct module_state *
state_of_type(PyTypeObject *type)
{
    for (; type != NULL; type = type->tp_base) {
        if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0) {
            continue;
        }
        PyObject *module = PyType_GetModule(type);
        if (module == NULL) {
            PyErr_Clear(); /* a class that Python made */
            continue;
        }
        const struct PyModuleDef *def = PyModule_GetDef(module);
        if (def != NULL && def->m_name == state_module_name) {
            return PyModule_GetState(module);
        }
    }
    PyErr_SetString(PyExc_TypeError, "not a type of fastmmap._core");
    return NULL;
}
