/* Whole pages: emptying, counting, checking. */
#include "py_error.h"
#include "py_args.h"
#include "py_begin.h"
#include "py_methods.h"
#include "py_tell.h"

#define SETTLE_WAIT_MS 50 /* for each page */

/* --------------------------------------------------------------- dropping */

struct drop_op {
    struct op op;
    enum fmm_drop what;
    bool keep_dirty;
    uint64_t dropped;
};

static enum fmm_status
run_drop(struct fmm_cache *cache, struct op *op)
{
    struct drop_op *d = (struct drop_op *)op;
    return fmm_drop_page(cache, &op->call, op->key.page, d->what,
                         d->keep_dirty, &d->dropped);
}

static int
drop_page(struct cache_object *self, struct drop_op *drop, uint32_t page)
{
    if (op_begin(self, &drop->op) < 0) {
        return -1;
    }
    drop->op.key.page = page;
    return op_call_long(self, &drop->op, run_drop);
}

static int
drop_pages(struct cache_object *self, struct drop_op *drop)
{
    struct op op;
    if (op_begin(self, &op) < 0) {
        return -1;
    }
    for (uint32_t page = 0; page < self->info.num_pages; page++) {
        if (drop_page(self, drop, page) < 0) {
            return -1;
        }
    }
    return 0;
}

METHOD_DOC(cache_clear_doc,
"clear($self, /)\n\
--\n\
\n\
Drop everything; no callback is called, not even for dirty values.\n\
\n\
Returns:\n\
    None.");

