/* What Lock, RLock and Semaphore have in common: the type _core.Acquirable.
 *
 * The last step of every way to acquire is to take and note a lease, in C,
 * and to return: no signal and no cancellation comes between. While one has
 * to wait, Python says for how long, and sleeps, and nothing is held. */
#pragma once

#include "py_holdings.h"

struct acquirable_object {
    PyObject_HEAD struct module_state *state;
    struct holdings_object *holdings; /* owned; NULL before __init__ */
    PyObject *name;
    PyObject *timeout; /* seconds, or None */
    uint64_t duration_ms;
};

static inline struct acquirable_object *
acquirable_of(PyObject *object)
{
    return (struct acquirable_object *)object;
}

/* Refuse one that __init__() has not made. Returns 0, or -1 with an
 * exception. */
int acquirable_require(const struct acquirable_object *self);
/* Take it if it is free. Returns 1, 0, or -1 with an exception. */
int acquirable_attempt(struct acquirable_object *self);
/* Raise LockTimeout. Returns -1. */
int acquirable_raise_timeout(struct acquirable_object *self);
/* Call a function of a module, which is imported by now. Steals `args`. */
PyObject *acquirable_call_module(const char *module_name, const char *function,
                                 PyObject *args);
/* A fastmmap.waiting.Patience. */
PyObject *acquirable_patience(PyObject *timeout);
/* Ask one for the seconds until the next look; None: the time is over. */
PyObject *acquirable_delay(PyObject *patience);
/* Call a function of fastmmap.waiting with that. */
PyObject *acquirable_wait(const char *function, PyObject *delay);

/* One who waits, among all who do in this process. */
struct crowd {
    bool joined;
    uint64_t forks;
};

static inline void
crowd_join(struct module_state *state, struct crowd *one)
{
    *one = (struct crowd){true, fmm_forks()};
    state->waiters = state->waiters_forks == one->forks ? state->waiters : 0;
    state->waiters_forks = one->forks;
    state->waiters++;
}

/* Of a child only those are counted that began to wait in it. */
static inline void
crowd_leave(struct module_state *state, struct crowd *one)
{
    if (one->joined && one->forks == state->waiters_forks) {
        state->waiters--;
    }
    one->joined = false;
}

/* An awaitable that acquires: of True or False; or, with `enter`, of the
 * object itself, else it is a LockTimeout. Steals `timeout`. */
PyObject *acquiring_new(struct acquirable_object *acquirable,
                        PyObject *timeout, bool enter);
/* One that is done, of None. */
PyObject *acquiring_done(struct module_state *state);

/* py_releasing.c */
#define DECLARE_RELEASING(name)     \
    extern const char name##_doc[]; \
    PyObject *name(PyObject *self, PyObject *argument)

DECLARE_RELEASING(acquirable_release);
extern const char acquirable_release_some_doc[];
PyObject *acquirable_release_some(PyObject *self, PyObject *args,
                                  PyObject *kwargs);
extern const char acquirable_exit_doc[];
PyObject *acquirable_exit(PyObject *self, PyObject *const *args,
                          Py_ssize_t count);
extern const char acquirable_aexit_doc[];
PyObject *acquirable_aexit(PyObject *self, PyObject *const *args,
                           Py_ssize_t count);
DECLARE_RELEASING(acquirable_extend);
