#include "py_opening.h"

#include <sys/stat.h>

#define LOOK_MS 50  /* between two looks at signals */
#define TELL_MS 125 /* until the log is told first; then twice that, ... */

struct opening {
    const struct module_state *state;
    PyObject *path;
    const char *place; /* the path for the system */
    PyThreadState *released;
    uint64_t since_ms, looked_ms, told_ms; /* the last is a duration */
    struct opening *next;
};

/* Those of this thread: handlers that it calls may open files, too. */
static _Thread_local struct opening *under_way;

static void
opening_leave(const struct opening *opening)
{
    struct opening **place = &under_way;
    while (*place != opening) { /* greenlets end in any order */
        place = &(*place)->next;
    }
    *place = opening->next;
}

/* By whatever names: a hard link is another one. */
static bool
is_same_file(const struct opening *one, const struct opening *other)
{
    struct stat a, b;
    if (PyUnicode_Compare(one->path, other->path) == 0) {
        return true;
    }
    return stat(one->place, &a) == 0 && stat(other->place, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A handler that opens the file which this thread is opening would wait for
 * itself. */
static int
refuse_itself(const struct opening *opening)
{
    for (const struct opening *o = under_way; o != NULL; o = o->next) {
        if (o != opening && is_same_file(o, opening)) {
            PyErr_Format(opening->state->lock_error,
                         "%U: this thread is opening the file, and called "
                         "this code meanwhile: open it afterwards",
                         opening->path);
            return -1;
        }
    }
    return 0;
}

/* Let the package tell the log how far a verification is. */
static int
tell_progress(struct opening *opening, uint64_t lasted_ms, uint64_t done,
              uint64_t total)
{
    if (lasted_ms < 2 * opening->told_ms) {
        return 0;
    }
    opening->told_ms = lasted_ms;
    PyObject *logged = PyObject_CallFunction(
        opening->state->log_progress, "OdKK", opening->path,
        (double)lasted_ms / 1000.0, (unsigned long long)done,
        (unsigned long long)total);
    Py_XDECREF(logged);
    return logged != NULL ? 0 : -1;
}

/* The core's question; `total` is 0 while another is waited for. */
static bool
go_on(void *context, uint64_t done, uint64_t total)
{
    struct opening *opening = context;
    uint64_t now_ms = fmm_monotonic_ms();
    uint64_t lasted_ms = now_ms - opening->since_ms;
    if (now_ms - opening->looked_ms < LOOK_MS) {
        return true;
    }
    opening->looked_ms = now_ms;
    PyEval_RestoreThread(opening->released);
    int looked = PyErr_CheckSignals();
    if (looked == 0) {
        looked = total == 0 ? refuse_itself(opening)
                            : tell_progress(opening, lasted_ms, done, total);
    }
    opening->released = PyEval_SaveThread();
    return looked == 0;
}

static enum fmm_status
run(struct opening *opening, const struct fmm_options *options,
    struct fmm_cache **cache_out, struct fmm_error *error)
{
    struct fmm_options asking = *options;
    asking.go_on = go_on;
    asking.go_on_context = opening;
    opening->since_ms = opening->looked_ms = fmm_monotonic_ms();
    opening->told_ms = TELL_MS / 2;
    opening->next = under_way;
    under_way = opening;
    opening->released = PyEval_SaveThread();
    enum fmm_status status = fmm_open(&asking, cache_out, error);
    PyEval_RestoreThread(opening->released);
    opening_leave(opening);
    return status;
}

enum fmm_status
opening_run(const struct module_state *state, PyObject *path,
            const struct fmm_options *options, struct fmm_cache **cache_out,
            struct fmm_error *error)
{
    struct opening *opening = PyMem_Calloc(1, sizeof(*opening));
    if (opening == NULL) {
        PyErr_NoMemory();
        return FMM_ERR_MEMORY;
    }
    opening->state = state;
    opening->path = path;
    opening->place = options->path;
    enum fmm_status status = run(opening, options, cache_out, error);
    PyMem_Free(opening);
    return status;
}
