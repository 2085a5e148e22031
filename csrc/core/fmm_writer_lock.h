/* The locks that order what reaches the user's store: an array in the header.
 *
 * They are words as those of pages, and so end with the process that holds
 * one; but user code runs while they are held, and no page need be. A key has
 * the lock that bits of its hash choose (lock striping). */
#pragma once

#include "fmm_format.h"

/* The lock of a hash. */
struct fmm_writer_lock *fmm_writer_lock_of(struct fmm_header *header,
                                           uint64_t hash);
/* Whether two hashes have the same. */
bool fmm_writer_lock_shared(uint64_t hash, uint64_t other);
/* Note whose lock it is for the moment, 0: nobody's. */
void fmm_writer_lock_note(struct fmm_writer_lock *lock, uint64_t hash);

/* Nobody holds any: for a file from another boot. */
void fmm_writer_lock_reset(struct fmm_header *header);
/* Wait until no other process than `owner` writes values of a file that was
 * just retired, two seconds at most: what is stored in the file that takes its
 * place is newer. */
void fmm_writer_lock_drain(struct fmm_header *header, uint64_t owner);
