/* Conditional stores and tombstones: nothing stale gets in. */
#include "support.h"

static struct fmm_cache *cache;

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

static enum fmm_status
set_numbered(const char *value, uint64_t modseq)
{
    const struct fmm_store_options store = {.modseq = modseq,
                                            .has_modseq = true};
    return set_text_as(cache, "key", value, &store);
}

static enum fmm_status
bury_until(uint64_t modseq, uint64_t expire_at)
{
    const struct fmm_removal removal = {
        .modseq = modseq, .has_modseq = true, .expire_at = expire_at};
    struct fmm_key key = text_key(cache, "key");
    struct fmm_ticket ticket;
    return fmm_remove(cache, &call, &key, &removal, NULL, &ticket);
}

static enum fmm_status
bury(uint64_t modseq)
{
    return bury_until(modseq, 0);
}

static void
a_store_that_is_older_than_the_value_is_refused(void)
{
    begin();
    CHECK_EQ(set_numbered("five", 5), FMM_OK);
    CHECK_EQ(set_numbered("four", 4), FMM_STALE);
    CHECK(holds(cache, "key", "five"));
    CHECK_EQ(set_numbered("five again", 5), FMM_OK);
    CHECK(holds(cache, "key", "five again"));
    CHECK_EQ(set_numbered("six", UINT64_MAX), FMM_OK);
    CHECK_EQ(set_numbered("nine", UINT64_MAX - 1), FMM_STALE);
    CHECK(holds(cache, "key", "six"));
    end();
}

static void
a_store_without_a_number_clears_it(void)
{
    struct fmm_meta meta;
    begin();
    CHECK_EQ(set_numbered("five", 5), FMM_OK);
    CHECK_EQ(set_text(cache, "key", "plain"), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_exists(cache, &call, &key, &meta), FMM_OK);
    CHECK(!meta.has_modseq);
    CHECK_EQ(set_numbered("one", 1), FMM_OK);
    CHECK(holds(cache, "key", "one"));
    end();
}

static void
a_tombstone_reads_as_a_miss_and_refuses_what_is_older(void)
{
    begin();
    CHECK_EQ(set_numbered("five", 5), FMM_OK);
    CHECK_EQ(bury(7), FMM_OK);
    CHECK(!has(cache, "key"));
    CHECK_EQ(remove_text(cache, "other"), FMM_MISS);
    CHECK_EQ(set_numbered("six", 6), FMM_STALE);
    CHECK_EQ(set_text(cache, "key", "plain"), FMM_STALE);
    CHECK(!has(cache, "key"));
    CHECK_EQ(set_numbered("seven", 7), FMM_OK);
    CHECK(holds(cache, "key", "seven"));
    end();
}

static void
a_tombstone_is_left_where_nothing_was(void)
{
    begin();
    CHECK_EQ(bury(7), FMM_MISS);
    CHECK_EQ(set_numbered("six", 6), FMM_STALE);
    CHECK_EQ(set_numbered("eight", 8), FMM_OK);
    end();
}

static void
the_number_of_a_tombstone_never_goes_down(void)
{
    begin();
    CHECK_EQ(bury(7), FMM_MISS);
    CHECK_EQ(bury(3), FMM_MISS);
    CHECK_EQ(set_numbered("six", 6), FMM_STALE);
    CHECK_EQ(bury(9), FMM_MISS);
    CHECK_EQ(set_numbered("eight", 8), FMM_STALE);
    CHECK_EQ(set_numbered("nine", 9), FMM_OK);
    end();
}

static void
a_tombstone_that_comes_too_late_keeps_the_value(void)
{
    begin();
    CHECK_EQ(set_numbered("five", 5), FMM_OK);
    CHECK_EQ(bury(5), FMM_OK);
    CHECK_EQ(bury(4), FMM_OK);
    CHECK(holds(cache, "key", "five"));
    CHECK_EQ(bury(6), FMM_OK);
    CHECK(!has(cache, "key"));
    end();
}

static void
a_tombstone_buries_a_value_without_a_number(void)
{
    begin();
    CHECK_EQ(set_text(cache, "key", "plain"), FMM_OK);
    CHECK_EQ(bury(0), FMM_OK);
    CHECK(!has(cache, "key"));
    CHECK_EQ(set_text(cache, "key", "plain"), FMM_STALE);
    CHECK_EQ(set_numbered("zero", 0), FMM_OK);
    CHECK_EQ(bury(0), FMM_OK);
    CHECK(holds(cache, "key", "zero"));
    end();
}

static void
a_plain_removal_takes_tombstones_too(void)
{
    begin();
    CHECK_EQ(bury(7), FMM_MISS);
    CHECK_EQ(remove_text(cache, "key"), FMM_MISS);
    CHECK_EQ(set_numbered("one", 1), FMM_OK);
    CHECK(holds(cache, "key", "one"));
    end();
}

static void
a_tombstone_expires(void)
{
    begin();
    CHECK_EQ(bury_until(7, call.now_ms + SECOND), FMM_MISS);
    CHECK_EQ(set_numbered("six", 6), FMM_STALE);
    call.now_ms += SECOND;
    CHECK_EQ(set_numbered("six", 6), FMM_OK);
    CHECK(holds(cache, "key", "six"));
    end();
}

static void
an_expired_value_refuses_nothing(void)
{
    const struct fmm_store_options store = {
        .modseq = 9, .has_modseq = true, .expire_at = call.now_ms + SECOND};
    begin();
    CHECK_EQ(set_text_as(cache, "key", "nine", &store), FMM_OK);
    call.now_ms += SECOND;
    CHECK_EQ(set_numbered("one", 1), FMM_OK);
    CHECK(holds(cache, "key", "one"));
    CHECK_EQ(bury(2), FMM_OK);
    CHECK_EQ(set_numbered("two", 1), FMM_STALE);
    end();
}

