/* The operating system: files and maps; see also fmm_process.h.
 *
 * Functions that fail return -1 or false and leave errno. Process-wide state
 * of its own is the table of guarded maps. */
#pragma once

#include "fmm_base.h"

#define FMM_PATH_SIZE 4096u /* bytes of a path, its end included */

/* ---------------------------------------------------------------- files */

struct fmm_file_stat {
    uint64_t device, inode, size, links;
    uint32_t mode;         /* permission bits */
    bool regular, foreign; /* foreign: not of the effective user */
};

/* Open an existing file for reading and writing; never follows a link. */
int fmm_platform_open(const char *path);
/* A new file of `size` bytes, zeros, in the directory of `path`, not yet
 * under that name, its presence byte locked. `name_out` (FMM_PATH_SIZE)
 * becomes its temporary name, or ""
 * when it has none. */
int fmm_platform_create(const char *path, uint32_t mode, uint64_t size,
                        bool sparse, char *name_out);
/* Give it the name `path`: fails with EEXIST when that is taken, unless
 * `replace`. Removes the temporary name. */
bool fmm_platform_publish(int fd, char *name, const char *path, bool replace);
/* Drop a file that was not published. */
void fmm_platform_discard(int fd, const char *name);
/* Remove temporary files of `path` that killed processes left. */
void fmm_platform_sweep(const char *path);

bool fmm_platform_stat(int fd, struct fmm_file_stat *out);
bool fmm_platform_stat_path(const char *path, struct fmm_file_stat *out);
/* The beginning of the file; false with an errno of 0: it is shorter. */
bool fmm_platform_read(int fd, void *buffer, size_t length);
bool fmm_platform_write(int fd, const void *buffer, size_t length);
bool fmm_platform_unlink(const char *path);
void fmm_platform_close(int fd);
/* Whether it lies on NFS, SMB, FUSE or the like, where maps of two hosts
 * are not one memory. */
bool fmm_platform_is_remote(int fd);
/* Free bytes of its file system. */
uint64_t fmm_platform_free_space(const char *path);

/* Lock bytes of an open file, shared by fork, freed by the last close. */
enum fmm_lock_byte { FMM_BYTE_OPENING = 0, FMM_BYTE_PRESENCE = 1 };
enum fmm_lock_kind { FMM_UNLOCKED, FMM_SHARED, FMM_EXCLUSIVE };
bool fmm_platform_lock_byte(int fd, enum fmm_lock_byte byte,
                            enum fmm_lock_kind kind);
/* The same, again for at most `wait_ms`. */
bool fmm_platform_lock_byte_wait(int fd, enum fmm_lock_byte byte,
                                 enum fmm_lock_kind kind, uint64_t wait_ms);

/* ----------------------------------------------------------------- maps */

void *fmm_platform_map(int fd, uint64_t size); /* NULL when it fails */
/* Let a map show a copy of the file that is this process's own from now on. */
bool fmm_platform_map_privately(void *base, int fd, uint64_t size);
void fmm_platform_unmap(void *base, uint64_t size);
/* Survive the truncation of this map: when it is touched past the end of
 * its file, zeros take its place and fmm_platform_damaged() says so. */
bool fmm_platform_guard(void *base, uint64_t size);
bool fmm_platform_damaged(const void *base);
void fmm_platform_unguard(void *base);
