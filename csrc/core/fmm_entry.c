#include "fmm_entry.h"

#define KEY_LEN_MAX (UINT64_C(1) << 30)
#define EXPIRY_AT 16u /* offset of the lifetime in an entry */
#define LEASE_TRIES 8 /* while its words change under our eyes */

static bool
is_integer(const struct fmm_entry_source *source)
{
    return source->value != NULL && source->value->type == FMM_TYPE_INT;
}

static uint64_t
count_words(const struct fmm_entry_source *source)
{
    return (is_integer(source) ? 1u : 0u) +
           (source->store->has_modseq ? 1u : 0u) +
           (source->key->scope != 0 ? 1u : 0u) + source->store->tag_count +
           (source->lease != NULL ? FMM_LEASE_WORDS : 0u);
}

/* Bytes of the value that lie after the key. */
static uint64_t
loose_value_len(const struct fmm_entry_source *source)
{
    bool none = source->value == NULL || is_integer(source);
    return none ? 0 : source->value->len;
}

uint64_t
fmm_entry_size(const struct fmm_entry_source *source, uint64_t max_entry)
{
    uint64_t value_len = loose_value_len(source);
    if (source->key->len > KEY_LEN_MAX || value_len > max_entry ||
        source->store->tag_count > FMM_TAGS_MAX) {
        return 0;
    }
    uint64_t total = fmm_align8(FMM_ENTRY_HEADER + 8 * count_words(source) +
                                source->key->len + value_len);
    return total <= max_entry ? total : 0;
}

/* The flags of extension words. */
static uint64_t
word_flags(const struct fmm_entry_source *source)
{
    return (is_integer(source) ? FMM_ENTRY_INTEGER : 0u) |
           (source->store->has_modseq ? FMM_ENTRY_MODSEQ : 0u) |
           (source->key->scope != 0 ? FMM_ENTRY_SCOPED : 0u) |
           (source->store->tag_count != 0 ? FMM_ENTRY_TAGGED : 0u) |
           (source->lease != NULL ? FMM_ENTRY_LEASE : 0u);
}

static uint64_t
source_flags(const struct fmm_entry_source *source, uint64_t pad)
{
    uint64_t flags = pad;
    flags |= source->value == NULL ? FMM_ENTRY_TOMBSTONE : 0u;
    flags |= (uint64_t)source->key->kind << FMM_ENTRY_KIND_SHIFT;
    if (source->value != NULL && source->value->compressed) {
        flags |= FMM_ENTRY_COMPRESSED;
    }
    if (source->value != NULL && source->value->split) {
        flags |= FMM_ENTRY_IN_PARTS;
    }
    return flags;
}

/* Write the extension words; returns where they end. */
FMM_NOINLINE static unsigned char *
write_words(unsigned char *next, const struct fmm_entry_source *source)
{
    const struct fmm_store_options *store = source->store;
    if (is_integer(source)) {
        uint64_t word;
        memcpy(&word, source->value->data, sizeof(word));
        fmm_store_shared(next, word);
        next += 8;
    }
    if (store->has_modseq) {
        fmm_store_shared(next, store->modseq);
        next += 8;
    }
    if (source->key->scope != 0) {
        fmm_store_shared(next, source->key->scope);
        next += 8;
    }
    for (uint32_t i = 0; i < store->tag_count; i++, next += 8) {
        uint64_t generation = store->tags[i].generation;
        fmm_store_shared(next,
                         store->tags[i].id | generation << FMM_TAG_HIGH_SHIFT);
    }
    if (source->lease != NULL) {
        fmm_store_shared(next, source->lease->token);
        fmm_store_shared(next + 8, source->lease->deadline);
        fmm_store_shared(next + 16, source->lease->owner);
        next += 8 * FMM_LEASE_WORDS;
    }
    return next;
}

/* Copy what lies in pieces, a stretch of each in turn. */
FMM_COLD static void
copy_pieces(unsigned char *to, const struct fmm_value *value, uint64_t left)
{
    const struct fmm_piece *piece = value->pieces;
    size_t skip = value->skip;
    for (; left != 0; piece++) {
        if (skip >= piece->len) {
            skip -= piece->len;
            continue;
        }
        size_t length = fmm_min(piece->len - skip, left);
        fmm_copy_in(to, (const unsigned char *)piece->data + skip, length);
        to += length;
        left -= length;
        skip = 0;
    }
}

static inline void
copy_value(unsigned char *to, const struct fmm_value *value, uint64_t length)
{
    if (FMM_UNLIKELY(value->pieces != NULL)) {
        copy_pieces(to, value, length);
    }
    else {
        fmm_copy_in(to, value->data, length);
    }
}

