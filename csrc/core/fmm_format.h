/* Everything that is in the file: structs, magic, versions, limits.
 *
 *   header 4 KiB | control block of page 0 | ... of page 1 | ...
 *                | index, hints and ghosts of page 0 | ... of page 1 | ...
 *                | rings S and M of page 0 | ... of page 1 | ...
 *
 * What is looked up first lies together: pages of a power of two with their
 * index in front would put it on the same few sets of the processor's TLB.
 *
 *   index   u64 slot words in buckets of 8, one cache line each
 *   hints   u32 per slot: credit and last access
 *   ghosts  u16 per slot: hashes of what was evicted
 *   ring S  20 % of the rest: new entries, on probation
 *   ring M  80 % of the rest: entries that proved their worth
 *
 * Where slots run out, a larger index with its hints and ghosts takes the end
 * of ring M, and the place of the one before; see fmm_control.index.
 *
 * An entry is contiguous, 8-byte aligned, and never changed while a slot
 * names it, but for these words, each by one store:
 *
 *    0  total u32 | flags u16 | type u8 | words u8
 *    8  hash of the key u64
 *   16  expire_at u64, ms since 1970, 0 = never      (changed by touch)
 *   24  key length u32 | stored_at u32, s since creation
 *   32  `words` extension words u64: [integer] [modseq] [scope]
 *       [tags, 2 words each: id, generation] [lease: token, deadline ms,
 *       owner]      (integer changed by incr, lease by those who compute)
 *       key | value | up to 7 bytes of padding, counted in the flags
 *
 * Integers are in the byte order of the machine: a file of another order is
 * refused. A change of this page bumps FMM_VERSION,
 * docs/format.rst and the golden file together. */
#pragma once

#include <assert.h>
#include <stddef.h>

#include "fmm.h"
#include "fmm_base.h"

#define FMM_MAGIC \
    "\x89"        \
    "FMM\r\n\x1a\n"
#define FMM_MAGIC_SIZE 8u
#define FMM_VERSION 7u
#define FMM_BYTE_ORDER 0x01020304u
#define FMM_HEADER_SIZE 4096u
#define FMM_CONTROL_SIZE 256u
#define FMM_PAGES_MAX (1u << 24)
#define FMM_RING_ALIGN 64u
#define FMM_WRITERS 64u

/* ------------------------------------------------------------- header */

/* Where the file is at home; lock words mean nothing elsewhere. */
struct fmm_identity {
    unsigned char boot_id[16];
    uint64_t pid_namespace;
    uint64_t device;
    uint64_t inode;
};

/* One of the locks that order what reaches the user's store, see
 * fmm_writer.h. */
struct fmm_writer_lock {
    fmm_word64 word; /* as that of a page */
    fmm_word64 hash; /* of the key that its holder writes; advisory */
};

struct fmm_header {
    unsigned char magic[FMM_MAGIC_SIZE];
    uint32_t version;
    uint32_t byte_order;
    uint32_t word_size;
    uint32_t header_size;
    uint64_t file_size;
    uint64_t page_size;
    uint32_t num_pages;
    uint32_t buckets; /* of 8 slots, per page */
    uint64_t seed[2]; /* of the key hash; random, never leaves the file */
    uint64_t created_ms;
    char serializer[FMM_NAME_SIZE];
    char compressor[FMM_NAME_SIZE];
    uint64_t checksum; /* of all the above */
    unsigned char reserved0[1024 - 144];
    /* The rest may change while the file is in use. */
    struct fmm_identity identity;
    unsigned char reserved1[1024 - 40];
    fmm_word32 retired; /* 1: replaced by another file, open that */
    unsigned char reserved2[1024 - 4];
    struct fmm_writer_lock writers[FMM_WRITERS]; /* by bits of the hash */
};

static_assert(sizeof(struct fmm_identity) == 40, "identity");
static_assert(offsetof(struct fmm_header, checksum) == 136, "header");
static_assert(offsetof(struct fmm_header, identity) == 1024, "header");
static_assert(offsetof(struct fmm_header, retired) == 2048, "header");
static_assert(offsetof(struct fmm_header, writers) == 3072, "header");
static_assert(sizeof(struct fmm_header) == FMM_HEADER_SIZE, "header");

/* ------------------------------------------------------ control blocks */

enum fmm_ring_id { FMM_RING_S = 0, FMM_RING_M = 1 };

/* One per page. What readers load stands apart from what writers store.
 * A position is lap << shift | offset / 8, see fmm_ring.h. */
struct fmm_control {
    /* Line 0, read by lock-free readers: positions only grow. */
    fmm_word64 tail[2];
    /* The index that took the place of the first one, 0: none has. Buckets
     * u32 | where in the page's rings it begins, in units of 64 bytes, u32:
     * there ring M ends. */
    fmm_word64 index;
    uint64_t reserved0[5];
    /* Line 1, writers: the lock, and what it guards. */
    fmm_word64 lock;
    fmm_word64 head[2];
    /* Advisory, guarded by the lock, recounted after a death. */
    uint64_t live[2]; /* bytes of entries that slots name, per ring */
    uint64_t entries; /* slots in use */
    /* Guarded by the lock. 1: a value that the user's store may have was
     * evicted, has expired or was dropped. */
    uint64_t departed;
    uint64_t recount_at; /* position of M's tail for the next recount */
    /* Line 2, counters of readers (calls with `count` only). */
    fmm_word64 reads;
    fmm_word64 hits;
    fmm_word64 lock_waits;
    /* Rare ones of writers, guarded by the lock. */
    uint64_t recoveries;
    uint64_t repaired;
    uint64_t hand; /* the bucket where what has expired is looked for next */
    uint64_t reserved2[2];
    /* Line 3, counters of writers, guarded by the lock. */
    uint64_t stores;
    uint64_t evictions;
    uint64_t expirations;
    uint64_t slot_evictions;
    uint64_t moved_bytes;
    /* Of `entries` those of internal keys; advisory like them. */
    uint64_t internal;
    /* The earliest expiry of an entry, ms since 1970, 0: none; and of what
     * the hand has passed in its present lap. Advisory. */
    uint64_t earliest;
    uint64_t passed;
};

