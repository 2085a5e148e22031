/* Leases: one computes, and what it computed is stored only if nothing else
 * happened to the key. */
#include "support.h"

#include <unistd.h>

#define MINUTE (60 * SECOND)

static struct fmm_cache *cache;
static struct fmm_ticket ticket;

static void
begin(void)
{
    cache = new_cache(16384, 1);
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

/* ------------------------------------------------------------ short forms */

static enum fmm_status
take_for(const char *name, uint64_t ms, struct fmm_lease *lease)
{
    struct fmm_key key = text_key(cache, name);
    return take_lease(cache, &key, ms, false, lease, &ticket);
}

static enum fmm_status
take(const char *name, struct fmm_lease *lease)
{
    return take_for(name, MINUTE, lease);
}

static enum fmm_status
refresh(const char *name, struct fmm_lease *lease)
{
    struct fmm_key key = text_key(cache, name);
    return take_lease(cache, &key, MINUTE, true, lease, &ticket);
}

static enum fmm_status
store_as(const char *name, const char *text,
         const struct fmm_lease_store *store)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_value value = text_value(text);
    return fmm_lease_value(cache, &call, &key, &value, store, &ticket);
}

static enum fmm_status
store(const char *name, const char *text, const struct fmm_lease *lease)
{
    const struct fmm_lease_store how = {.token = lease->token,
                                        .leasable = true};
    return store_as(name, text, &how);
}

static enum fmm_status
give_back(const char *name, const struct fmm_lease *lease)
{
    struct fmm_key key = text_key(cache, name);
    return end_lease(cache, &key, lease->token);
}

static enum fmm_status
extend(const char *name, const struct fmm_lease *lease, uint64_t ms)
{
    struct fmm_key key = text_key(cache, name);
    return fmm_lease_extend(cache, &call, &key, lease->token, ms);
}

static bool
is_leased(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_lease lease;
    uint64_t since;
    return fmm_lease_peek(cache, &call, &key, &lease, &since) == FMM_OK;
}

/* The key holds a value with room for a lease. */
static void
compute(const char *name, const char *text)
{
    struct fmm_lease lease;
    CHECK_EQ(take(name, &lease), FMM_OK);
    CHECK_EQ(store(name, text, &lease), FMM_OK);
}

/* Take it in a child, and tell the token. */
static void
take_and_die(void *token)
{
    struct fmm_lease lease;
    CHECK_EQ(take("key", &lease), FMM_OK);
    atomic_store((fmm_word64 *)token, lease.token);
}

/* The key is leased by a process that is gone. */
static struct fmm_lease
taken_by_the_dead(void)
{
    fmm_word64 *token = shared_words(1);
    join(spawn(take_and_die, (void *)(uintptr_t)token));
    struct fmm_lease lease = {.token = *token};
    free_words(token, 1);
    return lease;
}

/* The key has a value that lasts a second, and is computed anew. */
static struct fmm_lease
refresh_of_a_mortal_value(void)
{
    struct fmm_lease lease;
    CHECK_EQ(take("key", &lease), FMM_OK);
    struct fmm_lease_store how = {.token = lease.token,
                                  .store = {.expire_at = call.now_ms + SECOND},
                                  .leasable = true};
    CHECK_EQ(store_as("key", "mortal", &how), FMM_OK);
    CHECK_EQ(refresh("key", &lease), FMM_OK);
    return lease;
}

static enum fmm_status
bury(const char *name)
{
    const struct fmm_removal removal = {.modseq = 5, .has_modseq = true};
    struct fmm_key key = text_key(cache, name);
    return fmm_remove(cache, &call, &key, &removal, NULL, &ticket);
}

static enum fmm_status
add(const char *name)
{
    const struct fmm_store_options plainly = {.mode = FMM_STORE_SET};
    struct fmm_key key = text_key(cache, name);
    int64_t number;
    uint64_t expire_at;
    return fmm_incr(cache, &call, &key, 1, 0, &plainly, &number, &expire_at,
                    &ticket);
}

