/* The first look at a sealed file in another boot: what is torn goes, all else
 * stays, and the page goes on working. */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmm_directory.h"
#include "fmm_reboot.h"
#include "fmm_seal.h"

#define PAGES 3u
#define BLOCK 4096u
#define KEYS 300u

static const struct fmm_options patient;

static struct fmm_cache *
sealed_cache(void)
{
    struct fmm_cache *cache = heap_cache(65536, PAGES, 64);
    fmm_seal_use(&cache->geometry, cache->seed);
    return cache;
}

static struct fmm_reboot
reboot(struct fmm_cache *cache)
{
    struct fmm_reboot found = {.entries = 0};
    CHECK_EQ(fmm_reboot_verify(cache->base, &cache->geometry, cache->seed,
                               &patient, &found),
             FMM_OK);
    check_pages(cache, true);
    return found;
}

static struct fmm_page
page_of(struct fmm_cache *cache, const char *name)
{
    struct fmm_page page;
    view_page(cache, text_key(cache, name).page, &page);
    REQUIRE(fmm_page_settle(&page));
    return page;
}

static struct fmm_found
find(struct fmm_cache *cache, const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_page page = page_of(cache, name);
    struct fmm_found found;
    REQUIRE(fmm_page_find(&page, &key, &found));
    return found;
}

static size_t
length_of(unsigned n)
{
    return n * 7 % 400;
}

static void
store_all(struct fmm_cache *cache, unsigned from, unsigned to)
{
    for (unsigned n = from; n < to; n++) {
        CHECK_EQ(set_filler(cache, name_of('k', n), length_of(n)), FMM_OK);
    }
}

/* How many of the keys are there, each with its own value. */
static unsigned
count_whole(struct fmm_cache *cache, unsigned to)
{
    unsigned whole = 0;
    for (unsigned n = 0; n < to; n++) {
        if (has(cache, name_of('k', n))) {
            CHECK(is_filler(cache, name_of('k', n), length_of(n)));
            whole++;
        }
    }
    return whole;
}

static void
go_on(struct fmm_cache *cache)
{
    store_all(cache, 0, 3 * KEYS);
    check_pages(cache, true);
}

static void
what_is_whole_stays(void)
{
    struct fmm_cache *cache = sealed_cache();
    store_all(cache, 0, KEYS);
    unsigned before = count_whole(cache, KEYS);
    uint64_t tail = page_of(cache, "k").ring[FMM_RING_S].tail;
    struct fmm_reboot found = reboot(cache);
    CHECK_EQ(found.dropped, 0);
    CHECK_EQ(found.pages, 0);
    CHECK_EQ(found.entries, before);
    CHECK_EQ(count_whole(cache, KEYS), before);
    CHECK_EQ(page_of(cache, "k").ring[FMM_RING_S].tail, tail);
    go_on(cache);
    heap_cache_free(cache);
}

/* As it was before, the value would be returned. */
static void
a_torn_value_goes_and_no_other(void)
{
    struct fmm_cache *cache = sealed_cache();
    store_all(cache, 0, KEYS);
    CHECK_EQ(set_text(cache, "torn", "a value of some length"), FMM_OK);
    unsigned before = count_whole(cache, KEYS);
    struct fmm_found found = find(cache, "torn");
    *(unsigned char *)(uintptr_t)found.entry.value ^= 1;
    CHECK(has(cache, "torn"));
    CHECK_EQ(fmm_reboot_look(cache->base, &cache->geometry, &patient),
             FMM_MISS);
    CHECK_EQ(reboot(cache).dropped, 1);
    CHECK_EQ(fmm_reboot_look(cache->base, &cache->geometry, &patient), FMM_OK);
    CHECK(!has(cache, "torn"));
    CHECK_EQ(count_whole(cache, KEYS), before);
    go_on(cache);
    heap_cache_free(cache);
}

/* Of two moments of the index: the key was removed from one slot, and stored
 * again in another. */
