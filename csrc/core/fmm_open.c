#define _POSIX_C_SOURCE 200809L /* strdup */
#include "fmm_open.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fmm_create.h"
#include "fmm_lock.h"
#include "fmm_map.h"
#include "fmm_mismatch.h"
#include "fmm_process.h"
#include "fmm_reboot.h"
#include "fmm_verify.h"
#include "fmm_turn_lock.h"

#define ATTEMPTS 1000          /* races lost against other openers */
#define OPENING_WAIT_MS 10000u /* for another opener of the same file */
#define OPENING_SLICE_MS 50u   /* between two questions whether to go on */
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
                             "make this process unpickle anything: use "
                             "your own file, or allow_shared=True with "
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

/* Where the open file is. */
static bool
tell_identity(const struct fmm_opening *o, struct fmm_identity *here)
{
    bool known = fmm_process_identity(here);
    here->device = o->stat.device;
    here->inode = o->stat.inode;
    return known;
}

/* A boot whose id cannot be read may be any. */
static bool
is_known(const struct fmm_identity *identity)
{
    static const struct fmm_identity nothing;
    return memcmp(identity->boot_id, nothing.boot_id,
                  sizeof(nothing.boot_id)) != 0;
}

/* Whether whoever has the file open runs on another kernel, whose locks are
 * not seen here, nor ours there. */
static bool
is_of_another_kernel(const struct fmm_identity *there,
                     const struct fmm_identity *here)
{
    return is_known(there) && is_known(here) &&
           memcmp(there->boot_id, here->boot_id, sizeof(here->boot_id)) != 0;
}

/* Whether the file is as somebody left it who opened it here, and since the boot. */
static bool
is_settled(const struct fmm_opening *o, const struct fmm_identity *here)
{
    return memcmp(here, &o->cache->header->identity, sizeof(*here)) == 0;
}

static enum fmm_status
find_it_in_use(const struct fmm_opening *o, const struct fmm_identity *here)
{
    if (errno != EAGAIN && errno != EACCES) {
        return fmm_error_os(o->error, "cannot lock the file");
    }
    if (!is_of_another_kernel(&o->cache->header->identity, here)) {
        return FMM_OK;
    }
    return fmm_error_set(o->error, FMM_ERR_FORMAT, 0,
                         "the file is in use from another host (or virtual "
                         "machine), whose processes cannot be seen from "
                         "here: give each its own file");
}

/* Whether pages are sound. In a file that lies in memory no entry is torn. */
static void
verify_pages(const struct fmm_opening *o)
{
    for (uint32_t n = 0; n < o->cache->geometry.num_pages; n++) {
        struct fmm_page page;
        struct fmm_page_report report;
        fmm_page_view(o->cache->base, &o->cache->geometry, n, &page);
        atomic_store_explicit(&page.control->lock, 0, memory_order_relaxed);
        if (!o->options->inspect && fmm_verify_repair(&page, &report)) {
            o->cache->repaired++;
        }
    }
}

static enum fmm_status
verifying_failed(const struct fmm_opening *o, enum fmm_status status)
{
    return status == FMM_ERR_MEMORY
               ? fmm_error_set(o->error, status, 0, "out of memory")
               : fmm_error_set(o->error, status, EINTR,
                               "the verification of the file was interrupted");
}

/* Whether each entry is whole. */
static enum fmm_status
verify_entries(struct fmm_opening *o)
{
    struct fmm_cache *cache = o->cache;
    struct fmm_reboot found;
    /* Advisory: without it others wait less long. */
    (void)fmm_platform_lock_byte(o->fd, FMM_BYTE_VERIFYING, FMM_EXCLUSIVE);
    enum fmm_status status = fmm_reboot_verify(
        cache->base, &cache->geometry, o->header.seed, o->options, &found);
    (void)fmm_platform_lock_byte(o->fd, FMM_BYTE_VERIFYING, FMM_UNLOCKED);
    if (status != FMM_OK) {
        return verifying_failed(o, status);
    }
    if (found.dirty != 0) {
        atomic_store_explicit(&cache->header->unwritten, FMM_UNWRITTEN,
                              memory_order_relaxed);
    }
    cache->repaired = (uint32_t)found.pages;
    cache->dropped = found.dropped;
    if (found.dropped != 0) {
        fmm_error_set(&o->notice, FMM_OK, 0,
                      "the file is from before the last boot, or a copy: "
                      "%" PRIu64 " entries were torn, and were %s, "
                      "%" PRIu64 " are whole",
                      found.dropped,
                      o->options->inspect ? "left out" : "dropped",
                      found.entries);
    }
    return FMM_OK;
}

