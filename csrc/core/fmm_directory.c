#include "fmm_directory.h"

#include "fmm_lock.h"

#define GHOST_WAYS 4u
#define GHOSTS_LEAST 64u
#define STEPS_MAX 64u /* of the hand, in one call */

/* ---------------------------------------------------------------- lists */

/* A number from the map, read once; what cannot be is the end of the list of
 * free ones. */
static uint32_t
link_of(const struct fmm_shelf *shelf, const uint32_t *at)
{
    uint32_t number = __atomic_load_n(at, __ATOMIC_RELAXED);
    return number < shelf->count ? number : FMM_LIST_FREE;
}

static uint32_t
list_of(const struct fmm_listing *listing)
{
    uint32_t list = __atomic_load_n(&listing->list, __ATOMIC_RELAXED);
    return list < FMM_LISTS ? list : FMM_LIST_FREE;
}

static void
append(const struct fmm_shelf *shelf, uint32_t number, uint32_t list)
{
    struct fmm_listing *all = shelf->listings;
    uint32_t newest = link_of(shelf, &all[list].previous);
    all[number].previous = newest;
    all[number].next = list;
    /* Pairs with the acquire in fmm_directory_is_coming(). */
    __atomic_store_n(&all[number].list, list, __ATOMIC_RELEASE);
    all[newest].next = number;
    all[list].previous = number;
    shelf->directory->bytes[list] += all[number].length;
    shelf->directory->values[list]++;
}

/* Whether its neighbours name it. */
static bool
is_linked(const struct fmm_shelf *shelf, uint32_t number)
{
    const struct fmm_listing *all = shelf->listings;
    uint32_t next = link_of(shelf, &all[number].next);
    uint32_t previous = link_of(shelf, &all[number].previous);
    return link_of(shelf, &all[next].previous) == number &&
           link_of(shelf, &all[previous].next) == number;
}

static void
remove_from(const struct fmm_shelf *shelf, uint32_t number)
{
    struct fmm_listing *all = shelf->listings;
    uint32_t list = list_of(&all[number]);
    uint32_t next = link_of(shelf, &all[number].next);
    uint32_t previous = link_of(shelf, &all[number].previous);
    all[next].previous = previous;
    all[previous].next = next;
    shelf->directory->bytes[list] -= all[number].length;
    shelf->directory->values[list]--;
}

/* From what each listing says of itself. */
FMM_COLD static void
build(const struct fmm_shelf *shelf)
{
    struct fmm_listing *all = shelf->listings;
    shelf->directory->built = 0;
    for (uint32_t list = 0; list < FMM_LISTS; list++) {
        all[list] =
            (struct fmm_listing){.next = list, .previous = list, .list = list};
        shelf->directory->bytes[list] = 0;
        shelf->directory->values[list] = 0;
    }
    for (uint32_t n = FMM_LISTS; n < shelf->count; n++) {
        append(shelf, n, list_of(&all[n]));
    }
    shelf->directory->built = 1;
}

/* ------------------------------------------------------------ the shelf */

enum fmm_status
fmm_directory_take(struct fmm_client *client,
                   const struct fmm_geometry *geometry, int64_t wait_ms,
                   struct fmm_shelf *out)
{
    struct fmm_directory *directory = fmm_directory_of(client->base, geometry);
    struct fmm_lock_result result;
    *out = (struct fmm_shelf){
        .directory = directory,
        .listings = (void *)(directory + 1),
        .count = geometry->listings,
        .owner = fmm_client_owner(client),
    };
    if (FMM_UNLIKELY(out->owner == 0)) {
        return fmm_client_refusal(client);
    }
    enum fmm_status status =
        fmm_lock_take(&directory->lock, out->owner, client, wait_ms, &result);
    if (status == FMM_OK && (result.owner_died || directory->built != 1)) {
        build(out);
    }
    return status;
}

void
fmm_directory_release(const struct fmm_shelf *shelf)
{
    fmm_lock_release(&shelf->directory->lock, shelf->owner);
}

uint32_t
fmm_directory_oldest(const struct fmm_shelf *shelf, enum fmm_list list)
{
    const uint32_t *next = &shelf->listings[list].next;
    uint32_t oldest = link_of(shelf, next);
    if (FMM_UNLIKELY(list_of(&shelf->listings[oldest]) != list)) {
        build(shelf); /* two lists in one ring: nobody would come to an end */
        oldest = link_of(shelf, next);
    }
    return oldest >= FMM_LISTS ? oldest : 0;
}

