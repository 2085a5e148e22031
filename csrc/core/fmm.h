/* fmm.h: the public contract of the core, the only header a binding needs.
 *
 * One `struct fmm_cache` is one open cache file. Calls on it may come from
 * many threads at once and go on after fork(); only fmm_close() must be the
 * last call. Nothing here but fmm_open() allocates, or calls back.
 *
 * Time is an argument: every call gets "now" in milliseconds since 1970.
 * A call that needs a page lock tries it once and, if `wait_ms` allows,
 * waits that long; FMM_BUSY says that it was not to be had. Any call may
 * return FMM_RETIRED: another process replaced the file; open it again.
 * FMM_ERR_CORRUPT is returned only where a page could not be kept: it has
 * been emptied and counted, and the next call finds it in order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fmm_clock.h"
#include "fmm_compiler.h"
#include "fmm_counts.h"
#include "fmm_order.h"
#include "fmm_report.h"
#include "fmm_resizing.h"
#include "fmm_scanning.h"
#include "fmm_sighting.h"
#include "fmm_status.h"

#define FMM_NAME_SIZE 32u /* serializer, compressor names */
#define FMM_PAGE_SIZE_MIN 4096u
#define FMM_PAGE_SIZE_MAX (1u << 30)
#define FMM_TYPE_INT 1u /* the one value type the core knows */

struct fmm_cache;

/* ------------------------------------------------------------- opening */

/* What to do with a file of this format that is another than was asked for. */
enum fmm_mismatch {
    FMM_MISMATCH_ERROR = 0,
    FMM_MISMATCH_FOLLOW = 1,
    FMM_MISMATCH_REPLACE =
        2 /* by an empty one, unless others use it, it may hold
                                changed values, or there is no room: then
                                follow */
};

/* Asked now and then while opening takes long: so many of so many pages are
 * verified, or 0 of 0 while another process is waited for. False: give up,
 * with EINTR. */
typedef bool (*fmm_go_on)(void *context, uint64_t done, uint64_t total);

/* All zero means the default. What is not given follows an existing file;
 * what is given and differs from it is FMM_ERR_FORMAT. A name that only
 * `follows` is recorded in a new file and not compared with an old one. */
struct fmm_options {
    const char *path;       /* required */
    uint64_t cache_size;    /* bytes; 0: 16 MiB, or page_size * num_pages */
    uint64_t page_size;     /* bytes, a power of two; 0: follows the size */
    uint32_t num_pages;     /* 0: follows the size */
    uint32_t slots;         /* of a page's first index; 0: by entry_size */
    uint32_t entry_size;    /* expected key + value bytes; 0: an index for
                               1000, which grows. A hint, never compared with
                               an existing file */
    const char *serializer; /* names to record or compare; NULL: none */
    const char *compressor;
    bool serializer_follows, compressor_follows;
    uint32_t mode;   /* permission bits of a new file; 0: 0600 */
    bool init_file;  /* replace what is there by an empty cache */
    bool must_exist; /* never create: a missing file is ENOENT */
    bool renew_old;  /* replace a file of an older format, unless it may hold
                          changed values that were not written back */
    enum fmm_mismatch on_mismatch;
    bool inspect;      /* to look only: see a file of another boot or place
                          as it is, in a private copy, and make none */
    bool only_whole;   /* with `inspect`: leave out of that copy what a power
                          cut has torn */
    bool read_only;    /* map it without the right to write: no client, which
                          others see; hints stay as they are; whatever takes a
                          page is FMM_ERR_READ_ONLY. With `inspect` */
    bool sparse;       /* do not reserve the space */
    bool verify;       /* check every page now, empty the bad ones */
    bool allow_shared; /* accept other owners and writers */
    bool allow_network_fs;
    bool sigbus_guard; /* see fmm_damaged() */
    /* Of init_file: how long to wait for those who tell the user's store of
     * keys of the old file, ms; then FMM_BUSY, and nothing was done. */
    int64_t turn_wait_ms;
    uint64_t own_turns; /* fmm_turn_bit() of those that the caller itself has,
                           which are not waited for */
    fmm_go_on go_on;    /* NULL: always */
    void *go_on_context;
};

