#include "fmm_filesystem.h"

#include <errno.h>
#include <sys/param.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fmm_platform.h"

#ifdef __linux__
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#else
#include <sys/mount.h>
#endif

/* Magic numbers from statfs(2), and from the sources of those that are not
 * part of Linux. */
static const struct {
    uint32_t number;
    enum fmm_filesystem kind;
} known[] = {
    {0x01021994u, FMM_FILESYSTEM_MEMORY}, /* tmpfs */
    {0x858458f6u, FMM_FILESYSTEM_MEMORY}, /* ramfs */
    {0x9123683eu, FMM_FILESYSTEM_BTRFS},  {0x958458f6u, FMM_FILESYSTEM_HUGE},
    {0x6969u, FMM_FILESYSTEM_REMOTE},     /* NFS */
    {0x517bu, FMM_FILESYSTEM_REMOTE},     /* SMB */
    {0xfe534d42u, FMM_FILESYSTEM_REMOTE}, /* SMB2 */
    {0xff534d42u, FMM_FILESYSTEM_REMOTE}, /* CIFS */
    {0x564cu, FMM_FILESYSTEM_REMOTE},     /* NCP */
    {0x65735546u, FMM_FILESYSTEM_REMOTE}, /* FUSE */
    {0x01021997u, FMM_FILESYSTEM_REMOTE}, /* 9P */
    {0x5346414fu, FMM_FILESYSTEM_REMOTE}, /* AFS */
    {0x6b414653u, FMM_FILESYSTEM_REMOTE}, /* kAFS */
    {0x73757245u, FMM_FILESYSTEM_REMOTE}, /* Coda */
    {0x00c36400u, FMM_FILESYSTEM_REMOTE}, /* Ceph */
    {0x7461636fu, FMM_FILESYSTEM_REMOTE}, /* OCFS2 */
    {0x01161970u, FMM_FILESYSTEM_REMOTE}, /* GFS2 */
    {0x0bd00bd0u, FMM_FILESYSTEM_REMOTE}, /* Lustre */
    {0x47504653u, FMM_FILESYSTEM_REMOTE}, /* GPFS, IBM Storage Scale */
    {0x19830326u, FMM_FILESYSTEM_REMOTE}, /* BeeGFS, once FhGFS */
    {0xaad7aaeau, FMM_FILESYSTEM_REMOTE}, /* PanFS */
    {0x20030528u, FMM_FILESYSTEM_REMOTE}, /* OrangeFS, PVFS2 */
    {0x013111a8u, FMM_FILESYSTEM_REMOTE}, /* IBRIX */
    {0xbeefdeadu, FMM_FILESYSTEM_REMOTE}, /* SNFS, StorNext */
    {0x61636673u, FMM_FILESYSTEM_REMOTE}, /* ACFS */
    {0x7c7c6673u, FMM_FILESYSTEM_REMOTE}, /* Parallels: prl_fs */
    {0xbacbacbcu, FMM_FILESYSTEM_REMOTE}, /* VMware: vmhgfs */
    {0x786f4256u, FMM_FILESYSTEM_REMOTE}, /* VirtualBox: vboxsf */
};

enum fmm_filesystem
fmm_filesystem_by_number(uint32_t number)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].number == number) {
            return known[i].kind;
        }
    }
    return FMM_FILESYSTEM_DISK;
}

enum fmm_filesystem
fmm_filesystem_of(int fd)
{
    struct statfs status;
    if (fstatfs(fd, &status) != 0) {
        return FMM_FILESYSTEM_DISK;
    }
#ifdef __linux__
    return fmm_filesystem_by_number((uint32_t)status.f_type);
#else
    return status.f_flags & MNT_LOCAL ? FMM_FILESYSTEM_DISK
                                      : FMM_FILESYSTEM_REMOTE;
#endif
}

struct fmm_filesystem_room
fmm_filesystem_room(const char *path)
{
    struct statvfs status;
    struct fmm_filesystem_room room = {0, 0};
    int fd = fmm_platform_open_directory(path);
    if (fd >= 0 && fstatvfs(fd, &status) == 0) {
        room.size = (uint64_t)status.f_blocks * (uint64_t)status.f_frsize;
        room.free = (uint64_t)status.f_bavail * (uint64_t)status.f_frsize;
    }
    fmm_platform_close(fd);
    return room;
}

/* The requests of ioctl() are of another type in each C library. */
#ifdef __GLIBC__
typedef unsigned long request;
#else
typedef int request;
#endif

bool
fmm_filesystem_keep_place(int fd)
{
#ifdef FS_NOCOW_FL
    int flags;
    if (ioctl(fd, (request)FS_IOC_GETFLAGS, &flags) != 0) {
        return false;
    }
    flags |= FS_NOCOW_FL;
    return ioctl(fd, (request)FS_IOC_SETFLAGS, &flags) == 0;
#else
    (void)fd;
    errno = EOPNOTSUPP;
    return false;
#endif
}
