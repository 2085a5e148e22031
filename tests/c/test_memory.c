/* The memory limits of control groups, in trees that are made up: those of
 * version 1 and 2, in a container and out of it. */
#include "support.h"

#include <inttypes.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "fmm_memory.h"

#define MEGABYTE (UINT64_C(1) << 20)
#define ALL UINT64_MAX

/* Write a file of the made-up system, and the directories that it lies in. */
__attribute__((format(printf, 2, 3))) static void
write_file(const char *name, const char *format, ...)
{
    char path[512];
    va_list arguments;
    snprintf(path, sizeof(path), "%s", scratch(name));
    for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL);
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

/* What the kernel says of the process, of mounts and of free swap. */
static void
make_proc(const char *groups, const char *root, const char *mount,
          const char *type, const char *options)
{
    write_file("proc/self/cgroup", "%s", groups);
    write_file("proc/self/mountinfo",
               "22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
               "31 22 0:27 %s %s rw,nosuid shared:9 - %s cgroup %s\n"
               "32 22 0:28 / /nowhere rw - cgroup cgroup rw,cpu\n",
               root, scratch(mount), type, options);
    write_file("proc/meminfo", "MemTotal: 9 kB\nSwapFree: 0 kB\n");
}

static void
make_second(const char *groups, const char *root, const char *mount)
{
    make_proc(groups, root, mount, "cgroup2", "rw,memory_recursiveprot");
}

static bool
allows(uint64_t bytes, bool at_once, struct fmm_memory_limit *limit)
{
    const struct fmm_memory_demand demand = {.bytes = bytes,
                                             .at_once = at_once};
    return fmm_memory_allows(scratch("proc"), &demand, limit);
}

/* How much is allowed: a power of two, in megabytes, or ALL. */
static uint64_t
most_at(bool at_once)
{
    struct fmm_memory_limit limit;
    for (uint64_t most = MEGABYTE; most < MEGABYTE << 20; most *= 2) {
        if (!allows(most + 1, at_once, &limit)) {
            CHECK(most == MEGABYTE || allows(most, at_once, &limit));
            return most / MEGABYTE;
        }
    }
    return ALL;
}

static void
the_limit_of_its_own_group_counts(void)
{
    struct fmm_memory_limit limit;
    make_second("0::/web/worker\n", "/", "own");
    write_file("own/web/worker/memory.max", "%" PRIu64 "\n", 64 * MEGABYTE);
    CHECK_EQ(most_at(false), 64);
    CHECK(!allows(65 * MEGABYTE, false, &limit));
    CHECK_EQ(limit.bytes, 64 * MEGABYTE);
    CHECK(strstr(limit.place, "own/web/worker/memory.max") != NULL);
}

static void
the_limits_of_those_above_count_too(void)
{
    struct fmm_memory_limit limit;
    make_second("0::/web/site/worker\n", "/", "above");
    write_file("above/web/site/worker/memory.max", "max\n");
    write_file("above/web/site/memory.max", "%" PRIu64 "\n", 256 * MEGABYTE);
    write_file("above/web/memory.max", "%" PRIu64 "\n", 32 * MEGABYTE);
    CHECK_EQ(most_at(false), 32);
    CHECK(!allows(33 * MEGABYTE, false, &limit));
    CHECK(strstr(limit.place, "above/web/memory.max") != NULL);
    write_file("above/memory.max", "%" PRIu64 "\n", 16 * MEGABYTE);
    CHECK_EQ(most_at(false), 16); /* as a container sees its own */
}

static void
no_limit_is_none(void)
{
    make_second("0::/web\n", "/", "none");
    write_file("none/web/memory.max", "max\n");
    CHECK(most_at(true) == ALL);
    make_second("0::/gone\n", "/", "none");
    CHECK(most_at(true) == ALL);
    write_file("proc/self/cgroup", "0::/no/new/line");
    write_file("proc/self/mountinfo", "1 2\n - \n\n1 2 3 4 5 6 - cgroup2\n");
    CHECK(most_at(true) == ALL);
    struct fmm_memory_limit limit;
    const struct fmm_memory_demand demand = {.bytes = ALL};
    CHECK(fmm_memory_allows(scratch("no/proc"), &demand, &limit));
}

