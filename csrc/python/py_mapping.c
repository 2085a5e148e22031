#include "py_mapping.h"

#include "py_opening.h"

struct mapping *
mapping_open(const struct module_state *state, PyObject *path,
             const struct fmm_options *options, struct fmm_error *error)
{
    struct mapping *map = PyMem_Calloc(1, sizeof(*map));
    *error = (struct fmm_error){.status = FMM_OK};
    if (map == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    enum fmm_status status =
        opening_run(state, path, options, &map->cache, error);
    if (status != FMM_OK) {
        error->status = PyErr_Occurred() ? FMM_OK : status;
        PyMem_Free(map);
        return NULL;
    }
    fmm_info(map->cache, &map->info);
    return map;
}

static void
mapping_free(struct mapping *map)
{
    fmm_close(map->cache);
    PyMem_Free(map);
}

void
mapping_release(struct mapping *map)
{
    map->orphan = true;
    if (map->pins == 0) {
        mapping_free(map);
    }
}

struct mapping *
mapping_pin(struct mapping *map)
{
    map->pins++;
    return map;
}

void
mapping_unpin(struct mapping *map)
{
    map->pins--;
    if (map->pins == 0 && map->orphan) {
        mapping_free(map);
    }
}
