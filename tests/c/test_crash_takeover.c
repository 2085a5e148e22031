/* Who takes a page over from the dead may die over it as well.
 *
 * A change is killed at some instruction of it: its page is left as it was
 * there, its lock naming the dead. The next process takes the lock over,
 * looks after the page and makes a change of its own, stepped instruction
 * by instruction; and each image of that is one that can be lived with.
 *
 *   test_crash_takeover        a few such deaths
 *   test_crash_takeover 1000   as many as that */
#include "aftermath.h"
#include "stepper.h"

#include <stdlib.h>

#define DEATHS 20u
#define OPERATIONS 300u
#define LENGTH_MAX 700u /* bytes of a value */
#define STEPPING_S 60u
#define DEAD_SHARE 16u

static struct aftermath *aftermath;
static unsigned deaths = DEATHS;
static unsigned long instructions, images, half_stays;

static void
know_oneself(void *change)
{
    (void)change;
    fmm_client_owner(&aftermath->cache->client);
}

static void
apply(void *change)
{
    struct fmm_ticket ticket;
    change_apply(aftermath->cache, change, &ticket);
}

static void
step_change(struct change *change, struct steps *steps)
{
    struct fmm_cache *cache = aftermath->cache;
    const struct stepped child = {know_oneself, apply, change, STEPPING_S};
    step_images(&child, cache->base, cache->geometry.clients_at, steps);
}

static bool
is_half_stay(struct fmm_cache *cache)
{
    struct fmm_page page;
    view_page(cache, 0, &page);
    const struct fmm_ring *ring = &page.ring[FMM_RING_M];
    return *ring->head_word - *ring->tail_word > UINT64_C(1) << ring->shift;
}

/* An image of a killed change; one of an entry that was about to stay where
 * it is, if there was such. */
static const struct image *
choose_image(const struct steps *steps)
{
    struct fmm_cache *cache = aftermath->cache;
    uint64_t left = check_random_below(steps->images);
    const struct image *chosen = NULL;
    for (const struct image *i = steps->first; i != NULL; i = i->next) {
        memcpy(cache->base, i->bytes, cache->geometry.clients_at);
        if (is_half_stay(cache)) {
            half_stays++;
            return i;
        }
        if (left-- == 0) {
            chosen = i;
        }
    }
    return chosen;
}

/* Leave the page as a change that was killed left it. */
static void
die_somewhere(uint64_t dead)
{
    struct fmm_cache *cache = aftermath->cache;
    struct change change = some_change(SET, LENGTH_MAX);
    struct fmm_page page;
    struct steps steps;
    step_change(&change, &steps);
    const struct image *chosen = choose_image(&steps);
    memcpy(cache->base, chosen->bytes, cache->geometry.clients_at);
    view_page(cache, 0, &page);
    page.control->lock = dead;
    free_steps(&steps);
}

static void
check_takeover(struct change *change)
{
    struct steps steps;
    unsigned n = 0;
    uint64_t recoveries = stats_of(aftermath->cache).recoveries;
    aftermath_begin(aftermath, change);
    step_change(change, &steps);
    aftermath_end(aftermath);
    CHECK_EQ(stats_of(aftermath->cache).recoveries, recoveries + 1);
    CHECK_EQ(stats_of(aftermath->cache).repaired, 0);
    for (const struct image *i = steps.first; i != NULL; i = i->next, n++) {
        aftermath_check(aftermath, i->bytes,
                        n % DEAD_SHARE ? 0 : dead_owner());
    }
    instructions += steps.instructions;
    images += steps.images;
    free_steps(&steps);
}

static void
warm_up(unsigned count)
{
    static struct seen ignored[CHANGE_KEYS];
    for (unsigned i = 0; i < count; i++) {
        struct change change = some_change(SET, LENGTH_MAX);
        change_complete(aftermath->cache, &change);
    }
    look(aftermath->cache, ignored);
    look(aftermath->cache, ignored);
}

static void
every_step_after_a_death_leaves_a_sound_page(void)
{
    static const enum change_kind kinds[] = {
        SET,   SET,   SET_DIRTY, REMOVE,  ADD,
        PURGE, CLEAR, BURY,      REFRESH, COMPUTE};
    struct fmm_cache *cache = new_cache(4096, 1);
    aftermath = aftermath_new(cache, OPERATIONS);
    warm_up(200);
    for (unsigned i = 0; i < deaths && check_failures() == 0; i++) {
        struct change change = some_change(kinds[i % 10], LENGTH_MAX);
        check_deadline(STEPPING_S);
        warm_up(8);
        die_somewhere(dead_owner());
        check_takeover(&change);
    }
    printf("steps takeover: %u changes, %lu instructions, %lu images, "
           "%lu half stays, %lu failures\n",
           deaths, instructions, images, half_stays, check_failures());
    CHECK(images > deaths);
    CHECK(deaths < 100 || half_stays > 0);
    aftermath_free(aftermath);
    fmm_close(cache);
}

static const struct check_case cases[] = {
    CASE(every_step_after_a_death_leaves_a_sound_page),
};

int
main(int argc, char **argv)
{
    if (argc > 1 && atoi(argv[argc - 1]) > 0) {
        deaths = (unsigned)atoi(argv[--argc]);
    }
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
