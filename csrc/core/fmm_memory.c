#define _POSIX_C_SOURCE 200809L /* getline */
#include "fmm_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ANY UINT64_MAX /* no limit, or none that can be read */

/* The names that a version has for the same things. */
struct names {
    const char *type; /* of file system */
    const char *limit, *used;
    const char *dropped[2]; /* in memory.stat: files, which the kernel drops */
};

static const struct names versions[] = {
    {"cgroup",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     {"total_inactive_file", "total_active_file"}},
    {"cgroup2",
     "memory.max",
     "memory.current",
     {"inactive_file", "active_file"}},
};

struct search {
    const char *proc;
    const struct fmm_memory_demand *demand;
    struct fmm_memory_limit *limit;
    const struct names *names;
    char place[FMM_MEMORY_PLACE]; /* of the group: a directory */
};

static FILE *
open_below(const char *directory, const char *name)
{
    char path[FMM_MEMORY_PLACE];
    int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return NULL;
    }
    return fopen(path, "re");
}

/* The number that a file begins with, or that stands after a word of it. */
static uint64_t
read_number(const char *directory, const char *name, const char *word)
{
    uint64_t number = ANY;
    char found[64] = "";
    FILE *file = open_below(directory, name);
    if (file == NULL) {
        return ANY;
    }
    while (word != NULL && strcmp(found, word) != 0 &&
           fscanf(file, "%63s", found) == 1) {
    }
    if (fscanf(file, "%" SCNu64, &number) != 1) {
        number = ANY; /* such as "max" */
    }
    fclose(file);
    return number;
}

/* Of the bytes that the group uses those that can neither be dropped nor, as long
 * as there is room, be swapped out. */
static uint64_t
pinned(const struct search *s, uint64_t used)
{
    uint64_t swap = read_number(s->proc, "meminfo", "SwapFree:");
    for (int i = 0; i < 2; i++) {
        uint64_t dropped =
            read_number(s->place, "memory.stat", s->names->dropped[i]);
        used -= dropped == ANY ? 0 : fmm_min(used, dropped);
    }
    return swap == ANY ? used : used - fmm_min(used, swap * 1024);
}

/* What counts against the limit: nothing, if what is wanted comes by and by. */
static uint64_t
used_now(const struct search *s)
{
    if (!s->demand->at_once) {
        return 0;
    }
    uint64_t used = read_number(s->place, s->names->used, NULL);
    return used == ANY ? 0 : used;
}

static bool
group_allows(const struct search *s)
{
    uint64_t bytes = read_number(s->place, s->names->limit, NULL);
    if (bytes == ANY) {
        return true;
    }
    uint64_t used = used_now(s);
    if (s->demand->bytes <= bytes - fmm_min(bytes, used)) {
        return true; /* as it is: what could be dropped need not be read */
    }
    uint64_t left = bytes - fmm_min(bytes, used == 0 ? 0 : pinned(s, used));
    if (s->demand->bytes <= left) {
        return true;
    }
    *s->limit = (struct fmm_memory_limit){.bytes = bytes, .free = left};
    (void)snprintf(s->limit->place, sizeof(s->limit->place), "%s/%s", s->place,
                   s->names->limit);
    return false;
}

/* The group at `below` the place where its kind is mounted, and those above. */
static bool
all_allow(struct search *s, const char *mount, const char *below)
{
    size_t top = strlen(mount);
    int length = snprintf(s->place, sizeof(s->place), "%s%s", mount, below);
    if (length < 0 || (size_t)length >= sizeof(s->place)) {
        return true;
    }
    for (;;) {
        if (!group_allows(s)) {
            return false;
        }
        char *slash = strrchr(s->place, '/');
        if (slash == NULL || (size_t)(slash - s->place) < top) {
            return true;
        }
        *slash = '\0';
    }
}

/* Whether "memory" is one of the words, which commas part. */
static bool
is_of_memory(const char *words)
{
    const char *found = words;
    while ((found = strstr(found, "memory")) != NULL) {
        char after = found[6];
        if ((found == words || found[-1] == ',') &&
            (after == '\0' || after == ',' || after == '\n')) {
            return true;
        }
        found += 6;
    }
    return false;
}

/* The path of this process's group, from a line "number:controllers:path". */
static char *
path_in(char *line, bool unified)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) {
        return NULL;
    }
    *path = '\0';
    path[1 + strcspn(path + 1, "\n")] = '\0';
    bool right =
        unified ? controllers[1] == '\0' : is_of_memory(controllers + 1);
    return right ? path + 1 : NULL;
}

/* What of the path is below the mount: one of a container may show a part of
 * the tree, whose root is named as it is seen from outside. */
static const char *
below_root(const char *path, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, "/..", 3) == 0 || strncmp(path, root, length) != 0 ||
        (path[length] != '/' && path[length] != '\0')) {
        return "";
    }
    return path + length;
}

static bool
mount_allows(struct search *s, const char *root, const char *mount)
{
    char *line = NULL, *path = NULL;
    size_t capacity = 0;
    bool allowed = true;
    FILE *file = open_below(s->proc, "self/cgroup");
    while (file != NULL && path == NULL &&
           getline(&line, &capacity, file) > 0) {
        path = path_in(line, s->names == &versions[1]);
    }
    if (file != NULL) {
        fclose(file);
    }
    if (path != NULL) {
        allowed = all_allow(s, mount, below_root(path, root));
    }
    free(line);
    return allowed;
}

/* A line of mountinfo: number, parent, device, root, mount point, options, and
 * after " - " the type, the source and options of the file system. */
static bool
line_allows(struct search *s, char *line)
{
    static char none[] = "";
    char *words[6], *rest = line, *tail = strstr(line, " - ");
    char *type = tail == NULL ? none : tail + 3;
    for (int i = 0; i < 5; i++) {
        words[i] = strtok_r(rest, " ", &rest);
        if (words[i] == NULL) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        size_t length = strlen(versions[i].type);
        const char *options = strrchr(type, ' ');
        if (strncmp(type, versions[i].type, length) == 0 &&
            type[length] == ' ' && (i == 1 || is_of_memory(options + 1))) {
            s->names = &versions[i];
            return mount_allows(s, words[3], words[4]);
        }
    }
    return true;
}

bool
fmm_memory_allows(const char *proc, const struct fmm_memory_demand *demand,
                  struct fmm_memory_limit *limit_out)
{
    struct search s = {.proc = proc, .demand = demand, .limit = limit_out};
    char *line = NULL;
    size_t capacity = 0;
    bool allowed = true;
    FILE *file = open_below(proc, "self/mountinfo");
    while (file != NULL && allowed && getline(&line, &capacity, file) > 0) {
        allowed = line_allows(&s, line);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(line);
    return allowed;
}
