/* The right to tell the user's store of a key: one at a time. */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmm_file.h"
#include "fmm_turn_lock.h"

#define HASH UINT64_C(0x123456789abcdef0)

static struct fmm_cache *cache;

static void
begin(void)
{
    cache = new_cache(4096, 1);
}

static enum fmm_status
take_for(struct fmm_cache *from, int64_t wait_ms, struct fmm_turn *writer)
{
    const struct fmm_call patient = {.now_ms = call.now_ms,
                                     .wait_ms = wait_ms};
    return fmm_turn_take(from, &patient, HASH, writer);
}

static void
take_and_note(struct fmm_turn *writer)
{
    CHECK_EQ(take_for(cache, 0, writer), FMM_OK);
    CHECK_EQ(fmm_turn_note(cache, writer, HASH), 0);
}

static void
one_at_a_time_has_it(void)
{
    struct fmm_turn first, second;
    begin();
    CHECK(!fmm_turn_is_at(cache, HASH));
    take_and_note(&first);
    CHECK(fmm_turn_is_at(cache, HASH));
    CHECK_EQ(take_for(cache, 0, &second), FMM_BUSY);
    CHECK_EQ(take_for(cache, 20, &second), FMM_BUSY);
    CHECK(fmm_turn_release(cache, &first));
    CHECK(!fmm_turn_is_at(cache, HASH));
    CHECK(!fmm_turn_release(cache, &first));
    CHECK_EQ(take_for(cache, 0, &second), FMM_OK);
    CHECK(fmm_turn_release(cache, &second));
    fmm_close(cache);
}

static void
other_keys_mostly_have_others(void)
{
    unsigned shared = 0;
    for (uint64_t n = 0; n < 1000; n++) {
        shared += fmm_turn_shared(HASH, n << 16);
    }
    CHECK(shared > 0 && shared < 40);
    CHECK(fmm_turn_shared(HASH, HASH));
}

/* Of one key by the right that is had for another. */
static void
what_it_is_noted_for_nests(void)
{
    const uint64_t inner = HASH ^ 1;
    struct fmm_turn writer;
    begin();
    take_and_note(&writer);
    CHECK(!fmm_turn_may_be_at(cache, inner));
    uint64_t before = fmm_turn_note(cache, &writer, inner);
    CHECK(!fmm_turn_is_at(cache, HASH) && !fmm_turn_is_at(cache, inner));
    CHECK(fmm_turn_may_be_at(cache, HASH) && fmm_turn_may_be_at(cache, inner));
    fmm_turn_leave(cache, &writer, before);
    CHECK(fmm_turn_is_at(cache, HASH) && !fmm_turn_may_be_at(cache, inner));
    fmm_turn_leave(cache, &writer, 0);
    CHECK(!fmm_turn_may_be_at(cache, HASH));
    CHECK(fmm_turn_release(cache, &writer));
    fmm_close(cache);
}

