/* Files that are other than was asked for: refused, followed or replaced. */
#include "support.h"

#include <fcntl.h>
#include <unistd.h>

/* What a cache of 8 pages is asked for as. */
static struct fmm_options
larger(enum fmm_mismatch how)
{
    return (struct fmm_options){.path = scratch("cache"),
                                .page_size = 4096,
                                .num_pages = 8,
                                .on_mismatch = how};
}

/* A closed file of 2 pages with one entry, dirty or not. */
static void
make_file(bool dirty)
{
    const struct fmm_store_options store = {.dirty = dirty};
    unlink(scratch("cache"));
    struct fmm_cache *cache = new_cache(4096, 2);
    CHECK_EQ(set_text_as(cache, "key", "value", &store), FMM_OK);
    fmm_close(cache);
}

static void
make_file_of_version(uint32_t version, bool dirty)
{
    make_file(dirty);
    poke_file(scratch("cache"), offsetof(struct fmm_header, version), &version,
              sizeof(version));
}

static uint32_t
pages_of(const struct fmm_cache *cache)
{
    struct fmm_info info;
    fmm_info(cache, &info);
    return info.num_pages;
}

/* Open, and compare what came of it; the text tells about it. */
static struct fmm_error
check_opened(const struct fmm_options *options, uint32_t pages, bool kept)
{
    struct fmm_error notice;
    struct fmm_cache *cache = NULL;
    CHECK_EQ(fmm_open(options, &cache, &notice), FMM_OK);
    REQUIRE(cache != NULL);
    CHECK_EQ(pages_of(cache), pages);
    CHECK_EQ(has(cache, "key"), kept);
    check_pages(cache, true);
    fmm_close(cache);
    CHECK_EQ(count_files("cache"), 1);
    return notice;
}

static struct fmm_error
check_refused(const struct fmm_options *options, enum fmm_status status)
{
    struct fmm_error error;
    struct fmm_cache *cache = NULL;
    CHECK_EQ(fmm_open(options, &cache, &error), status);
    CHECK(cache == NULL);
    return error;
}

static bool
tells(const struct fmm_error *notice, const char *what)
{
    return strstr(notice->text, what) != NULL;
}

static void
another_geometry_is_refused_by_default(void)
{
    const struct fmm_options options = larger(FMM_MISMATCH_ERROR);
    make_file(false);
    struct fmm_error error = check_refused(&options, FMM_ERR_FORMAT);
    CHECK(tells(&error, "num_pages 2, but 8") && tells(&error, "init_file"));
}

static void
another_geometry_is_followed_without_a_word(void)
{
    const struct fmm_options options = larger(FMM_MISMATCH_FOLLOW);
    make_file(false);
    struct fmm_error notice = check_opened(&options, 2, true);
    CHECK(notice.text[0] == '\0');
}

static void
a_file_that_nobody_uses_is_replaced(void)
{
    const struct fmm_options options = larger(FMM_MISMATCH_REPLACE);
    make_file(false);
    struct fmm_error notice = check_opened(&options, 8, false);
    CHECK(tells(&notice, "num_pages 2, but 8") && tells(&notice, "replaced"));
    notice = check_opened(&options, 8, false);
    CHECK(notice.text[0] == '\0');
}

static void
a_file_in_use_is_followed(void)
{
    const struct fmm_options options = larger(FMM_MISMATCH_REPLACE);
    make_file(false);
    struct fmm_cache *user = open_path(options.path);
    struct fmm_error notice = check_opened(&options, 2, true);
    CHECK(tells(&notice, "others have it open"));
    CHECK(!fmm_replaced(user));
    fmm_close(user);
    check_opened(&options, 8, false);
}

static void
changed_values_are_not_replaced(void)
{
    const struct fmm_options options = larger(FMM_MISMATCH_REPLACE);
    make_file(true);
    struct fmm_error notice = check_opened(&options, 2, true);
    CHECK(tells(&notice, "changed values"));
}

static void
options_out_of_their_range_replace_nothing(void)
{
    struct fmm_options options = larger(FMM_MISMATCH_REPLACE);
    make_file(false);
    options.page_size = 1;
    check_refused(&options, FMM_ERR_ARGUMENT);
    options = larger(FMM_MISMATCH_FOLLOW);
    check_opened(&options, 2, true);
}

static void
what_cannot_be_made_leaves_the_old_file(void)
{
    struct fmm_options options = larger(FMM_MISMATCH_REPLACE);
    make_file(false);
    options.num_pages = 1u << 23; /* of 1 GiB each: 8 PiB */
    options.page_size = 1u << 30;
    struct fmm_error notice = check_opened(&options, 2, true);
    CHECK(tells(&notice, "stays as it is"));
}

