#include "py_callback.h"

#include "py_args.h"
#include "py_expiry.h"
#include "py_read.h"
#include "py_writeback.h"

int
callback_log(struct cache_object *self, const char *callback, PyObject *key)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1; /* KeyboardInterrupt and the like */
    }
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    PyObject *done = PyObject_CallFunction(self->state->log_failure, "sOOO",
                                           callback, key, self->path, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static PyObject *
context_of(const struct cache_object *self)
{
    return self->context != NULL ? self->context : Py_None;
}

/* Call it; without allow_recursive the cache is not to be used meanwhile. */
static PyObject *
call_inside(struct cache_object *self, PyObject *callback,
            PyObject *const *args, size_t count)
{
    struct section *section = NULL;
    if (!self->allow_recursive && (section = section_enter(self)) == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(callback, args, count, NULL);
    if (section != NULL) {
        section_leave(section);
    }
    return result;
}

int
callback_write(struct cache_object *self, PyObject *key, PyObject *value,
               uint64_t expire_at)
{
    PyObject *expire_on = expiry_to_object(expire_at);
    if (expire_on == NULL) {
        return -1;
    }
    PyObject *const args[] = {context_of(self), key, value, expire_on};
    PyObject *result = call_inside(self, self->write_cb, args, 4);
    Py_DECREF(expire_on);
    Py_XDECREF(result);
    return result != NULL ? 1 : callback_log(self, "write_cb", key);
}

int
callback_delete(struct cache_object *self, PyObject *key)
{
    if (self->delete_cb == NULL) {
        return 0;
    }
    PyObject *const args[] = {context_of(self), key};
    PyObject *result = call_inside(self, self->delete_cb, args, 2);
    Py_XDECREF(result);
    return result != NULL ? 0 : callback_log(self, "delete_cb", key);
}

/* ---------------------------------------------------------------- read_cb */

/* What read_cb gave, on its way into the cache. */
struct answer {
    PyObject *key;
    PyObject *value; /* None for "no such thing" */
    struct encoded encoded;
    struct store_op store;
};

static PyObject *
call_read(struct cache_object *self, PyObject *key)
{
    PyObject *const args[] = {context_of(self), key};
    return PyObject_Vectorcall(self->read_cb, args, 2, NULL);
}

/* Begin the store of an answer. Returns 1 when there is something to store,
 * 0, or -1 with an exception. */
static int
prepare_answer(struct cache_object *self, struct answer *answer)
{
    struct store_op *store = &answer->store;
    const struct expiry_args none = {NULL, NULL};
    answer->encoded.owner = NULL;
    if (answer->value == Py_None && !self->cache_not_found) {
        return 0;
    }
    if (answer->value == Py_None) {
        value_encode_not_found(&answer->encoded);
    }
    else if (value_encode(self, answer->value, &answer->encoded) < 0) {
        return -1;
    }
    store->store = (struct fmm_store){.mode = FMM_STORE_SET};
    store->value = &answer->encoded.value;
    store->op.call.now_ms = op_now(self); /* read_cb may have taken long */
    if (expiry_resolve(self, &none, store->op.call.now_ms, self->expire_ms,
                       &store->store.expire_at) < 0) {
        return -1;
    }
    return 1;
}

/* Turn the answer into the outcome of callback_read(). */
static int
finish_answer(struct answer *answer, int status, PyObject **value)
{
    value_free(&answer->encoded);
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
    answer->value = call_read(self, answer->key);
    if (answer->value == NULL) {
        return -1;
    }
    int status = prepare_answer(self, answer);
    if (status > 0 && section_holds(section)) {
        status = writeback_store_held(section, &answer->store);
    }
    return finish_answer(answer, status, value);
}

/* Without: other threads and processes, and read_cb itself, may use the
 * cache meanwhile. */
static int
read_unheld(struct cache_object *self, struct answer *answer, PyObject **value)
{
    answer->value = call_read(self, answer->key);
    if (answer->value == NULL) {
        return -1;
    }
    int status = op_begin(self, &answer->store.op);
    if (status == 0) {
        status = prepare_answer(self, answer);
    }
    if (status > 0) {
        status = writeback_store(self, &answer->store);
    }
    return finish_answer(answer, status, value);
}

/* Take the page of the key, unless the key has a value by then. Returns 1
 * when it is held, 0 when there is a value, or -1 with an exception. */
static int
take_missing(struct cache_object *self, struct op *op,
             struct section **section)
{
    struct fmm_meta meta;
    if (op_begin(self, op) < 0) {
        return -1;
    }
    *section = section_take(self, op);
    if (*section == NULL) {
        return -1;
    }
    if (fmm_get_locked(&(*section)->guard, &op->call, &op->key, NULL, 0,
                       &meta) == FMM_MISS) {
        return 1;
    }
    section_leave(*section);
    return 0;
}

static int
read_locked(struct cache_object *self, struct answer *answer, PyObject **value)
{
    struct section *section;
    bool known_missing;
    int taken;
    while ((taken = take_missing(self, &answer->store.op, &section)) == 0) {
        int found = read_plainly(self, answer->key, value, &known_missing);
        if (found != 0 || known_missing) {
            return found;
        }
    }
    if (taken < 0) {
        return -1;
    }
    int found = read_held(self, section, answer, value);
    section_leave(section);
    return found;
}

NOINLINE int
callback_read(struct cache_object *self, PyObject *key, PyObject **value)
{
    struct answer answer = {.key = key};
    int written = writeback_expired(self, key);
    if (written < 0 || op_set_key(self, key, &answer.store.op.key) < 0) {
        return -1;
    }
    if (written == 0) {
        /* What it gives is older than the change that could not be saved,
         * and must not take its place. */
        answer.value = call_inside(self, self->read_cb,
                                   (PyObject *[]){context_of(self), key}, 2);
        return answer.value != NULL ? finish_answer(&answer, 0, value) : -1;
    }
    return self->allow_recursive ? read_unheld(self, &answer, value)
                                 : read_locked(self, &answer, value);
}
