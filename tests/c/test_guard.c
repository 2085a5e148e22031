/* Holding a page while user code runs: guards, forks, deaths, threads. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define CHILDREN 4
#define ROUNDS 2000

static struct fmm_cache *cache;
static fmm_word64 *words;

static void
begin(void)
{
    cache = new_cache(16384, 2);
    words[0] = 0;
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

static void
the_operations_work_under_a_guard(void)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    const struct fmm_removal removal = {.has_modseq = false};
    struct fmm_guard guard;
    struct fmm_ticket ticket;
    struct fmm_meta meta;
    char buffer[8];
    begin();
    struct fmm_key key = text_key(cache, "key");
    struct fmm_value value = text_value("value");
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK(fmm_guard_held(&guard));
    CHECK_EQ(fmm_get_locked(&guard, &call, &key, buffer, 8, &meta), FMM_MISS);
    CHECK_EQ(fmm_set_locked(&guard, &call, &key, &value, &store, &ticket),
             FMM_OK);
    CHECK_EQ(fmm_get_locked(&guard, &call, &key, buffer, 8, &meta), FMM_OK);
    CHECK(memcmp(buffer, "value", 5) == 0);
    CHECK_EQ(fmm_get_locked(&guard, &call, &key, buffer, 4, &meta),
             FMM_TOO_SMALL);
    CHECK(holds(cache, "key", "value"));
    CHECK_EQ(fmm_remove_locked(&guard, &call, &key, &removal, NULL, &ticket),
             FMM_OK);
    CHECK_EQ(fmm_remove_locked(&guard, &call, &key, &removal, NULL, &ticket),
             FMM_MISS);
    CHECK(fmm_guard_release(&guard));
    CHECK(!fmm_guard_held(&guard) && !fmm_guard_release(&guard));
    CHECK_EQ(set_text(cache, "key", "free again"), FMM_OK);
    end();
}

static void
the_other_page_is_free_meanwhile(void)
{
    struct fmm_guard one, two;
    begin();
    CHECK_EQ(fmm_guard_take(cache, &call, 0, &one), FMM_OK);
    CHECK_EQ(fmm_guard_take(cache, &call, 1, &two), FMM_OK);
    CHECK(fmm_guard_release(&one));
    CHECK(fmm_guard_release(&two));
    end();
}

static struct fmm_guard shared_guard;

static void
try_parents_guard(void *unused)
{
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_guard mine;
    (void)unused;
    CHECK(!fmm_guard_held(&shared_guard));
    CHECK(!fmm_guard_release(&shared_guard));
    CHECK_EQ(fmm_guard_take(cache, &once, 0, &mine), FMM_BUSY);
}

static void
a_child_does_not_hold_its_parents_guard(void)
{
    begin();
    CHECK_EQ(fmm_guard_take(cache, &call, 0, &shared_guard), FMM_OK);
    join(spawn(try_parents_guard, NULL));
    CHECK(fmm_guard_held(&shared_guard));
    CHECK(fmm_guard_release(&shared_guard));
    end();
}

static void
hold_and_wait(void *unused)
{
    struct fmm_guard guard;
    (void)unused;
    CHECK_EQ(fmm_guard_take(cache, &call, 0, &guard), FMM_OK);
    words[0] = 1;
    for (;;) {
        pause();
    }
}

static void
a_page_whose_holder_died_is_recovered_and_counted(void)
{
    struct fmm_guard guard;
    begin();
    pid_t child = spawn(hold_and_wait, NULL);
    while (words[0] == 0) {
        sleep_ms(1);
    }
    kill_child(child);
    CHECK_EQ(fmm_guard_take(cache, &call, 0, &guard), FMM_OK);
    CHECK(fmm_guard_release(&guard));
    struct fmm_stats stats = stats_of(cache);
    CHECK_EQ(stats.recoveries, 1);
    CHECK_EQ(stats.repaired, 0);
    CHECK(stats.lock_waits >= 1);
    end();
}

/* A counter in text, read and written under a guard. */
static void
count_under_guard(void *unused)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    (void)unused;
    struct fmm_key key = text_key(cache, "count");
    for (int i = 0; i < ROUNDS; i++) {
        struct fmm_guard guard;
        struct fmm_ticket ticket;
        struct fmm_meta meta;
        uint64_t count = 0;
        struct fmm_value value = {.data = &count, .len = 8, .type = 2};
        REQUIRE(fmm_guard_take(cache, &call, key.page, &guard) == FMM_OK);
        fmm_get_locked(&guard, &call, &key, &count, 8, &meta);
        count++;
        CHECK_EQ(fmm_set_locked(&guard, &call, &key, &value, &store, &ticket),
                 FMM_OK);
        REQUIRE(fmm_guard_release(&guard));
    }
}

