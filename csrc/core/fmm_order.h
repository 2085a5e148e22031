/* A part of fmm.h: the order in which values reach the user's store. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fmm_status.h"

struct fmm_cache;
struct fmm_call;

/* The right to tell the user's store of one key: one caller in all processes
 * has it at a time. So a value that is slow to be written cannot arrive there
 * after a newer one. It ends with the process that has it. */
struct fmm_turn {
    uint64_t owner; /* the lock word; 0: not held */
    uint64_t hash;
};
/* Take it for keys of that hash. Some others share it: it is one of
 * FMM_TURNS locks. FMM_BUSY: somebody else has it. FMM_RETIRED: the file was
 * replaced, and what is dirty in it is nobody's any more. */
enum fmm_status fmm_turn_take(struct fmm_cache *cache,
                              const struct fmm_call *call, uint64_t hash,
                              struct fmm_turn *writer_out);
/* Note that it is used for that hash from now on, while the page of the key is
 * held: who has the page after that sees it. Returns what was noted before:
 * callbacks of one key may tell of another by the same right. */
uint64_t fmm_turn_note(struct fmm_cache *cache, const struct fmm_turn *writer,
                       uint64_t hash);
/* Whether whoever has that right now uses it for this very hash. A hint. */
bool fmm_turn_is_at(const struct fmm_cache *cache, uint64_t hash);
/* The same for one who holds the page of the key: False: nobody tells the store
 * of it, and nobody begins to before the page is given back. */
bool fmm_turn_may_be_at(const struct fmm_cache *cache, uint64_t hash);
/* Whether two hashes share one right. */
bool fmm_turn_shared(uint64_t hash, uint64_t other);
/* The lock of a hash, as one of 64 bits. */
uint64_t fmm_turn_bit(uint64_t hash);
/* No longer at what was noted, but at what was `before`. What is looked for
 * after this call is seen, or else whoever stored it sees that. */
void fmm_turn_leave(struct fmm_cache *cache, const struct fmm_turn *writer,
                    uint64_t before);
/* Give it back. False: this process does not have it (it forked). */
bool fmm_turn_release(struct fmm_cache *cache, struct fmm_turn *writer);