/* Lists that do not hang together are made anew first. */
void
fmm_directory_move(const struct fmm_shelf *shelf, uint32_t number,
                   enum fmm_list list)
{
    if (FMM_UNLIKELY(!is_linked(shelf, number) || !is_linked(shelf, list))) {
        build(shelf);
    }
    remove_from(shelf, number);
    append(shelf, number, list);
}

uint32_t
fmm_directory_add(const struct fmm_shelf *shelf,
                  const struct fmm_listing *value, enum fmm_list list)
{
    uint32_t number = fmm_directory_oldest(shelf, FMM_LIST_FREE);
    if (number == 0) {
        return 0;
    }
    fmm_directory_move(shelf, number, FMM_LIST_FREE); /* whole from here on */
    struct fmm_listing *listing = &shelf->listings[number];
    shelf->directory->bytes[FMM_LIST_FREE] += value->length - listing->length;
    memcpy(listing->id, value->id, sizeof(listing->id));
    listing->length = value->length;
    listing->listed_at = value->listed_at;
    listing->count = 0;
    listing->owner = shelf->owner;
    fmm_directory_set_expiry(shelf, number, value->expire_at);
    fmm_directory_move(shelf, number, list);
    return number;
}

void
fmm_directory_note(unsigned char *base, const struct fmm_geometry *geometry,
                   const struct fmm_parts *parts)
{
    void *at = fmm_directory_of(base, geometry) + 1;
    struct fmm_listing *listing = at;
    uint32_t number = parts->listing;
    if (number >= FMM_LISTS && number < geometry->listings) {
        __atomic_store_n(&listing[number].page, parts->page, __ATOMIC_RELAXED);
        __atomic_store_n(&listing[number].count, parts->count,
                         __ATOMIC_RELAXED);
    }
}

bool
fmm_directory_is_coming(unsigned char *base,
                        const struct fmm_geometry *geometry,
                        const unsigned char *part)
{
    void *at = fmm_directory_of(base, geometry) + 1;
    const struct fmm_listing *listings = at;
    uint64_t id[2];
    uint32_t number;
    fmm_copy_out(id, part, sizeof(id));
    fmm_copy_out(&number, part + FMM_PART_LISTING, sizeof(number));
    if (number < FMM_LISTS || number >= geometry->listings) {
        return false;
    }
    const struct fmm_listing *listing = &listings[number];
    /* Pairs with the release in append(): what left the list has its manifest. */
    return fmm_count_load(&listing->id[0]) == id[0] &&
           fmm_count_load(&listing->id[1]) == id[1] &&
           __atomic_load_n(&listing->list, __ATOMIC_ACQUIRE) ==
               FMM_LIST_COMING;
}

struct fmm_parts
fmm_directory_parts(const struct fmm_shelf *shelf, uint32_t number)
{
    const struct fmm_listing *listing = &shelf->listings[number];
    return (struct fmm_parts){
        .id = {listing->id[0], listing->id[1]},
        .length = listing->length,
        .page = __atomic_load_n(&listing->page, __ATOMIC_RELAXED),
        .count = __atomic_load_n(&listing->count, __ATOMIC_RELAXED),
        .listing = number,
    };
}

enum fmm_list
fmm_directory_list(const struct fmm_shelf *shelf,
                   const struct fmm_parts *parts)
{
    uint32_t number = parts->listing;
    const struct fmm_listing *listing = &shelf->listings[number];
    bool same = number >= FMM_LISTS && number < shelf->count &&
                listing->id[0] == parts->id[0] &&
                listing->id[1] == parts->id[1] && listing->list < FMM_LISTS;
    return same ? (enum fmm_list)listing->list : FMM_LIST_FREE;
}

void
fmm_directory_forget(struct fmm_client *client,
                     const struct fmm_geometry *geometry,
                     const struct fmm_parts *parts)
{
    struct fmm_shelf shelf;
    if (fmm_directory_take(client, geometry, 0, &shelf) != FMM_OK) {
        return;
    }
    if (fmm_directory_list(&shelf, parts) != FMM_LIST_FREE) {
        fmm_directory_note(client->base, geometry, parts);
        fmm_directory_move(&shelf, parts->listing,
                           parts->count == 0 ? FMM_LIST_FREE : FMM_LIST_GONE);
    }
    fmm_directory_release(&shelf);
}

