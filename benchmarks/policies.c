/* Exact LRU; SIEVE (Zhang and others, NSDI 2024); S3-FIFO (Yang and others,
 * SOSP 2023); Belady's (1966): what is wanted last goes first.
 *
 * One item per key of the trace; an item is in one list, or in none. */
#include "policies.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define NEVER UINT32_MAX
#define S3_SMALL_PART 10u /* ring S is a tenth of the bytes */
#define S3_FREQ_MAX 3u
#define S3_FREQ_MAIN 2u /* hits in S that lead to M */

enum place { OUTSIDE, FIRST, SECOND }; /* which list; S3-FIFO has two */

struct item {
    uint32_t next, prev; /* towards the tail; towards the head */
    uint32_t bytes;
    uint32_t expires; /* request number; NEVER */
    uint32_t wanted;  /* Belady: when it is asked for next; NEVER */
    uint32_t ghost;   /* S3-FIFO: number of its eviction, 0: none */
    uint8_t freq;     /* hits; SIEVE's "visited" */
    uint8_t place;
};

struct list {
    uint32_t head, tail, count;
    uint64_t bytes;
};

/* One item of Belady's heap, which also holds what is no longer true. */
struct wish {
    uint32_t wanted, key;
};

struct rules {
    const char *name;
    void (*insert)(struct policy *, uint32_t key);
    void (*touch)(struct policy *, uint32_t key);
    void (*evict)(struct policy *);
    bool insert_first; /* the new entry may be the one that goes */
};

struct policy {
    const struct rules *rules;
    const struct trace *trace;
    struct item *items;
    struct list lists[3]; /* by enum place */
    uint64_t capacity;
    uint32_t hand;     /* SIEVE */
    uint32_t ghosts;   /* S3-FIFO: evictions from S so far */
    uint32_t *next;    /* Belady: by request number */
    struct wish *heap; /* Belady: the last wanted on top */
    size_t heap_count;
};

/* ---------------------------------------------------------------- lists */

static void
push(struct policy *p, uint32_t key, enum place place)
{
    struct list *list = &p->lists[place];
    struct item *item = &p->items[key];
    item->place = (uint8_t)place;
    item->prev = NONE;
    item->next = list->head;
    if (list->head != NONE) {
        p->items[list->head].prev = key;
    }
    else {
        list->tail = key;
    }
    list->head = key;
    list->count++;
    list->bytes += item->bytes;
}

static void
drop(struct policy *p, uint32_t key)
{
    struct item *item = &p->items[key];
    struct list *list = &p->lists[item->place];
    if (item->prev != NONE) {
        p->items[item->prev].next = item->next;
    }
    else {
        list->head = item->next;
    }
    if (item->next != NONE) {
        p->items[item->next].prev = item->prev;
    }
    else {
        list->tail = item->prev;
    }
    item->place = OUTSIDE;
    list->count--;
    list->bytes -= item->bytes;
}

static uint64_t
used(const struct policy *p)
{
    return p->lists[FIRST].bytes + p->lists[SECOND].bytes;
}

/* ------------------------------------------------------------------ LRU */

static void
first_insert(struct policy *p, uint32_t key)
{
    p->items[key].freq = 0;
    push(p, key, FIRST);
}

static void
lru_touch(struct policy *p, uint32_t key)
{
    drop(p, key);
    push(p, key, FIRST);
}

static void
lru_evict(struct policy *p)
{
    drop(p, p->lists[FIRST].tail);
}

/* ---------------------------------------------------------------- SIEVE */

static void
sieve_touch(struct policy *p, uint32_t key)
{
    p->items[key].freq = 1;
}

static void
sieve_evict(struct policy *p)
{
    uint32_t key = p->hand != NONE ? p->hand : p->lists[FIRST].tail;
    while (p->items[key].freq != 0) {
        p->items[key].freq = 0;
        key = p->items[key].prev;
        key = key != NONE ? key : p->lists[FIRST].tail;
    }
    p->hand = p->items[key].prev;
    drop(p, key);
}

/* -------------------------------------------------------------- S3-FIFO */

static void
s3_insert(struct policy *p, uint32_t key)
{
    struct item *item = &p->items[key];
    /* The ghosts are as many as M has entries. */
    bool known =
        item->ghost != 0 && p->ghosts - item->ghost < p->lists[SECOND].count;
    item->freq = 0;
    item->ghost = 0;
    push(p, key, known ? SECOND : FIRST);
}

static void
s3_touch(struct policy *p, uint32_t key)
{
    uint8_t *freq = &p->items[key].freq;
    if (*freq < S3_FREQ_MAX) {
        ++*freq;
    }
}

static void
s3_evict_main(struct policy *p)
{
    uint32_t key = p->lists[SECOND].tail;
    while (p->items[key].freq > 0) {
        p->items[key].freq--;
        drop(p, key);
        push(p, key, SECOND);
        key = p->lists[SECOND].tail;
    }
    drop(p, key);
}

/* Move what was asked for on to M, until one goes or S is empty. */
static bool
s3_evict_small(struct policy *p)
{
    while (p->lists[FIRST].tail != NONE) {
        uint32_t key = p->lists[FIRST].tail;
        struct item *item = &p->items[key];
        drop(p, key);
        if (item->freq < S3_FREQ_MAIN) {
            item->ghost = ++p->ghosts;
            return true;
        }
        item->freq = 0;
        push(p, key, SECOND);
    }
    return false;
}

static void
s3_evict(struct policy *p)
{
    bool small = p->lists[FIRST].bytes >= p->capacity / S3_SMALL_PART ||
                 p->lists[SECOND].count == 0;
    if (!small || !s3_evict_small(p)) {
        s3_evict_main(p);
    }
}

