#include "fmm_options.h"

#include <inttypes.h>

#include "fmm_base.h"
#include "fmm_format.h"

#define SPLIT_SHARE 4u  /* a value takes one part in so many of the file */
#define WHOLE_SHARE 32u /* of a page: larger values are in parts */
#define WHOLE_LEAST (UINT64_C(16) << 10)
#define PART_SHARE 16u   /* of the largest entry: smaller parts are not made */
#define PARTS_MAX 128u   /* of a value, about */
#define LISTINGS_MIN 16u /* and as many as there can be values */
#define LISTINGS_MAX (1u << 24)
#define CACHE_SIZE_DEFAULT (UINT64_C(16) << 20)
#define CACHE_SIZE_MAX (UINT64_C(1) << 50)
/* Few pages are filled more evenly, and many keep writers apart. */
#define PAGES_USUAL 16u
#define PAGE_SIZE_LEAST (UINT64_C(256) << 10) /* for caches from 1 MiB on */
#define PAGE_SIZE_MOST (UINT64_C(2) << 20) /* it is held while it is counted */
#define ENTRY_SIZE_DEFAULT 1000u           /* a fifth of the slots for 200 */
#define ENTRY_SIZE_MAX (1u << 30)
#define SLOT_SIZE 12u /* bytes, its hint included */
#define GHOST_SIZE 2u /* bytes, one for each slot */

static uint64_t
align_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

uint32_t
fmm_geometry_shift(uint64_t size)
{
    uint32_t shift = 1;
    while ((UINT64_C(8) << shift) < size) {
        shift++;
    }
    return shift;
}

uint64_t
fmm_geometry_max_value(const struct fmm_geometry *geometry)
{
    uint64_t share = geometry->page_size / SPLIT_SHARE * geometry->num_pages;
    return fmm_max(share, geometry->max_part);
}

uint64_t
fmm_geometry_min_part(const struct fmm_geometry *geometry, uint64_t length)
{
    uint64_t share = geometry->max_entry / PART_SHARE;
    uint64_t least = fmm_max(share, length / PARTS_MAX);
    return fmm_align8(fmm_min(least, geometry->max_part));
}

bool
fmm_geometry_layout(uint64_t page_size, uint32_t num_pages, uint32_t buckets,
                    struct fmm_geometry *out)
{
    uint64_t most = page_size / 2 / (FMM_BUCKET_SLOTS * SLOT_SIZE);
    if (page_size < FMM_PAGE_SIZE_MIN || page_size > FMM_PAGE_SIZE_MAX ||
        (page_size & (page_size - 1)) != 0 || num_pages == 0 ||
        num_pages > FMM_PAGES_MAX || buckets == 0 || buckets > most) {
        return false;
    }
    struct fmm_geometry g = {.page_size = page_size, .num_pages = num_pages};
    g.buckets = buckets;
    g.hints_at = (uint64_t)buckets * FMM_BUCKET_SLOTS * sizeof(uint64_t);
    g.index_size = fmm_geometry_index_size(buckets);
    g.rings_size = page_size - g.index_size;
    g.ring_size[FMM_RING_S] =
        g.rings_size / 5 / FMM_RING_ALIGN * FMM_RING_ALIGN;
    g.ring_at[FMM_RING_M] = g.ring_size[FMM_RING_S];
    g.ring_size[FMM_RING_M] = g.rings_size - g.ring_size[FMM_RING_S];
    g.main_least =
        g.ring_size[FMM_RING_M] / 3 * 2 / FMM_RING_ALIGN * FMM_RING_ALIGN;
    g.max_part = g.main_least / 2 & ~(uint64_t)7u;
    g.max_entry =
        fmm_min(fmm_max(page_size / WHOLE_SHARE, WHOLE_LEAST), g.max_part);
    g.ring_shift[FMM_RING_S] = fmm_geometry_shift(g.ring_size[FMM_RING_S]);
    g.ring_shift[FMM_RING_M] = fmm_geometry_shift(g.ring_size[FMM_RING_M]);
    g.directory_at = FMM_HEADER_SIZE + (uint64_t)num_pages * FMM_CONTROL_SIZE;
    g.listings = (uint32_t)fmm_min(g.rings_size * num_pages / g.max_entry,
                                   LISTINGS_MAX) +
                 LISTINGS_MIN;
    g.bases_at = g.directory_at + sizeof(struct fmm_directory) +
                 g.listings * sizeof(struct fmm_listing);
    g.bases = (uint32_t)(page_size / FMM_BASE_SPAN);
    g.indexes_at = align_up(g.bases_at + (uint64_t)num_pages * g.bases *
                                             sizeof(fmm_word32),
                            FMM_HEADER_SIZE);
    g.rings_at = g.indexes_at + g.index_size * num_pages;
    g.clients_at = g.rings_at + g.rings_size * num_pages;
    g.file_size = g.clients_at + FMM_CLIENTS * sizeof(struct fmm_client_entry);
    *out = g;
    return true;
}

