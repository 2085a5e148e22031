/* Values read from the file: into a small buffer, or a bytes object. */
#pragma once

#include "py_buffer.h"
#include "py_op.h"

#define READ_SMALL_SIZE 1024u

/* One read. Begin `op` and give it its key first. */
struct reading {
    struct op op;
    struct fmm_meta meta;
    struct buffer buffer; /* `small`, or bytes that hold a large value */
    unsigned char small[READ_SMALL_SIZE];
};

/* Read. Returns FMM_OK, FMM_MISS, or -1 with an exception. After FMM_OK end
 * with one of the two below. */
int reading_run(struct cache_object *self, struct reading *reading);
/* The value that was read; an exception says for which key. */
PyObject *reading_value(struct cache_object *self, struct reading *reading);
void reading_drop(struct reading *reading);

/* Decode a value of a key; an exception gets a note that names them. Takes
 * over `bytes`, as value_decode_bytes() does. */
PyObject *read_decode(struct cache_object *self, const struct fmm_key *key,
                      const struct fmm_meta *meta, PyObject *bytes);
/* A fastmmap.Entry; takes over `value`. */
PyObject *read_entry(const struct cache_object *self,
                     const struct fmm_meta *meta, PyObject *value);
/* Less than 0 as other errors are: the value was there and failed to decode. */
#define READ_UNDECODED (-2)

/* Look a key up without read_cb. A new reference in `*value`; returns 1, 0
 * when there is none, -1 or READ_UNDECODED with an exception. With `share` the
 * value will not be changed, so others may have it, too.
 * `*known_missing` tells that read_cb found nothing before. */
int read_plainly(struct cache_object *self, PyObject *key, bool share,
                 PyObject **value, bool *known_missing);
/* The same for a key that is set to an object, as of op_set_key(). */
int read_hashed(struct cache_object *self, PyObject *object,
                const struct fmm_key *key, PyObject **value);
