/* Storing values in parts. See fmm.h.
 *
 * The parts come first, each where there is a hole for it, from the last one on,
 * for each names the page of the one after it. The key's entry comes last: that
 * is the commit. Killed before, the parts are what nobody asks for. */
#include "fmm.h"

#include "fmm_directory.h"
#include "fmm_hold.h"
#include "fmm_leave.h"
#include "fmm_parts.h"
#include "fmm_parts_evict.h"
#include "fmm_process.h"
#include "fmm_room.h"

#define PAGES_TRIED 64u /* for each part, from the one after the key's */
#define FORCED_MAX 16u  /* values that leave for one beyond what is owed */
#define LARGE_BIAS 2u   /* the large leave so much sooner than the small */

bool
fmm_parts_needed(const struct fmm_cache *cache, const struct fmm_key *key,
                 size_t value_len)
{
    uint64_t most = cache->geometry.max_entry;
    uint64_t around =
        FMM_ENTRY_HEADER + 8 * FMM_ENTRY_WORDS_MAX + cache->geometry.seal_size;
    return !fmm_fits(around + key->len, value_len, most) &&
           value_len <= fmm_geometry_max_value(&cache->geometry) &&
           fmm_fits(around + key->len, sizeof(struct fmm_parts), most);
}

/* -------------------------------------------------------------- listing */

/* The list for a new value of a key: that of its old one; main, where one was
 * asked for lately. */
static enum fmm_list
list_on_page(const struct fmm_shelf *shelf, const struct fmm_page *page,
             const struct fmm_key *key)
{
    struct fmm_parts old = {.length = 0};
    struct fmm_found found;
    if (fmm_page_find(page, key, &found)) {
        fmm_entry_parts(&found.entry, &old);
    }
    if (old.length != 0) {
        enum fmm_list list = fmm_directory_list(shelf, &old);
        return list == FMM_LIST_MAIN ? FMM_LIST_MAIN : FMM_LIST_NEW;
    }
    return fmm_directory_has_ghost(shelf, key->hash) ? FMM_LIST_MAIN
                                                     : FMM_LIST_NEW;
}

/* The page is held by the caller, or tried. */
static enum fmm_list
choose_list(struct fmm_cache *cache, const struct fmm_call *call,
            const struct fmm_shelf *shelf, const struct fmm_key *key,
            const struct fmm_guard *guard)
{
    const struct fmm_call once = {.now_ms = call->now_ms};
    enum fmm_list list = FMM_LIST_NEW;
    struct fmm_hold hold;
    if (fmm_hold_reach(cache, &once, guard, key->page, &hold) == FMM_OK) {
        list = list_on_page(shelf, &hold.page, key);
        fmm_hold_leave(&hold, guard);
    }
    return list;
}

static enum fmm_status
take_shelf(struct fmm_cache *cache, const struct fmm_call *call,
           struct fmm_shelf *out)
{
    return fmm_directory_take(&cache->client, &cache->geometry, call->wait_ms,
                              out);
}

/* Before its parts: whatever becomes of us, somebody knows of them. */
static enum fmm_status
list_coming(struct fmm_cache *cache, const struct fmm_call *call,
            const struct fmm_key *key, struct fmm_parts_job *job)
{
    struct fmm_shelf shelf;
    const struct fmm_listing value = {
        .id = {job->parts.id[0], job->parts.id[1]},
        .length = job->value->len,
        .expire_at = job->expire_at,
        .listed_at = (uint32_t)fmm_hold_seconds(cache, call->now_ms),
    };
    enum fmm_status status = take_shelf(cache, call, &shelf);
    if (status == FMM_OK) {
        job->list = choose_list(cache, call, &shelf, key, job->guard);
        job->parts.listing =
            fmm_directory_add(&shelf, &value, FMM_LIST_COMING);
        fmm_directory_release(&shelf);
    }
    return status;
}

void
fmm_parts_finish(struct fmm_cache *cache, const struct fmm_call *call,
                 const struct fmm_parts_job *job, bool stored)
{
    struct fmm_shelf shelf;
    if (!stored) {
        fmm_parts_drop(cache, call, job->guard, &job->parts);
    }
    else if (take_shelf(cache, call, &shelf) == FMM_OK) {
        if (fmm_directory_list(&shelf, &job->parts) == FMM_LIST_COMING) {
            fmm_directory_move(&shelf, job->parts.listing,
                               (enum fmm_list)job->list);
        }
        fmm_directory_release(&shelf);
    }
}

/* ----------------------------------------------------------------- room */

/* Values in parts leave for a new one, as far as the file is theirs, and small
 * entries at the tails of their rings. */
