/* A file of another size in the place of one that is in use.
 *
 * It is made beside the old one, without a name, and filled in rounds while others
 * go on. Then, for a moment, nobody can change the old one: we have all its pages.
 * What was changed since is copied, the old one is marked, the new one gets the
 * name, and the pages are given back: whoever waited for one sees the mark, and
 * follows. So no change is lost, and none is made to a file that nobody reads.
 * Killed at any time before, we leave the old file as it is: its pages, like those
 * of any dead holder, are free. */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "fmm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fmm_carry.h"
#include "fmm_create.h"
#include "fmm_heir.h"
#include "fmm_hold.h"
#include "fmm_lock.h"
#include "fmm_process.h"
#include "fmm_turn_lock.h"

#define DRAFT_TRIES 10      /* against sweeps */
#define SLICE_MS 50u        /* of copying, between two looks at signals */
#define PAGE_WAIT_MS 100    /* for one page, with none held */
#define PAGES_WAIT_MS 100u  /* for all pages, with some held */
#define TURNS_WAIT_MS 200   /* for all who tell the user's store */
#define OPENING_WAIT_MS 500 /* for those who just open the file */
#define FEW 512u            /* changes that are not worth another round */
#define ROUNDS_MAX 16u
#define NO_PAGE UINT32_MAX

struct fmm_resizing {
    struct fmm_cache *from;
    struct fmm_resize_request how;
    struct fmm_options options;
    struct fmm_opening o; /* of the new file */
    struct fmm_error unread;
    struct fmm_draft draft;
    struct fmm_header like;
    struct fmm_carry carry;
    uint64_t until_ms;   /* of the monotonic clock; 0: no end */
    uint64_t before;     /* changes of the round before */
    uint64_t stopped_ns; /* when it was that the first page was held */
    int opening;         /* has the opening byte of the old file; -1 */
    uint32_t held;       /* pages that we hold, from the first on */
    bool drafted, turns, named, between;
};

static enum fmm_status
no_memory(struct fmm_error *error)
{
    return fmm_error_set(error, FMM_ERR_MEMORY, 0, "out of memory");
}

/* ------------------------------------------------------------------ making */

static enum fmm_status
make_draft(struct fmm_resizing *r, struct fmm_error *error)
{
    enum fmm_status status = FMM_EXISTS;
    for (int i = 0; i < DRAFT_TRIES && status == FMM_EXISTS; i++) {
        fmm_client_begin(&r->o.cache->client);
        r->o.error = error != NULL ? error : &r->unread;
        status = fmm_create_draft(&r->o, &r->draft);
        if (status != FMM_OK) {
            fmm_client_leave(&r->o.cache->client);
        }
    }
    r->drafted = status == FMM_OK;
    return status == FMM_EXISTS
               ? fmm_error_set(error, FMM_ERR_OS, EBUSY,
                               "temporary files are removed again and again")
               : status;
}

/* What has the number of the old one's descriptor may be another file by now. */
static bool
adopt(const struct fmm_resizing *r)
{
    int old = fmm_client_open_again(&r->from->client);
    bool done = old >= 0 && fmm_platform_adopt(r->draft.fd, old);
    int saved = errno;
    fmm_platform_close(old);
    errno = saved;
    return done;
}

/* The new file as a cache that can be worked with: what opening it would do. */
static enum fmm_status
settle_draft(struct fmm_resizing *r, struct fmm_error *error)
{
    struct fmm_cache *to = r->o.cache;
    to->serial = 0; /* of keys that are hashed by nobody */
    memcpy(to->seed, r->from->seed, sizeof(to->seed));
    to->created_ms = r->from->created_ms;
    fmm_create_note_departures(to);
    if (!adopt(r)) {
        return fmm_error_os(error, "cannot give the new file the owner and "
                                   "the permissions of the old one");
    }
    return fmm_carry_begin(&r->carry, r->from, to) ? FMM_OK : no_memory(error);
}

