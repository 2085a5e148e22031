/* Every instruction of a change may be the last one of its process.
 *
 * A child makes one change, stepped instruction by instruction. After each
 * step that altered the shared memory the image is copied, its lock word
 * cleared as if nothing were known of a death, and looked at through a fresh
 * reader and a fresh writer: each key is what it was before the change or
 * what it is after it, and goes from one to the other once; rings and slots
 * are sound. So what has to be complete before what, is, in the order of
 * the compiled code; and nothing depends on a repair.
 *
 *   test_crash_order         a few changes, for stepping is slow
 *   test_crash_order 1000    as many as that */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define KEYS 16u
#define VALUE_MAX 1024u
#define CHANGES 16u
#define STEPPING_S 60u /* for one change */

/* What a reader sees of a key. */
struct seen {
    bool present, dirty;
    size_t length;
    uint64_t expire_at, modseq;
    unsigned char value[VALUE_MAX];
};

enum kind { SET, SET_DIRTY, REMOVE, BURY, ADD, TOUCH, DROP, KINDS };

struct change {
    enum kind kind;
    uint32_t key;
    uint32_t length;
};

static struct fmm_cache *cache, *copy; /* shared; private, for looking */
static struct seen before[KEYS], after[KEYS];
static bool reached[KEYS]; /* its new state was seen */
static unsigned images, changes = CHANGES;

static struct fmm_key
key_of(const struct fmm_cache *of, uint32_t n)
{
    static char names[KEYS][8];
    snprintf(names[n], sizeof(names[n]), "key%u", n);
    return text_key(of, names[n]);
}

/* -------------------------------------------------------------- changes */

static void
set_value(const struct change *c)
{
    unsigned char data[VALUE_MAX];
    const struct fmm_store store = {.dirty = c->kind == SET_DIRTY};
    struct fmm_key key = key_of(cache, c->key);
    struct fmm_ticket ticket;
    memset(data, (int)(c->length % 251), sizeof(data));
    struct fmm_value value = {.data = data, .len = c->length, .type = 2};
    fmm_set(cache, &call, &key, &value, &store, &ticket);
}

static void
apply(const struct change *c)
{
    const struct fmm_store clean = {.dirty = c->length % 2 == 0};
    const struct fmm_removal removal = {.has_modseq = c->kind == BURY,
                                        .modseq = c->length};
    struct fmm_key key = key_of(cache, c->key);
    struct fmm_ticket ticket;
    int64_t result;
    uint64_t ignored = 0;
    switch (c->kind) {
    case REMOVE:
    case BURY:
        fmm_remove(cache, &call, &key, &removal, NULL, &ticket);
        break;
    case ADD:
        fmm_incr(cache, &call, &key, 1, c->length, &clean, &result, &ignored,
                 &ticket);
        break;
    case TOUCH:
        fmm_touch(cache, &call, &key, call.now_ms + c->length);
        break;
    case DROP:
        fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &ignored);
        break;
    case SET:
    case SET_DIRTY:
    case KINDS:
        set_value(c);
    }
}

static struct change
some_change(void)
{
    uint64_t pick = check_random_below(40);
    return (struct change){
        .kind = pick == 0  ? DROP
                : pick < 6 ? (enum kind)(REMOVE + check_random_below(4))
                : pick < 9 ? SET_DIRTY
                           : SET,
        .key = (uint32_t)check_random_below(KEYS),
        .length = 1 + (uint32_t)check_random_below(
                          check_random_below(6) ? 200 : VALUE_MAX - 300),
    };
}

/* -------------------------------------------------------------- looking */

static void
look(struct fmm_cache *at, struct seen seen[KEYS])
{
    for (uint32_t n = 0; n < KEYS; n++) {
        struct seen *s = &seen[n];
        struct fmm_key key = key_of(at, n);
        struct fmm_meta meta;
        memset(s, 0, sizeof(*s));
        if (fmm_get(at, &call, &key, s->value, VALUE_MAX, &meta) == FMM_OK) {
            s->present = true;
            s->dirty = meta.dirty;
            s->length = meta.value_len;
            s->expire_at = meta.expire_at;
            s->modseq = meta.modseq;
        }
    }
}

static bool
is_same(const struct seen *a, const struct seen *b)
{
    return a->present == b->present && a->length == b->length &&
           a->expire_at == b->expire_at && a->modseq == b->modseq &&
           memcmp(a->value, b->value, VALUE_MAX) == 0;
}

/* The shared memory after some step, and the next image that differs. */
struct image {
    struct image *next;
    unsigned char bytes[];
};

static void
take_image(const unsigned char *bytes)
{
    struct fmm_page page;
    memcpy(copy->base, bytes, copy->geometry.file_size);
    view_page(copy, 0, &page);
    page.control->lock = 0;
}