/* --------------------------------------------------------------- Belady */

static void
heap_push(struct policy *p, struct wish wish)
{
    size_t at = p->heap_count++;
    while (at > 0 && p->heap[(at - 1) / 2].wanted < wish.wanted) {
        p->heap[at] = p->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    p->heap[at] = wish;
}

static struct wish
heap_pop(struct policy *p)
{
    struct wish top = p->heap[0], last = p->heap[--p->heap_count];
    size_t at = 0, child = 1;
    while (child < p->heap_count) {
        if (child + 1 < p->heap_count &&
            p->heap[child + 1].wanted > p->heap[child].wanted) {
            child++;
        }
        if (p->heap[child].wanted <= last.wanted) {
            break;
        }
        p->heap[at] = p->heap[child];
        at = child;
        child = 2 * at + 1;
    }
    p->heap[at] = last;
    return top;
}

static void
belady_touch(struct policy *p, uint32_t key)
{
    struct item *item = &p->items[key];
    if (item->wanted >= item->expires) {
        item->wanted = NEVER;
    }
    heap_push(p, (struct wish){.wanted = item->wanted, .key = key});
}

static void
belady_insert(struct policy *p, uint32_t key)
{
    push(p, key, FIRST);
    belady_touch(p, key);
}

static void
belady_evict(struct policy *p)
{
    struct wish top;
    do {
        top = heap_pop(p);
    } while (p->items[top.key].place == OUTSIDE ||
             p->items[top.key].wanted != top.wanted);
    drop(p, top.key);
}

/* When each request's key is next asked for; a set in between ends that. */
static void
look_ahead(struct policy *p)
{
    const struct trace *trace = p->trace;
    for (uint32_t key = 0; key < trace->keys; key++) {
        p->items[key].wanted = NEVER;
    }
    for (size_t n = trace->count; n-- > 0;) {
        const struct request *request = &trace->requests[n];
        uint32_t *wanted = &p->items[request->key].wanted;
        p->next[n] = *wanted;
        *wanted = request->kind == 'g' ? (uint32_t)n : NEVER;
    }
}

/* --------------------------------------------------------------- common */

static const struct rules all_rules[] = {
    {"lru", first_insert, lru_touch, lru_evict, false},
    {"sieve", first_insert, sieve_touch, sieve_evict, false},
    {"s3fifo", s3_insert, s3_touch, s3_evict, false},
    {"belady", belady_insert, belady_touch, belady_evict, true},
};

static const struct rules *
find_rules(const char *name)
{
    for (size_t i = 0; i < sizeof(all_rules) / sizeof(*all_rules); i++) {
        if (strcmp(all_rules[i].name, name) == 0) {
            return &all_rules[i];
        }
    }
    return NULL;
}

struct policy *
policy_new(const char *name, const struct trace *trace, uint64_t capacity)
{
    const struct rules *rules = find_rules(name);
    struct policy *p = rules != NULL ? calloc(1, sizeof(*p)) : NULL;
    if (p == NULL) {
        return NULL;
    }
    *p = (struct policy){rules, trace, .capacity = capacity, .hand = NONE};
    for (int place = OUTSIDE; place <= SECOND; place++) {
        p->lists[place] = (struct list){.head = NONE, .tail = NONE};
    }
    p->items = calloc(trace->keys, sizeof(*p->items));
    p->next = calloc(trace->count, sizeof(*p->next));
    /* A request is a touch or an insertion, each one wish. */
    p->heap = calloc(trace->count, sizeof(*p->heap));
    if (p->items == NULL || p->next == NULL || p->heap == NULL) {
        policy_free(p);
        return NULL;
    }
    look_ahead(p);
    return p;
}

bool
policy_get(struct policy *p, size_t n)
{
    const struct request *request = &p->trace->requests[n];
    struct item *item = &p->items[request->key];
    if (item->place == OUTSIDE || n >= item->expires) {
        return false;
    }
    item->wanted = p->next[n];
    p->rules->touch(p, request->key);
    return true;
}

/* The old version gives way in its place: a new size, one more touch. */
static void
overwrite(struct policy *p, uint32_t key, uint32_t bytes)
{
    struct item *item = &p->items[key];
    p->lists[item->place].bytes += bytes;
    p->lists[item->place].bytes -= item->bytes;
    item->bytes = bytes;
    p->rules->touch(p, key);
}

static void
make_room(struct policy *p, uint64_t bytes)
{
    while (used(p) + bytes > p->capacity) {
        p->rules->evict(p);
    }
}

static void
insert(struct policy *p, uint32_t key, uint32_t bytes)
{
    make_room(p, p->rules->insert_first ? 0 : bytes);
    p->items[key].bytes = bytes;
    p->rules->insert(p, key);
}

void
policy_set(struct policy *p, size_t n)
{
    const struct request *request = &p->trace->requests[n];
    struct item *item = &p->items[request->key];
    uint32_t bytes = request->size + POLICY_OVERHEAD;
    if (bytes > p->capacity) {
        return;
    }
    item->wanted = p->next[n];
    item->expires =
        request->lifetime != 0 ? (uint32_t)n + request->lifetime : NEVER;
    if (item->place == OUTSIDE) {
        insert(p, request->key, bytes);
    }
    else {
        overwrite(p, request->key, bytes);
    }
    make_room(p, 0);
}

void
policy_free(struct policy *p)
{
    if (p != NULL) {
        free(p->items);
        free(p->next);
        free(p->heap);
    }
    free(p);
}