void
fmm_value_copy(const struct fmm_value *value, void *to)
{
    copy_value(to, value, value->len);
}

void
fmm_entry_write(unsigned char *at, const struct fmm_entry_source *source,
                uint64_t total)
{
    uint64_t words = count_words(source);
    uint64_t value_len = loose_value_len(source);
    uint64_t key_len = source->key->len;
    uint64_t used = FMM_ENTRY_HEADER + 8 * words + key_len + value_len;
    uint64_t type = source->value != NULL ? source->value->type : 0;
    uint64_t flags = source_flags(source, total - used);
    unsigned char *next = at + FMM_ENTRY_HEADER;

    if (words != 0) {
        flags |= word_flags(source);
        next = write_words(next, source);
    }
    fmm_store_shared(at, total | flags << 32 | type << 48 | words << 56);
    fmm_store_shared(at + 8, source->key->hash);
    fmm_store_shared(at + EXPIRY_AT, source->store->expire_at);
    fmm_store_shared(at + 24, key_len | (uint64_t)source->stored_at << 32);
    fmm_copy_in(next, source->key->data, key_len);
    if (value_len) {
        copy_value(next + key_len, source->value, value_len);
    }
}

/* The extension words that come before the scope. */
static unsigned
words_before_scope(const struct fmm_entry *entry)
{
    return ((entry->flags & FMM_ENTRY_INTEGER) ? 1u : 0u) +
           ((entry->flags & FMM_ENTRY_MODSEQ) ? 1u : 0u);
}

/* All but those of tags. */
static unsigned
words_of_flags(const struct fmm_entry *entry)
{
    return words_before_scope(entry) +
           ((entry->flags & FMM_ENTRY_SCOPED) ? 1u : 0u) +
           ((entry->flags & FMM_ENTRY_LEASE) ? FMM_LEASE_WORDS : 0u);
}

/* Whether the words that are left are those of some tags. The records of
 * tags have none: reading one asks for no other. */
FMM_NOINLINE static bool
tags_are_sound(const struct fmm_entry *entry)
{
    unsigned others = words_of_flags(entry);
    unsigned left = (unsigned)entry->words - others;
    return entry->words > others && left <= FMM_TAGS_MAX &&
           (entry->flags & FMM_ENTRY_KEY_OWN) == 0;
}

static bool
words_are_sound(const struct fmm_entry *entry)
{
    if (FMM_LIKELY((entry->flags & FMM_ENTRY_EXTENDED) == 0)) {
        return entry->words == 0;
    }
    return FMM_UNLIKELY(entry->flags & FMM_ENTRY_TAGGED)
               ? tags_are_sound(entry)
               : entry->words == words_of_flags(entry);
}

/* Whether the lengths of a header add up within `total`. */
static bool
set_parts(struct fmm_entry *entry)
{
    uint64_t pad = entry->flags & FMM_ENTRY_PAD_BYTES;
    uint64_t start = FMM_ENTRY_HEADER + 8u * (uint64_t)entry->words;
    uint64_t fixed = start + entry->key_len + pad;
    if (fixed > entry->total || !words_are_sound(entry)) {
        return false;
    }
    uint64_t value_len = entry->total - fixed;
    entry->key = entry->at + start;
    entry->value = entry->key + entry->key_len;
    if (entry->flags & FMM_ENTRY_INTEGER) {
        if (value_len != 0 || entry->type != FMM_TYPE_INT) {
            return false;
        }
        entry->value = entry->at + FMM_ENTRY_HEADER;
        value_len = sizeof(int64_t);
    }
    if (FMM_UNLIKELY(entry->flags & FMM_ENTRY_IN_PARTS) &&
        value_len != sizeof(struct fmm_parts)) {
        return false;
    }
    entry->value_len = (uint32_t)value_len;
    /* What is no value has neither bytes nor a modseq of its own. */
    return !fmm_entry_bare(entry) ||
           (value_len == 0 && (entry->flags & FMM_ENTRY_MODSEQ) == 0);
}

bool
fmm_entry_load_first(const unsigned char *ring, uint64_t size, uint64_t offset,
                     struct fmm_entry *out)
{
    if ((offset & 7u) != 0 || !fmm_fits(offset, 8, size)) {
        return false;
    }
    const unsigned char *at = ring + offset;
    uint64_t first = fmm_load_shared(at);
    out->at = at;
    out->total = (uint32_t)first;
    out->flags = (uint16_t)(first >> 32);
    out->type = (uint8_t)(first >> 48);
    out->words = (uint8_t)(first >> 56);
    return (out->total & 7u) == 0 && out->total >= FMM_ENTRY_PADDING_MIN &&
           fmm_fits(offset, out->total, size);
}

