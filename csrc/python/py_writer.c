#include "py_writer.h"

/* All of this process, whichever interpreter they came through, as sections
 * are. Guarded by the GIL. */
static struct writer *writers;

#define SLICE_MS 50         /* between two looks at signals */
#define NESTED_WAIT_MS 1000 /* inside a callback: two may wait crosswise */

/* ------------------------------------------------------------ who has what */

static bool
is_mine(const struct writer *writer)
{
    return writer->thread == PyThread_get_thread_ident() &&
           writer->forks == fmm_forks();
}

/* The writer of this thread that has the right for a hash in a file. */
static const struct writer *
find_own(const struct writer_wish *wish)
{
    const struct writer *w = writers;
    while (w != NULL && !(is_mine(w) && !w->nested &&
                          fmm_serial(w->map->cache) == wish->serial &&
                          fmm_writer_shared(w->right.hash, wish->hash))) {
        w = w->next;
    }
    return w;
}

/* Whether this thread is telling the store of that very key. */
static bool
writes_key(const struct writer_wish *wish)
{
    const struct writer *w = writers;
    while (w != NULL &&
           !(is_mine(w) && fmm_serial(w->map->cache) == wish->serial &&
             w->right.hash == wish->hash)) {
        w = w->next;
    }
    return w != NULL;
}

static bool
is_nested(void)
{
    const struct writer *w = writers;
    while (w != NULL && !is_mine(w)) {
        w = w->next;
    }
    return w != NULL;
}

/* --------------------------------------------------------------- waiting */

/* How long to wait now; 0: the time is over. */
static int64_t
next_slice(const struct writer_wish *wish, uint64_t since_ms)
{
    int64_t passed = (int64_t)(fmm_monotonic_ms() - since_ms);
    if (wish->wait_ms < 0) {
        return SLICE_MS;
    }
    int64_t left = wish->wait_ms - passed;
    return left < 0 ? 0 : left < SLICE_MS ? left : SLICE_MS;
}

static enum fmm_status
take_for(struct writer *writer, const struct writer_wish *wish,
         int64_t wait_ms)
{
    const struct fmm_call call = {.wait_ms = wait_ms};
    return fmm_writer_take(writer->map->cache, &call, wish->hash,
                           &writer->right);
}

/* Returns a status, or -1 with the exception of a signal handler. */
static int
wait_for(struct writer *writer, const struct writer_wish *wish)
{
    uint64_t since_ms = fmm_monotonic_ms();
    enum fmm_status status = take_for(writer, wish, 0);
    while (status == FMM_BUSY) {
        int64_t slice = next_slice(wish, since_ms);
        if (slice == 0 || (wish->others &&
                           fmm_writer_is_at(writer->map->cache, wish->hash))) {
            break;
        }
        Py_BEGIN_ALLOW_THREADS
        status = take_for(writer, wish, slice);
        Py_END_ALLOW_THREADS
        if (status == FMM_BUSY && PyErr_CheckSignals() < 0) {
            return -1;
        }
    }
    return (int)status;
}

/* ------------------------------------------------------- taking, releasing */

static void
enlist(struct writer *writer)
{
    writer->thread = PyThread_get_thread_ident();
    writer->forks = fmm_forks();
    writer->next = writers;
    if (writer->next != NULL) {
        writer->next->previous = writer;
    }
    writers = writer;
}

static void
strike(const struct writer *writer)
{
    if (writer->previous != NULL) {
        writer->previous->next = writer->next;
    }
    else {
        writers = writer->next;
    }
    if (writer->next != NULL) {
        writer->next->previous = writer->previous;
    }
}

static void
writer_free(struct writer *writer)
{
    struct cache_object *cache = writer->cache;
    mapping_unpin(writer->map);
    PyMem_Free(writer);
    Py_DECREF(cache);
}

static struct writer *
writer_new(struct cache_object *self)
{
    struct writer *writer = PyMem_Calloc(1, sizeof(*writer));
    if (writer == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    writer->cache = (struct cache_object *)Py_NewRef((PyObject *)self);
    writer->map = mapping_pin(self->map);
    return writer;
}

/* Take it, or share what the caller of this code has. */
static int
get_right(struct writer *writer, const struct writer_wish *wish)
{
    struct writer_wish limited = *wish;
    if (find_own(wish) != NULL) {
        writer->nested = true;
        writer->right.hash = wish->hash;
        return FMM_OK;
    }
    if (is_nested() && (wish->wait_ms < 0 || wish->wait_ms > NESTED_WAIT_MS)) {
        limited.wait_ms = NESTED_WAIT_MS;
    }
    limited.wait_ms = op_limit_patience(limited.wait_ms);
    return wait_for(writer, &limited);
}

int
writer_take(struct cache_object *self, const struct writer_wish *wish,
            struct writer **writer_out)
{
    if (self->map == NULL || fmm_serial(self->map->cache) != wish->serial) {
        return WRITER_VOID;
    }
    if (writes_key(wish)) {
        return WRITER_BUSY;
    }
    struct writer *writer = writer_new(self);
    int status = writer != NULL ? get_right(writer, wish) : -1;
    if (status == FMM_OK) {
        enlist(writer);
        *writer_out = writer;
        return WRITER_TAKEN;
    }
    if (writer != NULL) {
        writer_free(writer);
    }
    return status < 0 ? -1 : status == FMM_RETIRED ? WRITER_VOID : WRITER_BUSY;
}

void
writer_leave(struct writer *writer)
{
    if (!writer->nested) {
        fmm_writer_leave(writer->map->cache, &writer->right);
    }
}

void
writer_release(struct writer *writer)
{
    if (!writer->nested) {
        fmm_writer_release(writer->map->cache, &writer->right);
    }
    strike(writer);
    writer_free(writer);
}

int
writer_require(const struct writer *writer)
{
    if (writer->forks == fmm_forks()) {
        return 0;
    }
    PyErr_Format(writer->cache->state->lock_error,
                 "%U: this process forked inside a callback of the cache: the "
                 "call that it is in is its parent's",
                 writer->cache->path);
    return -1;
}
