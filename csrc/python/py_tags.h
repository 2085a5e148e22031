/* The tags of a value, as they were when it was made. */
#pragma once

#include "py_cache.h"

/* Give a store the tags that cache_read_tags() read: a bytes object, which
 * must live on. */
void tags_put(PyObject *tags, struct fmm_store_options *store);
