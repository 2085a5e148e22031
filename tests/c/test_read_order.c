/* Between any two instructions of a reader, writers may do anything.
 *
 * A child reads one key, stepped up to its n-th instruction; then this
 * process writes until both rings have gone round, or just once, and the
 * child goes on. Whatever n is, it finds a whole value, and never a miss:
 * the key is there all the time.
 *
 *   test_read_order        at about every third instruction, others each time
 *   test_read_order all    at each instruction */
#include "stepper.h"
#include "support.h"

#include "fmm_owner.h"

#define LENGTH_MIN 64u
#define OTHERS 0xee /* the bytes of other values */
#define READING_S 30u

static struct fmm_cache *cache;
static fmm_word64 *has_read; /* shared: the child has its value */
static unsigned version, stride = 5;

/* All bytes of a version are alike, and its length is its own. */
static void
set_version(void)
{
    unsigned char data[2 * LENGTH_MIN];
    const struct fmm_store store = {.mode = FMM_STORE_SET};
    struct fmm_key key = text_key(cache, "key");
    struct fmm_ticket ticket;
    version = (version + 1) % LENGTH_MIN;
    memset(data, (int)version, sizeof(data));
    struct fmm_value value = {
        .data = data, .len = LENGTH_MIN + version, .type = 2};
    REQUIRE(fmm_set(cache, &call, &key, &value, &store, &ticket) == FMM_OK);
}

static void
set_other(void)
{
    unsigned char data[2 * LENGTH_MIN];
    const struct fmm_store store = {.mode = FMM_STORE_SET};
    char name[16];
    snprintf(name, sizeof(name), "o%u", (unsigned)check_random_below(40));
    struct fmm_key key = text_key(cache, name);
    struct fmm_value value = {
        .data = data, .len = 1 + check_random_below(sizeof(data)), .type = 2};
    struct fmm_ticket ticket;
    memset(data, OTHERS, sizeof(data));
    REQUIRE(fmm_set(cache, &call, &key, &value, &store, &ticket) == FMM_OK);
}

static void
read_key(void *unused)
{
    unsigned char data[2 * LENGTH_MIN];
    struct fmm_key key = text_key(cache, "key");
    struct fmm_meta meta = {.value_len = 0};
    (void)unused;
    enum fmm_status status =
        fmm_get(cache, &call, &key, data, sizeof(data), &meta);
    *has_read = 1;
    if (CHECK_EQ(status, FMM_OK)) {
        CHECK_EQ(meta.value_len, LENGTH_MIN + data[0]);
        CHECK(memcmp(data, data + 1, meta.value_len - 1) == 0);
    }
}

/* What takes longer the first time is not worth stepping. */
static void
read_once(void *unused)
{
    read_key(unused);
    *has_read = 0;
}

/* ------------------------------------------------- whose a part is */

static const struct fmm_parts parts = {.length = 1000, .id = {4711, 0}};

/* The parts that the key's entry names: they belong to its hash. */
static struct fmm_parts
own_parts(const struct fmm_key *key)
{
    struct fmm_parts own = parts;
    own.id[FMM_PART_HASH] = key->hash;
    return own;
}

/* The entry again, elsewhere. */
static void
set_owner(void)
{
    const struct fmm_store store = {.mode = FMM_STORE_SET};
    struct fmm_key key = text_key(cache, "key");
    struct fmm_parts own = own_parts(&key);
    struct fmm_ticket ticket;
    const struct fmm_value value = {
        .data = &own, .len = sizeof(own), .split = true};
    REQUIRE(fmm_set(cache, &call, &key, &value, &store, &ticket) == FMM_OK);
}

static void
find_owner(void *unused)
{
    struct fmm_key key = text_key(cache, "key");
    struct fmm_parts own = own_parts(&key);
    const struct fmm_entry part = {.key = (const unsigned char *)&own.id};
    struct fmm_page page;
    (void)unused;
    view_page(cache, 0, &page);
    bool lives = fmm_owner_lives(&page, &part);
    *has_read = 1;
    CHECK(lives);
}