/* What an open file is like; constant while it is open. */
struct fmm_info {
    uint64_t file_size, page_size;
    uint32_t num_pages, slots, version; /* slots of a page's first index */
    uint64_t created_ms;
    uint64_t max_entry; /* largest key + value + overhead, bytes */
    uint64_t max_value; /* largest value, in parts */
    uint64_t device, inode;
    char serializer[FMM_NAME_SIZE], compressor[FMM_NAME_SIZE];
    bool created;      /* by this call, where nothing had the name */
    uint32_t repaired; /* pages emptied, or joined again, when it was opened */
    uint64_t dropped;  /* entries that were torn by then */
};

/* Say what is wrong with options, whatever the file is like: FMM_ERR_ARGUMENT
 * and a text, or FMM_OK. Looks at no file. */
enum fmm_status fmm_check_options(const struct fmm_options *options,
                                  struct fmm_error *error);

/* Open `options->path`, creating it when it is missing. On success stores
 * the handle, and `error` has the text of what the user's log is to tell, or "";
 * else it says why. Blocks only on other processes that
 * are opening the same path. */
enum fmm_status fmm_open(const struct fmm_options *options,
                         struct fmm_cache **cache_out,
                         struct fmm_error *error);
/* Unmap and close; NULL is fine. The file stays. */
void fmm_close(struct fmm_cache *cache);
void fmm_info(const struct fmm_cache *cache, struct fmm_info *info_out);

/* Replaced, or removed and made again under its name: open it anew. A
 * stat() per call; callers ask at most once a second. */
bool fmm_replaced(const struct fmm_cache *cache);
/* Its name leads to a file of another user. Costs the same. */
bool fmm_usurped(const struct fmm_cache *cache);
/* Go on with a file that was replaced, for its successor is not for us. */
void fmm_keep(struct fmm_cache *cache);
/* Nothing has the file's name any more: it was removed. Costs the same. */
bool fmm_nameless(const struct fmm_cache *cache);
/* This process is a child that could not open the file for itself: what is
 * mapped now reads as retired. Close the cache. */
bool fmm_lost(const struct fmm_cache *cache);
/* With sigbus_guard: the file was truncated under the mapping. What was
 * read since may be missing; close the cache. */
bool fmm_damaged(const struct fmm_cache *cache);
/* Remove the file's name, if it still names this file. */
enum fmm_status fmm_unlink(const struct fmm_cache *cache,
                           struct fmm_error *error);
/* Remove `path` if it is a cache file that no process has open. True when
 * it was removed. For sweeping what killed processes left. */
bool fmm_sweep(const char *path);

/* ------------------------------------------------------- one operation */

/* Whose a key is. Keys of two kinds are two keys, whatever their bytes. */
enum fmm_key_kind {
    FMM_KEY_TEXT = 0,
    FMM_KEY_BYTES = 1,
    FMM_KEY_INTERNAL = 16 /* of what serves others: neither counted nor
                             listed */
};

/* A key, its hash and its page. The bytes stay the caller's. */
struct fmm_key {
    const void *data;
    size_t len;
    uint64_t scope; /* of the namespace that it is in; 0: none */
    uint64_t hash;
    uint32_t page;
    enum fmm_key_kind kind;
    uint64_t hashed_by; /* fmm_serial() of whom hash and page are; 0: none */
};

/* One tag of a value: which, and its generation when the value was made. */
struct fmm_tag {
    uint32_t id, generation;
};

#define FMM_TAGS_MAX 16u /* of one value */

/* Which counters a read raises. */
enum fmm_counting {
    FMM_COUNTED = 0,         /* those of this client */
    FMM_COUNTED_BY_PAGE = 1, /* and those that fmm_stats_clear() resets */
    FMM_NOT_COUNTED = 2      /* it is no read of the user's */
};

/* What each call needs to know of the moment. */
struct fmm_call {
    uint64_t now_ms; /* since 1970 */
    int64_t wait_ms; /* for a page lock: 0 try once, < 0 without end */
    struct fmm_sighting
        *sighting; /* of fmm_get(): filled where it can be; NULL:
                                      not wanted */
    enum fmm_counting count;
    bool brief; /* describe the value's length, type and compression,
                        and nothing else */
};

