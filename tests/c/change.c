#include "change.h"

#define SOON (100 * SECOND)
#define LONG (3600 * SECOND) /* of leases: their owners die before */

struct fmm_key
change_key(const struct fmm_cache *cache, uint32_t n)
{
    static char names[CHANGE_KEYS][8];
    snprintf(names[n], sizeof(names[n]), "key%u", n);
    return text_key(cache, names[n]);
}

struct change
some_change(enum change_kind kind, uint32_t length_max)
{
    bool small = check_random_below(6) != 0;
    uint32_t limit = small ? length_max / 4 + 1 : length_max;
    return (struct change){
        .kind = kind,
        .key = (uint32_t)check_random_below(CHANGE_KEYS),
        .length = 1 + (uint32_t)check_random_below(limit),
        .stamp = (uint32_t)check_random(),
    };
}

/* No two bytes in a row alike, no two stamps alike. */
static void
fill(unsigned char *to, const struct change *c)
{
    for (uint32_t i = 0; i < c->length; i++) {
        to[i] = (unsigned char)(c->stamp + i * (c->stamp >> 8 | 1));
    }
}

static enum fmm_status
set_value(struct fmm_cache *cache, const struct change *c,
          struct fmm_ticket *ticket)
{
    unsigned char data[VALUE_MAX];
    const struct fmm_store_options store = {
        .dirty = c->kind == SET_DIRTY,
        .expire_at = c->kind == SET_MORTAL ? call.now_ms + SOON : 0,
    };
    struct fmm_key key = change_key(cache, c->key);
    fill(data, c);
    struct fmm_value value = {.data = data, .len = c->length, .type = 2};
    return fmm_set(cache, &call, &key, &value, &store, ticket);
}

static enum fmm_status
write_back(struct fmm_cache *cache, const struct change *c,
           struct fmm_ticket *ticket)
{
    struct fmm_key key = change_key(cache, c->key);
    struct fmm_guard guard;
    enum fmm_status status = fmm_guard_take(cache, &call, key.page, &guard);
    if (status != FMM_OK) {
        return status;
    }
    status = fmm_dirty_find_locked(&guard, &key, ticket);
    if (status == FMM_OK) {
        status = fmm_dirty_done_locked(&guard, ticket);
    }
    fmm_guard_release(&guard);
    return status;
}

static enum fmm_status
add(struct fmm_cache *cache, const struct change *c, struct fmm_ticket *ticket)
{
    const struct fmm_store_options store = {.dirty = c->kind == ADD_DIRTY};
    struct fmm_key key = change_key(cache, c->key);
    int64_t result;
    uint64_t expire_at;
    return fmm_incr(cache, &call, &key, 1 + (int64_t)c->stamp * 65537, 0,
                    &store, &result, &expire_at, ticket);
}

static enum fmm_status
take_away(struct fmm_cache *cache, const struct change *c,
          struct fmm_ticket *ticket)
{
    const struct fmm_removal removal = {.has_modseq = c->kind == BURY,
                                        .modseq = c->stamp};
    struct fmm_key key = change_key(cache, c->key);
    return fmm_remove(cache, &call, &key, &removal, NULL, ticket);
}

/* The lease that is there; the token is 0 when there is none. */
static struct fmm_lease
lease_of(struct fmm_cache *cache, const struct fmm_key *key)
{
    struct fmm_lease lease = {.token = 0};
    struct fmm_page page;
    struct fmm_found found;
    fmm_page_view(cache->base, &cache->geometry, key->page, &page);
    if (fmm_page_find(&page, key, &found)) {
        fmm_entry_lease(&found.entry, &lease);
    }
    return lease;
}

static enum fmm_status
compute(struct fmm_cache *cache, const struct change *c,
        struct fmm_ticket *ticket)
{
    unsigned char data[VALUE_MAX];
    struct fmm_key key = change_key(cache, c->key);
    struct fmm_value value = {.data = data, .len = c->length, .type = 2};
    const struct fmm_lease_store store = {.token = lease_of(cache, &key).token,
                                          .leasable = true};
    fill(data, c);
    if (c->kind == COMPUTE_NUMBER) {
        memset(data, 0, 8);
        value.len = 8;
        value.type = FMM_TYPE_INT;
    }
    return fmm_lease_value(cache, &call, &key, &value, &store, ticket);
}