static void
of_two_entries_of_a_key_one_stays(void)
{
    struct fmm_cache *cache = sealed_cache();
    CHECK_EQ(set_text(cache, "twice", "old"), FMM_OK);
    struct fmm_found old = find(cache, "twice");
    CHECK_EQ(remove_text(cache, "twice"), FMM_OK);
    call.now_ms += 2 * SECOND;
    CHECK_EQ(set_text(cache, "twice", "new"), FMM_OK);
    struct fmm_page page = page_of(cache, "twice");
    struct fmm_found new = find(cache, "twice");
    uint32_t slot = new.slot ^ 1u;
    REQUIRE(fmm_index_word(&page.index, slot) == 0);
    fmm_index_publish(&page.index, slot, old.word);
    CHECK_EQ(reboot(cache).dropped, 1);
    CHECK(holds(cache, "twice", "new"));
    CHECK_EQ(remove_text(cache, "twice"), FMM_OK);
    CHECK(!has(cache, "twice"));
    heap_cache_free(cache);
}

/* Somebody who knows the key of the seals puts an entry into the value of
 * another one. */
static void
entries_do_not_overlap(void)
{
    struct fmm_cache *cache = sealed_cache();
    uint64_t seal_key = cache->geometry.seal_key;
    CHECK_EQ(set_filler(cache, "outer", 400), FMM_OK);
    struct fmm_found outer = find(cache, "outer");
    unsigned n = 0;
    while (text_key(cache, name_of('i', n)).page !=
           text_key(cache, "outer").page) {
        n++;
    }
    CHECK_EQ(set_text(cache, name_of('i', n), "inner"), FMM_OK);
    struct fmm_found inner = find(cache, name_of('i', n));
    struct fmm_page page = page_of(cache, "outer");
    uint64_t offset = outer.offset + 80;
    unsigned char *at = page.ring[outer.ring].base + offset;
    memcpy(at, inner.entry.at, inner.entry.total);
    fmm_seal_move(at, inner.entry.total, seal_key,
                  fmm_seal_place(page.number, inner.ring, inner.offset),
                  fmm_seal_place(page.number, outer.ring, offset));
    fmm_seal_set(&outer.entry, seal_key,
                 fmm_seal_place(page.number, outer.ring, outer.offset));
    fmm_index_publish(
        &page.index, inner.slot,
        fmm_slot_word(inner.entry.hash, outer.ring, offset, false));
    CHECK_EQ(reboot(cache).dropped, 1);
    CHECK(has(cache, "outer"));
    CHECK(!has(cache, name_of('i', n)));
    go_on(cache);
    heap_cache_free(cache);
}

/* The bytes of an entry, seal and all, somewhere else: as a value that somebody
 * chose could have them. */
static void
an_entry_that_lies_elsewhere_is_none(void)
{
    struct fmm_cache *cache = sealed_cache();
    CHECK_EQ(set_filler(cache, "victim", 400), FMM_OK);
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    struct fmm_found key = find(cache, "key");
    struct fmm_page page = page_of(cache, "key");
    const struct fmm_ring *ring = &page.ring[key.ring];
    uint64_t offset = fmm_ring_offset(ring, ring->head) + 64;
    memcpy(ring->base + offset, key.entry.at, key.entry.total);
    fmm_index_publish(&page.index, key.slot,
                      fmm_slot_word(key.entry.hash, key.ring, offset, false));
    CHECK_EQ(reboot(cache).dropped, 1);
    CHECK(!has(cache, "key"));
    heap_cache_free(cache);
}

static void
rings_are_joined_again(void)
{
    struct fmm_cache *cache = sealed_cache();
    store_all(cache, 0, KEYS);
    unsigned before = count_whole(cache, KEYS);
    for (uint32_t n = 0; n < PAGES; n++) {
        struct fmm_page page;
        view_page(cache, n, &page);
        for (uint32_t id = 0; id < 2; id++) {
            uint64_t bad = n == 0 ? UINT64_MAX : n == 1 ? 0 : 24;
            atomic_store(&page.control->head[id], bad);
            atomic_store(&page.control->tail[id], bad);
        }
    }
    CHECK_EQ(reboot(cache).pages, PAGES);
    CHECK_EQ(count_whole(cache, KEYS), before);
    go_on(cache);
    CHECK(count_whole(cache, 3 * KEYS) >= before);
    heap_cache_free(cache);
}

/* A length in the chain is of another moment: what lies behind it is found all
 * the same. */
