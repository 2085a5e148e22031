/* A small harness: checks, named cases, a seed, a summary line.
 *
 * A test program is a list of cases, functions whose names read as
 * sentences, and hands it to check_main():
 *
 *   test_ring             run all cases
 *   test_ring stay        run the cases with "stay" in their names
 *   test_ring --seed=7    with the random numbers of an earlier run
 *
 * Include it first: it asks the system for all that it has. */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check_case {
    const char *name;
    void (*run)(void);
};

/* clang-format off */
#define CASE(function) {#function, function}
/* clang-format on */

/* Note a failure and go on; the value is whether it held. */
#define CHECK(condition) \
    check_that((condition), #condition, __FILE__, __LINE__)

/* The same for two integers, whose values are shown. */
#define CHECK_EQ(found, expected)                      \
    check_equal((int64_t)(found), (int64_t)(expected), \
                #found " == " #expected, __FILE__, __LINE__)

/* Without this the rest makes no sense: stop the program. */
#define REQUIRE(condition) \
    check_required((condition), #condition, __FILE__, __LINE__)

bool check_that(bool held, const char *text, const char *file, int line);
bool check_equal(int64_t found, int64_t expected, const char *text,
                 const char *file, int line);
void check_required(bool held, const char *text, const char *file, int line);

/* Failures so far, in this process. */
unsigned long check_failures(void);
/* Let this process and its case take that long before they count as hung. */
void check_deadline(unsigned seconds);

/* Random numbers, the same for the same seed in each case. */
uint64_t check_random(void);
/* From 0 to `n` - 1. */
uint64_t check_random_below(uint64_t n);

/* Run the cases; the exit status of the program. */
int check_main(int argc, char **argv, const struct check_case *cases,
               size_t count);

#define CHECK_MAIN(cases)                                      \
    int main(int argc, char **argv)                            \
    {                                                          \
        return check_main(argc, argv, cases,                   \
                          sizeof(cases) / sizeof((cases)[0])); \
    }
