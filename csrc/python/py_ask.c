#include "py_ask.h"

#include "py_args.h"
#include "py_begin.h"
#include "py_call.h"
#include "py_callback.h"
#include "py_expiry.h"
#include "py_leasing.h"
#include "py_read.h"
#include "py_writeback.h"

/* What read_cb gave, on its way into the cache. */
struct answer {
    PyObject *key;
    PyObject *value; /* owned; None for "no such thing" */
    PyObject *said;  /* owned; what read_cb returned, which has what follows */
    struct expiry_args expiry;
    struct encoded encoded;
    struct store_op store;
};

/* Read what read_cb returned: a Store, or a value; NULL is an exception.
 * Returns 0, or -1 with an exception. */
static int
take_said(const struct cache_object *self, struct answer *answer,
          PyObject *said)
{
    answer->said = said;
    answer->value = said;
    answer->expiry = (struct expiry_args){NULL, NULL};
    if (said != NULL &&
        PyObject_TypeCheck(said, (PyTypeObject *)self->state->store)) {
        answer->value = NULL;
        if (!PyTuple_Check(said) || PyTuple_GET_SIZE(said) != 4 ||
            PyTuple_GET_ITEM(said, 3) != Py_None) {
            PyErr_SetString(PyExc_TypeError,
                            "read_cb returned a malformed Store: expected "
                            "Store(value, expire_time, expire_on)");
            Py_CLEAR(answer->said);
            return -1;
        }
        answer->value = PyTuple_GET_ITEM(said, 0);
        answer->expiry.time = PyTuple_GET_ITEM(said, 1);
        answer->expiry.on = PyTuple_GET_ITEM(said, 2);
    }
    Py_XINCREF(answer->value);
    return answer->value != NULL ? 0 : -1;
}

static int
call_read(struct cache_object *self, struct answer *answer)
{
    PyObject *const args[] = {callback_context(self), answer->key};
    return take_said(self, answer,
                     self->read_cb != NULL
                         ? call_kept(self->read_cb, args, 2)
                         : Py_NewRef(Py_None)); /* taken away by now */
}

static int
call_read_inside(struct cache_object *self, struct answer *answer)
{
    PyObject *const args[] = {callback_context(self), answer->key};
    return take_said(self, answer,
                     self->read_cb != NULL
                         ? callback_call(self, self->read_cb, args, 2)
                         : Py_NewRef(Py_None));
}

/* Begin the store of an answer. Returns 1 when there is something to store,
 * 0, or -1 with an exception. */
static int
prepare_answer(struct cache_object *self, struct answer *answer)
{
    struct store_op *store = &answer->store;
    answer->encoded.backing = NULL;
    if (answer->value == Py_None && !self->cache_not_found) {
        return 0;
    }
    if (answer->value == Py_None) {
        value_encode_not_found(&answer->encoded);
    }
    else if (value_encode(self, answer->value, &answer->encoded) < 0) {
        return -1;
    }
    store->store = (struct fmm_store_options){.mode = FMM_STORE_SET};
    store->value = &answer->encoded.value;
    store->op.call.now_ms = op_now(self); /* read_cb may have taken long */
    if (expiry_resolve(self, &answer->expiry, store->op.call.now_ms,
                       self->expire_ms, &store->store.expire_at) < 0) {
        return -1;
    }
    return 1;
}

/* Turn the answer into the outcome of ask_read_cb(). */
static int
finish_answer(struct answer *answer, int status, PyObject **value)
{
    value_free(&answer->encoded);
    Py_CLEAR(answer->said);
    if (status < 0) {
        Py_DECREF(answer->value);
        return -1;
    }
    if (answer->value == Py_None) {
        Py_DECREF(answer->value);
        return 0;
    }
    *value = answer->value;
    return 1;
}

/* With the page held: the key cannot get a value behind our back. */
static int
read_held(struct cache_object *self, struct section *section,
          struct answer *answer, PyObject **value)
{
    if (call_read(self, answer) < 0) {
        return -1;
    }
    int status = prepare_answer(self, answer);
    if (status >= 0 && section_require(section) < 0) {
        status = -1;
    }
    if (status > 0) {
        status = writeback_store_held(section, &answer->store);
    }
    if (status > 0) { /* what the store has is not here */
        fmm_dirty_depart_locked(&section->guard);
    }
    return finish_answer(answer, status, value);
}

/* What is under a key that has no value. */
enum missing { MISSING_VALUE_NOW, MISSING, MISSING_CHANGED };

/* Take the page of the key, unless the key has a value by then, or what it
 * had is still to be written back. Returns MISSING when the page is held,
 * another of the kind, or -1 with an exception. */
static int
take_missing(struct cache_object *self, struct op *op,
             struct section **section, struct handout *changed)
{
    struct fmm_meta meta;
    int found = MISSING_VALUE_NOW;
    if (op_begin(self, op) < 0) {
        return -1;
    }
    *section = section_take(self, op);
    if (*section == NULL) {
        return -1;
    }
    const struct fmm_guard *guard = &(*section)->guard;
    if (fmm_get_locked(guard, &op->call, &op->key, NULL, 0, &meta) ==
        FMM_MISS) {
        changed->serial = fmm_serial((*section)->map->cache);
        found =
            fmm_dirty_find_locked(guard, &op->key, &changed->ticket) == FMM_OK
                ? MISSING_CHANGED
                : MISSING;
    }
    if (found != MISSING) {
        section_leave(*section);
    }
    return found;
}

