/* Values in parts: all or nothing, whoever dies, evicts or overwrites. */
#include "support.h"

#include <stdlib.h>

#include "fmm_directory.h"
#include "fmm_manifest.h"
#include "fmm_parts.h"

#define PAGE 16384u
#define PAGES 8u
#define LARGEST (PAGE * PAGES / 4) /* a quarter of all pages */
#define ROUNDS 2000u
#define OTHER 700u
#define GRACE (61 * SECOND) /* a manifest may be so late */

static struct fmm_cache *cache;
static struct fmm_ticket ticket;
static unsigned char sent[PAGE * PAGES], got[PAGE * PAGES];
static struct fmm_meta meta;

static void
begin(void)
{
    cache = new_cache(PAGE, PAGES);
    ticket.displaced.count = 0;
}

static void
end(void)
{
    check_pages(cache, true);
    fmm_close(cache);
}

static uint64_t
max_entry(void)
{
    return cache->geometry.max_entry;
}

/* ------------------------------------------------------------ short forms */

/* Bytes of which each eight tell the seed and where they are. */
static void
fill(unsigned char *to, size_t length, uint32_t seed)
{
    for (size_t i = 0; i < length; i++) {
        uint32_t word[2] = {seed, (uint32_t)(i / 8)};
        to[i] = ((unsigned char *)word)[i % 8];
    }
}

static enum fmm_status
store_parts(struct fmm_parts_job *split, const struct fmm_key *key)
{
    return fmm_parts_store(cache, &call, key, split, &ticket);
}

static enum fmm_status
store_head(const struct fmm_parts_job *split, const struct fmm_key *key)
{
    const struct fmm_value head = {.data = &split->parts,
                                   .len = sizeof(split->parts),
                                   .type = 7,
                                   .split = true,
                                   .file = fmm_serial(cache)};
    const struct fmm_store_options store = {.expire_at = split->expire_at};
    return fmm_set(cache, &call, key, &head, &store, &ticket);
}

static enum fmm_status
store_value(const char *name, const struct fmm_value *value)
{
    struct fmm_parts_job split = {.value = value};
    struct fmm_key key = text_key(cache, name);
    ticket.displaced.count = 0;
    enum fmm_status status = store_parts(&split, &key);
    if (status == FMM_OK) {
        status = store_head(&split, &key);
        fmm_parts_finish(cache, &call, &split, status == FMM_OK);
    }
    return status;
}

static enum fmm_status
set_large(const char *name, size_t length, uint32_t seed)
{
    const struct fmm_value value = {.data = sent, .len = length};
    fill(sent, length, seed);
    return store_value(name, &value);
}

static enum fmm_status
get_large(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    return fmm_get(cache, &call, &key, got, sizeof(got), &meta);
}

static bool
is_large(const char *name, size_t length, uint32_t seed)
{
    fill(sent, length, seed);
    return get_large(name) == FMM_OK && meta.value_len == length &&
           memcmp(got, sent, length) == 0;
}

/* What a page has under a key. */
static struct fmm_found
find(const struct fmm_key *key)
{
    struct fmm_found found;
    struct fmm_page page;
    view_page(cache, key->page, &page);
    CHECK(fmm_page_find(&page, key, &found));
    return found;
}

/* Where the parts of a key's value are. */
static struct fmm_parts
parts_of(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_parts parts = {.length = 0};
    struct fmm_found found = find(&key);
    fmm_entry_parts(&found.entry, &parts);
    return parts;
}

/* The part of a key's value that comes after so many others. */
static struct fmm_part_key
part_of(const char *name, uint32_t others)
{
    struct fmm_parts parts = parts_of(name);
    struct fmm_part_key part;
    fmm_parts_first(cache, &parts, &part);
    for (uint32_t i = 0; i < others; i++) {
        struct fmm_found found = find(&part.key);
        CHECK(fmm_parts_next(cache, &parts, fmm_entry_modseq(&found.entry),
                             &part));
    }
    part.key.data = NULL; /* the name moves with the struct */
    return part;
}

static void
put_part(struct fmm_part_key part, size_t length)
{
    const struct fmm_value value = {.data = sent, .len = length};
    const struct fmm_store_options store = {.expire_at = 0};
    part.key.data = part.name;
    CHECK_EQ(fmm_set(cache, &call, &part.key, &value, &store, &ticket),
             FMM_OK);
}