static void
a_broken_chain_costs_one_entry(void)
{
    struct fmm_cache *cache = sealed_cache();
    store_all(cache, 0, 200);
    unsigned before = count_whole(cache, 200);
    struct fmm_found found = find(cache, name_of('k', 100));
    fmm_store_shared((unsigned char *)(uintptr_t)found.entry.at,
                     found.entry.total + 8);
    struct fmm_reboot after = reboot(cache);
    CHECK_EQ(after.dropped, 1);
    CHECK_EQ(after.pages, 1);
    CHECK_EQ(count_whole(cache, 200), before - 1);
    go_on(cache);
    heap_cache_free(cache);
}

static void
nobody_holds_anything_any_more(void)
{
    struct fmm_cache *cache = sealed_cache();
    struct fmm_key key = text_key(cache, "bare");
    struct fmm_ticket ticket;
    struct fmm_lease lease;
    struct fmm_directory *directory =
        fmm_directory_of(cache->base, &cache->geometry);
    CHECK_EQ(take_lease(cache, &key, 1000000, false, &lease, &ticket), FMM_OK);
    atomic_store(&page_of(cache, "bare").control->lock, dead_owner());
    atomic_store(&directory->lock, dead_owner());
    uint64_t generation = page_of(cache, "bare").control->generation;
    struct fmm_reboot found;
    CHECK_EQ(fmm_reboot_verify(cache->base, &cache->geometry, cache->seed,
                               &patient, &found),
             FMM_OK);
    CHECK_EQ(found.dropped, 0);
    CHECK_EQ(atomic_load(&page_of(cache, "bare").control->lock), 0);
    CHECK_EQ(atomic_load(&directory->lock), 0);
    CHECK_EQ(stats_of(cache).entries, 0);
    CHECK_EQ(take_lease(cache, &key, 1000, false, &lease, &ticket), FMM_OK);
    CHECK(page_of(cache, "bare").control->generation >= generation + 1000000);
    CHECK_EQ(page_of(cache, "bare").control->departed, 1);
    heap_cache_free(cache);
}

static void
a_lease_on_a_value_ends(void)
{
    struct fmm_cache *cache = sealed_cache();
    const struct fmm_value value = text_value("result");
    struct fmm_key key = text_key(cache, "computed");
    struct fmm_ticket ticket;
    struct fmm_lease lease;
    CHECK_EQ(take_lease(cache, &key, 1000, false, &lease, &ticket), FMM_OK);
    const struct fmm_lease_store store = {.token = lease.token,
                                          .leasable = true};
    CHECK_EQ(fmm_lease_value(cache, &call, &key, &value, &store, &ticket),
             FMM_OK);
    CHECK_EQ(take_lease(cache, &key, 100000, true, &lease, &ticket), FMM_OK);
    CHECK_EQ(reboot(cache).dropped, 0);
    CHECK(holds(cache, "computed", "result"));
    struct fmm_found found = find(cache, "computed");
    fmm_entry_lease(&found.entry, &lease);
    CHECK_EQ(lease.token, 0);
    heap_cache_free(cache);
}

/* What the store has is not known: so it hears of the removal. */
static void
a_changed_value_is_offered_again(void)
{
    struct fmm_cache *cache = sealed_cache();
    const struct fmm_store_options dirty = {.dirty = true};
    const struct fmm_removal plainly = {.has_modseq = false};
    struct fmm_key key = text_key(cache, "changed");
    struct fmm_ticket ticket;
    enum fmm_due due;
    CHECK_EQ(set_text_as(cache, "changed", "value", &dirty), FMM_OK);
    CHECK(find(cache, "changed").word & FMM_SLOT_FRESH);
    CHECK_EQ(reboot(cache).dirty, 1);
    uint64_t word = find(cache, "changed").word;
    CHECK(word & FMM_SLOT_DIRTY);
    CHECK(!(word & FMM_SLOT_FRESH));
    CHECK_EQ(fmm_remove(cache, &call, &key, &plainly, &due, &ticket), FMM_OK);
    CHECK_EQ(due, FMM_DUE_MARKED);
    CHECK_EQ(reboot(cache).dirty, 1);
    CHECK(!has(cache, "changed"));
    heap_cache_free(cache);
}

/* -------------------------------------------------------- values in parts */

static unsigned char large[40000];

