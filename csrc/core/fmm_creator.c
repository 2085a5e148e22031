#include "fmm_creator.h"

#include "fmm_hash.h"
#include "fmm_platform.h"
#include "fmm_process.h"

#define CREATOR_WAIT_MS 60000u /* for one who reserves much, slowly */
#define CREATOR_PAUSE_US 500u
#define CREATOR_BYTES 0x3fffffffu /* offsets that every system has */

static void
creator_open(struct fmm_creator *creator, const char *path)
{
    static const uint64_t seed[2];
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    creator->byte = fmm_hash(seed, name, strlen(name)) & CREATOR_BYTES;
    creator->fd = fmm_platform_open_directory(path);
}

/* A directory cannot be opened for writing, and without that the system gives
 * shared locks only. So each asks whether another has one, too, and whoever is
 * not alone gives it back. False: try again. */
static bool
take_alone(struct fmm_creator *creator)
{
    if (!fmm_platform_lock_byte(creator->fd, creator->byte, FMM_SHARED)) {
        fmm_platform_close(creator->fd);
        creator->fd = -1; /* there are no such locks */
        return true;
    }
    if (!fmm_platform_byte_taken(creator->fd, creator->byte)) {
        return true;
    }
    fmm_platform_lock_byte(creator->fd, creator->byte, FMM_UNLOCKED);
    return false;
}

/* Sleep for a moment, or for longer while another has the right. FMM_BUSY: it
 * has it for too long; FMM_ERR_OS: give up. */
static enum fmm_status
pause_until_free(const struct fmm_creator *creator,
                 const struct fmm_options *options, uint64_t deadline)
{
    fmm_word64 nobody = 0;
    struct fmm_file_stat stat;
    do {
        if (fmm_monotonic_ms() >= deadline) {
            return FMM_BUSY;
        }
        if (!fmm_options_go_on(options, 0, 0)) {
            return FMM_ERR_OS;
        }
        fmm_process_wait(&nobody, 0, CREATOR_PAUSE_US);
    } while (fmm_platform_byte_taken(creator->fd, creator->byte) &&
             !fmm_platform_stat_path(options->path, &stat));
    return FMM_OK;
}

enum fmm_status
fmm_creator_take(struct fmm_creator *creator,
                 const struct fmm_options *options)
{
    uint64_t deadline = fmm_monotonic_ms() + CREATOR_WAIT_MS;
    enum fmm_status status = FMM_OK;
    struct fmm_file_stat stat;
    creator_open(creator, options->path);
    while (creator->fd >= 0 && !take_alone(creator)) {
        status = fmm_platform_stat_path(options->path, &stat)
                     ? FMM_EXISTS
                     : pause_until_free(creator, options, deadline);
        if (status != FMM_OK) {
            fmm_platform_close(creator->fd);
            creator->fd = -1;
        }
    }
    if (status != FMM_ERR_OS && fmm_platform_stat_path(options->path, &stat)) {
        fmm_creator_release(creator);
        return FMM_EXISTS;
    }
    return status == FMM_ERR_OS ? status : FMM_OK;
}

void
fmm_creator_release(struct fmm_creator *creator)
{
    if (creator->fd < 0) {
        return;
    }
    /* A child that was forked meanwhile has it open, too. */
    fmm_platform_lock_byte(creator->fd, creator->byte, FMM_UNLOCKED);
    fmm_platform_close(creator->fd);
    creator->fd = -1;
}