/* A file from before the last boot, or the copy of one in use, may have pages
 * that were written in part. Alone with it, look after them; what is left of
 * locks names nobody who lives. */
static enum fmm_status
settle_identity(struct fmm_opening *o)
{
    struct fmm_identity here;
    if (!tell_identity(o, &here)) {
        return fmm_error_os(o->error, "cannot tell which host this is");
    }
    if (is_settled(o, &here)) {
        return FMM_OK;
    }
    if (!fmm_platform_lock_byte(o->fd, FMM_BYTE_PRESENCE, FMM_EXCLUSIVE)) {
        return find_it_in_use(o, &here);
    }
    if (o->options->inspect &&
        !fmm_map_privately(o->cache->base, o->fd,
                           o->cache->geometry.file_size)) {
        return fmm_error_os(o->error, "cannot map the file");
    }
    o->cache->client.alone = o->options->inspect;
    fmm_turn_lock_reset(o->cache->header);
    bool sealed = o->cache->geometry.seal_size != 0 &&
                  (!o->options->inspect || o->options->only_whole);
    enum fmm_status status = sealed ? verify_entries(o) : FMM_OK;
    if (status != FMM_OK) {
        return status;
    }
    if (!sealed) {
        verify_pages(o);
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
    if (o->options->renew_old && !o->options->inspect &&
        fmm_header_is_older(&o->header)) {
        return fmm_mismatch_renew(o);
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
    return status == FMM_OK ? fmm_mismatch_settle(o) : status;
}

/* Who only reads cannot drop what a power cut left. */
static enum fmm_status
refuse_torn(const struct fmm_opening *o)
{
    const struct fmm_cache *cache = o->cache;
    if (cache->geometry.seal_size == 0) {
        return FMM_OK;
    }
    enum fmm_status whole =
        fmm_reboot_look(cache->base, &cache->geometry, o->options);
    if (whole != FMM_MISS) {
        return whole == FMM_OK ? FMM_OK : verifying_failed(o, whole);
    }
    return fmm_error_set(o->error, FMM_ERR_OS, EBUSY,
                         "the file is from before the last boot, or a copy, "
                         "and entries of it are torn: open it once without "
                         "read_only=True, to drop them");
}

/* Whoever has the file open is present; but who left it unsettled, is nobody whom
 * another has to keep out of it, as one of another kernel. */
static enum fmm_status
lock_presence(const struct fmm_opening *o, bool settled)
{
    enum fmm_lock_byte byte = settled ? FMM_BYTE_PRESENCE : FMM_BYTE_LOOKING;
    if (!fmm_platform_lock_byte(o->fd, byte, FMM_SHARED)) {
        return fmm_error_os(o->error, "cannot lock the file");
    }
    if (!settled) {
        fmm_platform_lock_byte(o->fd, FMM_BYTE_PRESENCE, FMM_UNLOCKED);
    }
    return FMM_OK;
}

/* The mark may be from before a rename, but stays: whoever follows it, would
 * come back here for ever. */
static enum fmm_status
attach_to_read(struct fmm_opening *o)
{
    if (fmm_file_retired(o->cache)) {
        return fmm_error_set(o->error, FMM_ERR_OS, EBUSY,
                             "the file was replaced, and has its name again: "
                             "open it once without read_only=True");
    }
    struct fmm_identity here;
    if (!tell_identity(o, &here)) {
        return fmm_error_os(o->error, "cannot tell which host this is");
    }
    bool settled = is_settled(o, &here);
    enum fmm_status status = lock_presence(o, settled);
    if (status == FMM_OK && !settled) {
        status = refuse_torn(o);
    }
    return status == FMM_OK ? fmm_create_join(o, &o->cache->client) : status;
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
    if (status != FMM_OK || o->options->read_only) {
        return status == FMM_OK ? attach_to_read(o) : status;
    }
    status = settle_identity(o);
    if (status == FMM_OK) {
        status = lock_presence(o, !o->cache->client.alone);
    }
    if (status == FMM_OK) {
        /* It has the name: a mark from before a rename means nothing. */
        atomic_store_explicit(&o->cache->header->retired, 0,
                              memory_order_relaxed);
        status = fmm_create_join(o, &o->cache->client);
    }
    return status;
}

/* Whoever verifies a large file is waited for, however long that takes: the
 * system drops the lock of one who dies. */
static bool
lock_opening(const struct fmm_opening *o, enum fmm_lock_kind kind)
{
    uint64_t since = fmm_monotonic_ms();
    while (!fmm_platform_lock_byte_wait(o->fd, FMM_BYTE_OPENING, kind,
                                        OPENING_SLICE_MS)) {
        int saved = errno;
        if (fmm_platform_byte_taken(o->fd, FMM_BYTE_VERIFYING)) {
            since = fmm_monotonic_ms();
        }
        errno = fmm_options_go_on(o->options, 0, 0) ? saved : EINTR;
        if ((errno != EAGAIN && errno != EACCES) ||
            fmm_monotonic_ms() - since >= OPENING_WAIT_MS) {
            return false;
        }
    }
    return true;
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
    enum fmm_lock_kind kind =
        o->options->read_only ? FMM_SHARED : FMM_EXCLUSIVE;
    if (!lock_opening(o, kind)) {
        return fmm_create_lock_failed(o, "another process is opening the "
                                         "file and does not finish");
    }
    /* While we waited it may have been written. */
    if (!fmm_platform_stat(o->fd, &o->stat)) {
        return fmm_error_os(o->error, "cannot stat the file");
    }
    status = attach_locked(o);
    /* A child that was forked meanwhile has it open, too. */
    if (status != FMM_OK) {
        fmm_platform_lock_byte(o->fd, FMM_BYTE_PRESENCE, FMM_UNLOCKED);
    }
    fmm_platform_lock_byte(o->fd, FMM_BYTE_OPENING, FMM_UNLOCKED);
    return status;
}

/* --------------------------------------------------------------- opening */

/* One attempt. FMM_EXISTS, FMM_RETIRED: lost a race, try again. */
static enum fmm_status
open_once(struct fmm_opening *o)
{
    fmm_client_begin(&o->cache->client);
    o->fd = (o->options->read_only ? fmm_platform_open_to_read
                                   : fmm_platform_open)(o->options->path);
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
    copy_header(cache, &o->header);
    *o->error = o->notice;
}

/* Undo an attempt: what it mapped and opened. */
static void
undo(struct fmm_opening *o)
{
    if (o->cache->trapped) {
        fmm_map_untrap(o->cache->base);
    }
    if (o->fd != o->cache->client.fd) {
        fmm_platform_close(o->fd);
    }
    fmm_client_leave(&o->cache->client);
    *o->cache = (struct fmm_cache){.client = {.fd = -1}};
    o->fd = -1;
    o->fresh = false;
}

enum fmm_status
fmm_open_file(const struct fmm_options *options, struct fmm_cache **cache_out,
              struct fmm_error *error)
{
    struct fmm_cache *cache = calloc(1, sizeof(*cache));
    struct fmm_error unread;
    struct fmm_opening o = {.options = options,
                            .error = error != NULL ? error : &unread,
                            .cache = cache,
                            .fd = -1};
    enum fmm_status status = FMM_RETIRED;
    o.path = cache != NULL ? strdup(options->path) : NULL;
    if (o.path == NULL) {
        free(cache);
        return fmm_error_set(error, FMM_ERR_MEMORY, 0, "out of memory");
    }
    cache->client.fd = -1;
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
    if (status == FMM_BUSY) {
        return fmm_error_set(error, FMM_BUSY, 0,
                             "the file cannot be replaced while another "
                             "thread or process hands a changed value of it "
                             "to write_cb, which did not return in time: try "
                             "again, or raise lock_timeout");
    }
    if (status > 0) {
        return fmm_error_set(error, FMM_ERR_OS, EBUSY,
                             "the file is replaced again and again");
    }
    return status;
}
