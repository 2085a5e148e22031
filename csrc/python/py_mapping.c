#include "py_mapping.h"

struct mapping *
mapping_open(const struct fmm_options *options, struct fmm_error *error)
{
    struct mapping *map = PyMem_Calloc(1, sizeof(*map));
    enum fmm_status status;
    *error = (struct fmm_error){.status = FMM_OK};
    if (map == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = fmm_open(options, &map->cache, error);
    Py_END_ALLOW_THREADS
    if (status != FMM_OK) {
        error->status = status;
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