static void
remove_part(struct fmm_part_key part)
{
    const struct fmm_removal plainly = {.has_modseq = false};
    part.key.data = part.name;
    CHECK_EQ(fmm_remove(cache, &call, &part.key, &plainly, NULL, &ticket),
             FMM_OK);
}

/* ---------------------------------------------------------------- storing */

static void
values_of_all_sizes_read_back_as_written(void)
{
    begin();
    uint64_t part = cache->geometry.max_part;
    uint64_t least = fmm_geometry_min_part(&cache->geometry, LARGEST);
    const uint64_t sizes[] = {max_entry(),  part + 1,         2 * part,
                              3 * part + 7, 4 * part + least, LARGEST - 1,
                              LARGEST};
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CHECK_EQ(set_large("key", sizes[i], i), FMM_OK);
        CHECK(is_large("key", sizes[i], i));
        CHECK_EQ(meta.type, 7);
        fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
    }
    CHECK_EQ(set_large("key", LARGEST + 1, 99), FMM_NO_ROOM);
    CHECK(is_large("key", LARGEST, 6));
    CHECK_EQ(set_large("key", 100, 99), FMM_NO_ROOM); /* it needs no parts */
    end();
}

/* Cut what is sent into pieces of 1, 2, 3... bytes times `unit`, an empty one
 * after each. Returns how many. */
static size_t
cut(struct fmm_piece *pieces, size_t length, size_t unit)
{
    size_t count = 0;
    for (size_t at = 0; at < length; count++) {
        size_t len = fmm_min(unit * (1 + count / 2), length - at);
        len = count % 2 == 0 ? len : 0;
        pieces[count] = (struct fmm_piece){sent + at, len};
        at += len;
    }
    return count;
}

/* In an entry if it fits, and else in parts. */
static enum fmm_status
set_pieces(const char *name, const struct fmm_value *value)
{
    const struct fmm_store_options store = {.expire_at = 0};
    struct fmm_key key = text_key(cache, name);
    return fmm_parts_needed(cache, &key, value->len)
               ? store_value(name, value)
               : fmm_set(cache, &call, &key, value, &store, &ticket);
}

static void
a_value_in_pieces_reads_back_whole(void)
{
    static struct fmm_piece pieces[2048];
    const size_t sizes[] = {1, 999, PAGE / 2, LARGEST};
    begin();
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct fmm_value value = {.len = sizes[i], .pieces = pieces};
        fill(sent, sizes[i], i);
        CHECK(cut(pieces, sizes[i], 1 + i * 7) <= 2048);
        CHECK_EQ(set_pieces("key", &value), FMM_OK);
        CHECK(is_large("key", sizes[i], i));
        fmm_value_copy(&value, got);
        CHECK(memcmp(got, sent, sizes[i]) == 0);
        fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
    }
    end();
}

static void
a_value_in_parts_counts_as_one(void)
{
    uint64_t count = 0;
    begin();
    CHECK_EQ(set_large("key", LARGEST, 1), FMM_OK);
    for (uint32_t page = 0; page < PAGES; page++) {
        count += count_values(cache, &call, page);
    }
    CHECK_EQ(count, 1);
    CHECK_EQ(stats_of(cache).entries, 1);
    CHECK_EQ(stats_of(cache).stores, 1);
    end();
}

static void
a_buffer_that_is_too_small_is_told_the_whole_length(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    for (size_t capacity = 0; capacity < 20000; capacity += 6500) {
        CHECK_EQ(fmm_get(cache, &call, &key, got, capacity, &meta),
                 FMM_TOO_SMALL);
        CHECK_EQ(meta.value_len, 20000);
    }
    CHECK_EQ(fmm_get(cache, &call, &key, got, 20000, &meta), FMM_OK);
    end();
}

static void
parts_without_their_key_are_no_value(void)
{
    const struct fmm_value value = {.data = sent, .len = 20000};
    struct fmm_parts_job split = {.value = &value};
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    fill(sent, 20000, 2);
    CHECK_EQ(store_parts(&split, &key), FMM_OK); /* and killed here */
    CHECK(is_large("key", 20000, 1));
    CHECK_EQ(stats_of(cache).entries, 1);
    end();
}

