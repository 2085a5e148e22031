/* The directory: which values in parts there are, and in which order they are
 * to leave.
 *
 * Two lists of them, new and main, as the rings S and M, one of what is being
 * stored, one of what has left and may have parts yet, and one of what is free.
 * A value is listed before its parts are stored, so that none is forgotten,
 * whoever dies. All of it is advice: a listing counts for nothing without the
 * manifest. The lock of a page may be tried, not waited for, with the directory
 * held, and the other way round. */
#pragma once

#include "fmm_client.h"
#include "fmm_options.h"
#include "fmm_status.h"

/* The directory, held. */
struct fmm_shelf {
    struct fmm_directory *directory;
    struct fmm_listing *listings;
    uint32_t count;
    uint64_t owner;
};

/* The directory in the map. */
static inline struct fmm_directory *
fmm_directory_of(unsigned char *base, const struct fmm_geometry *geometry)
{
    void *at = base + geometry->directory_at;
    return at;
}
/* Take its lock, and make the lists where that is due. FMM_OK, FMM_BUSY, or
 * FMM_RETIRED: a child that has lost the file. */
enum fmm_status fmm_directory_take(struct fmm_client *client,
                                   const struct fmm_geometry *geometry,
                                   int64_t wait_ms, struct fmm_shelf *out);
void fmm_directory_release(const struct fmm_shelf *shelf);

/* The number of the oldest in a list; 0: there is none. */
uint32_t fmm_directory_oldest(const struct fmm_shelf *shelf,
                              enum fmm_list list);
/* The number of one that has expired, as far as the listings know; 0: none was
 * found in a few steps. */
uint32_t fmm_directory_expired(const struct fmm_shelf *shelf, uint64_t now_ms);
/* Let a listing expire then. */
void fmm_directory_set_expiry(const struct fmm_shelf *shelf, uint32_t number,
                              uint64_t expire_at);
/* List a value as the newest. Returns its number, 0: no listing is free. */
uint32_t fmm_directory_add(const struct fmm_shelf *shelf,
                           const struct fmm_listing *value,
                           enum fmm_list list);
/* Make a listing the newest of a list. */
void fmm_directory_move(const struct fmm_shelf *shelf, uint32_t number,
                        enum fmm_list list);
/* Say where the parts of a listing are, without the lock: it is the caller's
 * own, and on its way. */
void fmm_directory_note(unsigned char *base,
                        const struct fmm_geometry *geometry,
                        const struct fmm_parts *parts);
/* What a listing says of the parts of its value. */
struct fmm_parts fmm_directory_parts(const struct fmm_shelf *shelf,
                                     uint32_t number);
/* Whether the value of a part, of which that is the key in the map, is being
 * stored. Without the lock. */
bool fmm_directory_is_coming(unsigned char *base,
                             const struct fmm_geometry *geometry,
                             const unsigned char *part);
/* The list that a value is in; FMM_LIST_FREE: in none. */
enum fmm_list fmm_directory_list(const struct fmm_shelf *shelf,
                                 const struct fmm_parts *parts);
/* Drop a value from its list, unless the directory is busy. It is listed as gone
 * while `parts->count` of its parts are there. */
void fmm_directory_forget(struct fmm_client *client,
                          const struct fmm_geometry *geometry,
                          const struct fmm_parts *parts);

/* Ghosts: remember the key of a value that left the new list. As many are
 * remembered as there are values. */
void fmm_directory_add_ghost(const struct fmm_shelf *shelf, uint64_t hash);
bool fmm_directory_has_ghost(const struct fmm_shelf *shelf, uint64_t hash);

/* Without the lock: bytes of all values in parts. */
uint64_t fmm_directory_bytes(const struct fmm_directory *directory);
/* Debt: bytes of them that are to leave. */
static inline uint64_t
fmm_directory_debt(const struct fmm_directory *directory)
{
    return atomic_load_explicit(&directory->debt, memory_order_relaxed);
}
void fmm_directory_owe(struct fmm_directory *directory, uint64_t bytes);
void fmm_directory_settle(struct fmm_directory *directory, uint64_t bytes);