static void
check_count(uint64_t expected)
{
    struct fmm_key key = text_key(cache, "count");
    struct fmm_meta meta;
    uint64_t count = 0;
    CHECK_EQ(fmm_get(cache, &call, &key, &count, 8, &meta), FMM_OK);
    CHECK_EQ(count, expected);
}

static void
processes_read_and_write_back_without_a_loss(void)
{
    pid_t children[CHILDREN];
    begin();
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = spawn(count_under_guard, NULL);
    }
    for (int i = 0; i < CHILDREN; i++) {
        join(children[i]);
    }
    check_count(CHILDREN * ROUNDS);
    end();
}

static void *
count_in_thread(void *unused)
{
    count_under_guard(unused);
    return NULL;
}

static void
threads_read_and_write_back_without_a_loss(void)
{
    pthread_t threads[CHILDREN];
    begin();
    for (int i = 0; i < CHILDREN; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, count_in_thread, NULL) == 0);
    }
    for (int i = 0; i < CHILDREN; i++) {
        pthread_join(threads[i], NULL);
    }
    check_count(CHILDREN * ROUNDS);
    end();
}

static void
add_many(void *unused)
{
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    (void)unused;
    struct fmm_key key = text_key(cache, "n");
    for (int i = 0; i < ROUNDS; i++) {
        struct fmm_ticket ticket;
        int64_t result;
        uint64_t expire_at;
        REQUIRE(fmm_incr(cache, &call, &key, 1, 0, &store, &result, &expire_at,
                         &ticket) == FMM_OK);
    }
}

static void
processes_that_inherit_a_cache_add_without_a_loss(void)
{
    pid_t children[CHILDREN];
    begin();
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = spawn(add_many, NULL);
    }
    for (int i = 0; i < CHILDREN; i++) {
        join(children[i]);
    }
    struct fmm_key key = text_key(cache, "n");
    struct fmm_meta meta;
    int64_t found = 0;
    CHECK_EQ(fmm_get(cache, &call, &key, &found, 8, &meta), FMM_OK);
    CHECK_EQ(found, CHILDREN * ROUNDS);
    end();
}

static void
a_buffer_that_is_too_small_is_told_under_a_guard_too(void)
{
    struct fmm_cache *own = new_cache(4096, 1);
    struct fmm_guard guard;
    struct fmm_meta meta;
    char buffer[8] = "1234567";
    CHECK_EQ(set_text(own, "key", "value"), FMM_OK);
    struct fmm_key key = text_key(own, "key");
    CHECK_EQ(fmm_guard_take(own, &call, 0, &guard), FMM_OK);
    CHECK_EQ(fmm_get_locked(&guard, &call, &key, buffer, 4, &meta),
             FMM_TOO_SMALL);
    CHECK_EQ(meta.value_len, 5);
    CHECK(memcmp(buffer, "1234567", 8) == 0);
    CHECK(fmm_guard_release(&guard));
    fmm_close(own);
}

static const struct check_case cases[] = {
    CASE(the_operations_work_under_a_guard),
    CASE(the_other_page_is_free_meanwhile),
    CASE(a_child_does_not_hold_its_parents_guard),
    CASE(a_page_whose_holder_died_is_recovered_and_counted),
    CASE(processes_read_and_write_back_without_a_loss),
    CASE(threads_read_and_write_back_without_a_loss),
    CASE(processes_that_inherit_a_cache_add_without_a_loss),
    CASE(a_buffer_that_is_too_small_is_told_under_a_guard_too),
};

int
main(int argc, char **argv)
{
    words = shared_words(1);
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
