/* Entries carried over from one file into another of the same seed.
 *
 * In rounds over all pages, as the file is used by others: each copies what has
 * changed since the one before, and drops what has gone. The last one, with all
 * pages held, leaves nothing out. Knows who holds them, and nothing of names. */
#pragma once

#include "fmm_file.h"
#include "fmm_memo.h"

/* The round that carries nothing but the records of groups. */
#define FMM_CARRY_RECORDS 1u

struct fmm_carry {
    struct fmm_cache *from, *to;
    struct fmm_call call;
    struct fmm_memo *memos; /* of each page of `from` */
    unsigned char *buffer;  /* of entries that were copied out of a page */
    uint64_t capacity, used;
    uint64_t
        least; /* that the buffer has to have for the entry that is next */
    uint32_t round; /* from 1 on */
    uint32_t page;  /* that is next in it */
    bool held;      /* all pages of `from`, by the caller */
    /* Of this round. */
    uint64_t changed, wanted, misplaced;
    uint32_t locks;
    bool stuck; /* a changed value found no room */
};

/* Begin; fmm_carry_end() is due then, whatever comes. False: no memory. */
bool fmm_carry_begin(struct fmm_carry *carry, struct fmm_cache *from,
                     struct fmm_cache *to);
/* Begin a round. */
void fmm_carry_turn(struct fmm_carry *carry);
/* Carry the next page over; FMM_MISS: the round is over. FMM_BUSY, FMM_RETIRED:
 * the page could not be had. */
enum fmm_status fmm_carry_page(struct fmm_carry *carry);
void fmm_carry_end(struct fmm_carry *carry);
