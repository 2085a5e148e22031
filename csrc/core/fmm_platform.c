#define _GNU_SOURCE
#include "fmm_platform.h"

#include "fmm_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef O_CLOEXEC
#error "a system without O_CLOEXEC is not supported"
#endif

#define OPEN_FLAGS (O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define READ_FLAGS ((OPEN_FLAGS & ~O_ACCMODE) | O_RDONLY)
#define TEMPORARY_SUFFIX ".fmmtmp"

/* ---------------------------------------------------------------- files */

int
fmm_platform_open(const char *path)
{
    return open(path, OPEN_FLAGS);
}

#ifdef F_GETPATH
/* macOS: the files of /dev/fd are no descriptions of their own. */
int
fmm_platform_reopen(int fd)
{
    char path[MAXPATHLEN];
    return fcntl(fd, F_GETPATH, path) < 0 ? -1 : fmm_platform_open(path);
}
#else
int
fmm_platform_open_to_read(const char *path)
{
    return open(path, READ_FLAGS);
}

int
fmm_platform_reopen(int fd)
{
    char self[64];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return open(self, OPEN_FLAGS & ~O_NOFOLLOW);
}
#endif

/* As dup2(); no program that is executed has it. */
static int
dup_over(int fd, int to)
{
#ifdef __linux__
    return dup3(fd, to, O_CLOEXEC);
#else
    int done = dup2(fd, to);
    fcntl(to, F_SETFD, FD_CLOEXEC);
    return done;
#endif
}

int
fmm_platform_move(int fd, int to)
{
    if (fd == to || dup_over(fd, to) < 0) {
        return fd;
    }
    close(fd);
    return to;
}

void
fmm_platform_spare(int fd)
{
    (void)flock(fd, LOCK_SH | LOCK_NB);
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

int
fmm_platform_open_directory(const char *path)
{
    char directory[FMM_PATH_SIZE];
    if (!directory_of(path, directory)) {
        return -1;
    }
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A name beside `path` that nobody else takes. */
static bool
temporary_name(const char *path, char *out)
{
    uint64_t random;
    if (!fmm_process_random(&random, sizeof(random))) {
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

#ifdef F_PREALLOCATE
/* macOS gives space only to what lies past the end. */
static bool
reserve_past_end(int fd, uint64_t more)
{
    fstore_t store = {
        .fst_flags = F_ALLOCATEALL,
        .fst_posmode = F_PEOFPOSMODE,
        .fst_length = (off_t)more,
    };
    return fcntl(fd, F_PREALLOCATE, &store) == 0;
}

/* A hole gets its space when it is written to: here what it reads as. */
static bool
reserve_hole(int fd, uint64_t at, uint64_t end)
{
    unsigned char bytes[4096];
    while (at < end) {
        size_t length = (size_t)fmm_min(end - at, sizeof(bytes));
        ssize_t got = pread(fd, bytes, length, (off_t)at);
        if (got <= 0 || pwrite(fd, bytes, (size_t)got, (off_t)at) != got) {
            return false;
        }
        at += (uint64_t)got;
    }
    return true;
}

bool
fmm_platform_reserve(int fd, uint64_t at, uint64_t length)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return false;
    }
    uint64_t end = at + length, size = (uint64_t)status.st_size;
    return reserve_hole(fd, at, fmm_min(end, size)) &&
           (end <= size || reserve_past_end(fd, end - size));
}
#else
bool
fmm_platform_reserve(int fd, uint64_t at, uint64_t length)
{
    int failure;
    do {
        failure = posix_fallocate(fd, (off_t)at, (off_t)length);
    } while (failure == EINTR);
    errno = failure;
    return failure == 0;
}
#endif

/* In this order: macOS reserves nothing in a file that is long enough. */
bool
fmm_platform_resize(int fd, uint64_t size, uint64_t reserved)
{
    return (reserved == 0 || fmm_platform_reserve(fd, 0, reserved)) &&
           ftruncate(fd, (off_t)size) == 0;
}

int
fmm_platform_create(const char *path, uint32_t mode, char *name_out)
{
    int fd = open_temporary(path, name_out);
    if (fd < 0) {
        return -1;
    }
    if (!fmm_platform_lock_byte(fd, FMM_BYTE_PRESENCE, FMM_SHARED) ||
        fchmod(fd, (mode_t)mode) != 0) {
        int saved = errno;
        fmm_platform_discard(fd, name_out);
        errno = saved;
        return -1;
    }
    return fd;
}

bool
fmm_platform_adopt(int fd, int like)
{
    struct stat mine, other;
    if (fstat(fd, &mine) != 0 || fstat(like, &other) != 0) {
        return false;
    }
    bool same = mine.st_uid == other.st_uid && mine.st_gid == other.st_gid;
    return (same || fchown(fd, other.st_uid, other.st_gid) == 0) &&
           fchmod(fd, other.st_mode & 07777u) == 0;
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
        .space = (uint64_t)from->st_blocks * 512u,
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

bool
fmm_platform_truncate(int fd)
{
    return ftruncate(fd, 0) == 0;
}

void
fmm_platform_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

#ifdef F_OFD_SETLK
#define SET_LOCK F_OFD_SETLK
#define GET_LOCK F_OFD_GETLK
#else /* no such command: EINVAL */
#define SET_LOCK (-1)
#define GET_LOCK (-1)
#endif

static bool
control_lock(int fd, int command, struct flock *lock)
{
    int failed;
    do {
        failed = fcntl(fd, command, lock);
    } while (failed && errno == EINTR);
    if (failed && errno == EINVAL) {
        errno = ENOLCK;
    }
    return !failed;
}

bool
fmm_platform_lock_byte(int fd, uint64_t byte, enum fmm_lock_kind kind)
{
    static const short types[] = {F_UNLCK, F_RDLCK, F_WRLCK};
    struct flock lock = {
        .l_type = types[kind],
        .l_whence = SEEK_SET,
        .l_start = (off_t)byte,
        .l_len = 1,
    };
    return control_lock(fd, SET_LOCK, &lock);
}

bool
fmm_platform_byte_taken(int fd, uint64_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = (off_t)byte,
        .l_len = 1,
    };
    return !control_lock(fd, GET_LOCK, &lock) || lock.l_type != F_UNLCK;
}

bool
fmm_platform_lock_byte_wait(int fd, uint64_t byte, enum fmm_lock_kind kind,
                            uint64_t wait_ms)
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
