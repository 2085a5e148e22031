/* Every instruction of a change may be the last one of its process.
 *
 * A child makes one change, stepped instruction by instruction. After each
 * step that altered the shared memory its image is kept, and looked at as
 * if nothing were known of a death, or as if the lock named the dead. So
 * what has to be complete before what, is, in the order of the compiled
 * code; and nothing depends on a repair.
 *
 *   test_crash_order        a few changes of each kind, for it is slow
 *   test_crash_order 1000   as many of each kind as that */
#include "aftermath.h"
#include "stepper.h"

#include <stdlib.h>

#define CHANGES 8u
#define OPERATIONS 300u /* of the fresh writer, on each image */
#define STEPPING_S 60u  /* for one change */
#define DEAD_SHARE 16u  /* one image in so many names a dead owner */

/* A page on which changes of some kinds are made. */
struct scenario {
    const char *name;
    enum change_kind kinds[8];
    unsigned count;      /* of kinds */
    uint32_t keys;       /* that are used at all */
    uint32_t length_max; /* of values */
    uint32_t slots;      /* 0: many */
    unsigned warm_up;    /* sets before, and half as many between changes */
    bool hot;            /* all keys are hit in between */
    bool kept;           /* the index cannot grow */
};

static struct aftermath *aftermath;
static unsigned changes = CHANGES;
static uint64_t dead;

/* What was done, and which of the rarer steps were met on the way. */
static struct {
    unsigned long instructions, images, half_stays, evicting, moving, growing;
} total;

static void
apply(void *change)
{
    struct fmm_ticket ticket;
    change_apply(aftermath->cache, change, &ticket);
}

/* Who we are: thousands of instructions, of no use here. */
static void
know_oneself(void *change)
{
    (void)change;
    fmm_client_owner(&aftermath->cache->client);
}

static bool
is_half_stay(const unsigned char *image)
{
    struct fmm_page page;
    fmm_page_view((unsigned char *)(uintptr_t)image,
                  &aftermath->cache->geometry, 0, &page);
    const struct fmm_ring *ring = &page.ring[FMM_RING_M];
    return *ring->head_word - *ring->tail_word > UINT64_C(1) << ring->shift;
}

static void
check_images(const struct steps *steps)
{
    unsigned n = 0;
    for (const struct image *i = steps->first; i != NULL; i = i->next, n++) {
        total.half_stays += is_half_stay(i->bytes);
        aftermath_check(aftermath, i->bytes, n % DEAD_SHARE ? 0 : dead);
    }
    total.instructions += steps->instructions;
    total.images += steps->images;
}

static void
check_change(struct change *change)
{
    struct fmm_cache *cache = aftermath->cache;
    const struct stepped child = {know_oneself, apply, change, STEPPING_S};
    struct fmm_stats was = stats_of(cache), is;
    struct steps steps;
    check_deadline(STEPPING_S);
    aftermath_begin(aftermath, change);
    step_images(&child, cache->base, cache->geometry.clients_at, &steps);
    aftermath_end(aftermath);
    check_images(&steps);
    is = stats_of(cache);
    total.evicting += is.evictions > was.evictions;
    total.moving += is.moved_bytes > was.moved_bytes;
    free_steps(&steps);
}

static struct change
change_of(const struct scenario *s, enum change_kind kind)
{
    struct change change = some_change(kind, s->length_max);
    change.key %= s->keys;
    return change;
}

static void
warm_up(const struct scenario *s, unsigned count)
{
    static struct seen ignored[CHANGE_KEYS];
    for (unsigned i = 0; i < count; i++) {
        struct change change = change_of(s, i % 8 == 3 ? SET_MORTAL : SET);
        change_complete(aftermath->cache, &change);
    }
    call.now_ms += 40 * SECOND; /* some of it expires */
    if (s->hot) {
        look(aftermath->cache, ignored);
        look(aftermath->cache, ignored);
    }
}

static struct fmm_cache *
open_page(uint32_t slots)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = 4096,
                                        .num_pages = 1,
                                        .slots = slots,
                                        .init_file = true};
    return open_cache(&options);
}

