#include "model.h"

#include <stdlib.h>

#define VALUE_MAX 4096u
#define LEASE_MS_MAX (20 * SECOND)

/* What a key must hold. */
struct expected {
    bool present; /* a value or a tombstone, expired or not */
    bool tombstone, dirty, integer, has_modseq, leasable;
    bool removed;          /* and that is to be written back */
    uint32_t length, seed; /* of the value's bytes */
    int64_t number;
    uint64_t modseq, expire_at;
};

static struct fmm_cache *cache;
static uint32_t keys;
static struct expected model[MODEL_KEYS];
/* The lease that was taken last of each key. */
static struct held_lease {
    uint64_t token, deadline;
    bool held;   /* the key's entry still has it */
    bool orphan; /* who took it has closed the file: others may */
} leases[MODEL_KEYS];
static uint64_t lost;   /* entries found evicted */
static uint64_t unique; /* so that no two values are the same */
static size_t max_length;
static unsigned char data[VALUE_MAX], buffer[2 * VALUE_MAX];

/* Of different lengths, some are "bytes". */
static struct fmm_key
key_of(uint32_t n)
{
    static char names[MODEL_KEYS][40];
    char *name = names[n];
    if (name[0] == '\0') {
        snprintf(name, sizeof(names[n]), "%u%.*s", n, (int)(n % 23),
                 "-----------------------");
    }
    struct fmm_key key;
    fmm_key_init(cache, &key, name, strlen(name), n % 7 == 0);
    return key;
}

static void
fill_data(uint32_t length, uint32_t seed)
{
    uint64_t x = seed + 1;
    for (uint32_t i = 0; i < length; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695;
        data[i] = (unsigned char)(x >> 40);
    }
}

static bool
is_expired(const struct expected *e)
{
    return e->expire_at != 0 && e->expire_at <= call.now_ms;
}

static bool
is_live(const struct expected *e)
{
    return e->present && !is_expired(e);
}

static bool
is_visible(const struct expected *e)
{
    return is_live(e) && !e->tombstone;
}

/* The cache says that it is not there: then it was evicted, unless that
 * may not be. */
static void
note_lost(struct expected *e)
{
    CHECK(!e->dirty);
    *e = (struct expected){.present = false};
    leases[e - model].held = false;
    lost++;
}

/* -------------------------------------------------------------- checking */

static bool
is_same_value(const struct expected *e, const unsigned char *value,
              size_t length)
{
    if (e->integer) {
        return length == 8 && memcmp(value, &e->number, 8) == 0;
    }
    fill_data(e->length, e->seed);
    return length == e->length && memcmp(value, data, length) == 0;
}

static void
check_meta(const struct expected *e, const struct fmm_meta *meta)
{
    CHECK_EQ(meta->expire_at, e->expire_at);
    CHECK_EQ(meta->has_modseq, e->has_modseq);
    CHECK_EQ(meta->modseq, e->has_modseq ? e->modseq : 0);
    CHECK_EQ(meta->dirty, e->dirty);
    CHECK_EQ(meta->type == FMM_TYPE_INT, e->integer);
}

static void
check_key(uint32_t n)
{
    struct expected *e = &model[n];
    struct fmm_key key = key_of(n);
    struct fmm_meta meta;
    enum fmm_status status =
        fmm_get(cache, &call, &key, buffer, sizeof(buffer), &meta);
    if (status == FMM_OK) {
        REQUIRE(is_visible(e));
        CHECK(is_same_value(e, buffer, meta.value_len));
        check_meta(e, &meta);
        return;
    }
    CHECK_EQ(status, FMM_MISS);
    if (is_visible(e)) {
        note_lost(e);
    }
}

void
model_check(void)
{
    for (uint32_t n = 0; n < keys; n++) {
        check_key(n);
    }
    CHECK(lost <= stats_of(cache).evictions);
    check_pages(cache, true);
}