/* The nearest power of two, the lower one half-way. */
static uint64_t
nearest_power(uint64_t n)
{
    uint64_t below = 1;
    while (below <= n / 2) {
        below *= 2;
    }
    return n - below > 2 * below - n ? 2 * below : below;
}

static uint64_t
default_page_size(uint64_t cache_size)
{
    bool small = cache_size < 4 * PAGE_SIZE_LEAST;
    uint64_t page_size = small ? FMM_PAGE_SIZE_MIN : PAGE_SIZE_LEAST;
    uint64_t pages = small ? 4 : PAGES_USUAL;
    while (page_size * 2 * pages <= cache_size && page_size < PAGE_SIZE_MOST) {
        page_size *= 2;
    }
    return page_size;
}

uint64_t
fmm_geometry_buckets(uint64_t bytes, uint64_t stored)
{
    uint64_t span = SLOT_SIZE + GHOST_SIZE + stored * 4 / 5;
    return bytes / (span * FMM_BUCKET_SLOTS);
}

static uint32_t
default_buckets(uint64_t page_size, uint32_t entry_size)
{
    uint64_t expected = entry_size ? entry_size : ENTRY_SIZE_DEFAULT;
    uint64_t stored = fmm_align8(expected + FMM_ENTRY_HEADER);
    uint64_t buckets = fmm_geometry_buckets(page_size, stored);
    uint64_t most = page_size / 2 / (FMM_BUCKET_SLOTS * SLOT_SIZE);
    return (uint32_t)fmm_min(fmm_max(buckets, 2), most);
}

static enum fmm_status
check_name(const char *what, const char *name, struct fmm_error *error)
{
    if (name == NULL || strlen(name) < FMM_NAME_SIZE) {
        return FMM_OK;
    }
    return fmm_error_set(error, FMM_ERR_ARGUMENT, 0,
                         "the name of the %s is %zu bytes long; at most %u "
                         "are kept: \"%.32s...\"",
                         what, strlen(name), FMM_NAME_SIZE - 1, name);
}

static enum fmm_status
check_ranges(const struct fmm_options *o, struct fmm_error *error)
{
    if (o->cache_size && (o->cache_size < FMM_PAGE_SIZE_MIN ||
                          o->cache_size > CACHE_SIZE_MAX)) {
        return fmm_error_set(error, FMM_ERR_ARGUMENT, 0,
                             "cache_size is %" PRIu64 " bytes; it must be "
                             "from 4096 bytes to 1 PiB",
                             o->cache_size);
    }
    if (o->page_size && (o->page_size < FMM_PAGE_SIZE_MIN ||
                         o->page_size > FMM_PAGE_SIZE_MAX)) {
        return fmm_error_set(error, FMM_ERR_ARGUMENT, 0,
                             "page_size is %" PRIu64 " bytes; it must be "
                             "from 4096 bytes to 1 GiB",
                             o->page_size);
    }
    if (o->num_pages > FMM_PAGES_MAX) {
        return fmm_error_set(error, FMM_ERR_ARGUMENT, 0,
                             "num_pages is %" PRIu32 "; it must be from 1 "
                             "to %u",
                             o->num_pages, FMM_PAGES_MAX);
    }
    if (o->entry_size > ENTRY_SIZE_MAX) {
        return fmm_error_set(error, FMM_ERR_ARGUMENT, 0,
                             "entry_size is %" PRIu32 " bytes; it must be "
                             "at most 1 GiB",
                             o->entry_size);
    }
    enum fmm_status status = check_name("serializer", o->serializer, error);
    return status == FMM_OK ? check_name("compressor", o->compressor, error)
                            : status;
}

