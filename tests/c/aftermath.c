#include "aftermath.h"

#include <stdlib.h>

#define LOOK_EVERY 50u /* operations between two looks at everything */
#define WRITER_MAX 300u

struct aftermath *
aftermath_new(struct fmm_cache *cache, unsigned operations)
{
    const struct fmm_geometry *g = &cache->geometry;
    struct aftermath *a = calloc(1, sizeof(*a));
    REQUIRE(a != NULL && g->num_pages == 1);
    a->cache = cache;
    a->copy = heap_cache(g->page_size, 1, g->buckets);
    memcpy(a->copy->seed, cache->seed, sizeof(cache->seed));
    a->copy->created_ms = cache->created_ms;
    a->operations = operations;
    return a;
}

void
aftermath_free(struct aftermath *a)
{
    heap_cache_free(a->copy);
    free(a);
}

/* ----------------------------------------------------- before and after */

void
aftermath_begin(struct aftermath *a, const struct change *change)
{
    memset(a->reached, 0, sizeof(a->reached));
    a->change = change;
    a->evictions = stats_of(a->cache).evictions;
    look(a->cache, a->before);
}

/* A key that the change is not about: as it was, unless it made room. */
static void
check_bystander(const struct aftermath *a, uint32_t n)
{
    const struct seen *old = &a->before[n], *new = &a->after[n];
    if (is_lost(old, new)) {
        CHECK(a->evictions > 0 && !old->dirty);
        return;
    }
    CHECK(is_same(old, new) && old->dirty == new->dirty);
}

void
aftermath_end(struct aftermath *a)
{
    a->evictions = stats_of(a->cache).evictions - a->evictions;
    look(a->cache, a->after);
    for (uint32_t n = 0; n < CHANGE_KEYS; n++) {
        if (n != a->change->key && a->change->kind != CLEAR) {
            check_bystander(a, n);
        }
    }
}

/* ------------------------------------------------------- a fresh reader */

static void
check_key(struct aftermath *a, uint32_t n, const struct seen *now)
{
    const struct seen *old = &a->before[n], *new = &a->after[n];
    bool changed = !is_same(old, new);
    if (changed && is_same(now, new)) {
        a->reached[n] = true;
        CHECK(now->dirty || !new->dirty);
        return;
    }
    if (changed && is_unleased(old, now)) { /* on the way */
        CHECK(!a->reached[n] && n == a->change->key);
        return;
    }
    if (changed && a->evictions > 0 && is_lost(old, now)) {
        CHECK(!old->dirty && n == a->change->key && !a->reached[n]);
        return;
    }
    CHECK(is_same(now, old));
    CHECK(!a->reached[n]);
    CHECK(now->dirty || !old->dirty || !new->dirty);
}

/* -------------------------------------------------------- a fresh writer */

/* What the writer knows, and has to find. */
struct model {
    struct fmm_cache *cache;
    struct seen seen[CHANGE_KEYS];
    uint64_t evictions;
};

static uint64_t
evictions_of(const struct fmm_cache *cache)
{
    struct fmm_page page;
    fmm_page_view(cache->base, &cache->geometry, 0, &page);
    return page.control->evictions;
}

/* What has gone since the last look must have been evicted, and clean. */
static void
compare_key(struct model *m, uint32_t n)
{
    struct seen now;
    struct seen *known = &m->seen[n];
    look_at(m->cache, n, &now);
    if (is_lost(known, &now)) {
        CHECK(!known->dirty && evictions_of(m->cache) > m->evictions);
        *known = now;
        return;
    }
    CHECK(is_same(&now, known) && now.dirty == known->dirty);
}

static void
compare_all(struct model *m)
{
    struct fmm_page_report report;
    for (uint32_t n = 0; n < CHANGE_KEYS; n++) {
        compare_key(m, n);
    }
    CHECK_EQ(fmm_check_page(m->cache, &call, 0, false, &report), FMM_OK);
    if (!CHECK(!report.bad_rings && report.bad_slots == 0)) {
        fprintf(stderr, "    %s\n", report.text);
    }
    m->evictions = evictions_of(m->cache);
}

