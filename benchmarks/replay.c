/* Replay a trace through the engine, or through simulated policies.
 *
 *     replay TRACE DIRECTORY POLICY:PAGES ...
 *
 * TRACE is text, a request a line: "key size [kind [lifetime]]", as in
 * policies.h. Each POLICY, "fastmmap" or one of policies.h, gets PAGES pages
 * of 256 KiB, and is answered by a line of names and figures. The request
 * number is the time, in milliseconds. Cache files go to DIRECTORY. */
#include "policies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fmm.h"
#include "fmm_hold.h"
#include "fmm_page.h"

#define PAGE_SIZE (256u * 1024u)
#define KEY_MAX 16u

struct tally {
    uint64_t gets, hits, get_bytes, hit_bytes;
    uint64_t refused, set_bytes, most_moved;
};

static void
die(const char *what)
{
    fprintf(stderr, "replay: %s\n", what);
    exit(1);
}

/* ------------------------------------------------------------ the trace */

/* The number that starts at *at, which then follows it. */
static uint32_t
number(const char **at)
{
    char *end;
    unsigned long value = strtoul(*at, &end, 10);
    if (end == *at || value > UINT32_MAX) {
        die("a line of the trace is no request");
    }
    *at = end;
    return (uint32_t)value;
}

static struct request
parse(const char *line)
{
    struct request request = {.kind = 'g'};
    request.key = number(&line);
    request.size = number(&line);
    if (line[0] == ' ') {
        request.kind = line[1];
        line += 2;
        request.lifetime = line[0] == ' ' ? number(&line) : 0;
    }
    if (request.kind != 'g' && request.kind != 's') {
        die("a line of the trace is no request");
    }
    return request;
}

static void
append(struct trace *trace, size_t *capacity, struct request request)
{
    if (trace->count == *capacity) {
        *capacity = *capacity != 0 ? 2 * *capacity : 1024;
        trace->requests =
            realloc(trace->requests, *capacity * sizeof(*trace->requests));
        if (trace->requests == NULL) {
            die("no memory for the trace");
        }
    }
    trace->requests[trace->count++] = request;
    if (request.key >= trace->keys) {
        trace->keys = request.key + 1;
    }
}

static struct trace
load(const char *path)
{
    struct trace trace = {0};
    size_t capacity = 0;
    char line[80];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        die("the trace cannot be opened");
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        append(&trace, &capacity, parse(line));
    }
    fclose(file);
    return trace;
}

/* ----------------------------------------------------------- the engine */

struct engine {
    struct fmm_cache *cache;
    unsigned char *buffer; /* holds any value of the trace */
    size_t capacity;
    uint64_t start_ms;
};

static void
engine_open(struct engine *engine, const char *directory, uint32_t pages)
{
    char path[512];
    struct fmm_error error;
    snprintf(path, sizeof(path), "%s/replay-%ld", directory, (long)getpid());
    struct fmm_options options = {
        .path = path, .page_size = PAGE_SIZE, .num_pages = pages};
    if (fmm_open(&options, &engine->cache, &error) != FMM_OK) {
        die(error.text);
    }
    fmm_unlink(engine->cache, NULL);
    engine->start_ms = fmm_now_ms();
}

static void
key_of(const struct engine *engine, const struct request *request,
       char text[KEY_MAX], struct fmm_key *key)
{
    int length = snprintf(text, KEY_MAX, "%" PRIu32, request->key);
    fmm_key_init(engine->cache, key, text, (size_t)length, FMM_KEY_TEXT);
}

static bool
engine_get(struct engine *engine, const struct request *request, size_t n)
{
    char text[KEY_MAX];
    struct fmm_key key;
    struct fmm_meta meta;
    struct fmm_call call = {.now_ms = engine->start_ms + n};
    key_of(engine, request, text, &key);
    return fmm_get(engine->cache, &call, &key, engine->buffer,
                   engine->capacity, &meta) == FMM_OK;
}

static uint64_t
moved_bytes(const struct engine *engine, uint32_t number)
{
    struct fmm_page page;
    fmm_page_view(engine->cache->base, &engine->cache->geometry, number,
                  &page);
    return page.control->moved_bytes;
}

static enum fmm_status
set_in_parts(struct fmm_cache *cache, const struct fmm_call *call,
             const struct fmm_key *key, const struct fmm_value *value,
             const struct fmm_store_options *store, struct fmm_ticket *ticket)
{
    struct fmm_parts_job job = {.value = value, .expire_at = store->expire_at};
    const struct fmm_value manifest = {.data = &job.parts,
                                       .len = sizeof(job.parts),
                                       .split = true,
                                       .file = fmm_serial(cache)};
    enum fmm_status status = fmm_parts_store(cache, call, key, &job, ticket);
    if (status == FMM_OK) {
        status = fmm_set(cache, call, key, &manifest, store, ticket);
        fmm_parts_finish(cache, call, &job, status == FMM_OK);
    }
    return status;
}