static void
add_and_replace_take_a_tombstone_for_nothing(void)
{
    const struct fmm_store_options add = {
        .mode = FMM_STORE_ADD, .modseq = 8, .has_modseq = true};
    const struct fmm_store_options replace = {
        .mode = FMM_STORE_REPLACE, .modseq = 8, .has_modseq = true};
    begin();
    CHECK_EQ(bury(7), FMM_MISS);
    CHECK_EQ(set_text_as(cache, "key", "r", &replace), FMM_MISS);
    CHECK_EQ(set_text_as(cache, "key", "a", &add), FMM_OK);
    CHECK_EQ(set_text_as(cache, "key", "b", &add), FMM_EXISTS);
    CHECK_EQ(set_text_as(cache, "key", "r", &replace), FMM_OK);
    CHECK(holds(cache, "key", "r"));
    end();
}

static enum fmm_status
add_one(bool has_modseq, uint64_t modseq, int64_t *result)
{
    const struct fmm_store_options store = {.modseq = modseq,
                                            .has_modseq = has_modseq};
    struct fmm_key key = text_key(cache, "key");
    struct fmm_ticket ticket;
    uint64_t expire_at;
    return fmm_incr(cache, &call, &key, 1, 0, &store, result, &expire_at,
                    &ticket);
}

static void
an_addition_heeds_numbers_as_a_store_does(void)
{
    int64_t result = 0;
    struct fmm_meta meta;
    begin();
    CHECK_EQ(add_one(true, 5, &result), FMM_OK);
    CHECK_EQ(add_one(true, 4, &result), FMM_STALE);
    CHECK_EQ(add_one(true, 6, &result), FMM_OK);
    CHECK_EQ(result, 2);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_exists(cache, &call, &key, &meta), FMM_OK);
    CHECK_EQ(meta.modseq, 6);
    CHECK_EQ(add_one(false, 0, &result), FMM_OK);
    CHECK_EQ(result, 3);
    CHECK_EQ(fmm_exists(cache, &call, &key, &meta), FMM_OK);
    CHECK(!meta.has_modseq);
    CHECK_EQ(bury(9), FMM_OK);
    CHECK_EQ(add_one(false, 0, &result), FMM_STALE);
    CHECK_EQ(add_one(true, 9, &result), FMM_OK);
    CHECK_EQ(result, 1);
    end();
}

static void
tombstones_are_hidden_from_scans(void)
{
    uint64_t dropped = 0;
    unsigned char buffer[512];
    struct fmm_scan scan = {.buffer = buffer, .capacity = sizeof(buffer)};
    begin();
    CHECK_EQ(bury(7), FMM_MISS);
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    CHECK_EQ(scan.used, 0);
    CHECK_EQ(fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped),
             FMM_OK);
    CHECK_EQ(dropped, 0);
    CHECK_EQ(set_numbered("one", 1), FMM_OK);
    end();
}

static void
a_removal_tells_what_is_left_to_do(void)
{
    const struct fmm_store_options dirty = {.dirty = true};
    struct fmm_removal removal = {.keep_dirty = true};
    struct fmm_ticket ticket;
    enum fmm_due due;
    begin();
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_remove(cache, &call, &key, &removal, &due, &ticket),
             FMM_MISS);
    CHECK_EQ(due, FMM_DUE_DELETION);
    CHECK_EQ(set_text(cache, "key", "clean"), FMM_OK);
    CHECK_EQ(fmm_remove(cache, &call, &key, &removal, &due, &ticket), FMM_OK);
    CHECK_EQ(due, FMM_DUE_DELETION);
    CHECK_EQ(set_text_as(cache, "key", "changed", &dirty), FMM_OK);
    CHECK_EQ(fmm_remove(cache, &call, &key, &removal, NULL, &ticket),
             FMM_DIRTY);
    CHECK(holds(cache, "key", "changed"));
    end();
}

static void
a_late_tombstone_leaves_the_store_alone(void)
{
    const struct fmm_removal late = {.modseq = 4, .has_modseq = true};
    struct fmm_ticket ticket;
    enum fmm_due due;
    begin();
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(set_numbered("key", 5), FMM_OK);
    CHECK_EQ(fmm_remove(cache, &call, &key, &late, &due, &ticket), FMM_OK);
    CHECK_EQ(due, FMM_DUE_NOTHING);
    end();
}

static const struct check_case cases[] = {
    CASE(a_store_that_is_older_than_the_value_is_refused),
    CASE(a_store_without_a_number_clears_it),
    CASE(a_tombstone_reads_as_a_miss_and_refuses_what_is_older),
    CASE(a_tombstone_is_left_where_nothing_was),
    CASE(the_number_of_a_tombstone_never_goes_down),
    CASE(a_tombstone_that_comes_too_late_keeps_the_value),
    CASE(a_tombstone_buries_a_value_without_a_number),
    CASE(a_plain_removal_takes_tombstones_too),
    CASE(a_tombstone_expires),
    CASE(an_expired_value_refuses_nothing),
    CASE(add_and_replace_take_a_tombstone_for_nothing),
    CASE(an_addition_heeds_numbers_as_a_store_does),
    CASE(tombstones_are_hidden_from_scans),
    CASE(a_removal_tells_what_is_left_to_do),
    CASE(a_late_tombstone_leaves_the_store_alone),
};

CHECK_MAIN(cases)