static void
parts_are_named_in_their_own_file_only(void)
{
    const struct fmm_value value = {.data = sent, .len = 20000};
    struct fmm_parts_job split = {.value = &value};
    const struct fmm_store_options store = {.mode = FMM_STORE_SET};
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(store_parts(&split, &key), FMM_OK);
    const struct fmm_value head = {.data = &split.parts,
                                   .len = sizeof(split.parts),
                                   .split = true,
                                   .file = fmm_serial(cache) + 1};
    CHECK_EQ(fmm_set(cache, &call, &key, &head, &store, &ticket), FMM_NO_ROOM);
    CHECK(is_large("key", 20000, 1));
    end();
}

static void
the_page_that_is_held_takes_its_parts_too(void)
{
    const struct fmm_value value = {.data = sent, .len = LARGEST};
    struct fmm_guard guard;
    struct fmm_parts_job split = {.value = &value, .guard = &guard};
    begin();
    fill(sent, value.len, 3);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(store_parts(&split, &key), FMM_OK);
    CHECK(fmm_guard_release(&guard));
    CHECK_EQ(store_head(&split, &key), FMM_OK);
    CHECK(is_large("key", value.len, 3));
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(fmm_get_locked(&guard, &call, &key, got, sizeof(got), &meta),
             FMM_OK);
    CHECK(fmm_guard_release(&guard));
    CHECK(meta.value_len == value.len && memcmp(got, sent, value.len) == 0);
    end();
}

static void
a_store_goes_on_where_busy_pages_stopped_it(void)
{
    const struct fmm_value value = {.data = sent, .len = LARGEST};
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_parts_job split = {.value = &value};
    struct fmm_guard guards[PAGES];
    begin();
    fill(sent, value.len, 4);
    struct fmm_key key = text_key(cache, "key");
    for (uint32_t page = 0; page < PAGES; page++) {
        CHECK_EQ(fmm_guard_take(cache, &call, page, &guards[page]), FMM_OK);
    }
    CHECK_EQ(fmm_parts_store(cache, &once, &key, &split, &ticket), FMM_BUSY);
    CHECK_EQ(split.left, LARGEST);
    uint32_t free_page = (split.page + 1) % PAGES;
    CHECK(fmm_guard_release(&guards[free_page]));
    CHECK_EQ(fmm_parts_store(cache, &once, &key, &split, &ticket), FMM_BUSY);
    CHECK(split.left < LARGEST && split.left > 0);
    for (uint32_t page = 0; page < PAGES; page++) {
        CHECK(page == free_page || fmm_guard_release(&guards[page]));
    }
    CHECK_EQ(fmm_parts_store(cache, &once, &key, &split, &ticket), FMM_OK);
    CHECK_EQ(store_head(&split, &key), FMM_OK);
    CHECK(is_large("key", value.len, 4));
    end();
}

static void
with_a_page_held_a_busy_page_is_passed_by(void)
{
    const struct fmm_value value = {.data = sent, .len = LARGEST};
    const struct fmm_call once = {.now_ms = call.now_ms};
    struct fmm_guard guard, others;
    struct fmm_parts_job split = {.value = &value, .guard = &guard};
    begin();
    fill(sent, value.len, 5);
    struct fmm_key key = text_key(cache, "key");
    uint32_t busy = (key.page + 2) % PAGES;
    CHECK_EQ(fmm_guard_take(cache, &call, busy, &others), FMM_OK);
    CHECK_EQ(fmm_guard_take(cache, &call, key.page, &guard), FMM_OK);
    CHECK_EQ(fmm_parts_store(cache, &once, &key, &split, &ticket), FMM_OK);
    CHECK(fmm_guard_release(&guard));
    CHECK(fmm_guard_release(&others));
    CHECK_EQ(store_head(&split, &key), FMM_OK);
    CHECK(is_large("key", value.len, 5));
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    fmm_parts_drop(cache, &call, NULL, &split.parts);
    CHECK_EQ(stats_of(cache).live_bytes, 0);
    end();
}

/* The next name, of those that are tried, whose key is on page 0. */
static const char *
name_on_page_0(void)
{
    static unsigned tried;
    const char *name;
    do {
        name = name_of('n', tried++);
    } while (text_key(cache, name).page != 0);
    return name;
}

