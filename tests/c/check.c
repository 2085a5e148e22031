#include "check.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CASE_SECONDS 60u
#define FAILURES_MAX 20u /* of one process; then it is hopeless */

static atomic_ulong checks, failures; /* of all threads */
static uint64_t seed;
static _Thread_local uint64_t state; /* a thread has its own numbers */
static char running[128];

unsigned long
check_failures(void)
{
    return failures;
}

static void
fail(const char *text, const char *file, int line)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    if (++failures >= FAILURES_MAX) {
        fprintf(stderr, "too many failures (seed %" PRIu64 ")\n", seed);
        exit(1);
    }
}

bool
check_that(bool held, const char *text, const char *file, int line)
{
    checks++;
    if (!held) {
        fail(text, file, line);
    }
    return held;
}

bool
check_equal(int64_t found, int64_t expected, const char *text,
            const char *file, int line)
{
    checks++;
    if (found != expected) {
        fail(text, file, line);
        fprintf(stderr, "    found %" PRId64 ", expected %" PRId64 "\n", found,
                expected);
    }
    return found == expected;
}

void
check_required(bool held, const char *text, const char *file, int line)
{
    if (!check_that(held, text, file, line)) {
        fprintf(stderr, "cannot go on (seed %" PRIu64 ")\n", seed);
        exit(1);
    }
}

/* splitmix64 (S. Vigna): short, and good enough to choose test data. */
uint64_t
check_random(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t
check_random_below(uint64_t n)
{
    return check_random() % n;
}

static void
on_alarm(int number)
{
    static const char text[] = "hung: ";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)!write(STDERR_FILENO, running, strlen(running));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(1);
}

void
check_deadline(unsigned seconds)
{
    alarm(seconds);
}

/* A function's name as a sentence. */
static void
run_case(const struct check_case *test)
{
    unsigned long before = failures;
    snprintf(running, sizeof(running), "%s", test->name);
    for (char *at = running; *at != '\0'; at++) {
        *at = *at == '_' ? ' ' : *at;
    }
    state = seed;
    check_deadline(CASE_SECONDS);
    test->run();
    check_deadline(0);
    printf("%s %s\n", failures == before ? "ok    " : "FAILED", running);
    fflush(stdout);
}

int
check_main(int argc, char **argv, const struct check_case *cases, size_t count)
{
    const char *part = "";
    size_t ran = 0;
    seed = (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seed=", 7) == 0) {
            seed = strtoull(argv[i] + 7, NULL, 10);
        }
        else {
            part = argv[i];
        }
    }
    signal(SIGALRM, on_alarm);
    for (size_t i = 0; i < count; i++) {
        if (strstr(cases[i].name, part) != NULL) {
            run_case(&cases[i]);
            ran++;
        }
    }
    printf("%s: %zu cases, %lu checks, %lu failures, seed %" PRIu64 "\n",
           failures || ran == 0 ? "FAILED" : "passed", ran, checks, failures,
           seed);
    return failures || ran == 0 ? 1 : 0;
}
