/* Options and geometry: what was asked for, and where everything lies. */
#include "check.h"

#include <string.h>

#include "fmm_format.h"
#include "fmm_options.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)

static struct fmm_geometry
resolved(const struct fmm_options *options)
{
    struct fmm_geometry g = {0};
    struct fmm_error error;
    CHECK_EQ(fmm_geometry_resolve(options, &g, &error), FMM_OK);
    return g;
}

static void
check_pages_of(uint64_t cache_size, uint64_t page_size, uint32_t num_pages)
{
    struct fmm_geometry g =
        resolved(&(struct fmm_options){.cache_size = cache_size});
    CHECK_EQ(g.page_size, page_size);
    CHECK_EQ(g.num_pages, num_pages);
}

static void
pages_follow_the_cache_size(void)
{
    check_pages_of(0, MIB, 16);
    check_pages_of(16 * MIB, MIB, 16);
    check_pages_of(16 * MIB - 1, 512 * KIB, 31);
    check_pages_of(64 * MIB, 2 * MIB, 32);
    check_pages_of(2 * GIB, 2 * MIB, 1024);
    check_pages_of(8 * MIB, 512 * KIB, 16);
    check_pages_of(4 * MIB, 256 * KIB, 16);
    check_pages_of(MIB, 256 * KIB, 4);
    check_pages_of(512 * KIB, 128 * KIB, 4);
    check_pages_of(4 * KIB, 4 * KIB, 1);
    check_pages_of(5000, 4 * KIB, 1);
}

static void
check_rounding(uint64_t asked, uint64_t expected)
{
    struct fmm_geometry g =
        resolved(&(struct fmm_options){.page_size = asked, .num_pages = 1});
    CHECK_EQ(g.page_size, expected);
}

static void
a_page_size_is_rounded_to_the_nearest_power_of_two(void)
{
    check_rounding(4096, 4096);
    check_rounding(5000, 4096);
    check_rounding(6145, 8192);
    check_rounding(64 * KIB + 1, 64 * KIB);
    check_rounding(GIB - 1, GIB);
    check_rounding(GIB, GIB);
}

static void
explicit_pages_win_over_the_cache_size(void)
{
    struct fmm_geometry g = resolved(&(struct fmm_options){
        .page_size = 64 * KIB, .num_pages = 10, .cache_size = MIB});
    CHECK_EQ(g.page_size, 64 * KIB);
    CHECK_EQ(g.num_pages, 10);
    g = resolved(&(struct fmm_options){.num_pages = 16});
    CHECK_EQ(g.page_size, MIB);
    CHECK_EQ(g.num_pages, 16);
    g = resolved(&(struct fmm_options){.page_size = MIB});
    CHECK_EQ(g.num_pages, 16);
}

/* Those that a page has at first. */
static void
slots_follow_the_entry_size(void)
{
    struct fmm_options small = {.page_size = 256 * KIB, .entry_size = 40};
    struct fmm_options usual = {.page_size = 256 * KIB};
    struct fmm_options large = {.page_size = 256 * KIB, .entry_size = 9000};
    uint32_t slots = resolved(&usual).buckets * FMM_BUCKET_SLOTS;
    CHECK(slots >= 228 && slots <= 332); /* one per 789 to 1150 bytes */
    CHECK(resolved(&small).buckets > resolved(&usual).buckets);
    CHECK(resolved(&large).buckets < resolved(&usual).buckets);
    CHECK(resolved(&large).buckets >= 2);
    small.entry_size = 1;
    CHECK_EQ(fmm_geometry_resolve(&small, &(struct fmm_geometry){0}, NULL),
             FMM_OK);
}

static void
start_slots_are_rounded_up_to_whole_buckets(void)
{
    struct fmm_options options = {.page_size = 64 * KIB, .slots = 1};
    CHECK_EQ(resolved(&options).buckets, 1);
    options.slots = 9;
    CHECK_EQ(resolved(&options).buckets, 2);
}

static void
check_refused(const struct fmm_options *options, const char *word)
{
    struct fmm_geometry g;
    struct fmm_error error;
    CHECK_EQ(fmm_geometry_resolve(options, &g, &error), FMM_ERR_ARGUMENT);
    CHECK(strstr(error.text, word) != NULL);
}

