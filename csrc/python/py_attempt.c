#include "py_attempt.h"

/* On the heap: greenlets move their stacks away. */
struct attempt {
    struct attempt *previous, *next; /* of this process */
    unsigned long thread;
    uint64_t forks;
    int64_t wait_ms;
    bool committed;
};

/* The last to begin stands first. Guarded by the GIL. */
static struct attempt *attempts;

static bool
is_mine(const struct attempt *attempt)
{
    return attempt->thread == PyThread_get_thread_ident() &&
           attempt->forks == fmm_forks();
}

/* Of attempts in one another the shortest counts. */
int64_t
attempt_patience(void)
{
    int64_t least = -1;
    for (const struct attempt *a = attempts; a != NULL; a = a->next) {
        if (!a->committed && is_mine(a) && (least < 0 || a->wait_ms < least)) {
            least = a->wait_ms;
        }
    }
    return least;
}

/* The outer ones, too: they have done what the inner one did. */
void
attempt_commit(void)
{
    for (struct attempt *a = attempts; a != NULL; a = a->next) {
        a->committed |= is_mine(a);
    }
}

int
attempt_raise_busy(const struct module_state *state, PyObject *message,
                   int64_t timeout_ms)
{
    PyObject *seconds = timeout_ms < 0
                            ? Py_NewRef(Py_None)
                            : PyFloat_FromDouble((double)timeout_ms / 1000.0);
    PyObject *args = message != NULL && seconds != NULL
                         ? PyTuple_Pack(2, message, seconds)
                         : NULL;
    if (args != NULL) {
        PyErr_SetObject(state->page_busy, args);
    }
    Py_XDECREF(args);
    Py_XDECREF(seconds);
    Py_XDECREF(message);
    return -1;
}

struct attempt *
attempt_begin(int64_t wait_ms)
{
    struct attempt *attempt = PyMem_Calloc(1, sizeof(*attempt));
    if (attempt == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    attempt->thread = PyThread_get_thread_ident();
    attempt->forks = fmm_forks();
    attempt->wait_ms = wait_ms;
    attempt->next = attempts;
    if (attempts != NULL) {
        attempts->previous = attempt;
    }
    attempts = attempt;
    return attempt;
}

void
attempt_end(struct attempt *attempt)
{
    if (attempt->previous != NULL) {
        attempt->previous->next = attempt->next;
    }
    else {
        attempts = attempt->next;
    }
    if (attempt->next != NULL) {
        attempt->next->previous = attempt->previous;
    }
    PyMem_Free(attempt);
}

METHOD_DOC(attempt_call_doc,
"attempt($module, ms, func, /, *args, **kwargs)\n\
--\n\
\n\
Call a function that must not wait for a page for longer than `ms`.\n\
\n\
Returns:\n\
    What the function returns.\n\
\n\
Raises:\n\
    PageBusy: Somebody holds the page; nothing was done. Its arguments are a\n\
        message and the seconds that the call would have waited, or None.");

PyObject *
attempt_call(PyObject *Py_UNUSED(module), PyObject *const *args,
             Py_ssize_t count, PyObject *names)
{
    if (count < 2) {
        PyErr_SetString(PyExc_TypeError, "attempt() takes ms and a function");
        return NULL;
    }
    long long wait_ms = PyLong_AsLongLong(args[0]);
    struct attempt *attempt =
        wait_ms == -1 && PyErr_Occurred() ? NULL : attempt_begin(wait_ms);
    if (attempt == NULL) {
        return NULL;
    }
    PyObject *result =
        PyObject_Vectorcall(args[1], args + 2, (size_t)(count - 2), names);
    attempt_end(attempt);
    return result;
}
