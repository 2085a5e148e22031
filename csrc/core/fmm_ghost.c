#include "fmm_ghost.h"

#include "fmm_hash.h"

/* By the first bucket of a hash. */
static uint16_t *
bucket_of(const struct fmm_page *page, uint64_t hash)
{
    const struct fmm_index *index = &page->index;
    void *ghosts = index->hints + (size_t)index->buckets * FMM_BUCKET_SLOTS;
    return (uint16_t *)ghosts +
           (size_t)fmm_hash_bucket(hash, index->buckets) * FMM_GHOST_BUCKET;
}

void
fmm_ghost_add(const struct fmm_page *page, uint64_t hash)
{
    uint16_t *bucket = bucket_of(page, hash);
    memmove(bucket + 1, bucket, (FMM_GHOST_BUCKET - 1) * sizeof(*bucket));
    bucket[0] = fmm_hash_ghost(hash);
}

bool
fmm_ghost_has(const struct fmm_page *page, uint64_t hash)
{
    const uint16_t *bucket = bucket_of(page, hash);
    uint16_t wanted = fmm_hash_ghost(hash);
    uint64_t most = page->control->entries;
    for (uint32_t i = 0; i < FMM_GHOST_BUCKET; i++) {
        if ((uint64_t)i * page->index.buckets > most) {
            return false;
        }
        if (bucket[i] == wanted) {
            return true;
        }
    }
    return false;
}