static void
find_owner_once(void *unused)
{
    find_owner(unused);
    *has_read = 0;
}

/* ------------------------------------------------------- between steps */

static void
write_meanwhile(unsigned others, void (*set_own)(void))
{
    for (unsigned i = 0; i < others; i++) {
        set_other();
        if (i % 2 == 0) {
            set_own(); /* so it is never the one to be evicted */
        }
    }
    set_own();
}

static void
step_through(const struct stepped *child, void (*set_own)(void))
{
    static const unsigned others[] = {0, 3, 40};
    unsigned long n = 0, readers = 0;
    has_read = shared_words(1);
    cache = new_cache(4096, 1);
    write_meanwhile(200, set_own);
    for (bool done = false; !done && check_failures() == 0; readers++) {
        pid_t pid = step_to(child, n);
        REQUIRE(pid != 0);
        done = *has_read != 0;
        write_meanwhile(others[check_random_below(3)], set_own);
        step_on(pid);
        check_deadline(READING_S);
        n += 1 + check_random_below(stride);
    }
    CHECK(readers > 100);
    printf("steps read: %lu instructions, %lu readers\n", n, readers);
    fmm_close(cache);
    free_words(has_read, 1);
}

/* A page of eight slots, half of them used. */
static void
begin_small(void (*set_own)(void))
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = 4096,
                                        .num_pages = 1,
                                        .slots = 8,
                                        .init_file = true};
    cache = open_cache(&options);
    set_own();
    for (int i = 0; i < 3; i++) {
        set_other();
    }
}

static uint64_t
index_word(void)
{
    struct fmm_page page;
    view_page(cache, 0, &page);
    return page.control->index;
}

/* The same, and the index grows meanwhile before the rings go round. */
static void
step_through_growth(const struct stepped *child, void (*set_own)(void))
{
    unsigned long n = 0, readers = 0;
    has_read = shared_words(1);
    for (bool done = false; !done && check_failures() == 0; readers++) {
        begin_small(set_own);
        pid_t pid = step_to(child, n);
        REQUIRE(pid != 0);
        done = *has_read != 0;
        CHECK_EQ(index_word(), 0);
        write_meanwhile(40 + (unsigned)check_random_below(80), set_own);
        CHECK(index_word() != 0);
        step_on(pid);
        check_deadline(READING_S);
        n += 1 + check_random_below(stride);
        fmm_close(cache);
    }
    CHECK(readers > 100);
    printf("steps read: %lu instructions, %lu readers\n", n, readers);
    free_words(has_read, 1);
}

static void
while_the_index_grows_a_value_is_read_whole(void)
{
    const struct stepped child = {read_once, read_key, NULL, READING_S};
    step_through_growth(&child, set_version);
}

static void
while_the_index_grows_an_owner_is_found(void)
{
    const struct stepped child = {find_owner_once, find_owner, NULL,
                                  READING_S};
    step_through_growth(&child, set_owner);
}

static void
whatever_is_written_meanwhile_a_value_is_read_whole(void)
{
    const struct stepped child = {read_once, read_key, NULL, READING_S};
    step_through(&child, set_version);
}

static void
whatever_is_written_meanwhile_an_owner_is_found(void)
{
    const struct stepped child = {find_owner_once, find_owner, NULL,
                                  READING_S};
    step_through(&child, set_owner);
}

static const struct check_case cases[] = {
    CASE(whatever_is_written_meanwhile_a_value_is_read_whole),
    CASE(whatever_is_written_meanwhile_an_owner_is_found),
    CASE(while_the_index_grows_a_value_is_read_whole),
    CASE(while_the_index_grows_an_owner_is_found),
};

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[argc - 1], "all") == 0) {
        stride = 1;
        argc--;
    }
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