/* Say of memory of the caller's that all of it will be filled at once: the
 * system may give it in larger pages. */
void fmm_expect_filled(void *memory, size_t len);

/* Some of the bytes of a value. */
struct fmm_piece {
    const void *data;
    size_t len;
};

/* A value as it is stored. `type` is the binding's, but for FMM_TYPE_INT,
 * whose data is one native int64_t. */
struct fmm_value {
    const void *data;
    size_t len;
    uint8_t type;
    bool compressed;
    bool split; /* `data` is a struct fmm_parts, see fmm_parts_store() */
    /* With `split`: fmm_serial() of the cache that has the parts. */
    uint64_t file;
    /* Not NULL: the bytes are those of the pieces, which have as many at least,
     * in turn, from the byte `skip` of them on; `data` is not used. */
    const struct fmm_piece *pieces;
    size_t skip;
};

/* Copy all bytes of a value, which is not in parts. */
void fmm_value_copy(const struct fmm_value *value, void *to);

/* What is known of an entry, copied out. */
struct fmm_meta {
    size_t value_len;
    size_t key_len;
    uint64_t expire_at;   /* ms since 1970; 0: never */
    uint64_t stored_at;   /* ms since 1970, in whole seconds */
    uint64_t accessed_at; /* ms since 1970, in whole seconds */
    uint64_t modseq;      /* when has_modseq */
    size_t size;          /* bytes taken in the file, slot aside */
    uint32_t credit; /* how much it is wanted: the lives that it has left */
    uint8_t type;
    enum fmm_key_kind key_kind;
    bool has_modseq, compressed, split, dirty, tombstone, expired, tagged;
};

enum fmm_store_mode { FMM_STORE_SET, FMM_STORE_ADD, FMM_STORE_REPLACE };

/* How to store. All zero: unconditionally, for ever, clean. */
struct fmm_store_options {
    enum fmm_store_mode mode;
    uint64_t expire_at; /* ms since 1970; 0: never */
    uint64_t modseq;    /* when has_modseq */
    bool has_modseq;
    bool dirty;                 /* to be written back before it may leave */
    bool keep_tags;             /* those of the value that it replaces */
    bool whole;                 /* large, too: its key is on another's page */
    const struct fmm_tag *tags; /* `tag_count` of them, at most
                                   FMM_TAGS_MAX; the caller's */
    uint32_t tag_count;
};

/* How to remove. All zero: plainly. */
struct fmm_removal {
    uint64_t modseq;    /* with has_modseq: leave a tombstone */
    uint64_t expire_at; /* of the tombstone, ms; 0: never */
    bool has_modseq;
    bool keep_dirty; /* from the cache only: a dirty entry is FMM_DIRTY */
    bool mark;       /* leave a mark where no dirty value is, too */
};

/* What a removal leaves to be done in the user's store. */
enum fmm_due {
    FMM_DUE_DELETION, /* it may have the value: delete it there */
    FMM_DUE_MARKED,   /* the same by the mark, which is a dirty entry */
    FMM_DUE_NOTHING   /* it never had it, or is to keep it */
};

/* Where the parts of a value are; what its key's entry holds in its place. */
struct fmm_parts {
    uint64_t id[2];    /* a random number, the hash of the key */
    uint64_t length;   /* of the value, bytes; 0: none */
    uint32_t page;     /* of the first part, which names that of the next */
    uint32_t count;    /* of parts; they are numbered from the last one, 0 */
    uint32_t listing;  /* its number in the directory */
    uint32_t reserved; /* zero */
};

/* Parts of values that a change took out of the cache. More than these are left
 * to the tails of the rings. */
#define FMM_DISPLACED_MAX 4u
struct fmm_displaced {
    uint32_t count;
    struct fmm_parts parts[FMM_DISPLACED_MAX];
};

