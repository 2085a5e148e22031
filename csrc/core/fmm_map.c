#define _GNU_SOURCE
#include "fmm_map.h"

#include "fmm.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_NORESERVE /* FreeBSD never reserves */
#define MAP_NORESERVE 0
#endif

static void *
map(int fd, uint64_t size, int rights)
{
    void *base = mmap(NULL, (size_t)size, rights, MAP_SHARED, fd, 0);
    return base == MAP_FAILED ? NULL : base;
}

void *
fmm_map_file(int fd, uint64_t size)
{
    return map(fd, size, PROT_READ | PROT_WRITE);
}

void *
fmm_map_to_read(int fd, uint64_t size)
{
    return map(fd, size, PROT_READ);
}

bool
fmm_map_privately(void *base, int fd, uint64_t size)
{
    return mmap(base, (size_t)size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_FIXED, fd, 0) != MAP_FAILED;
}

bool
fmm_map_over(void *base, int fd, uint64_t size)
{
    return mmap(base, (size_t)size, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
}

void
fmm_map_nothing(void *base, uint64_t size)
{
    void *map =
        mmap(base, (size_t)size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    assert(map == base);
    (void)map;
}

#ifdef MADV_REMOVE
/* Only whole blocks are space: what is left of others stays. */
void
fmm_map_give_back(unsigned char *at, uint64_t length)
{
    uintptr_t block = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)at + block - 1) / block * block;
    uintptr_t end = ((uintptr_t)at + length) / block * block;
    int saved = errno;
    if (begin < end) {
        (void)madvise(at + (begin - (uintptr_t)at), end - begin, MADV_REMOVE);
    }
    errno = saved;
}
#else
void
fmm_map_give_back(unsigned char *at, uint64_t length)
{
    (void)at, (void)length;
}
#endif

void
fmm_map_end(void *base, uint64_t size)
{
    munmap(base, (size_t)size);
}

/* Maps that the SIGBUS handler looks after. The table is process-wide as
 * the handler is; entries are taken and freed by one atomic store. */
#define TRAPPED_MAX 64
static struct {
    _Atomic(uintptr_t) base;
    _Atomic(uint64_t) size;
    _Atomic(int) damaged;
} trapped[TRAPPED_MAX];
static struct sigaction previous_sigbus;
static pthread_once_t sigbus_once = PTHREAD_ONCE_INIT;

static void
pass_on(int number, siginfo_t *info, void *context)
{
    if (previous_sigbus.sa_flags & SA_SIGINFO) {
        previous_sigbus.sa_sigaction(number, info, context);
        return;
    }
    if (previous_sigbus.sa_handler != SIG_DFL &&
        previous_sigbus.sa_handler != SIG_IGN) {
        previous_sigbus.sa_handler(number);
        return;
    }
    signal(number, SIG_DFL); /* the access is tried again, and kills */
}

/* Put zeros where the file has gone: every reader of the map takes any
 * bytes, so that the interrupted call ends by itself. */
static void
on_sigbus(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; i < TRAPPED_MAX; i++) {
        uintptr_t base = trapped[i].base;
        if (base == 0 || at < base || at - base >= trapped[i].size) {
            continue;
        }
        trapped[i].damaged = 1;
        if (mmap((void *)base, (size_t)trapped[i].size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) != MAP_FAILED) {
            return;
        }
    }
    pass_on(number, info, context);
}

static void
install_sigbus(void)
{
    struct sigaction action = {.sa_sigaction = on_sigbus,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous_sigbus);
}

bool
fmm_map_trap(void *base, uint64_t size)
{
    pthread_once(&sigbus_once, install_sigbus);
    for (int i = 0; i < TRAPPED_MAX; i++) {
        uintptr_t empty = 0;
        if (atomic_compare_exchange_strong(&trapped[i].base, &empty,
                                           (uintptr_t)base)) {
            trapped[i].damaged = 0;
            trapped[i].size = size;
            return true;
        }
    }
    errno = EMFILE;
    return false;
}

static int
trapped_slot(const void *base)
{
    for (int i = 0; i < TRAPPED_MAX; i++) {
        if (trapped[i].base == (uintptr_t)base) {
            return i;
        }
    }
    return -1;
}

bool
fmm_map_damaged(const void *base)
{
    int slot = trapped_slot(base);
    return slot >= 0 && trapped[slot].damaged;
}

void
fmm_map_untrap(void *base)
{
    int slot = trapped_slot(base);
    if (slot >= 0) {
        trapped[slot].size = 0;
        trapped[slot].base = 0;
    }
}

/* ------------------------------------------------------ memory of others */

/* Whole pages around it, so that the map that it is in stays one. */
void
fmm_expect_filled(void *memory, size_t len)
{
#ifdef MADV_HUGEPAGE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)memory & ~(page - 1);
    uintptr_t to = ((uintptr_t)memory + len + page - 1) & ~(page - 1);
    int error = errno;
    madvise((void *)from, to - from, MADV_HUGEPAGE);
    errno = error;
#else
    (void)memory;
    (void)len;
#endif
}
