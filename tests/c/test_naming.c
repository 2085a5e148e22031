/* The names of groups: noted once, listed beside what is in the groups, and few
 * enough never to be what fills a page. */
#include "support.h"

#include "fmm_hold.h"
#include "fmm_name.h"

static struct fmm_cache *cache;

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

static struct fmm_key
record_of(const char *name)
{
    struct fmm_key key;
    fmm_key_init(cache, &key, name, strlen(name), FMM_KEY_INTERNAL);
    return key;
}

static void
note(const char *name)
{
    struct fmm_key record = record_of(name), key = text_key(cache, name);
    fmm_name_note(cache, &call, &record, &key, FMM_NAMESPACE);
}

static bool
is_noted(const char *name)
{
    struct fmm_key record = record_of(name);
    return fmm_name_noted(cache, record.hash, call.now_ms);
}

static const struct fmm_control *
control(void)
{
    struct fmm_page page;
    view_page(cache, 0, &page);
    return page.control;
}

static void
fill(unsigned count)
{
    char name[24];
    for (unsigned n = 0; n < count; n++) {
        snprintf(name, sizeof(name), "filler %u", n);
        CHECK_EQ(set_filler(cache, name, 200), FMM_OK);
    }
}

static void
a_name_is_noted_once(void)
{
    cache = new_cache(UINT64_C(1) << 16, 1);
    CHECK(!is_noted("one"));
    note("one");
    uint64_t bytes = control()->name_bytes;
    note("one");
    CHECK(is_noted("one"));
    CHECK(!is_noted("other"));
    CHECK_EQ(control()->names, 1);
    CHECK(bytes > 0 && control()->name_bytes == bytes);
    end();
}

static void
a_name_that_is_too_long_is_not_noted(void)
{
    char name[FMM_NAME_MAX + 2];
    cache = new_cache(UINT64_C(1) << 16, 1);
    memset(name, 'x', sizeof(name));
    name[FMM_NAME_MAX + 1] = '\0';
    note(name);
    CHECK(!is_noted(name));
    name[FMM_NAME_MAX] = '\0';
    note(name);
    CHECK(is_noted(name));
    end();
}

static void
names_are_neither_values_nor_records(void)
{
    struct fmm_stats stats;
    cache = new_cache(UINT64_C(1) << 16, 1);
    note("one");
    fmm_stats_read(cache, &stats);
    CHECK_EQ(stats.entries, 0);
    CHECK_EQ(control()->internal, 1);
    CHECK_EQ(control()->records, 0);
    end();
}

/* What a scan for groups says of the only page. */
static void
groups_are_scanned_with_their_names(void)
{
    unsigned char records[4096];
    struct fmm_scan scan = {.buffer = records,
                            .capacity = sizeof(records),
                            .values = true,
                            .groups = true};
    struct fmm_tag tag = {.id = 77, .generation = 0};
    const struct fmm_store_options tagged = {.tags = &tag, .tag_count = 1};
    struct fmm_meta meta;
    const void *key, *value;
    uint64_t scope = 0;
    unsigned names = 0, values = 0;
    cache = new_cache(UINT64_C(1) << 16, 1);
    note("one");
    CHECK_EQ(set_text_as(cache, "tagged", "value", &tagged), FMM_OK);
    CHECK_EQ(fmm_scan_page(cache, &call, 0, &scan), FMM_OK);
    while (fmm_scan_next(&scan, &meta, &key, &value)) {
        if (meta.key_kind == FMM_KEY_INTERNAL) {
            names++;
            CHECK_EQ(meta.value_len, FMM_NAME_BEFORE + 3);
            CHECK(memcmp((const char *)value + FMM_NAME_BEFORE, "one", 3) ==
                  0);
        }
        else {
            values++;
            CHECK_EQ(meta.key_len, sizeof(scope) + sizeof(tag));
            CHECK_EQ(meta.value_len, 0);
            CHECK(memcmp(key, &scope, sizeof(scope)) == 0);
            CHECK(memcmp((const char *)key + sizeof(scope), &tag.id,
                         sizeof(tag.id)) == 0);
        }
    }
    CHECK_EQ(names, 1);
    CHECK_EQ(values, 1);
    end();
}

static void
names_take_little_room_however_many_groups_there_are(void)
{
    char name[24];
    cache = new_cache(UINT64_C(1) << 18, 1);
    for (unsigned n = 0; n < 2000; n++) {
        snprintf(name, sizeof(name), "group %u", n);
        note(name);
    }
    CHECK(control()->names >= 8);
    CHECK(control()->name_bytes <= 700);
    end();
}

static void
names_of_groups_in_use_outlive_all_that_is_stored_meanwhile(void)
{
    cache = new_cache(UINT64_C(1) << 18, 1);
    note("in use");
    note("left");
    for (unsigned n = 0; n < 40; n++) {
        fill(5000);
        CHECK(is_noted("in use"));
    }
    CHECK(!is_noted("left"));
    end();
}

static void
a_name_waits_for_no_page(void)
{
    struct fmm_guard guard;
    cache = new_cache(UINT64_C(1) << 16, 1);
    REQUIRE(fmm_guard_take(cache, &call, 0, &guard) == FMM_OK);
    note("one");
    CHECK(fmm_guard_release(&guard));
    CHECK(!is_noted("one"));
    note("one");
    CHECK(is_noted("one"));
    end();
}

static const struct check_case cases[] = {
    CASE(a_name_is_noted_once),
    CASE(a_name_that_is_too_long_is_not_noted),
    CASE(names_are_neither_values_nor_records),
    CASE(groups_are_scanned_with_their_names),
    CASE(names_take_little_room_however_many_groups_there_are),
    CASE(names_of_groups_in_use_outlive_all_that_is_stored_meanwhile),
    CASE(a_name_waits_for_no_page),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
