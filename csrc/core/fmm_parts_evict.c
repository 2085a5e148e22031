#include "fmm_parts_evict.h"

#include "fmm_directory.h"
#include "fmm_hash.h"
#include "fmm_manifest.h"
#include "fmm_parts.h"
#include "fmm_room.h"

#define EVICTIONS_MAX 256u /* values that leave in one call */
#define TURNS_MAX 64u      /* values that one call looks at */
#define NEW_SHARE 5u       /* of what is listed one part in so many is new */
#define PRICE 4u
#define PRICE_MAX 12u
#define PLENTY_SHARE 8u    /* of all rings: with so much free nobody leaves */
#define COMING_SECONDS 60u /* a manifest may be so late */

enum verdict {
    GOES,    /* its manifest was dropped */
    STAYS,   /* with a second life */
    WAITS,   /* as it is */
    IS_GONE, /* it has no manifest any more */
    NOBODY   /* nobody is there to be judged */
};

/* What one call looks at, and the parts of what goes. */
struct search {
    struct fmm_cache *cache;
    const struct fmm_call *call;
    const struct fmm_guard *guard; /* a page that the caller holds, or NULL */
    struct fmm_shelf shelf;
    struct fmm_parts parts;
    uint64_t most;    /* bytes that may go */
    uint64_t turned;  /* bytes of those that had their turn and stay */
    uint64_t average; /* of an entry of any size */
};

/* A second life costs by size, in units of the file's average entry, and never
 * more than two hits earn: what is asked for that often stays, however large. */
static uint32_t
price_of(const struct search *search, uint64_t length)
{
    uint64_t price = PRICE * length / fmm_max(search->average, 1);
    return (uint32_t)fmm_min(fmm_max(price, 1), PRICE_MAX);
}

static void
let_go(const struct fmm_page *page, const struct fmm_found *found,
       bool expired)
{
    struct fmm_control *control = page->control;
    fmm_page_clear_slot(page, found);
    fmm_count_add(expired ? &control->expirations : &control->evictions, 1);
}

/* Whether its manifest should be there by now: whoever was to store it is dead,
 * or had all the time. */
static bool
is_late(const struct search *search, uint32_t number)
{
    const struct fmm_listing *listing = &search->shelf.listings[number];
    uint64_t now = fmm_hold_seconds(search->cache, search->call->now_ms);
    uint64_t since = now - fmm_min(listing->listed_at, now);
    return since >= COMING_SECONDS ||
           (listing->owner != search->shelf.owner &&
            !fmm_client_lives(&search->cache->client, listing->owner));
}

/* With its page held. `aged`: only if it has expired. */
static enum verdict
judge_manifest(struct search *search, const struct fmm_page *page,
               uint32_t number, bool aged)
{
    const struct fmm_shelf *shelf = &search->shelf;
    const struct fmm_listing *listing = &shelf->listings[number];
    uint64_t now_ms = search->call->now_ms;
    struct fmm_found found;
    if (!fmm_manifest_find(page, &search->parts, &found)) {
        return is_late(search, number) ? IS_GONE : WAITS;
    }
    fmm_word32 *hint = &page->index.hints[found.slot];
    bool expired = fmm_entry_expired(&found.entry, now_ms);
    fmm_directory_set_expiry(shelf, number, found.entry.expire_at);
    if (fmm_entry_leased(&found.entry, now_ms) ||
        (found.word & FMM_SLOT_DIRTY) != 0 || (aged && !expired)) {
        return WAITS;
    }
    uint32_t price = price_of(search, listing->length);
    if (!expired && fmm_hint_credit(hint) >= price) {
        fmm_hint_pay(hint, price);
        return STAYS;
    }
    if (!expired && listing->list == FMM_LIST_NEW) {
        fmm_directory_add_ghost(shelf, found.entry.hash);
    }
    let_go(page, &found, expired);
    return GOES;
}

static enum verdict
judge(struct search *search, uint32_t number, bool aged)
{
    const struct fmm_call once = {.now_ms = search->call->now_ms};
    const uint64_t *id = search->shelf.listings[number].id;
    struct fmm_cache *cache = search->cache;
    struct fmm_hold hold;
    search->parts = fmm_directory_parts(&search->shelf, number);
    uint32_t page =
        fmm_hash_page(id[FMM_PART_HASH], cache->geometry.num_pages);
    if (fmm_hold_reach(cache, &once, search->guard, page, &hold) != FMM_OK) {
        return WAITS;
    }
    enum verdict verdict = judge_manifest(search, &hold.page, number, aged);
    fmm_hold_leave(&hold, search->guard);
    return verdict;
}

/* What a killed writer left, or what has expired, as far as it is known. */
static uint32_t
choose_dead(const struct search *search)
{
    uint32_t coming = fmm_directory_oldest(&search->shelf, FMM_LIST_COMING);
    return coming != 0 && is_late(search, coming)
               ? coming
               : fmm_directory_expired(&search->shelf, search->call->now_ms);
}

