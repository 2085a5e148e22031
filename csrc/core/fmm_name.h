/* The key under which the name of a group stands, and how many names a page is
 * to have. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"
#include "fmm_hash.h"
#include "fmm_page.h"

/* The key, and the bytes that it points to. */
struct fmm_name_key {
    struct fmm_key key;
    unsigned char bytes[FMM_NAME_KEY];
};

/* That of the group whose record has that hash, in a file of so many pages. */
static inline void
fmm_name_key(uint64_t record_hash, uint32_t num_pages,
             struct fmm_name_key *out)
{
    out->bytes[0] = FMM_NAME_MARK;
    memcpy(out->bytes + 1, &record_hash, sizeof(record_hash));
    out->key = (struct fmm_key){
        .data = out->bytes,
        .len = sizeof(out->bytes),
        .hash = ~record_hash, /* as secret as that */
        .page = fmm_hash_page(~record_hash, num_pages),
        .kind = FMM_KEY_INTERNAL,
    };
}

/* Whether a read at that time tells that the name of its group is in use: one in
 * sixteen. The clock goes in steps of up to 4 ms. */
static inline bool
fmm_name_is_due(uint64_t now_ms)
{
    return (now_ms & 63u) < 4;
}

#define FMM_NAMES_SHARE 500u /* one part in so many of a page is for names */
#define FMM_NAMES_LEAST 560u /* bytes of a small page that are, */
#define FMM_NAMES_SMALL 20u  /* or one part in so many, if that is less */

/* Whether the names of a page take all that they are to have. */
static inline bool
fmm_name_are_many(const struct fmm_page *page)
{
    uint64_t size = page->geometry->rings_size;
    uint64_t least = fmm_min(FMM_NAMES_LEAST, size / FMM_NAMES_SMALL);
    return fmm_count_load(&page->control->name_bytes) >
           fmm_max(size / FMM_NAMES_SHARE, least);
}