static void
run(const struct scenario *s)
{
    struct fmm_cache *cache = open_page(s->slots ? s->slots : 64);
    unsigned long failures = check_failures();
    if (s->kept) {
        keep_index(cache);
    }
    aftermath = aftermath_new(cache, OPERATIONS);
    dead = dead_owner();
    memset(&total, 0, sizeof(total));
    warm_up(s, s->warm_up);
    for (unsigned i = 0; i < changes && check_failures() == failures; i++) {
        struct change change = change_of(s, s->kinds[i % s->count]);
        check_change(&change);
        warm_up(s, s->warm_up / 32);
    }
    printf("steps %s: %u changes, %lu instructions, %lu images, "
           "%lu half stays, %lu failures\n",
           s->name, changes, total.instructions, total.images,
           total.half_stays, check_failures() - failures);
    CHECK(total.images > changes);
    aftermath_free(aftermath);
    fmm_close(cache);
}

/* ------------------------------------------------------------ scenarios */

static void
every_step_of_a_new_key_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "new",
                           .kinds = {REMOVE, SET, SET_DIRTY, ADD},
                           .count = 4,
                           .keys = CHANGE_KEYS,
                           .length_max = 120,
                           .warm_up = 4});
}

static void
every_step_of_an_overwrite_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "overwrite",
                           .kinds = {SET, SET_DIRTY, WRITE_BACK},
                           .count = 3,
                           .keys = 4,
                           .length_max = 100,
                           .warm_up = 40});
}

/* One key, large: its old version has to go before the new one has room. */
static void
every_step_of_an_overwrite_that_evicts_itself_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "overwrite the evicted",
                           .kinds = {SET},
                           .count = 1,
                           .keys = 3,
                           .length_max = VALUE_MAX,
                           .warm_up = 40});
}

static void
every_step_into_a_full_page_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "full",
                           .kinds = {SET, SET, SET, SET, SET_DIRTY},
                           .count = 5,
                           .keys = CHANGE_KEYS,
                           .length_max = 600,
                           .warm_up = 200});
    CHECK(changes < 50 || (total.evicting > 0 && total.moving > 0));
}

static void
every_step_into_a_hot_page_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "hot",
                           .kinds = {SET, SET, SET, SET, SET_DIRTY},
                           .count = 5,
                           .keys = CHANGE_KEYS,
                           .length_max = 700,
                           .warm_up = 300,
                           .hot = true});
    CHECK(changes < 50 || (total.half_stays > 0 && total.moving > 0));
}

static void
every_step_that_wants_a_slot_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "slots",
                           .kinds = {SET, SET, SET_DIRTY, ADD_DIRTY},
                           .count = 4,
                           .keys = CHANGE_KEYS,
                           .length_max = 60,
                           .slots = 8,
                           .warm_up = 60,
                           .hot = true,
                           .kept = true});
}

/* A page with one more key than slots, each time a new one. */
static void
grow_once(void)
{
    struct fmm_cache *cache = open_page(8);
    struct fmm_page page;
    aftermath = aftermath_new(cache, OPERATIONS);
    for (uint32_t n = 0; n < 8; n++) {
        struct change change = some_change(n % 3 ? SET : SET_DIRTY, 60);
        change.key = n;
        change_complete(cache, &change);
    }
    view_page(cache, 0, &page);
    CHECK_EQ(page.control->index, 0);
    struct change last = some_change(SET, 60);
    last.key = 8 + (uint32_t)check_random_below(8);
    check_change(&last);
    total.growing += page.control->index != 0;
    aftermath_free(aftermath);
    fmm_close(cache);
}

static void
every_step_of_a_growing_index_leaves_a_sound_page(void)
{
    unsigned long failures = check_failures();
    dead = dead_owner();
    memset(&total, 0, sizeof(total));
    for (unsigned i = 0; i < changes && check_failures() == failures; i++) {
        grow_once();
    }
    CHECK_EQ(total.growing, changes);
    CHECK(total.images > 20 * changes);
}

static void
every_step_of_a_removal_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "remove",
                           .kinds = {REMOVE, SET_DIRTY, BURY, REMOVE},
                           .count = 4,
                           .keys = CHANGE_KEYS,
                           .length_max = 300,
                           .warm_up = 100});
}

static void
every_step_of_a_change_in_place_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "in place",
                           .kinds = {ADD, ADD, TOUCH, ADD_DIRTY, WRITE_BACK},
                           .count = 5,
                           .keys = 1, /* and never another value */
                           .length_max = 100});
}

