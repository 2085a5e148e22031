/* Eviction: which tail goes next, who gets a second life, ghosts.
 *
 * New entries are on probation in ring S; a hit earns credit, and at a
 * tail a second life in ring M is paid with it, the dearer the larger the
 * entry. Quick demotion and ghosts follow S3-FIFO (J. Yang et al., "FIFO
 * queues are all you need for cache eviction", 2023), credit by size the
 * idea of GreedyDual-Size (P. Cao, S. Irani, 1997). The caller holds the
 * page lock. */
#pragma once

#include "fmm_tail.h"

void fmm_evict_begin(struct fmm_work *work, struct fmm_page *page,
                     uint64_t now_ms, uint64_t length);

/* The ring for a new entry of that length. */
uint32_t fmm_evict_choose_ring(const struct fmm_page *page,
                               const struct fmm_key *key, uint64_t length);

/* Retire entries at a tail until `length` bytes fit into the ring.
 * FMM_DIRTY: the entry of the ticket has to be written back first;
 * FMM_ERR_CORRUPT: the log makes no sense. */
enum fmm_status fmm_evict_make_room(struct fmm_work *work, uint32_t ring,
                                    uint64_t length);

/* Make a hole at the head of a ring for a part of a value, of `least` to `most`
 * bytes; what of it there is. Parts that are in the way stay, and small entries
 * go as in fmm_evict_make_room(). FMM_OK: `*length_out` is `least` or more. */
enum fmm_status fmm_evict_find_hole(struct fmm_work *work, uint32_t ring,
                                    uint64_t least, uint64_t most,
                                    uint64_t *length_out);

/* Keep about 1 % of each ring free, and more while there are dead bytes to be
 * had for it, within what is left of the work. */
void fmm_evict_tidy(struct fmm_work *work);
