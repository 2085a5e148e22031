#define _POSIX_C_SOURCE 200809L /* strdup */
#include "fmm_open.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fmm_create.h"
#include "fmm_lock.h"
#include "fmm_process.h"
#include "fmm_verify.h"
#include "fmm_writer_lock.h"

#define ATTEMPTS 1000          /* races lost against other openers */
#define OPENING_WAIT_MS 10000u /* for another opener of the same file */
#define WRITABLE_BY_OTHERS 022u

/* ------------------------------------------------------------- attaching */

static enum fmm_status
check_access(const struct fmm_opening *o)
{
    const struct fmm_file_stat *stat = &o->stat;
    if (!stat->regular) {
        return fmm_error_set(o->error, FMM_ERR_FORMAT, 0,
                             "not a regular file");
    }
    if (o->options->allow_shared) {
        return FMM_OK;
    }
    if (stat->foreign) {
        return fmm_error_set(o->error, FMM_ERR_OS, EACCES,
                             "the file belongs to another user, who could "
                             "make this process unpickle anything: use a "
                             "file of your own, or allow_shared=True with "
                             "raw, json or msgpack values");
    }
    if ((stat->mode & WRITABLE_BY_OTHERS) != 0) {
        return fmm_error_set(o->error, FMM_ERR_OS, EACCES,
                             "the file is writable by others (mode %04o), "
                             "who could make this process unpickle "
                             "anything: chmod go-w it, or allow_shared=True "
                             "with raw, json or msgpack values",
                             stat->mode);
    }
    return FMM_OK;
}

/* Whether the open file is still the one of that name. */
static bool
has_name(const struct fmm_opening *o)
{
    struct fmm_file_stat now;
    return fmm_platform_stat_path(o->options->path, &now) &&
           now.device == o->stat.device && now.inode == o->stat.inode;
}

/* Lock words are by process; they mean something only to processes of the
 * same boot and namespace. Alone with a file from elsewhere, clear them. */
static enum fmm_status
settle_identity(struct fmm_opening *o)
{
    struct fmm_identity here;
    if (!fmm_platform_identity(&here)) {
        return fmm_error_os(o->error, "cannot tell which host this is");
    }
    here.device = o->stat.device;
    here.inode = o->stat.inode;
    if (memcmp(&here, &o->cache->header->identity, sizeof(here)) == 0) {
        return FMM_OK;
    }
    if (!fmm_platform_lock_byte(o->fd, FMM_BYTE_PRESENCE, FMM_EXCLUSIVE)) {
        if (errno != EAGAIN && errno != EACCES) {
            return fmm_error_os(o->error, "cannot lock the file");
        }
        return fmm_error_set(o->error, FMM_ERR_FORMAT, 0,
                             "the file is in use from another container or "
                             "host, whose processes cannot be seen from "
                             "here: give each its own file");
    }
    if (o->options->inspect &&
        !fmm_platform_map_privately(o->cache->base, o->fd,
                                    o->cache->geometry.file_size)) {
        return fmm_error_os(o->error, "cannot map the file");
    }
    fmm_writer_lock_reset(o->cache->header);
    for (uint32_t n = 0; n < o->cache->geometry.num_pages; n++) {
        struct fmm_page page;
        struct fmm_page_report report;
        fmm_page_view(o->cache->base, &o->cache->geometry, n, &page);
        atomic_store_explicit(&page.control->lock, 0, memory_order_relaxed);
        if (!o->options->inspect && fmm_verify_repair(&page, &report)) {
            o->cache->repaired++;
        }
    }
    atomic_thread_fence(memory_order_release);
    o->cache->header->identity = here;
    return FMM_OK;
}

/* Read the header; a file that is empty or to be emptied is replaced. */
static enum fmm_status
read_header(struct fmm_opening *o)
{
    if (o->stat.size == 0 && !o->options->inspect) {
        return fmm_create_replacement(o);
    }
    memset(&o->header, 0, sizeof(o->header));
    bool whole = fmm_platform_read(o->fd, &o->header, sizeof(o->header));
    if (!whole && errno != 0) {
        return fmm_error_os(o->error, "cannot read the file");
    }
    if (o->options->init_file && fmm_header_is_ours(&o->header)) {
        return fmm_create_replacement(o);
    }
    if (fmm_header_is_ours(&o->header) && !whole) {
        return fmm_error_set(o->error, FMM_ERR_FORMAT, 0,
                             "the file is truncated: its size is %" PRIu64
                             " bytes, less than its header: remove it, or "
                             "replace it with init_file=True",
                             o->stat.size);
    }
    enum fmm_status status = fmm_header_check(&o->header, o->stat.size,
                                              &o->cache->geometry, o->error);
    if (status != FMM_OK) {
        return status;
    }
    return fmm_header_agree(&o->header, &o->cache->geometry, o->options,
                            o->error);
}

static void
release_own_lock(const struct fmm_cache *cache, fmm_word64 *lock,
                 uint64_t owner)
{
    if (fmm_lock_is_of(lock, owner) &&
        fmm_platform_maps(owner, cache->base) == 1) {
        fmm_lock_release(lock, owner);
    }
}

/* A process that replaced itself by exec() while it held a page finds the
 * page held by itself. Where it maps the file for the first time, nobody in
 * it can hold any; and while the opening byte is locked nobody maps it. */