static void
store_large(struct fmm_cache *cache, const char *name)
{
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    const struct fmm_value value = {
        .data = large, .len = sizeof(large), .type = 2};
    struct fmm_parts_job split = {.value = &value};
    struct fmm_key key = text_key(cache, name);
    struct fmm_ticket ticket;
    const struct fmm_value head = {.data = &split.parts,
                                   .len = sizeof(split.parts),
                                   .type = 2,
                                   .split = true,
                                   .file = fmm_serial(cache)};
    CHECK_EQ(fmm_parts_store(cache, &call, &key, &split, &ticket), FMM_OK);
    CHECK_EQ(fmm_set(cache, &call, &key, &head, &plainly, &ticket), FMM_OK);
    fmm_parts_finish(cache, &call, &split, true);
}

static bool
holds_large(struct fmm_cache *cache, const char *name)
{
    static unsigned char buffer[sizeof(large)];
    struct fmm_key key = text_key(cache, name);
    struct fmm_meta meta;
    return fmm_get(cache, &call, &key, buffer, sizeof(buffer), &meta) ==
               FMM_OK &&
           meta.value_len == sizeof(large) &&
           memcmp(buffer, large, sizeof(large)) == 0;
}

/* The directory is of another moment: it is made of what there is. */
static void
a_value_in_parts_is_listed_again(void)
{
    struct fmm_cache *cache = sealed_cache();
    memset(large, 'x', sizeof(large));
    store_large(cache, "large");
    CHECK(holds_large(cache, "large"));
    struct fmm_directory *directory =
        fmm_directory_of(cache->base, &cache->geometry);
    memset(directory, 0,
           sizeof(*directory) +
               cache->geometry.listings * sizeof(struct fmm_listing));
    CHECK_EQ(reboot(cache).dropped, 0);
    CHECK(holds_large(cache, "large"));
    struct fmm_found found = find(cache, "large");
    struct fmm_parts parts;
    struct fmm_shelf shelf;
    fmm_entry_parts(&found.entry, &parts);
    REQUIRE(fmm_directory_take(&cache->client, &cache->geometry, 0, &shelf) ==
            FMM_OK);
    CHECK_EQ(fmm_directory_list(&shelf, &parts), FMM_LIST_NEW);
    fmm_directory_release(&shelf);
    heap_cache_free(cache);
}

/* Tear one of its parts: the first that is found. */
static void
tear_a_part(struct fmm_cache *cache)
{
    for (uint32_t number = 0; number < PAGES; number++) {
        struct fmm_page page;
        struct fmm_found found;
        view_page(cache, number, &page);
        for (uint32_t slot = 0; slot < 8 * page.index.buckets; slot++) {
            if (fmm_page_load_slot(&page, slot, &found) &&
                fmm_entry_is_part(&found.entry)) {
                *(unsigned char *)(uintptr_t)found.entry.value ^= 1;
                return;
            }
        }
    }
    CHECK(false);
}

static void
a_value_goes_with_a_part_of_it(void)
{
    struct fmm_cache *cache = sealed_cache();
    store_large(cache, "large");
    tear_a_part(cache);
    CHECK_EQ(reboot(cache).dropped, 2);
    CHECK(!has(cache, "large"));
    go_on(cache);
    heap_cache_free(cache);
}

/* Of two manifests one names the listing of the other. */
static void
a_listing_is_of_one_value(void)
{
    struct fmm_cache *cache = sealed_cache();
    store_large(cache, "one");
    struct fmm_found one = find(cache, "one");
    struct fmm_parts parts;
    fmm_entry_parts(&one.entry, &parts);
    struct fmm_key key = text_key(cache, "two");
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    struct fmm_ticket ticket;
    const struct fmm_value head = {.data = &parts,
                                   .len = sizeof(parts),
                                   .type = 2,
                                   .split = true,
                                   .file = fmm_serial(cache)};
    CHECK_EQ(fmm_set(cache, &call, &key, &head, &plainly, &ticket), FMM_OK);
    CHECK_EQ(reboot(cache).dropped, 1);
    CHECK_EQ(has(cache, "one") + has(cache, "two"), 1);
    heap_cache_free(cache);
}

/* ------------------------------------------------------ several moments */

/* Blocks of one moment and of another. */
static void
mix(struct fmm_cache *cache, const unsigned char *other)
{
    for (uint64_t at = 0; at < cache->geometry.clients_at; at += BLOCK) {
        if (check_random_below(2) == 0) {
            memcpy(cache->base + at, other + at,
                   fmm_min(BLOCK, cache->geometry.clients_at - at));
        }
    }
}