static enum fmm_status
change_lease(struct fmm_cache *cache, const struct change *c,
             struct fmm_ticket *ticket)
{
    struct fmm_key key = change_key(cache, c->key);
    struct fmm_lease lease = lease_of(cache, &key);
    if (c->kind == EXTEND) {
        return fmm_lease_extend(cache, &call, &key, lease.token,
                                LONG + 1 + c->stamp % LONG);
    }
    if (c->kind == RELEASE) {
        return end_lease(cache, &key, lease.token);
    }
    return take_lease(cache, &key, LONG, c->kind == REFRESH, &lease, ticket);
}

enum fmm_status
change_apply(struct fmm_cache *cache, const struct change *c,
             struct fmm_ticket *ticket)
{
    struct fmm_key key = change_key(cache, c->key);
    uint64_t dropped = 0;
    switch (c->kind) {
    case WRITE_BACK:
        return write_back(cache, c, ticket);
    case REMOVE:
    case BURY:
        return take_away(cache, c, ticket);
    case ADD:
    case ADD_DIRTY:
        return add(cache, c, ticket);
    case TOUCH:
        return fmm_touch(cache, &call, &key, call.now_ms + SOON + c->length);
    case CLEAR:
        return fmm_drop_page(cache, &call, 0, FMM_DROP_ALL, false, &dropped);
    case PURGE:
        return fmm_drop_page(cache, &call, 0, FMM_DROP_EXPIRED, true,
                             &dropped);
    case TAKE_LEASE:
    case REFRESH:
    case EXTEND:
    case RELEASE:
        return change_lease(cache, c, ticket);
    case COMPUTE:
    case COMPUTE_NUMBER:
        return compute(cache, c, ticket);
    case SET:
    case SET_DIRTY:
    case SET_MORTAL:
    case CHANGE_KINDS:
        break;
    }
    return set_value(cache, c, ticket);
}

enum fmm_status
change_complete(struct fmm_cache *cache, const struct change *c)
{
    struct fmm_ticket ticket;
    enum fmm_status status = FMM_DIRTY;
    for (uint32_t i = 0; i <= CHANGE_KEYS && status == FMM_DIRTY; i++) {
        status = change_apply(cache, c, &ticket);
        if (status == FMM_DIRTY) {
            CHECK_EQ(fmm_dirty_done(cache, &call, &ticket), FMM_OK);
        }
    }
    return status;
}

/* -------------------------------------------------------------- looking */

void
look_at(struct fmm_cache *cache, uint32_t n, struct seen *seen)
{
    struct fmm_key key = change_key(cache, n);
    struct fmm_meta meta;
    *seen = (struct seen){.lease = lease_of(cache, &key)};
    if (fmm_get(cache, &call, &key, seen->value, VALUE_MAX, &meta) == FMM_OK) {
        seen->present = true;
        seen->dirty = meta.dirty;
        seen->length = meta.value_len;
        seen->expire_at = meta.expire_at;
        seen->modseq = meta.modseq;
    }
}

void
look(struct fmm_cache *cache, struct seen seen[CHANGE_KEYS])
{
    for (uint32_t n = 0; n < CHANGE_KEYS; n++) {
        look_at(cache, n, &seen[n]);
    }
}

static bool
is_same_value(const struct seen *a, const struct seen *b)
{
    return a->present == b->present && a->length == b->length &&
           a->expire_at == b->expire_at && a->modseq == b->modseq &&
           memcmp(a->value, b->value, a->length) == 0;
}

bool
is_same(const struct seen *a, const struct seen *b)
{
    const struct fmm_lease *one = &a->lease, *other = &b->lease;
    return is_same_value(a, b) && one->token == other->token &&
           (one->token == 0 ||
            (one->deadline == other->deadline && one->owner == other->owner));
}

bool
is_unleased(const struct seen *a, const struct seen *b)
{
    return is_same_value(a, b) && a->lease.token != 0 && b->lease.token == 0;
}

bool
is_lost(const struct seen *old, const struct seen *now)
{
    return (old->present || old->lease.token != 0) && !now->present &&
           now->lease.token == 0;
}

bool
is_value_of(const struct seen *seen, const struct change *c)
{
    unsigned char data[VALUE_MAX];
    fill(data, c);
    return seen->present && seen->length == c->length &&
           seen->dirty == (c->kind == SET_DIRTY) &&
           memcmp(seen->value, data, c->length) == 0;
}