PyObject *
cache_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct drop_op drop = {.what = FMM_DROP_ALL};
    if (drop_pages((struct cache_object *)self, &drop) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

METHOD_DOC(cache_purge_doc,
"purge($self, /)\n\
--\n\
\n\
Drop expired values; no callback is called, not even for dirty values.\n\
\n\
Returns:\n\
    How many values were dropped.");

PyObject *
cache_purge(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct drop_op drop = {.what = FMM_DROP_EXPIRED};
    if (drop_pages((struct cache_object *)self, &drop) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(drop.dropped);
}

/* ------------------------------------------------------------------ empty */

struct next_op {
    struct op op;
    bool only_expired;
    uint64_t cursor;
    struct handout handout;
};

static enum fmm_status
run_next(struct fmm_cache *cache, struct op *op)
{
    struct next_op *n = (struct next_op *)op;
    n->handout.serial = fmm_serial(cache);
    return fmm_dirty_next(cache, &op->call, op->key.page, n->only_expired,
                          &n->cursor, &n->handout.ticket);
}

/* A walk over pages that writes what is changed. */
struct walk {
    struct cache_object *cache;
    bool only_expired;
    uint64_t until_ms; /* so long it waits for others who write */
};

static struct walk
walk_begin(struct cache_object *self, bool only_expired)
{
    return (struct walk){.cache = self,
                         .only_expired = only_expired,
                         .until_ms = fmm_monotonic_ms() +
                                     (uint64_t)tell_patience(self)};
}

/* The milliseconds that are left of it. */
static int64_t
walk_left(const struct walk *walk)
{
    uint64_t now_ms = fmm_monotonic_ms();
    return walk->until_ms > now_ms ? (int64_t)(walk->until_ms - now_ms) : 0;
}

/* Hand the changed values of a page to write_cb; what it does not take
 * stays. Returns 1 when others were just writing some, 0, or -1. */
static int
write_changed(const struct walk *walk, uint32_t page, bool wait)
{
    struct cache_object *self = walk->cache;
    struct next_op n = {.only_expired = walk->only_expired};
    int busy = 0;
    for (;;) {
        const struct turn_wish how = {.wait_ms = wait ? walk_left(walk) : 0};
        if (op_begin(self, &n.op) < 0) {
            return -1;
        }
        n.op.key.page = page;
        int status = op_call(self, &n.op, run_next);
        if (status != FMM_OK) {
            return status < 0 ? -1 : busy;
        }
        int written = tell_entry(self, &n.handout, NULL, &how);
        if (written < 0) {
            return -1;
        }
        busy |= written == TELL_BUSY;
    }
}

/* First what nobody else writes, then what is left of the rest. */
static int
write_page(const struct walk *walk, uint32_t page)
{
    int busy = write_changed(walk, page, false);
    return busy > 0 ? write_changed(walk, page, true) : busy;
}

static enum fmm_status
run_settle(struct fmm_cache *cache, struct op *op)
{
    fmm_dirty_settle(cache, &op->call);
    return FMM_OK;
}

/* After all that is changed was written, let the file say that there is nothing
 * more. A page that somebody holds is waited for a little. */
static int
settle_dirty(struct cache_object *self)
{
    struct op op;
    if (op_begin(self, &op) < 0) {
        return -1;
    }
    op.call.wait_ms = SETTLE_WAIT_MS;
    return op_call_long(self, &op, run_settle) < 0 ? -1 : 0;
}

int
pages_empty(struct cache_object *self, bool only_expired, uint64_t *dropped)
{
    struct drop_op drop = {
        .what = only_expired ? FMM_DROP_EXPIRED : FMM_DROP_ALL,
        .keep_dirty = true,
    };
    const struct walk walk = walk_begin(self, only_expired);
    for (uint32_t page = 0; page < self->info.num_pages; page++) {
        if (write_page(&walk, page) < 0 || drop_page(self, &drop, page) < 0) {
            return -1;
        }
    }
    *dropped = drop.dropped;
    return only_expired ? 0 : settle_dirty(self);
}

METHOD_DOC(cache_empty_doc,
"empty($self, /, only_expired=False)\n\
--\n\
\n\
Drop everything, or expired values; dirty values go to ``write_cb`` first.\n\
\n\
If ``write_cb`` fails for a dirty value, it stays.\n\
\n\
Args:\n\
    only_expired: Drop expired values only.\n\
\n\
Returns:\n\
    How many values were dropped.");

PyObject *
cache_empty(struct cache_object *self, PyObject *const *values,
            Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"only_expired", NULL};
    static const struct args_spec spec = {"empty", list, 0, 1};
    PyObject *flag = NULL;
    uint64_t dropped;
    if (args_parse(&spec, &(struct args){values, count, names}, &flag) < 0) {
        return NULL;
    }
    int only_expired = flag != NULL ? PyObject_IsTrue(flag) : 0;
    if (only_expired < 0 ||
        pages_empty(self, only_expired > 0, &dropped) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(dropped);
}

METHOD_DOC(cache_flush_doc,
"flush($self, /)\n\
--\n\
\n\
Pass all dirty values to ``write_cb`` now; they stay, no longer dirty.\n\
\n\
If ``write_cb`` fails for a value, it stays dirty. If another thread or\n\
process is just writing one, the call waits for it, at most 5 seconds or\n\
``lock_timeout``, whichever is less; that one then writes the newest.\n\
\n\
Returns:\n\
    None.");

PyObject *
cache_flush(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct cache_object *self = (struct cache_object *)object;
    struct op op;
    if (op_begin(self, &op) < 0) {
        return NULL;
    }
    const struct walk walk = walk_begin(self, false);
    for (uint32_t page = 0; page < self->info.num_pages; page++) {
        if (write_page(&walk, page) < 0) {
            return NULL;
        }
    }
    if (settle_dirty(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------- statistics */

/* The counters of the file that is open. */
static int
read_stats(struct cache_object *self, struct fmm_stats *stats)
{
    struct op op;
    if (op_begin(self, &op) < 0) {
        return -1;
    }
    if (self->map == NULL) {
        return cache_raise_closed(self);
    }
    fmm_stats_read(self->map->cache, stats);
    return op_refuse_damaged(self, self->map);
}

METHOD_DOC(cache_get_statistics_doc,
"get_statistics($self, /, clear=False)\n\
--\n\
\n\
Return the reads and hits of all caches of the file with ``enable_stats``.\n\
\n\
This is a call of Perl. ``stats()`` always counts, and returns more.\n\
\n\
Args:\n\
    clear: Start again from 0 afterwards.\n\
\n\
Returns:\n\
    A tuple ``(reads, hits)``.");

PyObject *
cache_get_statistics(struct cache_object *self, PyObject *const *values,
                     Py_ssize_t count, PyObject *names)
{
    static const char *const list[] = {"clear", NULL};
    static const struct args_spec spec = {"get_statistics", list, 0, 1};
    PyObject *flag = NULL;
    struct fmm_stats stats;
    if (args_parse(&spec, &(struct args){values, count, names}, &flag) < 0) {
        return NULL;
    }
    int clear = flag != NULL ? PyObject_IsTrue(flag) : 0;
    if (clear < 0 || read_stats(self, &stats) < 0) {
        return NULL;
    }
    if (clear > 0 && self->read_only) {
        error_raise(self->state, FMM_ERR_READ_ONLY, self->path);
        return NULL;
    }
    if (clear > 0) {
        fmm_stats_clear(self->map->cache);
    }
    return Py_BuildValue("KK", (unsigned long long)stats.page_reads,
                         (unsigned long long)stats.page_hits);
}

METHOD_DOC(cache_stats_doc,
"_stats($self, /)\n\
--\n\
\n\
Return the fields of ``Stats``.");

PyObject *
cache_stats(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct fmm_stats s;
    if (read_stats((struct cache_object *)self, &s) < 0) {
        return NULL;
    }
    const uint64_t counters[] = {
        s.entries,         s.live_bytes,  s.used_bytes,     s.total_bytes,
        s.hits + s.misses, s.hits,        s.misses,         s.stores,
        s.evictions,       s.expirations, s.slot_evictions, s.moved_bytes,
        s.lock_waits,      s.recoveries,  s.repaired,
    };
    PyObject *tuple = PyTuple_New(Py_ARRAY_LENGTH(counters));
    for (size_t i = 0; tuple != NULL && i < Py_ARRAY_LENGTH(counters); i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(counters[i]);
        if (number == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, number);
    }
    return tuple;
}

METHOD_DOC(cache_page_stats_doc,
"_page_stats($self, page, /)\n\
--\n\
\n\
Return the fields of ``PageStats``, seen without the lock of the page.");

PyObject *
cache_page_stats(PyObject *object, PyObject *number)
{
    struct cache_object *self = (struct cache_object *)object;
    struct fmm_page_stats s;
    struct op op;
    unsigned long page = PyLong_AsUnsignedLong(number);
    if ((page == (unsigned long)-1 && PyErr_Occurred()) ||
        op_begin(self, &op) < 0) {
        return NULL;
    }
    if (self->map == NULL) {
        cache_raise_closed(self);
        return NULL;
    }
    if (page > UINT32_MAX ||
        fmm_page_stats_read(self->map->cache, (uint32_t)page, &s) < 0) {
        return PyErr_Format(PyExc_ValueError, "no such page");
    }
    return op_refuse_damaged(self, self->map) < 0
               ? NULL
               : Py_BuildValue("KKKKKKKNI", (unsigned long long)s.total_bytes,
                               (unsigned long long)s.used_bytes,
                               (unsigned long long)s.new_bytes,
                               (unsigned long long)s.main_bytes,
                               (unsigned long long)s.entries,
                               (unsigned long long)s.stores,
                               (unsigned long long)s.evictions,
                               PyBool_FromLong(s.held), (unsigned)s.holder);
}

/* --------------------------------------------------------------- checking */

struct check_op {
    struct op op;
    bool repair;
    struct fmm_page_report report;
};

static enum fmm_status
run_check(struct fmm_cache *cache, struct op *op)
{
    struct check_op *c = (struct check_op *)op;
    return fmm_check_page(cache, &op->call, op->key.page, c->repair,
                          &c->report);
}

/* What is wrong with a page, "" when nothing is. Counters that are off do
 * no harm: they are set right when they matter. */
static const char *
problem_of(const struct fmm_page_report *report)
{
    if (report->bad_slots == 0 && !report->bad_rings) {
        return "";
    }
    return report->text[0] != '\0' ? report->text : "damaged";
}

METHOD_DOC(cache_check_page_doc,
"_check_page($self, page, repair=False, timeout_ms=-1, /)\n\
--\n\
\n\
Return entries, live bytes, dead bytes and the problem of a page, and how\n\
many slots of it are in use, sound or not.");

PyObject *
cache_check_page(PyObject *object, PyObject *args)
{
    struct cache_object *self = (struct cache_object *)object;
    struct check_op check = {.repair = false};
    unsigned int page;
    int repair = 0;
    long long timeout_ms = self->lock_timeout_ms;
    if (!PyArg_ParseTuple(args, "I|pL:_check_page", &page, &repair,
                          &timeout_ms) ||
        op_begin(self, &check.op) < 0) {
        return NULL;
    }
    check.repair = repair != 0;
    check.op.timeout_ms = timeout_ms;
    check.op.key.page = page;
    if (op_call_long(self, &check.op, run_check) < 0) {
        return NULL;
    }
    const struct fmm_page_report *report = &check.report;
    return Py_BuildValue("KKKsI", (unsigned long long)report->entries,
                         (unsigned long long)report->live_bytes,
                         (unsigned long long)report->dead_bytes,
                         problem_of(report), report->used_slots);
}

METHOD_DOC(cache_info_doc,
"_info($self, /)\n\
--\n\
\n\
Return facts about the file.");

PyObject *
cache_info(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    const struct fmm_info *info = &((struct cache_object *)object)->info;
    return Py_BuildValue("{sKsIsIsKsKsKsK}", "file_size",
                         (unsigned long long)info->file_size, "slots",
                         info->slots, "version", info->version, "created_ms",
                         (unsigned long long)info->created_ms, "max_entry",
                         (unsigned long long)info->max_entry, "max_value",
                         (unsigned long long)info->max_value, "torn",
                         (unsigned long long)info->dropped);
}
