/* A part of fmm.h: a file of another size that takes the place of one in use. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fmm_status.h"

struct fmm_cache;
struct fmm_options;

/* What the new file has of the old one, and what it has not. */
struct fmm_resize_report {
    uint64_t values, bytes; /* that it has; bytes with keys and headers */
    uint64_t no_room;       /* values that found none, or had to leave again */
    uint64_t misplaced;     /* of multi_set(), whose page cannot be told */
    uint32_t locks;         /* by name, that were held and are lost */
    uint32_t rounds;        /* of copying */
    uint64_t stopped_ns;    /* so long nobody could store anything */
};

/* How it is to be done. */
struct fmm_resize_request {
    uint64_t now_ms;
    int64_t wait_ms;  /* for pages, and for those who tell the user's store;
                         < 0: as long as it takes */
    bool break_locks; /* held locks by name go, too */
};

/* One that is being made. */
struct fmm_resizing;

/* Make a file for `options`, whose path is that of `cache`, which has to stay
 * open. Nobody sees it yet. Hashes, times and groups mean the same in it. */
enum fmm_status fmm_resize_begin(struct fmm_cache *cache,
                                 const struct fmm_options *options,
                                 const struct fmm_resize_request *how,
                                 struct fmm_resizing **out,
                                 struct fmm_error *error);
/* Copy for a moment, while others use the file. FMM_MISS: there is more, call it
 * again. FMM_OK: few entries have changed since they were copied. FMM_BUSY: the time
 * is over, and `error` says who was in the way; so it does below. */
enum fmm_status fmm_resize_copy(struct fmm_resizing *r,
                                struct fmm_error *error);
/* Hold all pages, copy what has changed, and give the new file the name. FMM_MISS:
 * copy some more, and then again. FMM_RETIRED: another has replaced the file.
 * FMM_LEASED: locks are held. FMM_DIRTY: values that the user's store has not do
 * not fit. */
enum fmm_status fmm_resize_commit(struct fmm_resizing *r,
                                  struct fmm_resize_report *report_out,
                                  struct fmm_error *error);
/* Close the new file, which is gone unless it has the name. NULL is fine. */
void fmm_resize_end(struct fmm_resizing *r);