/* Page size and number of pages of options within their ranges. */
static void
choose_pages(const struct fmm_options *o, uint64_t *page_size,
             uint64_t *num_pages)
{
    uint64_t total = o->cache_size ? o->cache_size : CACHE_SIZE_DEFAULT;
    if (o->page_size) {
        *page_size = nearest_power(o->page_size);
    }
    else if (o->num_pages) {
        uint64_t each = total / o->num_pages;
        *page_size = nearest_power(
            fmm_min(fmm_max(each, FMM_PAGE_SIZE_MIN), FMM_PAGE_SIZE_MAX));
    }
    else {
        *page_size = default_page_size(total);
    }
    *num_pages = o->num_pages ? o->num_pages : fmm_max(total / *page_size, 1);
}

enum fmm_status
fmm_geometry_resolve(const struct fmm_options *options,
                     struct fmm_geometry *out, struct fmm_error *error)
{
    enum fmm_status status = check_ranges(options, error);
    uint64_t page_size, num_pages;
    if (status != FMM_OK) {
        return status;
    }
    choose_pages(options, &page_size, &num_pages);
    if (num_pages > FMM_PAGES_MAX) {
        return fmm_error_set(error, FMM_ERR_ARGUMENT, 0,
                             "%" PRIu64 " pages of %" PRIu64 " bytes are too "
                             "many (at most %u): give a larger page_size",
                             num_pages, page_size, FMM_PAGES_MAX);
    }
    uint64_t most = page_size / 2 / (FMM_BUCKET_SLOTS * SLOT_SIZE);
    uint32_t buckets = default_buckets(page_size, options->entry_size);
    if (options->slots) {
        uint64_t asked = (options->slots + UINT64_C(7)) / FMM_BUCKET_SLOTS;
        if (asked > most) {
            return fmm_error_set(
                error, FMM_ERR_ARGUMENT, 0,
                "start_slots is %" PRIu32 "; a page of %" PRIu64
                " bytes takes at most %" PRIu64,
                options->slots, page_size, most * FMM_BUCKET_SLOTS);
        }
        buckets = (uint32_t)asked;
    }
    bool fits =
        fmm_geometry_layout(page_size, (uint32_t)num_pages, buckets, out);
    assert(fits);
    (void)fits;
    return FMM_OK;
}

enum fmm_status
fmm_check_options(const struct fmm_options *options, struct fmm_error *error)
{
    struct fmm_geometry geometry;
    return fmm_geometry_resolve(options, &geometry, error);
}

static enum fmm_status
differs(struct fmm_error *error, const char *what, uint64_t file,
        uint64_t asked)
{
    return fmm_error_set(error, FMM_ERR_FORMAT, 0,
                         "the file has %s %" PRIu64 ", but %" PRIu64
                         " was asked for",
                         what, file, asked);
}

/* Page size and number that the options mean for this file: what was left
 * out is the file's, so that an option alone is compared alone. */
static void
choose_pages_like(const struct fmm_options *options,
                  const struct fmm_geometry *file, uint64_t *page_size,
                  uint64_t *num_pages)
{
    struct fmm_options filled = *options;
    if (!filled.page_size && !(filled.cache_size && filled.num_pages)) {
        filled.page_size = file->page_size;
    }
    if (!filled.num_pages && !filled.cache_size) {
        filled.num_pages = file->num_pages;
    }
    choose_pages(&filled, page_size, num_pages);
}

enum fmm_status
fmm_geometry_agree(const struct fmm_options *options,
                   const struct fmm_geometry *file, struct fmm_error *error)
{
    uint64_t page_size, num_pages;
    enum fmm_status status = check_ranges(options, error);
    if (status != FMM_OK) {
        return status;
    }
    choose_pages_like(options, file, &page_size, &num_pages);
    if (page_size != file->page_size) {
        return differs(error, "page_size", file->page_size, page_size);
    }
    if (num_pages != file->num_pages && options->num_pages) {
        return differs(error, "num_pages", file->num_pages, num_pages);
    }
    if (num_pages != file->num_pages) {
        return differs(error, "cache_size", page_size * file->num_pages,
                       options->cache_size);
    }
    uint64_t buckets = (options->slots + UINT64_C(7)) / FMM_BUCKET_SLOTS;
    if (options->slots && buckets != file->buckets) {
        return differs(error, "start_slots",
                       (uint64_t)file->buckets * FMM_BUCKET_SLOTS,
                       buckets * FMM_BUCKET_SLOTS);
    }
    return FMM_OK;
}
