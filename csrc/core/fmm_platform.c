#define _GNU_SOURCE
#include "fmm_platform.h"

#include "fmm_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/vfs.h>
#endif

#ifndef O_CLOEXEC
#error "a system without O_CLOEXEC is not supported"
#endif

#define OPEN_FLAGS (O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define TEMPORARY_SUFFIX ".fmmtmp"

/* ---------------------------------------------------------------- files */

int
fmm_platform_open(const char *path)
{
    return open(path, OPEN_FLAGS);
}

/* The directory part of `path`, "." when there is none. */
static bool
directory_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    if (slash == path) {
        length = 1;
    }
    if (length >= FMM_PATH_SIZE) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(out, length ? path : ".", length ? length : 1);
    out[length ? length : 1] = '\0';
    return true;
}

/* A name beside `path` that nobody else takes. */
static bool
temporary_name(const char *path, char *out)
{
    uint64_t random;
    if (!fmm_platform_random(&random, sizeof(random))) {
        return false;
    }
    int length = snprintf(out, FMM_PATH_SIZE, "%s.%016llx" TEMPORARY_SUFFIX,
                          path, (unsigned long long)random);
    if (length < 0 || (size_t)length >= FMM_PATH_SIZE) {
        errno = ENAMETOOLONG;
        return false;
    }
    return true;
}

/* A file without a name, where the system has such. */
static int
open_unnamed(const char *path)
{
#ifdef O_TMPFILE
    char directory[FMM_PATH_SIZE];
    if (!directory_of(path, directory)) {
        return -1;
    }
    if (access("/proc/self/fd", X_OK) == 0) {
        return open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    }
#endif
    (void)path;
    errno = EOPNOTSUPP;
    return -1;
}

static int
open_temporary(const char *path, char *name_out)
{
    name_out[0] = '\0';
    int fd = open_unnamed(path);
    if (fd >= 0 ||
        (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return fd;
    }
    if (!temporary_name(path, name_out)) {
        return -1;
    }
    fd = open(name_out, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        name_out[0] = '\0';
    }
    return fd;
}

static bool
set_size(int fd, uint64_t size, bool sparse)
{
    if (ftruncate(fd, (off_t)size) != 0) {
        return false;
    }
    if (!sparse) {
        int failure;
        do {
            failure = posix_fallocate(fd, 0, (off_t)size);
        } while (failure == EINTR);
        errno = failure;
        return failure == 0;
    }
    return true;
}

int
fmm_platform_create(const char *path, uint32_t mode, uint64_t size,
                    bool sparse, char *name_out)
{
    int fd = open_temporary(path, name_out);
    if (fd < 0) {
        return -1;
    }
    if (!fmm_platform_lock_byte(fd, FMM_BYTE_PRESENCE, FMM_SHARED) ||
        !set_size(fd, size, sparse) || fchmod(fd, (mode_t)mode) != 0) {
        int saved = errno;
        fmm_platform_discard(fd, name_out);
        errno = saved;
        return -1;
    }
    return fd;
}

static bool
link_unnamed(int fd, const char *name)
{
    char self[64];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
}

bool
fmm_platform_publish(int fd, char *name, const char *path, bool replace)
{
    if (name[0] == '\0') {
        if (!replace) {
            return link_unnamed(fd, path);
        }
        if (!temporary_name(path, name) || !link_unnamed(fd, name)) {
            name[0] = '\0';
            return false;
        }
    }
    bool done = replace ? rename(name, path) == 0 : link(name, path) == 0;
    if (done && !replace) {
        unlink(name);
    }
    return done;
}

void
fmm_platform_discard(int fd, const char *name)
{
    if (name[0] != '\0') {
        unlink(name);
    }
    close(fd);
}

/* Remove one leftover, unless a living process has it open. */
static void
sweep_one(const char *name)
{
    int fd = fmm_platform_open(name);
    if (fd >= 0 &&
        fmm_platform_lock_byte(fd, FMM_BYTE_PRESENCE, FMM_EXCLUSIVE)) {
        unlink(name);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Whether `name` is `base`, a point, 16 digits and the suffix. */
static bool
is_leftover(const char *name, const char *base)
{
    size_t length = strlen(base);
    size_t wanted = length + 17 + strlen(TEMPORARY_SUFFIX);
    return strlen(name) == wanted && strncmp(name, base, length) == 0 &&
           name[length] == '.' &&
           strcmp(name + length + 17, TEMPORARY_SUFFIX) == 0;
}

void
fmm_platform_sweep(const char *path)
{
    char directory[FMM_PATH_SIZE], name[FMM_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    DIR *stream = directory_of(path, directory) ? opendir(directory) : NULL;
    struct dirent *item;
    if (stream == NULL) {
        return;
    }
    while ((item = readdir(stream)) != NULL) {
        int length =
            snprintf(name, sizeof(name), "%s/%s", directory, item->d_name);
        if (is_leftover(item->d_name, base) && length > 0 &&
            (size_t)length < FMM_PATH_SIZE) {
            sweep_one(name);
        }
    }
    closedir(stream);
}

static void
copy_stat(const struct stat *from, struct fmm_file_stat *out)
{
    *out = (struct fmm_file_stat){
        .device = (uint64_t)from->st_dev,
        .inode = (uint64_t)from->st_ino,
        .size = (uint64_t)from->st_size,
        .links = (uint64_t)from->st_nlink,
        .mode = (uint32_t)from->st_mode & 07777u,
        .regular = S_ISREG(from->st_mode),
        .foreign = from->st_uid != geteuid(),
    };
}

bool
fmm_platform_stat(int fd, struct fmm_file_stat *out)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return false;
    }
    copy_stat(&status, out);
    return true;
}

bool
fmm_platform_stat_path(const char *path, struct fmm_file_stat *out)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        return false;
    }
    copy_stat(&status, out);
    return true;
}