/* Write back what is handed out: the very value that was stored. */
static void
write_back(struct model *m, struct fmm_ticket *ticket)
{
    unsigned char bytes[VALUE_MAX + 8];
    struct fmm_meta meta;
    enum fmm_status status =
        fmm_dirty_read(m->cache, &call, ticket, bytes, sizeof(bytes), &meta);
    if (!CHECK_EQ(status, FMM_OK)) {
        return;
    }
    const unsigned char *value = bytes + meta.key_len;
    char name[8] = "";
    memcpy(name, bytes, fmm_min(meta.key_len, sizeof(name) - 1));
    unsigned long n = strtoul(name + strlen("key"), NULL, 10) % CHANGE_KEYS;
    struct seen *known = &m->seen[n];
    CHECK(!known->present ||
          (known->dirty && known->length == meta.value_len &&
           memcmp(known->value, value, known->length) == 0));
    CHECK_EQ(fmm_dirty_done(m->cache, &call, ticket), FMM_OK);
    known->dirty = false;
}

static enum fmm_status
complete(struct model *m, const struct change *c)
{
    struct fmm_ticket ticket;
    enum fmm_status status = change_apply(m->cache, c, &ticket);
    for (uint32_t i = 0; i < CHANGE_KEYS && status == FMM_DIRTY; i++) {
        write_back(m, &ticket);
        status = change_apply(m->cache, c, &ticket);
    }
    return status;
}

static struct change
next_change(void)
{
    static const enum change_kind kinds[] = {
        SET,        SET,       SET,     SET,    SET,    SET,
        ADD,        SET_DIRTY, REMOVE,  REMOVE, ADD,    TOUCH,
        TAKE_LEASE, REFRESH,   COMPUTE, EXTEND, RELEASE};
    size_t pick = check_random_below(sizeof(kinds) / sizeof(kinds[0]));
    return some_change(kinds[pick], WRITER_MAX);
}

/* Whether leases have all slots: these do not make way. */
static bool
leases_fill(const struct model *m)
{
    struct fmm_page page;
    struct fmm_found found;
    view_page(m->cache, 0, &page);
    uint32_t slots = page.index.buckets * FMM_BUCKET_SLOTS;
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (!fmm_page_load_slot(&page, slot, &found) ||
            !fmm_entry_leased(&found.entry, call.now_ms)) {
            return false;
        }
    }
    return true;
}

static void
take_step(struct model *m)
{
    struct change c = next_change();
    const struct change removal = {.kind = REMOVE, .key = c.key};
    struct seen *known = &m->seen[c.key];
    enum fmm_status status = complete(m, &c);
    if (status == FMM_STALE) { /* a tombstone is in the way */
        complete(m, &removal);
        status = complete(m, &c);
    }
    look_at(m->cache, c.key, known);
    if ((c.kind == SET || c.kind == SET_DIRTY) && status == FMM_NO_ROOM) {
        CHECK(leases_fill(m) && !known->present);
    }
    else if (c.kind == SET || c.kind == SET_DIRTY) {
        CHECK_EQ(status, FMM_OK);
        CHECK(is_value_of(known, &c));
    }
    else if (c.kind == REMOVE) {
        CHECK(!known->present);
    }
    compare_key(m, (uint32_t)check_random_below(CHANGE_KEYS));
}

/* Who comes next finds everything in order, and can go on. */
static void
check_writer(struct aftermath *a, struct seen now[CHANGE_KEYS])
{
    struct model m = {.cache = a->copy};
    uint64_t repaired = stats_of(a->copy).repaired;
    memcpy(m.seen, now, sizeof(m.seen));
    m.evictions = evictions_of(a->copy);
    compare_all(&m);
    for (unsigned i = 1; i <= a->operations; i++) {
        take_step(&m);
        if (i % LOOK_EVERY == 0) {
            compare_all(&m);
        }
    }
    CHECK_EQ(stats_of(a->copy).repaired, repaired);
}

void
aftermath_check(struct aftermath *a, const unsigned char *image, uint64_t lock)
{
    static struct seen now[CHANGE_KEYS];
    struct fmm_page page;
    memcpy(a->copy->base, image, a->copy->geometry.clients_at);
    view_page(a->copy, 0, &page);
    page.control->lock = lock;
    look(a->copy, now);
    for (uint32_t n = 0; n < CHANGE_KEYS; n++) {
        check_key(a, n, &now[n]);
    }
    check_writer(a, now);
}