/* Who comes next finds everything in order, and can go on. */
static void
check_fresh_writer(void)
{
    struct fmm_page_report report;
    CHECK_EQ(fmm_check_page(copy, &call, 0, false, &report), FMM_OK);
    if (!CHECK(!report.bad_rings && report.bad_slots == 0)) {
        fprintf(stderr, "    %s\n", report.text);
    }
    enum fmm_status status = set_text(copy, "fresh", "a value of one's own");
    CHECK(status == FMM_DIRTY || holds(copy, "fresh", "a value of one's own"));
    CHECK_EQ(fmm_check_page(copy, &call, 0, false, &report), FMM_OK);
    CHECK(!report.bad_rings && report.bad_slots == 0);
    CHECK_EQ(stats_of(copy).repaired, 0);
}

/* With `evicted`, the change made room: the key may be gone in between. */
static void
check_key(uint32_t n, const struct seen *now, bool evicted)
{
    bool changed = !is_same(&before[n], &after[n]);
    if (changed && is_same(now, &after[n])) {
        reached[n] = true;
        CHECK(now->dirty || !after[n].dirty);
        return;
    }
    if (evicted && !now->present) {
        return;
    }
    CHECK(is_same(now, &before[n]));
    CHECK(!reached[n]);
    CHECK(now->dirty || !before[n].dirty || !after[n].dirty);
}

static void
check_image(const struct image *image, bool evicted)
{
    static struct seen now[KEYS];
    take_image(image->bytes);
    look(copy, now);
    for (uint32_t n = 0; n < KEYS; n++) {
        check_key(n, &now[n], evicted);
    }
    check_fresh_writer();
    images++;
}

/* ------------------------------------------------------------- stepping */

static void
change_stepwise(void *change)
{
    fmm_file_owner(cache); /* who we are: thousands of steps, of no use */
    REQUIRE(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    apply(change);
}

/* Keep the image if it differs from the last one. */
static void
keep_image(struct image **last)
{
    size_t size = cache->geometry.file_size;
    if (memcmp((*last)->bytes, cache->base, size) != 0) {
        struct image *image = malloc(sizeof(*image) + size);
        REQUIRE(image != NULL);
        memcpy(image->bytes, cache->base, size);
        image->next = NULL;
        (*last)->next = image;
        *last = image;
    }
}

/* Step the child to its end; returns the list of images, oldest first. */
static struct image *
step(const struct change *change)
{
    int status = 0;
    size_t size = cache->geometry.file_size;
    struct image *first = malloc(sizeof(*first) + size);
    struct image *last = first;
    REQUIRE(first != NULL);
    first->next = NULL;
    memcpy(first->bytes, cache->base, size);
    pid_t child = spawn(change_stepwise, (void *)(uintptr_t)change);
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        int number = WSTOPSIG(status);
        bool ours = number == SIGTRAP || number == SIGSTOP;
        keep_image(&last);
        REQUIRE(ptrace(PTRACE_SINGLESTEP, child, NULL,
                       (void *)(intptr_t)(ours ? 0 : number)) == 0);
    }
    CHECK_EQ(status, 0);
    return first;
}

static void
check_change(const struct change *change)
{
    uint64_t evictions = stats_of(cache).evictions;
    memset(reached, 0, sizeof(reached));
    look(cache, before);
    struct image *image = step(change);
    look(cache, after);
    bool evicted = stats_of(cache).evictions != evictions;
    while (image != NULL) {
        struct image *next = image->next;
        check_image(image, evicted);
        free(image);
        image = next;
    }
}

static void
begin(void)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = 4096,
                                        .num_pages = 1,
                                        .slots = 64,
                                        .init_file = true};
    cache = open_cache(&options);
    copy = heap_cache(4096, 1, 8);
    memcpy(copy->seed, cache->seed, sizeof(copy->seed));
    copy->created_ms = cache->created_ms;
    images = 0;
}

/* Changes of all kinds on a page that is full and has gone round, some of
 * its keys hot. */
static void
every_step_of_a_change_leaves_a_sound_page(void)
{
    begin();
    for (unsigned i = 0; i < 400; i++) {
        struct change warm_up = some_change();
        warm_up.kind = SET;
        apply(&warm_up);
        look(cache, before); /* hits: what is at a tail moves on */
    }
    for (unsigned i = 0; i < changes && check_failures() == 0; i++) {
        struct change change = some_change();
        check_change(&change);
        check_deadline(STEPPING_S);
    }
    CHECK(images > 4 * changes);
    heap_cache_free(copy);
    fmm_close(cache);
}

static const struct check_case cases[] = {
    CASE(every_step_of_a_change_leaves_a_sound_page),
};

int
main(int argc, char **argv)
{
    if (argc > 1 && atoi(argv[argc - 1]) > 0) {
        changes = (unsigned)atoi(argv[--argc]);
    }
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
