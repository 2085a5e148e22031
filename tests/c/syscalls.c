#include "syscalls.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOPPED_AT_CALL (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */

static fmm_word64 *inside; /* shared: whether the child is in its part */

void
syscalls_begin(void)
{
    *inside = 1;
}

void
syscalls_end(void)
{
    *inside = 0;
}

bool
syscalls_can_fail(void)
{
#ifdef __x86_64__
    return true;
#else
    return false;
#endif
}

/* At the entry of a call: whether it is the engine's. The allocator of a
 * sanitizer maps more memory now and then, always at places that it chose. */
static bool
is_ours(pid_t child)
{
#ifdef __x86_64__
    struct user_regs_struct registers;
    REQUIRE(ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0);
    return registers.orig_rax != SYS_mmap || !(registers.r10 & MAP_FIXED);
#else
    (void)child;
    return true;
#endif
}

/* At the entry of a call: make it none. At its exit: an error. Where close()
 * and munmap() fail, they have done their work all the same. */
static void
alter_call(pid_t child, bool entry, int errnum)
{
#ifdef __x86_64__
    struct user_regs_struct registers;
    REQUIRE(ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0);
    if (entry && registers.orig_rax != SYS_close &&
        registers.orig_rax != SYS_munmap) {
        registers.orig_rax = (unsigned long long)-1;
    }
    if (!entry) {
        registers.rax = (unsigned long long)-(long long)errnum;
    }
    REQUIRE(ptrace(PTRACE_SETREGS, child, NULL, &registers) == 0);
#else
    (void)child;
    (void)entry;
    (void)errnum;
#endif
}

static void
be_traced(void *argument)
{
    const struct syscall_plan *plan = argument;
    REQUIRE(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    plan->body(plan->argument);
}

/* Let it go on to the next entry or exit of a call. False: it ended. */
static bool
next_stop(pid_t child)
{
    int status, signum = 0;
    for (;;) {
        REQUIRE(ptrace(PTRACE_SYSCALL, child, NULL,
                       (void *)(intptr_t)signum) == 0);
        REQUIRE(waitpid(child, &status, 0) == child);
        if (!WIFSTOPPED(status)) {
            CHECK_EQ(status, 0);
            return false;
        }
        if (WSTOPSIG(status) == STOPPED_AT_CALL) {
            return true;
        }
        signum = WSTOPSIG(status);
    }
}

/* Stop it at the entry of its call number `at`. */
static bool
go_to_call(pid_t child, unsigned at)
{
    bool entry = true;
    unsigned calls = 0;
    for (; next_stop(child); entry = !entry) {
        if (!entry || *inside == 0 || !is_ours(child)) {
            continue;
        }
        if (calls == at) {
            return true;
        }
        calls++;
    }
    return false;
}

static void
fail_call(pid_t child, int errnum)
{
    alter_call(child, true, errnum);
    REQUIRE(next_stop(child));
    alter_call(child, false, errnum);
    REQUIRE(ptrace(PTRACE_DETACH, child, NULL, NULL) == 0);
    join(child);
}

static void
meet_fate(pid_t child, const struct syscall_plan *plan)
{
    if (plan->fate == SYSCALL_FAIL) {
        fail_call(child, plan->errnum);
        return;
    }
    if (plan->fate == SYSCALL_KILL_AFTER) {
        REQUIRE(next_stop(child));
    }
    kill_child(child);
}

bool
syscalls_run(const struct syscall_plan *plan)
{
    struct syscall_plan copy = *plan;
    int status;
    inside = shared_words(1);
    pid_t child = spawn(be_traced, &copy);
    REQUIRE(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    REQUIRE(ptrace(PTRACE_SETOPTIONS, child, NULL,
                   (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0);
    bool reached = go_to_call(child, plan->at);
    if (reached && plan->meanwhile != NULL) {
        plan->meanwhile();
    }
    if (reached) {
        meet_fate(child, plan);
    }
    free_words(inside, 1);
    return reached;
}