static enum fmm_status
begin(struct fmm_resizing *r, struct fmm_error *error)
{
    r->o.cache = calloc(1, sizeof(*r->o.cache));
    r->o.path = strdup(r->options.path);
    if (r->o.cache == NULL || r->o.path == NULL) {
        return no_memory(error);
    }
    r->o.cache->client.fd = -1;
    r->options.path = r->o.path;
    memcpy(r->like.seed, r->from->seed, sizeof(r->like.seed));
    r->like.created_ms = r->from->created_ms;
    memcpy(r->like.serializer, r->from->serializer, FMM_NAME_SIZE);
    memcpy(r->like.compressor, r->from->compressor, FMM_NAME_SIZE);
    enum fmm_status status = make_draft(r, error);
    return status == FMM_OK ? settle_draft(r, error) : status;
}

enum fmm_status
fmm_resize_begin(struct fmm_cache *cache, const struct fmm_options *options,
                 const struct fmm_resize_request *how,
                 struct fmm_resizing **out, struct fmm_error *error)
{
    if (cache->client.read_only || cache->client.alone) {
        return fmm_error_set(error, FMM_ERR_READ_ONLY, 0,
                             "the file was opened to be read");
    }
    struct fmm_resizing *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return no_memory(error);
    }
    r->from = cache;
    r->how = *how;
    r->options = *options;
    r->o = (struct fmm_opening){
        .options = &r->options, .fd = -1, .like = &r->like};
    r->opening = -1;
    r->between = true;
    r->until_ms =
        how->wait_ms < 0 ? 0 : fmm_monotonic_ms() + (uint64_t)how->wait_ms;
    enum fmm_status status = begin(r, error);
    if (status != FMM_OK) {
        fmm_resize_end(r);
        return status;
    }
    r->carry.call =
        (struct fmm_call){.now_ms = how->now_ms, .wait_ms = PAGE_WAIT_MS};
    *out = r;
    return FMM_OK;
}

void
fmm_resize_end(struct fmm_resizing *r)
{
    if (r == NULL) {
        return;
    }
    if (r->carry.from != NULL) {
        fmm_carry_end(&r->carry);
    }
    if (r->o.cache != NULL) {
        if (r->drafted && !r->named) {
            fmm_create_discard(&r->o, &r->draft);
        }
        fmm_client_leave(&r->o.cache->client);
        free(r->o.cache);
    }
    free(r->o.path);
    free(r);
}

/* ----------------------------------------------------------------- copying */

static bool
is_late(const struct fmm_resizing *r)
{
    return r->until_ms != 0 && fmm_monotonic_ms() >= r->until_ms;
}

static enum fmm_status
tell_busy(const struct fmm_resizing *r, struct fmm_error *error)
{
    if (r->carry.page == NO_PAGE) {
        return fmm_error_set(error, FMM_BUSY, 0,
                             "another thread or process opens the file, or "
                             "hands a changed value to write_cb, and does "
                             "not finish");
    }
    return fmm_error_set(error, FMM_BUSY, 0,
                         "page %" PRIu32
                         " is held by another thread or process",
                         r->carry.page);
}

static enum fmm_status
explain(const struct fmm_resizing *r, enum fmm_status status,
        struct fmm_error *error)
{
    switch ((int)status) {
    case FMM_BUSY:
        return tell_busy(r, error);
    case FMM_ERR_MEMORY:
        return no_memory(error);
    case FMM_ERR_CORRUPT:
        return fmm_error_set(error, FMM_ERR_CORRUPT, 0,
                             "page %" PRIu32 " is damaged", r->carry.page);
    default:
        return status;
    }
}

/* Pages, until the round or the time is over. FMM_MISS: the round is. */
static enum fmm_status
copy_pages(struct fmm_resizing *r)
{
    uint64_t until_ms = fmm_monotonic_ms() + SLICE_MS;
    enum fmm_status status;
    do {
        status = fmm_carry_page(&r->carry);
    } while (status == FMM_OK && fmm_monotonic_ms() < until_ms);
    return status;
}

/* Whether another round would leave no fewer changes for the last one. */
static bool
is_close(struct fmm_resizing *r)
{
    uint64_t changed = r->carry.changed;
    bool first = r->carry.round <= FMM_CARRY_RECORDS + 1;
    bool close = changed <= FEW || changed > r->before / 2 ||
                 r->carry.round >= ROUNDS_MAX;
    r->before = changed;
    return close && !first;
}