bool
fmm_entry_load_any(const unsigned char *ring, uint64_t size, uint64_t offset,
                   struct fmm_entry *out)
{
    if (!fmm_entry_load_first(ring, size, offset, out)) {
        return false;
    }
    const unsigned char *at = out->at;
    fmm_entry_prefetch_rest(at);
    if (out->flags & FMM_ENTRY_PADDING) {
        return true;
    }
    if (out->total < FMM_ENTRY_HEADER ||
        (out->flags & ~(unsigned)FMM_ENTRY_KNOWN) != 0) {
        return false;
    }
    uint64_t lengths = fmm_load_shared(at + 24);
    out->hash = fmm_load_shared(at + 8);
    out->expire_at = fmm_load_shared(at + EXPIRY_AT);
    out->key_len = (uint32_t)lengths;
    out->stored_at = (uint32_t)(lengths >> 32);
    return set_parts(out);
}

bool
fmm_entry_load(const unsigned char *ring, uint64_t size, uint64_t offset,
               struct fmm_entry *out)
{
    return fmm_entry_load_any(ring, size, offset, out) &&
           (out->flags & FMM_ENTRY_PADDING) == 0;
}

FMM_NOINLINE uint64_t
fmm_entry_load_scope(const struct fmm_entry *entry)
{
    return fmm_load_shared(entry->at + FMM_ENTRY_HEADER +
                           8u * words_before_scope(entry));
}

uint32_t
fmm_entry_tags(const struct fmm_entry *entry, struct fmm_tag *out)
{
    if ((entry->flags & FMM_ENTRY_TAGGED) == 0) {
        return 0;
    }
    unsigned lease = (entry->flags & FMM_ENTRY_LEASE) ? FMM_LEASE_WORDS : 0u;
    uint32_t count = entry->words - words_of_flags(entry);
    const unsigned char *end =
        entry->at + FMM_ENTRY_HEADER + 8u * (entry->words - lease);
    const unsigned char *next = end - 8u * count;
    for (uint32_t i = 0; i < count; i++, next += 8) {
        uint64_t word = fmm_load_shared(next);
        out[i].id = (uint32_t)word;
        out[i].generation = (uint32_t)(word >> FMM_TAG_HIGH_SHIFT);
    }
    return count;
}

bool
fmm_entry_has_key(const struct fmm_entry *entry, const struct fmm_key *key)
{
    return entry->hash == key->hash && entry->key_len == key->len &&
           fmm_entry_kind(entry) == key->kind &&
           fmm_entry_scope(entry) == key->scope &&
           fmm_same_bytes(entry->key, key->data, key->len);
}

uint64_t
fmm_entry_modseq(const struct fmm_entry *entry)
{
    if ((entry->flags & FMM_ENTRY_MODSEQ) == 0) {
        return 0;
    }
    uint32_t before = (entry->flags & FMM_ENTRY_INTEGER) ? 8u : 0u;
    return fmm_load_shared(entry->at + FMM_ENTRY_HEADER + before);
}

int64_t
fmm_entry_integer(const struct fmm_entry *entry)
{
    return (int64_t)fmm_load_shared(entry->at + FMM_ENTRY_HEADER);
}

/* The map is writable; entries are const because readers share the type. */
static unsigned char *
writable(const struct fmm_entry *entry)
{
    return (unsigned char *)(uintptr_t)entry->at;
}

void
fmm_entry_set_integer(const struct fmm_entry *entry, int64_t value)
{
    fmm_store_shared(writable(entry) + FMM_ENTRY_HEADER, (uint64_t)value);
}

const void *
fmm_entry_expiry(const struct fmm_entry *entry)
{
    return entry->at + EXPIRY_AT;
}

void
fmm_entry_set_expiry(const struct fmm_entry *entry, uint64_t expire_at)
{
    fmm_store_shared(writable(entry) + EXPIRY_AT, expire_at);
}

/* ---------------------------------------------------------------- leases */

/* Where its words are: behind all other extension words. */
static unsigned char *
lease_words(const struct fmm_entry *entry)
{
    return writable(entry) + FMM_ENTRY_HEADER +
           8u * (entry->words - FMM_LEASE_WORDS);
}

fmm_word64 *
fmm_entry_token(const struct fmm_entry *entry)
{
    return (fmm_word64 *)(void *)lease_words(entry);
}

/* One look at the three words. True: they belong together. The token is
 * loaded first and last: whoever saw what goes with a later one sees that the
 * first is gone. Pairs with both fences in store_token(). */
