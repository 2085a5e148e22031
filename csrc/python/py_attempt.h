/* Attempts: calls that shall not wait for a page that somebody else holds. An
 * event loop makes them: instead of waiting they raise PageBusy, and are made
 * again later.
 *
 * That is only right while nothing was done yet. Whoever has done something,
 * or is about to call what the user gave, says so; from then on the call waits
 * like any other. */
#pragma once

#include "py_state.h"

/* How long the attempt of this thread that runs now may wait for a page, ms;
 * < 0: there is none, or it has got beyond that. */
int64_t attempt_patience(void);
/* Something is done: not to be repeated. */
void attempt_commit(void);
/* Raise PageBusy, with a message for when the patience of the caller is at its
 * end: so long, ms, < 0: never. Steals `message`. Returns -1. */
int attempt_raise_busy(const struct module_state *state, PyObject *message,
                       int64_t timeout_ms);

struct attempt;
/* Begin one; NULL with MemoryError. */
struct attempt *attempt_begin(int64_t wait_ms);
/* Keeps an exception that is set. */
void attempt_end(struct attempt *attempt);

extern const char attempt_call_doc[];
PyObject *attempt_call(PyObject *module, PyObject *const *args,
                       Py_ssize_t count, PyObject *names);