/* As set() of the package does. */
static enum fmm_status
set(struct fmm_cache *cache, const struct fmm_call *call,
    const struct fmm_key *key, const struct fmm_value *value,
    const struct fmm_store_options *store)
{
    struct fmm_ticket ticket = {.displaced = {.count = 0}};
    enum fmm_status status =
        fmm_parts_needed(cache, key, value->len)
            ? set_in_parts(cache, call, key, value, store, &ticket)
            : fmm_set(cache, call, key, value, store, &ticket);
    fmm_displaced_drop(cache, call, NULL, &ticket.displaced);
    return status;
}

static void
engine_set(struct engine *engine, const struct request *request, size_t n,
           struct tally *tally)
{
    char text[KEY_MAX];
    struct fmm_key key;
    struct fmm_call call = {.now_ms = engine->start_ms + n};
    struct fmm_store_options store = {0};
    key_of(engine, request, text, &key);
    struct fmm_value value = {.data = engine->buffer};
    value.len = request->size > key.len ? request->size - key.len : 0;
    if (request->lifetime != 0) {
        store.expire_at = call.now_ms + request->lifetime;
    }
    uint64_t before = moved_bytes(engine, key.page);
    enum fmm_status status = set(engine->cache, &call, &key, &value, &store);
    uint64_t moved = moved_bytes(engine, key.page) - before;
    tally->most_moved = moved > tally->most_moved ? moved : tally->most_moved;
    tally->refused += status != FMM_OK;
    tally->set_bytes += key.len + value.len;
}

/* -------------------------------------------------------------- replays */

static bool
count_get(struct tally *tally, const struct request *request, bool hit)
{
    tally->gets++;
    tally->get_bytes += request->size;
    tally->hits += hit;
    tally->hit_bytes += hit ? request->size : 0;
    return hit;
}

static void
show(const char *policy, uint32_t pages, const struct tally *tally)
{
    printf("policy=%s pages=%" PRIu32 " gets=%" PRIu64 " hits=%" PRIu64
           " get_bytes=%" PRIu64 " hit_bytes=%" PRIu64,
           policy, pages, tally->gets, tally->hits, tally->get_bytes,
           tally->hit_bytes);
}

/* The bytes of the largest value, and at least one. */
static size_t
largest(const struct trace *trace)
{
    size_t most = 1;
    for (size_t n = 0; n < trace->count; n++) {
        most = trace->requests[n].size > most ? trace->requests[n].size : most;
    }
    return most;
}

static void
replay_engine(const struct trace *trace, const char *directory, uint32_t pages)
{
    struct tally tally = {0};
    struct fmm_stats stats;
    struct engine engine = {.capacity = largest(trace)};
    engine.buffer = calloc(1, engine.capacity);
    if (engine.buffer == NULL) {
        die("no memory for a value");
    }
    engine_open(&engine, directory, pages);
    for (size_t n = 0; n < trace->count; n++) {
        const struct request *request = &trace->requests[n];
        if (request->kind == 's' ||
            !count_get(&tally, request, engine_get(&engine, request, n))) {
            engine_set(&engine, request, n, &tally);
        }
    }
    fmm_stats_read(engine.cache, &stats);
    show("fastmmap", pages, &tally);
    printf(" refused=%" PRIu64 " set_bytes=%" PRIu64 " moved_bytes=%" PRIu64
           " most_moved=%" PRIu64 " live_bytes=%" PRIu64
           " total_bytes=%" PRIu64 " slot_evictions=%" PRIu64 "\n",
           tally.refused, tally.set_bytes, stats.moved_bytes, tally.most_moved,
           stats.live_bytes, stats.total_bytes, stats.slot_evictions);
    fmm_close(engine.cache);
    free(engine.buffer);
}

static void
replay_policy(const struct trace *trace, const char *name, uint32_t pages)
{
    struct tally tally = {0};
    struct policy *policy =
        policy_new(name, trace, (uint64_t)pages * PAGE_SIZE);
    if (policy == NULL) {
        die("no such policy, or no memory");
    }
    for (size_t n = 0; n < trace->count; n++) {
        const struct request *request = &trace->requests[n];
        if (request->kind == 's' ||
            !count_get(&tally, request, policy_get(policy, n))) {
            policy_set(policy, n);
        }
    }
    show(name, pages, &tally);
    putchar('\n');
    policy_free(policy);
}

int
main(int argc, char **argv)
{
    if (argc < 4) {
        die("usage: replay TRACE DIRECTORY POLICY:PAGES ...");
    }
    struct trace trace = load(argv[1]);
    for (int i = 3; i < argc; i++) {
        char *colon = strchr(argv[i], ':');
        uint32_t pages = colon != NULL ? (uint32_t)atoi(colon + 1) : 0;
        if (pages == 0) {
            die("expected POLICY:PAGES");
        }
        *colon = '\0';
        if (strcmp(argv[i], "fastmmap") == 0) {
            replay_engine(&trace, argv[2], pages);
        }
        else {
            replay_policy(&trace, argv[i], pages);
        }
        fflush(stdout);
    }
    free(trace.requests);
    return 0;
}
