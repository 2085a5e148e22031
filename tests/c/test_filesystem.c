/* Where files lie: kinds of file systems, and their room. */
#include "support.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fmm_filesystem.h"
#include "fmm_platform.h"

static void
file_systems_of_several_hosts_are_remote(void)
{
    static const uint32_t remote[] = {
        0x6969u,     0x517bu,     0xfe534d42u, 0xff534d42u, /* NFS, SMB */
        0x65735546u, 0x01021997u,                           /* FUSE, 9P */
        0x47504653u,                                        /* GPFS */
        0x19830326u,                                        /* BeeGFS */
        0xaad7aaeau,                                        /* PanFS */
        0xbacbacbcu,                                        /* vmhgfs */
        0x786f4256u,                                        /* vboxsf */
        0x7c7c6673u,                                        /* prl_fs */
        0x0bd00bd0u, 0x00c36400u, 0x20030528u, /* Lustre, Ceph, OrangeFS */
    };
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        CHECK_EQ(fmm_filesystem_by_number(remote[i]), FMM_FILESYSTEM_REMOTE);
    }
}

static void
others_are_what_they_are(void)
{
    CHECK_EQ(fmm_filesystem_by_number(0x01021994u), FMM_FILESYSTEM_MEMORY);
    CHECK_EQ(fmm_filesystem_by_number(0x9123683eu), FMM_FILESYSTEM_BTRFS);
    CHECK_EQ(fmm_filesystem_by_number(0x958458f6u), FMM_FILESYSTEM_HUGE);
    CHECK_EQ(fmm_filesystem_by_number(0xef53u), FMM_FILESYSTEM_DISK);
    CHECK_EQ(fmm_filesystem_by_number(0x58465342u), FMM_FILESYSTEM_DISK);
    CHECK_EQ(fmm_filesystem_of(-1), FMM_FILESYSTEM_DISK);
}

static void
a_file_here_is_not_remote_and_its_room_is_told(void)
{
    struct statvfs status;
    const char *path = scratch("file");
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && fstatvfs(fd, &status) == 0);
    CHECK(fmm_filesystem_of(fd) != FMM_FILESYSTEM_REMOTE);
    struct fmm_filesystem_room room = fmm_filesystem_room(path);
    CHECK_EQ(room.size, status.f_blocks * status.f_frsize);
    CHECK(room.free > 0 && room.free <= room.size);
    CHECK_EQ(fmm_filesystem_room(scratch("no/such/file")).size, 0);
    close(fd);
    unlink(path);
}

static const struct check_case cases[] = {
    CASE(file_systems_of_several_hosts_are_remote),
    CASE(others_are_what_they_are),
    CASE(a_file_here_is_not_remote_and_its_room_is_told),
};

CHECK_MAIN(cases)
