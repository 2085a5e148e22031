/* Dirty entries: the life of a ticket. */
#include "support.h"

#include <unistd.h>

#include "fmm_hold.h"

static struct fmm_cache *cache;
static const struct fmm_store_options dirty = {.dirty = true};

/* A file that takes no other's place: none of its keys may have left it. */
static void
begin(void)
{
    unlink(scratch("cache"));
    cache = new_cache(16384, 1);
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

/* A ticket for a key, as whoever holds its page gets it. */
static enum fmm_status
find(const char *key, struct fmm_ticket *ticket)
{
    struct fmm_guard guard;
    struct fmm_key k = text_key(cache, key);
    REQUIRE(fmm_guard_take(cache, &call, k.page, &guard) == FMM_OK);
    enum fmm_status status = fmm_dirty_find_locked(&guard, &k, ticket);
    CHECK(fmm_guard_release(&guard));
    return status;
}

/* Whether the ticket still reads as that key and value. */
static bool
reads(struct fmm_ticket *ticket, const char *key, const char *value)
{
    char buffer[64], wanted[64];
    struct fmm_meta meta;
    int length = snprintf(wanted, sizeof(wanted), "%s%s", key, value);
    return fmm_dirty_read(cache, &call, ticket, buffer, sizeof(buffer),
                          &meta) == FMM_OK &&
           meta.key_len == strlen(key) && meta.value_len == strlen(value) &&
           memcmp(buffer, wanted, (size_t)length) == 0;
}

static bool
is_dirty(const char *key)
{
    struct fmm_key k = text_key(cache, key);
    struct fmm_meta meta;
    return fmm_exists(cache, &call, &k, &meta) == FMM_OK && meta.dirty;
}

static enum fmm_status
done(const struct fmm_ticket *ticket)
{
    return fmm_dirty_done(cache, &call, ticket);
}

static void
what_was_written_back_is_clean(void)
{
    struct fmm_ticket ticket;
    begin();
    CHECK_EQ(find("key", &ticket), FMM_MISS);
    CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
    CHECK(is_dirty("key"));
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK(reads(&ticket, "key", "value"));
    CHECK(is_dirty("key"));
    CHECK_EQ(done(&ticket), FMM_OK);
    CHECK(!is_dirty("key") && holds(cache, "key", "value"));
    CHECK(!reads(&ticket, "key", "value"));
    CHECK_EQ(done(&ticket), FMM_MISS);
    CHECK_EQ(find("key", &ticket), FMM_MISS);
    end();
}

static void
a_read_that_does_not_fit_says_what_it_takes(void)
{
    struct fmm_ticket ticket;
    struct fmm_meta meta;
    char buffer[8];
    begin();
    CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK_EQ(fmm_dirty_read(cache, &call, &ticket, buffer, 7, &meta),
             FMM_TOO_SMALL);
    CHECK_EQ(meta.key_len + meta.value_len, 8);
    CHECK_EQ(fmm_dirty_read(cache, &call, &ticket, buffer, 8, &meta), FMM_OK);
    end();
}

static void
what_was_overwritten_meanwhile_stays_dirty(void)
{
    struct fmm_ticket ticket;
    begin();
    CHECK_EQ(set_text_as(cache, "key", "old", &dirty), FMM_OK);
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK_EQ(set_text_as(cache, "key", "new", &dirty), FMM_OK);
    CHECK(!reads(&ticket, "key", "old"));
    CHECK_EQ(done(&ticket), FMM_MISS);
    CHECK(is_dirty("key"));
    end();
}

static void
what_was_removed_meanwhile_is_no_more(void)
{
    struct fmm_ticket ticket;
    begin();
    CHECK_EQ(set_text_as(cache, "key", "old", &dirty), FMM_OK);
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    CHECK_EQ(done(&ticket), FMM_MISS);
    end();
}

static void
a_clean_value_over_a_dirty_one_is_clean(void)
{
    begin();
    CHECK_EQ(set_text_as(cache, "key", "old", &dirty), FMM_OK);
    CHECK_EQ(set_text(cache, "key", "new"), FMM_OK);
    CHECK(!is_dirty("key"));
    end();
}

static enum fmm_status
add_one(bool is_change)
{
    const struct fmm_store_options store = {.dirty = is_change};
    struct fmm_key key = text_key(cache, "n");
    struct fmm_ticket ticket;
    int64_t result;
    uint64_t expire_at;
    return fmm_incr(cache, &call, &key, 1, 0, &store, &result, &expire_at,
                    &ticket);
}

static void
an_integer_that_changed_in_place_stays_dirty(void)
{
    struct fmm_ticket ticket;
    struct fmm_meta meta;
    char buffer[16];
    begin();
    CHECK_EQ(add_one(true), FMM_OK);
    CHECK_EQ(find("n", &ticket), FMM_OK);
    CHECK_EQ(add_one(true), FMM_OK);
    CHECK_EQ(done(&ticket), FMM_MISS);
    CHECK(is_dirty("n"));
    if (cache->geometry.seal_size != 0) { /* it is another entry by now */
        CHECK_EQ(find("n", &ticket), FMM_OK);
    }
    CHECK_EQ(fmm_dirty_read(cache, &call, &ticket, buffer, 16, &meta), FMM_OK);
    int64_t found;
    memcpy(&found, buffer + 1, sizeof(found));
    CHECK_EQ(found, 2);
    CHECK_EQ(done(&ticket), FMM_OK); /* the reading renewed the ticket */
    CHECK(!is_dirty("n"));
    CHECK_EQ(add_one(true), FMM_OK);
    CHECK(is_dirty("n"));
    CHECK_EQ(add_one(false), FMM_OK); /* no change makes it clean */
    CHECK(is_dirty("n"));
    end();
}

static void
a_lifetime_that_changed_leaves_it_dirty_or_done(void)
{
    struct fmm_ticket ticket;
    begin();
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
    CHECK_EQ(fmm_touch(cache, &call, &key, call.now_ms + SECOND), FMM_OK);
    CHECK(is_dirty("key"));
    CHECK_EQ(find("key", &ticket), FMM_OK);
    call.now_ms += 2 * SECOND;
    CHECK(!has(cache, "key"));
    CHECK(reads(&ticket, "key", "value")); /* expired, but not lost */
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK_EQ(done(&ticket), FMM_OK);
    end();
}

/* Others go on storing while one entry is being written back: it keeps its
 * place or moves, and is handed out again if it moved. */
static void
what_moved_meanwhile_is_still_dirty_and_not_lost(void)
{
    struct fmm_ticket ticket;
    unsigned moved = 0;
    begin();
    for (int round = 0; round < 100; round++) {
        CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
        CHECK_EQ(find("key", &ticket), FMM_OK);
        for (int i = 0; i < 200; i++) {
            char key[16];
            struct fmm_ticket other;
            const struct fmm_store_options clean = {.dirty = false};
            snprintf(key, sizeof(key), "%d", i);
            struct fmm_key k = text_key(cache, key);
            struct fmm_value v = text_value("some other value, of no use");
            while (fmm_set(cache, &call, &k, &v, &clean, &other) ==
                   FMM_DIRTY) {
                CHECK(reads(&other, "key", "value"));
            }
        }
        CHECK(is_dirty("key") && holds(cache, "key", "value"));
        if (done(&ticket) == FMM_MISS) {
            moved++;
            CHECK(is_dirty("key"));
            CHECK_EQ(find("key", &ticket), FMM_OK);
            CHECK(reads(&ticket, "key", "value"));
            CHECK_EQ(done(&ticket), FMM_OK);
        }
        CHECK(!is_dirty("key"));
    }
    CHECK(moved > 0);
    end();
}

/* ---------------------------------------------------------- whole pages */

static unsigned
drain(bool only_expired)
{
    struct fmm_ticket ticket;
    uint64_t cursor = 0;
    unsigned count = 0;
    while (fmm_dirty_next(cache, &call, 0, only_expired, &cursor, &ticket) ==
           FMM_OK) {
        CHECK_EQ(done(&ticket), FMM_OK);
        count++;
    }
    CHECK_EQ(fmm_dirty_next(cache, &call, 0, only_expired, &cursor, &ticket),
             FMM_MISS);
    return count;
}

static void
every_dirty_entry_of_a_page_is_handed_out_once(void)
{
    const struct fmm_store_options brief = {.dirty = true,
                                            .expire_at = call.now_ms + SECOND};
    begin();
    for (int i = 0; i < 30; i++) {
        char key[24];
        snprintf(key, sizeof(key), "%d", i);
        CHECK_EQ(set_text_as(cache, key, "x", i % 3 ? &dirty : &brief),
                 FMM_OK);
        snprintf(key, sizeof(key), "clean %d", i);
        CHECK_EQ(set_text(cache, key, "x"), FMM_OK);
    }
    CHECK_EQ(drain(true), 0);
    call.now_ms += 2 * SECOND;
    CHECK_EQ(drain(true), 10);
    CHECK_EQ(drain(false), 20);
    CHECK_EQ(drain(false), 0);
    end();
}

static void
a_cursor_beyond_the_page_ends_the_search(void)
{
    struct fmm_ticket ticket;
    begin();
    uint64_t cursor = UINT32_MAX | (uint64_t)cache->geometry.buckets << 32;
    CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
    CHECK_EQ(fmm_dirty_next(cache, &call, 0, false, &cursor, &ticket),
             FMM_MISS);
    end();
}

static void
a_forged_ticket_finds_nothing(void)
{
    begin();
    CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
    const struct fmm_ticket forged[] = {
        {.position = UINT64_MAX},
        {.position = 1},
        {.position = 5},
        {.position = UINT64_C(1) << 40},
        {.position = 0, .ring = 1},
        {.position = 0, .ring = 2},
        {.position = 0, .ring = UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        struct fmm_ticket ticket = forged[i];
        CHECK(!reads(&ticket, "key", "value"));
        CHECK_EQ(done(&ticket), FMM_MISS);
    }
    const struct fmm_ticket no_page = {.page = 7};
    CHECK_EQ(done(&no_page), FMM_ERR_ARGUMENT);
    CHECK(is_dirty("key"));
    end();
}

static void
dropping_keeps_dirty_entries_when_asked_to(void)
{
    uint64_t dropped = 0;
    begin();
    CHECK_EQ(set_text_as(cache, "dirty", "x", &dirty), FMM_OK);
    CHECK_EQ(set_text(cache, "clean", "x"), FMM_OK);
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, true, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, 1);
    CHECK(has(cache, "dirty") && !has(cache, "clean"));
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, 2);
    CHECK(!has(cache, "dirty"));
    end();
}