/* An entry that has to be written back: a dirty one of the model. */
static void
write_back(struct fmm_ticket *ticket)
{
    struct fmm_meta meta;
    uint32_t n = 0;
    REQUIRE(fmm_dirty_read(cache, &call, ticket, buffer, sizeof(buffer),
                           &meta) == FMM_OK);
    REQUIRE(meta.key_len < 40);
    char name[40] = "";
    memcpy(name, buffer, meta.key_len);
    REQUIRE(sscanf(name, "%u", &n) == 1 && n < keys);
    struct expected *e = &model[n];
    CHECK_EQ(ticket->removed, e->removed);
    REQUIRE(e->removed || (e->present && e->dirty));
    CHECK_EQ(meta.tombstone, e->removed || e->tombstone);
    CHECK(meta.tombstone ||
          is_same_value(e, buffer + meta.key_len, meta.value_len));
    CHECK_EQ(fmm_dirty_done(cache, &call, ticket), FMM_OK);
    e->dirty = e->removed = false;
}

/* ------------------------------------------------------------ operations */

static uint64_t
some_expiry(void)
{
    uint64_t pick = check_random_below(6);
    if (pick > 1) {
        return 0;
    }
    return call.now_ms + (pick ? 5000 : check_random_below(200));
}

static struct fmm_store_options
some_store(void)
{
    return (struct fmm_store_options){
        .mode = check_random_below(4)
                    ? FMM_STORE_SET
                    : (enum fmm_store_mode)check_random_below(3),
        .expire_at = some_expiry(),
        .modseq = 1000 + check_random_below(100),
        .has_modseq = check_random_below(8) == 0,
        .dirty = check_random_below(6) == 0,
    };
}

/* What a store must say, as far as the model knows. */
static enum fmm_status
expect_store(const struct expected *e, const struct fmm_store_options *store)
{
    bool tombstone = is_live(e) && e->tombstone;
    uint64_t known = is_live(e) && e->has_modseq ? e->modseq : 0;
    if (store->has_modseq ? known > store->modseq : tombstone) {
        return FMM_STALE;
    }
    if (store->mode == FMM_STORE_ADD && is_visible(e)) {
        return FMM_EXISTS;
    }
    if (store->mode == FMM_STORE_REPLACE && !is_visible(e)) {
        return FMM_MISS;
    }
    return FMM_OK;
}

/* Whether the outcome is the expected one, or that of a lost entry. */
static bool
agrees(struct expected *e, enum fmm_status status, enum fmm_status wanted,
       enum fmm_status if_lost)
{
    if (status != wanted && e->present && !is_expired(e)) {
        note_lost(e);
        wanted = if_lost;
    }
    return CHECK_EQ(status, wanted);
}

static uint32_t
some_length(void)
{
    uint64_t pick = check_random_below(20);
    return (uint32_t)check_random_below(pick == 0  ? max_length + 50
                                        : pick < 5 ? max_length / 4
                                                   : 120);
}

/* What fits finds no room where running leases have all of it: they end. */
static bool
outlasts_leases(enum fmm_status status, bool fits)
{
    bool again = status == FMM_NO_ROOM && fits;
    call.now_ms += again ? LEASE_MS_MAX : 0;
    return again;
}

/* Set it, whatever has to be written back for that. */
static enum fmm_status
set_value(const struct fmm_key *key, uint32_t length, uint32_t seed,
          const struct fmm_store_options *store)
{
    const struct fmm_value value = {.data = data, .len = length, .type = 2};
    struct fmm_ticket ticket;
    enum fmm_status status;
    fill_data(length, seed);
    while ((status = fmm_set(cache, &call, key, &value, store, &ticket)) ==
           FMM_DIRTY) {
        write_back(&ticket);
        fill_data(length, seed);
    }
    return status;
}

static void
set_some(uint32_t n)
{
    static const struct expected nothing;
    struct expected *e = &model[n];
    struct fmm_key key = key_of(n);
    struct fmm_store_options store = some_store();
    uint32_t length = some_length(), seed = (uint32_t)++unique;
    bool fits = length + key.len + 48 <= max_length;
    enum fmm_status status = set_value(&key, length, seed, &store);
    if (outlasts_leases(status, fits)) {
        store = some_store();
        status = set_value(&key, length, seed, &store);
    }
    if (status == FMM_NO_ROOM) {
        CHECK(!fits);
        return;
    }
    enum fmm_status if_lost = expect_store(&nothing, &store);
    if (agrees(e, status, expect_store(e, &store), if_lost) &&
        status == FMM_OK) {
        *e = (struct expected){.present = true,
                               .dirty = store.dirty,
                               .length = length,
                               .seed = seed,
                               .has_modseq = store.has_modseq,
                               .modseq = store.modseq,
                               .expire_at = store.expire_at};
        leases[n].held = false;
    }
}