/* ------------------------------------------------------ taking and storing */

static void
one_computes_and_the_others_hear_of_it(void)
{
    struct fmm_lease lease, other;
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK(lease.token != 0 && lease.owner == fmm_client_owner(&cache->client));
    CHECK_EQ(lease.deadline, call.now_ms + MINUTE);
    CHECK_EQ(take("key", &other), FMM_LEASED);
    CHECK(other.token == lease.token && other.owner == lease.owner);
    CHECK_EQ(other.pid, getpid());
    CHECK_EQ(take("another key", &other), FMM_OK);
    CHECK(other.token != lease.token);
    CHECK_EQ(store("key", "value", &lease), FMM_OK);
    CHECK(holds(cache, "key", "value"));
    CHECK_EQ(take("key", &other), FMM_EXISTS);
    CHECK(!is_leased("key"));
    end();
}

static void
a_lease_without_a_value_is_a_miss_for_all_others(void)
{
    struct fmm_lease lease;
    struct fmm_meta meta;
    unsigned char buffer[4096];
    struct fmm_scan scan = {.buffer = buffer, .capacity = sizeof(buffer)};
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK(!has(cache, "key"));
    CHECK_EQ(fmm_get(cache, &call, &key, buffer, 8, &meta), FMM_MISS);
    CHECK_EQ(fmm_touch(cache, &call, &key, 0), FMM_MISS);
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    CHECK_EQ(scan.used, 0);
    const struct fmm_store_options replace = {.mode = FMM_STORE_REPLACE};
    CHECK_EQ(set_text_as(cache, "key", "value", &replace), FMM_MISS);
    CHECK(is_leased("key"));
    const struct fmm_store_options added = {.mode = FMM_STORE_ADD};
    CHECK_EQ(set_text_as(cache, "key", "value", &added), FMM_OK);
    CHECK(holds(cache, "key", "value"));
    end();
}

static void
a_lease_that_is_given_back_is_free(void)
{
    struct fmm_lease lease, other = {.token = 1};
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK_EQ(give_back("key", &other), FMM_MISS);
    CHECK_EQ(give_back("key", &lease), FMM_OK);
    CHECK_EQ(stats_of(cache).entries, 0);
    CHECK_EQ(give_back("key", &lease), FMM_MISS);
    CHECK_EQ(store("key", "late", &lease), FMM_MISS);
    CHECK_EQ(take("key", &other), FMM_OK);
    CHECK_EQ(give_back("key", &lease), FMM_MISS);
    CHECK(is_leased("key"));
    end();
}

static void
a_token_of_zero_owns_nothing(void)
{
    const struct fmm_lease none = {.token = 0};
    begin();
    compute("key", "value");
    CHECK_EQ(store("key", "other", &none), FMM_MISS);
    CHECK_EQ(store("no key", "other", &none), FMM_MISS);
    CHECK_EQ(give_back("key", &none), FMM_MISS);
    CHECK(holds(cache, "key", "value"));
    end();
}

static void
a_duration_out_of_range_is_refused(void)
{
    struct fmm_lease lease;
    begin();
    CHECK_EQ(take_for("key", 0, &lease), FMM_ERR_ARGUMENT);
    CHECK_EQ(take_for("key", FMM_LEASE_MS_MAX + 1, &lease), FMM_ERR_ARGUMENT);
    CHECK_EQ(take_for("key", FMM_LEASE_MS_MAX, &lease), FMM_OK);
    CHECK(is_leased("key"));
    end();
}

static void
a_value_that_does_not_fit_leaves_the_lease(void)
{
    static char large[9000];
    struct fmm_lease lease;
    memset(large, 'x', sizeof(large) - 1);
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK_EQ(store("key", large, &lease), FMM_NO_ROOM);
    CHECK(is_leased("key"));
    CHECK_EQ(give_back("key", &lease), FMM_OK);
    CHECK_EQ(take(large, &lease), FMM_NO_ROOM);
    end();
}

/* --------------------------------------------------------- what ends one */

