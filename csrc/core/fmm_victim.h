/* Victims: who gives up an index slot to a new entry that finds none empty.
 *
 * Sixteen entries are in question. What has expired goes first, and then who
 * has the least credit; those that are passed over lose some, so that nobody
 * stays for what was asked long ago. The caller holds the page lock. */
#pragma once

#include "fmm_evict.h"

/* Choose among the candidates of full buckets, and account for who goes; the
 * caller stores the slot. FMM_MISS: the slot of `victim_out` names nothing
 * sound. FMM_DIRTY: that entry, named by the ticket of `work`, has to be
 * written back first. FMM_NO_ROOM: all of them are leased. */
enum fmm_status fmm_victim_choose(const struct fmm_work *work, uint64_t hash,
                                  struct fmm_found *victim_out);
