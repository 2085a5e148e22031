#include "stepper.h"

#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static void
run_traced(void *argument)
{
    const struct stepped *child = argument;
    check_deadline(child->seconds);
    if (child->prepare != NULL) {
        child->prepare(child->argument);
    }
    REQUIRE(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    child->body(child->argument);
    raise(SIGSTOP); /* what follows is not worth stepping */
}

static pid_t
start(const struct stepped *child)
{
    return spawn(run_traced, (void *)(uintptr_t)child);
}

/* Wait until the child stops; false when it has ended, well or not. */
static bool
wait_stopped(pid_t child, int *status)
{
    REQUIRE(waitpid(child, status, 0) == child);
    return WIFSTOPPED(*status);
}

/* Let it go on to the next stop, with the signal that was meant for it. */
static void
proceed(pid_t child, enum __ptrace_request how, int status)
{
    int number = WSTOPSIG(status);
    bool ours = number == SIGTRAP || number == SIGSTOP;
    REQUIRE(ptrace(how, child, NULL, (void *)(intptr_t)(ours ? 0 : number)) ==
            0);
}

void
step_on(pid_t child)
{
    int status = 0;
    do {
        REQUIRE(ptrace(PTRACE_CONT, child, NULL, NULL) == 0);
    } while (wait_stopped(child, &status));
    CHECK_EQ(status, 0);
}

unsigned long
step_each(const struct stepped *child, void (*visit)(void *), void *context)
{
    unsigned long instructions = 0;
    int status = 0;
    pid_t pid = start(child);
    while (CHECK(wait_stopped(pid, &status))) {
        visit(context);
        if (WSTOPSIG(status) == SIGSTOP && instructions > 0) {
            step_on(pid);
            return instructions;
        }
        instructions++;
        proceed(pid, PTRACE_SINGLESTEP, status);
    }
    return instructions;
}

/* --------------------------------------------------------------- images */

struct keeping {
    const void *memory;
    size_t size;
    struct steps *steps;
    struct image **next;
    const unsigned char *last;
};

static void
keep_image(void *context)
{
    struct keeping *k = context;
    if (k->last != NULL && memcmp(k->last, k->memory, k->size) == 0) {
        return;
    }
    struct image *image = malloc(sizeof(*image) + k->size);
    REQUIRE(image != NULL);
    image->next = NULL;
    memcpy(image->bytes, k->memory, k->size);
    k->last = image->bytes;
    *k->next = image;
    k->next = &image->next;
    k->steps->images++;
}

void
step_images(const struct stepped *child, const void *memory, size_t size,
            struct steps *steps_out)
{
    *steps_out = (struct steps){.first = NULL};
    struct keeping k = {.memory = memory,
                        .size = size,
                        .steps = steps_out,
                        .next = &steps_out->first};
    steps_out->instructions = step_each(child, keep_image, &k);
}

void
free_steps(struct steps *steps)
{
    while (steps->first != NULL) {
        struct image *next = steps->first->next;
        free(steps->first);
        steps->first = next;
    }
}

/* ------------------------------------------------------- up to some point */

static bool
run_stops(pid_t child, enum __ptrace_request how, unsigned long stops)
{
    int status = 0;
    bool begun = false;
    while (CHECK(wait_stopped(child, &status))) {
        if (WSTOPSIG(status) == SIGSTOP && begun) {
            step_on(child);
            return false;
        }
        if (stops-- == 0) {
            return true;
        }
        begun = true;
        proceed(child, how, status);
    }
    return false;
}

pid_t
step_to(const struct stepped *child, unsigned long instructions)
{
    pid_t pid = start(child);
    return run_stops(pid, PTRACE_SINGLESTEP, instructions) ? pid : 0;
}

bool
kill_at_call(const struct stepped *child, unsigned long n)
{
    pid_t pid = start(child);
    if (!run_stops(pid, PTRACE_SYSCALL, n)) {
        return false;
    }
    kill_child(pid);
    return true;
}
