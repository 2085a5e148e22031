#include "hostile.h"

#include <stdlib.h>

#define KEYS 60u
#define BUFFER 8192u

/* `capacity` bytes that end where an allocation ends: what is written
 * beyond them, AddressSanitizer sees. */
static unsigned char *
buffer_of(size_t capacity)
{
    static unsigned char *buffer;
    if (buffer == NULL) {
        buffer = malloc(BUFFER);
        REQUIRE(buffer != NULL);
    }
    return buffer + BUFFER - capacity;
}

static struct fmm_key
some_key(const struct hostile *h)
{
    static char names[KEYS][4];
    static const enum fmm_key_kind kinds[] = {FMM_KEY_TEXT, FMM_KEY_BYTES,
                                              FMM_KEY_INTERNAL};
    uint64_t n = check_random_below(KEYS);
    struct fmm_key key;
    int length = snprintf(names[n], sizeof(names[n]), "k%u", (unsigned)n);
    fmm_key_init(h->cache, &key, names[n], (size_t)length, kinds[n % 3]);
    key.scope = n % 5 == 4 ? n % 2 + 1 : 0;
    fmm_key_hash(h->cache, &key);
    fmm_key_fetch(h->cache, &key);
    return key;
}

static uint32_t
some_page(const struct hostile *h)
{
    return (uint32_t)check_random_below(h->cache->geometry.num_pages);
}

static struct fmm_store_options
some_store(const struct hostile *h)
{
    uint64_t bits = check_random_below(1024);
    return (struct fmm_store_options){
        .tags = h->tags,
        .tag_count = bits & 512 ? (uint32_t)check_random_below(5) : 0,
        .keep_tags = bits & 256,
        .mode = (enum fmm_store_mode)(bits % 3),
        .expire_at = bits & 4 ? 0 : call.now_ms + SECOND,
        .has_modseq = (bits & 24) == 0,
        .modseq = bits >> 5 & 7,
        .dirty = (bits & 96) == 0,
    };
}

void
hostile_set(struct hostile *h)
{
    static const unsigned char data[4096];
    struct fmm_store_options store = some_store(h);
    struct fmm_key key = some_key(h);
    struct fmm_value value = {
        .data = data, .len = check_random_below(900), .type = 2};
    fmm_set(h->cache, &call, &key, &value, &store, &h->ticket);
}

static void
some_change(struct hostile *h)
{
    struct fmm_store_options store = some_store(h);
    struct fmm_removal removal = {.has_modseq = store.dirty, .modseq = 5};
    struct fmm_key key = some_key(h);
    int64_t result;
    uint64_t expire_at;
    switch (check_random_below(4)) {
    case 0:
        fmm_remove(h->cache, &call, &key, &removal, NULL, &h->ticket);
        break;
    case 1:
        fmm_touch(h->cache, &call, &key, call.now_ms + SECOND);
        break;
    default:
        fmm_incr(h->cache, &call, &key, 1, 0, &store, &result, &expire_at,
                 &h->ticket);
    }
}

static void
some_read(struct hostile *h)
{
    struct fmm_key key = some_key(h);
    struct fmm_meta meta;
    size_t capacity = check_random_below(BUFFER);
    fmm_get(h->cache, &call, &key, buffer_of(capacity), capacity, &meta);
    fmm_exists(h->cache, &call, &key, &meta);
}

static void
some_write_back(struct hostile *h)
{
    struct fmm_meta meta;
    uint64_t cursor = check_random_below(40) << 32 | check_random_below(40);
    size_t capacity = check_random_below(BUFFER);
    h->ticket.page %= h->cache->geometry.num_pages;
    fmm_dirty_read(h->cache, &call, &h->ticket, buffer_of(capacity), capacity,
                   &meta);
    fmm_dirty_done(h->cache, &call, &h->ticket);
    fmm_dirty_next(h->cache, &call, h->ticket.page, capacity & 1, &cursor,
                   &h->ticket);
}

/* Records lie within what was filled, in a buffer that just holds them. */
static void
some_scan(struct hostile *h)
{
    static unsigned char *records;
    static const size_t capacity = 1 << 16;
    records = records == NULL ? malloc(capacity) : records;
    REQUIRE(records != NULL);
    size_t given = check_random_below(capacity);
    struct fmm_scan scan = {.buffer = records + capacity - given,
                            .values = given & 1,
                            .scope = given & 6 ? 0 : 1 + given / 8 % 2,
                            .groups = given / 16 % 4 == 0,
                            .capacity = given};
    struct fmm_meta meta;
    const void *key, *value;
    if (fmm_scan_page(h->cache, &call, some_page(h), &scan) != FMM_OK) {
        return;
    }
    while (fmm_scan_next(&scan, &meta, &key, &value)) {
        const unsigned char *end = value;
        end += scan.values ? meta.value_len : 0;
        REQUIRE(end <= records + capacity);
    }
}

