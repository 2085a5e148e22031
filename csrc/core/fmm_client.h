/* Who has the file open: a table in the file, and locks of the kernel.
 *
 * Whoever opens the file takes an entry of the table and locks its byte, by
 * the very file description that it maps. The kernel drops that lock when the
 * description goes: with its process, however that ends, and at exec. Lock
 * words and leases name the entry and its generation. Nothing else decides
 * whether somebody lives: no process id, no start time, no /proc.
 *
 * A forked child would keep the description of its parent alive. So it opens
 * the file for itself, maps that over what it inherited, and takes an entry of
 * its own with its first need. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"
#include "fmm_process.h"
#include "fmm_status.h"

/* One open file, as the client of it that we are. */
struct fmm_client {
    int fd; /* of the description that is mapped */
    bool alone, lost;
    bool
        read_only; /* it has no entry, and locks nothing but that it is there */
    uint64_t device, inode;
    char *path;
    unsigned char *base; /* the map, and its bytes */
    uint64_t size;
    struct fmm_header *header;
    struct fmm_client_entry *table;
    /* Who we are in lock words, 0: nobody yet, and the count of forks when
     * that was settled: two words that any thread may renew after a fork. */
    _Atomic(uint64_t) owner, forks;
    _Atomic(struct fmm_client_stripe *) stripes; /* of its entry; NULL: none */
    uint64_t opened_forks;   /* the same when it was opened */
    uint64_t forks_made;     /* fmm_forks_made() before that */
    struct fmm_client *next; /* of all that this process has */
};

/* The file once more, by a description of its own; -1: it cannot be had. */
int fmm_client_open_again(const struct fmm_client *client);

/* An owner that never lives. */
#define FMM_OWNER_NOBODY UINT64_C(2)

/* To be called before the file is opened. */
void fmm_client_begin(struct fmm_client *client);
/* Become a client of the file that is open and mapped. False: errno says why;
 * EUSERS: no entry is free. The struct is not to lie on a stack, which goes in
 * the children that other threads fork. */
bool fmm_client_join(struct fmm_client *client);
/* Unmap and close. What still names this client as its owner is free. */
void fmm_client_leave(struct fmm_client *client);

/* In a child: settle who we are. 0: it cannot be; the client is lost. */
uint64_t fmm_client_renew(struct fmm_client *client);

/* This client as it stands in lock words. 0: a child could not open the file
 * for itself, and everything in it reads as retired. */
static inline uint64_t
fmm_client_owner(struct fmm_client *client)
{
    /* Acquire pairs with the release in fmm_client_renew(): the owner that is
     * read is not older. */
    if (FMM_UNLIKELY(
            atomic_load_explicit(&client->forks, memory_order_acquire) !=
            fmm_forks_seen())) {
        return fmm_client_renew(client);
    }
    return atomic_load_explicit(&client->owner, memory_order_relaxed);
}

/* Why a client without an owner may take nothing. */
static inline enum fmm_status
fmm_client_refusal(const struct fmm_client *client)
{
    return client->read_only ? FMM_ERR_READ_ONLY : FMM_RETIRED;
}

/* Who has an entry, if anybody does. */
uint64_t fmm_client_owner_of(const struct fmm_client *client, uint32_t number);
/* Whether the owner of a lock word or a lease still has the file open. What
 * cannot be told counts as alive. */
bool fmm_client_lives(const struct fmm_client *client, uint64_t owner);
/* The process id that it had where it lives; 0: it is gone. For people. */
uint32_t fmm_client_pid(const struct fmm_client *client, uint64_t owner);

/* The entries that were ever taken. */
uint32_t fmm_client_used(const struct fmm_client *client);
/* Where it counts, in a child the first time. NULL: it has lost the file. */
struct fmm_client_stripe *fmm_client_find_stripes(struct fmm_client *client);
/* Count something that this client did: threads that do so at once neither
 * lose a count nor, mostly, wait for the same cache line. Inline, for each read
 * does. */
static inline void
fmm_client_count(struct fmm_client *client, enum fmm_client_count what)
{
    char here; /* the stacks of threads lie apart, and so do their stripes */
    struct fmm_client_stripe *stripes =
        atomic_load_explicit(&client->stripes, memory_order_relaxed);
    if (FMM_UNLIKELY(stripes == NULL)) {
        stripes = fmm_client_find_stripes(client);
        if (stripes == NULL) {
            return;
        }
    }
    uint32_t place = (uint32_t)((uintptr_t)&here >> 17) * UINT32_C(0x9E3779B1);
    uint64_t stripe = (uint64_t)place * FMM_CLIENT_STRIPES >> 32;
    atomic_fetch_add_explicit(&stripes[stripe].counts[what], 1,
                              memory_order_relaxed);
}
