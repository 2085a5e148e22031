#define _POSIX_C_SOURCE 200809L /* strdup */
#include "fmm_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fmm_header.h"
#include "fmm_lock.h"
#include "fmm_mutant.h"
#include "fmm_platform.h"
#include "fmm_verify.h"
#include "fmm_writer_lock.h"

#define ATTEMPTS 1000          /* races lost against other openers */
#define OPENING_WAIT_MS 10000u /* for another opener of the same file */
#define SWEEP_WAIT_MS 100u     /* for one who opens it, or sweeps too */
#define WRITABLE_BY_OTHERS 022u

/* An open in progress. */
struct opening {
    const struct fmm_options *options;
    struct fmm_error *error;
    struct fmm_cache *cache;
    char *path;               /* a copy, for the cache */
    struct fmm_header header; /* a private copy */
    struct fmm_file_stat stat;
    int fd;
    bool fresh; /* made by us: nothing in it is to be settled */
};

static enum fmm_status
os_error(struct fmm_error *error, const char *what)
{
    int saved = errno;
    return fmm_error_set(error, FMM_ERR_OS, saved, "%s: %s", what,
                         strerror(saved));
}

/* ------------------------------------------------------------- creation */

static enum fmm_status
no_space(const struct opening *o, const struct fmm_geometry *geometry)
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
create_failed(const struct opening *o, const struct fmm_geometry *geometry)
{
    if (errno == EAGAIN) { /* a sweep holds the temporary file: again */
        return FMM_EXISTS;
    }
    if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT) {
        return no_space(o, geometry);
    }
    return os_error(o->error, "cannot create the file");
}

/* Write the header of a new file, with its identity. */
static bool
fill_new(struct opening *o, int fd, const struct fmm_geometry *geometry)
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

static enum fmm_status
refuse_remote(const struct opening *o, int fd)
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

