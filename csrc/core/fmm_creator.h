/* The right to create the file of a name: one process at a time has it.
 *
 * It is a lock byte of the directory, so that it leaves nothing behind and
 * ends with whoever is killed. Knows nothing of what is in the file. */
#pragma once

#include "fmm_options.h"

struct fmm_creator {
    uint64_t byte; /* stands for the name */
    int fd;        /* the directory, or -1: without the right */
};

/* Wait until nobody else creates the file of these options, and take the right.
 * FMM_EXISTS: the file has been made; FMM_ERR_OS: the options say to give up;
 * then the right was not taken. Where directories have no locks, or another
 * creator takes too long, go on without it: the first name still wins, but space
 * for two files may be asked for. */
enum fmm_status fmm_creator_take(struct fmm_creator *creator,
                                 const struct fmm_options *options);
void fmm_creator_release(struct fmm_creator *creator);
