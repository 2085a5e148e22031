/* How an entry leaves its page, whoever decided that it does.
 *
 * The caller holds the page. Knows no rule by which entries are chosen. */
#pragma once

#include "fmm_page.h"

/* Mark a dirty entry as handed out and name it in the ticket. */
enum fmm_status fmm_leave_hand_out(const struct fmm_page *page,
                                   const struct fmm_found *found,
                                   struct fmm_ticket *ticket);
/* Give up the entry of a slot for want of slots: it becomes a ghost. The
 * caller stores the slot. */
void fmm_leave_slot(const struct fmm_page *page,
                    const struct fmm_found *found);
/* The same of one that has expired, or that nobody can ask for. */
void fmm_leave_expired(const struct fmm_page *page,
                       const struct fmm_found *found);

/* Whether an entry is a part of the value whose parts have the `id` at `own`;
 * NULL: of none. */
bool fmm_leave_is_own(const void *own, const struct fmm_entry *entry);
/* Whether the value of a part is that one, or is being stored, or there. */
bool fmm_leave_is_wanted_part(const struct fmm_page *page, const void *own,
                              const struct fmm_entry *entry, uint64_t now_ms);
/* A part goes, if the entry is one: so does its value, and the other parts when
 * they are dropped by way of the ticket. */
void fmm_leave_value(const struct fmm_page *page,
                     const struct fmm_entry *entry, struct fmm_ticket *ticket);
/* Drop all parts of values that are not there, wherever they lie: chains that
 * a killed writer left are broken where a tail came by. */
void fmm_leave_orphans(const struct fmm_page *page, uint64_t now_ms);
