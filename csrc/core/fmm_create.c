#include "fmm_create.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fmm_creator.h"
#include "fmm_filesystem.h"
#include "fmm_map.h"
#include "fmm_memory.h"
#include "fmm_page.h"
#include "fmm_process.h"
#include "fmm_seal.h"
#include "fmm_turn_lock.h"

#define PLACE_SHOWN 60u /* bytes of a long path, from its end */

/* What a refusal by the system to give the file its space means. */
static enum fmm_status
no_space(const struct fmm_opening *o, int fd, enum fmm_filesystem kind,
         uint64_t size)
{
    int saved = errno;
    (void)fmm_platform_resize(fd, 0, 0); /* what it has got so far is free */
    struct fmm_filesystem_room room = fmm_filesystem_room(o->options->path);
    if (saved == EFBIG) {
        return fmm_error_set(o->error, FMM_ERR_OS, saved,
                             "the cache needs a file of %" PRIu64 " bytes, "
                             "and files may not be that large here: make it "
                             "smaller, or raise the limit (ulimit -f)",
                             o->cache->geometry.file_size);
    }
    if (kind == FMM_FILESYSTEM_MEMORY) {
        return fmm_error_set(
            o->error, FMM_ERR_OS, saved,
            "cannot reserve %" PRIu64
            " bytes for the cache, the tmpfs there has %" PRIu64
            " bytes and %" PRIu64
            " are free: make the tmpfs larger (--shm-size of "
            "docker run, size= of mount), or the cache "
            "smaller",
            size, room.size, room.free);
    }
    return fmm_error_set(o->error, FMM_ERR_OS, saved,
                         "cannot reserve %" PRIu64
                         " bytes for the cache, %" PRIu64
                         " are free there: make it smaller, or make room",
                         size, room.free);
}

enum fmm_status
fmm_create_lock_failed(const struct fmm_opening *o, const char *what)
{
    if (errno != ENOLCK) {
        return fmm_error_os(o->error, what);
    }
    return fmm_error_set(o->error, FMM_ERR_OS, ENOLCK,
                         "there are no locks of open file descriptions here "
                         "(fcntl F_OFD_SETLK), by which processes find each "
                         "other: this system, a sandbox like gVisor, or "
                         "the file system lacks them");
}

enum fmm_status
fmm_create_join(const struct fmm_opening *o, struct fmm_client *client)
{
    if (fmm_client_join(client)) {
        return FMM_OK;
    }
    if (errno != EUSERS) {
        return fmm_create_lock_failed(o, "cannot enter the table of clients");
    }
    return fmm_error_set(o->error, FMM_ERR_OS, EUSERS,
                         "%u clients have the file open, and no more can: "
                         "open it once for each process",
                         FMM_CLIENTS);
}

static enum fmm_status
create_failed(const struct fmm_opening *o)
{
    if (errno == EAGAIN) { /* a sweep holds the temporary file: again */
        return FMM_EXISTS;
    }
    if (errno == ENOLCK) {
        return fmm_create_lock_failed(o, "");
    }
    return fmm_error_os(o->error, "cannot create the file");
}

/* Files on tmpfs are memory: where a limit forbids that much, the system would
 * kill a process of the group, now or when the cache fills. */
static enum fmm_status
check_memory(const struct fmm_opening *o, enum fmm_filesystem kind)
{
    uint64_t bytes = o->cache->geometry.clients_at;
    const struct fmm_memory_demand demand = {.bytes = bytes,
                                             .at_once = !o->options->sparse};
    struct fmm_memory_limit limit;
    if (kind != FMM_FILESYSTEM_MEMORY ||
        fmm_memory_allows("/proc", &demand, &limit)) {
        return FMM_OK;
    }
    size_t length = strlen(limit.place);
    const char *place = limit.place + (length - fmm_min(length, PLACE_SHOWN));
    return fmm_error_set(o->error, FMM_ERR_OS, ENOMEM,
                         "the cache takes %" PRIu64
                         " bytes of memory, since it is on tmpfs, and the "
                         "memory limit of its control group is %" PRIu64
                         ", %" PRIu64 " of them free (%s): make it smaller, "
                         "or raise the limit",
                         bytes, limit.bytes, limit.free, place);
}