static void
older_versions_are_replaced_if_that_is_wanted(void)
{
    struct fmm_options options = larger(FMM_MISMATCH_ERROR);
    for (uint32_t version = 1; version < FMM_VERSION; version++) {
        make_file_of_version(version, false);
        options.renew_old = false;
        check_refused(&options, FMM_ERR_VERSION);
        options.renew_old = true;
        struct fmm_error notice = check_opened(&options, 8, false);
        CHECK(tells(&notice, "version was"));
    }
}

static void
older_versions_with_changed_values_are_refused(void)
{
    struct fmm_options options = larger(FMM_MISMATCH_REPLACE);
    options.renew_old = true;
    make_file_of_version(FMM_VERSION - 1, true);
    struct fmm_error error = check_refused(&options, FMM_ERR_FORMAT);
    CHECK(tells(&error, "changed values"));
}

static void
newer_versions_are_never_replaced(void)
{
    struct fmm_options options = larger(FMM_MISMATCH_REPLACE);
    options.renew_old = true;
    make_file_of_version(FMM_VERSION + 1, false);
    check_refused(&options, FMM_ERR_VERSION);
}

static void
users_of_an_older_file_are_not_told_of_the_new_one(void)
{
    struct fmm_options options = larger(FMM_MISMATCH_ERROR);
    uint32_t version = FMM_VERSION - 1;
    options.renew_old = true;
    make_file(false);
    struct fmm_cache *user = open_path(options.path);
    poke_file(options.path, offsetof(struct fmm_header, version), &version,
              sizeof(version));
    check_opened(&options, 8, false);
    CHECK(fmm_replaced(user));
    CHECK(holds(user, "key", "value"));
    CHECK_EQ(set_text(user, "key", "other"), FMM_OK);
    fmm_close(user);
}

/* ---------------------------------------------------- changes unwritten */

static uint64_t
unwritten(const struct fmm_cache *cache)
{
    return atomic_load(&cache->header->unwritten);
}

static void
write_back(struct fmm_cache *cache, const char *key)
{
    struct fmm_key k = text_key(cache, key);
    uint64_t cursor = 0;
    struct fmm_ticket ticket;
    char buffer[64];
    struct fmm_meta meta;
    CHECK_EQ(fmm_dirty_next(cache, &call, k.page, false, &cursor, &ticket),
             FMM_OK);
    CHECK_EQ(
        fmm_dirty_read(cache, &call, &ticket, buffer, sizeof(buffer), &meta),
        FMM_OK);
    CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
}

static void
the_header_says_whether_changes_are_unwritten(void)
{
    const struct fmm_store_options dirty = {.dirty = true};
    struct fmm_cache *cache = new_cache(4096, 2);
    CHECK_EQ(set_text(cache, "clean", "value"), FMM_OK);
    CHECK_EQ(unwritten(cache), 0);
    CHECK_EQ(set_text_as(cache, "key", "value", &dirty), FMM_OK);
    CHECK_EQ(unwritten(cache), FMM_UNWRITTEN);
    fmm_dirty_settle(cache, &call);
    CHECK(unwritten(cache) != 0);
    write_back(cache, "key");
    CHECK(unwritten(cache) != 0);
    fmm_dirty_settle(cache, &call);
    CHECK_EQ(unwritten(cache), 0);
    fmm_close(cache);
}

static void
a_page_that_is_held_leaves_it_open(void)
{
    struct fmm_guard guard;
    struct fmm_cache *cache = new_cache(4096, 2);
    atomic_store(&cache->header->unwritten, FMM_UNWRITTEN);
    REQUIRE(fmm_guard_take(cache, &call, 1, &guard) == FMM_OK);
    fmm_dirty_settle(cache, &call);
    CHECK(unwritten(cache) != 0);
    CHECK(fmm_guard_release(&guard));
    fmm_dirty_settle(cache, &call);
    CHECK_EQ(unwritten(cache), 0);
    fmm_close(cache);
}

static const struct check_case cases[] = {
    CASE(another_geometry_is_refused_by_default),
    CASE(another_geometry_is_followed_without_a_word),
    CASE(a_file_that_nobody_uses_is_replaced),
    CASE(a_file_in_use_is_followed),
    CASE(changed_values_are_not_replaced),
    CASE(options_out_of_their_range_replace_nothing),
    CASE(what_cannot_be_made_leaves_the_old_file),
    CASE(older_versions_are_replaced_if_that_is_wanted),
    CASE(older_versions_with_changed_values_are_refused),
    CASE(newer_versions_are_never_replaced),
    CASE(users_of_an_older_file_are_not_told_of_the_new_one),
    CASE(the_header_says_whether_changes_are_unwritten),
    CASE(a_page_that_is_held_leaves_it_open),
};

CHECK_MAIN(cases)
