/* The right to tell the user's store of a key, while callbacks run. One caller
 * in all processes has it at a time; see fmm_turn_take().
 *
 * Writers live on the heap, as sections do. */
#pragma once

#include "py_op.h"

struct turn {
    struct turn *previous, *next; /* of this process */
    struct cache_object *cache;   /* a root; owned */
    struct mapping *map;          /* pinned */
    struct fmm_turn right;
    unsigned long thread;
    uint64_t forks;
    uint64_t before; /* what the right was noted for */
    bool nested; /* in a callback of the same thread, which has the right */
    bool paged;  /* goes without it: by the page of the key, which is held */
    bool noted;
};

/* What is to be written, and how long to wait for whoever writes now. */
struct turn_wish {
    uint64_t serial; /* fmm_serial() of the file that it is about */
    uint64_t hash;   /* of the key */
    int64_t wait_ms; /* 0 not at all; < 0 for as long as that one lives */
    bool others;     /* wait for writers of other keys only */
    bool held;       /* the page of the key is: wait for writers of it only */
};

enum turn_outcome {
    TURN_BUSY,  /* somebody else, or a caller of this code, has it */
    TURN_TAKEN, /* end with turn_release() */
    TURN_VOID   /* the file was replaced: there is nothing to write */
};

/* Returns an outcome, or -1 with an exception. */
int turn_take(struct cache_object *self, const struct turn_wish *wish,
              struct turn **turn_out);
/* When a version is read, with the page held: nothing of Python. */
void turn_note(struct turn *turn);
/* When it was told, before the last look for newer changes: who leaves some to
 * us must not do so after it. */
void turn_leave(struct turn *turn);
/* Keeps an exception that is set. */
void turn_release(struct turn *turn);
/* Whether it is this process's: false in a child that was forked since. */
bool turn_is_ours(const struct turn *turn);
/* LockError in a child that was forked since: the right is its parent's.
 * Returns 0, or -1. */
int turn_require(const struct turn *turn);

/* What init_file needs: the turns of this thread in the file of that path. */
uint64_t turn_own(PyObject *path);
/* How long to wait for others, ms: not for long inside a callback, for two may
 * wait crosswise. */
int64_t turn_patience(int64_t wait_ms);
