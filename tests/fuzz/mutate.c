/* Mutations that know the format: plain bytes rarely get past the first
 * bounds check, a position that is off by one does.
 *
 * Nothing is made consistent that the engine does not check. */
#include "fuzz.h"

static uint64_t state;

void
mutate_seed(unsigned seed)
{
    state = seed;
}

/* The multiplier of a linear congruential generator, its high bits mixed
 * down: enough to choose among a few cases. */
uint64_t
mutate_random(void)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return state ^ state >> 29;
}

uint64_t
mutate_below(uint64_t n)
{
    return n ? mutate_random() % n : mutate_random();
}

uint64_t
mutate_number(uint64_t old, uint64_t near)
{
    switch (mutate_below(9)) {
    case 0:
        return old + mutate_below(17) - 8;
    case 1:
        return old + 8 * (mutate_below(65) - 32);
    case 2:
        return old ^ UINT64_C(1) << mutate_below(64);
    case 3:
        return near;
    case 4:
        return near + mutate_below(17) - 8;
    case 5:
        return near - 8 * mutate_below(16);
    case 6:
        return UINT64_MAX >> mutate_below(64);
    case 7:
        return mutate_below(64);
    default:
        return mutate_below(near + 1);
    }
}

/* ---------------------------------------------------------------- fields */

static void
mutate_word(unsigned char *at, uint64_t near)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    word = mutate_number(word, near);
    memcpy(at, &word, sizeof(word));
}

void
mutate_half(unsigned char *at, uint32_t near)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    word = (uint32_t)mutate_number(word, near);
    memcpy(at, &word, sizeof(word));
}

/* A head or a tail: about the other one, or about a lap. */
static void
mutate_position(const struct fmm_geometry *g, unsigned char *control)
{
    struct fmm_control *c = (struct fmm_control *)(void *)control;
    uint64_t ring = mutate_below(2);
    uint64_t lap = UINT64_C(1) << g->ring_shift[ring];
    uint64_t head = c->head[ring], tail = c->tail[ring];
    uint64_t offset = mutate_number(0, g->ring_size[ring]) / 8 % lap;
    fmm_word64 *target = mutate_below(2) ? &c->head[ring] : &c->tail[ring];
    switch (mutate_below(6)) {
    case 0:
        *target = mutate_number(*target, head);
        break;
    case 1:
        *target = (*target & ~(lap - 1)) | offset;
        break;
    case 2:
        *target += lap;
        break;
    case 3:
        c->head[ring] = tail + mutate_below(3) * lap + mutate_below(9);
        break;
    case 4:
        *target = (mutate_below(4) << 61) + (*target % lap);
        break;
    default:
        *target = mutate_number(*target, tail);
    }
}

static void
mutate_counter(unsigned char *control, uint64_t near)
{
    struct fmm_control *c = (struct fmm_control *)(void *)control;
    uint64_t *counters[] = {&c->live[0], &c->live[1], &c->entries,
                            &c->recount_at};
    uint64_t *one = counters[mutate_below(4)];
    *one = mutate_number(*one, near);
}

static uint64_t
slot_count(const struct fmm_geometry *g)
{
    return (uint64_t)g->buckets * FMM_BUCKET_SLOTS;
}

/* A slot word: moved, copied, pointed elsewhere, marked. */
static void
mutate_slot(const struct fmm_geometry *g, const struct page_parts *page)
{
    uint64_t *slots = (uint64_t *)(void *)page->index;
    uint64_t *one = &slots[mutate_below(slot_count(g))];
    const uint64_t other = slots[mutate_below(slot_count(g))];
    switch (mutate_below(6)) {
    case 0:
        *one = other;
        break;
    case 1:
        *one = (*one & ~FMM_SLOT_OFFSET) | (other & FMM_SLOT_OFFSET);
        break;
    case 2:
        *one ^= UINT64_C(1) << (60 + mutate_below(4));
        break;
    case 3:
        *one = mutate_number(*one, other);
        break;
    default:
        *one = (*one & ~FMM_SLOT_OFFSET) |
               ((mutate_number(*one, g->ring_size[mutate_below(2)]) / 8) &
                FMM_SLOT_OFFSET);
    }
}

/* The entry that a slot word names, NULL when it lies outside. */
static unsigned char *
entry_of(const struct fmm_geometry *g, const struct page_parts *page,
         uint64_t word, uint64_t *left)
{
    uint64_t ring = word & FMM_SLOT_RING ? FMM_RING_M : FMM_RING_S;
    uint64_t offset = (word & FMM_SLOT_OFFSET) * 8;
    if (offset + FMM_ENTRY_HEADER > g->ring_size[ring]) {
        return NULL;
    }
    *left = g->ring_size[ring] - offset;
    return page->rings + g->ring_at[ring] + offset;
}

