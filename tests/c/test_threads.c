/* One open cache, many threads, all operations at once.
 *
 * What these cases check, they check of any build; built with
 * SANITIZE=thread, each access to shared memory is checked too, and that is
 * what they are for: the threads share one handle and so one mapping, and
 * the race detector sees every byte that they share. */
#include "support.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS 4
#define KEYS 60
#define ROUNDS 40000
#define PAGES 2
#define VALUE_MAX 400

static struct fmm_cache *cache;
static atomic_ulong turn;

static void
begin(void)
{
    cache = new_cache(16384, PAGES);
    turn = 0;
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

/* A thread's random numbers begin at the same place in each: skip some, as
 * many as the seed says. */
struct start {
    void (*body)(void);
    uint64_t skip;
};

static void *
run_start(void *argument)
{
    const struct start *start = argument;
    for (uint64_t i = 0; i < start->skip; i++) {
        check_random();
    }
    start->body();
    return NULL;
}

static void
in_threads(void (*body)(void))
{
    pthread_t threads[THREADS];
    struct start starts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        starts[i] = (struct start){body, check_random_below(1000000)};
        REQUIRE(pthread_create(&threads[i], NULL, run_start, &starts[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* -------------------------------------------- values that tell their key */

struct work {
    struct fmm_key key;
    char name[16];
    unsigned char value[VALUE_MAX];
    size_t length;
};

static void
choose_key(struct work *work, const char *kind)
{
    unsigned number = (unsigned)check_random_below(KEYS);
    snprintf(work->name, sizeof(work->name), "%s %u", kind, number);
    work->key = text_key(cache, work->name);
}

/* The key's hash and a number, over and over. */
static void
make_value(struct work *work)
{
    uint64_t pair[2] = {work->key.hash, check_random()};
    work->length = 16 * (1 + check_random_below(VALUE_MAX / 16));
    for (size_t at = 0; at < work->length; at += sizeof(pair)) {
        memcpy(work->value + at, pair, sizeof(pair));
    }
}

static bool
is_value(const struct work *work)
{
    const unsigned char *value = work->value;
    bool whole = work->length >= 16 && work->length % 16 == 0 &&
                 memcmp(value, &work->key.hash, 8) == 0;
    for (size_t at = 16; whole && at < work->length; at += 16) {
        whole = memcmp(value + at, value, 16) == 0;
    }
    return whole;
}

/* ------------------------------------------------------------ operations */

static void
do_set(struct work *work)
{
    const struct fmm_store_options store = {
        .mode = FMM_STORE_SET,
        .expire_at = check_random_below(8) ? 0 : call.now_ms + 1,
    };
    struct fmm_ticket ticket;
    make_value(work);
    const struct fmm_value value = {
        .data = work->value, .len = work->length, .type = 2};
    CHECK_EQ(fmm_set(cache, &call, &work->key, &value, &store, &ticket),
             FMM_OK);
}

static void
do_get(struct work *work)
{
    const struct fmm_call counted = {.now_ms = call.now_ms,
                                     .wait_ms = call.wait_ms,
                                     .count = FMM_COUNTED_BY_PAGE};
    struct fmm_meta meta;
    enum fmm_status status = fmm_get(cache, &counted, &work->key, work->value,
                                     sizeof(work->value), &meta);
    CHECK(status == FMM_OK || status == FMM_MISS);
    if (status == FMM_OK) {
        work->length = meta.value_len;
        CHECK(is_value(work));
    }
}

static void
do_remove(struct work *work)
{
    const struct fmm_removal removal = {.has_modseq = false};
    struct fmm_ticket ticket;
    enum fmm_status status =
        fmm_remove(cache, &call, &work->key, &removal, NULL, &ticket);
    CHECK(status == FMM_OK || status == FMM_MISS);
}

static void
do_touch(struct work *work)
{
    uint64_t expire_at = call.now_ms + 1 + check_random_below(1000);
    enum fmm_status status = fmm_touch(cache, &call, &work->key, expire_at);
    CHECK(status == FMM_OK || status == FMM_MISS);
}

static void
do_exists(struct work *work)
{
    struct fmm_meta meta;
    enum fmm_status status = fmm_exists(cache, &call, &work->key, &meta);
    CHECK(status == FMM_OK || status == FMM_MISS);
}

static void
do_incr(struct work *work)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    struct fmm_ticket ticket;
    int64_t result;
    uint64_t expire_at;
    choose_key(work, "n");
    CHECK_EQ(fmm_incr(cache, &call, &work->key, 1, 0, &store, &result,
                      &expire_at, &ticket),
             FMM_OK);
}

/* An integer changes in place, under readers that take no lock. */
static void
do_read_number(struct work *work)
{
    struct fmm_meta meta;
    int64_t found = 0;
    choose_key(work, "n");
    enum fmm_status status =
        fmm_get(cache, &call, &work->key, &found, sizeof(found), &meta);
    CHECK(status == FMM_MISS || (found > 0 && found <= THREADS * ROUNDS));
}

static void
do_guard(struct work *work)
{
    struct fmm_guard guard;
    struct fmm_meta meta;
    REQUIRE(fmm_guard_take(cache, &call, work->key.page, &guard) == FMM_OK);
    CHECK(fmm_guard_held(&guard));
    enum fmm_status status = fmm_get_locked(
        &guard, &call, &work->key, work->value, sizeof(work->value), &meta);
    work->length = meta.value_len;
    CHECK(status == FMM_MISS || is_value(work));
    CHECK(fmm_guard_release(&guard));
}

static void
do_scan(struct work *work)
{
    static const size_t capacity = 32768;
    unsigned char *buffer = malloc(capacity);
    struct fmm_scan scan = {
        .buffer = buffer, .capacity = capacity, .values = true};
    struct fmm_meta meta;
    const void *key, *value;
    REQUIRE(buffer != NULL);
    CHECK_EQ(fmm_scan_page(cache, &call, work->key.page, &scan), FMM_OK);
    while (fmm_scan_next(&scan, &meta, &key, &value)) {
        struct work seen = {.length = meta.value_len};
        fmm_key_init(cache, &seen.key, key, meta.key_len, meta.key_kind);
        CHECK_EQ(seen.key.page, work->key.page);
        if (meta.type != FMM_TYPE_INT) {
            REQUIRE(meta.value_len <= sizeof(seen.value));
            memcpy(seen.value, value, meta.value_len);
            CHECK(is_value(&seen));
        }
    }
    free(buffer);
}

static void
do_page(struct work *work)
{
    struct fmm_page_report report;
    uint64_t dropped = 0;
    uint32_t page = work->key.page;
    CHECK_EQ(
        fmm_drop_page(cache, &call, page, FMM_DROP_EXPIRED, true, &dropped),
        FMM_OK);
    CHECK_EQ(fmm_check_page(cache, &call, page, false, &report), FMM_OK);
    CHECK(!report.bad_rings && report.bad_slots == 0);
}

static void
do_stats(struct work *work)
{
    struct fmm_stats stats = stats_of(cache);
    (void)work;
    CHECK(stats.live_bytes <= stats.total_bytes);
    CHECK(stats.page_hits <= stats.page_reads + THREADS);
    CHECK(!fmm_replaced(cache) && !fmm_damaged(cache));
}

typedef void operation(struct work *);

/* Sets and gets are the most, whole pages the fewest. */
static operation *const operations[] = {
    do_set,  do_set,    do_set,    do_set,   do_get,         do_get,
    do_get,  do_get,    do_remove, do_incr,  do_read_number, do_touch,
    do_incr, do_exists, do_guard,  do_stats,
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static void
do_everything(void)
{
    struct work work;
    for (unsigned i = 0; i < ROUNDS; i++) {
        choose_key(&work, "key");
        operations[check_random_below(OPERATIONS)](&work);
        if (i % 100 == 99) {
            do_scan(&work);
            do_page(&work);
        }
    }
}

static void
threads_do_everything_on_one_handle(void)
{
    begin();
    in_threads(do_everything);
    struct fmm_stats stats = stats_of(cache);
    CHECK(stats.evictions > 0 && stats.moved_bytes > 0);
    CHECK(stats.page_reads > 0 && stats.recoveries == 0 &&
          stats.repaired == 0);
    end();
}

/* ----------------------------------------------------- no update is lost */

static void
read_often(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK(!has(cache, "nothing"));
    }
}

static void
threads_lose_no_count(void)
{
    begin();
    in_threads(read_often);
    CHECK_EQ(stats_of(cache).misses, THREADS * ROUNDS);
    end();
}

static void
add_one(void)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    struct fmm_key key = text_key(cache, "n");
    struct fmm_ticket ticket;
    int64_t result;
    uint64_t expire_at;
    for (int i = 0; i < ROUNDS; i++) {
        REQUIRE(fmm_incr(cache, &call, &key, 1, 0, &store, &result, &expire_at,
                         &ticket) == FMM_OK);
    }
}

static void
threads_add_without_a_loss_and_each_store_is_counted(void)
{
    struct fmm_key key;
    struct fmm_meta meta;
    int64_t found = 0;
    begin();
    key = text_key(cache, "n");
    in_threads(add_one);
    CHECK_EQ(fmm_get(cache, &call, &key, &found, sizeof(found), &meta),
             FMM_OK);
    CHECK_EQ(found, THREADS * ROUNDS);
    CHECK_EQ(stats_of(cache).stores, THREADS * ROUNDS);
    end();
}

/* -------------------------------------------------------- dirty entries */

#define DIRTY_ROUNDS 3000
static _Atomic(uint64_t) last_set[KEYS], last_written[KEYS];

struct change {
    uint64_t number, version;
};

/* Hand one changed value out, as write_cb would see it. True: there was. */
static bool
write_one(struct fmm_ticket *ticket)
{
    struct fmm_meta meta;
    struct change change;
    unsigned char buffer[64];
    if (fmm_dirty_read(cache, &call, ticket, buffer, sizeof(buffer), &meta) !=
        FMM_OK) {
        return false;
    }
    REQUIRE(meta.value_len == sizeof(change));
    memcpy(&change, buffer + meta.key_len, sizeof(change));
    REQUIRE(change.number < KEYS);
    uint64_t before = last_written[change.number];
    while (before < change.version &&
           !atomic_compare_exchange_weak(&last_written[change.number], &before,
                                         change.version)) {
    }
    fmm_dirty_done(cache, &call, ticket);
    return true;
}

static void
set_change(uint64_t number, uint64_t version)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET,
                                            .dirty = true};
    const struct change change = {number, version};
    const struct fmm_value value = {
        .data = &change, .len = sizeof(change), .type = 2};
    struct fmm_ticket ticket;
    char name[16];
    snprintf(name, sizeof(name), "key %u", (unsigned)number);
    struct fmm_key key = text_key(cache, name);
    while (fmm_set(cache, &call, &key, &value, &store, &ticket) == FMM_DIRTY) {
        write_one(&ticket);
    }
    last_set[number] = version;
}

static void
drain(void)
{
    struct fmm_ticket ticket;
    for (uint32_t page = 0; page < PAGES; page++) {
        uint64_t cursor = 0;
        while (fmm_dirty_next(cache, &call, page, false, &cursor, &ticket) ==
               FMM_OK) {
            write_one(&ticket);
        }
    }
}

/* Each thread changes keys of its own; each hands out any. */
static void
change_and_drain(void)
{
    uint64_t me = atomic_fetch_add(&turn, 1);
    for (uint64_t i = 1; i <= DIRTY_ROUNDS; i++) {
        set_change(me + THREADS * check_random_below(KEYS / THREADS), i);
        if (i % 200 == 0) {
            drain();
        }
    }
}

static void
threads_write_back_every_last_change(void)
{
    begin();
    in_threads(change_and_drain);
    drain();
    for (int i = 0; i < KEYS; i++) {
        CHECK_EQ((int64_t)last_written[i], (int64_t)last_set[i]);
    }
    end();
}

/* ------------------------------------------------------- pages that grow */

#define GROWTHS 60
#define THERE 12u     /* keys that are there all the time */
#define GROWN_BY 500u /* further ones: all have room */

static atomic_bool has_grown;

/* The text of a key is its value, too. */
static void
set_own_name(const char *kind, unsigned n)
{
    char name[16];
    snprintf(name, sizeof(name), "%s %u", kind, n);
    CHECK_EQ(set_text(cache, name, name), FMM_OK);
}

static void
find_all_once(void)
{
    char name[16];
    for (unsigned n = 0; n < THERE; n++) {
        snprintf(name, sizeof(name), "there %u", n);
        CHECK(holds(cache, name, name));
    }
}

/* One makes the page grow, and the others read. */
static void
grow_or_read(void)
{
    if (atomic_fetch_add(&turn, 1) != 0) {
        while (!has_grown) {
            find_all_once();
        }
        return;
    }
    for (unsigned n = 0; n < GROWN_BY; n++) {
        set_own_name("new", n);
    }
    has_grown = true;
}

static void
grow_once(void)
{
    const struct fmm_options options = {.path = scratch("cache"),
                                        .page_size = 65536,
                                        .num_pages = 1,
                                        .slots = 16,
                                        .init_file = true};
    struct fmm_page page;
    cache = open_cache(&options);
    turn = 0;
    has_grown = false;
    for (unsigned n = 0; n < THERE; n++) {
        set_own_name("there", n);
    }
    in_threads(grow_or_read);
    find_all_once();
    view_page(cache, 0, &page);
    CHECK(page.control->index != 0);
    CHECK_EQ(stats_of(cache).evictions, 0);
    end();
}

static void
threads_find_every_key_while_the_index_grows(void)
{
    for (int i = 0; i < GROWTHS; i++) {
        grow_once();
    }
}

/* -------------------------------------------------------- life of a cache */

static void
open_and_close(void)
{
    const struct fmm_options options = {
        .path = cache->client.path, .must_exist = true, .sigbus_guard = true};
    for (int i = 0; i < 150; i++) {
        struct fmm_cache *own = open_cache(&options);
        CHECK_EQ(set_text(own, "key", "value"), FMM_OK);
        CHECK(holds(own, "key", "value"));
        CHECK(!fmm_damaged(own));
        fmm_close(own);
    }
}

static void
threads_open_and_close_the_same_file(void)
{
    begin();
    in_threads(open_and_close);
    CHECK(holds(cache, "key", "value"));
    end();
}

/* All find at once that they are another process than the one that opened. */
static void
use_in_child(void *unused)
{
    (void)unused;
    in_threads(add_one);
}

static void
threads_of_a_child_hold_pages_in_its_own_name(void)
{
    struct fmm_key key;
    struct fmm_meta meta;
    int64_t found = 0;
    begin();
    key = text_key(cache, "n");
    pid_t one = spawn(use_in_child, NULL);
    pid_t two = spawn(use_in_child, NULL);
    join(one);
    join(two);
    CHECK_EQ(fmm_get(cache, &call, &key, &found, sizeof(found), &meta),
             FMM_OK);
    CHECK_EQ(found, 2 * THREADS * ROUNDS);
    CHECK_EQ(stats_of(cache).recoveries, 0);
    end();
}

static const struct check_case cases[] = {
    /* First: the race detector wants no fork() after threads. */
    CASE(threads_of_a_child_hold_pages_in_its_own_name),
    CASE(threads_do_everything_on_one_handle),
    CASE(threads_lose_no_count),
    CASE(threads_add_without_a_loss_and_each_store_is_counted),
    CASE(threads_write_back_every_last_change),
    CASE(threads_find_every_key_while_the_index_grows),
    CASE(threads_open_and_close_the_same_file),
};

CHECK_MAIN(cases)
