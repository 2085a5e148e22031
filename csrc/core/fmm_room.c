#include "fmm_room.h"

#include "fmm_directory.h"
#include "fmm_insert.h"

#define PAGES_MAX 64u    /* that are looked at */
#define HOLES_SHARE 64u  /* of all rings */
#define CLEANED_SHARE 8u /* of what is small */

uint64_t
fmm_room_of_page(const struct fmm_cache *cache, uint32_t number)
{
    struct fmm_page page;
    fmm_page_glance(cache->base, &cache->geometry, number, &page);
    return fmm_insert_room(&page, FMM_RING_S) +
           fmm_insert_room(&page, FMM_RING_M);
}

void
fmm_room_look(const struct fmm_cache *cache, struct fmm_room *out)
{
    const struct fmm_geometry *g = &cache->geometry;
    uint64_t pages = fmm_min(g->num_pages, PAGES_MAX);
    uint64_t live = 0, room = 0, entries = 0, least = UINT64_MAX;
    for (uint64_t i = 0; i < pages; i++) {
        uint32_t n = (uint32_t)(i * g->num_pages / pages);
        const struct fmm_control *c = fmm_page_control(cache->base, n);
        uint64_t all = fmm_count_load(&c->entries);
        live += fmm_count_load(&c->live[FMM_RING_S]) +
                fmm_count_load(&c->live[FMM_RING_M]);
        entries += all - fmm_min(fmm_count_load(&c->internal), all);
        uint64_t here = fmm_room_of_page(cache, n);
        room += here;
        least = fmm_min(least, here);
    }
    out->all = g->rings_size * g->num_pages;
    out->live = fmm_min(live / pages * g->num_pages, out->all);
    out->free = fmm_min(room / pages * g->num_pages, out->all);
    out->fullest = fmm_min(least * g->num_pages, out->all);
    out->large = fmm_min(fmm_directory_bytes(fmm_directory_of(cache->base, g)),
                         out->live);
    out->average = live / fmm_max(entries, 1);
}

uint64_t
fmm_room_lack(const struct fmm_room *room, uint64_t length)
{
    uint64_t small = room->live - room->large;
    uint64_t wanted = length + room->all / HOLES_SHARE + small / CLEANED_SHARE;
    return wanted - fmm_min(room->free, wanted);
}
