#include "py_section.h"

/* From here on, any use of the cache by this thread is re-entry. */
static void
section_begin(struct section *section)
{
    section->thread = PyThread_get_thread_ident();
    section->forks = fmm_forks();
}

struct section *
section_enter(struct cache_object *cache)
{
    struct section *section = section_new(cache);
    if (section != NULL) {
        section_begin(section);
    }
    return section;
}

struct guard_op {
    struct op op;
    struct fmm_guard guard;
};

static enum fmm_status
run_guard(struct fmm_cache *cache, struct op *op)
{
    struct guard_op *g = (struct guard_op *)op;
    return op_guard_take(cache, op, &g->guard);
}

struct section *
section_take(struct cache_object *keyspace, struct op *op)
{
    struct cache_object *cache = keyspace->root;
    struct section *section = section_new(cache);
    struct guard_op g = {.op = *op};
    if (section == NULL) {
        return NULL;
    }
    g.op.pin = true;
    if (op_call(cache, &g.op, run_guard) < 0) {
        section_leave(section);
        return NULL;
    }
    section->map = g.op.pinned != NULL ? g.op.pinned : mapping_pin(cache->map);
    section->guard = g.guard;
    /* Not before: signal handlers that run during the wait are outside. */
    section_begin(section);
    if (op_refuse_damaged(cache, section->map) < 0) {
        section_leave(section);
        return NULL;
    }
    *op = g.op;
    return section;
}

/* Parts of a value that was replaced: they are on other pages. */
static void
drop_displaced(struct section *section)
{
    const struct fmm_call call = {.now_ms = op_now(section->cache)};
    if (FMM_UNLIKELY(section->displaced.count != 0)) {
        fmm_displaced_drop(section->map->cache, &call, NULL,
                           &section->displaced);
    }
}

void
section_leave(struct section *section)
{
    struct cache_object *cache = section->cache;
    if (section->map != NULL) {
        if (fmm_guard_release(&section->guard)) {
            drop_displaced(section);
        }
        mapping_unpin(section->map);
    }
    section_unlink(section);
    PyMem_Free(section);
    Py_DECREF(cache);
}

bool
section_holds(const struct section *section)
{
    return section->map != NULL && fmm_guard_held(&section->guard);
}

int
section_require(const struct section *section)
{
    if (section_holds(section)) {
        return 0;
    }
    PyErr_Format(section->cache->state->lock_error,
                 "%U: this process was forked while its parent held the page, "
                 "and does not hold it: nothing was stored",
                 section->cache->path);
    return -1;
}
