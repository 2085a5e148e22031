/* The right to tell the user's store of a key, while callbacks run. One caller
 * in all processes has it at a time; see fmm_writer_take().
 *
 * Writers live on the heap, as sections do. */
#pragma once

#include "py_op.h"

struct writer {
    struct writer *previous, *next; /* of this process */
    struct cache_object *cache;     /* a root; owned */
    struct mapping *map;            /* pinned */
    struct fmm_writer right;
    unsigned long thread;
    uint64_t forks;
    bool nested; /* in a callback of the same thread, which has the right */
};

/* What is to be written, and how long to wait for whoever writes now. */
struct writer_wish {
    uint64_t serial; /* fmm_serial() of the file that it is about */
    uint64_t hash;   /* of the key */
    int64_t wait_ms; /* 0 not at all; < 0 for as long as that one lives */
    bool others;     /* wait for writers of other keys only */
};

enum writer_outcome {
    WRITER_BUSY,  /* somebody else, or a caller of this code, has it */
    WRITER_TAKEN, /* end with writer_release() */
    WRITER_VOID   /* the file was replaced: there is nothing to write */
};

/* Returns an outcome, or -1 with an exception. */
int writer_take(struct cache_object *self, const struct writer_wish *wish,
                struct writer **writer_out);
/* Before the last look for newer changes: who leaves some to us must not do so
 * after it. */
void writer_leave(struct writer *writer);
/* Keeps an exception that is set. */
void writer_release(struct writer *writer);
/* LockError in a child that was forked since: the right is its parent's.
 * Returns 0, or -1. */
int writer_require(const struct writer *writer);
