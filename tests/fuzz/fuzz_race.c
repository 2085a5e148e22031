/* A page whose words change while operations run on it.
 *
 * The input is a page image followed by a script. A thread stores each
 * word of the script and what was there before, in turn, until the
 * operations end. The mutator writes scripts that turn a sound field into a
 * bad one: what is loaded twice is then seen twice. */
#include "hostile.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "script.h"

#define ROUNDS 3

/* What the thread works on while `wanted`; nobody touches it while it is
 * `busy`. It never sleeps: waking it would take longer than a run. */
static struct {
    struct script_step steps[SCRIPT_STEPS];
    uint64_t before[SCRIPT_STEPS];
    fmm_word64 *words[SCRIPT_STEPS];
    atomic_bool wanted, busy;
} racer;

static void
run_script(void)
{
    for (unsigned i = 0; i < SCRIPT_STEPS; i++) {
        atomic_store_explicit(racer.words[i], racer.steps[i].value,
                              memory_order_relaxed);
    }
    for (unsigned i = 0; i < SCRIPT_STEPS; i++) {
        atomic_store_explicit(racer.words[i], racer.before[i],
                              memory_order_relaxed);
    }
}

static void *
race(void *unused)
{
    for (;;) {
        racer.busy = true;
        if (racer.wanted) {
            run_script();
        }
        racer.busy = false;
        if (!racer.wanted) {
            sched_yield();
        }
    }
    return unused;
}

static void
start_race(void)
{
    static bool started;
    pthread_t thread;
    racer.wanted = true;
    if (!started) {
        REQUIRE(pthread_create(&thread, NULL, race, NULL) == 0);
        started = true;
    }
}

static void
end_race(void)
{
    racer.wanted = false;
    while (racer.busy) {
        sched_yield();
    }
}

static fmm_word64 *
word_of(struct fmm_cache *cache, uint64_t where)
{
    const struct fmm_geometry *g = &cache->geometry;
    uint64_t at = where * 8 % (FMM_CONTROL_SIZE + g->page_size);
    unsigned char *byte =
        at < FMM_CONTROL_SIZE
            ? cache->base + FMM_HEADER_SIZE + at
            : cache->base + g->indexes_at + at - FMM_CONTROL_SIZE;
    return (fmm_word64 *)(void *)byte;
}

/* Read the script; a missing step is the first word, unchanged. */
static void
load_script(struct fmm_cache *cache, const uint8_t *data, size_t size)
{
    size_t at = script_at(&cache->geometry);
    input_copy(racer.steps, sizeof(racer.steps), data, size, at);
    size_t count = size > at ? (size - at) / sizeof(racer.steps[0]) : 0;
    for (unsigned i = 0; i < SCRIPT_STEPS; i++) {
        racer.words[i] = word_of(cache, racer.steps[i].where);
        racer.before[i] = *racer.words[i];
        if (i >= count) {
            racer.steps[i].value = racer.before[i];
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hostile h = {.cache = image_cache(size ? data[0] : 0)};
    image_load(h.cache, data, size);
    load_script(h.cache, data, size);
    start_race();
    for (int round = 0; round < ROUNDS; round++) {
        image_choices(data, size);
        while (input_left() > 0) {
            hostile_operation(&h);
        }
    }
    end_race();
    image_unlock(h.cache);
    hostile_settle(&h);
    return 0;
}

/* --------------------------------------------------------------- mutating */

/* Append the words in which a mutated page differs from `image`. */
static size_t
write_script(const struct fmm_geometry *g, const unsigned char *image,
             unsigned char *copy, struct script_step *steps)
{
    size_t count = 0, words = (FMM_CONTROL_SIZE + g->page_size) / 8;
    unsigned char *index = copy + FMM_CONTROL_SIZE;
    const struct page_parts page = {copy, index, index + g->index_size};
    for (int i = 0; i < 3; i++) {
        mutate_page(g, &page);
    }
    for (size_t i = 0; i < words && count < SCRIPT_STEPS; i++) {
        if (memcmp(copy + 8 * i, image + 8 * i, 8) != 0) {
            steps[count].where = i;
            memcpy(&steps[count].value, copy + 8 * i, 8);
            count++;
        }
    }
    return count;
}

static size_t
mutate_script(uint8_t *data, size_t size, size_t max_size)
{
    const struct fmm_geometry *g = &image_cache(data[0])->geometry;
    struct script_step steps[SCRIPT_STEPS];
    size_t at = script_at(g);
    if (size < at || at + sizeof(steps) > max_size) {
        return size;
    }
    unsigned char *copy = malloc(at - IMAGE_CONTROL_AT);
    REQUIRE(copy != NULL);
    memcpy(copy, data + IMAGE_CONTROL_AT, at - IMAGE_CONTROL_AT);
    size_t count = write_script(g, data + IMAGE_CONTROL_AT, copy, steps);
    memcpy(data + at, steps, count * sizeof(steps[0]));
    free(copy);
    return at + count * sizeof(steps[0]);
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                        unsigned seed)
{
    mutate_seed(seed);
    if (size >= IMAGE_PREFIX && mutate_below(2)) {
        return mutate_script(data, size, max_size);
    }
    return image_mutate(data, size, max_size);
}
