/* A child that is killed at one of its system calls, or whose call fails.
 *
 * The body of the child marks the part that counts:
 *
 *   syscalls_begin();
 *   status = fmm_open(...);
 *   syscalls_end();
 *
 * and syscalls_run() is called with at = 0, 1, 2, ... until it says that the
 * marked part makes fewer calls than that. */
#pragma once

#include "support.h"

enum syscall_fate {
    SYSCALL_KILL_BEFORE, /* the call is not made any more */
    SYSCALL_KILL_AFTER,  /* it was made, its result never seen */
    SYSCALL_FAIL,        /* not made; returns `errnum` */
};

struct syscall_plan {
    void (*body)(void *);
    void *argument;
    enum syscall_fate fate;
    int errnum;              /* for SYSCALL_FAIL */
    unsigned at;             /* which call, from 0 on */
    void (*meanwhile)(void); /* done while the child is about to make it */
};

/* In the child, around what counts. */
void syscalls_begin(void);
void syscalls_end(void);
/* Run the child to its end. False: it made fewer calls and met no fate. A
 * child that ends by itself must exit with 0. */
bool syscalls_run(const struct syscall_plan *plan);
/* Whether this machine's registers are known to SYSCALL_FAIL. */
bool syscalls_can_fail(void);
