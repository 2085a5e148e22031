/* New cache files: made whole under another name, then given theirs.
 *
 * Also what making and attaching to a file share. */
#pragma once

#include "fmm_file.h"
#include "fmm_header.h"
#include "fmm_platform.h"

/* An open in progress. */
struct fmm_opening {
    const struct fmm_options *options;
    struct fmm_error *error;
    struct fmm_cache *cache;
    char *path;               /* a copy, for the cache */
    struct fmm_header header; /* a private copy */
    struct fmm_file_stat stat;
    struct fmm_header *old; /* mapped, while its file is replaced; or NULL */
    const struct fmm_header
        *like; /* whose seed, birth and names it gets, NULL:
                                      its own */
    int fd;
    bool fresh;              /* made by us: nothing in it is to be settled */
    bool keep;               /* an attempt to replace it failed: follow it */
    struct fmm_error notice; /* what the log is told, over all attempts */
};

/* Refuse a file on a network or FUSE file system, unless that is allowed. */
enum fmm_status fmm_create_refuse_remote(const struct fmm_opening *o, int fd);

/* Map the file, of the geometry that the cache has by now. */
enum fmm_status fmm_create_map(struct fmm_opening *o, int fd);

/* What to say when a lock could not be had; `what` of the usual reasons. */
enum fmm_status fmm_create_lock_failed(const struct fmm_opening *o,
                                       const char *what);
/* Become a client of a file that is mapped. */
enum fmm_status fmm_create_join(const struct fmm_opening *o,
                                struct fmm_client *client);

/* A new file that is whole, mapped and joined, and has no name yet. */
struct fmm_draft {
    int fd;
    char name[FMM_PATH_SIZE]; /* a temporary one, or "" */
};

/* Make one for the options. FMM_EXISTS: a sweep was in the way, try again. On
 * failure nothing is left but what is mapped. */
enum fmm_status fmm_create_draft(struct fmm_opening *o,
                                 struct fmm_draft *draft_out);
/* Give it its name. FMM_EXISTS: that, or the temporary one, was taken. */
enum fmm_status fmm_create_publish(const struct fmm_opening *o,
                                   struct fmm_draft *draft, bool replace);
/* Drop it instead. */
void fmm_create_discard(struct fmm_opening *o, const struct fmm_draft *draft);

/* The user's store may have what the file of that name held. */
void fmm_create_note_departures(const struct fmm_cache *cache);

/* Make a file. FMM_EXISTS: another process was first. */
enum fmm_status fmm_create_new(struct fmm_opening *o);

/* Put an empty file in the place of the one that is open and locked. */
enum fmm_status fmm_create_replacement(struct fmm_opening *o);