/* After a lap another version may lie where the one of the ticket did. */
static void
a_ticket_of_an_earlier_lap_marks_nothing_clean(void)
{
    const struct fmm_store_options store = {.dirty = true};
    struct fmm_cache *own = new_cache(4096, 1);
    struct fmm_ticket first, now = {.page = 0};
    struct fmm_page view;
    view_page(own, 0, &view);
    uint64_t place = (UINT64_C(1) << view.ring[FMM_RING_S].shift) - 1;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t cursor = 0;
        CHECK_EQ(set_text_as(own, "key", "value", &store), FMM_OK);
        CHECK_EQ(fmm_dirty_next(own, &call, 0, false, &cursor, &now), FMM_OK);
        first = i == 0 ? now : first;
        if (i > 0 && ((first.position ^ now.position) & place) == 0) {
            break;
        }
    }
    CHECK(first.position < now.position);
    CHECK_EQ((first.position ^ now.position) & place, 0);
    CHECK_EQ(fmm_dirty_done(own, &call, &first), FMM_MISS);
    CHECK_EQ(fmm_dirty_done(own, &call, &now), FMM_OK);
    fmm_close(own);
}

/* ------------------------------------------------------------ removals */

static enum fmm_due
remove_key(const char *key, bool mark)
{
    const struct fmm_removal removal = {.mark = mark};
    struct fmm_key k = text_key(cache, key);
    struct fmm_ticket ticket;
    enum fmm_due due = FMM_DUE_NOTHING;
    CHECK_EQ(fmm_remove(cache, &call, &k, &removal, &due, &ticket), FMM_OK);
    CHECK(!has(cache, key));
    return due;
}