static void
every_step_of_a_lease_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "lease",
                           .kinds = {TAKE_LEASE, EXTEND, COMPUTE, REFRESH,
                                     EXTEND, COMPUTE, REFRESH, RELEASE},
                           .count = 8,
                           .keys = 1,
                           .length_max = 100});
}

static void
every_step_of_a_lease_that_wants_room_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "leases in a full page",
                           .kinds = {REMOVE, TAKE_LEASE, COMPUTE, REFRESH, SET,
                                     TAKE_LEASE, RELEASE},
                           .count = 7,
                           .keys = CHANGE_KEYS,
                           .length_max = 600,
                           .warm_up = 200,
                           .hot = true});
}

static void
every_step_of_adding_to_a_leased_number_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "leased number",
                           .kinds = {TAKE_LEASE, COMPUTE_NUMBER, REFRESH, ADD,
                                     REFRESH, ADD_DIRTY},
                           .count = 6,
                           .keys = 1,
                           .length_max = 100});
}

static void
every_step_of_clearing_leaves_a_sound_page(void)
{
    run(&(struct scenario){.name = "clear",
                           .kinds = {CLEAR, PURGE, SET_DIRTY, CLEAR},
                           .count = 4,
                           .keys = CHANGE_KEYS,
                           .length_max = 300,
                           .warm_up = 100});
}

/* ------------------------------------------------------------- groups */

/* Two pages: "old" has a tag whose record belongs on the other page, and is
 * ended before the change, or by it. */
static struct {
    struct fmm_cache *cache, *copy;
    struct fmm_tag tag;
    struct fmm_key record;
    bool gone; /* the value was not seen any more */
} grouped;

static uint32_t
generation_in(struct fmm_cache *cache)
{
    uint32_t generation = 0;
    CHECK_EQ(fmm_group_find(cache, &call, &grouped.record, &generation),
             FMM_OK);
    return generation;
}

static void
set_tagged(struct fmm_cache *cache, const char *key)
{
    grouped.tag.generation = generation_in(cache);
    const struct fmm_store_options store = {.tags = &grouped.tag,
                                            .tag_count = 1};
    CHECK_EQ(set_text_as(cache, key, "value", &store), FMM_OK);
}

static void
end_group(struct fmm_cache *cache, bool with_record)
{
    struct fmm_ticket ticket = {.hash = 0};
    CHECK_EQ(fmm_group_end(cache, &call, &grouped.record,
                           with_record ? &ticket : NULL),
             FMM_OK);
}

static void
end_with_record(void *unused)
{
    (void)unused;
    end_group(grouped.cache, true);
}

static void
end_without_record(void *unused)
{
    (void)unused;
    end_group(grouped.cache, false);
}

/* With values that are asked for. */
static void
fill_page_of_record(void *unused)
{
    static unsigned filled;
    char name[24];
    (void)unused;
    for (unsigned n = 0; n < 60; n++) {
        snprintf(name, sizeof(name), "filler %u", filled++);
        struct fmm_key key = text_key(grouped.cache, name);
        if (key.page == grouped.record.page) {
            CHECK_EQ(set_filler(grouped.cache, name, 150), FMM_OK);
            is_filler(grouped.cache, name, 150);
        }
    }
}

static bool
has_record(void)
{
    return fmm_exists(grouped.cache, &call, &grouped.record, NULL) == FMM_OK;
}

/* So many that records have to leave. */
static void
end_others(void *unused)
{
    struct fmm_ticket ticket = {.hash = 0};
    struct fmm_key record;
    (void)unused;
    for (uint32_t id = 1; id <= 200 && has_record(); id++) {
        struct fmm_tag other = {.id = id};
        fmm_tag_key(grouped.cache, &other, &record);
        if (record.page == grouped.record.page) {
            CHECK_EQ(fmm_group_end(grouped.cache, &call, &record, &ticket),
                     FMM_OK);
        }
    }
}

static void
drop_page_of_record(void *unused)
{
    uint64_t dropped = 0;
    (void)unused;
    CHECK_EQ(fmm_drop_page(grouped.cache, &call, grouped.record.page,
                           FMM_DROP_ALL, false, &dropped),
             FMM_OK);
}

/* Let the record be the first to leave. */
static void
disfavour(void)
{
    struct fmm_page page;
    struct fmm_found found;
    view_page(grouped.cache, grouped.record.page, &page);
    REQUIRE(fmm_page_find(&page, &grouped.record, &found));
    fmm_hint_reset(&page.index.hints[found.slot], 0);
}