static void
values_of_the_page_that_is_held_leave_as_others_do(void)
{
    const struct fmm_value value = {.data = sent, .len = 20000};
    struct fmm_guard guard;
    struct fmm_parts_job split = {.value = &value, .guard = &guard};
    begin();
    for (unsigned n = 0; n < 8; n++) {
        CHECK_EQ(set_large(name_on_page_0(), 20000, n), FMM_OK);
    }
    struct fmm_key key = text_key(cache, name_on_page_0());
    fill(sent, value.len, 8);
    CHECK_EQ(fmm_guard_take(cache, &call, 0, &guard), FMM_OK);
    CHECK_EQ(store_parts(&split, &key), FMM_OK);
    CHECK(fmm_guard_release(&guard));
    end();
}

/* ----------------------------------------------------------- what is lost */

static void
a_value_that_misses_a_part_is_gone(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    remove_part(part_of("key", 2));
    CHECK_EQ(get_large("key"), FMM_MISS);
    CHECK(!has(cache, "key"));
    CHECK_EQ(stats_of(cache).entries, 0);
    end();
}

static void
a_part_of_another_length_is_none(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    put_part(part_of("key", 2), 100);
    CHECK_EQ(get_large("key"), FMM_MISS);
    end();
}

/* The key's entry as a stranger may write it. */
static void
set_parts(const struct fmm_parts *parts, size_t length)
{
    const struct fmm_value head = {.data = parts,
                                   .len = length,
                                   .split = true,
                                   .file = fmm_serial(cache)};
    const struct fmm_store_options store = {.expire_at = 0};
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_set(cache, &call, &key, &head, &store, &ticket), FMM_OK);
}

static void
parts_that_cannot_be_are_a_miss(void)
{
    const struct fmm_parts impossible[] = {
        {.length = 0},
        {.length = LARGEST + 1},
        {.length = UINT64_MAX},
        {.length = 20000},
        {.length = 20000, .count = 20001},
        {.length = 20000, .count = 1, .page = UINT32_MAX},
        {.length = 20000, .count = 3, .listing = UINT32_MAX},
    };
    begin();
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        set_parts(&impossible[i], sizeof(impossible[i]));
        CHECK_EQ(get_large("key"), FMM_MISS);
        fmm_parts_drop(cache, &call, NULL, &impossible[i]);
    }
    end();
}

static void
an_entry_that_cannot_name_parts_is_damage(void)
{
    const struct fmm_parts parts = {.length = 20000};
    begin();
    set_parts(&parts, sizeof(parts) - 8);
    CHECK_EQ(get_large("key"), FMM_MISS);
    fmm_close(cache); /* its page is not sound */
}

/* ------------------------------------------------------- what is left over */

static void
what_replaces_a_value_tells_its_parts(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_parts before = parts_of("key");
    CHECK_EQ(ticket.displaced.count, 0);
    CHECK_EQ(set_large("key", 30000, 2), FMM_OK);
    CHECK_EQ(ticket.displaced.count, 1);
    CHECK(memcmp(&ticket.displaced.parts[0], &before, sizeof(before)) == 0);
    fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
    CHECK_EQ(ticket.displaced.count, 0);
    CHECK(is_large("key", 30000, 2));
    before = parts_of("key");
    const struct fmm_removal plainly = {.has_modseq = false};
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(fmm_remove(cache, &call, &key, &plainly, NULL, &ticket), FMM_OK);
    CHECK(memcmp(&ticket.displaced.parts[0], &before, sizeof(before)) == 0);
    fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
    CHECK_EQ(stats_of(cache).live_bytes, 0);
    end();
}

static uint64_t
count_parts(void)
{
    uint64_t count = 0;
    struct fmm_page page;
    for (uint32_t n = 0; n < PAGES; n++) {
        view_page(cache, n, &page);
        count += page.control->internal;
    }
    return count;
}

/* Without asking for it. */
static bool
is_there(const char *name)
{
    struct fmm_key key = text_key(cache, name);
    struct fmm_found found;
    struct fmm_page page;
    view_page(cache, key.page, &page);
    return fmm_page_find(&page, &key, &found);
}

/* It leaves by the directory, as a whole, and not with the first of its parts
 * that a tail comes to. */
static void
a_value_that_nobody_asks_for_leaves_for_small_ones_that_are(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    uint64_t parts = count_parts();
    CHECK(parts > 1);
    for (unsigned n = 0; n < 20000 && is_there("key"); n++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", n);
        CHECK_EQ(set_filler(cache, name, 100), FMM_OK);
        CHECK(is_filler(cache, name, 100) && is_filler(cache, name, 100));
    }
    CHECK(!is_there("key"));
    CHECK(count_parts() < parts);
    end();
}

