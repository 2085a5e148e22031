#include "fmm_file.h"

#include <errno.h>
#include <stdlib.h>

#include "fmm_header.h"
#include "fmm_map.h"
#include "fmm_platform.h"
#include "fmm_process.h"

#define SWEEP_WAIT_MS 100u /* for one who opens it, or sweeps too */

void
fmm_file_view(struct fmm_client *client, unsigned char *base,
              const struct fmm_geometry *geometry)
{
    client->base = base;
    client->size = geometry->file_size;
    client->header = (struct fmm_header *)(void *)base;
    client->table =
        (struct fmm_client_entry *)(void *)(base + geometry->clients_at);
}

void
fmm_close(struct fmm_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    if (cache->trapped) {
        fmm_map_untrap(cache->base);
    }
    fmm_client_leave(&cache->client);
    free(cache->client.path);
    free(cache);
}

void
fmm_info(const struct fmm_cache *cache, struct fmm_info *info_out)
{
    const struct fmm_geometry *g = &cache->geometry;
    *info_out = (struct fmm_info){
        .file_size = g->file_size,
        .page_size = g->page_size,
        .num_pages = g->num_pages,
        .slots = g->buckets * FMM_BUCKET_SLOTS,
        .version = FMM_VERSION,
        .created_ms = cache->created_ms,
        .max_entry = g->max_entry,
        .max_value = fmm_geometry_max_value(g),
        .device = cache->client.device,
        .inode = cache->client.inode,
        .created = cache->created,
        .repaired = cache->repaired,
        .dropped = cache->dropped,
    };
    memcpy(info_out->serializer, cache->serializer, FMM_NAME_SIZE);
    memcpy(info_out->compressor, cache->compressor, FMM_NAME_SIZE);
}

uint64_t
fmm_serial(const struct fmm_cache *cache)
{
    return cache->serial;
}

bool
fmm_replaced(const struct fmm_cache *cache)
{
    struct fmm_file_stat now;
    if (fmm_file_retired(cache)) {
        return true;
    }
    return fmm_platform_stat_path(cache->client.path, &now) && now.regular &&
           (now.device != cache->client.device ||
            now.inode != cache->client.inode);
}

bool
fmm_usurped(const struct fmm_cache *cache)
{
    struct fmm_file_stat now;
    return fmm_platform_stat_path(cache->client.path, &now) && now.foreign;
}

void
fmm_keep(struct fmm_cache *cache)
{
    if (!cache->client.read_only) {
        atomic_store_explicit(&cache->header->retired, 0,
                              memory_order_release);
    }
}

bool
fmm_nameless(const struct fmm_cache *cache)
{
    struct fmm_file_stat now;
    return !fmm_platform_stat_path(cache->client.path, &now) &&
           errno == ENOENT;
}

bool
fmm_lost(const struct fmm_cache *cache)
{
    return cache->client.lost;
}

bool
fmm_damaged(const struct fmm_cache *cache)
{
    return cache->trapped && fmm_map_damaged(cache->base);
}

enum fmm_status
fmm_unlink(const struct fmm_cache *cache, struct fmm_error *error)
{
    struct fmm_file_stat now;
    if (!fmm_platform_stat_path(cache->client.path, &now) ||
        now.device != cache->client.device ||
        now.inode != cache->client.inode) {
        return FMM_MISS;
    }
    if (fmm_platform_unlink(cache->client.path)) {
        return FMM_OK;
    }
    /* Another process was quicker: what was wanted is done. */
    return errno == ENOENT ? FMM_MISS
                           : fmm_error_os(error, "cannot remove the file");
}

/* With the opening byte locked nobody is about to attach, and of two that
 * sweep neither takes the other for a user. */
bool
fmm_sweep(const char *path)
{
    struct fmm_header header;
    int fd = fmm_platform_open(path);
    bool unused = fd >= 0 && fmm_platform_read(fd, &header, sizeof(header)) &&
                  fmm_header_is_ours(&header) &&
                  fmm_platform_lock_byte_wait(fd, FMM_BYTE_OPENING,
                                              FMM_EXCLUSIVE, SWEEP_WAIT_MS) &&
                  fmm_platform_lock_byte(fd, FMM_BYTE_PRESENCE, FMM_EXCLUSIVE);
    bool removed = unused && fmm_platform_unlink(path);
    if (fd >= 0) { /* a child that was forked meanwhile has it open, too */
        fmm_platform_lock_byte(fd, FMM_BYTE_PRESENCE, FMM_UNLOCKED);
        fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_UNLOCKED);
    }
    fmm_platform_close(fd);
    return removed;
}