enum fmm_status
fmm_resize_copy(struct fmm_resizing *r, struct fmm_error *error)
{
    if (r->between) {
        fmm_carry_turn(&r->carry);
        r->between = false;
    }
    enum fmm_status status = copy_pages(r);
    if (status == FMM_MISS) {
        r->between = true;
        return is_close(r) ? FMM_OK : FMM_MISS;
    }
    if (status == FMM_OK || (status == FMM_BUSY && !is_late(r))) {
        return FMM_MISS;
    }
    return explain(r, status, error);
}

/* ----------------------------------------------------------------- holding */

static struct fmm_file_stat
stat_of(int fd)
{
    struct fmm_file_stat stat = {.inode = 0};
    (void)fmm_platform_stat(fd, &stat);
    return stat;
}

/* Nobody attaches to the old file, clears its mark, or replaces it, by now. */
static enum fmm_status
take_opening(struct fmm_resizing *r)
{
    const struct fmm_client *client = &r->from->client;
    r->opening = fmm_platform_open(r->options.path);
    if (r->opening < 0) {
        return FMM_RETIRED;
    }
    if (!fmm_platform_lock_byte_wait(r->opening, FMM_BYTE_OPENING,
                                     FMM_EXCLUSIVE, OPENING_WAIT_MS)) {
        return FMM_BUSY;
    }
    struct fmm_file_stat mine = stat_of(r->opening), named;
    bool ours = mine.device == client->device && mine.inode == client->inode &&
                fmm_platform_stat_path(r->options.path, &named) &&
                named.device == mine.device && named.inode == mine.inode;
    return ours && !fmm_file_retired(r->from) ? FMM_OK : FMM_RETIRED;
}

static enum fmm_status
take_page(struct fmm_resizing *r, uint64_t until_ms)
{
    uint64_t now_ms = fmm_monotonic_ms();
    const struct fmm_call call = {
        .now_ms = r->how.now_ms,
        .wait_ms = until_ms > now_ms ? (int64_t)(until_ms - now_ms) : 0};
    struct fmm_hold hold;
    r->carry.page = r->held; /* whom an error is about */
    enum fmm_status status = fmm_hold_take(r->from, &call, r->held, &hold);
    r->held += status == FMM_OK ? 1 : 0;
    return status;
}

static enum fmm_status
take_pages(struct fmm_resizing *r)
{
    uint64_t until_ms = fmm_monotonic_ms() + PAGES_WAIT_MS;
    enum fmm_status status = FMM_OK;
    r->stopped_ns = fmm_monotonic_ns();
    while (status == FMM_OK && r->held < r->from->geometry.num_pages) {
        status = take_page(r, until_ms);
    }
    return status;
}

/* In this order: who tells the user's store may open files, and who opens one may
 * want pages. */
static enum fmm_status
stop_others(struct fmm_resizing *r)
{
    r->carry.page = NO_PAGE;
    enum fmm_status status =
        fmm_turn_lock_take_all(&r->from->client, 0, TURNS_WAIT_MS);
    r->turns = status == FMM_OK;
    if (status == FMM_OK) {
        status = take_opening(r);
    }
    return status == FMM_OK ? take_pages(r) : status;
}

static void
release_pages(struct fmm_resizing *r)
{
    uint64_t owner = fmm_client_owner(&r->from->client);
    for (uint32_t n = 0; n < r->held; n++) {
        fmm_lock_release(&fmm_page_control(r->from->base, n)->lock, owner);
    }
    r->held = 0;
}

static void
let_others_go(struct fmm_resizing *r)
{
    release_pages(r);
    if (r->opening >= 0) {
        /* A child that was forked meanwhile has it open, too. */
        fmm_platform_lock_byte(r->opening, FMM_BYTE_OPENING, FMM_UNLOCKED);
        fmm_platform_close(r->opening);
        r->opening = -1;
    }
    if (r->turns) {
        fmm_turn_lock_release_all(&r->from->client, 0);
        r->turns = false;
    }
}

