/* Who has the file open. */
#include "py_begin.h"
#include "py_methods.h"

/* One client as a tuple of the fields of `Client`. */
static PyObject *
describe(const struct fmm_client_info *info)
{
    PyObject *command = PyUnicode_DecodeUTF8(
        info->command, (Py_ssize_t)strlen(info->command), "replace");
    return command == NULL
               ? NULL
               : Py_BuildValue("INdKKKKK", (unsigned)info->pid, command,
                               (double)info->since_ms / 1000.0,
                               (unsigned long long)(info->hits + info->misses),
                               (unsigned long long)info->hits,
                               (unsigned long long)info->misses,
                               (unsigned long long)info->stores,
                               (unsigned long long)info->waits);
}

static int
append(PyObject *list, const struct fmm_client_info *info)
{
    PyObject *client = describe(info);
    int outcome = client != NULL ? PyList_Append(list, client) : -1;
    Py_XDECREF(client);
    return outcome;
}

METHOD_DOC(cache_clients_doc,
"_clients($self, /)\n\
--\n\
\n\
Return the fields of one `Client` for each who has the file open.");

PyObject *
cache_clients(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct cache_object *self = (struct cache_object *)object;
    struct fmm_client_info info;
    struct op op;
    uint32_t cursor = 0;
    PyObject *list = PyList_New(0);
    if (list == NULL || op_begin(self, &op) < 0) {
        Py_XDECREF(list);
        return NULL;
    }
    while (self->map != NULL &&
           fmm_clients_next(self->map->cache, &cursor, &info)) {
        if (append(list, &info) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}