static void
add_some(uint32_t n)
{
    struct expected *e = &model[n];
    struct fmm_key key = key_of(n);
    struct fmm_store_options store = {.dirty = check_random_below(6) == 0,
                                      .expire_at = some_expiry()};
    struct fmm_ticket ticket;
    int64_t result = 0, delta = (int64_t)check_random_below(1000);
    int64_t initial = (int64_t)(++unique << 32);
    uint64_t expire_at = 0;
    enum fmm_status status;
    while ((status = fmm_incr(cache, &call, &key, delta, initial, &store,
                              &result, &expire_at, &ticket)) == FMM_DIRTY ||
           outlasts_leases(status, true)) {
        if (status == FMM_DIRTY) {
            write_back(&ticket);
        }
    }
    enum fmm_status wanted = is_visible(e) && !e->integer ? FMM_NOT_INT
                             : is_live(e) && e->tombstone ? FMM_STALE
                                                          : FMM_OK;
    if (!agrees(e, status, wanted, FMM_OK) || status != FMM_OK) {
        return;
    }
    if (is_visible(e) && result != e->number + delta) {
        note_lost(e); /* begun anew */
    }
    if (is_visible(e)) {
        store.dirty = store.dirty || e->dirty;
        store.expire_at = e->expire_at;
    }
    CHECK_EQ(result, (is_visible(e) ? e->number : initial) + delta);
    CHECK_EQ(expire_at, store.expire_at);
    leases[n].held = false;
    *e = (struct expected){.present = true,
                           .integer = true,
                           .leasable =
                               is_visible(e) && e->leasable && !e->has_modseq,
                           .number = result,
                           .dirty = store.dirty,
                           .expire_at = store.expire_at};
}

static void
remove_some(uint32_t n)
{
    struct expected *e = &model[n];
    struct fmm_key key = key_of(n);
    struct fmm_removal removal = {.has_modseq = check_random_below(3) == 0,
                                  .modseq = 1000 + check_random_below(100),
                                  .expire_at = some_expiry(),
                                  .keep_dirty = check_random_below(3) == 0,
                                  .mark = check_random_below(3) == 0};
    if (is_live(e) && e->tombstone && removal.modseq < e->modseq) {
        removal.modseq = e->modseq; /* the same, evicted or not */
    }
    struct fmm_ticket ticket;
    enum fmm_status status;
    enum fmm_due due;
    while ((status = fmm_remove(cache, &call, &key, &removal, &due,
                                &ticket)) == FMM_DIRTY) {
        write_back(&ticket);
    }
    bool dirty = e->dirty || e->removed;
    if (!agrees(e, status, is_visible(e) ? FMM_OK : FMM_MISS, FMM_MISS)) {
        return;
    }
    CHECK(due != FMM_DUE_MARKED || dirty || removal.mark);
    CHECK(due != FMM_DUE_DELETION || !dirty);
    uint64_t known = is_live(e) && e->has_modseq ? e->modseq : 0;
    if (!removal.has_modseq) {
        *e = (struct expected){.removed = due == FMM_DUE_MARKED};
        leases[n].held = false;
    }
    else if (!is_visible(e) || !e->has_modseq || known < removal.modseq) {
        *e = (struct expected){
            .present = true,
            .tombstone = true,
            .has_modseq = true,
            .modseq = known > removal.modseq ? known : removal.modseq,
            .dirty = due == FMM_DUE_MARKED,
            .expire_at = removal.expire_at};
        leases[n].held = false;
    }
}

static void
touch_some(uint32_t n)
{
    struct expected *e = &model[n];
    struct fmm_key key = key_of(n);
    uint64_t expire_at = some_expiry();
    enum fmm_status status = fmm_touch(cache, &call, &key, expire_at);
    if (agrees(e, status, is_visible(e) ? FMM_OK : FMM_MISS, FMM_MISS) &&
        status == FMM_OK) {
        e->expire_at = expire_at;
    }
}

/* ---------------------------------------------------------------- leases */

static bool
is_leased(uint32_t n)
{
    return leases[n].held && !leases[n].orphan &&
           leases[n].deadline > call.now_ms;
}

