#include "py_mapping.h"

#define LOOK_MS 50  /* between two looks at signals */
#define TELL_MS 125 /* until the log is told first; then twice that, ... */

/* An opening that may take long. */
struct watch {
    const struct module_state *state;
    PyObject *path;
    PyThreadState *released;
    uint64_t since_ms, looked_ms, told_ms; /* the last is a duration */
};

/* Let the package tell the log how far a verification is. */
static int
watch_tell(struct watch *watch, uint64_t lasted_ms, uint64_t done,
           uint64_t total)
{
    if (total == 0 || lasted_ms < 2 * watch->told_ms) {
        return 0;
    }
    watch->told_ms = lasted_ms;
    PyObject *logged = PyObject_CallFunction(
        watch->state->log_progress, "OdKK", watch->path,
        (double)lasted_ms / 1000.0, (unsigned long long)done,
        (unsigned long long)total);
    Py_XDECREF(logged);
    return logged != NULL ? 0 : -1;
}

/* The core's question whether to go on. */
static bool
watch_go_on(void *context, uint64_t done, uint64_t total)
{
    struct watch *watch = context;
    uint64_t now_ms = fmm_monotonic_ms();
    if (now_ms - watch->looked_ms < LOOK_MS) {
        return true;
    }
    watch->looked_ms = now_ms;
    PyEval_RestoreThread(watch->released);
    int failed = PyErr_CheckSignals() < 0 ||
                 watch_tell(watch, now_ms - watch->since_ms, done, total) < 0;
    watch->released = PyEval_SaveThread();
    return !failed;
}

static enum fmm_status
open_watched(struct watch *watch, const struct fmm_options *options,
             struct fmm_cache **cache_out, struct fmm_error *error)
{
    struct fmm_options watched = *options;
    watched.go_on = watch_go_on;
    watched.go_on_context = watch;
    watch->since_ms = watch->looked_ms = fmm_monotonic_ms();
    watch->told_ms = TELL_MS / 2;
    watch->released = PyEval_SaveThread();
    enum fmm_status status = fmm_open(&watched, cache_out, error);
    PyEval_RestoreThread(watch->released);
    return status;
}

struct mapping *
mapping_open(const struct module_state *state, PyObject *path,
             const struct fmm_options *options, struct fmm_error *error)
{
    struct mapping *map = PyMem_Calloc(1, sizeof(*map));
    struct watch watch = {.state = state, .path = path};
    *error = (struct fmm_error){.status = FMM_OK};
    if (map == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    enum fmm_status status = open_watched(&watch, options, &map->cache, error);
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