static void
options_out_of_range_are_named(void)
{
    check_refused(&(struct fmm_options){.cache_size = 4095}, "cache_size");
    check_refused(&(struct fmm_options){.cache_size = GIB * MIB + 1},
                  "cache_size");
    check_refused(&(struct fmm_options){.cache_size = UINT64_MAX},
                  "cache_size");
    check_refused(&(struct fmm_options){.page_size = 4095}, "page_size");
    check_refused(&(struct fmm_options){.page_size = GIB + 1}, "page_size");
    check_refused(&(struct fmm_options){.page_size = UINT64_MAX}, "page_size");
    check_refused(&(struct fmm_options){.num_pages = UINT32_MAX}, "num_pages");
    check_refused(&(struct fmm_options){.entry_size = UINT32_MAX},
                  "entry_size");
    check_refused(&(struct fmm_options){.slots = UINT32_MAX}, "start_slots");
    check_refused(&(struct fmm_options){.page_size = 4096, .slots = 169},
                  "start_slots");
    check_refused(
        &(struct fmm_options){.cache_size = 512 * GIB, .page_size = 4096},
        "pages");
}

/* Each part begins where the one before it ends, aligned. */
static void
check_layout(uint64_t page_size, uint32_t num_pages, uint32_t buckets)
{
    struct fmm_geometry g;
    REQUIRE(fmm_geometry_layout(page_size, num_pages, buckets, &g));
    uint64_t slots = (uint64_t)buckets * FMM_BUCKET_SLOTS;
    CHECK(g.indexes_at >=
          FMM_HEADER_SIZE + (uint64_t)num_pages * FMM_CONTROL_SIZE);
    CHECK_EQ(g.indexes_at % 4096, 0);
    CHECK(g.hints_at >= 8 * slots && g.hints_at % 4 == 0);
    CHECK(g.index_size >= g.hints_at + 6 * slots);
    CHECK_EQ(g.index_size % 64, 0);
    CHECK_EQ(g.rings_at, g.indexes_at + g.index_size * num_pages);
    CHECK_EQ(g.ring_at[0], 0);
    CHECK_EQ(g.ring_at[1], g.ring_size[0]);
    CHECK_EQ(g.ring_at[1] % 64, 0);
    CHECK_EQ(g.ring_at[1] + g.ring_size[1], g.rings_size);
    CHECK_EQ(g.index_size + g.rings_size, page_size);
    CHECK(g.ring_size[0] > 0 && g.ring_size[0] * 3 < g.ring_size[1]);
    CHECK(g.ring_size[0] * 6 > g.ring_size[1]);
    CHECK_EQ(g.clients_at, g.indexes_at + page_size * num_pages);
    CHECK_EQ(g.file_size, g.clients_at + FMM_CLIENTS * UINT64_C(512));
    CHECK(g.max_entry <= g.ring_size[1] / 2);
}

static void
the_parts_of_a_page_do_not_overlap(void)
{
    for (uint64_t size = 4096; size <= GIB; size *= 2) {
        uint32_t most = (uint32_t)(size / 2 / 96);
        check_layout(size, 1, 1);
        check_layout(size, 7, most / 2);
        check_layout(size, 16, most);
        check_layout(size, FMM_PAGES_MAX, most);
    }
}

static void
a_layout_out_of_range_is_refused(void)
{
    struct fmm_geometry g;
    CHECK(!fmm_geometry_layout(0, 1, 1, &g));
    CHECK(!fmm_geometry_layout(2048, 1, 1, &g));
    CHECK(!fmm_geometry_layout(4097, 1, 1, &g));
    CHECK(!fmm_geometry_layout(2 * GIB, 1, 1, &g));
    CHECK(!fmm_geometry_layout(UINT64_C(1) << 63, 1, 1, &g));
    CHECK(!fmm_geometry_layout(4096, 0, 1, &g));
    CHECK(!fmm_geometry_layout(4096, FMM_PAGES_MAX + 1, 1, &g));
    CHECK(!fmm_geometry_layout(4096, 1, 0, &g));
    CHECK(!fmm_geometry_layout(4096, 1, 22, &g));
    CHECK(!fmm_geometry_layout(4096, 1, UINT32_MAX, &g));
}