/* --------------------------------------------------------------- finishing */

static enum fmm_status
copy_the_rest(struct fmm_resizing *r)
{
    enum fmm_status status = FMM_OK;
    fmm_carry_turn(&r->carry);
    r->carry.held = true;
    while (status == FMM_OK) {
        status = fmm_carry_page(&r->carry);
    }
    r->carry.held = false;
    return status == FMM_MISS ? FMM_OK : status;
}

static enum fmm_status
check_losses(const struct fmm_resizing *r, struct fmm_error *error)
{
    if (r->carry.locks != 0 && !r->how.break_locks) {
        return fmm_error_set(
            error, FMM_LEASED, 0, "%" PRIu32 " %s held and would be lost",
            r->carry.locks,
            r->carry.locks == 1 ? "lock by name is" : "locks by name are");
    }
    if (r->carry.stuck) {
        return fmm_error_set(error, FMM_DIRTY, 0,
                             "changed values that were not written back do "
                             "not fit into the new file");
    }
    return FMM_OK;
}

/* What has happened to the new file is nothing that its users did. */
static void
clear_counters(struct fmm_control *control)
{
    uint64_t *counters[] = {&control->stores, &control->evictions,
                            &control->expirations, &control->slot_evictions,
                            &control->moved_bytes};
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        fmm_count_store(counters[i], 0);
    }
}

static void
report(const struct fmm_resizing *r, struct fmm_resize_report *out)
{
    const struct fmm_cache *to = r->o.cache;
    *out = (struct fmm_resize_report){.misplaced = r->carry.misplaced,
                                      .locks = r->carry.locks,
                                      .rounds = r->carry.round};
    for (uint32_t n = 0; n < to->geometry.num_pages; n++) {
        struct fmm_control *control = fmm_page_control(to->base, n);
        out->values += control->entries - control->internal;
        out->bytes += control->live[FMM_RING_S] + control->live[FMM_RING_M];
        clear_counters(control);
    }
    uint64_t known = out->values + out->misplaced;
    out->no_room = r->carry.wanted - fmm_min(known, r->carry.wanted);
}

/* The mark comes before the name: with that a change of the old file would be
 * lost, and whoever finds the mark and no other file waits for the opening byte,
 * and, should we be killed now, clears it. */
static enum fmm_status
publish(struct fmm_resizing *r)
{
    fmm_word32 *retired = &r->from->header->retired;
    /* Pairs with the acquire in fmm_file_retired(). */
    atomic_store_explicit(retired, 1, memory_order_release);
    enum fmm_status status = fmm_create_publish(&r->o, &r->draft, true);
    r->named = status == FMM_OK;
    if (!r->named) {
        atomic_store_explicit(retired, 0, memory_order_release);
    }
    return status == FMM_EXISTS
               ? fmm_error_set(r->o.error, FMM_ERR_OS, EBUSY,
                               "the temporary file was removed")
               : status;
}

static enum fmm_status
finish(struct fmm_resizing *r, struct fmm_resize_report *report_out,
       struct fmm_error *error)
{
    enum fmm_status status = copy_the_rest(r);
    if (status == FMM_OK) {
        status = check_losses(r, error);
    }
    if (status == FMM_OK) {
        fmm_heir_take_groups(r->from, r->o.cache);
        report(r, report_out);
        status = publish(r);
    }
    return explain(r, status, error);
}

enum fmm_status
fmm_resize_commit(struct fmm_resizing *r, struct fmm_resize_report *report_out,
                  struct fmm_error *error)
{
    r->o.error = error != NULL ? error : &r->unread;
    enum fmm_status status = stop_others(r);
    if (status == FMM_OK) {
        status = finish(r, report_out, error);
    }
    let_others_go(r);
    report_out->stopped_ns = fmm_monotonic_ns() - r->stopped_ns;
    r->between = true;
    if (status == FMM_BUSY && !is_late(r)) {
        return FMM_MISS;
    }
    return status == FMM_BUSY ? tell_busy(r, error) : status;
}
