#include "py_op.h"

#include "py_attempt.h"
#include "py_error.h"
#include "py_holding.h"
#include "py_sections.h"

#define WAIT_SLICE_MS 50   /* between two looks at signals */
#define FINAL_WAIT_MS 1000 /* while the interpreter ends */

#if PY_VERSION_HEX < 0x030D0000
#define Py_IsFinalizing _Py_IsFinalizing
#endif

/* Say, once, that the file was removed: what is stored from now on is seen
 * by those alone that have it open. */
static int
tell_nameless(struct cache_object *self)
{
    self->told_nameless = true;
    PyObject *done =
        PyObject_CallOneArg(self->state->log_nameless, self->path);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

FMM_COLD int
op_begin_slow(struct cache_object *self, uint64_t now_ms)
{
    if (self->sections != 0 && section_refuse_reentry(self) < 0) {
        return -1;
    }
    if (self->map == NULL) {
        return cache_raise_closed(self);
    }
    if (now_ms - self->checked_ms < FILE_CHECK_MS) {
        return 0;
    }
    self->checked_ms = now_ms;
    holding_confirm(self->state);
    if (fmm_replaced(self->map->cache)) {
        return cache_reattach(self, false);
    }
    if (self->told_nameless || !fmm_nameless(self->map->cache)) {
        return 0;
    }
    if (tell_nameless(self) < 0) {
        return -1;
    }
    return self->map != NULL ? 0 : cache_raise_closed(self);
}

/* While the interpreter is finalized, its other threads are gone, and a page
 * that one of them held stays held: no wait may be without end. */
int64_t
op_limit_patience(int64_t timeout_ms)
{
    bool long_one = timeout_ms < 0 || timeout_ms > FINAL_WAIT_MS;
    return long_one && Py_IsFinalizing() ? FINAL_WAIT_MS : timeout_ms;
}

/* How long to wait now, with that patience; 0: the time is over. */
static int64_t
next_slice(int64_t timeout_ms, uint64_t since_ms)
{
    if (timeout_ms < 0) {
        return WAIT_SLICE_MS;
    }
    int64_t left = timeout_ms - (int64_t)(fmm_monotonic_ms() - since_ms);
    if (left <= 0) {
        return 0;
    }
    return left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS;
}

static PyObject *
timeout_text(const struct cache_object *self, const struct op *op)
{
    char seconds[32];
    PyOS_snprintf(seconds, sizeof(seconds), "%.3f",
                  (double)op->timeout_ms / 1000.0);
    return PyUnicode_FromFormat(
        "%U: page %u is held by another thread or process; gave up after %s "
        "s: try again, or raise lock_timeout",
        self->path, (unsigned)op->key.page, seconds);
}

int
op_raise_timeout(const struct cache_object *self, const struct op *op)
{
    PyObject *text = timeout_text(self, op);
    if (text != NULL) {
        PyErr_SetObject(self->state->lock_timeout, text);
        Py_DECREF(text);
    }
    return -1;
}

/* Repeat the call without the GIL, as it was or for one slice. */
static enum fmm_status
call_released(struct cache_object *self, struct op *op, op_run run)
{
    struct mapping *map = mapping_pin(self->map);
    enum fmm_status status;
    Py_BEGIN_ALLOW_THREADS
    status = run(map->cache, op);
    Py_END_ALLOW_THREADS
    if (op->pin && status == FMM_OK) {
        op->pinned = map;
    }
    else {
        mapping_unpin(map);
    }
    return status;
}

/* Look after what may have happened while the GIL was released. */
static int
check_meanwhile(const struct cache_object *self)
{
    if (PyErr_CheckSignals() < 0) {
        return -1;
    }
    return self->map == NULL ? cache_raise_closed(self) : 0;
}

/* The time is over. Returns as wait_for_page(). */
static int
give_up(const struct cache_object *self, const struct op *op, bool attempt)
{
    if (op->quiet) {
        return 1;
    }
    return attempt ? attempt_raise_busy(self->state, timeout_text(self, op),
                                        op->timeout_ms)
                   : op_raise_timeout(self, op);
}

/* Wait one slice for the page, and make the call. Returns 1 when the time of a
 * quiet one is over, 0, or -1 with an exception. */
static int
wait_for_page(struct cache_object *self, struct op *op, op_run run,
              uint64_t since_ms, enum fmm_status *status)
{
    if (self->map == NULL) { /* the call before was made without the GIL */
        return cache_raise_closed(self);
    }
    if (section_refuse_page(self, op->key.page) < 0) {
        return -1;
    }
    op->timeout_ms = op_limit_patience(op->timeout_ms);
    int64_t attempt_ms = attempt_patience();
    bool attempt =
        attempt_ms >= 0 && (op->timeout_ms < 0 || attempt_ms < op->timeout_ms);
    op->call.wait_ms =
        next_slice(attempt ? attempt_ms : op->timeout_ms, since_ms);
    if (op->call.wait_ms == 0) {
        return give_up(self, op, attempt);
    }
    op->call.now_ms = op_now(self);
    *status = call_released(self, op, run);
    /* A call that was made must not look like one that was not. */
    return *status == FMM_BUSY ? check_meanwhile(self) : 0;
}

/* Attach to the file that took the place of this one, and make the call. */
static int
follow_file(struct cache_object *self, struct op *op, op_run run,
            enum fmm_status *status)
{
    if (self->map == NULL) {
        return cache_raise_closed(self);
    }
    if (cache_reattach(self, true) < 0 || check_meanwhile(self) < 0) {
        return -1;
    }
    op->call.wait_ms = 0;
    *status = run(self->map->cache, op);
    return 0;
}

int
op_refuse_damaged(const struct cache_object *self, const struct mapping *map)
{
    if (map == NULL || !fmm_damaged(map->cache)) {
        return 0;
    }
    PyErr_Format(self->state->corrupt_error,
                 "%U: the file was truncated, or its file system ran out of "
                 "space, while it was in use: close the cache, and make the "
                 "file again with init_file=True",
                 self->path);
    return -1;
}

FMM_COLD int
op_settle(struct cache_object *keyspace, struct op *op, op_run run,
          enum fmm_status status)
{
    struct cache_object *self = keyspace->root;
    uint64_t since_ms = fmm_monotonic_ms();
    int outcome = 0;
    while (outcome == 0 && (status == FMM_BUSY || status == FMM_RETIRED)) {
        outcome = status == FMM_BUSY
                      ? wait_for_page(self, op, run, since_ms, &status)
                      : follow_file(self, op, run, &status);
    }
    if (outcome < 0) {
        return -1;
    }
    if (status == FMM_ERR_ARGUMENT && op->key.page >= self->info.num_pages) {
        status = FMM_MISS; /* a walk over the pages of a file that had more */
    }
    if (self->sigbus_guard && !op->pin &&
        op_refuse_damaged(self, self->map) < 0) {
        return -1;
    }
    return status < 0 ? error_raise(self->state, status, self->path)
                      : (int)status;
}

int
op_call_long(struct cache_object *keyspace, struct op *op, op_run run)
{
    struct cache_object *self = keyspace->root;
    if (self->map == NULL) {
        return cache_raise_closed(self);
    }
    return op_settle(self, op, run, call_released(self, op, run));
}
