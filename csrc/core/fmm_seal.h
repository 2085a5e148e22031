/* The seal of an entry: a sum that tells that its bytes belong together.
 *
 * After a power cut a file on a disk has pages of several moments. Entries of
 * such files end with a seal; nobody looks at it but who opens the file first
 * after a boot, see fmm_reboot.h. It covers all that does not change in place,
 * and where the entry lies: not `expire_at` and not the words of a lease. The
 * integer is covered, and sealed again where both are written to the disk at
 * once; elsewhere one of a sealed file is changed by a new entry.
 *
 * The key is made of the seed of the file: who chooses values cannot forge the
 * bytes of an entry among them. Knows one entry, no page. */
#pragma once

#include "fmm_entry.h"
#include "fmm_options.h"

/* Let the entries of the files of this geometry be sealed. */
void fmm_seal_use(struct fmm_geometry *geometry, const uint64_t seed[2]);

/* Where an entry lies, for its seal. */
static inline uint64_t
fmm_seal_place(uint32_t page, uint32_t ring, uint64_t offset)
{
    return (uint64_t)page << 32 | (uint64_t)ring << 31 | offset / 8u;
}

/* What its seal must be. */
uint64_t fmm_seal_of(const struct fmm_entry *entry, uint64_t key,
                     uint64_t place);
/* Seal an entry that was written, and that no slot names yet. */
void fmm_seal_set(const struct fmm_entry *entry, uint64_t key, uint64_t place);
/* The same for what has just been written at `at`: its lengths are ours. */
void fmm_seal_new(unsigned char *at, uint64_t key, uint64_t place);
/* Whether the integer of an entry lies with its seal in one of the blocks that a
 * disk is written by. */
bool fmm_seal_is_by_integer(const struct fmm_entry *entry);
/* Seal a copy of `total` bytes: it is as whole as the entry that it was made
 * of. */
void fmm_seal_move(unsigned char *copy, uint64_t total, uint64_t key,
                   uint64_t from, uint64_t to);
/* Whether the entry is whole, and where it was written. */
bool fmm_seal_holds(const struct fmm_entry *entry, uint64_t key,
                    uint64_t place);

/* The sum of bytes; each 16 of them are multiplied into one of four lanes, 64
 * bits times 64, and the halves of the product combined. */
uint64_t fmm_seal_sum(uint64_t key, uint64_t sum, const unsigned char *at,
                      uint64_t length);
