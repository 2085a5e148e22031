/* The operating system: files and maps; see also fmm_process.h.
 *
 * Functions that fail return -1 or false and leave errno. Process-wide state
 * of its own is the table of guarded maps. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"

#define FMM_PATH_SIZE 4096u /* bytes of a path, its end included */

/* ---------------------------------------------------------------- files */

struct fmm_file_stat {
    uint64_t device, inode, size, links;
    uint64_t space;        /* bytes that it takes */
    uint32_t mode;         /* permission bits */
    bool regular, foreign; /* foreign: not of the effective user */
};

/* Open an existing file for reading and writing; never follows a link. */
int fmm_platform_open(const char *path);
/* The same for reading alone. */
int fmm_platform_open_to_read(const char *path);
/* Open the directory that `path` lies in, for locks of its bytes. */
int fmm_platform_open_directory(const char *path);
/* Open the file of a descriptor by a description of its own. */
int fmm_platform_reopen(int fd);
/* Give a descriptor the number `to` in the place of what has it. */
int fmm_platform_move(int fd, int to);
/* Keep programs off that remove old files, as systemd-tmpfiles does. */
void fmm_platform_spare(int fd);
/* A new file, empty, in the directory of `path`, not yet under that name, its
 * presence byte locked. `name_out` (FMM_PATH_SIZE) becomes its temporary name,
 * or "" when it has none. */
int fmm_platform_create(const char *path, uint32_t mode, char *name_out);
/* Give a file the owner, the group and the permissions that another has. */
bool fmm_platform_adopt(int fd, int like);
/* Make it `size` bytes of zeros, the first `reserved` of which have their
 * space. */
bool fmm_platform_resize(int fd, uint64_t size, uint64_t reserved);
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
/* Give a part of the file its space. */
bool fmm_platform_reserve(int fd, uint64_t at, uint64_t length);
bool fmm_platform_unlink(const char *path);
/* Give its space up; an empty file stays. */
bool fmm_platform_truncate(int fd);
void fmm_platform_close(int fd);

/* Locks of single bytes, by the description of an open file: freed when its
 * last descriptor and its last map are gone. ENOLCK: this system has none. */
enum fmm_lock_kind { FMM_UNLOCKED, FMM_SHARED, FMM_EXCLUSIVE };
bool fmm_platform_lock_byte(int fd, uint64_t byte, enum fmm_lock_kind kind);
/* The same, again for at most `wait_ms`. */
bool fmm_platform_lock_byte_wait(int fd, uint64_t byte,
                                 enum fmm_lock_kind kind, uint64_t wait_ms);
/* Whether another description locks the byte. What cannot be asked seems to be
 * locked. */
bool fmm_platform_byte_taken(int fd, uint64_t byte);