/* The oldest of the list whose turn it is. */
static uint32_t
choose(const struct search *search)
{
    const struct fmm_directory *d = search->shelf.directory;
    uint32_t number;
    bool new = d->bytes[FMM_LIST_NEW] > fmm_directory_bytes(d) / NEW_SHARE;
    number = fmm_directory_oldest(&search->shelf,
                                  new ? FMM_LIST_NEW : FMM_LIST_MAIN);
    return number != 0
               ? number
               : fmm_directory_oldest(&search->shelf,
                                      new ? FMM_LIST_MAIN : FMM_LIST_NEW);
}

static enum verdict
take_turn(struct search *search)
{
    const struct fmm_shelf *shelf = &search->shelf;
    uint32_t number = choose_dead(search);
    bool aged = number != 0;
    number = aged ? number : choose(search);
    if (number == 0 ||
        (!aged && shelf->listings[number].length > search->most)) {
        return NOBODY;
    }
    enum verdict verdict = judge(search, number, aged);
    enum fmm_list list = fmm_directory_list(shelf, &search->parts);
    if (verdict == GOES || verdict == IS_GONE) {
        list = FMM_LIST_GONE; /* until its parts have */
    }
    else if (verdict == STAYS || list == FMM_LIST_COMING) {
        list = FMM_LIST_MAIN;
    }
    if (verdict == STAYS || verdict == WAITS) {
        search->turned += search->parts.length;
    }
    fmm_directory_move(shelf, number, list);
    return verdict;
}

/* Give the oldest their turns, until one goes or `most` bytes have had theirs. */
static bool
evict(struct fmm_cache *cache, const struct fmm_call *call,
      const struct fmm_guard *guard, uint64_t most)
{
    struct search search = {
        .cache = cache, .call = call, .guard = guard, .most = most};
    enum verdict verdict = STAYS;
    struct fmm_room room;
    fmm_room_look(cache, &room);
    search.average = room.average;
    if (fmm_directory_take(&cache->client, &cache->geometry, call->wait_ms,
                           &search.shelf) != FMM_OK) {
        return false;
    }
    for (uint32_t i = 0; i < TURNS_MAX && search.turned < most &&
                         (verdict == STAYS || verdict == WAITS);
         i++) {
        verdict = take_turn(&search);
    }
    fmm_directory_release(&search.shelf);
    fmm_directory_settle(search.shelf.directory, search.turned);
    if (verdict != GOES && verdict != IS_GONE) {
        return false;
    }
    fmm_parts_drop(cache, call, guard, &search.parts);
    fmm_directory_settle(search.shelf.directory, search.parts.length);
    return true;
}

/* Another try for the parts of one that has left. False: there is none. */
static bool
drop_rest(struct fmm_cache *cache, const struct fmm_call *call,
          const struct fmm_guard *guard)
{
    struct fmm_parts rest = {.length = 0};
    struct fmm_shelf shelf;
    if (fmm_directory_take(&cache->client, &cache->geometry, 0, &shelf) ==
        FMM_OK) {
        uint32_t number = fmm_directory_oldest(&shelf, FMM_LIST_GONE);
        rest = fmm_directory_parts(&shelf, number);
        fmm_directory_release(&shelf);
    }
    fmm_parts_drop(cache, call, guard, &rest);
    return rest.length != 0;
}

FMM_COLD static void
drop_rests(struct fmm_cache *cache, const struct fmm_call *call,
           const struct fmm_guard *guard, uint64_t count)
{
    uint64_t left = fmm_min(count, EVICTIONS_MAX);
    while (left-- != 0 && drop_rest(cache, call, guard)) {
    }
}

void
fmm_parts_drop_gone(struct fmm_cache *cache, const struct fmm_call *call,
                    const struct fmm_guard *guard)
{
    const struct fmm_directory *d =
        fmm_directory_of(cache->base, &cache->geometry);
    uint64_t count = fmm_count_load(&d->values[FMM_LIST_GONE]);
    if (FMM_UNLIKELY(count != 0)) {
        drop_rests(cache, call, guard, count);
    }
}

void
fmm_parts_pay_debt(struct fmm_cache *cache, const struct fmm_call *call,
                   const struct fmm_guard *guard, uint64_t length)
{
    struct fmm_directory *d = fmm_directory_of(cache->base, &cache->geometry);
    struct fmm_room room;
    for (uint32_t i = 0; i < EVICTIONS_MAX; i++) {
        uint64_t debt = fmm_directory_debt(d);
        fmm_room_look(cache, &room);
        uint64_t plenty = 2 * length + room.all / PLENTY_SHARE;
        room.free = room.fullest; /* what is free elsewhere, small ones lack */
        if (fmm_room_lack(&room, plenty) == 0 || room.large == 0) {
            fmm_directory_settle(d, debt);
            return;
        }
        uint64_t most = debt < UINT64_MAX / 2 ? 2 * debt : debt;
        if (debt == 0 || !evict(cache, call, guard, most)) {
            return;
        }
    }
}

bool
fmm_parts_evict(struct fmm_cache *cache, const struct fmm_call *call,
                const struct fmm_guard *guard)
{
    return evict(cache, call, guard, UINT64_MAX);
}