/* Names one version of a dirty entry, and what a change left behind. */
struct fmm_ticket {
    uint64_t position; /* in its ring, unique for ever */
    uint64_t word;     /* the value of an integer, which changes in place */
    uint64_t hash;     /* of the key, for fmm_turn_take() */
    uint32_t page;
    uint32_t ring;
    bool removed; /* it is the mark of a removal */
    bool gone;    /* that, or a tombstone: there is no value */
    /* For fmm_displaced_drop(). Set its count to 0 before the call. */
    struct fmm_displaced displaced;
};

/* The page that a caller holds while user code runs. */
struct fmm_guard {
    struct fmm_cache *cache;
    uint64_t owner; /* the lock word that was stored; 0: not held */
    uint32_t page;
};

/* A key of no namespace, with hash and page. */
void fmm_key_init(const struct fmm_cache *cache, struct fmm_key *key,
                  const void *data, size_t len, enum fmm_key_kind kind);
/* Compute hash and page of a key whose other members are set, and ask for
 * what it will be looked up in: the earlier, the less is waited for it. */
void fmm_key_hash(const struct fmm_cache *cache, struct fmm_key *key);
/* Ask for the entry of a key that was hashed some time ago, if one seems to
 * be there. For many keys at once, before the first is read. */
void fmm_key_fetch(const struct fmm_cache *cache, const struct fmm_key *key);
/* A number of an open cache that no other of this process has or had. */
uint64_t fmm_serial(const struct fmm_cache *cache);

/* Copy the value of a live entry into `buffer` and describe it. Takes no
 * lock but after 16 overruns. FMM_TOO_SMALL: meta->value_len bytes are
 * needed. `meta_out` is filled on FMM_OK and FMM_TOO_SMALL. */
enum fmm_status fmm_get(struct fmm_cache *cache, const struct fmm_call *call,
                        const struct fmm_key *key, void *buffer,
                        size_t capacity, struct fmm_meta *meta_out);
/* Describe a live entry; is no hit for eviction. `meta_out` may be NULL. */
enum fmm_status fmm_exists(struct fmm_cache *cache,
                           const struct fmm_call *call,
                           const struct fmm_key *key,
                           struct fmm_meta *meta_out);
/* FMM_OK, FMM_EXISTS, FMM_MISS, FMM_STALE, FMM_NO_ROOM; the old value stays
 * unless it is FMM_OK. FMM_DIRTY fills the ticket: write that entry back,
 * fmm_dirty_done(), call again. */
enum fmm_status fmm_set(struct fmm_cache *cache, const struct fmm_call *call,
                        const struct fmm_key *key,
                        const struct fmm_value *value,
                        const struct fmm_store_options *store,
                        struct fmm_ticket *ticket_out);
/* FMM_OK: a live value was there. A dirty one that the user's store may have
 * a version of is not dropped but marked, so that it will be deleted there;
 * marks read as nothing. `due_out` may be NULL. */
enum fmm_status
fmm_remove(struct fmm_cache *cache, const struct fmm_call *call,
           const struct fmm_key *key, const struct fmm_removal *removal,
           enum fmm_due *due_out, struct fmm_ticket *ticket_out);
/* Add `delta` to an integer, or store `initial + delta` where there is
 * none (with `store`, whose expiry counts only then). */
enum fmm_status fmm_incr(struct fmm_cache *cache, const struct fmm_call *call,
                         const struct fmm_key *key, int64_t delta,
                         int64_t initial,
                         const struct fmm_store_options *store,
                         int64_t *result_out, uint64_t *expire_at_out,
                         struct fmm_ticket *ticket_out);
/* Change the lifetime of a live entry. */
enum fmm_status fmm_touch(struct fmm_cache *cache, const struct fmm_call *call,
                          const struct fmm_key *key, uint64_t expire_at);

/* ---------------------------------------------- values larger than a page */

/* A value on its way into parts, the last one first. */
struct fmm_parts_job {
    struct fmm_parts parts;        /* zero at first */
    const struct fmm_value *value; /* to be stored */
    uint64_t expire_at;            /* that it will have */
    uint64_t left;                 /* bytes of it that are not stored yet */
    uint64_t press; /* bytes that small entries are to leave for it */
    uint32_t page;  /* that a call was about */
    uint32_t list;  /* of the directory, that it will be in */
    const struct fmm_guard *guard; /* a page that the caller holds, or NULL */
};