static void
what_the_store_never_had_leaves_nothing_to_do(void)
{
    struct fmm_ticket ticket;
    begin();
    CHECK_EQ(set_text_as(cache, "key", "one", &dirty), FMM_OK);
    CHECK_EQ(set_text_as(cache, "key", "two", &dirty), FMM_OK);
    CHECK_EQ(remove_key("key", false), FMM_DUE_NOTHING);
    CHECK_EQ(find("key", &ticket), FMM_MISS);
    CHECK_EQ(set_text_as(cache, "key", "three", &dirty), FMM_OK);
    CHECK_EQ(remove_key("key", true), FMM_DUE_NOTHING);
    end();
}

static void
a_removal_while_a_value_is_written_is_written_after_it(void)
{
    struct fmm_ticket writing, removal;
    struct fmm_meta meta;
    char buffer[8];
    begin();
    CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
    CHECK_EQ(find("key", &writing), FMM_OK);
    CHECK(reads(&writing, "key", "value") && !writing.removed);
    CHECK_EQ(remove_key("key", false), FMM_DUE_MARKED);
    CHECK_EQ(done(&writing), FMM_MISS);
    CHECK_EQ(find("key", &removal), FMM_OK);
    CHECK(removal.removed);
    CHECK_EQ(fmm_dirty_read(cache, &call, &removal, buffer, 3, &meta), FMM_OK);
    CHECK(meta.tombstone && meta.key_len == 3 && meta.value_len == 0);
    CHECK_EQ(done(&removal), FMM_OK);
    CHECK_EQ(find("key", &removal), FMM_MISS);
    CHECK_EQ(stats_of(cache).entries, 0);
    end();
}

