/* Giving a lease back while another has the page, or this very thread: it ends
 * at once, whatever happens to its entry meanwhile. */
#include "support.h"

#include <pthread.h>

#define MINUTE (60 * SECOND)
#define ROUNDS 20000

static struct fmm_cache *cache;
static struct fmm_key key;
static struct fmm_guard guard;
static struct fmm_ticket ticket;

static void
begin(void)
{
    cache = new_cache(16384, 1);
    key = text_key(cache, "key");
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

static enum fmm_status
take(bool refresh, struct fmm_lease *lease)
{
    return take_lease(cache, &key, MINUTE, refresh, lease, &ticket);
}

static enum fmm_status
store(const char *text, const struct fmm_lease *lease)
{
    const struct fmm_lease_store how = {.token = lease->token,
                                        .leasable = true};
    struct fmm_value value = text_value(text);
    return fmm_lease_value(cache, &call, &key, &value, &how, &ticket);
}

static bool
is_leased(void)
{
    struct fmm_lease lease;
    uint64_t since;
    return fmm_lease_peek(cache, &call, &key, &lease, &since) == FMM_OK;
}

static void
hold_page(void)
{
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
}

/* ------------------------------------------------------ while it is held */

static void
a_lease_ends_while_another_has_its_page(void)
{
    struct fmm_lease lease, other;
    bool sure = true;
    begin();
    CHECK_EQ(take(false, &lease), FMM_OK);
    hold_page();
    CHECK_EQ(fmm_lease_release(cache, &call, &key, lease.token + 2, &sure),
             FMM_MISS);
    CHECK(is_leased());
    CHECK_EQ(fmm_lease_release(cache, &call, &key, lease.token, &sure),
             FMM_OK);
    CHECK(!sure && !is_leased());
    CHECK_EQ(end_lease(cache, &key, lease.token), FMM_MISS);
    CHECK(fmm_guard_release(&guard));
    CHECK_EQ(fmm_lease_release(cache, &call, &key, lease.token, &sure),
             FMM_MISS);
    CHECK(sure);
    CHECK_EQ(store("late", &lease), FMM_MISS);
    CHECK_EQ(take(false, &other), FMM_OK);
    CHECK_EQ(store("value", &other), FMM_OK);
    CHECK(holds(cache, "key", "value"));
    end();
}

static void
a_refresh_ends_while_another_has_its_page_and_the_value_stays(void)
{
    struct fmm_lease lease;
    begin();
    CHECK_EQ(take(false, &lease), FMM_OK);
    CHECK_EQ(store("old", &lease), FMM_OK);
    CHECK_EQ(take(true, &lease), FMM_OK);
    hold_page();
    CHECK_EQ(end_lease(cache, &key, lease.token), FMM_OK);
    CHECK(holds(cache, "key", "old") && !is_leased());
    CHECK(fmm_guard_release(&guard));
    CHECK_EQ(take(true, &lease), FMM_OK);
    end();
}

/* ------------------------------------------------------- while it is moved */

/* Two places of one entry, and which of them its slot names. */
static struct fmm_page page;
static struct fmm_found places[2];
static atomic_uint moving, named;
static atomic_bool paused;

/* As tail_copy() does it, and the tail stays where it is. */
static void
move_once(void)
{
    unsigned from = atomic_load(&named);
    const struct fmm_found *to = &places[1 - from];
    unsigned char *at = page.ring[to->ring].base + to->offset;
    fmm_copy_in(at, places[from].entry.at, places[from].entry.total);
    fmm_index_publish(&page.index, places[0].slot, to->word);
    fmm_entry_follow_lease(&places[from].entry, at);
    atomic_store(&named, 1 - from);
}

static void *
move_on(void *unused)
{
    unsigned state;
    while ((state = atomic_load(&moving)) != 0) {
        atomic_store(&paused, state == 2);
        if (state == 1) {
            move_once();
        }
    }
    return unused;
}

static void
pause_mover(void)
{
    atomic_store(&moving, 2);
    while (!atomic_load(&paused)) {
    }
}

static void
resume_mover(void)
{
    atomic_store(&moving, 1);
    while (atomic_load(&paused)) {
    }
}

/* The key is leased, and there is a second place of the same size. */
static void
make_places(void)
{
    struct fmm_lease lease;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(take(false, &lease), FMM_OK);
        view_page(cache, 0, &page);
        REQUIRE(fmm_page_find(&page, &key, &places[i]));
        if (i == 0) {
            CHECK_EQ(end_lease(cache, &key, lease.token), FMM_OK);
        }
    }
    REQUIRE(places[0].slot == places[1].slot &&
            places[0].offset != places[1].offset);
    atomic_store(&named, 1);
}

static void
a_lease_that_is_moved_meanwhile_ends_all_the_same(void)
{
    struct fmm_lease lease = {.deadline = call.now_ms + MINUTE};
    pthread_t mover;
    begin();
    make_places();
    hold_page();
    lease.owner = fmm_client_owner(&cache->client);
    atomic_store(&moving, 2);
    REQUIRE(pthread_create(&mover, NULL, move_on, NULL) == 0);
    for (uint64_t n = 1; n <= ROUNDS; n++) {
        pause_mover();
        lease.token = n << 32 | 2;
        fmm_entry_set_lease(&places[atomic_load(&named)].entry, &lease);
        resume_mover();
        CHECK_EQ(end_lease(cache, &key, lease.token), FMM_OK);
        pause_mover();
        if (!CHECK(!is_leased())) {
            break;
        }
    }
    atomic_store(&moving, 0);
    REQUIRE(pthread_join(mover, NULL) == 0);
    CHECK(fmm_guard_release(&guard));
    end();
}

/* Move the entries of the page round and round. */
static void
push(void *stop)
{
    char name[16];
    call.wait_ms = -1;
    for (unsigned n = 0; atomic_load((fmm_word64 *)stop) == 0; n++) {
        snprintf(name, sizeof(name), "filler %u", n % 1000);
        CHECK_EQ(set_filler(cache, name, 200), FMM_OK);
    }
}

static void
leases_end_beside_one_who_writes_all_the_time(void)
{
    struct fmm_lease lease;
    unsigned unlocked = 0;
    begin();
    fmm_word64 *stop = shared_words(1);
    pid_t child = spawn(push, (void *)(uintptr_t)stop);
    call.wait_ms = -1;
    /* Until one has ended without the page: the writer may have a bad day. */
    for (unsigned n = 0; n < ROUNDS || (unlocked == 0 && n < 100 * ROUNDS);
         n++) {
        bool sure;
        if (!CHECK_EQ(take(false, &lease), FMM_OK)) {
            break;
        }
        fmm_lease_release(cache, &call, &key, lease.token, &sure);
        unlocked += !sure;
        if (!CHECK(!is_leased())) {
            break;
        }
    }
    call.wait_ms = 0;
    atomic_store(stop, 1);
    join(child);
    CHECK(unlocked > 0);
    free_words(stop, 1);
    end();
}

static const struct check_case cases[] = {
    CASE(a_lease_ends_while_another_has_its_page),
    CASE(a_refresh_ends_while_another_has_its_page_and_the_value_stays),
    CASE(a_lease_that_is_moved_meanwhile_ends_all_the_same),
    CASE(leases_end_beside_one_who_writes_all_the_time),
};

CHECK_MAIN(cases)