static enum fmm_status
map_file(struct opening *o, int fd)
{
    struct fmm_cache *cache = o->cache;
    void *base = fmm_platform_map(fd, cache->geometry.file_size);
    if (base == NULL) {
        return os_error(o->error, "cannot map the file");
    }
    cache->base = base;
    cache->header = base;
    if (o->options->sigbus_guard) {
        cache->guarded = fmm_platform_guard(base, cache->geometry.file_size);
        if (!cache->guarded) {
            return os_error(o->error, "too many guarded files");
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
complete(struct opening *o, int fd, char *name, bool replace)
{
    enum fmm_status status = refuse_remote(o, fd);
    if (status != FMM_OK) {
        return status;
    }
    FMM_MUTATE(name_before_content,
               fmm_platform_publish(fd, name, o->options->path, replace));
    if (!fill_new(o, fd, &o->cache->geometry)) {
        return os_error(o->error, "cannot write the file");
    }
    status = map_file(o, fd);
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
               : os_error(o->error, "cannot name the file");
}

/* Make a file. FMM_EXISTS: another process was first. */
static enum fmm_status
create(struct opening *o, bool replace)
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

/* Put an empty file in the place of the one that is open and locked. */
static enum fmm_status
replace(struct opening *o)
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

/* ------------------------------------------------------------- attaching */

static enum fmm_status
check_access(const struct opening *o)
{
    const struct fmm_file_stat *stat = &o->stat;
    if (!FMM_BOUND(regular_file, stat->regular)) {
        return fmm_error_set(o->error, FMM_ERR_FORMAT, 0,
                             "not a regular file");
    }
    if (o->options->allow_shared) {
        return FMM_OK;
    }
    if (!FMM_BOUND(own_file, !stat->foreign)) {
        return fmm_error_set(o->error, FMM_ERR_OS, EACCES,
                             "the file belongs to another user, who could "
                             "make this process unpickle anything: use a "
                             "file of your own, or allow_shared=True with "
                             "raw, json or msgpack values");
    }
    if (!FMM_BOUND(own_writes, (stat->mode & WRITABLE_BY_OTHERS) == 0)) {
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
has_name(const struct opening *o)
{
    struct fmm_file_stat now;
    return fmm_platform_stat_path(o->options->path, &now) &&
           now.device == o->stat.device && now.inode == o->stat.inode;
}

/* Lock words are by process; they mean something only to processes of the
 * same boot and namespace. Alone with a file from elsewhere, clear them. */
static enum fmm_status
settle_identity(struct opening *o)
{
    struct fmm_identity here;
    if (!fmm_platform_identity(&here)) {
        return os_error(o->error, "cannot tell which host this is");
    }
    here.device = o->stat.device;
    here.inode = o->stat.inode;
    if (memcmp(&here, &o->cache->header->identity, sizeof(here)) == 0) {
        return FMM_OK;
    }
    if (!fmm_platform_lock_byte(o->fd, FMM_BYTE_PRESENCE, FMM_EXCLUSIVE)) {
        if (errno != EAGAIN && errno != EACCES) {
            return os_error(o->error, "cannot lock the file");
        }
        return fmm_error_set(o->error, FMM_ERR_FORMAT, 0,
                             "the file is in use from another container or "
                             "host, whose processes cannot be seen from "
                             "here: give each its own file");
    }
    if (o->options->inspect &&
        !fmm_platform_map_privately(o->cache->base, o->fd,
                                    o->cache->geometry.file_size)) {
        return os_error(o->error, "cannot map the file");
    }
    FMM_MUTATE(identity_before_locks, o->cache->header->identity = here);
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
read_header(struct opening *o)
{
    if (o->stat.size == 0 && !o->options->inspect) {
        return replace(o);
    }
    memset(&o->header, 0, sizeof(o->header));
    bool whole = fmm_platform_read(o->fd, &o->header, sizeof(o->header));
    if (!whole && errno != 0) {
        return os_error(o->error, "cannot read the file");
    }
    if (o->options->init_file && fmm_header_is_ours(&o->header)) {
        return replace(o);
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
attach_locked(struct opening *o)
{
    if (!FMM_BOUND(still_named, has_name(o))) {
        return FMM_RETIRED;
    }
    enum fmm_status status = read_header(o);
    if (status != FMM_OK) {
        return status;
    }
    if (o->fresh) {
        return FMM_OK;
    }
    status = map_file(o, o->fd);
    if (status != FMM_OK) {
        return status;
    }
    status = settle_identity(o);
    if (status == FMM_OK &&
        !fmm_platform_lock_byte(o->fd, FMM_BYTE_PRESENCE, FMM_SHARED)) {
        status = os_error(o->error, "cannot lock the file");
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
attach(struct opening *o)
{
    if (!fmm_platform_stat(o->fd, &o->stat)) {
        return os_error(o->error, "cannot stat the file");
    }
    enum fmm_status status = check_access(o);
    if (status == FMM_OK) {
        status = refuse_remote(o, o->fd);
    }
    if (status != FMM_OK) {
        return status;
    }
    if (!fmm_platform_lock_byte_wait(o->fd, FMM_BYTE_OPENING, FMM_EXCLUSIVE,
                                     OPENING_WAIT_MS)) {
        return os_error(o->error, "another process is opening the file and "
                                  "does not finish");
    }
    /* While we waited it may have been written. */
    if (!fmm_platform_stat(o->fd, &o->stat)) {
        return os_error(o->error, "cannot stat the file");
    }
    status = attach_locked(o);
    fmm_platform_lock_byte(o->fd, FMM_BYTE_OPENING, FMM_UNLOCKED);
    return status;
}

/* --------------------------------------------------------------- opening */

/* One attempt. FMM_EXISTS, FMM_RETIRED: lost a race, try again. */
static enum fmm_status
open_once(struct opening *o)
{
    o->fd = fmm_platform_open(o->options->path);
    if (o->fd >= 0) {
        return attach(o);
    }
    if (errno != ENOENT || o->options->must_exist || o->options->inspect) {
        return os_error(o->error, "cannot open the file");
    }
    return create(o, false);
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
finish(struct opening *o)
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
undo(struct opening *o)
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
fmm_file_open(const struct fmm_options *options, struct fmm_cache **cache_out,
              struct fmm_error *error)
{
    struct fmm_cache *cache = calloc(1, sizeof(*cache));
    struct opening o = {
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

void
fmm_go_on(struct fmm_cache *cache)
{
    cache->goes_on = true;
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
                           : os_error(error, "cannot remove the file");
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