/* Give the file its size and its space; a sparse one as much as is read and
 * cleared where nothing was stored, so that only storing takes more. */
static enum fmm_status
reserve(const struct fmm_opening *o, int fd)
{
    const struct fmm_geometry *geometry = &o->cache->geometry;
    bool sparse = o->options->sparse;
    uint64_t reserved = sparse ? geometry->rings_at : geometry->clients_at;
    enum fmm_filesystem kind = fmm_filesystem_of(fd);
    if (kind == FMM_FILESYSTEM_HUGE) {
        return fmm_error_set(o->error, FMM_ERR_OS, EOPNOTSUPP,
                             "the directory is on hugetlbfs, whose files "
                             "cannot be written: choose /dev/shm or a disk");
    }
    if (kind == FMM_FILESYSTEM_BTRFS && !fmm_filesystem_keep_place(fd) &&
        !sparse) {
        return fmm_error_os(o->error,
                            "btrfs reserves no space unless a file is not "
                            "copied on write, and that cannot be set: choose "
                            "/dev/shm or another file system");
    }
    enum fmm_status status = check_memory(o, kind);
    if (status != FMM_OK) {
        return status;
    }
    if (fmm_platform_resize(fd, geometry->file_size, reserved)) {
        return FMM_OK;
    }
    return errno == ENOSPC || errno == EFBIG || errno == EDQUOT
               ? no_space(o, fd, kind, reserved)
               : fmm_error_os(o->error, "cannot reserve space for the file");
}

/* What may outlive the kernel that wrote it, has to tell what is whole. */
static void
choose_seals(struct fmm_opening *o, int fd)
{
    struct fmm_geometry *geometry = &o->cache->geometry;
    if (fmm_filesystem_of(fd) != FMM_FILESYSTEM_MEMORY) {
        geometry->seal_size = FMM_ENTRY_SEAL;
    }
}

/* Write the header of a new file, with its identity. */
static bool
fill_new(struct fmm_opening *o, int fd, struct fmm_geometry *geometry)
{
    choose_seals(o, fd);
    if (!fmm_header_make(o->options, geometry, fmm_now_ms(), &o->header) ||
        !fmm_platform_stat(fd, &o->stat) ||
        !fmm_process_identity(&o->header.identity)) {
        return false;
    }
    o->header.identity.device = o->stat.device;
    o->header.identity.inode = o->stat.inode;
    if (o->like != NULL) {
        fmm_header_follow(&o->header, o->like);
    }
    if (o->header.sealed) {
        fmm_seal_use(geometry, o->header.seed);
    }
    return fmm_platform_write(fd, &o->header, sizeof(o->header));
}