static bool
load_lease(const struct fmm_entry *entry, struct fmm_lease *out)
{
    const unsigned char *words = lease_words(entry);
    fmm_word64 *token = fmm_entry_token(entry);
    out->token = atomic_load_explicit(token, memory_order_acquire);
    out->deadline = fmm_load_shared(words + 8);
    out->owner = fmm_load_shared(words + 16);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(token, memory_order_relaxed) == out->token;
}

/* Words that change all the time are taken for no lease: who would take one
 * then looks again, under the page lock, where no other is made. */
void
fmm_entry_lease(const struct fmm_entry *entry, struct fmm_lease *out)
{
    bool whole = false;
    if (entry->flags & FMM_ENTRY_LEASE) {
        for (int i = 0; i < LEASE_TRIES && !whole; i++) {
            whole = load_lease(entry, out);
        }
    }
    if (!whole) {
        *out = (struct fmm_lease){.token = 0};
    }
}

bool
fmm_entry_leased(const struct fmm_entry *entry, uint64_t now_ms)
{
    struct fmm_lease lease;
    fmm_entry_lease(entry, &lease);
    return fmm_lease_runs(&lease, now_ms);
}

/* The token is what makes the words a lease. Release: what it goes with is
 * complete before it, and it is gone before that is changed. */
static void
store_token(unsigned char *words, uint64_t token)
{
    atomic_store_explicit((fmm_word64 *)(void *)words, token,
                          memory_order_release);
    atomic_thread_fence(memory_order_release);
}

void
fmm_entry_set_lease(const struct fmm_entry *entry,
                    const struct fmm_lease *lease)
{
    unsigned char *words = lease_words(entry);
    store_token(words, 0);
    fmm_store_shared(words + 8, lease->deadline);
    fmm_store_shared(words + 16, lease->owner);
    store_token(words, lease->token);
}

/* The mover's half of what lease_end_unlocked() argues. */
void
fmm_entry_follow_lease(const struct fmm_entry *from, unsigned char *copy)
{
    if (FMM_LIKELY((from->flags & FMM_ENTRY_LEASE) == 0)) {
        return;
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(fmm_entry_token(from), memory_order_relaxed) ==
        0) {
        store_token(copy + (lease_words(from) - from->at), 0);
    }
}

void
fmm_entry_set_deadline(const struct fmm_entry *entry, uint64_t deadline)
{
    fmm_store_shared(lease_words(entry) + 8, deadline);
}

void
fmm_entry_end_lease(const struct fmm_entry *entry)
{
    if (entry->flags & FMM_ENTRY_LEASE) {
        store_token(lease_words(entry), 0);
    }
}

/* ------------------------------------------------------------------ values */

void
fmm_entry_copy_value(const struct fmm_entry *entry, void *to)
{
    if (entry->flags & FMM_ENTRY_INTEGER) {
        int64_t value = fmm_entry_integer(entry);
        memcpy(to, &value, sizeof(value));
        return;
    }
    fmm_copy_out(to, entry->value, entry->value_len);
}

void
fmm_entry_parts(const struct fmm_entry *entry, struct fmm_parts *out)
{
    if (FMM_UNLIKELY(entry->flags & FMM_ENTRY_IN_PARTS)) {
        fmm_copy_out(out, entry->value, sizeof(*out));
    }
}

void
fmm_entry_displace(const struct fmm_entry *entry,
                   struct fmm_displaced *displaced)
{
    bool in_parts = (entry->flags & FMM_ENTRY_IN_PARTS) != 0;
    if (FMM_UNLIKELY(in_parts) && displaced->count < FMM_DISPLACED_MAX) {
        fmm_entry_parts(entry, &displaced->parts[displaced->count++]);
    }
}

void
fmm_entry_describe(const struct fmm_entry *entry, uint64_t created_ms,
                   uint64_t now_ms, struct fmm_meta *meta_out)
{
    uint16_t flags = entry->flags;
    *meta_out = (struct fmm_meta){
        .value_len = entry->value_len,
        .key_len = entry->key_len,
        .expire_at = entry->expire_at,
        .stored_at = created_ms + UINT64_C(1000) * entry->stored_at,
        .modseq = fmm_entry_modseq(entry),
        .size = entry->total,
        .type = entry->type,
        .has_modseq = (flags & FMM_ENTRY_MODSEQ) != 0,
        .compressed = (flags & FMM_ENTRY_COMPRESSED) != 0,
        .split = (flags & FMM_ENTRY_IN_PARTS) != 0,
        .tombstone = (flags & FMM_ENTRY_TOMBSTONE) != 0,
        .key_kind = fmm_entry_kind(entry),
        .tagged = (flags & FMM_ENTRY_TAGGED) != 0,
        .expired = fmm_entry_expired(entry, now_ms),
    };
}