/* Whether a value is too large for an entry, and not for the file. */
bool fmm_parts_needed(const struct fmm_cache *cache, const struct fmm_key *key,
                      size_t value_len);
/* Store the parts of a value, then store under its key one with `split` whose
 * data is `job->parts`. Other values in parts leave for it. FMM_BUSY,
 * FMM_DIRTY, FMM_RETIRED: call again, it goes on where it was. FMM_NO_ROOM:
 * not needed, too large for the file, or nothing can leave; no part is there
 * then. `ticket_out->displaced` is empty after it. */
enum fmm_status fmm_parts_store(struct fmm_cache *cache,
                                const struct fmm_call *call,
                                const struct fmm_key *key,
                                struct fmm_parts_job *job,
                                struct fmm_ticket *ticket_out);
/* After that: take the value into the order in which values leave, or, where it
 * was not stored, drop its parts. Left out for want of time, it is made up for
 * by others, after some seconds. */
void fmm_parts_finish(struct fmm_cache *cache, const struct fmm_call *call,
                      const struct fmm_parts_job *job, bool stored);
/* Remove the parts of all values that a change displaced, which is empty then.
 * Those on a page that is not free in time go first when room is wanted. */
void fmm_displaced_drop(struct fmm_cache *cache, const struct fmm_call *call,
                        const struct fmm_guard *guard,
                        struct fmm_displaced *displaced);

/* --------------------------------------------------------------- leases */

/* The right to compute the value of a key. It is a part of the key's entry:
 * whatever replaces or drops that ends it, and so what was computed before an
 * invalidation is never stored after it. */
struct fmm_lease {
    uint64_t token;    /* random, tells it from any other; 0: no lease */
    uint64_t deadline; /* ms since 1970 */
    uint64_t owner;    /* the client that has it, as in lock words */
    uint32_t pid;      /* of that client where it lives, as it is told of the
                          lease of another; for people */
};

#define FMM_LEASE_MS_MAX UINT64_C(86400000) /* a day */
#define FMM_LEASE_LOCK UINT64_C(1)          /* of a token: it is a lock */

/* A lease that is wanted. A lock is one that nothing is computed under: what
 * empties a page ends computations, and spares locks. */
struct fmm_lease_request {
    uint64_t duration_ms; /* 1 to FMM_LEASE_MS_MAX */
    bool refresh;         /* of a live value, too, stored with `leasable` */
    bool lock;
};

/* Take a lease on a key without a value, or as the request says.
 * FMM_OK: taken. FMM_EXISTS: a value is there. FMM_LEASED: `lease_out` is that
 * of another; of one whose owner has died, it would have been taken over.
 * FMM_STALE: a tombstone. FMM_NO_ROOM. FMM_DIRTY: fills the ticket, as of
 * fmm_set(). Takes no page lock to tell FMM_LEASED. */
enum fmm_status fmm_lease_take(struct fmm_cache *cache,
                               const struct fmm_call *call,
                               const struct fmm_key *key,
                               const struct fmm_lease_request *request,
                               struct fmm_lease *lease_out,
                               struct fmm_ticket *ticket_out);
/* Look, without a page lock. FMM_OK: it goes on, and its owner lives; of a
 * key without a value `since_out` is when it was taken, ms since 1970, in
 * whole seconds. FMM_MISS: nobody computes the key. */
enum fmm_status fmm_lease_peek(struct fmm_cache *cache,
                               const struct fmm_call *call,
                               const struct fmm_key *key,
                               struct fmm_lease *lease_out,
                               uint64_t *since_out);
/* What to store in the place of a lease. */
struct fmm_lease_store {
    uint64_t token;
    struct fmm_store_options store;
    bool leasable; /* 24 bytes more: it can be refreshed while it is read */
};
/* Store what was computed. FMM_MISS: the lease is not there any more, and
 * nothing is changed; else as fmm_set(). */