static void
check_agreement(const struct fmm_options *made_with,
                const struct fmm_options *opened_with,
                enum fmm_status expected)
{
    struct fmm_geometry file = resolved(made_with);
    CHECK_EQ(fmm_geometry_agree(opened_with, &file, NULL), expected);
}

static void
options_left_out_agree_with_any_file(void)
{
    const struct fmm_options none = {.page_size = 0};
    check_agreement(&(struct fmm_options){.page_size = 4096, .num_pages = 3},
                    &none, FMM_OK);
    check_agreement(&(struct fmm_options){.cache_size = GIB}, &none, FMM_OK);
}

static void
the_same_options_agree_with_their_file(void)
{
    const struct fmm_options same[] = {
        {.cache_size = 1000 * 1000},
        {.cache_size = 3 * MIB, .num_pages = 5},
        {.page_size = 5000, .num_pages = 3, .slots = 30},
        {.page_size = 64 * KIB, .cache_size = 1000 * 1000},
        {.num_pages = 7, .entry_size = 2000},
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        check_agreement(&same[i], &same[i], FMM_OK);
    }
}

/* Each option on its own is compared with what the file has. */
static void
a_part_of_the_options_agrees_with_their_file(void)
{
    const struct fmm_options all = {.page_size = 64 * KIB,
                                    .cache_size = 1000 * 1000};
    check_agreement(&all, &(struct fmm_options){.page_size = 64 * KIB},
                    FMM_OK);
    check_agreement(&all, &(struct fmm_options){.cache_size = 1000 * 1000},
                    FMM_OK);
    const struct fmm_options slots = {
        .page_size = 4 * MIB, .num_pages = 1, .slots = 100000};
    check_agreement(&slots, &(struct fmm_options){.slots = 100000}, FMM_OK);
}

static void
other_options_are_refused_with_both_values(void)
{
    const struct fmm_options made = {
        .page_size = 8192, .num_pages = 4, .slots = 40};
    check_agreement(&made, &(struct fmm_options){.page_size = 4096},
                    FMM_ERR_FORMAT);
    check_agreement(&made, &(struct fmm_options){.num_pages = 5},
                    FMM_ERR_FORMAT);
    check_agreement(&made, &(struct fmm_options){.cache_size = 16384},
                    FMM_ERR_FORMAT);
    check_agreement(&made, &(struct fmm_options){.slots = 48}, FMM_ERR_FORMAT);
    struct fmm_geometry file = resolved(&made);
    struct fmm_error error;
    fmm_geometry_agree(&(struct fmm_options){.num_pages = 5}, &file, &error);
    CHECK(strstr(error.text, "num_pages 4") != NULL);
    CHECK(strstr(error.text, "5 was asked") != NULL);
}

static void
a_layout_of_too_many_pages_is_refused(void)
{
    struct fmm_geometry g;
    CHECK(fmm_geometry_layout(4096, FMM_PAGES_MAX, 4, &g));
    CHECK(!fmm_geometry_layout(4096, FMM_PAGES_MAX + 1, 4, &g));
}

static const struct check_case cases[] = {
    CASE(pages_follow_the_cache_size),
    CASE(a_page_size_is_rounded_to_the_nearest_power_of_two),
    CASE(explicit_pages_win_over_the_cache_size),
    CASE(slots_follow_the_entry_size),
    CASE(start_slots_are_rounded_up_to_whole_buckets),
    CASE(options_out_of_range_are_named),
    CASE(the_parts_of_a_page_do_not_overlap),
    CASE(a_layout_out_of_range_is_refused),
    CASE(options_left_out_agree_with_any_file),
    CASE(the_same_options_agree_with_their_file),
    CASE(a_part_of_the_options_agrees_with_their_file),
    CASE(other_options_are_refused_with_both_values),
    CASE(a_layout_of_too_many_pages_is_refused),
};

CHECK_MAIN(cases)