static void
know_member(void *unused)
{
    (void)unused;
    fmm_client_owner(&grouped.cache->client);
}

static void
begin_grouped(bool ended)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = 4096,
                                        .num_pages = 2,
                                        .init_file = true};
    struct fmm_cache *cache = open_cache(&options);
    const struct fmm_geometry *g = &cache->geometry;
    memset(&grouped, 0, sizeof(grouped));
    grouped.cache = cache;
    grouped.copy = heap_cache(g->page_size, 2, g->buckets);
    memcpy(grouped.copy->seed, cache->seed, sizeof(cache->seed));
    grouped.copy->created_ms = cache->created_ms;
    uint32_t page = text_key(cache, "old").page;
    do {
        grouped.tag.id = (uint32_t)check_random();
        fmm_tag_key(cache, &grouped.tag, &grouped.record);
    } while (grouped.record.page == page);
    set_tagged(cache, "old");
    CHECK(has(cache, "old"));
    if (ended) {
        fill_page_of_record(NULL);
        end_group(cache, true);
        CHECK(!has(cache, "old"));
        disfavour();
    }
    grouped.gone = ended;
}

/* A fresh process goes on: what was is void, and nothing brings it back. */
static void
check_grouped(const unsigned char *image)
{
    struct fmm_cache *copy = grouped.copy;
    memcpy(copy->base, image, copy->geometry.clients_at);
    for (uint32_t page = 0; page < 2; page++) {
        fmm_page_control(copy->base, page)->lock = 0;
    }
    bool seen = has(copy, "old");
    CHECK(!seen || !grouped.gone);
    grouped.gone |= !seen;
    set_tagged(copy, "new");
    for (int i = 0; i < 4; i++) {
        end_group(copy, i % 2 == 0);
        CHECK(!has(copy, "old") && !has(copy, "new"));
    }
}

static void
step_grouped(void (*change)(void *), bool ended)
{
    const struct stepped child = {know_member, change, NULL, STEPPING_S};
    struct steps steps;
    begin_grouped(ended);
    step_images(&child, grouped.cache->base,
                grouped.cache->geometry.clients_at, &steps);
    for (const struct image *i = steps.first; i != NULL; i = i->next) {
        check_grouped(i->bytes);
    }
    CHECK(grouped.gone);
    CHECK_EQ(has_record(), change == end_with_record);
    printf("steps group: %lu instructions, %lu images\n", steps.instructions,
           steps.images);
    free_steps(&steps);
    heap_cache_free(grouped.copy);
    fmm_close(grouped.cache);
}

static void
no_step_brings_a_group_back_that_was_ended(void)
{
    check_deadline(10 * STEPPING_S);
    step_grouped(end_with_record, false);
    step_grouped(end_without_record, false);
    step_grouped(end_with_record, true);
    step_grouped(end_without_record, true);
    step_grouped(end_others, true);
    step_grouped(drop_page_of_record, true);
    step_grouped(fill_page_of_record, true);
}

static const struct check_case cases[] = {
    CASE(every_step_of_a_new_key_leaves_a_sound_page),
    CASE(every_step_of_an_overwrite_leaves_a_sound_page),
    CASE(every_step_of_an_overwrite_that_evicts_itself_leaves_a_sound_page),
    CASE(every_step_into_a_full_page_leaves_a_sound_page),
    CASE(every_step_into_a_hot_page_leaves_a_sound_page),
    CASE(every_step_that_wants_a_slot_leaves_a_sound_page),
    CASE(every_step_of_a_growing_index_leaves_a_sound_page),
    CASE(every_step_of_a_removal_leaves_a_sound_page),
    CASE(every_step_of_a_change_in_place_leaves_a_sound_page),
    CASE(every_step_of_a_lease_leaves_a_sound_page),
    CASE(every_step_of_a_lease_that_wants_room_leaves_a_sound_page),
    CASE(every_step_of_adding_to_a_leased_number_leaves_a_sound_page),
    CASE(every_step_of_clearing_leaves_a_sound_page),
    CASE(no_step_brings_a_group_back_that_was_ended),
};

int
main(int argc, char **argv)
{
    if (argc > 1 && atoi(argv[argc - 1]) > 0) {
        changes = (unsigned)atoi(argv[--argc]);
    }
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