static void
charge(struct fmm_cache *cache, const struct fmm_call *call,
       struct fmm_parts_job *job)
{
    struct fmm_directory *d = fmm_directory_of(cache->base, &cache->geometry);
    const struct fmm_call once = {.now_ms = call->now_ms};
    struct fmm_room room;
    fmm_parts_drop_gone(cache, &once, job->guard);
    fmm_room_look(cache, &room);
    uint64_t lack = fmm_room_lack(&room, job->left);
    uint64_t share = LARGE_BIAS * (room.large / 1024);
    uint64_t owed = fmm_min(lack * share / (room.live / 1024 + 1), lack);
    job->press = lack - owed;
    fmm_directory_owe(d, owed);
    fmm_parts_pay_debt(cache, call, job->guard, job->left);
}

/* ---------------------------------------------------------------- parts */

/* The pages that one part has been tried on. */
struct round {
    uint64_t tried; /* a bit for each, from the first on */
    uint32_t first, count;
    uint32_t number; /* the page that it is tried on */
};

/* Go on to the page with the most room of those that were not tried. */
static bool
next_page(const struct fmm_cache *cache, struct round *round, uint64_t least)
{
    uint64_t most = least; /* 0: any will do */
    uint32_t best = round->count;
    for (uint32_t i = 0; i < round->count; i++) {
        uint32_t n = (round->first + i) % cache->geometry.num_pages;
        uint64_t room = fmm_room_of_page(cache, n);
        if ((round->tried >> i & 1u) == 0 && room >= most) {
            most = room + 1;
            best = i;
            round->number = n;
        }
    }
    if (best == round->count) {
        return false;
    }
    round->tried |= UINT64_C(1) << best;
    return true;
}

/* On a page that is held, by the caller or by us. */
static enum fmm_status
insert_part(struct fmm_cache *cache, const struct fmm_call *call,
            const struct fmm_part_source *part, uint32_t number,
            const struct fmm_guard *guard, struct fmm_ticket *ticket,
            uint64_t *taken)
{
    const struct fmm_call once = {.now_ms = call->now_ms};
    struct fmm_hold hold;
    enum fmm_status status =
        fmm_hold_reach(cache, &once, guard, number, &hold);
    if (status != FMM_OK) {
        return status;
    }
    status = fmm_insert_part(&hold.page, part, call->now_ms, ticket, taken);
    if (FMM_UNLIKELY(status == FMM_ERR_CORRUPT)) {
        fmm_hold_repair(&hold.page);
        status = FMM_NO_ROOM; /* another page will do */
    }
    fmm_hold_leave(&hold, guard);
    return status;
}

static enum fmm_status
store_on_page(struct fmm_cache *cache, const struct fmm_call *call,
              struct fmm_parts_job *job, uint32_t number,
              struct fmm_ticket *ticket)
{
    struct fmm_part_key key;
    uint64_t taken = 0;
    fmm_parts_key(cache, &job->parts, job->parts.count, number, &key);
    const struct fmm_store_options store = {.has_modseq = true,
                                            .modseq = job->parts.page};
    const struct fmm_part_source part = {
        .key = &key.key,
        .value = job->value,
        .store = &store,
        .left = job->left,
        .press = job->press,
        .least = fmm_geometry_min_part(&cache->geometry, job->value->len),
        .stored_at = (uint32_t)fmm_hold_seconds(cache, call->now_ms),
    };
    enum fmm_status status =
        insert_part(cache, call, &part, number, job->guard, ticket, &taken);
    if (status == FMM_OK) {
        job->left -= taken;
        job->press -= fmm_min(job->press, taken);
        job->parts.count++;
        job->parts.page = number;
        fmm_directory_note(cache->base, &cache->geometry, &job->parts);
    }
    return status;
}

/* One part, on the first page that has a hole for it. Pages that are busy are
 * waited for only where no other has. */
static enum fmm_status
store_part(struct fmm_cache *cache, const struct fmm_call *call,
           const struct fmm_key *key, struct fmm_parts_job *job,
           struct fmm_ticket *ticket)
{
    uint32_t pages = cache->geometry.num_pages;
    struct round round = {.first = (key->page + 1 + job->parts.count) % pages,
                          .count = (uint32_t)fmm_min(pages, PAGES_TRIED)};
    uint64_t least = fmm_geometry_min_part(&cache->geometry, job->value->len);
    least = job->press < least ? least : 0;
    enum fmm_status status = FMM_NO_ROOM;
    const struct fmm_call once = {.now_ms = call->now_ms};
    bool busy = false;
    while (status == FMM_NO_ROOM && next_page(cache, &round, least)) {
        ticket->displaced.count = 0;
        status = store_on_page(cache, call, job, round.number, ticket);
        fmm_displaced_drop(cache, &once, job->guard, &ticket->displaced);
        if (status == FMM_BUSY) {
            job->page = round.number;
            busy = true;
            status = FMM_NO_ROOM;
        }
    }
    return status == FMM_NO_ROOM && busy ? FMM_BUSY : status;
}