static void
what_is_in_use_counts_for_what_is_taken_at_once(void)
{
    struct fmm_memory_limit limit;
    make_second("0::/web\n", "/", "used");
    write_file("used/web/memory.max", "%" PRIu64 "\n", 64 * MEGABYTE);
    write_file("used/web/memory.current", "%" PRIu64 "\n", 60 * MEGABYTE);
    write_file("used/web/memory.stat",
               "anon 1\nfile 2\ninactive_file %" PRIu64
               "\nactive_file %" PRIu64 "\n",
               8 * MEGABYTE, 4 * MEGABYTE);
    CHECK_EQ(most_at(true), 16); /* 60 but for 12 that can be dropped */
    CHECK_EQ(most_at(false), 64);
    CHECK(!allows(17 * MEGABYTE, true, &limit));
    CHECK_EQ(limit.bytes, 64 * MEGABYTE);
    CHECK_EQ(limit.free, 16 * MEGABYTE);
    write_file("proc/meminfo", "SwapFree: %" PRIu64 " kB\n", MEGABYTE / 16);
    CHECK_EQ(most_at(true), 64); /* what is in use can go there */
}

static void
version_one_has_other_names(void)
{
    struct fmm_memory_limit limit;
    make_proc("4:memory,hugetlb:/web\n3:cpu:/other\n0::/third\n", "/", "one",
              "cgroup", "rw,memory");
    write_file("one/web/memory.limit_in_bytes", "%" PRIu64 "\n",
               64 * MEGABYTE);
    write_file("one/web/memory.usage_in_bytes", "%" PRIu64 "\n",
               40 * MEGABYTE);
    write_file("one/web/memory.stat",
               "cache 1\ninactive_file 7\ntotal_inactive_file %" PRIu64 "\n"
               "total_active_file 0\n",
               8 * MEGABYTE);
    CHECK_EQ(most_at(false), 64);
    CHECK_EQ(most_at(true), 32);
    CHECK(!allows(65 * MEGABYTE, false, &limit));
    CHECK(strstr(limit.place, "one/web/memory.limit_in_bytes") != NULL);
    write_file("one/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK_EQ(most_at(false), 64);
}

static void
a_hierarchy_of_other_things_is_not_asked(void)
{
    make_proc("4:cpu:/web\n", "/", "other", "cgroup", "rw,cpu");
    write_file("other/web/memory.limit_in_bytes", "1\n");
    CHECK(most_at(true) == ALL);
    make_proc("4:memory2,x:/web\n", "/", "other", "cgroup", "rw,memory2");
    CHECK(most_at(true) == ALL);
}

/* Docker without a namespace of groups: paths as the host has them, and of
 * the tree its own part alone. */
static void
a_container_sees_a_part_of_the_tree(void)
{
    make_second("0::/docker/0123/worker\n", "/docker/0123", "part");
    write_file("part/worker/memory.max", "max\n");
    write_file("part/memory.max", "%" PRIu64 "\n", 8 * MEGABYTE);
    CHECK_EQ(most_at(false), 8);
    make_second("0::/docker/0123\n", "/docker/0123", "part");
    CHECK_EQ(most_at(false), 8);
    make_second("0::/../elsewhere\n", "/", "part");
    CHECK_EQ(most_at(false), 8);
    make_second("0::/docker/01234\n", "/docker/0123", "part");
    CHECK_EQ(most_at(false), 8);
}

static const struct check_case cases[] = {
    CASE(the_limit_of_its_own_group_counts),
    CASE(the_limits_of_those_above_count_too),
    CASE(no_limit_is_none),
    CASE(what_is_in_use_counts_for_what_is_taken_at_once),
    CASE(version_one_has_other_names),
    CASE(a_hierarchy_of_other_things_is_not_asked),
    CASE(a_container_sees_a_part_of_the_tree),
};

CHECK_MAIN(cases)