static void
every_value_of_a_mixture_is_whole(void)
{
    unsigned survived = 0;
    for (unsigned turn = 0; turn < 150; turn++) {
        struct fmm_cache *cache = sealed_cache();
        size_t size = cache->geometry.clients_at;
        unsigned char *other = malloc(size);
        REQUIRE(other != NULL);
        store_all(cache, 0, KEYS + turn * 7);
        memcpy(other, cache->base, size);
        store_all(cache, turn * 3, KEYS + turn * 9);
        mix(cache, other);
        struct fmm_reboot found = reboot(cache);
        unsigned whole = count_whole(cache, KEYS + turn * 9);
        CHECK_EQ(found.entries, whole);
        survived += whole;
        go_on(cache);
        count_whole(cache, 3 * KEYS);
        free(other);
        heap_cache_free(cache);
    }
    CHECK(survived > 1000);
}

/* A copy that a child may be killed over. */
static struct fmm_cache *
share(struct fmm_cache *cache)
{
    size_t size = cache->geometry.clients_at;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(map != MAP_FAILED);
    memcpy(map, cache->base, size);
    free(cache->base);
    cache->base = map;
    cache->client.base = map;
    cache->client.header = map;
    cache->header = map;
    return cache;
}

/* Counts the questions, and answers so many with yes. */
struct patience {
    unsigned asked, yes;
};

static bool
lose_patience(void *context, uint64_t done, uint64_t total)
{
    struct patience *patience = context;
    CHECK_EQ(total, PAGES);
    CHECK_EQ(done, ++patience->asked);
    return patience->asked <= patience->yes;
}

static void
who_gives_up_leaves_it_to_the_next(void)
{
    for (unsigned yes = 0; yes < PAGES; yes++) {
        struct fmm_cache *cache = sealed_cache();
        struct patience patience = {.yes = yes};
        const struct fmm_options options = {.go_on = lose_patience,
                                            .go_on_context = &patience};
        struct fmm_reboot found;
        store_all(cache, 0, KEYS);
        CHECK_EQ(fmm_reboot_verify(cache->base, &cache->geometry, cache->seed,
                                   &options, &found),
                 FMM_ERR_OS);
        CHECK_EQ(patience.asked, yes + 1);
        patience.asked = 0;
        CHECK_EQ(fmm_reboot_look(cache->base, &cache->geometry, &options),
                 FMM_ERR_OS);
        CHECK_EQ(reboot(cache).dropped, 0);
        CHECK_EQ(count_whole(cache, KEYS), KEYS);
        go_on(cache);
        heap_cache_free(cache);
    }
}

static void
who_is_killed_leaves_it_to_the_next(void)
{
    for (unsigned turn = 0; turn < 60; turn++) {
        struct fmm_cache *cache = sealed_cache();
        size_t size = cache->geometry.clients_at;
        unsigned char *other = malloc(size);
        REQUIRE(other != NULL);
        store_all(cache, 0, KEYS);
        memcpy(other, cache->base, size);
        store_all(cache, 100, 2 * KEYS);
        mix(cache, other);
        cache = share(cache);
        pid_t child = fork();
        if (child == 0) {
            struct fmm_reboot found;
            fmm_reboot_verify(cache->base, &cache->geometry, cache->seed,
                              &patient, &found);
            _exit(0);
        }
        usleep((useconds_t)check_random_below(2000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        reboot(cache);
        count_whole(cache, 2 * KEYS);
        go_on(cache);
        munmap(cache->base, size);
        free(other);
        free(cache);
    }
}

static const struct check_case cases[] = {
    CASE(what_is_whole_stays),
    CASE(a_torn_value_goes_and_no_other),
    CASE(of_two_entries_of_a_key_one_stays),
    CASE(entries_do_not_overlap),
    CASE(an_entry_that_lies_elsewhere_is_none),
    CASE(rings_are_joined_again),
    CASE(a_broken_chain_costs_one_entry),
    CASE(nobody_holds_anything_any_more),
    CASE(a_lease_on_a_value_ends),
    CASE(a_changed_value_is_offered_again),
    CASE(a_value_in_parts_is_listed_again),
    CASE(a_value_goes_with_a_part_of_it),
    CASE(a_listing_is_of_one_value),
    CASE(every_value_of_a_mixture_is_whole),
    CASE(who_gives_up_leaves_it_to_the_next),
    CASE(who_is_killed_leaves_it_to_the_next),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