static void
set_it(void)
{
    CHECK_EQ(set_text(cache, "key", "newer"), FMM_OK);
}

static void
remove_it(void)
{
    CHECK_EQ(remove_text(cache, "key"), FMM_MISS);
}

static void
bury_it(void)
{
    CHECK_EQ(bury("key"), FMM_MISS);
}

static void
add_to_it(void)
{
    CHECK_EQ(add("key"), FMM_OK);
}

static void
clear_all(void)
{
    uint64_t dropped = 0;
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, 0);
}

static void
whatever_happens_to_the_key_ends_its_lease(void)
{
    static void (*const events[])(void) = {set_it, remove_it, bury_it,
                                           add_to_it, clear_all};
    struct fmm_lease lease;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        begin();
        CHECK_EQ(take("key", &lease), FMM_OK);
        events[i]();
        CHECK(!is_leased("key"));
        CHECK_EQ(store("key", "stale", &lease), FMM_MISS);
        CHECK_EQ(give_back("key", &lease), FMM_MISS);
        CHECK(!holds(cache, "key", "stale"));
        CHECK(events[i] != set_it || holds(cache, "key", "newer"));
        end();
    }
}

static void
a_lease_that_was_taken_anew_is_another(void)
{
    struct fmm_lease lease, other;
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK_EQ(remove_text(cache, "key"), FMM_MISS);
    CHECK_EQ(take("key", &other), FMM_OK);
    CHECK_EQ(store("key", "stale", &lease), FMM_MISS);
    CHECK(is_leased("key") && !has(cache, "key"));
    CHECK_EQ(store("key", "fresh", &other), FMM_OK);
    CHECK(holds(cache, "key", "fresh"));
    end();
}

static void
a_tombstone_lets_nobody_compute(void)
{
    struct fmm_lease lease;
    begin();
    CHECK_EQ(bury("key"), FMM_MISS);
    CHECK_EQ(take("key", &lease), FMM_STALE);
    CHECK_EQ(set_text(cache, "key", "unnumbered"), FMM_STALE);
    end();
}

/* -------------------------------------------------------------- deadlines */

static void
a_lease_past_its_deadline_is_taken_over(void)
{
    struct fmm_lease lease, other;
    begin();
    CHECK_EQ(take_for("key", SECOND, &lease), FMM_OK);
    call.now_ms += SECOND - 1;
    CHECK_EQ(take("key", &other), FMM_LEASED);
    call.now_ms += 1;
    CHECK(!is_leased("key"));
    CHECK_EQ(take("key", &other), FMM_OK);
    CHECK_EQ(store("key", "late", &lease), FMM_MISS);
    CHECK_EQ(store("key", "value", &other), FMM_OK);
    CHECK(holds(cache, "key", "value"));
    end();
}

static void
past_its_deadline_a_lease_that_nobody_took_still_stores(void)
{
    struct fmm_lease lease;
    begin();
    CHECK_EQ(take_for("key", SECOND, &lease), FMM_OK);
    call.now_ms += MINUTE;
    CHECK_EQ(store("key", "late", &lease), FMM_OK);
    CHECK(holds(cache, "key", "late"));
    end();
}

static void
a_purge_drops_what_is_past_its_deadline_only(void)
{
    struct fmm_lease lease;
    uint64_t dropped = 0;
    begin();
    CHECK_EQ(take_for("key", SECOND, &lease), FMM_OK);
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_EXPIRED, true, &dropped),
             FMM_OK);
    CHECK(is_leased("key"));
    call.now_ms += SECOND;
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_EXPIRED, true, &dropped),
             FMM_OK);
    CHECK_EQ(stats_of(cache).entries, 0);
    CHECK_EQ(dropped, 0); /* no value */
    end();
}

static void
purge(void)
{
    uint64_t dropped = 0;
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_EXPIRED, true, &dropped),
             FMM_OK);
}

