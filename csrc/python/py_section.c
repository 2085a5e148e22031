#include "py_section.h"

/* All of this process. A global, because what it knows is the process's: a
 * thread that holds a page through one interpreter, and asks for it through
 * another, must hear so, and these two have no object in common. Guarded by
 * the GIL, which all that may import this module share. */
static struct section *sections;

static struct section *
section_new(struct cache_object *cache)
{
    struct section *section = PyMem_Calloc(1, sizeof(*section));
    if (section == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    section->cache = (struct cache_object *)Py_NewRef((PyObject *)cache);
    section->next = sections;
    if (section->next != NULL) {
        section->next->previous = section;
    }
    sections = section;
    cache->sections++;
    return section;
}

static void
section_unlink(struct section *section)
{
    if (section->previous != NULL) {
        section->previous->next = section->next;
    }
    else {
        sections = section->next;
    }
    if (section->next != NULL) {
        section->next->previous = section->previous;
    }
    section->cache->sections--;
}

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
drop_displaced(const struct section *section)
{
    const struct fmm_call call = {.now_ms = op_now(section->cache)};
    if (UNLIKELY(section->displaced.length != 0)) {
        fmm_split_drop(section->map->cache, &call, &section->displaced);
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
                 "and has no part in that: nothing was stored",
                 section->cache->path);
    return -1;
}

/* Whether the current thread entered it, in this process. */
static bool
is_mine(const struct section *section)
{
    return section->thread == PyThread_get_thread_ident() &&
           section->forks == fmm_forks();
}

int
section_refuse_reentry(const struct cache_object *cache)
{
    for (const struct section *s = sections; s != NULL; s = s->next) {
        if (s->cache == cache && is_mine(s)) {
            PyErr_Format(
                cache->state->lock_error,
                "%U: the cache cannot be used by code that it called, nor "
                "inside its lock(): return the value instead, or, for "
                "callbacks, open it with allow_recursive=True",
                cache->path);
            return -1;
        }
    }
    return 0;
}

static bool
is_page_of(const struct section *s, const struct cache_object *cache,
           uint32_t page)
{
    return s->map != NULL && s->guard.page == page &&
           s->map->info.device == cache->info.device &&
           s->map->info.inode == cache->info.inode;
}

int
section_refuse_page(const struct cache_object *cache, uint32_t page)
{
    for (const struct section *s = sections; s != NULL; s = s->next) {
        if (is_page_of(s, cache, page) && is_mine(s)) {
            PyErr_Format(cache->state->lock_error,
                         "%U: page %u is held by this very thread, through "
                         "another object of the same file: end that block "
                         "first",
                         cache->path, (unsigned)page);
            return -1;
        }
    }
    return 0;
}