static_assert(offsetof(struct fmm_control, lock) == 64, "control line 1");
static_assert(offsetof(struct fmm_control, reads) == 128, "control line 2");
static_assert(offsetof(struct fmm_control, stores) == 192, "control line 3");
static_assert(sizeof(struct fmm_control) == FMM_CONTROL_SIZE, "control");

/* --------------------------------------------------------------- index */

#define FMM_BUCKET_SLOTS 8u

/* A slot word; 0 is empty. */
#define FMM_SLOT_USED (UINT64_C(1) << 63)
#define FMM_SLOT_RING (UINT64_C(1) << 62)         /* set: ring M */
#define FMM_SLOT_DIRTY (UINT64_C(1) << 61)        /* to be written back */
#define FMM_SLOT_PENDING (UINT64_C(1) << 60)      /* handed out for that */
#define FMM_SLOT_FRESH (UINT64_C(1) << 59)        /* dirty, and the user's */
                                                  /* store has no version */
#define FMM_SLOT_REMOVED (UINT64_C(1) << 58)      /* dirty: to be deleted */
                                                  /* there; reads as a miss */
#define FMM_SLOT_RESERVED (UINT64_C(0x3ff) << 48) /* zero */
/* How the entry stands to the user's store: goes with it where it moves. */
#define FMM_SLOT_STATE \
    (FMM_SLOT_DIRTY | FMM_SLOT_PENDING | FMM_SLOT_FRESH | FMM_SLOT_REMOVED)
#define FMM_SLOT_TAG_SHIFT 32u /* 16 bits of the hash */
#define FMM_SLOT_TAG (UINT64_C(0xffff) << FMM_SLOT_TAG_SHIFT)
#define FMM_SLOT_OFFSET UINT64_C(0xffffffff) /* in the ring, 8-byte units */

/* A hint word: what readers store. */
#define FMM_HINT_CREDIT_SHIFT 28u
#define FMM_HINT_CREDIT_MAX 15u
#define FMM_HINT_ACCESS ((UINT32_C(1) << FMM_HINT_CREDIT_SHIFT) - 1u)

#define FMM_GHOST_BUCKET FMM_BUCKET_SLOTS

/* --------------------------------------------------------------- entry */

#define FMM_ENTRY_HEADER 32u
#define FMM_ENTRY_PADDING_MIN 8u
#define FMM_LEASE_WORDS 3u /* token, deadline, owner */
#define FMM_TAG_WORDS 2u   /* id, generation */
/* Integer, modseq, scope, tags, lease. */
#define FMM_ENTRY_WORDS_MAX \
    (3u + FMM_TAG_WORDS * FMM_TAGS_MAX + FMM_LEASE_WORDS)

enum fmm_entry_flag {
    FMM_ENTRY_PAD_BYTES = 7,      /* bits 0-2: bytes after the value */
    FMM_ENTRY_PADDING = 1 << 3,   /* no entry: skip `total` bytes */
    FMM_ENTRY_TOMBSTONE = 1 << 4, /* no value: removed, or a bare lease */
    FMM_ENTRY_COMPRESSED = 1 << 5,
    FMM_ENTRY_KEY_BYTES = 1 << 6, /* the key is bytes, not text */
    FMM_ENTRY_MODSEQ = 1 << 7,    /* an extension word */
    FMM_ENTRY_INTEGER = 1 << 8,   /* an extension word is the value */
    FMM_ENTRY_LEASE = 1 << 9,     /* three extension words */
    FMM_ENTRY_KEY_OWN = 1 << 10,  /* the key is the engine's own: internal */
    FMM_ENTRY_SPLIT = 1 << 11,    /* the value says where its parts are */
    FMM_ENTRY_TAGGED = 1 << 12,   /* two extension words for each tag */
    FMM_ENTRY_SCOPED = 1 << 13,   /* an extension word, part of the key */
    FMM_ENTRY_KNOWN = (1 << 14) - 1
};

/* The key of a part of a value: `id` of struct fmm_parts, number u32. */
#define FMM_PART_NAME 20u
enum fmm_part_id { FMM_PART_RANDOM = 0, FMM_PART_HASH = 1 };

/* The kind of a key is two of the flags. */
#define FMM_ENTRY_KIND_SHIFT 6u
#define FMM_ENTRY_KIND (FMM_ENTRY_KEY_BYTES | FMM_ENTRY_KEY_OWN)
static_assert(FMM_KEY_BYTES << FMM_ENTRY_KIND_SHIFT == FMM_ENTRY_KEY_BYTES,
              "kind");
static_assert(FMM_KEY_INTERNAL << FMM_ENTRY_KIND_SHIFT == FMM_ENTRY_KEY_OWN,
              "kind");
/* Entries with one of these have extension words. */
#define FMM_ENTRY_EXTENDED                                    \
    (FMM_ENTRY_MODSEQ | FMM_ENTRY_INTEGER | FMM_ENTRY_LEASE | \
     FMM_ENTRY_TAGGED | FMM_ENTRY_SCOPED)
