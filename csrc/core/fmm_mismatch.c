#include "fmm_mismatch.h"

#include <errno.h>
#include <inttypes.h>

#include "fmm_filesystem.h"

#define ADVICE                                                                \
    "leave the option out to follow the file, give on_mismatch=\"replace\", " \
    "or replace it with init_file=True"

/* While the opening byte is ours, nobody comes who would have it open. */
static bool
is_in_use(const struct fmm_opening *o)
{
    return fmm_platform_byte_taken(o->fd, FMM_BYTE_PRESENCE) ||
           fmm_platform_byte_taken(o->fd, FMM_BYTE_LOOKING);
}

static bool
may_hold_changes(const struct fmm_opening *o)
{
    return atomic_load_explicit(&o->header.unwritten, memory_order_relaxed) !=
           0;
}

/* ------------------------------------------------------------- replacing */

/* Whether a replacement failed for want of room that the old file takes. Its
 * geometry is what the cache has by now. */
static bool
would_fit_instead(const struct fmm_opening *o)
{
    bool full = o->error->errnum == ENOSPC || o->error->errnum == EDQUOT;
    uint64_t room = fmm_filesystem_room(o->options->path).free;
    return full && room + o->stat.space >= o->cache->geometry.clients_at;
}

/* Put an empty file in its place. Where there is no room for two, the old one's
 * is given up first: whoever is killed then leaves an empty file, which becomes
 * a cache like any other. */
static enum fmm_status
replace(struct fmm_opening *o)
{
    enum fmm_status status = fmm_create_replacement(o);
    if (status == FMM_ERR_OS && would_fit_instead(o) && !is_in_use(o) &&
        fmm_platform_truncate(o->fd)) {
        return FMM_RETIRED;
    }
    return status;
}

/* ------------------------------------------------------ of other options */

static void
note_kept(struct fmm_opening *o, const char *what, const char *why)
{
    fmm_error_set(&o->notice, FMM_OK, 0,
                  "%s: the file stays as it is, because %s", what, why);
}

static enum fmm_status
try_to_replace(struct fmm_opening *o, const char *what)
{
    fmm_error_set(&o->notice, FMM_OK, 0, "%s: replaced by an empty file",
                  what);
    enum fmm_status status = replace(o);
    if (status < 0 || status == FMM_BUSY) {
        note_kept(o, what, o->error->text);
        o->keep = true;
        return FMM_RETIRED; /* what was begun is undone first */
    }
    return status;
}

static enum fmm_status
replace_or_follow(struct fmm_opening *o, const char *what)
{
    if (o->keep || o->options->inspect) {
        return FMM_OK;
    }
    if (is_in_use(o)) {
        note_kept(o, what, "others have it open");
        return FMM_OK;
    }
    if (may_hold_changes(o)) {
        note_kept(o, what,
                  "it may hold changed values that were not written back: "
                  "open it with write_cb and call flush()");
        return FMM_OK;
    }
    return try_to_replace(o, what);
}

enum fmm_status
fmm_mismatch_settle(struct fmm_opening *o)
{
    struct fmm_error found;
    enum fmm_status status =
        fmm_header_agree(&o->header, &o->cache->geometry, o->options, &found);
    if (status == FMM_OK) {
        o->notice.text[0] = '\0'; /* whatever we were about to do */
        return FMM_OK;
    }
    if (status != FMM_ERR_FORMAT) {
        *o->error = found;
        return status;
    }
    switch (o->options->on_mismatch) {
    case FMM_MISMATCH_REPLACE:
        return replace_or_follow(o, found.text);
    case FMM_MISMATCH_FOLLOW:
        return FMM_OK;
    case FMM_MISMATCH_ERROR:
        break;
    }
    return fmm_error_set(o->error, status, 0, "%s: " ADVICE, found.text);
}

/* ------------------------------------------------------- of older formats */

enum fmm_status
fmm_mismatch_renew(struct fmm_opening *o)
{
    uint32_t version = o->header.version;
    if (may_hold_changes(o)) {
        return fmm_error_set(o->error, FMM_ERR_FORMAT, 0,
                             "the format version is %" PRIu32
                             ", expected %u, and it may hold changed values "
                             "that were not written back: call flush() with "
                             "the fastmmap that made it, or drop them with "
                             "init_file=True",
                             version, FMM_VERSION);
    }
    fmm_error_set(&o->notice, FMM_OK, 0,
                  "the format version was %" PRIu32
                  ", and is %u now: replaced by an empty file",
                  version, FMM_VERSION);
    enum fmm_status status = replace(o);
    if (status == FMM_ERR_OS && is_in_use(o)) {
        char why[sizeof(o->error->text)];
        memcpy(why, o->error->text, sizeof(why));
        return fmm_error_set(o->error, FMM_ERR_VERSION, 0,
                             "the format version is %" PRIu32
                             ", expected %u, others have it open, and there "
                             "can be no second one: %s",
                             version, FMM_VERSION, why);
    }
    return status;
}