/* Drop what belongs to no value, on the pages that are not busy. */
FMM_COLD static void
sweep(struct fmm_cache *cache, const struct fmm_call *call)
{
    const struct fmm_call once = {.now_ms = call->now_ms};
    struct fmm_hold hold;
    for (uint32_t n = 0; n < cache->geometry.num_pages; n++) {
        if (fmm_hold_take(cache, &once, n, &hold) == FMM_OK) {
            fmm_leave_orphans(&hold.page, call->now_ms);
            fmm_hold_release(&hold);
        }
    }
}

/* Some more room: what is dead first, then of the values in parts, then of what
 * is small. */
static bool
make_room(struct fmm_cache *cache, const struct fmm_call *call,
          struct fmm_parts_job *job, uint32_t forced)
{
    if (forced == 0) {
        sweep(cache, call);
        return true;
    }
    if (forced < FORCED_MAX && fmm_parts_evict(cache, call, job->guard)) {
        return true;
    }
    bool pressed = job->press >= job->left;
    /* What a last small part takes around it is more than its bytes. */
    job->press = job->left + fmm_geometry_min_part(&cache->geometry, 0);
    return !pressed;
}

/* Wait for a page that is busy, as long as the caller has time for it. */
static bool
await_page(struct fmm_cache *cache, const struct fmm_call *call,
           uint32_t number)
{
    struct fmm_hold hold;
    bool had = call->wait_ms != 0 &&
               fmm_hold_take(cache, call, number, &hold) == FMM_OK;
    if (had) {
        fmm_hold_release(&hold);
    }
    return had;
}

static enum fmm_status
store_parts(struct fmm_cache *cache, const struct fmm_call *call,
            const struct fmm_key *key, struct fmm_parts_job *job,
            struct fmm_ticket *ticket)
{
    enum fmm_status status = FMM_OK;
    uint32_t forced = 0;
    while (job->left != 0 && status == FMM_OK) {
        status = store_part(cache, call, key, job, ticket);
        /* Who holds a page may be waited for by whom it would wait for. */
        bool no_way =
            status == FMM_NO_ROOM ||
            (status == FMM_BUSY && job->guard != NULL && forced < FORCED_MAX);
        if ((no_way && make_room(cache, call, job, forced++)) ||
            (status == FMM_BUSY && await_page(cache, call, job->page))) {
            status = FMM_OK;
        }
    }
    return status;
}

static enum fmm_status
begin(struct fmm_cache *cache, const struct fmm_call *call,
      const struct fmm_key *key, struct fmm_parts_job *job)
{
    job->parts = (struct fmm_parts){.id = {0, key->hash}};
    job->left = job->value->len;
    job->page = key->page;
    if (!fmm_process_random(&job->parts.id[FMM_PART_RANDOM],
                            sizeof(job->parts.id[FMM_PART_RANDOM]))) {
        return FMM_ERR_OS;
    }
    charge(cache, call, job);
    enum fmm_status status = list_coming(cache, call, key, job);
    while (status == FMM_OK && job->parts.listing == 0) {
        status = fmm_parts_evict(cache, call, job->guard)
                     ? list_coming(cache, call, key, job)
                     : FMM_NO_ROOM;
    }
    job->parts.length = status == FMM_OK ? job->value->len : 0;
    return status;
}

/* All steps, from where an earlier call stopped. */
static enum fmm_status
go_on(struct fmm_cache *cache, const struct fmm_call *call,
      const struct fmm_key *key, struct fmm_parts_job *job,
      struct fmm_ticket *ticket)
{
    enum fmm_status status =
        job->parts.length != 0 ? FMM_OK : begin(cache, call, key, job);
    if (status == FMM_OK) {
        status = store_parts(cache, call, key, job, ticket);
    }
    if (status == FMM_OK &&
        fmm_parts_read(cache, call, &job->parts, NULL) == FMM_MISS) {
        status = FMM_NO_ROOM; /* one was evicted meanwhile */
    }
    return status;
}

enum fmm_status
fmm_parts_store(struct fmm_cache *cache, const struct fmm_call *call,
                const struct fmm_key *key, struct fmm_parts_job *job,
                struct fmm_ticket *ticket_out)
{
    enum fmm_status status = FMM_RETIRED;
    ticket_out->displaced.count = 0;
    if (!fmm_parts_needed(cache, key, job->value->len)) {
        return FMM_NO_ROOM;
    }
    if (!fmm_file_retired(cache)) {
        status = go_on(cache, call, key, job, ticket_out);
    }
    if (status == FMM_NO_ROOM || status < 0) {
        fmm_parts_finish(cache, call, job, false);
    }
    if (status == FMM_RETIRED) {
        job->parts.length = 0; /* all of it, in the file that took its place */
    }
    return status;
}
