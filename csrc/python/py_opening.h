/* An opening that may take long: beside a verification after a boot, and while
 * another process opens or creates the file, handlers of signals run, and the
 * log is told how far it is. */
#pragma once

#include "py_state.h"

/* fmm_open() of a file that is `path` to the log; releases the GIL. Returns its
 * status; where an exception is set, that counts. */
enum fmm_status opening_run(const struct module_state *state, PyObject *path,
                            const struct fmm_options *options,
                            struct fmm_cache **cache_out,
                            struct fmm_error *error);
