/* A child of which every single instruction is a moment to look.
 *
 * The child runs `body` under ptrace; between two of its instructions it is
 * stopped, and what it shares with this process can be looked at as if it
 * had been killed there. Knows processes and memory, not caches. */
#pragma once

#include "check.h"

#include <sys/types.h>

/* A memory after some instruction, and the next one that differs. */
struct image {
    struct image *next;
    unsigned char bytes[];
};

/* All images of one run, the one before it first. */
struct steps {
    struct image *first;
    unsigned long instructions, images;
};

/* What a child does, and for how many seconds it may. */
struct stepped {
    void (*prepare)(void *); /* not stepped; NULL: nothing */
    void (*body)(void *);
    void *argument;
    unsigned seconds;
};

/* Call `visit` before the first and after each instruction. Returns how many
 * there were; the child must end well. */
unsigned long step_each(const struct stepped *child, void (*visit)(void *),
                        void *context);
/* Keep an image of the `size` bytes at `memory` after each instruction that
 * changed them. */
void step_images(const struct stepped *child, const void *memory, size_t size,
                 struct steps *steps_out);
void free_steps(struct steps *steps);

/* Step `instructions` instructions; the child then waits, stopped. Returns
 * 0 when it ended before. */
pid_t step_to(const struct stepped *child, unsigned long instructions);
/* Let such a child run to its end, which must be a good one. */
void step_on(pid_t child);

/* Run to the n-th entry or return of a system call, and kill it there: what
 * was called before is done, what comes after is not. False when it ended
 * before. */
bool kill_at_call(const struct stepped *child, unsigned long n);
