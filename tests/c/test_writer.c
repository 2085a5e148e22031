/* The right to tell the user's store of a key: one at a time. */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmm_file.h"
#include "fmm_writer_lock.h"

#define HASH UINT64_C(0x123456789abcdef0)

static struct fmm_cache *cache;

static void
begin(void)
{
    cache = new_cache(4096, 1);
}

static enum fmm_status
take_for(struct fmm_cache *from, int64_t wait_ms, struct fmm_writer *writer)
{
    const struct fmm_call patient = {.now_ms = call.now_ms,
                                     .wait_ms = wait_ms};
    return fmm_writer_take(from, &patient, HASH, writer);
}

static void
one_at_a_time_has_it(void)
{
    struct fmm_writer first, second;
    begin();
    CHECK(!fmm_writer_is_at(cache, HASH));
    CHECK_EQ(take_for(cache, 0, &first), FMM_OK);
    CHECK(fmm_writer_is_at(cache, HASH));
    CHECK_EQ(take_for(cache, 0, &second), FMM_BUSY);
    CHECK_EQ(take_for(cache, 20, &second), FMM_BUSY);
    CHECK(fmm_writer_release(cache, &first));
    CHECK(!fmm_writer_is_at(cache, HASH));
    CHECK(!fmm_writer_release(cache, &first));
    CHECK_EQ(take_for(cache, 0, &second), FMM_OK);
    CHECK(fmm_writer_release(cache, &second));
    fmm_close(cache);
}

static void
other_keys_mostly_have_others(void)
{
    unsigned shared = 0;
    for (uint64_t n = 0; n < 1000; n++) {
        shared += fmm_writer_shared(HASH, n << 16);
    }
    CHECK(shared > 0 && shared < 40);
    CHECK(fmm_writer_shared(HASH, HASH));
}

static void
a_forked_child_has_nothing_of_it(void)
{
    struct fmm_writer writer, mine;
    begin();
    CHECK_EQ(take_for(cache, 0, &writer), FMM_OK);
    pid_t child = fork();
    if (child == 0) {
        bool good = !fmm_writer_release(cache, &writer) &&
                    take_for(cache, 0, &mine) == FMM_BUSY;
        _exit(good ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(fmm_writer_release(cache, &writer));
    fmm_close(cache);
}

static void
it_ends_with_the_process_that_has_it(void)
{
    struct fmm_writer writer;
    begin();
    pid_t child = fork();
    if (child == 0) {
        take_for(cache, 0, &writer);
        pause();
    }
    while (!fmm_writer_is_at(cache, HASH)) {
        usleep(1000);
    }
    CHECK_EQ(take_for(cache, 20, &writer), FMM_BUSY);
    kill(child, SIGKILL);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK_EQ(take_for(cache, 5000, &writer), FMM_OK);
    CHECK(fmm_writer_release(cache, &writer));
    fmm_close(cache);
}

static struct fmm_cache *
replace(struct fmm_cache *old)
{
    (void)old;
    return open_cache(&(struct fmm_options){.path = scratch("cache"),
                                            .page_size = 4096,
                                            .num_pages = 1,
                                            .init_file = true});
}

/* What is written from the old file comes before what the new one holds. */
static void
a_replacement_waits_for_other_processes_that_write(void)
{
    struct fmm_writer writer;
    begin();
    pid_t child = fork();
    if (child == 0) {
        take_for(cache, 0, &writer);
        usleep(300000);
        fmm_writer_release(cache, &writer);
        _exit(0);
    }
    while (!fmm_writer_is_at(cache, HASH)) {
        usleep(1000);
    }
    struct fmm_cache *new_one = replace(cache);
    CHECK(!fmm_writer_is_at(cache, HASH));
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK_EQ(take_for(cache, 0, &writer), FMM_RETIRED);
    CHECK_EQ(take_for(new_one, 0, &writer), FMM_OK);
    CHECK(fmm_writer_release(new_one, &writer));
    fmm_close(new_one);
    fmm_close(cache);
}

static void
a_replacement_does_not_wait_for_itself(void)
{
    struct fmm_writer writer;
    begin();
    CHECK_EQ(take_for(cache, 0, &writer), FMM_OK);
    uint64_t began = fmm_monotonic_ms();
    struct fmm_cache *new_one = replace(cache);
    CHECK(fmm_monotonic_ms() - began < 1500);
    CHECK(fmm_writer_release(cache, &writer));
    fmm_close(new_one);
    fmm_close(cache);
}

static const struct check_case cases[] = {
    CASE(one_at_a_time_has_it),
    CASE(other_keys_mostly_have_others),
    CASE(a_forked_child_has_nothing_of_it),
    CASE(it_ends_with_the_process_that_has_it),
    CASE(a_replacement_waits_for_other_processes_that_write),
    CASE(a_replacement_does_not_wait_for_itself),
};

CHECK_MAIN(cases)