static void
release_own(const struct fmm_cache *cache)
{
    uint64_t owner = fmm_platform_owner();
    for (uint32_t n = 0; n < cache->geometry.num_pages; n++) {
        struct fmm_page page;
        fmm_page_view(cache->base, &cache->geometry, n, &page);
        release_own_lock(cache, &page.control->lock, owner);
    }
    for (uint32_t n = 0; n < FMM_WRITERS; n++) {
        release_own_lock(cache, &cache->header->writers[n].word, owner);
    }
}

/* With the opening byte locked. FMM_RETIRED: the name moved on. */
static enum fmm_status
attach_locked(struct fmm_opening *o)
{
    if (!has_name(o)) {
        return FMM_RETIRED;
    }
    enum fmm_status status = read_header(o);
    if (status != FMM_OK) {
        return status;
    }
    if (o->fresh) {
        return FMM_OK;
    }
    status = fmm_create_map(o, o->fd);
    if (status != FMM_OK) {
        return status;
    }
    status = settle_identity(o);
    if (status == FMM_OK &&
        !fmm_platform_lock_byte(o->fd, FMM_BYTE_PRESENCE, FMM_SHARED)) {
        status = fmm_error_os(o->error, "cannot lock the file");
    }
    if (status == FMM_OK) {
        /* It has the name: a mark from before a rename means nothing. */
        atomic_store_explicit(&o->cache->header->retired, 0,
                              memory_order_relaxed);
        release_own(o->cache);
    }
    return status;
}

/* Attach to the file that is open. FMM_RETIRED: try again. */
static enum fmm_status
attach(struct fmm_opening *o)
{
    if (!fmm_platform_stat(o->fd, &o->stat)) {
        return fmm_error_os(o->error, "cannot stat the file");
    }
    enum fmm_status status = check_access(o);
    if (status == FMM_OK) {
        status = fmm_create_refuse_remote(o, o->fd);
    }
    if (status != FMM_OK) {
        return status;
    }
    if (!fmm_platform_lock_byte_wait(o->fd, FMM_BYTE_OPENING, FMM_EXCLUSIVE,
                                     OPENING_WAIT_MS)) {
        return fmm_error_os(o->error,
                            "another process is opening the file and "
                            "does not finish");
    }
    /* While we waited it may have been written. */
    if (!fmm_platform_stat(o->fd, &o->stat)) {
        return fmm_error_os(o->error, "cannot stat the file");
    }
    status = attach_locked(o);
    fmm_platform_lock_byte(o->fd, FMM_BYTE_OPENING, FMM_UNLOCKED);
    return status;
}

/* --------------------------------------------------------------- opening */

/* One attempt. FMM_EXISTS, FMM_RETIRED: lost a race, try again. */
static enum fmm_status
open_once(struct fmm_opening *o)
{
    o->fd = fmm_platform_open(o->options->path);
    if (o->fd >= 0) {
        return attach(o);
    }
    if (errno != ENOENT || o->options->must_exist || o->options->inspect) {
        return fmm_error_os(o->error, "cannot open the file");
    }
    return fmm_create_new(o);
}

static void
copy_header(struct fmm_cache *cache, const struct fmm_header *header)
{
    cache->seed[0] = header->seed[0];
    cache->seed[1] = header->seed[1];
    cache->created_ms = header->created_ms;
    memcpy(cache->serializer, header->serializer, FMM_NAME_SIZE);
    memcpy(cache->compressor, header->compressor, FMM_NAME_SIZE);
}

static void
finish(struct fmm_opening *o)
{
    static fmm_word64 opened;
    struct fmm_cache *cache = o->cache;
    cache->serial = atomic_fetch_add(&opened, 1) + 1;
    cache->fd = o->fd;
    cache->device = o->stat.device;
    cache->inode = o->stat.inode;
    cache->owner = fmm_platform_owner();
    cache->owner_forks = fmm_forks();
    copy_header(cache, &o->header);
    cache->path = o->path;
}

/* Undo an attempt: what it mapped and opened. */
static void
undo(struct fmm_opening *o)
{
    if (o->cache->guarded) {
        fmm_platform_unguard(o->cache->base);
    }
    if (o->cache->base != NULL) {
        fmm_platform_unmap(o->cache->base, o->cache->geometry.file_size);
    }
    fmm_platform_close(o->fd);
    *o->cache = (struct fmm_cache){.fd = -1};
    o->fd = -1;
    o->fresh = false;
}

enum fmm_status
fmm_open_file(const struct fmm_options *options, struct fmm_cache **cache_out,
              struct fmm_error *error)
{
    struct fmm_cache *cache = calloc(1, sizeof(*cache));
    struct fmm_opening o = {
        .options = options, .error = error, .cache = cache, .fd = -1};
    enum fmm_status status = FMM_RETIRED;
    o.path = cache != NULL ? strdup(options->path) : NULL;
    if (o.path == NULL) {
        free(cache);
        return fmm_error_set(error, FMM_ERR_MEMORY, 0, "out of memory");
    }
    for (int i = 0; i < ATTEMPTS; i++) {
        status = open_once(&o);
        if (status != FMM_RETIRED && status != FMM_EXISTS) {
            break;
        }
        undo(&o);
    }
    if (status == FMM_OK) {
        finish(&o);
        *cache_out = cache;
        return FMM_OK;
    }
    undo(&o);
    free(o.path);
    free(cache);
    if (status > 0) {
        return fmm_error_set(error, FMM_ERR_OS, EBUSY,
                             "the file is replaced again and again");
    }
    return status;
}