bool
fmm_platform_read(int fd, void *buffer, size_t length)
{
    ssize_t done;
    do {
        done = pread(fd, buffer, length, 0);
    } while (done < 0 && errno == EINTR);
    if (done >= 0) {
        errno = 0; /* if it is shorter */
    }
    return done == (ssize_t)length;
}

bool
fmm_platform_write(int fd, const void *buffer, size_t length)
{
    ssize_t done;
    do {
        done = pwrite(fd, buffer, length, 0);
    } while (done < 0 && errno == EINTR);
    if (done >= 0 && done != (ssize_t)length) {
        errno = ENOSPC; /* what cuts a write short */
    }
    return done == (ssize_t)length;
}

bool
fmm_platform_unlink(const char *path)
{
    return unlink(path) == 0;
}

void
fmm_platform_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

bool
fmm_platform_is_remote(int fd)
{
#ifdef __linux__
    /* Magic numbers from statfs(2). */
    static const uint32_t remote[] = {
        0x6969u,     /* NFS */
        0x517bu,     /* SMB */
        0xfe534d42u, /* SMB2 */
        0xff534d42u, /* CIFS */
        0x65735546u, /* FUSE */
        0x01021997u, /* 9P */
        0x5346414fu, /* AFS */
        0x00c36400u, /* Ceph */
        0x7461636fu, /* OCFS2 */
        0x01161970u, /* GFS2 */
        0x0bd00bd0u, /* Lustre */
    };
    struct statfs status;
    if (fstatfs(fd, &status) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        if ((uint32_t)status.f_type == remote[i]) {
            return true;
        }
    }
#endif
    (void)fd;
    return false;
}

uint64_t
fmm_platform_free_space(const char *path)
{
    char directory[FMM_PATH_SIZE];
    struct statvfs status;
    if (!directory_of(path, directory) || statvfs(directory, &status) != 0) {
        return 0;
    }
    return (uint64_t)status.f_bavail * (uint64_t)status.f_frsize;
}

/* Locks of the open file description; systems without have record locks
 * of the process, which guard less. */
#ifdef F_OFD_SETLK
#define SET_LOCK F_OFD_SETLK
#else
#define SET_LOCK F_SETLK
#endif

bool
fmm_platform_lock_byte(int fd, enum fmm_lock_byte byte,
                       enum fmm_lock_kind kind)
{
    static const short types[] = {F_UNLCK, F_RDLCK, F_WRLCK};
    struct flock lock = {
        .l_type = types[kind],
        .l_whence = SEEK_SET,
        .l_start = (off_t)byte,
        .l_len = 1,
    };
    int failed;
    do {
        failed = fcntl(fd, SET_LOCK, &lock);
    } while (failed && errno == EINTR);
    return !failed;
}

bool
fmm_platform_lock_byte_wait(int fd, enum fmm_lock_byte byte,
                            enum fmm_lock_kind kind, uint64_t wait_ms)
{
    const struct timespec moment = {.tv_nsec = 500 * 1000};
    uint64_t deadline = fmm_monotonic_ms() + wait_ms;
    while (!fmm_platform_lock_byte(fd, byte, kind)) {
        if ((errno != EAGAIN && errno != EACCES) ||
            fmm_monotonic_ms() >= deadline) {
            return false;
        }
        nanosleep(&moment, NULL);
    }
    return true;
}

/* ----------------------------------------------------------------- maps */

void *
fmm_platform_map(int fd, uint64_t size)
{
    void *base =
        mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return base == MAP_FAILED ? NULL : base;
}

bool
fmm_platform_map_privately(void *base, int fd, uint64_t size)
{
    return mmap(base, (size_t)size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_FIXED, fd, 0) != MAP_FAILED;
}

void
fmm_platform_unmap(void *base, uint64_t size)
{
    munmap(base, (size_t)size);
}

/* Maps that the SIGBUS handler looks after. The table is process-wide as
 * the handler is; entries are taken and freed by one atomic store. */
#define GUARDED_MAX 64
static struct {
    _Atomic(uintptr_t) base;
    _Atomic(uint64_t) size;
    _Atomic(int) damaged;
} guarded[GUARDED_MAX];
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
    for (int i = 0; i < GUARDED_MAX; i++) {
        uintptr_t base = guarded[i].base;
        if (base == 0 || at < base || at - base >= guarded[i].size) {
            continue;
        }
        guarded[i].damaged = 1;
        if (mmap((void *)base, (size_t)guarded[i].size, PROT_READ | PROT_WRITE,
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
fmm_platform_guard(void *base, uint64_t size)
{
    pthread_once(&sigbus_once, install_sigbus);
    for (int i = 0; i < GUARDED_MAX; i++) {
        uintptr_t empty = 0;
        if (atomic_compare_exchange_strong(&guarded[i].base, &empty,
                                           (uintptr_t)base)) {
            guarded[i].damaged = 0;
            guarded[i].size = size;
            return true;
        }
    }
    errno = EMFILE;
    return false;
}

static int
guarded_slot(const void *base)
{
    for (int i = 0; i < GUARDED_MAX; i++) {
        if (guarded[i].base == (uintptr_t)base) {
            return i;
        }
    }
    return -1;
}

bool
fmm_platform_damaged(const void *base)
{
    int slot = guarded_slot(base);
    return slot >= 0 && guarded[slot].damaged;
}

void
fmm_platform_unguard(void *base)
{
    int slot = guarded_slot(base);
    if (slot >= 0) {
        guarded[slot].size = 0;
        guarded[slot].base = 0;
    }
}
