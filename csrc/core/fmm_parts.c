#include "fmm_parts.h"

#include "fmm_entry.h"
#include "fmm_hash.h"

#define PART_TRIES 64 /* of one part, each after 16 overruns */

bool
fmm_parts_sound(const struct fmm_geometry *geometry,
                const struct fmm_parts *parts)
{
    return parts->length != 0 && parts->count != 0 &&
           parts->count <= parts->length &&
           parts->length <= fmm_geometry_max_value(geometry);
}

void
fmm_parts_key(const struct fmm_cache *cache, const struct fmm_parts *parts,
              uint32_t number, uint64_t page, struct fmm_part_key *out)
{
    memcpy(out->name, parts->id, sizeof(parts->id));
    memcpy(out->name + FMM_PART_NUMBER, &number, sizeof(number));
    memcpy(out->name + FMM_PART_LISTING, &parts->listing,
           sizeof(parts->listing));
    out->number = number;
    out->key = (struct fmm_key){
        .data = out->name,
        .len = FMM_PART_NAME,
        .hash = fmm_hash(cache->seed, out->name, FMM_PART_NAME),
        .page = (uint32_t)(page % cache->geometry.num_pages),
        .kind = FMM_KEY_INTERNAL,
    };
}

void
fmm_parts_first(const struct fmm_cache *cache, const struct fmm_parts *parts,
                struct fmm_part_key *out)
{
    fmm_parts_key(cache, parts, parts->count - 1, parts->page, out);
}

bool
fmm_parts_next(const struct fmm_cache *cache, const struct fmm_parts *parts,
               uint64_t link, struct fmm_part_key *part)
{
    if (part->number == 0) {
        return false;
    }
    fmm_parts_key(cache, parts, part->number - 1, link, part);
    return true;
}

/* Copy a part to `to`, or only describe it. */
static enum fmm_status
read_part(const struct fmm_cache *cache, const struct fmm_call *call,
          const struct fmm_key *key, unsigned char *to, uint64_t capacity,
          struct fmm_meta *meta)
{
    const struct fmm_read read = {.call = call,
                                  .key = key,
                                  .buffer = to,
                                  .capacity = capacity,
                                  .meta = meta};
    enum fmm_status status = FMM_BUSY;
    for (int i = 0; i < PART_TRIES && status == FMM_BUSY; i++) {
        status = fmm_read_entry(cache, &read);
    }
    bool fits = status != FMM_OK || meta->value_len <= capacity;
    return status == FMM_TOO_SMALL || !fits ? FMM_MISS : status;
}

enum fmm_status
fmm_parts_read(const struct fmm_cache *cache, const struct fmm_call *call,
               const struct fmm_parts *parts, void *buffer)
{
    const struct fmm_call plain = {.now_ms = call->now_ms};
    struct fmm_part_key part;
    struct fmm_meta meta;
    unsigned char *to = buffer;
    uint64_t left = parts->length;
    fmm_parts_first(cache, parts, &part);
    do {
        enum fmm_status status =
            read_part(cache, &plain, &part.key, to, left, &meta);
        if (status != FMM_OK) {
            return status;
        }
        to += to != NULL ? meta.value_len : 0;
        left -= meta.value_len;
    } while (fmm_parts_next(cache, parts, meta.modseq, &part));
    return left == 0 ? FMM_OK : FMM_MISS;
}