enum fmm_status fmm_lease_value(struct fmm_cache *cache,
                                const struct fmm_call *call,
                                const struct fmm_key *key,
                                const struct fmm_value *value,
                                const struct fmm_lease_store *store,
                                struct fmm_ticket *ticket_out);
/* Let a lease end `duration_ms` from now, as of fmm_lease_take(); one past its
 * deadline, too, that nobody took. FMM_MISS: it is not there any more. */
enum fmm_status fmm_lease_extend(struct fmm_cache *cache,
                                 const struct fmm_call *call,
                                 const struct fmm_key *key, uint64_t token,
                                 uint64_t duration_ms);
/* Give a lease back, a value stays. FMM_MISS: it is not there any more. Never
 * waits: while another, or the caller, has the page it is ended without that,
 * and `*sure_out` is false: should the one who has the page be killed just
 * then, the lease may come back. So call again, some time, until it is true.
 * FMM_BUSY: not yet ended, for the page changes faster than it can be read. */
enum fmm_status fmm_lease_release(struct fmm_cache *cache,
                                  const struct fmm_call *call,
                                  const struct fmm_key *key, uint64_t token,
                                  bool *sure_out);
/* End the computation of a key, if there is one: what comes of it will find no
 * lease. Locks stay. */
void fmm_lease_void_locked(const struct fmm_guard *guard,
                           const struct fmm_key *key);

/* --------------------------------------------------------------- groups */

/* Keys of a namespace and values with tags name a generation of their group, a
 * number. A group that was ended has a record for it, an internal entry; all
 * others have that of one of the bases of the record's page. When the generation
 * becomes another, they are not to be seen any more, by anybody and for ever:
 * values with tags count as expired then. So they do while the record of a tag
 * is overwritten faster than it can be read. Where a record had to leave, those
 * groups without one end that had the same base. */

/* The generation of the group whose record has that key. FMM_OK, FMM_BUSY. */
enum fmm_status fmm_group_find(struct fmm_cache *cache,
                               const struct fmm_call *call,
                               const struct fmm_key *record,
                               uint32_t *generation_out);
/* End it: the group has another one by now. FMM_DIRTY as of fmm_set(), for a
 * record may be needed; with no ticket, and where no room is to be had, groups
 * without a record that have the same base end, too. */
enum fmm_status fmm_group_end(struct fmm_cache *cache,
                              const struct fmm_call *call,
                              const struct fmm_key *record,
                              struct fmm_ticket *ticket_out);
/* The scope of the keys of a namespace in a generation: a hash, never 0. */
uint64_t fmm_group_scope(const struct fmm_cache *cache,
                         const struct fmm_key *record, uint32_t generation);
/* What a group is. */
enum fmm_group_kind { FMM_NAMESPACE, FMM_TEXT_TAG, FMM_BYTES_TAG };
/* Whether the name of the group whose record has that hash is noted. */
bool fmm_name_noted(const struct fmm_cache *cache, uint64_t record_hash,
                    uint64_t now_ms);
/* Something is stored in a group: note its name, for people, unless it is noted
 * or there is no room. `name` has its bytes and the scope that it is in. Waits
 * for nothing. */
void fmm_name_note(struct fmm_cache *cache, const struct fmm_call *call,
                   const struct fmm_key *record, const struct fmm_key *name,
                   enum fmm_group_kind what);
/* The id of a tag: a hash of its name, kind and scope. */
uint32_t fmm_tag_id(const struct fmm_cache *cache, const struct fmm_key *name);
/* The key of the record of a tag; its bytes are those of `tag`. */
void fmm_tag_key(const struct fmm_cache *cache, const struct fmm_tag *tag,
                 struct fmm_key *key_out);

/* ------------------------------------------------- holding a page open */

enum fmm_status fmm_guard_take(struct fmm_cache *cache,
                               const struct fmm_call *call, uint32_t page,
                               struct fmm_guard *guard_out);
