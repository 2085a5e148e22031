#include "fmm_file.h"

#include <errno.h>
#include <stdlib.h>

#include "fmm_header.h"
#include "fmm_platform.h"
#include "fmm_process.h"

#define SWEEP_WAIT_MS 100u /* for one who opens it, or sweeps too */

/* A program that closes descriptors it does not know may have closed ours
 * and been given the number anew: leave alone what is another file. */
static void
close_own(const struct fmm_cache *cache)
{
    struct fmm_file_stat stat;
    if (fmm_platform_stat(cache->fd, &stat) && stat.device == cache->device &&
        stat.inode == cache->inode) {
        fmm_platform_close(cache->fd);
    }
}

void
fmm_close(struct fmm_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    if (cache->guarded) {
        fmm_platform_unguard(cache->base);
    }
    fmm_platform_unmap(cache->base, cache->geometry.file_size);
    close_own(cache);
    free(cache->path);
    free(cache);
}

uint64_t
fmm_file_owner(struct fmm_cache *cache)
{
    uint64_t now = fmm_forks();
    /* Release and acquire: the owner that is read is not older. */
    if (FMM_UNLIKELY(atomic_load_explicit(&cache->owner_forks,
                                          memory_order_acquire) != now)) {
        atomic_store_explicit(&cache->owner, fmm_platform_owner(),
                              memory_order_relaxed);
        atomic_store_explicit(&cache->owner_forks, now, memory_order_release);
    }
    return atomic_load_explicit(&cache->owner, memory_order_relaxed);
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
        .max_entry = fmm_geometry_max_entry(g),
        .max_value = fmm_geometry_max_value(g),
        .device = cache->device,
        .inode = cache->inode,
        .created = cache->created,
        .repaired = cache->repaired,
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
    return fmm_platform_stat_path(cache->path, &now) && now.regular &&
           (now.device != cache->device || now.inode != cache->inode);
}

bool
fmm_nameless(const struct fmm_cache *cache)
{
    struct fmm_file_stat now;
    return !fmm_platform_stat_path(cache->path, &now) && errno == ENOENT;
}

bool
fmm_damaged(const struct fmm_cache *cache)
{
    return cache->guarded && fmm_platform_damaged(cache->base);
}

enum fmm_status
fmm_unlink(const struct fmm_cache *cache, struct fmm_error *error)
{
    struct fmm_file_stat now;
    if (!fmm_platform_stat_path(cache->path, &now) ||
        now.device != cache->device || now.inode != cache->inode) {
        return FMM_MISS;
    }
    if (fmm_platform_unlink(cache->path)) {
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
    fmm_platform_close(fd);
    return removed;
}
