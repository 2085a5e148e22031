/* Everything that is in the file: structs, magic, versions, limits.
 *
 *   header 4 KiB | control block of page 0 | ... of page 1 | ...
 *                | directory of values in parts
 *                | bases of the groups of page 0 | ... of page 1 | ...
 *                | index, hints and ghosts of page 0 | ... of page 1 | ...
 *                | rings S and M of page 0 | ... of page 1 | ...
 *                | clients
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
 *       [tags: id u32 | generation u32] [lease: token, deadline ms, owner]
 *       (integer changed by incr, lease by those who compute)
 *       key | value | up to 7 bytes of padding | in a file that is sealed
 *       the seal u64; both are counted in the flags
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
#define FMM_VERSION 10u
#define FMM_BYTE_ORDER 0x01020304u
#define FMM_HEADER_SIZE 4096u
#define FMM_CONTROL_SIZE 256u
#define FMM_PAGES_MAX (1u << 24)
#define FMM_RING_ALIGN 64u
#define FMM_TURNS 64u
#define FMM_UNWRITTEN UINT64_C(1)

/* -------------------------------------------------------- the machine */

static_assert(
    sizeof(void *) == 8 && sizeof(size_t) == 8,
    "fastmmap needs a 64-bit system: sizes in the file have 64 bits");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ||
                  __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
              "fastmmap knows two byte orders, little-endian and big-endian");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
              "fastmmap needs 64-bit words that change without a lock");

/* ------------------------------------------------------------- header */

/* Where the file is at home: on another machine, after a boot, or as a copy,
 * it may have been left half-written. */
struct fmm_identity {
    unsigned char boot_id[16]; /* zeros: it could not be read */
    uint64_t device;
    uint64_t inode;
};

/* One of the locks that order what reaches the user's store, see
 * fmm_turn.h. */
struct fmm_turn_lock {
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
    uint32_t sealed; /* 1: each entry ends with a seal, see fmm_seal.h */
    uint32_t sparse; /* 1: its space is not reserved, and may be given back */
    uint64_t checksum; /* of all the above */
    unsigned char reserved0[1024 - 152];
    /* The rest may change while the file is in use. */
    struct fmm_identity identity;
    unsigned char reserved1[1024 - 32];
    fmm_word32 retired; /* 1: replaced by another file, open that */
    fmm_word32 clients; /* entries of the table that were ever taken */
    /* Not 0: changed values may be in the file that the user's store has not.
     * FMM_UNWRITTEN, or the mark of one who looks whether that is still so. */
    fmm_word64 unwritten;
    unsigned char reserved2[1024 - 16];
    struct fmm_turn_lock turns[FMM_TURNS]; /* by bits of the hash */
};

static_assert(sizeof(struct fmm_identity) == 32, "identity");
static_assert(offsetof(struct fmm_header, sparse) == 140, "header");
static_assert(offsetof(struct fmm_header, checksum) == 144, "header");
static_assert(offsetof(struct fmm_header, identity) == 1024, "header");
static_assert(offsetof(struct fmm_header, retired) == 2048, "header");
static_assert(offsetof(struct fmm_header, turns) == 3072, "header");
/* Where all versions have them, so that each can tell what to do with a file of
 * another: these, the lock bytes of opening and presence. */
static_assert(offsetof(struct fmm_header, version) == 8, "all versions");
static_assert(offsetof(struct fmm_header, byte_order) == 12, "all versions");
static_assert(offsetof(struct fmm_header, unwritten) == 2056, "all versions");
static_assert(sizeof(struct fmm_header) == FMM_HEADER_SIZE, "header");

/* ---------------------------------------------------------- lock bytes */

/* Bytes that the system locks, whatever is in them: while the file is opened;
 * shared by all who have it open; while one who opens it verifies all of it; shared
 * by those who only read it, and found it as another boot, or another host, left it;
 * of client 0, and then of the others. */
enum fmm_lock_byte {
    FMM_BYTE_OPENING = 0,
    FMM_BYTE_PRESENCE = 1,
    FMM_BYTE_VERIFYING = 2,
    FMM_BYTE_LOOKING = 3,
    FMM_BYTE_CLIENTS = 4096
};