static void
some_whole_page(struct hostile *h)
{
    struct fmm_page_report report;
    uint64_t dropped = 0, pick = check_random_below(16);
    uint32_t page = some_page(h);
    fmm_check_page(h->cache, &call, page, false, &report);
    if (pick < 2) {
        fmm_check_page(h->cache, &call, page, true, &report);
    }
    else if (pick < 6) {
        fmm_drop_page(h->cache, &call, page,
                      pick == 2 ? FMM_DROP_ALL : FMM_DROP_EXPIRED, pick & 1,
                      &dropped);
    }
}

/* With a token that is right or wrong. */
static void
some_lease(struct hostile *h)
{
    static const unsigned char data[900];
    struct fmm_key key = some_key(h);
    struct fmm_value value = {
        .data = data, .len = check_random_below(sizeof(data)), .type = 2};
    uint64_t pick = check_random_below(16);
    const struct fmm_lease_store how = {
        .token = h->lease.token, .store = some_store(h), .leasable = pick & 1};
    uint64_t since;
    fmm_lease_peek(h->cache, &call, &key, &h->lease, &since);
    if (pick < 8) {
        take_lease(h->cache, &key, SECOND, pick & 1, &h->lease, &h->ticket);
    }
    else if (pick < 14) {
        fmm_lease_value(h->cache, &call, &key, &value, &how, &h->ticket);
    }
    else if (pick < 15) {
        fmm_lease_extend(h->cache, &call, &key, h->lease.token, SECOND);
    }
    else {
        end_lease(h->cache, &key, h->lease.token);
    }
}

/* On the record of a tag, whose id is that of some key, or of a namespace. */
static void
some_group(struct hostile *h)
{
    struct fmm_key key = some_key(h);
    const struct fmm_key name = key;
    struct fmm_tag *tag = &h->tags[check_random_below(4)];
    uint64_t pick = check_random_below(8);
    if (pick & 1) {
        tag->id = fmm_tag_id(h->cache, &key);
        fmm_tag_key(h->cache, tag, &key);
    }
    if (pick < 4) {
        fmm_group_find(h->cache, &call, &key, &tag->generation);
        fmm_name_note(h->cache, &call, &key, &name, FMM_TEXT_TAG);
    }
    else {
        fmm_group_end(h->cache, &call, &key, pick < 6 ? &h->ticket : NULL);
    }
}

/* What user code does while it holds a page. */
static void
some_guarded(struct hostile *h)
{
    static const unsigned char data[900];
    struct fmm_key key = some_key(h);
    struct fmm_value value = {
        .data = data, .len = check_random_below(sizeof(data)), .type = 2};
    struct fmm_store_options store = some_store(h);
    struct fmm_removal removal = {.has_modseq = store.has_modseq};
    struct fmm_guard guard;
    struct fmm_meta meta;
    size_t capacity = check_random_below(BUFFER);
    unsigned char *buffer = buffer_of(capacity);
    if (fmm_guard_take(h->cache, &call, key.page, &guard) != FMM_OK) {
        return;
    }
    fmm_get_locked(&guard, &call, &key, buffer, capacity, &meta);
    fmm_dirty_find_locked(&guard, &key, &h->ticket);
    fmm_dirty_read_locked(&guard, &h->ticket, buffer, capacity, &meta);
    if (capacity & 1) {
        fmm_dirty_done_locked(&guard, &h->ticket);
        fmm_set_locked(&guard, &call, &key, &value, &store, &h->ticket);
    }
    if (capacity & 4) {
        fmm_lease_void_locked(&guard, &key);
    }
    if (capacity & 2) {
        fmm_remove_locked(&guard, &call, &key, &removal, NULL, &h->ticket);
    }
    fmm_guard_release(&guard);
}

void
hostile_operation(struct hostile *h)
{
    switch (check_random_below(16)) {
    case 0:
        some_whole_page(h);
        break;
    case 1:
        some_write_back(h);
        break;
    case 2:
    case 3:
        some_change(h);
        break;
    case 4:
    case 5:
        some_read(h);
        break;
    case 6:
        some_guarded(h);
        break;
    case 7:
        some_scan(h);
        break;
    case 8:
    case 9:
        some_lease(h);
        break;
    case 10:
        some_group(h);
        break;
    default:
        hostile_set(h);
    }
}

void
hostile_settle(struct hostile *h)
{
    const struct fmm_removal all = {.keep_dirty = false};
    struct fmm_key key = text_key(h->cache, "key");
    for (uint32_t n = 0; n < h->cache->geometry.num_pages; n++) {
        struct fmm_page_report report;
        CHECK_EQ(fmm_check_page(h->cache, &call, n, true, &report), FMM_OK);
    }
    check_pages(h->cache, true);
    fmm_remove(h->cache, &call, &key, &all, NULL, &h->ticket);
    enum fmm_status status = set_text(h->cache, "key", "value");
    if (status == FMM_NO_ROOM) { /* running leases have all of its slots */
        call.now_ms += 2 * FMM_LEASE_MS_MAX;
        status = set_text(h->cache, "key", "value");
    }
    CHECK(status == FMM_DIRTY || holds(h->cache, "key", "value"));
}