/* Some slot that is used, NULL when none is. */
static uint64_t *
some_slot(const struct fmm_geometry *g, const struct page_parts *page)
{
    uint64_t *slots = (uint64_t *)(void *)page->index;
    uint64_t start = mutate_below(slot_count(g));
    for (uint64_t i = 0; i < slot_count(g); i++) {
        uint64_t *slot = &slots[(start + i) % slot_count(g)];
        if (*slot & FMM_SLOT_USED) {
            return slot;
        }
    }
    return NULL;
}

static void
mutate_entry(const struct fmm_geometry *g, const struct page_parts *page)
{
    uint64_t left = 0;
    const uint64_t *slot = some_slot(g, page);
    unsigned char *entry = slot ? entry_of(g, page, *slot, &left) : NULL;
    if (entry == NULL) {
        return;
    }
    uint32_t total;
    memcpy(&total, entry, sizeof(total));
    switch (mutate_below(9)) {
    case 0:
    case 1:
        mutate_half(entry, (uint32_t)left);
        break;
    case 2: /* flags */
        entry[4 + mutate_below(2)] ^= (unsigned char)(1u << mutate_below(8));
        break;
    case 3: /* type, words */
        entry[6 + mutate_below(2)] = (unsigned char)mutate_number(0, 2);
        break;
    case 4: /* key length */
    case 5:
        mutate_half(entry + 24, total);
        break;
    case 6:
        mutate_half(entry + 28, UINT32_MAX);
        break;
    case 7: /* extension words: those of a lease or of tags among them */
        if (total >= FMM_ENTRY_HEADER + 8 && total <= left) {
            mutate_word(entry + FMM_ENTRY_HEADER +
                            8 * mutate_below(fmm_min(
                                    9, (total - FMM_ENTRY_HEADER) / 8)),
                        call.now_ms);
        }
        break;
    default: /* hash, lifetime */
        mutate_word(entry + 8 * (1 + mutate_below(2)), call.now_ms);
    }
}

/* Move a small copy of an entry to the end of a ring, so that one field
 * more than it has room for lies outside. Its slot goes along: its key
 * still finds it. */
static void
forge_entry(const struct fmm_geometry *g, const struct page_parts *page)
{
    uint64_t *slot = some_slot(g, page);
    uint64_t left = 0, ring = mutate_below(4) ? FMM_RING_M : FMM_RING_S;
    const unsigned char *entry = slot ? entry_of(g, page, *slot, &left) : NULL;
    unsigned char copy[FMM_ENTRY_HEADER + 48] = {0};
    if (entry == NULL) {
        return;
    }
    size_t old_key = FMM_ENTRY_HEADER + 8u * entry[7];
    uint32_t words = (uint32_t)mutate_below(6), key_len = 0;
    memcpy(copy, entry, FMM_ENTRY_HEADER);
    memcpy(&key_len, entry + 24, sizeof(key_len));
    if (key_len > 8 || old_key + key_len > left) {
        key_len = 0;
    }
    uint32_t start = FMM_ENTRY_HEADER + 8 * words;
    uint32_t total = start + (key_len + 7) / 8 * 8;
    memcpy(copy, &total, sizeof(total));
    copy[4] = (unsigned char)((total - start - key_len) |
                              mutate_below(4) * FMM_ENTRY_COMPRESSED |
                              mutate_below(2) * FMM_ENTRY_MODSEQ);
    /* Integer and lease; or what groups have, too. */
    copy[5] = (unsigned char)mutate_below(mutate_below(2) ? 4 : 64);
    copy[6] = FMM_TYPE_INT;
    copy[7] = (unsigned char)words;
    memcpy(copy + start, entry + old_key, key_len);
    if (mutate_below(4) == 0) { /* not even a header */
        total = 8 * (1 + (uint32_t)mutate_below(3));
        memcpy(copy, &total, sizeof(total));
    }
    uint64_t at = g->ring_size[ring] - total - 8 * mutate_below(2);
    memcpy(page->rings + g->ring_at[ring] + at, copy, total);
    *slot = (*slot & ~(FMM_SLOT_OFFSET | FMM_SLOT_RING)) | at / 8 |
            (ring ? FMM_SLOT_RING : 0);
}

void
mutate_page(const struct fmm_geometry *g, const struct page_parts *page)
{
    switch (mutate_below(11)) {
    case 0:
    case 1:
        mutate_position(g, page->control);
        break;
    case 2:
        mutate_counter(page->control, g->page_size);
        break;
    case 3:
    case 4:
    case 5:
        mutate_slot(g, page);
        break;
    case 6:
        forge_entry(g, page);
        break;
    case 7: /* hints, ghosts */
        mutate_half(page->index + g->hints_at +
                        4 * mutate_below((g->index_size - g->hints_at) / 4),
                    UINT32_MAX);
        break;
    default:
        mutate_entry(g, page);
    }
}
