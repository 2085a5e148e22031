/* How often a memoized function was asked and computed: the type
 * _core.Counts. */
#pragma once

#include "py_state.h"

struct counts_object {
    PyObject_HEAD unsigned long long hits, misses; /* guarded by the GIL */
};