static void
a_purge_spares_an_expired_value_that_one_computes_anew(void)
{
    begin();
    struct fmm_lease lease = refresh_of_a_mortal_value();
    call.now_ms += 2 * SECOND;
    purge();
    CHECK(is_leased("key"));
    CHECK_EQ(store("key", "new", &lease), FMM_OK);
    CHECK(holds(cache, "key", "new"));
    end();
}

static void
void_computation(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_guard guard;
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    fmm_lease_void_locked(&guard, &key);
    CHECK(fmm_guard_release(&guard));
}

static void
a_computation_that_is_void_stores_nothing_and_a_lock_stays(void)
{
    const struct fmm_lease_request wanted = {.duration_ms = MINUTE,
                                             .lock = true};
    struct fmm_key key;
    struct fmm_lease lease;
    begin();
    void_computation("key"); /* there is none */
    CHECK_EQ(take("key", &lease), FMM_OK);
    void_computation("key");
    CHECK(!is_leased("key"));
    CHECK_EQ(store("key", "void", &lease), FMM_MISS);
    lease = refresh_of_a_mortal_value();
    void_computation("key");
    CHECK(holds(cache, "key", "mortal"));
    CHECK_EQ(store("key", "void", &lease), FMM_MISS);
    key = text_key(cache, "lock");
    CHECK_EQ(fmm_lease_take(cache, &call, &key, &wanted, &lease, &ticket),
             FMM_OK);
    void_computation("lock");
    CHECK(is_leased("lock"));
    end();
}

static void
what_empties_a_page_spares_locks_and_ends_computations(void)
{
    const struct fmm_lease_request wanted = {.duration_ms = MINUTE,
                                             .lock = true};
    struct fmm_lease lock, lease;
    begin();
    struct fmm_key key = text_key(cache, "lock");
    CHECK_EQ(fmm_lease_take(cache, &call, &key, &wanted, &lock, &ticket),
             FMM_OK);
    CHECK((lock.token & FMM_LEASE_LOCK) != 0);
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK((lease.token & FMM_LEASE_LOCK) == 0);
    CHECK_EQ(set_text(cache, "other", "value"), FMM_OK);
    uint64_t dropped = 0;
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, 1);
    CHECK(is_leased("lock") && !is_leased("key") && !has(cache, "other"));
    CHECK_EQ(give_back("lock", &lock), FMM_OK);
    CHECK_EQ(stats_of(cache).entries, 0);
    end();
}

static void
a_lock_past_its_deadline_goes_with_the_rest(void)
{
    const struct fmm_lease_request wanted = {.duration_ms = SECOND,
                                             .lock = true};
    struct fmm_lease lock;
    begin();
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_lease_take(cache, &call, &key, &wanted, &lock, &ticket),
             FMM_OK);
    call.now_ms += SECOND;
    clear_all();
    CHECK_EQ(give_back("key", &lock), FMM_MISS);
    end();
}

static void
a_lease_survives_a_clock_that_goes_back_up_to_a_day(void)
{
    struct fmm_lease lease, other;
    begin();
    CHECK_EQ(take_for("key", FMM_LEASE_MS_MAX, &lease), FMM_OK);
    call.now_ms -= FMM_LEASE_MS_MAX;
    CHECK(is_leased("key"));
    CHECK_EQ(take("key", &other), FMM_LEASED);
    call.now_ms -= 1;
    CHECK(!is_leased("key"));
    CHECK_EQ(take("key", &other), FMM_OK);
    call.now_ms += FMM_LEASE_MS_MAX + 1;
    end();
}

static void
an_extended_lease_lasts_longer_and_its_value_is_stored(void)
{
    struct fmm_lease lease, other;
    uint64_t dropped = 0;
    begin();
    CHECK_EQ(take_for("key", SECOND, &lease), FMM_OK);
    CHECK_EQ(extend("key", &lease, MINUTE), FMM_OK);
    call.now_ms += MINUTE - 1;
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_EXPIRED, true, &dropped),
             FMM_OK);
    CHECK_EQ(take("key", &other), FMM_LEASED);
    CHECK_EQ(other.token, lease.token);
    CHECK_EQ(extend("key", &lease, SECOND), FMM_OK);
    call.now_ms += SECOND;
    CHECK(!is_leased("key"));
    CHECK_EQ(extend("key", &lease, MINUTE), FMM_OK); /* nobody took it */
    CHECK_EQ(take("key", &other), FMM_LEASED);
    CHECK_EQ(store("key", "value", &lease), FMM_OK);
    CHECK(holds(cache, "key", "value"));
    end();
}