enum fmm_status
fmm_create_refuse_remote(const struct fmm_opening *o, int fd)
{
    if (o->options->allow_network_fs ||
        fmm_filesystem_of(fd) != FMM_FILESYSTEM_REMOTE) {
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
    bool read_only = o->options->read_only;
    void *base = read_only ? fmm_map_to_read(fd, cache->geometry.file_size)
                           : fmm_map_file(fd, cache->geometry.file_size);
    if (base == NULL) {
        return fmm_error_os(o->error, "cannot map the file");
    }
    cache->client.read_only = read_only;
    cache->base = base;
    cache->header = base;
    fmm_file_view(&cache->client, base, &cache->geometry);
    cache->client.fd = fd;
    cache->client.path = o->path;
    cache->client.device = o->stat.device;
    cache->client.inode = o->stat.inode;
    cache->gives_back = o->header.sparse == 1 && !read_only &&
                        fmm_filesystem_of(fd) == FMM_FILESYSTEM_MEMORY;
    if (o->options->sigbus_guard) {
        cache->trapped = fmm_map_trap(base, cache->geometry.file_size);
        if (!cache->trapped) {
            return fmm_error_os(o->error, "too many files with sigbus_guard");
        }
    }
    return FMM_OK;
}

void
fmm_create_note_departures(const struct fmm_cache *cache)
{
    for (uint32_t n = 0; n < cache->geometry.num_pages; n++) {
        struct fmm_page page;
        fmm_page_view(cache->base, &cache->geometry, n, &page);
        page.control->departed = 1;
    }
}

static enum fmm_status
name_refused(const struct fmm_opening *o)
{
    if (errno != EPERM && errno != EACCES && errno != EOPNOTSUPP &&
        errno != ENOSYS) {
        return fmm_error_os(o->error, "cannot name the file");
    }
    return fmm_error_os(o->error,
                        "a new file gets its name by a hard link (linkat), "
                        "and that is refused here: by a file system that has "
                        "none, such as vfat, or by a security module; choose "
                        "/dev/shm or another file system");
}

/* Reserve and fill a new file and map it, all before it has its name: with that
 * there is nothing left that could fail. */
static enum fmm_status
complete(struct fmm_opening *o, int fd)
{
    enum fmm_status status = fmm_create_refuse_remote(o, fd);
    if (status == FMM_OK) {
        status = reserve(o, fd);
    }
    if (status != FMM_OK) {
        return status;
    }
    if (!fill_new(o, fd, &o->cache->geometry)) {
        return fmm_error_os(o->error, "cannot write the file");
    }
    status = fmm_create_map(o, fd);
    return status == FMM_OK ? fmm_create_join(o, &o->cache->client) : status;
}

void
fmm_create_discard(struct fmm_opening *o, const struct fmm_draft *draft)
{
    o->cache->client.fd = -1;
    fmm_platform_discard(draft->fd, draft->name);
}

enum fmm_status
fmm_create_draft(struct fmm_opening *o, struct fmm_draft *draft_out)
{
    const struct fmm_options *options = o->options;
    uint32_t mode = options->mode ? options->mode : 0600;
    enum fmm_status status =
        fmm_geometry_resolve(options, &o->cache->geometry, o->error);
    if (status != FMM_OK) {
        return status;
    }
    fmm_platform_sweep(options->path);
    draft_out->fd = fmm_platform_create(options->path, mode, draft_out->name);
    if (draft_out->fd < 0) {
        return create_failed(o);
    }
    status = complete(o, draft_out->fd);
    if (status != FMM_OK) {
        fmm_create_discard(o, draft_out);
    }
    return status;
}

enum fmm_status
fmm_create_publish(const struct fmm_opening *o, struct fmm_draft *draft,
                   bool replace)
{
    if (fmm_platform_publish(draft->fd, draft->name, o->options->path,
                             replace)) {
        return FMM_OK;
    }
    /* ENOENT: a sweep took the temporary name before it was locked. */
    return errno == EEXIST || (errno == ENOENT && draft->name[0] != '\0')
               ? FMM_EXISTS
               : name_refused(o);
}

static enum fmm_status
create(struct fmm_opening *o, bool replace)
{
    struct fmm_draft draft;
    enum fmm_status status = fmm_create_draft(o, &draft);
    if (status != FMM_OK) {
        return status;
    }
    if (replace) {
        fmm_create_note_departures(o->cache);
    }
    status = fmm_create_publish(o, &draft, replace);
    if (status != FMM_OK) {
        fmm_create_discard(o, &draft);
        return status;
    }
    o->fd = draft.fd;
    o->fresh = true;
    o->cache->created = !replace;
    return FMM_OK;
}

/* A process without the right to create may be as far as we are. It takes the
 * space that we miss, and has the name next. */
static bool
was_made_meanwhile(const struct fmm_opening *o, enum fmm_status status)
{
    struct fmm_file_stat stat;
    return status == FMM_ERR_OS &&
           fmm_platform_stat_path(o->options->path, &stat);
}

enum fmm_status
fmm_create_new(struct fmm_opening *o)
{
    struct fmm_creator creator;
    enum fmm_status status = fmm_creator_take(&creator, o->options);
    if (status == FMM_ERR_OS) {
        return fmm_error_set(o->error, status, EINTR,
                             "interrupted while another process creates it");
    }
    if (status != FMM_OK) {
        return status;
    }
    status = create(o, false);
    if (was_made_meanwhile(o, status)) {
        status = FMM_EXISTS;
    }
    fmm_creator_release(&creator);
    return status;
}

/* Whether the locks and the clients of the old file are where this version has
 * them. */
static bool
has_turns(const struct fmm_opening *o, struct fmm_geometry *geometry_out)
{
    struct fmm_header header;
    return fmm_platform_read(o->fd, &header, sizeof(header)) &&
           fmm_header_check(&header, o->stat.size, geometry_out, NULL) ==
               FMM_OK;
}

/* Make the new file, and tell those who have the old one open. It has the name
 * by then: whoever is killed in between leaves a file without a name, which its
 * users notice within a second. Those of another version could not read the new
 * one: they go on with what they have. */
static enum fmm_status
replace_old(struct fmm_opening *o)
{
    enum fmm_status status = create(o, true);
    if (status == FMM_OK && o->old != NULL && o->old->version == FMM_VERSION) {
        /* Pairs with the acquire in fmm_file_retired(). */
        atomic_store_explicit(&o->old->retired, 1, memory_order_release);
    }
    return status;
}

/* The same while nobody else tells the user's store of what is in the old one:
 * what is stored in the new one is newer. */
static enum fmm_status
replace_in_turn(struct fmm_opening *o, struct fmm_client *old)
{
    uint64_t mine = o->options->own_turns;
    enum fmm_status status =
        fmm_turn_lock_take_all(old, mine, o->options->turn_wait_ms);
    if (status == FMM_OK) {
        status = replace_old(o);
        fmm_turn_lock_release_all(old, mine);
    }
    return status;
}

/* As a client of the old file: who waits for its locks has to know that we
 * live. */
static enum fmm_status
replace_as_client(struct fmm_opening *o, const struct fmm_geometry *geometry)
{
    struct fmm_client *old = calloc(1, sizeof(*old));
    unsigned char *base = fmm_map_file(o->fd, geometry->file_size);
    if (old == NULL || base == NULL) {
        if (base != NULL) {
            fmm_map_end(base, geometry->file_size);
        }
        free(old);
        return fmm_error_set(o->error, FMM_ERR_MEMORY, 0, "out of memory");
    }
    old->device = o->stat.device;
    old->inode = o->stat.inode;
    old->fd = o->fd;
    fmm_file_view(old, base, geometry);
    fmm_client_begin(old); /* its description is locked, and stays */
    enum fmm_status status = fmm_create_join(o, old);
    if (status == FMM_OK) {
        status = replace_in_turn(o, old);
    }
    old->fd = -1; /* it is the caller's */
    fmm_client_leave(old);
    free(old);
    return status;
}

enum fmm_status
fmm_create_replacement(struct fmm_opening *o)
{
    struct fmm_geometry geometry;
    int fd = o->fd;
    if (o->stat.size >= sizeof(*o->old)) {
        o->old = fmm_map_file(fd, sizeof(*o->old));
        if (o->old == NULL) {
            return fmm_error_os(o->error, "cannot map the file");
        }
    }
    enum fmm_status status = o->old != NULL && has_turns(o, &geometry)
                                 ? replace_as_client(o, &geometry)
                                 : replace_old(o);
    if (o->old != NULL) {
        fmm_map_end(o->old, sizeof(*o->old));
        o->old = NULL;
    }
    if (status == FMM_OK) {
        /* A child that was forked meanwhile has it open, too. */
        fmm_platform_lock_byte(fd, FMM_BYTE_OPENING, FMM_UNLOCKED);
        fmm_platform_close(fd);
    }
    return status;
}
