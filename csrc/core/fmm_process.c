#define _GNU_SOURCE
#include "fmm_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/random.h>
#include <sys/syscall.h>
#endif

static _Atomic(uint64_t) forks;
static pthread_once_t forks_once = PTHREAD_ONCE_INIT;

static void
count_fork(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void
watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

uint64_t
fmm_forks(void)
{
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

/* Read a small file whole, as a string. False when that fails. */
static bool
read_text(const char *path, char *out, size_t capacity)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
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

/* A file that could not be read for want of descriptors or memory is not
 * one that this system does not have. */
static bool
is_missing(void)
{
    return errno == ENOENT || errno == ENOTDIR || errno == EACCES ||
           errno == EPERM;
}

bool
fmm_platform_identity(struct fmm_identity *out)
{
    char text[64];
    struct stat status;
    memset(out, 0, sizeof(*out));
    if (read_text("/proc/sys/kernel/random/boot_id", text, sizeof(text))) {
        /* 32 digits and 4 hyphens: fold them into 16 bytes. */
        for (size_t i = 0; text[i] != '\0' && text[i] != '\n'; i++) {
            unsigned char *byte = &out->boot_id[i % sizeof(out->boot_id)];
            *byte = (unsigned char)(*byte * 31u + (unsigned char)text[i]);
        }
    }
    else if (!is_missing()) {
        return false;
    }
    if (stat("/proc/self/ns/pid", &status) == 0) {
        out->pid_namespace = (uint64_t)status.st_ino;
        return true;
    }
    return is_missing();
}

struct process {
    uint64_t start; /* clock ticks after boot */
    long threads;
    char state;
};

/* What /proc/PID/stat says; the name in it may hold any character. */
static bool
read_process(long pid, struct process *out)
{
    char path[64], text[1024];
    unsigned long long start;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    if (!read_text(path, text, sizeof(text))) {
        return false;
    }
    const char *after = strrchr(text, ')');
    if (after == NULL ||
        sscanf(after + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d"
               " %*d %*d %ld %*d %llu",
               &out->state, &out->threads, &start) != 3) {
        return false;
    }
    out->start = start;
    return true;
}

/* ------------------------------------------------------- who maps a file */

/* One line of /proc/PID/maps. */
struct mapping {
    unsigned long start, end, offset, device[2], inode;
};

/* False at the end. The line is read whole, however long the path in it is:
 * what stands in a path is never taken for a mapping. */
static bool
read_mapping(FILE *maps, struct mapping *out)
{
    char *line = NULL;
    size_t capacity = 0;
    bool found = getline(&line, &capacity, maps) > 0 &&
                 sscanf(line, "%lx-%lx %*s %lx %lx:%lx %lu", &out->start,
                        &out->end, &out->offset, &out->device[0],
                        &out->device[1], &out->inode) == 6;
    free(line);
    return found;
}

/* What this process has mapped at `address`; false unless it is a file. */
static bool
mapping_here(const void *address, struct mapping *out)
{
    uintptr_t wanted = (uintptr_t)address;
    FILE *maps = fopen("/proc/self/maps", "re");
    bool found = false;
    while (maps != NULL && !found && read_mapping(maps, out)) {
        found = out->start <= wanted && wanted < out->end;
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return found && out->inode != 0;
}

/* A map may have been cut into several lines; its first has offset 0. */
static bool
is_map_of(const struct mapping *line, const struct mapping *file)
{
    return line->offset == 0 && line->inode == file->inode &&
           line->device[0] == file->device[0] &&
           line->device[1] == file->device[1];
}

/* An empty list proves nothing: so it reads when the first thread of a
 * living process has ended. */
static unsigned
count_maps(FILE *maps, const struct mapping *file)
{
    struct mapping line;
    unsigned count = 0;
    bool any = false;
    while (read_mapping(maps, &line)) {
        any = true;
        count += is_map_of(&line, file);
    }
    return any ? count : UINT_MAX;
}

/* A lock word: bit 0 waiters, bits 1-22 pid, bits 23-63 start time. */
#define PID_SHIFT 1u
#define PID_MASK UINT64_C(0x3fffff)
#define START_SHIFT 23u
#define START_MASK ((UINT64_C(1) << 41) - 1)

uint64_t
fmm_platform_owner(void)
{
    struct process self = {0};
    long pid = (long)getpid();
    pthread_once(&forks_once, watch_forks);
    if (!read_process(pid, &self)) {
        self.start = 0; /* no /proc: the pid alone has to do */
    }
    return ((uint64_t)pid & PID_MASK) << PID_SHIFT | (self.start & START_MASK)
                                                         << START_SHIFT;
}

uint32_t
fmm_platform_pid(uint64_t owner)
{
    return (uint32_t)(owner >> PID_SHIFT & PID_MASK);
}

bool
fmm_platform_alive(uint64_t owner)
{
    struct process process;
    long pid = (long)fmm_platform_pid(owner);
    uint64_t start = owner >> START_SHIFT & START_MASK;
    if (pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH)) {
        return false;
    }
    if (!read_process(pid, &process)) {
        return true; /* it may hide its /proc; its life is certain */
    }
    if (start != 0 && (process.start & START_MASK) != start) {
        return false;
    }
    /* A zombie whose other threads go on still lives. */
    bool dead = process.state == 'Z' || process.state == 'X';
    return !dead || process.threads > 1;
}

unsigned
fmm_platform_maps(uint64_t owner, const void *address)
{
    char path[64];
    struct mapping file;
    snprintf(path, sizeof(path), "/proc/%ld/maps",
             (long)fmm_platform_pid(owner));
    FILE *maps = fopen(path, "re");
    if (maps == NULL) {
        return UINT_MAX; /* another system, or it may not be looked at */
    }
    bool known = mapping_here(address, &file);
    unsigned count = known ? count_maps(maps, &file) : UINT_MAX;
    fclose(maps);
    return count;
}

#ifdef __linux__
static uint32_t *
low_half(fmm_word64 *word)
{
    size_t low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 1 : 0;
    return (uint32_t *)(uintptr_t)word + low;
}
#endif

void
fmm_platform_wait(fmm_word64 *word, uint64_t seen, uint32_t us)
{
    const struct timespec timeout = {.tv_sec = us / 1000000u,
                                     .tv_nsec = us % 1000000u * 1000L};
#ifdef __linux__
    syscall(SYS_futex, low_half(word), FUTEX_WAIT, (uint32_t)seen, &timeout,
            NULL, 0);
#else
    (void)word;
    (void)seen;
    nanosleep(&timeout, NULL);
#endif
}

void
fmm_platform_wake(fmm_word64 *word)
{
#ifdef __linux__
    syscall(SYS_futex, low_half(word), FUTEX_WAKE, 1, NULL, NULL, 0);
#else
    (void)word;
#endif
}

void
fmm_platform_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

bool
fmm_platform_random(void *buffer, size_t length)
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
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t
fmm_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