static void
the_lease_of_a_live_value_is_extended_and_the_value_is_not(void)
{
    struct fmm_lease other;
    begin();
    struct fmm_lease lease = refresh_of_a_mortal_value();
    CHECK_EQ(extend("key", &lease, 2 * MINUTE), FMM_OK);
    call.now_ms += MINUTE;
    CHECK(!has(cache, "key"));
    CHECK_EQ(take("key", &other), FMM_LEASED);
    end();
}

static void
only_a_lease_that_is_there_is_extended(void)
{
    struct fmm_lease lease, other;
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK_EQ(extend("key", &lease, 0), FMM_ERR_ARGUMENT);
    CHECK_EQ(extend("key", &lease, FMM_LEASE_MS_MAX + 1), FMM_ERR_ARGUMENT);
    CHECK_EQ(remove_text(cache, "key"), FMM_MISS);
    CHECK_EQ(extend("key", &lease, MINUTE), FMM_MISS);
    CHECK_EQ(take_for("key", SECOND, &other), FMM_OK);
    CHECK_EQ(extend("key", &lease, MINUTE), FMM_MISS);
    call.now_ms += SECOND;
    CHECK(!is_leased("key"));
    end();
}

static void
a_lease_tells_since_when_it_is_held(void)
{
    struct fmm_lease lease;
    uint64_t since = 0;
    begin();
    struct fmm_key key = text_key(cache, "key");
    uint64_t then = call.now_ms;
    CHECK_EQ(take("key", &lease), FMM_OK);
    call.now_ms += 10 * SECOND;
    CHECK_EQ(extend("key", &lease, MINUTE), FMM_OK);
    CHECK_EQ(fmm_lease_peek(cache, &call, &key, &lease, &since), FMM_OK);
    CHECK(since <= then && then < since + SECOND);
    end();
}

/* --------------------------------------------------------------- the dead */

static void
a_lease_of_the_dead_is_taken_over_at_once(void)
{
    struct fmm_lease lease;
    begin();
    struct fmm_lease old = taken_by_the_dead();
    CHECK(!is_leased("key"));
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK_EQ(store("key", "of the dead", &old), FMM_MISS);
    CHECK_EQ(give_back("key", &old), FMM_MISS);
    CHECK_EQ(store("key", "value", &lease), FMM_OK);
    CHECK(holds(cache, "key", "value"));
    end();
}

static void
take_and_stay(void *token)
{
    take_and_die(token);
    for (;;) {
        sleep_ms(1000);
    }
}

static void
a_lease_of_the_living_is_taken_over_when_they_are_killed(void)
{
    struct fmm_lease lease;
    begin();
    fmm_word64 *token = shared_words(1);
    pid_t child = spawn(take_and_stay, (void *)(uintptr_t)token);
    while (atomic_load(token) == 0) {
        sleep_ms(1);
    }
    CHECK(is_leased("key"));
    CHECK_EQ(take("key", &lease), FMM_LEASED);
    CHECK(lease.owner != fmm_client_owner(&cache->client));
    kill_child(child);
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK_EQ(lease.owner, fmm_client_owner(&cache->client));
    free_words(token, 1);
    end();
}

static void
race(void *wins)
{
    struct fmm_lease lease;
    if (take("key", &lease) == FMM_OK) {
        atomic_fetch_add((fmm_word64 *)wins, 1);
        sleep_ms(200); /* live on, else it is free again */
    }
}