static void
a_newer_version_of_what_is_being_written_is_marked_too(void)
{
    struct fmm_ticket writing;
    begin();
    CHECK_EQ(set_text_as(cache, "key", "old", &dirty), FMM_OK);
    CHECK_EQ(find("key", &writing), FMM_OK);
    CHECK_EQ(set_text_as(cache, "key", "new", &dirty), FMM_OK);
    CHECK_EQ(remove_key("key", false), FMM_DUE_MARKED);
    end();
}

static void
a_removed_key_can_be_stored_again(void)
{
    struct fmm_ticket ticket;
    begin();
    CHECK_EQ(set_text(cache, "key", "clean"), FMM_OK);
    CHECK_EQ(remove_key("key", true), FMM_DUE_MARKED);
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK_EQ(set_text_as(cache, "key", "again", &dirty), FMM_OK);
    CHECK(holds(cache, "key", "again") && is_dirty("key"));
    CHECK_EQ(done(&ticket), FMM_MISS);
    /* It came over a removal that the store may not know of. */
    CHECK_EQ(remove_key("key", false), FMM_DUE_MARKED);
    end();
}

static void
a_dirty_tombstone_stays_when_it_was_written_back(void)
{
    const struct fmm_removal removal = {.modseq = 7, .has_modseq = true};
    struct fmm_ticket ticket;
    enum fmm_due due;
    begin();
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK_EQ(fmm_remove(cache, &call, &key, &removal, &due, &ticket), FMM_OK);
    CHECK_EQ(due, FMM_DUE_MARKED);
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK(!ticket.removed);
    CHECK_EQ(done(&ticket), FMM_OK);
    CHECK_EQ(find("key", &ticket), FMM_MISS);
    CHECK_EQ(set_text(cache, "key", "late"), FMM_STALE);
    end();
}

static void
a_removal_of_what_is_not_there_is_marked_too(void)
{
    const struct fmm_removal removal = {.mark = true};
    struct fmm_key key;
    struct fmm_ticket ticket;
    enum fmm_due due;
    begin();
    key = text_key(cache, "key");
    CHECK_EQ(fmm_remove(cache, &call, &key, &removal, &due, &ticket),
             FMM_MISS);
    CHECK_EQ(due, FMM_DUE_MARKED);
    CHECK_EQ(find("key", &ticket), FMM_OK);
    CHECK(ticket.removed && !has(cache, "key"));
    CHECK_EQ(done(&ticket), FMM_OK);
    CHECK_EQ(stats_of(cache).entries, 0);
    end();
}

