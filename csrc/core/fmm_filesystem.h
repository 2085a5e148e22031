/* Where a file lies: the kind of file system, its room, and what has to be set on
 * a new file there.
 *
 * Functions that fail return false and leave errno. */
#pragma once

#include "fmm_base.h"

enum fmm_filesystem {
    FMM_FILESYSTEM_DISK,
    FMM_FILESYSTEM_MEMORY, /* tmpfs: a file is memory, and charged as such */
    FMM_FILESYSTEM_BTRFS,  /* writes what is overwritten to another place */
    FMM_FILESYSTEM_HUGE,   /* hugetlbfs: pages of 2 MiB and more, no write() */
    FMM_FILESYSTEM_REMOTE  /* NFS, SMB, FUSE and the like, where maps of two
                              hosts are not one memory */
};

struct fmm_filesystem_room {
    uint64_t size, free; /* bytes */
};

/* Of the open file; what is not known is a disk. */
enum fmm_filesystem fmm_filesystem_of(int fd);
/* The same by the number of statfs(2). */
enum fmm_filesystem fmm_filesystem_by_number(uint32_t number);
/* Of the directory that `path` lies in; zeros when it cannot be told. */
struct fmm_filesystem_room fmm_filesystem_room(const char *path);
/* Let an empty file keep the place that is reserved for it (btrfs). */
bool fmm_filesystem_keep_place(int fd);
