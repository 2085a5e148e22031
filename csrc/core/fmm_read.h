/* Reading without a lock: load tails, load slot, copy, check the tail. */
#pragma once

#include "fmm_entry.h"
#include "fmm_file.h"

/* What to do with what is found. */
struct fmm_read {
    const struct fmm_call *call;
    const struct fmm_key *key;
    void *buffer; /* NULL: describe only, and earn no credit */
    size_t capacity;
    struct fmm_meta *meta;   /* holds on FMM_OK and FMM_TOO_SMALL */
    struct fmm_lease *lease; /* NULL: not wanted */
    struct fmm_parts *parts; /* filled on FMM_SPLIT */
    fmm_word64 **token;      /* NULL, or with `lease`: where its token is */
    struct fmm_sighting *sighting; /* NULL: not wanted */
};

/* FMM_OK, FMM_MISS, FMM_TOO_SMALL; FMM_BUSY: lapped 16 times. FMM_SPLIT: the
 * value, of a read with `parts`, is in these. */
enum fmm_status fmm_read_entry(const struct fmm_cache *cache,
                               const struct fmm_read *read);

/* The generation of a group whose record was looked for, and is not there. */
uint32_t fmm_read_base(const struct fmm_cache *cache,
                       const struct fmm_key *key);
/* The generation of the group that has its record under `key`. Takes no lock,
 * and so may be asked while any page is held. False: it cannot be told, since
 * the record is overwritten faster than it can be read. */
bool fmm_read_generation(const struct fmm_cache *cache,
                         const struct fmm_key *key, uint64_t now_ms,
                         uint32_t *generation_out);
/* Whether the name of a group is noted under `key`; so it is in use. */
bool fmm_read_name(const struct fmm_cache *cache, const struct fmm_key *key,
                   uint64_t now_ms);
/* The same now and then, for reads of what is in the group. */
void fmm_read_use_name(const struct fmm_cache *cache,
                       const struct fmm_key *record, uint64_t now_ms);
/* Whether all tags of an entry still have its generations. */
bool fmm_read_tags_hold(const struct fmm_cache *cache,
                        const struct fmm_entry *entry, uint64_t now_ms);

/* Over, by its lifetime or by a tag of it. */
static inline bool
fmm_read_expired(const struct fmm_cache *cache, const struct fmm_entry *entry,
                 uint64_t now_ms)
{
    return fmm_entry_expired(entry, now_ms) ||
           (FMM_UNLIKELY(entry->flags & FMM_ENTRY_TAGGED) &&
            !fmm_read_tags_hold(cache, entry, now_ms));
}

/* Nothing that a reader may see: over, a tombstone, or a bare lease. */
static inline bool
fmm_read_gone(const struct fmm_cache *cache, const struct fmm_entry *entry,
              uint64_t now_ms)
{
    return (entry->flags & FMM_ENTRY_TOMBSTONE) != 0 ||
           fmm_read_expired(cache, entry, now_ms);
}