/* The lease is not there: its entry was evicted, or had expired. */
static void
note_lost_lease(uint32_t n)
{
    struct expected *e = &model[n];
    if (e->present && !is_expired(e)) {
        note_lost(e);
    }
    else if (!e->present && is_leased(n)) {
        lost++;
    }
    leases[n].held = false;
}

static enum fmm_status
expect_take(uint32_t n, bool refresh)
{
    const struct expected *e = &model[n];
    return is_visible(e) && !(refresh && e->leasable) ? FMM_EXISTS
           : is_leased(n)                             ? FMM_LEASED
           : is_live(e) && e->tombstone               ? FMM_STALE
                                                      : FMM_OK;
}

static void
take_some(uint32_t n)
{
    struct expected *e = &model[n];
    struct fmm_key key = key_of(n);
    bool refresh = check_random_below(2) != 0;
    struct fmm_ticket ticket;
    struct fmm_lease lease;
    enum fmm_status status;
    while ((status = take_lease(cache, &key, 1 + check_random_below(3000),
                                refresh, &lease, &ticket)) == FMM_DIRTY) {
        write_back(&ticket);
    }
    if (status == FMM_NO_ROOM) {
        return; /* nothing but what may not go */
    }
    if (status != expect_take(n, refresh)) {
        note_lost_lease(n);
    }
    if (CHECK_EQ(status, expect_take(n, refresh)) && status == FMM_OK) {
        /* Taken all the same when a value to be refreshed was evicted. */
        if (is_visible(e) && fmm_exists(cache, &call, &key, NULL) != FMM_OK) {
            note_lost(e);
        }
        if (!is_visible(e)) {
            *e = (struct expected){.present = false};
        }
        leases[n] =
            (struct held_lease){lease.token, lease.deadline, true, false};
    }
    CHECK(status != FMM_LEASED || lease.token == leases[n].token);
}

static enum fmm_status
compute_value(const struct fmm_key *key, uint32_t length, uint32_t seed,
              const struct fmm_lease_store *how)
{
    const struct fmm_value value = {.data = data, .len = length, .type = 2};
    struct fmm_ticket ticket;
    enum fmm_status status;
    fill_data(length, seed);
    while ((status = fmm_lease_value(cache, &call, key, &value, how,
                                     &ticket)) == FMM_DIRTY) {
        write_back(&ticket);
        fill_data(length, seed);
    }
    return status;
}

static void
compute_some(uint32_t n)
{
    struct fmm_key key = key_of(n);
    struct fmm_lease_store how = {.token = leases[n].token,
                                  .leasable = check_random_below(2) != 0,
                                  .store = {.expire_at = some_expiry(),
                                            .dirty = !check_random_below(6)}};
    uint32_t length = some_length(), seed = (uint32_t)++unique;
    bool fits = length + key.len + 72 <= max_length;
    enum fmm_status status = compute_value(&key, length, seed, &how);
    if (outlasts_leases(status, fits)) {
        how.store.expire_at = some_expiry();
        status = compute_value(&key, length, seed, &how);
    }
    if (status == FMM_MISS && leases[n].held) {
        note_lost_lease(n);
    }
    if (status == FMM_NO_ROOM) {
        CHECK(!fits);
    }
    else if (CHECK_EQ(status, leases[n].held ? FMM_OK : FMM_MISS) &&
             status == FMM_OK) {
        model[n] = (struct expected){.present = true,
                                     .dirty = how.store.dirty,
                                     .leasable = how.leasable,
                                     .length = length,
                                     .seed = seed,
                                     .expire_at = how.store.expire_at};
        leases[n].held = false;
    }
}

static void
peek_at(uint32_t n)
{
    struct fmm_key key = key_of(n);
    struct fmm_lease lease;
    uint64_t since;
    enum fmm_status status =
        fmm_lease_peek(cache, &call, &key, &lease, &since);
    if (status == FMM_MISS && is_leased(n)) {
        note_lost_lease(n);
    }
    CHECK_EQ(status, is_leased(n) ? FMM_OK : FMM_MISS);
    CHECK(status == FMM_MISS || lease.deadline == leases[n].deadline);
}

static void
extend_some(uint32_t n)
{
    struct fmm_key key = key_of(n);
    uint64_t ms = 1 + check_random_below(LEASE_MS_MAX);
    enum fmm_status status =
        fmm_lease_extend(cache, &call, &key, leases[n].token, ms);
    if (status == FMM_MISS && leases[n].held) {
        note_lost_lease(n);
    }
    CHECK_EQ(status, leases[n].held ? FMM_OK : FMM_MISS);
    leases[n].deadline = call.now_ms + ms;
}

