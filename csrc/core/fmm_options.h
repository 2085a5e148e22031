/* Geometry: from what the user asked for to where everything lies.
 *
 * Owns the arithmetic of the layout. Knows no file and no map. */
#pragma once

#include "fmm.h"
#include "fmm_format.h"

/* Kept in private memory; never read from the map again. */
struct fmm_geometry {
    uint64_t file_size;
    uint64_t page_size;
    uint64_t directory_at; /* file offset of the directory */
    uint64_t bases_at;     /* file offset of the bases of page 0 */
    uint64_t indexes_at;   /* file offset of the index part of page 0 */
    uint64_t index_size;   /* bytes of each */
    uint64_t hints_at;     /* offset in it */
    uint64_t rings_at;     /* file offset of the rings of page 0 */
    uint64_t rings_size;   /* bytes of both */
    uint64_t ring_at[2];   /* offsets in them */
    uint64_t ring_size[2]; /* bytes */
    uint64_t clients_at;   /* of the table; there what the pages have ends */
    uint64_t main_least;   /* of ring M, the index as large as it may be */
    uint64_t max_part;     /* the largest entry, bytes with its header */
    uint64_t max_entry;    /* the same of a value that is not in parts */
    uint32_t ring_shift[2];
    uint32_t num_pages;
    uint32_t buckets;  /* of 8 slots, per page */
    uint32_t bases;    /* of groups, per page; a power of two */
    uint32_t listings; /* in the directory, the ends of its lists included */
    /* Of the seals at the end of entries: their key, 0: there are none; and
     * their bytes. Not of the layout: the header says so. */
    uint64_t seal_key;
    uint64_t seal_size;
};

/* Lay out pages of these sizes. False when they are out of range; any
 * numbers may be given. */
bool fmm_geometry_layout(uint64_t page_size, uint32_t num_pages,
                         uint32_t buckets, struct fmm_geometry *out);

/* Bits that the offset takes in the positions of a ring of `size` bytes,
 * see fmm_ring.h. */
uint32_t fmm_geometry_shift(uint64_t size);

/* The bytes of an index of so many buckets, a multiple of FMM_RING_ALIGN: slots,
 * hints and ghosts. */
static inline uint64_t
fmm_geometry_index_size(uint32_t buckets)
{
    const uint64_t each = sizeof(uint64_t) + sizeof(uint32_t) + 2;
    uint64_t bytes = buckets * (FMM_BUCKET_SLOTS * each);
    return (bytes + FMM_RING_ALIGN - 1) & ~(uint64_t)(FMM_RING_ALIGN - 1);
}
/* Of so many bytes the buckets of an index that is 4/5 full when entries of
 * `stored` bytes, header included, fill the rest. Fuller, buckets of eight
 * overflow, and each eviction for want of a slot leaves dead bytes for a lap of
 * its ring. */
uint64_t fmm_geometry_buckets(uint64_t bytes, uint64_t stored);

/* Turn options into a geometry, or say what is wrong with them. */
enum fmm_status fmm_geometry_resolve(const struct fmm_options *options,
                                     struct fmm_geometry *out,
                                     struct fmm_error *error);

/* Check that options which were given agree with a file's geometry. */
enum fmm_status fmm_geometry_agree(const struct fmm_options *options,
                                   const struct fmm_geometry *file,
                                   struct fmm_error *error);

/* Whether to go on with an opening that takes long. */
static inline bool
fmm_options_go_on(const struct fmm_options *options, uint64_t done,
                  uint64_t total)
{
    return options->go_on == NULL ||
           options->go_on(options->go_on_context, done, total);
}

/* The largest value: a quarter of all pages when it is in parts. */
uint64_t fmm_geometry_max_value(const struct fmm_geometry *geometry);
/* The least entry that is worth a part of a value of `length` bytes. */
uint64_t fmm_geometry_min_part(const struct fmm_geometry *geometry,
                               uint64_t length);
