#include "fmm_parts.h"

#include "fmm_entry.h"
#include "fmm_hash.h"

#define TRIES 64     /* of one part, each after 16 overruns */
#define TURNS_MAX 3u /* from the page that a part is due on */

/* Bytes of value in all parts but the last. */
static uint64_t
part_length(const struct fmm_geometry *geometry)
{
    return fmm_geometry_part(geometry) -
           fmm_align8(FMM_ENTRY_HEADER + FMM_PART_NAME);
}

bool
fmm_parts_sound(const struct fmm_geometry *geometry,
                const struct fmm_parts *parts)
{
    return parts->length != 0 &&
           parts->length <= fmm_geometry_max_value(geometry);
}

uint32_t
fmm_parts_count(const struct fmm_geometry *geometry, uint64_t length)
{
    uint64_t each = part_length(geometry);
    return (uint32_t)((length + each - 1) / each);
}

uint64_t
fmm_parts_span(const struct fmm_geometry *geometry,
               const struct fmm_parts *parts, uint32_t number,
               uint64_t *length_out)
{
    uint64_t each = part_length(geometry);
    *length_out = fmm_min(each, parts->length - each * number);
    return each * number;
}

void
fmm_parts_key(const struct fmm_cache *cache, const struct fmm_parts *parts,
              uint32_t number, struct fmm_part_key *out)
{
    memcpy(out->name, parts->id, sizeof(parts->id));
    memcpy(out->name + sizeof(parts->id), &number, sizeof(number));
    out->turns = 0;
    out->key = (struct fmm_key){
        .data = out->name,
        .len = FMM_PART_NAME,
        .hash = fmm_hash(cache->seed, out->name, FMM_PART_NAME),
        .page = (uint32_t)(((uint64_t)parts->page + number) %
                           cache->geometry.num_pages),
        .kind = FMM_KEY_INTERNAL,
    };
}

bool
fmm_parts_next_page(const struct fmm_cache *cache, struct fmm_part_key *part)
{
    uint32_t pages = cache->geometry.num_pages;
    if (part->turns == TURNS_MAX || part->turns + 1 == pages) {
        return false;
    }
    part->turns++;
    part->key.page = (part->key.page + 1) % pages;
    return true;
}

static enum fmm_status
read_page(const struct fmm_cache *cache, const struct fmm_call *call,
          const struct fmm_key *key, unsigned char *to, uint64_t length)
{
    struct fmm_meta meta;
    const struct fmm_read read = {.call = call,
                                  .key = key,
                                  .buffer = to,
                                  .capacity = length,
                                  .meta = &meta};
    enum fmm_status status = FMM_BUSY;
    for (int i = 0; i < TRIES && status == FMM_BUSY; i++) {
        status = fmm_read_entry(cache, &read);
    }
    bool whole = status == FMM_OK && meta.value_len == length;
    return whole || status == FMM_BUSY ? status : FMM_MISS;
}

static enum fmm_status
read_part(const struct fmm_cache *cache, const struct fmm_call *call,
          struct fmm_part_key *part, unsigned char *to, uint64_t length)
{
    enum fmm_status status;
    do {
        status = read_page(cache, call, &part->key, to, length);
    } while (status == FMM_MISS && fmm_parts_next_page(cache, part));
    return status;
}

enum fmm_status
fmm_parts_find(const struct fmm_cache *cache, const struct fmm_call *call,
               struct fmm_part_key *part)
{
    struct fmm_meta meta;
    const struct fmm_read read = {
        .call = call, .key = &part->key, .meta = &meta};
    enum fmm_status status;
    do {
        status = fmm_read_entry(cache, &read);
    } while (status == FMM_MISS && fmm_parts_next_page(cache, part));
    return status;
}

enum fmm_status
fmm_parts_read(const struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_parts *parts, void *buffer)
{
    uint32_t count = fmm_parts_count(&cache->geometry, parts->length);
    struct fmm_part_key part;
    enum fmm_status status = FMM_OK;
    for (uint32_t i = 0; i < count && status == FMM_OK; i++) {
        uint64_t length;
        uint64_t from = fmm_parts_span(&cache->geometry, parts, i, &length);
        fmm_parts_key(cache, parts, i, &part);
        status = read_part(cache, call, &part, (unsigned char *)buffer + from,
                           length);
    }
    return status;
}
