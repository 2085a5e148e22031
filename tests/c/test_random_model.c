/* Random operations against a plain model, in several geometries, the page
 * verified after each. */
#include "model.h"

static void
run(uint64_t page_size, uint32_t num_pages, uint32_t slots, unsigned count)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = page_size,
                                        .num_pages = num_pages,
                                        .slots = slots,
                                        .init_file = true};
    struct fmm_cache *cache = open_cache(&options);
    model_begin(cache, MODEL_KEYS);
    for (unsigned i = 0; i < count && check_failures() == 0; i++) {
        model_step();
        check_pages(cache, true);
        if (check_random_below(500) == 0) {
            fmm_close(cache);
            cache = open_path(scratch("cache"));
            model_reopened(cache);
        }
        if (i % 500 == 0) {
            model_check();
        }
    }
    model_check();
    fmm_close(cache);
}

static void
the_smallest_page_agrees_with_the_model(void)
{
    run(4096, 1, 0, 60000);
}

/* And verified after each step, as all are. */
static void
a_page_whose_index_grows_agrees_with_the_model(void)
{
    run(32768, 1, 16, 20000);
}

static void
a_page_with_few_slots_agrees_with_the_model(void)
{
    run(8192, 2, 16, 30000);
}

static void
a_page_with_one_bucket_agrees_with_the_model(void)
{
    run(4096, 3, 8, 30000);
}

static void
a_page_with_most_slots_agrees_with_the_model(void)
{
    run(4096, 1, 168, 60000);
}

static void
larger_pages_agree_with_the_model(void)
{
    run(16384, 2, 0, 60000);
    run(65536, 1, 0, 20000);
}

static void
pages_with_room_for_all_agree_with_the_model(void)
{
    run(1048576, 1, 0, 2000);
    CHECK_EQ(model_lost(), 0);
}

static const struct check_case cases[] = {
    CASE(the_smallest_page_agrees_with_the_model),
    CASE(a_page_whose_index_grows_agrees_with_the_model),
    CASE(a_page_with_few_slots_agrees_with_the_model),
    CASE(a_page_with_one_bucket_agrees_with_the_model),
    CASE(a_page_with_most_slots_agrees_with_the_model),
    CASE(larger_pages_agree_with_the_model),
    CASE(pages_with_room_for_all_agree_with_the_model),
};

CHECK_MAIN(cases)
