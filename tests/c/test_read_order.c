/* Between any two instructions of a reader, writers may do anything.
 *
 * A child reads one key, stepped up to its n-th instruction; then this
 * process writes until both rings have gone round, or just once, and the
 * child goes on. Whatever n is, it finds a whole value, and never a miss:
 * the key is there all the time. */
#include "stepper.h"
#include "support.h"

#define LENGTH_MIN 64u
#define OTHERS 0xee /* the bytes of other values */
#define READING_S 30u

static struct fmm_cache *cache;
static unsigned version;

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
    struct fmm_meta meta;
    (void)unused;
    if (!CHECK_EQ(fmm_get(cache, &call, &key, data, sizeof(data), &meta),
                  FMM_OK)) {
        return;
    }
    CHECK_EQ(meta.value_len, LENGTH_MIN + data[0]);
    for (size_t i = 0; i < meta.value_len; i++) {
        CHECK_EQ(data[i], data[0]);
    }
}

static void
write_meanwhile(unsigned others)
{
    for (unsigned i = 0; i < others; i++) {
        set_other();
        if (i % 2 == 0) {
            set_version(); /* so it is never the one to be evicted */
        }
    }
    set_version();
}

/* `others`: how many other values are set meanwhile. */
static void
read_with_writers(unsigned others)
{
    const struct stepped child = {read_key, read_key, NULL, READING_S};
    unsigned long n = 1;
    cache = new_cache(4096, 1);
    write_meanwhile(200);
    for (;; n++) {
        pid_t pid = step_to(&child, n);
        if (pid == 0) {
            break;
        }
        write_meanwhile(others);
        step_on(pid);
        check_deadline(READING_S);
        REQUIRE(check_failures() == 0);
    }
    CHECK(n > 100);
    printf("steps read beside %u writes: %lu instructions\n", others, n);
    fmm_close(cache);
}

static void
a_value_that_is_overwritten_meanwhile_is_read_whole(void)
{
    read_with_writers(0);
}

static void
a_value_whose_place_is_reused_meanwhile_is_read_whole(void)
{
    read_with_writers(3);
    read_with_writers(40);
}

static const struct check_case cases[] = {
    CASE(a_value_that_is_overwritten_meanwhile_is_read_whole),
    CASE(a_value_whose_place_is_reused_meanwhile_is_read_whole),
};

CHECK_MAIN(cases)