static void
of_many_that_want_the_lease_of_the_dead_one_gets_it(void)
{
    pid_t children[8];
    begin();
    taken_by_the_dead();
    fmm_word64 *wins = shared_words(1);
    for (unsigned i = 0; i < 8; i++) {
        children[i] = spawn(race, (void *)(uintptr_t)wins);
    }
    for (unsigned i = 0; i < 8; i++) {
        join(children[i]);
    }
    CHECK_EQ(*wins, 1);
    free_words(wins, 1);
    end();
}

/* ------------------------------------------------------------- refreshing */

static void
a_value_is_read_on_while_one_refreshes_it(void)
{
    struct fmm_lease lease, other;
    begin();
    compute("key", "old");
    CHECK_EQ(take("key", &lease), FMM_EXISTS);
    CHECK_EQ(refresh("key", &lease), FMM_OK);
    CHECK(holds(cache, "key", "old"));
    CHECK_EQ(refresh("key", &other), FMM_LEASED);
    CHECK_EQ(other.token, lease.token);
    CHECK_EQ(take("key", &other), FMM_EXISTS);
    CHECK_EQ(store("key", "new", &lease), FMM_OK);
    CHECK(holds(cache, "key", "new"));
    CHECK_EQ(refresh("key", &lease), FMM_OK);
    CHECK_EQ(give_back("key", &lease), FMM_OK);
    CHECK(holds(cache, "key", "new") && !is_leased("key"));
    end();
}

static void
a_value_without_room_for_a_lease_is_not_refreshed(void)
{
    struct fmm_lease lease;
    begin();
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    CHECK_EQ(refresh("key", &lease), FMM_EXISTS);
    CHECK_EQ(refresh("no key", &lease), FMM_OK);
    end();
}

static void
a_changed_value_ends_the_refresh_and_a_lifetime_does_not(void)
{
    struct fmm_lease lease;
    begin();
    compute("key", "old");
    CHECK_EQ(refresh("key", &lease), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_touch(cache, &call, &key, call.now_ms + MINUTE), FMM_OK);
    CHECK(is_leased("key"));
    CHECK_EQ(set_text(cache, "key", "set"), FMM_OK);
    CHECK_EQ(store("key", "stale", &lease), FMM_MISS);
    CHECK(holds(cache, "key", "set"));
    end();
}

static void
a_number_that_is_added_to_ends_the_refresh(void)
{
    int64_t number = 41;
    const struct fmm_value value = {
        .data = &number, .len = 8, .type = FMM_TYPE_INT};
    struct fmm_lease lease;
    begin();
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(take("key", &lease), FMM_OK);
    struct fmm_lease_store how = {.token = lease.token, .leasable = true};
    CHECK_EQ(fmm_lease_value(cache, &call, &key, &value, &how, &ticket),
             FMM_OK);
    CHECK_EQ(refresh("key", &lease), FMM_OK);
    CHECK_EQ(add("key"), FMM_OK);
    CHECK(!is_leased("key"));
    how.token = lease.token;
    CHECK_EQ(fmm_lease_value(cache, &call, &key, &value, &how, &ticket),
             FMM_MISS);
    CHECK_EQ(add("key"), FMM_OK);
    CHECK_EQ(fmm_get(cache, &call, &key, &number, 8, &(struct fmm_meta){0}),
             FMM_OK);
    CHECK_EQ(number, 43);
    end();
}

static void
a_value_that_expires_meanwhile_keeps_its_lease(void)
{
    struct fmm_lease other;
    begin();
    struct fmm_lease lease = refresh_of_a_mortal_value();
    call.now_ms += 2 * SECOND;
    CHECK(!has(cache, "key"));
    CHECK_EQ(take("key", &other), FMM_LEASED);
    CHECK_EQ(store("key", "new", &lease), FMM_OK);
    CHECK(holds(cache, "key", "new"));
    end();
}

