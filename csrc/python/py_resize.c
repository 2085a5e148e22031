/* A file of another size in the place of the one that is open. */
#include "py_begin.h"
#include "py_error.h"
#include "py_methods.h"
#include "py_sections.h"
#include "py_turn.h"

/* One resize, from the first look to the last. */
struct resize {
    struct cache_object *self;
    struct mapping *map; /* pinned: the file that is replaced */
    struct fmm_resizing *work;
    struct fmm_resize_request how;
    struct fmm_resize_report report;
    struct fmm_error error;
    struct fmm_options options;
};

typedef enum fmm_status (*resize_step)(struct resize *r);

static enum fmm_status
step_begin(struct resize *r)
{
    return fmm_resize_begin(r->map->cache, &r->options, &r->how, &r->work,
                            &r->error);
}

static enum fmm_status
step_copy(struct resize *r)
{
    return fmm_resize_copy(r->work, &r->error);
}

static enum fmm_status
step_commit(struct resize *r)
{
    return fmm_resize_commit(r->work, &r->report, &r->error);
}

static enum fmm_status
step_end(struct resize *r)
{
    fmm_resize_end(r->work);
    return FMM_OK;
}

/* What no system and no format is to blame for. */
static int
raise_refusal(const struct resize *r, enum fmm_status status)
{
    const struct module_state *state = r->self->state;
    const char *text = r->error.text;
    const char *advice = "";
    if (status == FMM_RETIRED) {
        text = "another thread or process replaced the file meanwhile";
        advice = ": see whether its size is right now, or resize again";
    }
    else if (status == FMM_LEASED) {
        advice = ": wait until they are released, or give break_locks=True";
    }
    else if (status == FMM_DIRTY) {
        advice = ": call flush() first";
    }
    PyErr_Format(status == FMM_LEASED ? state->lock_error : state->error,
                 "%U: not resized: %s%s", r->self->path, text, advice);
    return -1;
}

static int
raise_status(struct resize *r, enum fmm_status status)
{
    if (status == FMM_RETIRED || status == FMM_LEASED || status == FMM_DIRTY) {
        return raise_refusal(r, status);
    }
    if (status == FMM_ERR_READ_ONLY) {
        return error_raise(r->self->state, status, r->self->path);
    }
    r->error.status = status;
    return error_raise_open(r->self->state, &r->error, r->self->path);
}

/* One step without the GIL. Returns its status >= 0, or -1 with an exception.
 * Signals are looked at before it: once the file is replaced, what a handler raises
 * would hide that. */
static int
run(struct resize *r, resize_step step)
{
    enum fmm_status status;
    if (PyErr_CheckSignals() < 0) {
        return -1;
    }
    Py_BEGIN_ALLOW_THREADS
    status = step(r);
    Py_END_ALLOW_THREADS
    if (status != FMM_OK && status != FMM_MISS) {
        return raise_status(r, status);
    }
    return (int)status;
}

/* Copy until little has changed meanwhile, then commit, and, where somebody was in
 * the way, again. */
static int
copy_and_commit(struct resize *r)
{
    int status = run(r, step_begin);
    while (status == FMM_OK) {
        do {
            status = run(r, step_copy);
        } while (status == FMM_MISS);
        if (status == FMM_OK) {
            status = run(r, step_commit);
        }
        if (status == FMM_OK) {
            return 0;
        }
        status = status == FMM_MISS ? FMM_OK : status;
    }
    return -1;
}

/* Attach to the file that has the name, whichever this one is: another thread that
 * followed an earlier file may have brought back the one before. */
static int
follow(struct cache_object *self)
{
    return self->map != NULL && fmm_replaced(self->map->cache)
               ? cache_reattach(self, true)
               : 0;
}

/* Code that holds a page, or was called by the cache, would wait for itself. */
static int
refuse_sections(const struct cache_object *self)
{
    if (section_refuse_reentry(self) < 0) {
        return -1;
    }
    if (turn_own(self->path) != 0) {
        PyErr_Format(self->state->lock_error,
                     "%U: the cache cannot be resized by a callback that is "
                     "writing a changed value",
                     self->path);
        return -1;
    }
    for (uint32_t page = 0; page < self->info.num_pages; page++) {
        if (section_refuse_page(self, page) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What is not given stays as it is. */
static void
fill_options(struct fmm_options *options, const struct cache_object *self)
{
    const struct fmm_info *info = &self->info;
    if (options->cache_size == 0) {
        options->cache_size = info->page_size * info->num_pages;
    }
    if (options->page_size == 0) {
        options->page_size = info->page_size;
    }
    if (options->entry_size == 0 && options->page_size == info->page_size) {
        options->slots = info->slots;
    }
    options->allow_network_fs = self->allow_network_fs;
    options->allow_shared = self->allow_shared;
}

static int
resize(struct resize *r)
{
    struct cache_object *self = r->self;
    struct op op;
    if (op_begin(self, &op) < 0 || refuse_sections(self) < 0 ||
        follow(self) < 0) {
        return -1;
    }
    if (self->map == NULL) {
        return cache_raise_closed(self);
    }
    fill_options(&r->options, self);
    r->how.now_ms = op.call.now_ms;
    r->map = mapping_pin(self->map);
    int outcome = copy_and_commit(r);
    if (outcome == 0) {
        /* Before the new file is closed: a private one is removed by the last
         * who has it open. */
        outcome = follow(self);
    }
    Py_BEGIN_ALLOW_THREADS
    step_end(r);
    Py_END_ALLOW_THREADS
    mapping_unpin(r->map);
    return outcome;
}

METHOD_DOC(cache_resize_doc,
"_resize($self, cache_size, page_size, entry_size, sparse, timeout_ms,\n\
        break_locks, /)\n\
--\n\
\n\
Put a file of another size in the place of this one; return values, bytes,\n\
those without room, those of multi_set that are left out, locks, rounds,\n\
and the nanoseconds in which nobody could store anything. A timeout of\n\
-2 is that of the cache.");

PyObject *
cache_resize(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct resize r = {.self = self};
    unsigned long long cache_size, page_size;
    unsigned int entry_size;
    long long timeout_ms;
    int sparse, break_locks;
    if (!PyArg_ParseTuple(args, "KKIpLp:_resize", &cache_size, &page_size,
                          &entry_size, &sparse, &timeout_ms, &break_locks)) {
        return NULL;
    }
    PyObject *path = self->path_bytes;
    if (path == NULL) {
        cache_raise_closed(self);
        return NULL;
    }
    Py_INCREF(path); /* another thread may open the object anew */
    r.options = (struct fmm_options){.path = PyBytes_AS_STRING(path),
                                     .cache_size = cache_size,
                                     .page_size = page_size,
                                     .entry_size = entry_size,
                                     .sparse = sparse != 0};
    bool own = timeout_ms < -1;
    r.how.wait_ms = own ? self->lock_timeout_ms : timeout_ms;
    r.how.break_locks = break_locks != 0;
    int outcome = resize(&r);
    Py_DECREF(path);
    if (outcome < 0) {
        return NULL;
    }
    const struct fmm_resize_report *report = &r.report;
    return Py_BuildValue(
        "KKKKIIK", (unsigned long long)report->values,
        (unsigned long long)report->bytes, (unsigned long long)report->no_room,
        (unsigned long long)report->misplaced, report->locks, report->rounds,
        (unsigned long long)report->stopped_ns);
}