/* Parts stand aside at the tails; they are no reason to stay longer. Small values
 * of `length` bytes, which fit, are asked for again and again. */
static void
check_small_ones_find_room(size_t length)
{
    begin();
    for (uint32_t n = 0; n < 12; n++) {
        CHECK_EQ(set_large(name_of('l', n), 16000, n), FMM_OK);
    }
    uint64_t all = cache->geometry.rings_size * PAGES;
    uint64_t count = all / 2 / (length + 48), hits = 0;
    for (unsigned round = 0; round < 4; round++) {
        hits = 0;
        for (unsigned n = 0; n < count; n++) {
            bool hit = is_filler(cache, name_of('n', n), length);
            hits += hit;
            CHECK(hit || set_filler(cache, name_of('n', n), length) == FMM_OK);
        }
    }
    CHECK(hits * 10 > count * 3);
    end();
}

static void
small_values_that_come_after_large_ones_find_room(void)
{
    for (int i = 0; i < 20; i++) { /* each file has hashes of its own */
        check_small_ones_find_room(100);
        check_small_ones_find_room(20);
    }
}

static void
a_longer_life_is_that_of_the_whole_value(void)
{
    const struct fmm_value value = {.data = sent, .len = 20000};
    struct fmm_parts_job split = {.value = &value,
                                  .expire_at = call.now_ms + SECOND};
    uint64_t start = call.now_ms;
    begin();
    fill(sent, 20000, 1);
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(store_parts(&split, &key), FMM_OK);
    CHECK_EQ(store_head(&split, &key), FMM_OK);
    CHECK_EQ(fmm_touch(cache, &call, &key, start + 3 * SECOND), FMM_OK);
    call.now_ms = start + 2 * SECOND;
    CHECK(is_large("key", 20000, 1));
    call.now_ms = start + 61 * SECOND;
    CHECK_EQ(get_large("key"), FMM_MISS);
    uint64_t dropped = 0;
    for (uint32_t page = 0; page < PAGES; page++) {
        CHECK_EQ(fmm_drop_page(cache, &call, page, FMM_DROP_EXPIRED, false,
                               &dropped),
                 FMM_OK);
    }
    CHECK_EQ(dropped, 1);
    CHECK_EQ(stats_of(cache).live_bytes, 0);
    call.now_ms = start;
    end();
}

/* As writers leave them that are killed before the commit. */
static void
leave_parts(const char *name, size_t length)
{
    const struct fmm_value value = {.data = sent, .len = length};
    struct fmm_parts_job split = {.value = &value};
    struct fmm_key key = text_key(cache, name);
    CHECK_EQ(store_parts(&split, &key), FMM_OK);
}

static void
parts_that_nobody_asks_for_go_before_a_value(void)
{
    uint64_t start = call.now_ms;
    begin();
    for (uint32_t n = 0; n < 500; n++) {
        size_t length = 9000 + n % 7 * 3000;
        ticket.displaced.count = 0;
        CHECK_EQ(set_large("key", length, n), FMM_OK);
        fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
        CHECK(is_large("key", length, n));
        leave_parts("key", 9000 + n % 5 * 3000);
        CHECK(is_large("key", length, n));
        call.now_ms += GRACE;
    }
    call.now_ms = start;
    end();
}

/* A value that was read again and again, replaced by a writer that was killed
 * before it removed what it had replaced. */
static void
parts_of_what_was_replaced_go_before_a_value(void)
{
    uint64_t start = call.now_ms;
    begin();
    for (uint32_t n = 0; n < 500; n++) {
        size_t length = 9000 + n % 7 * 3000;
        CHECK_EQ(set_large("key", length, n), FMM_OK);
        for (uint32_t reads = 0; reads < 8; reads++) {
            CHECK(is_large("key", length, n));
        }
        call.now_ms += GRACE;
    }
    call.now_ms = start;
    end();
}

/* Whoever dropped its value did not find it, for the chain was broken: nobody
 * knows of it but the tail that comes by. */
