/* Between any two instructions of a reader, writers may do anything.
 *
 * A child reads one key, stepped up to its n-th instruction; then this
 * process writes until both rings have gone round, or just once, and the
 * child goes on. Whatever n is, it finds a whole value, and never a miss:
 * the key is there all the time.
 *
 *   test_read_order        at about every third instruction, others each time
 *   test_read_order 60     with up to 60 from one to the next
 *   test_read_order all    at each instruction */
#include "stepper.h"
#include "support.h"

#include "fmm_manifest.h"

#include <stdlib.h>

#define LENGTH_MIN 64u
#define OTHERS 0xee /* the bytes of other values */
#define READING_S 30u
#define INSTRUCTIONS 400u /* of a reader; there are more */

static struct fmm_cache *cache;
static fmm_word64 *has_read; /* shared: the child has its value */
static unsigned version, stride = 5;

/* All bytes of a version are alike, and its length is its own. */
static void
set_version(void)
{
    unsigned char data[2 * LENGTH_MIN];
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
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
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
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
set_manifest(void)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    struct fmm_key key = text_key(cache, "key");
    struct fmm_parts own = own_parts(&key);
    struct fmm_ticket ticket;
    const struct fmm_value value = {.data = &own,
                                    .len = sizeof(own),
                                    .split = true,
                                    .file = fmm_serial(cache)};
    REQUIRE(fmm_set(cache, &call, &key, &value, &store, &ticket) == FMM_OK);
}

static void
find_manifest(void *unused)
{
    struct fmm_key key = text_key(cache, "key");
    struct fmm_parts own = own_parts(&key);
    const struct fmm_entry part = {.key = (const unsigned char *)&own.id};
    struct fmm_page page;
    (void)unused;
    view_page(cache, 0, &page);
    bool lives = fmm_manifest_lives(&page, &part, call.now_ms);
    *has_read = 1;
    CHECK(lives);
}

static void
find_manifest_once(void *unused)
{
    find_manifest(unused);
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
    CHECK(readers > INSTRUCTIONS / stride);
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
    CHECK(readers > INSTRUCTIONS / stride);
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
while_the_index_grows_a_manifest_is_found(void)
{
    const struct stepped child = {find_manifest_once, find_manifest, NULL,
                                  READING_S};
    step_through_growth(&child, set_manifest);
}

static void
whatever_is_written_meanwhile_a_value_is_read_whole(void)
{
    const struct stepped child = {read_once, read_key, NULL, READING_S};
    step_through(&child, set_version);
}

static void
whatever_is_written_meanwhile_a_manifest_is_found(void)
{
    const struct stepped child = {find_manifest_once, find_manifest, NULL,
                                  READING_S};
    step_through(&child, set_manifest);
}

/* ------------------------------------------------- whose tag was ended */

static struct fmm_tag ended;

/* The value of a tag that was ended: its record is there, or has been. */
static void
find_void(void *unused)
{
    struct fmm_key key = text_key(cache, "key");
    (void)unused;
    enum fmm_status status = fmm_exists(cache, &call, &key, NULL);
    *has_read = 1;
    CHECK_EQ(status, FMM_MISS);
}

static void
find_void_once(void *unused)
{
    find_void(unused);
    *has_read = 0;
}

/* The value has the generation of the base that the record was made after. */
static void
end_tag(void)
{
    struct fmm_ticket ticket = {.hash = 0};
    struct fmm_key record;
    const struct fmm_store_options store = {.tags = &ended, .tag_count = 1};
    fmm_tag_key(cache, &ended, &record);
    CHECK_EQ(fmm_group_find(cache, &call, &record, &ended.generation), FMM_OK);
    CHECK_EQ(set_text_as(cache, "key", "old", &store), FMM_OK);
    CHECK_EQ(fmm_group_end(cache, &call, &record, &ticket), FMM_OK);
}

/* The record leaves, by one way or another. */
static void
lose_record(void)
{
    struct fmm_key record;
    fmm_tag_key(cache, &ended, &record);
    if (check_random_below(2)) {
        CHECK_EQ(fmm_group_end(cache, &call, &record, NULL), FMM_OK);
    }
    else {
        while (fmm_exists(cache, &call, &record, NULL) == FMM_OK) {
            set_other();
        }
    }
}

static void
while_its_record_leaves_no_value_of_an_ended_tag_is_seen(void)
{
    const struct stepped child = {find_void_once, find_void, NULL, READING_S};
    unsigned long n = 0, readers = 0;
    has_read = shared_words(1);
    cache = new_cache(4096, 1);
    ended.id = (uint32_t)check_random();
    for (bool done = false; !done && check_failures() == 0; readers++) {
        end_tag();
        pid_t pid = step_to(&child, n);
        REQUIRE(pid != 0);
        done = *has_read != 0;
        lose_record();
        step_on(pid);
        check_deadline(READING_S);
        n += 1 + check_random_below(stride);
    }
    CHECK(readers > 100);
    printf("steps read: %lu instructions, %lu readers\n", n, readers);
    fmm_close(cache);
    free_words(has_read, 1);
}

static const struct check_case cases[] = {
    CASE(whatever_is_written_meanwhile_a_value_is_read_whole),
    CASE(whatever_is_written_meanwhile_a_manifest_is_found),
    CASE(while_the_index_grows_a_value_is_read_whole),
    CASE(while_the_index_grows_a_manifest_is_found),
    CASE(while_its_record_leaves_no_value_of_an_ended_tag_is_seen),
};

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[argc - 1], "all") == 0) {
        stride = 1;
        argc--;
    }
    else if (argc > 1 && atoi(argv[argc - 1]) > 0) {
        stride = (unsigned)atoi(argv[--argc]);
    }
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
