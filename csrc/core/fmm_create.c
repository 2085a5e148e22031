#include "fmm_create.h"

#include <errno.h>
#include <inttypes.h>

#include "fmm_page.h"
#include "fmm_process.h"
#include "fmm_writer_lock.h"

static enum fmm_status
no_space(const struct fmm_opening *o, const struct fmm_geometry *geometry)
{
    int saved = errno;
    if (saved == EFBIG) {
        return fmm_error_set(o->error, FMM_ERR_OS, saved,
                             "cannot reserve %" PRIu64 " bytes for the cache, "
                             "files may not be that large here: make it "
                             "smaller, or raise the limit (ulimit -f)",
                             geometry->file_size);
    }
    return fmm_error_set(
        o->error, FMM_ERR_OS, saved,
        "cannot reserve %" PRIu64 " bytes for the cache, %" PRIu64
        " are free there: make it smaller, or open it with reserve=False",
        geometry->file_size, fmm_platform_free_space(o->options->path));
}

static enum fmm_status
create_failed(const struct fmm_opening *o, const struct fmm_geometry *geometry)
{
    if (errno == EAGAIN) { /* a sweep holds the temporary file: again */
        return FMM_EXISTS;
    }
    if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT) {
        return no_space(o, geometry);
    }
    return fmm_error_os(o->error, "cannot create the file");
}

/* Write the header of a new file, with its identity. */
static bool
fill_new(struct fmm_opening *o, int fd, const struct fmm_geometry *geometry)
{
    if (!fmm_header_make(o->options, geometry, fmm_now_ms(), &o->header) ||
        !fmm_platform_stat(fd, &o->stat) ||
        !fmm_platform_identity(&o->header.identity)) {
        return false;
    }
    o->header.identity.device = o->stat.device;
    o->header.identity.inode = o->stat.inode;
    return fmm_platform_write(fd, &o->header, sizeof(o->header));
}

enum fmm_status
fmm_create_refuse_remote(const struct fmm_opening *o, int fd)
{
    if (o->options->allow_network_fs || !fmm_platform_is_remote(fd)) {
        return FMM_OK;
    }
    return fmm_error_set(o->error, FMM_ERR_OS, EOPNOTSUPP,
                         "the file is on a network or FUSE file system, "
                         "where processes do not share one memory: choose "
                         "a local path, or allow_network_fs=True at your "
                         "own risk");
}

enum fmm_status
fmm_create_map(struct fmm_opening *o, int fd)
{
    struct fmm_cache *cache = o->cache;
    void *base = fmm_platform_map(fd, cache->geometry.file_size);
    if (base == NULL) {
        return fmm_error_os(o->error, "cannot map the file");
    }
    cache->base = base;
    cache->header = base;
    if (o->options->sigbus_guard) {
        cache->guarded = fmm_platform_guard(base, cache->geometry.file_size);
        if (!cache->guarded) {
            return fmm_error_os(o->error, "too many guarded files");
        }
    }
    return FMM_OK;
}

/* The user's store may have whatever the old file held. */
static void
note_departures(const struct fmm_cache *cache)
{
    for (uint32_t n = 0; n < cache->geometry.num_pages; n++) {
        struct fmm_page page;
        fmm_page_view(cache->base, &cache->geometry, n, &page);
        page.control->departed = 1;
    }
}

/* Fill a new file, map it and give it its name, in this order: with the
 * name there is nothing left that could fail. FMM_EXISTS: the name or the
 * temporary name was taken from us. */
static enum fmm_status
complete(struct fmm_opening *o, int fd, char *name, bool replace)
{
    enum fmm_status status = fmm_create_refuse_remote(o, fd);
    if (status != FMM_OK) {
        return status;
    }
    if (!fill_new(o, fd, &o->cache->geometry)) {
        return fmm_error_os(o->error, "cannot write the file");
    }
    status = fmm_create_map(o, fd);
    if (status != FMM_OK) {
        return status;
    }
    if (replace) {
        note_departures(o->cache);
    }
    if (fmm_platform_publish(fd, name, o->options->path, replace)) {
        return FMM_OK;
    }
    /* ENOENT: a sweep took the temporary name before it was locked. */
    return errno == EEXIST || errno == ENOENT
               ? FMM_EXISTS
               : fmm_error_os(o->error, "cannot name the file");
}

static enum fmm_status
create(struct fmm_opening *o, bool replace)
{
    const struct fmm_options *options = o->options;
    struct fmm_geometry *geometry = &o->cache->geometry;
    char name[FMM_PATH_SIZE];
    enum fmm_status status = fmm_geometry_resolve(options, geometry, o->error);
    if (status != FMM_OK) {
        return status;
    }
    fmm_platform_sweep(options->path);
    int fd = fmm_platform_create(options->path,
                                 options->mode ? options->mode : 0600,
                                 geometry->file_size, options->sparse, name);
    if (fd < 0) {
        return create_failed(o, geometry);
    }
    status = complete(o, fd, name, replace);
    if (status != FMM_OK) {
        fmm_platform_discard(fd, name);
        return status;
    }
    o->fd = fd;
    o->fresh = true;
    o->cache->created = !replace;
    return FMM_OK;
}

/* Tell those who have the old file open that it was replaced. The new one
 * has the name by now: whoever is killed in between leaves a file without
 * a name, which its users notice within a second. */
static void
retire(int fd, const struct fmm_file_stat *stat)
{
    struct fmm_header *old =
        stat->size >= sizeof(*old) ? fmm_platform_map(fd, sizeof(*old)) : NULL;
    if (old != NULL) {
        /* Pairs with the acquire in fmm_file_retired(). */
        atomic_store_explicit(&old->retired, 1, memory_order_release);
        fmm_writer_lock_drain(old, fmm_platform_owner());
        fmm_platform_unmap(old, sizeof(*old));
    }
}

enum fmm_status
fmm_create_new(struct fmm_opening *o)
{
    return create(o, false);
}

enum fmm_status
fmm_create_replacement(struct fmm_opening *o)
{
    int old = o->fd;
    struct fmm_file_stat stat = o->stat;
    enum fmm_status status = create(o, true);
    if (status == FMM_OK) {
        retire(old, &stat);
        fmm_platform_close(old);
    }
    return status;
}
