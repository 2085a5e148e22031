/* One entry: how it lies in the map, written, checked and compared.
 *
 * Reading takes any bytes: each field is loaded once, checked against
 * private bounds, and used from the copy. Knows no slots and no page. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"

/* A flag of copies that is never in the file: the slot says that the key was
 * removed, see FMM_SLOT_REMOVED. */
#define FMM_ENTRY_REMOVED (1u << 15)

/* A private copy of an entry's header, and where its parts lie. */
struct fmm_entry {
    const unsigned char *at;          /* in the map */
    const unsigned char *key, *value; /* in the map */
    uint64_t hash;
    uint64_t expire_at;
    uint32_t total, key_len, value_len, stored_at;
    uint16_t flags;
    uint8_t type, words;
};

/* What to write; `value` is NULL for tombstones and bare leases. */
struct fmm_entry_source {
    const struct fmm_key *key;
    const struct fmm_value *value;
    const struct fmm_store_options *store;
    uint32_t stored_at;
    const struct fmm_lease *lease; /* NULL: and no room for one */
};

/* Bytes that such an entry takes, 0 when it is beyond `max_entry`. */
uint64_t fmm_entry_size(const struct fmm_entry_source *source,
                        uint64_t max_entry);
/* Write it at `at`, where no slot leads yet; `total` as given above. */
void fmm_entry_write(unsigned char *at, const struct fmm_entry_source *source,
                     uint64_t total);

/* Ask for what follows the first line of an entry at `at`: the usual one lies
 * on three lines. */
static inline void
fmm_entry_prefetch_rest(const unsigned char *at)
{
    __builtin_prefetch(at + 64);
    __builtin_prefetch(at + 128);
}

/* Load what lies at `offset` of a ring of `size` bytes. False when that
 * can be no entry. */
bool fmm_entry_load(const unsigned char *ring, uint64_t size, uint64_t offset,
                    struct fmm_entry *out);
/* Its first word alone, of whatever lies there: `total` and `flags`. */
bool fmm_entry_load_first(const unsigned char *ring, uint64_t size,
                          uint64_t offset, struct fmm_entry *out);
/* The same for the next thing of a log, padding included: then only
 * `total` and `flags` are set. */
bool fmm_entry_load_any(const unsigned char *ring, uint64_t size,
                        uint64_t offset, struct fmm_entry *out);

/* Whether it is the entry of that key. */
bool fmm_entry_has_key(const struct fmm_entry *entry,
                       const struct fmm_key *key);
/* The modseq, or 0. */
uint64_t fmm_entry_modseq(const struct fmm_entry *entry);

/* The kind of its key. */
static inline enum fmm_key_kind
fmm_entry_kind(const struct fmm_entry *entry)
{
    return (enum fmm_key_kind)((entry->flags & FMM_ENTRY_KIND) >>
                               FMM_ENTRY_KIND_SHIFT);
}

/* Whether it is a part of a value. */
static inline bool
fmm_entry_is_part(const struct fmm_entry *entry)
{
    return fmm_entry_kind(entry) == FMM_KEY_INTERNAL &&
           (entry->flags & FMM_ENTRY_INTEGER) == 0 &&
           entry->key_len == FMM_PART_NAME;
}
/* Whether it is the record of a group. */
static inline bool
fmm_entry_is_record(const struct fmm_entry *entry)
{
    const uint16_t both = FMM_ENTRY_KEY_OWN | FMM_ENTRY_INTEGER;
    return (entry->flags & both) == both;
}
/* Whether a key is that of a part. */
static inline bool
fmm_entry_is_part_key(const struct fmm_key *key)
{
    return key->kind == FMM_KEY_INTERNAL && key->len == FMM_PART_NAME;
}

/* The scope of its key, or 0. */
uint64_t fmm_entry_load_scope(const struct fmm_entry *entry);
static inline uint64_t
fmm_entry_scope(const struct fmm_entry *entry)
{
    return FMM_LIKELY((entry->flags & FMM_ENTRY_SCOPED) == 0)
               ? 0
               : fmm_entry_load_scope(entry);
}
/* Copy its tags out, FMM_TAGS_MAX at most; returns how many they are. */
uint32_t fmm_entry_tags(const struct fmm_entry *entry, struct fmm_tag *out);

static inline bool
fmm_entry_expired(const struct fmm_entry *entry, uint64_t now_ms)
{
    return entry->expire_at != 0 && entry->expire_at <= now_ms;
}

/* No value, but a lease, or the mark of a removal: for all but leases and
 * write-back as if nothing were there. */
static inline bool
fmm_entry_bare(const struct fmm_entry *entry)
{
    return (entry->flags & FMM_ENTRY_TOMBSTONE) != 0 &&
           (entry->flags & (FMM_ENTRY_LEASE | FMM_ENTRY_REMOVED)) != 0;
}

/* Whether a lease goes on, as far as its words tell. */
static inline bool
fmm_lease_runs(const struct fmm_lease *lease, uint64_t now_ms)
{
    return lease->token != 0 && lease->deadline > now_ms &&
           lease->deadline - now_ms <= 2 * FMM_LEASE_MS_MAX;
}

/* Its lease, the three words of one moment; the token is 0 when there is none,
 * or when it changes hands faster than it can be read. */
void fmm_entry_lease(const struct fmm_entry *entry, struct fmm_lease *out);
/* Whether that lease goes on: neither given back nor past its deadline. */
bool fmm_entry_leased(const struct fmm_entry *entry, uint64_t now_ms);
/* Change it where there is room for one; the last store is the commit. */
void fmm_entry_set_lease(const struct fmm_entry *entry,
                         const struct fmm_lease *lease);
/* Change the deadline of the lease that is there: one store. */
void fmm_entry_set_deadline(const struct fmm_entry *entry, uint64_t deadline);
/* Take the lease away, if there is one: one store. */
void fmm_entry_end_lease(const struct fmm_entry *entry);
/* The word of its token; of an entry with room for a lease. */
fmm_word64 *fmm_entry_token(const struct fmm_entry *entry);
/* End the lease of a copy of the entry, which a slot names by now, if that of
 * the entry was ended since it was copied. */
void fmm_entry_follow_lease(const struct fmm_entry *from, unsigned char *copy);

/* The word of its lifetime. */
const void *fmm_entry_expiry(const struct fmm_entry *entry);

/* Reading and changing the two fields that change in place, one word each. */
int64_t fmm_entry_integer(const struct fmm_entry *entry);
void fmm_entry_set_integer(const struct fmm_entry *entry, int64_t value);
void fmm_entry_set_expiry(const struct fmm_entry *entry, uint64_t expire_at);

/* Copy the value out; `to` takes value_len bytes. */
void fmm_entry_copy_value(const struct fmm_entry *entry, void *to);
/* Copy out where the parts of its value are, if it is in parts. */
void fmm_entry_parts(const struct fmm_entry *entry, struct fmm_parts *out);
/* An entry goes: note those, if there are any. */
void fmm_entry_displace(const struct fmm_entry *entry,
                        struct fmm_displaced *displaced);
/* Describe its value: length, type, compressed. */
static inline void
fmm_entry_describe_value(const struct fmm_entry *entry,
                         struct fmm_meta *meta_out)
{
    meta_out->value_len = entry->value_len;
    meta_out->type = entry->type;
    meta_out->compressed = (entry->flags & FMM_ENTRY_COMPRESSED) != 0;
}

/* Describe it, but for dirty, credit and accessed_at, which the index knows. */
void fmm_entry_describe(const struct fmm_entry *entry, uint64_t created_ms,
                        uint64_t now_ms, struct fmm_meta *meta_out);
