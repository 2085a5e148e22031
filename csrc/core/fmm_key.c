/* Keys: their hash and page, what is fetched for them, and those of tags. */
#include "fmm.h"

#include "fmm_file.h"
#include "fmm_hash.h"
#include "fmm_page.h"

void
fmm_key_init(const struct fmm_cache *cache, struct fmm_key *key,
             const void *data, size_t len, enum fmm_key_kind kind)
{
    key->data = data;
    key->len = len;
    key->scope = 0;
    key->kind = kind;
    fmm_key_hash(cache, key);
}

/* Where a hashed key is looked up. */
static inline void
look_where(const struct fmm_cache *cache, const struct fmm_key *key,
           struct fmm_page *page, struct fmm_candidates *c)
{
    fmm_page_glance(cache->base, &cache->geometry, key->page, page);
    fmm_index_candidates(page->index.buckets, key->hash, c);
}

/* Ask for the lines of the index, and for that of the tails. */
static inline void
prefetch(const struct fmm_cache *cache, const struct fmm_key *key)
{
    struct fmm_candidates c;
    struct fmm_page page;
    look_where(cache, key, &page, &c);
    fmm_index_prefetch(&page.index, &c);
    __builtin_prefetch(page.control);
}

void
fmm_key_hash(const struct fmm_cache *cache, struct fmm_key *key)
{
    /* The seed is secret, and so each scope has a hash of its own. */
    const uint64_t seed[2] = {cache->seed[0] ^ key->scope, cache->seed[1]};
    key->hash = fmm_hash(seed, key->data, key->len);
    key->page = fmm_hash_page(key->hash, cache->geometry.num_pages);
    key->hashed_by = cache->serial;
    prefetch(cache, key);
}

void
fmm_key_fetch(const struct fmm_cache *cache, const struct fmm_key *key)
{
    struct fmm_candidates c;
    struct fmm_page page;
    if (key->hashed_by != cache->serial) {
        return;
    }
    look_where(cache, key, &page, &c);
    uint32_t matches = fmm_index_tagged(&page.index, &c);
    if (matches) {
        fmm_page_fetch_slot(&page, fmm_index_take(&c, &matches));
    }
}

uint32_t
fmm_tag_id(const struct fmm_cache *cache, const struct fmm_key *name)
{
    const uint64_t seed[2] = {cache->seed[0] ^ name->scope, ~cache->seed[1]};
    uint32_t hash = (uint32_t)fmm_hash(seed, name->data, name->len);
    return name->kind == FMM_KEY_BYTES ? ~hash : hash;
}

/* The id is of a secret hash; what is left is to spread it over 64 bits. */
void
fmm_tag_key(const struct fmm_cache *cache, const struct fmm_tag *tag,
            struct fmm_key *key_out)
{
    uint64_t hash = tag->id * UINT64_C(0x9e3779b97f4a7c15);
    *key_out = (struct fmm_key){
        .data = &tag->id,
        .len = sizeof(tag->id),
        .hash = hash,
        .page = fmm_hash_page(hash, cache->geometry.num_pages),
        .kind = FMM_KEY_INTERNAL,
    };
}