static void
a_forked_child_has_nothing_of_it(void)
{
    struct fmm_turn writer, mine;
    begin();
    CHECK_EQ(take_for(cache, 0, &writer), FMM_OK);
    pid_t child = fork();
    if (child == 0) {
        bool good = !fmm_turn_release(cache, &writer) &&
                    take_for(cache, 0, &mine) == FMM_BUSY;
        _exit(good ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(fmm_turn_release(cache, &writer));
    fmm_close(cache);
}

static void
it_ends_with_the_process_that_has_it(void)
{
    struct fmm_turn writer;
    begin();
    pid_t child = fork();
    if (child == 0) {
        take_and_note(&writer);
        pause();
    }
    while (!fmm_turn_is_at(cache, HASH)) {
        usleep(1000);
    }
    CHECK_EQ(take_for(cache, 20, &writer), FMM_BUSY);
    kill(child, SIGKILL);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK_EQ(take_for(cache, 5000, &writer), FMM_OK);
    CHECK(fmm_turn_release(cache, &writer));
    fmm_close(cache);
}

static struct fmm_options
replacing(int64_t wait_ms, uint64_t own_turns)
{
    return (struct fmm_options){.path = scratch("cache"),
                                .page_size = 4096,
                                .num_pages = 1,
                                .init_file = true,
                                .turn_wait_ms = wait_ms,
                                .own_turns = own_turns};
}

static struct fmm_cache *
replace(int64_t wait_ms, uint64_t own_turns)
{
    struct fmm_options options = replacing(wait_ms, own_turns);
    return open_cache(&options);
}

/* A child has it for so long. */
static pid_t
let_a_child_have_it(unsigned ms)
{
    struct fmm_turn writer;
    pid_t child = fork();
    if (child == 0) {
        take_and_note(&writer);
        usleep(ms * 1000);
        fmm_turn_release(cache, &writer);
        _exit(0);
    }
    while (!fmm_turn_is_at(cache, HASH)) {
        usleep(1000);
    }
    return child;
}

/* What is written from the old file comes before what the new one holds. */
static void
a_replacement_waits_for_those_that_write(void)
{
    struct fmm_turn writer;
    begin();
    pid_t child = let_a_child_have_it(300);
    struct fmm_cache *new_one = replace(10000, 0);
    CHECK(!fmm_turn_is_at(cache, HASH));
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK_EQ(take_for(cache, 0, &writer), FMM_RETIRED);
    CHECK_EQ(take_for(new_one, 0, &writer), FMM_OK);
    CHECK(fmm_turn_release(new_one, &writer));
    fmm_close(new_one);
    fmm_close(cache);
}

static void
one_that_waited_in_vain_has_done_nothing(void)
{
    struct fmm_options options = replacing(50, 0);
    struct fmm_cache *new_one;
    struct fmm_error error;
    struct fmm_turn writer;
    begin();
    pid_t child = let_a_child_have_it(300);
    CHECK_EQ(fmm_open(&options, &new_one, &error), FMM_BUSY);
    CHECK(!fmm_replaced(cache));
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK_EQ(take_for(cache, 0, &writer), FMM_OK);
    CHECK(fmm_turn_release(cache, &writer));
    fmm_close(cache);
}

/* While it waits for one of them, the others are free. */
static void
a_replacement_that_waits_stops_nobody_else(void)
{
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_turn writer;
    begin();
    pid_t child = let_a_child_have_it(400);
    pid_t replacing_child = fork();
    if (replacing_child == 0) {
        replace(10000, 0);
        _exit(0);
    }
    usleep(100000);
    CHECK_EQ(fmm_turn_take(cache, &once, ~HASH, &writer), FMM_OK);
    CHECK(fmm_turn_release(cache, &writer));
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(waitpid(replacing_child, NULL, 0) == replacing_child);
    CHECK(fmm_replaced(cache));
    fmm_close(cache);
}

static void
a_replacement_does_not_wait_for_its_own_caller(void)
{
    struct fmm_turn writer;
    begin();
    CHECK_EQ(take_for(cache, 0, &writer), FMM_OK);
    struct fmm_cache *new_one = replace(0, fmm_turn_bit(HASH));
    CHECK(fmm_turn_release(cache, &writer));
    fmm_close(new_one);
    fmm_close(cache);
}

static const struct check_case cases[] = {
    CASE(one_at_a_time_has_it),
    CASE(other_keys_mostly_have_others),
    CASE(what_it_is_noted_for_nests),
    CASE(a_forked_child_has_nothing_of_it),
    CASE(it_ends_with_the_process_that_has_it),
    CASE(a_replacement_waits_for_those_that_write),
    CASE(one_that_waited_in_vain_has_done_nothing),
    CASE(a_replacement_that_waits_stops_nobody_else),
    CASE(a_replacement_does_not_wait_for_its_own_caller),
};

CHECK_MAIN(cases)