/* --------------------------------------------------------------- expiry */

static void
lower(uint64_t *word, uint64_t expire_at)
{
    if (expire_at != 0 && (*word == 0 || expire_at < *word)) {
        *word = expire_at;
    }
}

void
fmm_directory_set_expiry(const struct fmm_shelf *shelf, uint32_t number,
                         uint64_t expire_at)
{
    shelf->listings[number].expire_at = expire_at;
    lower(&shelf->directory->earliest, expire_at);
    lower(&shelf->directory->passed, expire_at);
}

/* The lap is over: the earliest is what it has passed, or came since. */
static void
end_lap(struct fmm_directory *d)
{
    d->earliest = d->passed;
    d->passed = 0;
    d->hand = 0;
}

static uint64_t
expiry_of(const struct fmm_listing *listing)
{
    bool listed =
        listing->list == FMM_LIST_NEW || listing->list == FMM_LIST_MAIN;
    return listed ? listing->expire_at : 0;
}

uint32_t
fmm_directory_expired(const struct fmm_shelf *shelf, uint64_t now_ms)
{
    struct fmm_directory *d = shelf->directory;
    uint64_t number = fmm_max(d->hand, FMM_LISTS);
    if (d->earliest == 0 || d->earliest > now_ms) {
        return 0;
    }
    for (uint32_t i = 0; i < STEPS_MAX; i++, number++) {
        if (number >= shelf->count) {
            end_lap(d);
            return 0;
        }
        uint64_t expire_at = expiry_of(&shelf->listings[number]);
        lower(&d->passed, expire_at);
        d->hand = number + 1;
        if (expire_at != 0 && expire_at <= now_ms) {
            return (uint32_t)number;
        }
    }
    return 0;
}

/* --------------------------------------------------------------- ghosts */

/* They lie in sets among the listings, and have nothing to do with those. */
static struct fmm_listing *
ghosts_of(const struct fmm_shelf *shelf, uint64_t hash)
{
    uint32_t sets = shelf->count / GHOST_WAYS;
    return &shelf->listings[(hash >> 32) % sets * GHOST_WAYS];
}

void
fmm_directory_add_ghost(const struct fmm_shelf *shelf, uint64_t hash)
{
    struct fmm_listing *set = ghosts_of(shelf, hash), *oldest = set;
    uint32_t turn = (uint32_t)++shelf->directory->left;
    for (uint32_t i = 1; i < GHOST_WAYS; i++) {
        bool older = turn - set[i].ghost_turn > turn - oldest->ghost_turn;
        oldest = older ? &set[i] : oldest;
    }
    oldest->ghost_hash = (uint32_t)hash;
    oldest->ghost_turn = turn;
}

bool
fmm_directory_has_ghost(const struct fmm_shelf *shelf, uint64_t hash)
{
    const struct fmm_directory *d = shelf->directory;
    const struct fmm_listing *set = ghosts_of(shelf, hash);
    uint64_t values = d->values[FMM_LIST_NEW] + d->values[FMM_LIST_MAIN];
    for (uint32_t i = 0; i < GHOST_WAYS; i++) {
        uint32_t since = (uint32_t)d->left - set[i].ghost_turn;
        if (set[i].ghost_hash == (uint32_t)hash && set[i].ghost_turn != 0 &&
            since < fmm_max(values, GHOSTS_LEAST)) {
            return true;
        }
    }
    return false;
}

/* ----------------------------------------------------------------- debt */

uint64_t
fmm_directory_bytes(const struct fmm_directory *directory)
{
    return fmm_count_load(&directory->bytes[FMM_LIST_NEW]) +
           fmm_count_load(&directory->bytes[FMM_LIST_MAIN]) +
           fmm_count_load(&directory->bytes[FMM_LIST_GONE]);
}

void
fmm_directory_owe(struct fmm_directory *directory, uint64_t bytes)
{
    atomic_fetch_add_explicit(&directory->debt, bytes, memory_order_relaxed);
}

void
fmm_directory_settle(struct fmm_directory *directory, uint64_t bytes)
{
    uint64_t debt = fmm_directory_debt(directory);
    while (!atomic_compare_exchange_weak_explicit(
        &directory->debt, &debt, debt - fmm_min(debt, bytes),
        memory_order_relaxed, memory_order_relaxed)) {
    }
}
