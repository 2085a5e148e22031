/* Eviction: which tail goes next, who gets a second life, ghosts.
 *
 * New entries are on probation in ring S; a hit earns credit, and at a
 * tail a second life in ring M is paid with it, the dearer the larger the
 * entry. Quick demotion and ghosts follow S3-FIFO (J. Yang et al., "FIFO
 * queues are all you need for cache eviction", 2023), credit by size the
 * idea of GreedyDual-Size (P. Cao, S. Irani, 1997). The caller holds the
 * page lock. */
#pragma once

#include "fmm_page.h"

/* What one set may do to make room. */
struct fmm_work {
    struct fmm_page *page;
    uint64_t now_ms;
    uint64_t budget;   /* bytes that may still be moved */
    uint32_t stays;    /* entries that may still stay in place */
    uint64_t fresh[2]; /* positions: from there on this set moved or stored */
    const void *own;   /* the `id` of the parts that it belongs to; NULL */
    struct fmm_ticket *ticket; /* for FMM_DIRTY */
    bool large;   /* it is for an entry that is too large for ring S */
    bool retired; /* something left its tail: slots may have changed */
    bool tidying; /* refilling the reserve: force nothing, hand out nothing */
};

void fmm_evict_begin(struct fmm_work *work, struct fmm_page *page,
                     uint64_t now_ms, uint64_t length);

/* Whether an entry is a part of the value that is being stored. */
bool fmm_evict_is_own(const struct fmm_work *work,
                      const struct fmm_entry *entry);
/* A part goes: so does its value, and the other parts when they are dropped
 * by way of the ticket. */
void fmm_evict_value_of(const struct fmm_work *work,
                        const struct fmm_entry *entry);

/* The ring for a new entry of that length. Large parts go into ring M: a value
 * is not to end with the first of its parts that nobody had time to read. */
uint32_t fmm_evict_choose_ring(const struct fmm_page *page,
                               const struct fmm_key *key, uint64_t length);

/* Retire entries at a tail until `length` bytes fit into the ring.
 * FMM_DIRTY: the entry of the ticket has to be written back first;
 * FMM_ERR_CORRUPT: the log makes no sense. */
enum fmm_status fmm_evict_make_room(struct fmm_work *work, uint32_t ring,
                                    uint64_t length);

/* Give up the entry of a slot for want of slots: it becomes a ghost. The
 * caller stores the slot. */
void fmm_evict_slot(const struct fmm_page *page,
                    const struct fmm_found *found);
/* The same of one that has expired, or that nobody can ask for. */
void fmm_evict_expired(const struct fmm_page *page,
                       const struct fmm_found *found);
/* Mark a dirty entry as handed out and name it in the ticket. */
enum fmm_status fmm_evict_hand_out(const struct fmm_page *page,
                                   const struct fmm_found *found,
                                   struct fmm_ticket *ticket);

/* Keep about 1 % of each ring free, and more while there are dead bytes to be
 * had for it, within what is left of the work. */
void fmm_evict_tidy(struct fmm_work *work);