/* ------------------------------------------------------------- clients */

#define FMM_CLIENTS 2048u
#define FMM_CLIENT_STRIPES 7u

enum fmm_client_count {
    FMM_COUNT_HITS = 0,
    FMM_COUNT_MISSES = 1,
    FMM_COUNT_STORES = 2,
    FMM_COUNT_WAITS = 3,
    FMM_CLIENT_COUNTS = 4
};

/* Counters of some of the threads of all that ever had the entry. */
struct fmm_client_stripe {
    fmm_word64 counts[FMM_CLIENT_COUNTS];
    uint64_t before[FMM_CLIENT_COUNTS]; /* when it was taken last */
};

/* One who has the file open: holds the lock of byte FMM_BYTE_CLIENTS + the
 * number of the entry. But for the generation all is for people to read. */
struct fmm_client_entry {
    fmm_word64 generation; /* grows whenever it is taken */
    uint64_t since_ms;     /* when that was, ms since 1970 */
    uint32_t pid;          /* as it is where the process lives; 0: left */
    uint32_t reserved0;
    char command[FMM_COMMAND_SIZE];
    uint64_t reserved1[3];
    struct fmm_client_stripe stripes[FMM_CLIENT_STRIPES];
};

static_assert(sizeof(struct fmm_client_stripe) == 64, "client stripe");
static_assert(offsetof(struct fmm_client_entry, stripes) == 64, "client");
static_assert(sizeof(struct fmm_client_entry) == 512, "client");

/* An owner, in lock words and leases: bit 0 is for waiters in a lock word,
 * then the entry, then its generation. */
#define FMM_OWNER_ENTRY_SHIFT 1u
#define FMM_OWNER_GENERATION_SHIFT 12u
#define FMM_OWNER_GENERATION_MAX ((UINT64_C(1) << 52) - 1)
static_assert(FMM_CLIENTS ==
                  1u << (FMM_OWNER_GENERATION_SHIFT - FMM_OWNER_ENTRY_SHIFT),
              "owner");

static inline uint32_t
fmm_owner_entry(uint64_t owner)
{
    return (uint32_t)(owner >> FMM_OWNER_ENTRY_SHIFT) & (FMM_CLIENTS - 1);
}

static inline uint64_t
fmm_owner_generation(uint64_t owner)
{
    return owner >> FMM_OWNER_GENERATION_SHIFT;
}

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
    /* The last generation that a group, or a base, of the page was given. */
    uint64_t generation;
    /* Of `internal` the names of groups, and their bytes; advisory. */
    uint64_t names;
    uint64_t name_bytes;
    uint64_t reserved0[2];
    /* Line 1, writers: the lock, and what it guards. */
    fmm_word64 lock;
    fmm_word64 head[2];
    /* Advisory, under the lock, recounted after a death. */
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
    /* Rare ones of writers, under the lock. */
    uint64_t recoveries;
    uint64_t repaired;
    uint64_t hand; /* the bucket where what has expired is looked for next */
    /* Of `internal` the records of groups, and their bytes; advisory. */
    uint64_t records;
    uint64_t record_bytes;
    /* Line 3, counters of writers, under the lock. */
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

/* ----------------------------------------- directory of values in parts */

/* The lists that a listing may be in. */
enum fmm_list {
    FMM_LIST_FREE,   /* it lists nothing */
    FMM_LIST_NEW,    /* on probation, as ring S */
    FMM_LIST_MAIN,   /* proved its worth, as ring M */
    FMM_LIST_COMING, /* being stored: it has no manifest yet */
    FMM_LIST_GONE,   /* it has left; some of its parts may be there */
    FMM_LISTS
};

/* One value in parts; the first FMM_LISTS are the ends of the lists. */
struct fmm_listing {
    uint64_t id[2];          /* that of its parts */
    uint64_t length;         /* of the value, bytes */
    uint64_t expire_at;      /* ms since 1970, 0: never */
    uint32_t next, previous; /* in a ring through the end of the list */
    uint32_t list;
    uint32_t listed_at;   /* s since creation */
    uint32_t page, count; /* of its parts, as far as they are there */
    uint64_t owner;       /* the client that stores it, as in lock words */
    /* Of another value, which left the new list: 32 bits of the hash of its key,
     * and the how many-th it was. */
    uint32_t ghost_hash, ghost_turn;
};

