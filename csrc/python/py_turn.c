#include "py_turn.h"

#include "py_attempt.h"

/* All of this process, whichever interpreter they came through, as sections
 * are. Guarded by the GIL. */
static struct turn *turns;

#define SLICE_MS 50         /* between two looks at signals */
#define NESTED_WAIT_MS 1000 /* inside a callback: two may wait crosswise */

/* ------------------------------------------------------------ who has what */

static bool
is_mine(const struct turn *turn)
{
    return turn->thread == PyThread_get_thread_ident() &&
           turn->forks == fmm_forks();
}

/* The turn of this thread that has the right for a hash in a file. */
static const struct turn *
find_own(const struct turn_wish *wish)
{
    const struct turn *w = turns;
    while (w != NULL && !(is_mine(w) && !w->nested &&
                          fmm_serial(w->map->cache) == wish->serial &&
                          fmm_turn_shared(w->right.hash, wish->hash))) {
        w = w->next;
    }
    return w;
}

/* Whether this thread is telling the store of that very key. */
static bool
writes_key(const struct turn_wish *wish)
{
    const struct turn *w = turns;
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
    const struct turn *w = turns;
    while (w != NULL && !is_mine(w)) {
        w = w->next;
    }
    return w != NULL;
}

/* --------------------------------------------------------------- waiting */

/* How long to wait now; 0: the time is over. */
static int64_t
next_slice(const struct turn_wish *wish, uint64_t since_ms)
{
    int64_t passed = (int64_t)(fmm_monotonic_ms() - since_ms);
    if (wish->wait_ms < 0) {
        return SLICE_MS;
    }
    int64_t left = wish->wait_ms - passed;
    return left < 0 ? 0 : left < SLICE_MS ? left : SLICE_MS;
}

static enum fmm_status
take_for(struct turn *turn, const struct turn_wish *wish, int64_t wait_ms)
{
    const struct fmm_call call = {.wait_ms = wait_ms};
    return fmm_turn_take(turn->map->cache, &call, wish->hash, &turn->right);
}

/* Returns a status, or -1 with the exception of a signal handler. */
static int
wait_for(struct turn *turn, const struct turn_wish *wish)
{
    uint64_t since_ms = fmm_monotonic_ms();
    enum fmm_status status = take_for(turn, wish, 0);
    while (status == FMM_BUSY) {
        int64_t slice = next_slice(wish, since_ms);
        if (wish->held && !fmm_turn_may_be_at(turn->map->cache, wish->hash)) {
            turn->nested = turn->paged = true;
            turn->right.hash = wish->hash;
            return FMM_OK;
        }
        if (slice == 0 ||
            (wish->others && fmm_turn_is_at(turn->map->cache, wish->hash))) {
            break;
        }
        Py_BEGIN_ALLOW_THREADS
        status = take_for(turn, wish, slice);
        Py_END_ALLOW_THREADS
        if (status == FMM_BUSY && PyErr_CheckSignals() < 0) {
            return -1;
        }
    }
    return (int)status;
}

/* ------------------------------------------------------- taking, releasing */

static void
enlist(struct turn *turn)
{
    turn->thread = PyThread_get_thread_ident();
    turn->forks = fmm_forks();
    turn->next = turns;
    if (turn->next != NULL) {
        turn->next->previous = turn;
    }
    turns = turn;
}

static void
strike(const struct turn *turn)
{
    if (turn->previous != NULL) {
        turn->previous->next = turn->next;
    }
    else {
        turns = turn->next;
    }
    if (turn->next != NULL) {
        turn->next->previous = turn->previous;
    }
}

static void
turn_free(struct turn *turn)
{
    struct cache_object *cache = turn->cache;
    mapping_unpin(turn->map);
    PyMem_Free(turn);
    Py_DECREF(cache);
}

static struct turn *
turn_new(struct cache_object *self)
{
    struct turn *turn = PyMem_Calloc(1, sizeof(*turn));
    if (turn == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    turn->cache = (struct cache_object *)Py_NewRef((PyObject *)self);
    turn->map = mapping_pin(self->map);
    return turn;
}

int64_t
turn_patience(int64_t wait_ms)
{
    if (attempt_patience() >= 0) {
        return 0;
    }
    bool long_one = wait_ms < 0 || wait_ms > NESTED_WAIT_MS;
    return op_limit_patience(long_one && is_nested() ? NESTED_WAIT_MS
                                                     : wait_ms);
}

/* Take it, or share what the caller of this code has. */
static int
get_right(struct turn *turn, const struct turn_wish *wish)
{
    const struct turn *own = find_own(wish);
    struct turn_wish limited = *wish;
    if (own != NULL) {
        turn->nested = true;
        turn->right = own->right;
        turn->right.hash = wish->hash;
        return FMM_OK;
    }
    limited.wait_ms = turn_patience(wish->wait_ms);
    return wait_for(turn, &limited);
}

int
turn_take(struct cache_object *self, const struct turn_wish *wish,
          struct turn **turn_out)
{
    if (self->map == NULL || fmm_serial(self->map->cache) != wish->serial) {
        return TURN_VOID;
    }
    if (writes_key(wish)) {
        return TURN_BUSY;
    }
    struct turn *turn = turn_new(self);
    int status = turn != NULL ? get_right(turn, wish) : -1;
    if (status == FMM_OK) {
        enlist(turn);
        *turn_out = turn;
        return TURN_TAKEN;
    }
    if (turn != NULL) {
        turn_free(turn);
    }
    return status < 0 ? -1 : status == FMM_RETIRED ? TURN_VOID : TURN_BUSY;
}

void
turn_note(struct turn *turn)
{
    if (!turn->paged && !turn->noted) {
        turn->before =
            fmm_turn_note(turn->map->cache, &turn->right, turn->right.hash);
        turn->noted = true;
    }
}

void
turn_leave(struct turn *turn)
{
    if (turn->noted) {
        turn->noted = false;
        fmm_turn_leave(turn->map->cache, &turn->right, turn->before);
    }
}

void
turn_release(struct turn *turn)
{
    turn_leave(turn);
    if (!turn->nested) {
        fmm_turn_release(turn->map->cache, &turn->right);
    }
    strike(turn);
    turn_free(turn);
}

bool
turn_is_ours(const struct turn *turn)
{
    return turn->forks == fmm_forks();
}

int
turn_require(const struct turn *turn)
{
    if (turn_is_ours(turn)) {
        return 0;
    }
    PyErr_Format(turn->cache->state->lock_error,
                 "%U: this process was forked inside a callback of the cache: "
                 "the call belongs to its parent",
                 turn->cache->path);
    return -1;
}

/* ---------------------------------------------------------- replaced files */

/* Whether this thread has it, in the file that has the path now. */
static bool
is_own_at(const struct turn *turn, PyObject *path)
{
    return is_mine(turn) && !turn->nested &&
           PyUnicode_Compare(turn->cache->path, path) == 0 &&
           !fmm_replaced(turn->map->cache);
}

uint64_t
turn_own(PyObject *path)
{
    uint64_t own = 0;
    for (const struct turn *t = turns; t != NULL; t = t->next) {
        if (is_own_at(t, path)) {
            own |= fmm_turn_bit(t->right.hash);
        }
    }
    return own;
}
