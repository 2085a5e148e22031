/* The locks that order what reaches the user's store: an array in the header.
 *
 * They are words as those of pages, and so end with the process that holds
 * one; but user code runs while they are held, and no page need be. A key has
 * the lock that bits of its hash choose (lock striping). */
#pragma once

#include "fmm_client.h"
#include "fmm_format.h"

/* The lock of a hash. */
struct fmm_turn_lock *fmm_turn_lock_of(struct fmm_header *header,
                                       uint64_t hash);
/* Whether two hashes have the same. */
bool fmm_turn_lock_shared(uint64_t hash, uint64_t other);
/* Note whose lock it is for the moment, 0: nobody's. */
void fmm_turn_lock_note(struct fmm_turn_lock *lock, uint64_t hash);

/* Nobody holds any: for a file from another boot. */
void fmm_turn_lock_reset(struct fmm_header *header);
/* The lock of a hash, as one of 64 bits. */
uint64_t fmm_turn_lock_bit(uint64_t hash);
/* Take all but those of `mine` in the file of a client. Before, wait until
 * each was free once, `wait_ms` at most: so others go on while one of them is
 * slow. Returns FMM_OK or FMM_BUSY, and then none is taken. */
enum fmm_status fmm_turn_lock_take_all(struct fmm_client *client,
                                       uint64_t mine, int64_t wait_ms);
/* Give them back. */
void fmm_turn_lock_release_all(struct fmm_client *client, uint64_t mine);