static void
a_part_that_is_listed_nowhere_goes_when_a_tail_comes_by(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    remove_part(part_of("key", 1));
    struct fmm_parts parts = parts_of("key");
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    fmm_parts_drop(cache, &call, NULL, &parts);
    CHECK(count_parts() > 0);
    for (unsigned n = 0; n < 6000; n++) {
        CHECK_EQ(set_filler(cache, name_of('n', n), 100), FMM_OK);
        CHECK(is_filler(cache, name_of('n', n), 100));
        CHECK(is_filler(cache, name_of('n', n), 100));
    }
    CHECK_EQ(count_parts(), 0);
    end();
}

/* What a set has stored can be read at once, and what had to make way for it
 * is gone as a whole: neither seen nor counted any more, but as one eviction. */
static void
a_value_is_there_as_a_whole_or_not_at_all(void)
{
    begin();
    for (uint32_t n = 0; n < 300; n++) {
        char name[16];
        snprintf(name, sizeof(name), "large %u", n);
        ticket.displaced.count = 0;
        CHECK_EQ(set_large(name, 9000 + n % 7 * 3000, n), FMM_OK);
        fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
        CHECK(is_large(name, 9000 + n % 7 * 3000, n));
    }
    uint64_t there = 0;
    for (uint32_t n = 0; n < 300; n++) {
        char name[16];
        snprintf(name, sizeof(name), "large %u", n);
        bool seen = has(cache, name);
        CHECK_EQ(get_large(name), seen ? FMM_OK : FMM_MISS);
        there += seen;
    }
    CHECK(there > 1 && there < 100);
    CHECK_EQ(stats_of(cache).entries, there);
    CHECK_EQ(stats_of(cache).evictions, 300 - there);
    end();
}

/* ------------------------------------------------- whose parts they are */

/* Whether a part of the key's present or former value has a manifest. */
static bool
has_manifest(const struct fmm_part_key *part)
{
    struct fmm_key key = part->key;
    struct fmm_found found;
    struct fmm_page page;
    key.data = part->name;
    view_page(cache, key.page, &page);
    CHECK(fmm_page_find(&page, &key, &found));
    CHECK(fmm_entry_is_part(&found.entry));
    return fmm_manifest_lives(&page, &found.entry, call.now_ms);
}

static void
a_part_is_owned_as_long_as_its_value_is_there(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_part_key first = part_of("key", 0), last = part_of("key", 3);
    CHECK(has_manifest(&first) && has_manifest(&last));
    CHECK_EQ(set_large("key", 20000, 2), FMM_OK);
    CHECK(!has_manifest(&first) && !has_manifest(&last));
    first = part_of("key", 0);
    CHECK(has_manifest(&first));
    CHECK_EQ(remove_text(cache, "key"), FMM_OK);
    CHECK(!has_manifest(&first));
    end();
}

/* The user's store has yet to hear of it. */
static void
a_removal_that_is_marked_does_not_leave_with_the_parts(void)
{
    const struct fmm_removal marked = {.mark = true};
    struct fmm_found found;
    struct fmm_parts parts;
    struct fmm_guard guard;
    struct fmm_page page;
    enum fmm_due due;
    begin();
    struct fmm_key key = text_key(cache, "key");
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    struct fmm_part_key part = part_of("key", 0);
    CHECK_EQ(fmm_remove(cache, &call, &key, &marked, &due, &ticket), FMM_OK);
    CHECK_EQ(due, FMM_DUE_MARKED);
    CHECK(!has_manifest(&part));
    part.key.data = part.name;
    CHECK_EQ(fmm_guard_take(cache, &call, part.key.page, &guard), FMM_OK);
    view_page(cache, part.key.page, &page);
    CHECK(fmm_page_find(&page, &part.key, &found));
    CHECK(!fmm_manifest_evict(&page, &found.entry, &parts));
    fmm_guard_release(&guard);
    view_page(cache, key.page, &page);
    CHECK(fmm_page_find(&page, &key, &found));
    CHECK((found.word & FMM_SLOT_DIRTY) != 0);
    end();
}

static void
a_part_is_owned_after_its_value_moved(void)
{
    begin();
    CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
    for (uint32_t n = 0; n < 2000; n++) {
        char name[16];
        snprintf(name, sizeof(name), "other %u", n);
        if (!is_large("key", 20000,
                      1)) { /* a ring held hardly anything else */
            CHECK_EQ(set_large("key", 20000, 1), FMM_OK);
        }
        CHECK_EQ(set_filler(cache, name, OTHER), FMM_OK);
    }
    CHECK(stats_of(cache).moved_bytes > 0);
    struct fmm_part_key part = part_of("key", 0);
    CHECK(has_manifest(&part));
    end();
}

