#include "fmm_heir.h"

#include "fmm_hash.h"
#include "fmm_page.h"

/* The bases of one page. */
static fmm_word32 *
bases_of(const struct fmm_cache *cache, uint32_t page)
{
    const struct fmm_geometry *geometry = &cache->geometry;
    void *bases = cache->base + geometry->bases_at;
    return (fmm_word32 *)bases + (uint64_t)page * geometry->bases;
}

static uint32_t
load(const fmm_word32 *base)
{
    return atomic_load_explicit(base, memory_order_relaxed);
}

/* A number that no group of either file has had. */
static uint64_t
next_generation(const struct fmm_cache *from, const struct fmm_cache *to)
{
    const struct fmm_cache *files[] = {from, to};
    uint64_t most = 0;
    for (int i = 0; i < 2; i++) {
        for (uint32_t n = 0; n < files[i]->geometry.num_pages; n++) {
            struct fmm_control *control = fmm_page_control(files[i]->base, n);
            most = fmm_max(most, fmm_count_load(&control->generation));
        }
    }
    return most + 1;
}

/* The pages of the old file whose groups are on one page of the new one. */
struct range {
    uint32_t first, last;
};

static struct range
pages_before(const struct fmm_cache *from, const struct fmm_cache *to,
             uint32_t page)
{
    uint64_t pages = to->geometry.num_pages;
    uint64_t first = fmm_hash_first(page, pages);
    uint64_t end = fmm_hash_first((uint64_t)page + 1, pages);
    return (struct range){fmm_hash_page(first, from->geometry.num_pages),
                          fmm_hash_page(end - 1, from->geometry.num_pages)};
}

/* The generation that all bases had whose groups have this one now, if it was
 * the same; else `otherwise`. */
static uint32_t
common_generation(const struct fmm_cache *from, struct range pages,
                  uint32_t number, uint32_t of, uint32_t otherwise)
{
    uint32_t bases = from->geometry.bases;
    uint32_t step = of < bases ? of : bases;
    uint32_t generation = load(&bases_of(from, pages.first)[number % bases]);
    for (uint32_t page = pages.first; page <= pages.last; page++) {
        for (uint32_t n = number % step; n < bases; n += step) {
            if (load(&bases_of(from, page)[n]) != generation) {
                return otherwise;
            }
        }
    }
    return generation;
}

/* One that is not 0 was ended there: a record found no room. */
static void
fill_bases(const struct fmm_cache *from, const struct fmm_cache *to,
           uint32_t page, uint32_t otherwise)
{
    struct range pages = pages_before(from, to, page);
    fmm_word32 *bases = bases_of(to, page);
    uint32_t count = to->geometry.bases;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t generation =
            load(&bases[n]) != 0
                ? otherwise
                : common_generation(from, pages, n, count, otherwise);
        atomic_store_explicit(&bases[n], generation, memory_order_relaxed);
    }
}

/* Whether a base was ever ended: where records have room, none is. */
static bool
has_ended_bases(const struct fmm_cache *cache)
{
    uint64_t count =
        (uint64_t)cache->geometry.num_pages * cache->geometry.bases;
    const fmm_word32 *bases = bases_of(cache, 0);
    uint32_t any = 0;
    for (uint64_t n = 0; n < count; n++) {
        any |= load(&bases[n]);
    }
    return any != 0;
}

void
fmm_heir_take_groups(const struct fmm_cache *from, const struct fmm_cache *to)
{
    uint64_t generation = next_generation(from, to);
    bool ended = has_ended_bases(from) || has_ended_bases(to);
    for (uint32_t n = 0; n < to->geometry.num_pages; n++) {
        struct fmm_control *control = fmm_page_control(to->base, n);
        fmm_count_store(&control->generation, generation);
        if (ended) {
            fill_bases(from, to, n, (uint32_t)generation);
        }
    }
}