/* Give it back. False: this process does not hold it (it forked). */
bool fmm_guard_release(struct fmm_guard *guard);
/* Whether this process, not its parent, took it. */
bool fmm_guard_held(const struct fmm_guard *guard);
/* Its file was replaced: nobody reads what is stored there now. */
bool fmm_guard_retired(const struct fmm_guard *guard);

/* Count a read with the outcome `status`, as the call says. The reads above
 * do; those of a page that is held cannot know what they are. */
void fmm_count_read(struct fmm_cache *cache, const struct fmm_call *call,
                    const struct fmm_key *key, enum fmm_status status);
/* The operations above for a key of the guard's page, without locking. */
enum fmm_status fmm_get_locked(const struct fmm_guard *guard,
                               const struct fmm_call *call,
                               const struct fmm_key *key, void *buffer,
                               size_t capacity, struct fmm_meta *meta_out);
enum fmm_status fmm_set_locked(const struct fmm_guard *guard,
                               const struct fmm_call *call,
                               const struct fmm_key *key,
                               const struct fmm_value *value,
                               const struct fmm_store_options *store,
                               struct fmm_ticket *ticket_out);
enum fmm_status
fmm_remove_locked(const struct fmm_guard *guard, const struct fmm_call *call,
                  const struct fmm_key *key, const struct fmm_removal *removal,
                  enum fmm_due *due_out, struct fmm_ticket *ticket_out);

/* -------------------------------------------------------- dirty entries */

/* The user's store has, or is about to get, a value of a key of the guard's
 * page that the cache does not keep: no removal may be taken for done. */
void fmm_dirty_depart_locked(const struct fmm_guard *guard);
/* The next dirty entry of a page from `*cursor` on, at first 0; FMM_MISS: none.
 * Where the index has grown since, it begins anew: none is left out. */
enum fmm_status fmm_dirty_next(struct fmm_cache *cache,
                               const struct fmm_call *call, uint32_t page,
                               bool only_expired, uint64_t *cursor,
                               struct fmm_ticket *ticket_out);
/* After a walk that wrote all of them back: look at every page once more, and if
 * none has a dirty entry, let the header say so. A page that is not free within
 * `wait_ms` leaves it as it is. */
void fmm_dirty_settle(struct fmm_cache *cache, const struct fmm_call *call);
/* A ticket for the entry of `key`, live or expired, if it is dirty. */
enum fmm_status fmm_dirty_find_locked(const struct fmm_guard *guard,
                                      const struct fmm_key *key,
                                      struct fmm_ticket *ticket_out);
/* Copy key, then value, into `buffer`; of the mark of a removal, and of a
 * tombstone, there is no value: meta->tombstone. FMM_MISS: it changed or was
 * written back by now. FMM_TOO_SMALL: meta->key_len + meta->value_len bytes. */
enum fmm_status fmm_dirty_read(struct fmm_cache *cache,
                               const struct fmm_call *call,
                               struct fmm_ticket *ticket, void *buffer,
                               size_t capacity, struct fmm_meta *meta_out);
/* It has been written back: clean, or a mark gone, if it is still that
 * version. FMM_MISS: it is not. */
enum fmm_status fmm_dirty_done(struct fmm_cache *cache,
                               const struct fmm_call *call,
                               const struct fmm_ticket *ticket);
/* The two above under a guard of the ticket's page. */
enum fmm_status fmm_dirty_read_locked(const struct fmm_guard *guard,
                                      struct fmm_ticket *ticket, void *buffer,
                                      size_t capacity,
                                      struct fmm_meta *meta_out);
enum fmm_status fmm_dirty_done_locked(const struct fmm_guard *guard,
                                      const struct fmm_ticket *ticket);

/* ---------------------------------------------------------- whole pages */

enum fmm_drop { FMM_DROP_ALL, FMM_DROP_EXPIRED };

/* Drop entries of one page; dirty ones too, unless `keep_dirty`. Adds the
 * number of values dropped to `*dropped`. What is in use stays: locks that are
 * held, and of expired values those that one computes anew. */
enum fmm_status fmm_drop_page(struct fmm_cache *cache,
                              const struct fmm_call *call, uint32_t page,
                              enum fmm_drop what, bool keep_dirty,
                              uint64_t *dropped);
