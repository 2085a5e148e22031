/* The file header: made, checked, compared with what was asked for. */
#pragma once

#include "fmm_format.h"
#include "fmm_options.h"

/* Fill a header for a new file. False: no random bytes to be had. */
bool fmm_header_make(const struct fmm_options *options,
                     const struct fmm_geometry *geometry, uint64_t now_ms,
                     struct fmm_header *out);

/* Let a new header have the seed, the birth and the names of another: then hashes,
 * times and groups mean the same in both files. */
void fmm_header_follow(struct fmm_header *header,
                       const struct fmm_header *like);

/* Whether it begins as our files do, whatever follows. */
bool fmm_header_is_ours(const struct fmm_header *header);

/* Whether it is of an earlier version, written by a machine like this. */
bool fmm_header_is_older(const struct fmm_header *header);

/* Check every field of a private copy and lay out the geometry. */
enum fmm_status fmm_header_check(const struct fmm_header *header,
                                 uint64_t file_size,
                                 struct fmm_geometry *geometry_out,
                                 struct fmm_error *error);

/* Check that the options which were given agree with it. FMM_ERR_FORMAT: they do
 * not, and the error has no advice yet. */
enum fmm_status fmm_header_agree(const struct fmm_header *header,
                                 const struct fmm_geometry *geometry,
                                 const struct fmm_options *options,
                                 struct fmm_error *error);
