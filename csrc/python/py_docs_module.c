/* Docstrings of the module _core and its functions. */
#include "py_docs.h"

/* clang-format off */

const char core_doc[] = PyDoc_STR(
"The engine of fastmmap as Python sees it; use ``fastmmap.FastMmap``.");

const char sweep_doc[] = PyDoc_STR(
"sweep($module, path, /)\n\
--\n\
\n\
Remove a cache file that no process has open.\n\
\n\
Args:\n\
    path: Path of the file.\n\
\n\
Returns:\n\
    Whether it was removed.");

const char get_travel_doc[] = PyDoc_STR(
"get_travel($module, /)\n\
--\n\
\n\
Return how far this process's idea of now is ahead, in milliseconds.");

const char set_travel_doc[] = PyDoc_STR(
"set_travel($module, ms, /)\n\
--\n\
\n\
Set how far this process's idea of now is ahead, in milliseconds.");

const char monotonic_doc[] = PyDoc_STR(
"monotonic($module, /)\n\
--\n\
\n\
Return seconds of a clock that never jumps and that nothing replaces.");

const char monotonic_ns_doc[] = PyDoc_STR(
"monotonic_ns($module, /)\n\
--\n\
\n\
Return nanoseconds of the same clock.");

const char now_doc[] = PyDoc_STR(
"now($module, /)\n\
--\n\
\n\
Return seconds since 1970, as this process's caches have them.");

const char get_waiters_doc[] = PyDoc_STR(
"get_waiters($module, /)\n\
--\n\
\n\
Return how many callers of this process wait for locks of fastmmap.sync.");

/* clang-format on */
