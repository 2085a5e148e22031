/* Forks where the system only says that a page will be cleared in the child, as
 * emulators of another processor do. */
#include "support.h"

#include "fmm_process.h"

#include <sys/mman.h>

int madvise(void *at, size_t length, int advice);

int
madvise(void *at, size_t length, int advice)
{
    (void)at, (void)length, (void)advice;
    return 0;
}

static fmm_word64 *words;

static void
nothing(void)
{
}

static void
tell_forks(void *unused)
{
    (void)unused;
    words[0] = fmm_forks();
}

static void
tell_forks_of_a_grandchild(void *unused)
{
    (void)unused;
    join(spawn(tell_forks, NULL));
}

static void
each_child_has_a_number_that_its_parent_has_not(void)
{
    uint64_t forks = fmm_forks();
    join(spawn(tell_forks, NULL));
    CHECK_EQ(words[0], forks + 1);
    join(spawn(tell_forks_of_a_grandchild, NULL));
    CHECK_EQ(words[0], forks + 2);
    CHECK_EQ(fmm_forks(), forks);
}

static const struct check_case cases[] = {
    CASE(each_child_has_a_number_that_its_parent_has_not),
};

int
main(int argc, char **argv)
{
    fmm_forks_watch(nothing);
    words = shared_words(1);
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