static void
a_changed_value_is_written_back_before_its_key_is_computed_anew(void)
{
    const struct fmm_store_options dirty = {.dirty = true,
                                            .expire_at = call.now_ms + SECOND};
    struct fmm_lease lease;
    begin();
    CHECK_EQ(set_text_as(cache, "key", "changed", &dirty), FMM_OK);
    call.now_ms += SECOND;
    CHECK_EQ(take("key", &lease), FMM_DIRTY);
    CHECK_EQ(take("key", &lease), FMM_DIRTY);
    CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
    CHECK_EQ(take("key", &lease), FMM_OK);
    end();
}

static void
a_refresh_leaves_a_changed_value_changed(void)
{
    struct fmm_lease lease;
    struct fmm_meta meta;
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    struct fmm_lease_store how = {
        .token = lease.token, .store = {.dirty = true}, .leasable = true};
    CHECK_EQ(store_as("key", "changed", &how), FMM_OK);
    CHECK_EQ(refresh("key", &lease), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_exists(cache, &call, &key, &meta), FMM_OK);
    CHECK(meta.dirty);
    end();
}

/* --------------------------------------------------------------- eviction */

static void
fill(unsigned from, unsigned count, size_t length)
{
    char name[16];
    for (unsigned n = from; n < from + count; n++) {
        snprintf(name, sizeof(name), "filler %u", n);
        CHECK_EQ(set_filler(cache, name, length), FMM_OK);
        is_filler(cache, name, length); /* for its credit */
    }
}

static void
a_running_lease_survives_eviction_and_an_ended_one_does_not(void)
{
    struct fmm_lease lease, ended;
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    CHECK_EQ(take_for("ended", SECOND, &ended), FMM_OK);
    call.now_ms += SECOND;
    fill(0, 3000, 200);
    CHECK(stats_of(cache).evictions > 2000);
    CHECK(is_leased("key"));
    CHECK_EQ(store("ended", "late", &ended), FMM_MISS);
    CHECK_EQ(store("key", "value", &lease), FMM_OK);
    end();
}

static void
a_value_under_a_lease_survives_eviction(void)
{
    struct fmm_lease lease;
    begin();
    compute("key", "old");
    CHECK_EQ(refresh("key", &lease), FMM_OK);
    fill(0, 3000, 200);
    CHECK(holds(cache, "key", "old") && is_leased("key"));
    end();
}

static void
a_lease_survives_a_lack_of_slots(void)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = 16384,
                                        .num_pages = 1,
                                        .slots = 16,
                                        .init_file = true};
    struct fmm_lease lease;
    cache = open_cache(&options);
    keep_index(cache);
    CHECK_EQ(take("key", &lease), FMM_OK);
    call.now_ms += SECOND;
    fill(0, 200, 20);
    CHECK(stats_of(cache).slot_evictions > 100);
    CHECK(is_leased("key"));
    end();
}

static void
leases_beyond_all_room_are_refused_and_none_is_lost(void)
{
    struct fmm_lease lease;
    char name[16];
    bool taken[2000];
    unsigned count = 0;
    begin();
    for (unsigned n = 0; n < 2000; n++) {
        snprintf(name, sizeof(name), "lease %u", n);
        enum fmm_status status = take(name, &lease);
        taken[n] = status == FMM_OK;
        CHECK(taken[n] || status == FMM_NO_ROOM);
        count += taken[n];
    }
    CHECK(count > 50 && count < 1000);
    for (unsigned n = 0; n < 2000; n++) {
        snprintf(name, sizeof(name), "lease %u", n);
        CHECK_EQ(is_leased(name), taken[n]);
    }
    call.now_ms += 2 * MINUTE;
    CHECK_EQ(set_text(cache, "key", "value"), FMM_OK);
    CHECK(holds(cache, "key", "value"));
    end();
}

static void
a_computed_value_is_on_probation_like_any_other(void)
{
    struct fmm_page page;
    struct fmm_found found;
    begin();
    compute("key", "value");
    view_page(cache, 0, &page);
    struct fmm_key key = text_key(cache, "key");
    REQUIRE(fmm_page_find(&page, &key, &found));
    CHECK_EQ(found.ring, FMM_RING_S);
    CHECK_EQ(fmm_hint_credit(&page.index.hints[found.slot]), 0);
    end();
}