static void
release_some(uint32_t n)
{
    struct fmm_key key = key_of(n);
    struct fmm_guard guard;
    bool busy = check_random_below(3) == 0; /* then it goes without the page */
    if (busy) {
        CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    }
    enum fmm_status status = end_lease(cache, &key, leases[n].token);
    CHECK(!busy || fmm_guard_release(&guard));
    if (status == FMM_MISS && leases[n].held) {
        note_lost_lease(n);
    }
    CHECK_EQ(status, leases[n].held ? FMM_OK : FMM_MISS);
    leases[n].held = false;
}

static void
lease_some(uint32_t n)
{
    switch (check_random_below(6)) {
    case 0:
    case 1:
        take_some(n);
        break;
    case 2:
        peek_at(n);
        extend_some(n);
        break;
    case 3:
        peek_at(n);
        release_some(n);
        break;
    default:
        compute_some(n);
    }
}

/* What a scan shows is in the model. */
static void
scan_some(void)
{
    static unsigned char records[1 << 20];
    for (uint32_t page = 0; page < cache->geometry.num_pages; page++) {
        struct fmm_scan scan = {
            .buffer = records, .values = true, .capacity = sizeof(records)};
        struct fmm_meta meta;
        const void *key, *value;
        CHECK_EQ(fmm_scan_page(cache, &call, page, &scan), FMM_OK);
        while (fmm_scan_next(&scan, &meta, &key, &value)) {
            char name[40] = "";
            uint32_t n = 0;
            memcpy(name, key, meta.key_len);
            REQUIRE(sscanf(name, "%u", &n) == 1 && n < keys);
            REQUIRE(is_visible(&model[n]));
            CHECK(is_same_value(&model[n], value, meta.value_len));
            check_meta(&model[n], &meta);
        }
    }
}

static void
drop_some(void)
{
    uint32_t page = (uint32_t)check_random_below(cache->geometry.num_pages);
    uint64_t dropped = 0;
    bool all = check_random_below(20) == 0;
    CHECK_EQ(fmm_drop_page(cache, &call, page,
                           all ? FMM_DROP_ALL : FMM_DROP_EXPIRED, true,
                           &dropped),
             FMM_OK);
    for (uint32_t n = 0; n < keys; n++) {
        struct expected *e = &model[n];
        bool past =
            e->present ? is_expired(e) : leases[n].deadline <= call.now_ms;
        bool changed = e->dirty || e->removed;
        bool refreshed = e->present && is_leased(n);
        if (key_of(n).page == page && !changed &&
            (all || (past && !refreshed))) {
            *e = (struct expected){.present = false};
            leases[n].held = false;
        }
    }
}

void
model_step(void)
{
    uint32_t n =
        (uint32_t)check_random_below(check_random_below(3) ? 30 : keys);
    uint64_t pick = check_random_below(1000);
    if (pick < 400) {
        set_some(n);
    }
    else if (pick < 600) {
        check_key(n);
    }
    else if (pick < 720) {
        lease_some(n);
    }
    else if (pick < 830) {
        add_some(n);
    }
    else if (pick < 900) {
        remove_some(n);
    }
    else if (pick < 970) {
        touch_some(n);
    }
    else if (pick < 990) {
        scan_some();
    }
    else {
        drop_some();
    }
    call.now_ms += check_random_below(20);
}

void
model_begin(struct fmm_cache *made, uint32_t count)
{
    struct fmm_info info;
    fmm_info(made, &info);
    REQUIRE(count >= 30 && count <= MODEL_KEYS);
    cache = made;
    keys = count;
    max_length = info.max_entry < VALUE_MAX ? info.max_entry : VALUE_MAX - 100;
    memset(model, 0, sizeof(model));
    memset(leases, 0, sizeof(leases));
    lost = unique = 0;
}

void
model_reopened(struct fmm_cache *reopened)
{
    cache = reopened;
    for (uint32_t n = 0; n < MODEL_KEYS; n++) {
        leases[n].orphan = true;
    }
}

uint64_t
model_lost(void)
{
    return lost;
}