static void
a_removal_ends_what_is_being_computed(void)
{
    const struct fmm_removal removal = {.mark = true};
    const struct fmm_value value = text_value("late");
    const struct fmm_lease_request wanted = {.duration_ms = 1000};
    struct fmm_key key;
    struct fmm_ticket ticket;
    struct fmm_lease lease;
    begin();
    key = text_key(cache, "key");
    CHECK_EQ(fmm_lease_take(cache, &call, &key, &wanted, &lease, &ticket),
             FMM_OK);
    CHECK_EQ(fmm_remove(cache, &call, &key, &removal, NULL, &ticket),
             FMM_MISS);
    const struct fmm_lease_store store = {.token = lease.token};
    CHECK_EQ(fmm_lease_value(cache, &call, &key, &value, &store, &ticket),
             FMM_MISS);
    CHECK_EQ(fmm_lease_take(cache, &call, &key, &wanted, &lease, &ticket),
             FMM_DIRTY);
    CHECK(ticket.removed);
    CHECK_EQ(done(&ticket), FMM_OK);
    CHECK_EQ(fmm_lease_take(cache, &call, &key, &wanted, &lease, &ticket),
             FMM_OK);
    end();
}

/* Whether the page knows that a value has left it. */
static bool
knows_of_departures(void)
{
    bool known;
    CHECK_EQ(set_text_as(cache, "new", "value", &dirty), FMM_OK);
    known = remove_key("new", false) == FMM_DUE_MARKED;
    return known;
}

static void
where_values_left_a_new_one_may_be_in_the_store(void)
{
    const struct fmm_removal plainly = {.keep_dirty = true};
    struct fmm_ticket ticket;
    uint64_t dropped = 0;
    begin();
    CHECK_EQ(set_text(cache, "key", "clean"), FMM_OK);
    CHECK(!knows_of_departures());
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_remove(cache, &call, &key, &plainly, NULL, &ticket), FMM_OK);
    CHECK(knows_of_departures());
    end();
    begin();
    CHECK_EQ(set_text(cache, "key", "clean"), FMM_OK);
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
    CHECK(knows_of_departures());
    end();
    begin();
    for (unsigned n = 0; stats_of(cache).evictions == 0; n++) {
        char name[16];
        snprintf(name, sizeof(name), "filler %u", n);
        CHECK_EQ(set_filler(cache, name, 100), FMM_OK);
    }
    CHECK(knows_of_departures());
    end();
}

static const struct check_case cases[] = {
    CASE(what_was_written_back_is_clean),
    CASE(a_read_that_does_not_fit_says_what_it_takes),
    CASE(what_was_overwritten_meanwhile_stays_dirty),
    CASE(what_was_removed_meanwhile_is_no_more),
    CASE(a_clean_value_over_a_dirty_one_is_clean),
    CASE(an_integer_that_changed_in_place_stays_dirty),
    CASE(a_lifetime_that_changed_leaves_it_dirty_or_done),
    CASE(what_moved_meanwhile_is_still_dirty_and_not_lost),
    CASE(every_dirty_entry_of_a_page_is_handed_out_once),
    CASE(a_cursor_beyond_the_page_ends_the_search),
    CASE(a_forged_ticket_finds_nothing),
    CASE(dropping_keeps_dirty_entries_when_asked_to),
    CASE(a_ticket_of_an_earlier_lap_marks_nothing_clean),
    CASE(what_the_store_never_had_leaves_nothing_to_do),
    CASE(a_removal_while_a_value_is_written_is_written_after_it),
    CASE(a_newer_version_of_what_is_being_written_is_marked_too),
    CASE(a_removed_key_can_be_stored_again),
    CASE(a_dirty_tombstone_stays_when_it_was_written_back),
    CASE(where_values_left_a_new_one_may_be_in_the_store),
    CASE(a_removal_of_what_is_not_there_is_marked_too),
    CASE(a_removal_ends_what_is_being_computed),
};

CHECK_MAIN(cases)