/* What read_cb gives is older than a change that could not be written, and
 * must not take its place; and what was removed is not there, whatever the
 * store still says. */
static int
read_stale(struct cache_object *self, struct answer *answer, bool gone,
           PyObject **value)
{
    if (gone) {
        return 0;
    }
    answer->encoded.backing = NULL;
    return call_read_inside(self, answer) == 0
               ? finish_answer(answer, 0, value)
               : -1;
}

/* A value that appeared meanwhile. Returns 1, 0 for "no such thing", 2 for
 * look again, or -1 with an exception. */
static int
read_appeared(struct cache_object *self, const struct answer *answer,
              PyObject **value)
{
    bool known_missing;
    int found =
        read_plainly(self, answer->key, self->share, value, &known_missing);
    return found == 0 && !known_missing ? 2 : found;
}

static int
read_locked(struct cache_object *self, struct answer *answer, PyObject **value)
{
    const struct turn_wish how = {.wait_ms = tell_patience(self)};
    struct section *section;
    struct handout changed;
    int found = 2;
    while (found == 2) {
        switch (take_missing(self, &answer->store.op, &section, &changed)) {
        case MISSING_VALUE_NOW:
            found = read_appeared(self, answer, value);
            break;
        case MISSING_CHANGED: {
            int written = tell_entry(self, &changed, NULL, &how);
            if (written != TELL_DONE) {
                return written < 0 ? -1
                                   : read_stale(self, answer,
                                                changed.ticket.gone, value);
            }
            break;
        }
        case MISSING:
            found = read_held(self, section, answer, value);
            section_leave(section);
            break;
        default:
            return -1;
        }
    }
    return found;
}

/* --------------------------------------------- read_cb without the page */

/* The lease under which the answer is stored: a set or a removal that comes in
 * between ends it. */
static const struct fmm_lease_request claim = {.duration_ms =
                                                   FMM_LEASE_MS_MAX};

struct claimed_store {
    struct store_op store;
    uint64_t token;
};

static enum fmm_status
run_store_claimed(struct fmm_cache *cache, struct op *op)
{
    struct claimed_store *c = (struct claimed_store *)op;
    const struct fmm_lease_store store = {.token = c->token,
                                          .store = c->store.store};
    op_hash(cache, op);
    return fmm_lease_value(cache, &op->call, &op->key, c->store.value, &store,
                           &c->store.ticket);
}

/* Store the answer, if nothing was stored or removed since. */
static int
store_claimed(struct cache_object *self, struct answer *answer,
              struct holding *holding)
{
    struct claimed_store c = {.store = answer->store, .token = holding->token};
    if (holding->map == NULL) { /* another has it, or there is no room */
        return 0;
    }
    int status = writeback_store_by(self, &c.store, run_store_claimed);
    if (status == FMM_OK) {
        holding_drop(holding);
    }
    return status;
}

static int
forked_since(const struct cache_object *self, uint64_t forks)
{
    if (forks == fmm_forks()) {
        return 0;
    }
    PyErr_Format(self->state->lock_error,
                 "%U: this process was forked inside read_cb: the call "
                 "belongs to its parent",
                 self->path);
    return -1;
}

/* Other threads and processes, and read_cb itself, may use the cache
 * meanwhile. */
static int
read_claimed(struct cache_object *self, struct answer *answer,
             struct holding *holding, PyObject **value)
{
    uint64_t forks = fmm_forks();
    if (call_read(self, answer) < 0) {
        return -1;
    }
    int status = op_begin(self, &answer->store.op);
    if (status == 0) {
        status = prepare_answer(self, answer);
    }
    if (forked_since(self, forks) < 0) {
        status = -1;
    }
    if (status > 0) {
        status = store_claimed(self, answer, holding);
    }
    if (status > 0 && tell_departure(self, &holding->key, NULL) < 0) {
        status = -1;
    }
    return finish_answer(answer, status, value);
}

/* Returns as ask_read_cb(), or 2 when a value came meanwhile and went. */
static int
read_by_claim(struct cache_object *self, struct answer *answer,
              struct holding *holding, PyObject **value)
{
    struct fmm_lease theirs;
    int claimed = holding_take(self, holding, &claim, &theirs);
    if (claimed == FMM_EXISTS) {
        return read_appeared(self, answer, value);
    }
    return claimed < 0 ? -1 : read_claimed(self, answer, holding, value);
}

static int
read_unheld(struct cache_object *self, struct answer *answer, PyObject **value)
{
    const struct turn_wish how = {.wait_ms = tell_patience(self)};
    bool gone = false;
    int found = 2;
    answer->encoded.backing = NULL;
    int written = tell_key(self, answer->key, &how, &gone);
    if (written != TELL_DONE) {
        return written < 0 ? -1 : read_stale(self, answer, gone, value);
    }
    while (found == 2) {
        struct holding *holding = holding_new(answer->key);
        if (holding == NULL) {
            return -1;
        }
        found = read_by_claim(self, answer, holding, value);
        holding_free(self->state, holding); /* keeps an exception */
    }
    return found;
}

FMM_NOINLINE int
ask_read_cb(struct cache_object *self, PyObject *key, PyObject **value)
{
    struct answer answer = {.key = key};
    if (op_set_key(self, key, &answer.store.op.key) < 0) {
        return -1;
    }
    return self->allow_recursive ? read_unheld(self, &answer, value)
                                 : read_locked(self, &answer, value);
}