/* `listings` of the geometry follow. Begins with zeros; the lists are made from
 * what the listings say when it is used first, and after a death. All of it but
 * the lock is advice. */
struct fmm_directory {
    fmm_word64 lock;
    fmm_word64 debt;           /* bytes of values in parts that are to leave */
    uint64_t built;            /* 1: the lists are whole */
    uint64_t left;             /* values that left the new list, so far */
    uint64_t bytes[FMM_LISTS]; /* of the values listed */
    uint64_t values[FMM_LISTS];
    uint64_t hand; /* the listing where what has expired is looked for */
    /* The earliest expiry, 0: none; and of what the hand has passed in its
     * present lap. */
    uint64_t earliest, passed;
};

static_assert(sizeof(struct fmm_listing) == 72, "listing");
static_assert(sizeof(struct fmm_directory) == 136, "directory");

/* --------------------------------------------------------------- groups */

/* A group that has no record has the generation of its base, a u32. A page has
 * a base for each so many bytes; the low bits of the hash tell which. */
#define FMM_BASE_SPAN 1024u

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
/* Seconds since creation, the low bits: the clock goes round in 8.5 years. */
#define FMM_HINT_ACCESS ((UINT32_C(1) << FMM_HINT_CREDIT_SHIFT) - 1u)

#define FMM_GHOST_BUCKET FMM_BUCKET_SLOTS

/* --------------------------------------------------------------- entry */

#define FMM_ENTRY_HEADER 32u
#define FMM_ENTRY_PADDING_MIN 8u
#define FMM_ENTRY_SEAL 8u  /* bytes at the end of an entry */
#define FMM_LEASE_WORDS 3u /* token, deadline, owner */
/* Integer, modseq, scope, tags, lease. */
#define FMM_ENTRY_WORDS_MAX (3u + FMM_TAGS_MAX + FMM_LEASE_WORDS)
#define FMM_TAG_HIGH_SHIFT 32u /* bit 0 of the generation of a tag */

enum fmm_entry_flag {
    FMM_ENTRY_PAD_BYTES = 15,     /* bits 0-3: bytes after the value, */
                                  /* those of the seal included */
    FMM_ENTRY_TOMBSTONE = 1 << 4, /* no value: removed, or a bare lease */
    FMM_ENTRY_COMPRESSED = 1 << 5,
    FMM_ENTRY_KEY_BYTES = 1 << 6, /* the key is bytes, not text */
    FMM_ENTRY_MODSEQ = 1 << 7,    /* an extension word */
    FMM_ENTRY_INTEGER = 1 << 8,   /* an extension word is the value */
    FMM_ENTRY_LEASE = 1 << 9,     /* three extension words */
    FMM_ENTRY_KEY_OWN = 1 << 10,  /* the key is the engine's own: internal */
    FMM_ENTRY_IN_PARTS = 1 << 11, /* the value says where its parts are */
    FMM_ENTRY_TAGGED = 1 << 12,   /* an extension word for each tag */
    FMM_ENTRY_SCOPED = 1 << 13,   /* an extension word, part of the key */
    FMM_ENTRY_PADDING = 1 << 14,  /* no entry: skip `total` bytes */
    FMM_ENTRY_KNOWN = (1 << 15) - 1
};

/* The key of a part of a value: `id` of struct fmm_parts, number u32, `listing`
 * of that struct u32. */
#define FMM_PART_NUMBER 16u /* where the two are in it */
#define FMM_PART_LISTING 20u
#define FMM_PART_NAME 24u
enum fmm_part_id { FMM_PART_RANDOM = 0, FMM_PART_HASH = 1 };

/* The key of the name of a group: the mark, and the hash of the key of its
 * record. The value: the scope that it is in u64, `what` u8, the name. */
#define FMM_NAME_MARK 0x67u /* "g" */
#define FMM_NAME_KEY 9u
#define FMM_NAME_BEFORE 9u /* bytes of the value before the name */
#define FMM_NAME_MAX 500u  /* longer ones are not noted */

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
