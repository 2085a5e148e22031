#include "py_sections.h"

/* All of this process. A global, because what it knows is the process's: a
 * thread that holds a page through one interpreter, and asks for it through
 * another, must hear so, and these two have no object in common. Guarded by
 * the GIL, which all that may import this module share. */
static struct section *sections;

struct section *
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

void
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

/* ---------------------------------------------------------------- refusing */

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
