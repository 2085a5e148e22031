#define _GNU_SOURCE
#include "fmm_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#else
#include <sys/types.h>
#include <sys/sysctl.h>
#endif

/* How often this process was forked, and a page with the same number, which
 * the kernel clears in each child: also in one that was made without running
 * the handlers of pthread_atfork(). Without such a page it is the number. */
static fmm_word64 forks = 1;
static fmm_word64 *forks_page = &forks;
static fmm_word64 children;   /* that this process forked */
static uint64_t forks_before; /* while it forks: the number it has */
static pthread_mutex_t forks_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*_Atomic forks_visitor)(void);

static uint64_t
count_fork(void)
{
    uint64_t next = forks + 1, seen = 0;
    if (forks_page == &forks ||
        atomic_compare_exchange_strong(forks_page, &seen, next)) {
        forks = next;
        return next;
    }
    return seen;
}

void
fmm_forks_hold(void)
{
    pthread_mutex_lock(&forks_lock);
}

void
fmm_forks_release(void)
{
    pthread_mutex_unlock(&forks_lock);
}

static void
before_fork(void)
{
    fmm_forks_hold();
    forks_before = forks;
}

static void
after_fork_in_parent(void)
{
    atomic_fetch_add_explicit(&children, 1, memory_order_relaxed);
    fmm_forks_release();
}

static void
after_fork_in_child(void)
{
    if (*forks_page == forks_before) {
        forks_page = &forks; /* emulators only say that they clear it */
    }
    if (forks_page == &forks || *forks_page == 0) {
        count_fork();
    }
    forks_visitor();
    fmm_forks_release();
}

#ifdef MADV_WIPEONFORK
static void
make_page(void)
{
    void *page = mmap(NULL, sizeof(*forks_page), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED &&
        madvise(page, sizeof(*forks_page), MADV_WIPEONFORK) == 0) {
        fmm_word64 *word = page;
        *word = forks;
        forks_page = word;
    }
}
#else
static void
make_page(void)
{
}
#endif

static void
watch_forks(void)
{
    make_page();
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void
fmm_forks_watch(void (*in_child)(void))
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (forks_visitor == NULL) {
        forks_visitor = in_child;
    }
    pthread_once(&once, watch_forks);
}

uint64_t
fmm_forks_made(void)
{
    return atomic_load_explicit(&children, memory_order_relaxed);
}

uint64_t
fmm_forks_seen(void)
{
    return atomic_load_explicit(forks_page, memory_order_relaxed);
}

uint64_t
fmm_forks(void)
{
    uint64_t count = fmm_forks_seen();
    return FMM_LIKELY(count != 0) ? count : count_fork();
}

#ifdef __APPLE__
static bool
read_boot(char *out, size_t capacity)
{
    return sysctlbyname("kern.bootsessionuuid", out, &capacity, NULL, 0) == 0;
}
#else
/* What names the boot, 32 digits and 4 hyphens, as a string. */
static bool
read_boot(char *out, size_t capacity)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t length = read(fd, out, capacity - 1);
    int saved = errno;
    close(fd);
    errno = saved;
    out[length > 0 ? length : 0] = '\0';
    return length > 0;
}
#endif

/* A file that could not be read for want of descriptors or memory is not
 * one that this system does not have. */
static bool
is_missing(void)
{
    return errno == ENOENT || errno == ENOTDIR || errno == EACCES ||
           errno == EPERM;
}

bool
fmm_process_identity(struct fmm_identity *out)
{
    char text[64];
    memset(out, 0, sizeof(*out));
    if (read_boot(text, sizeof(text))) {
        /* Fold them into 16 bytes. */
        for (size_t i = 0; text[i] != '\0' && text[i] != '\n'; i++) {
            unsigned char *byte = &out->boot_id[i % sizeof(out->boot_id)];
            *byte = (unsigned char)(*byte * 31u + (unsigned char)text[i]);
        }
    }
    else if (!is_missing()) {
        return false;
    }
    return true;
}

uint32_t
fmm_process_pid(void)
{
    return (uint32_t)getpid();
}

void
fmm_process_command(char *out, size_t capacity)
{
    char name[16] = "";
#ifdef __linux__
    prctl(PR_GET_NAME, name);
#else
    const char *program = getprogname();
    memcpy(name, program, strnlen(program, sizeof(name) - 1));
#endif
    memset(out, 0, capacity);
    memcpy(out, name, fmm_min(strnlen(name, sizeof(name)), capacity - 1));
}

#ifdef __linux__
static uint32_t *
low_half(fmm_word64 *word)
{
    size_t low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 1 : 0;
    return (uint32_t *)(uintptr_t)word + low;
}

void
fmm_process_wait(fmm_word64 *word, uint64_t seen, uint32_t us)
{
    const struct timespec timeout = {.tv_sec = us / 1000000u,
                                     .tv_nsec = us % 1000000u * 1000L};
    syscall(SYS_futex, low_half(word), FUTEX_WAIT, (uint32_t)seen, &timeout,
            NULL, 0);
}

void
fmm_process_wake(fmm_word64 *word)
{
    syscall(SYS_futex, low_half(word), FUTEX_WAKE, 1, NULL, NULL, 0);
}
#else
#define LOOK_US 50u

/* Nobody wakes us: look now and then. */
void
fmm_process_wait(fmm_word64 *word, uint64_t seen, uint32_t us)
{
    const struct timespec moment = {.tv_nsec = LOOK_US * 1000L};
    uint64_t end_ns = fmm_monotonic_ns() + us * UINT64_C(1000);
    while ((uint32_t)atomic_load_explicit(word, memory_order_relaxed) ==
               (uint32_t)seen &&
           fmm_monotonic_ns() < end_ns) {
        nanosleep(&moment, NULL);
    }
}

void
fmm_process_wake(fmm_word64 *word)
{
    (void)word;
}
#endif

void
fmm_process_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

bool
fmm_process_random(void *buffer, size_t length)
{
#ifdef __linux__
    return getrandom(buffer, length, 0) == (ssize_t)length;
#else
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && read(fd, buffer, length) == (ssize_t)length;
    if (fd >= 0) {
        close(fd);
    }
    return done;
#endif
}

/* --------------------------------------------------------------- clocks */

#ifdef CLOCK_REALTIME_COARSE
#define WALL_CLOCK CLOCK_REALTIME_COARSE
#else
#define WALL_CLOCK CLOCK_REALTIME
#endif

#ifdef __APPLE__ /* the other one has only microseconds */
#define STEADY_CLOCK CLOCK_MONOTONIC_RAW
#else
#define STEADY_CLOCK CLOCK_MONOTONIC
#endif

static uint64_t
read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

uint64_t
fmm_now_ms(void)
{
    return read_clock(WALL_CLOCK);
}

uint64_t
fmm_monotonic_ms(void)
{
    return read_clock(STEADY_CLOCK);
}

static uint64_t
read_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
fmm_now_ns(void)
{
    return read_clock_ns(CLOCK_REALTIME);
}

uint64_t
fmm_monotonic_ns(void)
{
    return read_clock_ns(STEADY_CLOCK);
}