/* -------------------------------------------------------- replaced files */

static void
a_lease_in_a_file_that_was_replaced_is_none(void)
{
    struct fmm_lease lease;
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    struct fmm_cache *other = new_cache(16384, 1);
    struct fmm_key key = text_key(cache, "key");
    uint64_t since;
    CHECK_EQ(fmm_lease_peek(cache, &call, &key, &lease, &since), FMM_RETIRED);
    CHECK_EQ(extend("key", &lease, MINUTE), FMM_RETIRED);
    CHECK_EQ(take("key", &lease), FMM_RETIRED);
    CHECK_EQ(store("key", "late", &lease), FMM_RETIRED);
    CHECK_EQ(give_back("key", &lease), FMM_RETIRED);
    fmm_close(cache);
    cache = other;
    end();
}

static void
waiting_takes_no_page(void)
{
    struct fmm_lease lease, other;
    struct fmm_guard guard;
    begin();
    CHECK_EQ(take("key", &lease), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(take("key", &other), FMM_LEASED);
    CHECK(is_leased("key"));
    CHECK(fmm_guard_release(&guard));
    end();
}

static const struct check_case cases[] = {
    CASE(one_computes_and_the_others_hear_of_it),
    CASE(a_lease_without_a_value_is_a_miss_for_all_others),
    CASE(a_lease_that_is_given_back_is_free),
    CASE(a_token_of_zero_owns_nothing),
    CASE(a_duration_out_of_range_is_refused),
    CASE(a_value_that_does_not_fit_leaves_the_lease),
    CASE(whatever_happens_to_the_key_ends_its_lease),
    CASE(a_lease_that_was_taken_anew_is_another),
    CASE(a_tombstone_lets_nobody_compute),
    CASE(a_lease_past_its_deadline_is_taken_over),
    CASE(past_its_deadline_a_lease_that_nobody_took_still_stores),
    CASE(a_purge_drops_what_is_past_its_deadline_only),
    CASE(a_purge_spares_an_expired_value_that_one_computes_anew),
    CASE(a_computation_that_is_void_stores_nothing_and_a_lock_stays),
    CASE(what_empties_a_page_spares_locks_and_ends_computations),
    CASE(a_lock_past_its_deadline_goes_with_the_rest),
    CASE(a_lease_survives_a_clock_that_goes_back_up_to_a_day),
    CASE(an_extended_lease_lasts_longer_and_its_value_is_stored),
    CASE(the_lease_of_a_live_value_is_extended_and_the_value_is_not),
    CASE(only_a_lease_that_is_there_is_extended),
    CASE(a_lease_tells_since_when_it_is_held),
    CASE(a_lease_of_the_dead_is_taken_over_at_once),
    CASE(a_lease_of_the_living_is_taken_over_when_they_are_killed),
    CASE(of_many_that_want_the_lease_of_the_dead_one_gets_it),
    CASE(a_value_is_read_on_while_one_refreshes_it),
    CASE(a_value_without_room_for_a_lease_is_not_refreshed),
    CASE(a_changed_value_ends_the_refresh_and_a_lifetime_does_not),
    CASE(a_number_that_is_added_to_ends_the_refresh),
    CASE(a_value_that_expires_meanwhile_keeps_its_lease),
    CASE(a_changed_value_is_written_back_before_its_key_is_computed_anew),
    CASE(a_refresh_leaves_a_changed_value_changed),
    CASE(a_running_lease_survives_eviction_and_an_ended_one_does_not),
    CASE(a_value_under_a_lease_survives_eviction),
    CASE(a_lease_survives_a_lack_of_slots),
    CASE(leases_beyond_all_room_are_refused_and_none_is_lost),
    CASE(a_computed_value_is_on_probation_like_any_other),
    CASE(a_lease_in_a_file_that_was_replaced_is_none),
    CASE(waiting_takes_no_page),
};

CHECK_MAIN(cases)