/* ------------------------------------------------- beside those who write */

static void
overwrite(void *unused)
{
    (void)unused;
    cache = open_path(scratch("cache"));
    for (uint32_t n = 0; n < ROUNDS; n++) {
        ticket.displaced.count = 0;
        CHECK_EQ(set_large("key", 9000 + n % 7 * 3000, n), FMM_OK);
        fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
    }
    CHECK_EQ(set_large("done", max_entry(), 0), FMM_OK);
    fmm_close(cache);
}

/* The seed of what was read, which must be whole. */
static void
check_whole(void)
{
    uint32_t seed;
    memcpy(&seed, got, sizeof(seed));
    CHECK_EQ(meta.value_len, 9000 + seed % 7 * 3000);
    fill(sent, meta.value_len, seed);
    CHECK(memcmp(got, sent, meta.value_len) == 0);
}

static void
a_reader_sees_each_value_whole_and_never_none(void)
{
    unsigned reads = 0;
    begin();
    call.wait_ms = -1;
    CHECK_EQ(set_large("key", 9000, 0), FMM_OK);
    pid_t child = spawn(overwrite, NULL);
    for (; !has(cache, "done"); reads++) {
        CHECK_EQ(get_large("key"), FMM_OK);
        check_whole();
    }
    join(child);
    CHECK(reads > 0);
    call.wait_ms = 0;
    end();
}

static void
overwrite_for_ever(void *unused)
{
    (void)unused;
    cache = open_path(scratch("cache"));
    for (uint32_t n = 0;; n++) {
        ticket.displaced.count = 0;
        set_large("key", 9000 + n % 7 * 3000, n);
        fmm_displaced_drop(cache, &call, NULL, &ticket.displaced);
    }
}

static void
a_killed_writer_leaves_one_value_or_the_other(void)
{
    begin();
    call.wait_ms = -1;
    CHECK_EQ(set_large("key", 9000, 0), FMM_OK);
    for (unsigned n = 0; n < 50; n++) {
        pid_t child = spawn(overwrite_for_ever, NULL);
        sleep_ms(1 + (unsigned)check_random_below(8));
        kill_child(child);
        CHECK_EQ(get_large("key"), FMM_OK);
        check_whole();
    }
    check_pages(cache, false);
    fmm_close(cache);
    call.wait_ms = 0;
}

static const struct check_case cases[] = {
    CASE(values_of_all_sizes_read_back_as_written),
    CASE(a_value_in_pieces_reads_back_whole),
    CASE(a_value_in_parts_counts_as_one),
    CASE(a_buffer_that_is_too_small_is_told_the_whole_length),
    CASE(parts_without_their_key_are_no_value),
    CASE(parts_are_named_in_their_own_file_only),
    CASE(the_page_that_is_held_takes_its_parts_too),
    CASE(a_store_goes_on_where_busy_pages_stopped_it),
    CASE(with_a_page_held_a_busy_page_is_passed_by),
    CASE(values_of_the_page_that_is_held_leave_as_others_do),
    CASE(a_value_that_misses_a_part_is_gone),
    CASE(a_part_of_another_length_is_none),
    CASE(parts_that_cannot_be_are_a_miss),
    CASE(an_entry_that_cannot_name_parts_is_damage),
    CASE(what_replaces_a_value_tells_its_parts),
    CASE(a_value_that_nobody_asks_for_leaves_for_small_ones_that_are),
    CASE(small_values_that_come_after_large_ones_find_room),
    CASE(a_longer_life_is_that_of_the_whole_value),
    CASE(parts_that_nobody_asks_for_go_before_a_value),
    CASE(parts_of_what_was_replaced_go_before_a_value),
    CASE(a_part_that_is_listed_nowhere_goes_when_a_tail_comes_by),
    CASE(a_value_is_there_as_a_whole_or_not_at_all),
    CASE(a_part_is_owned_as_long_as_its_value_is_there),
    CASE(a_removal_that_is_marked_does_not_leave_with_the_parts),
    CASE(a_part_is_owned_after_its_value_moved),
    CASE(a_reader_sees_each_value_whole_and_never_none),
    CASE(a_killed_writer_leaves_one_value_or_the_other),
};

int
main(int argc, char **argv)
{
    return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
