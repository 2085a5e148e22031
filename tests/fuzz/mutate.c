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
    uint64_t *counters[] = {&c->live[0], &c->live[1], &c->entries, &c->stayed,
                            &c->recount_at};
    uint64_t *one = counters[mutate_below(5)];
    *one = mutate_number(*one, near);
}

static uint64_t
slot_count(const struct fmm_geometry *g)
{
    return (uint64_t)g->buckets * FMM_BUCKET_SLOTS;
}

/* A slot word: moved, copied, pointed elsewhere, marked. */
static void
mutate_slot(const struct fmm_geometry *g, unsigned char *page)
{
    uint64_t *slots = (uint64_t *)(void *)page;
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

/* The entry that some slot names, NULL when it names nothing in the page. */
static unsigned char *
some_entry(const struct fmm_geometry *g, unsigned char *page, uint64_t *left)
{
    const uint64_t *slots = (const uint64_t *)(void *)page;
    uint64_t start = mutate_below(slot_count(g));
    for (uint64_t i = 0; i < slot_count(g); i++) {
        uint64_t word = slots[(start + i) % slot_count(g)];
        uint64_t ring = word & FMM_SLOT_RING ? 1 : 0;
        uint64_t offset = (word & FMM_SLOT_OFFSET) * 8;
        if ((word & FMM_SLOT_USED) &&
            offset + FMM_ENTRY_HEADER <= g->ring_size[ring]) {
            *left = g->ring_size[ring] - offset;
            return page + g->ring_at[ring] + offset;
        }
    }
    return NULL;
}

static void
mutate_entry(const struct fmm_geometry *g, unsigned char *page)
{
    uint64_t left = 0;
    unsigned char *entry = some_entry(g, page, &left);
    if (entry == NULL) {
        return;
    }
    uint32_t total;
    memcpy(&total, entry, sizeof(total));
    switch (mutate_below(8)) {
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
    default: /* hash, lifetime */
        mutate_word(entry + 8 * (1 + mutate_below(2)), call.now_ms);
    }
}

void
mutate_page(const struct fmm_geometry *g, unsigned char *control,
            unsigned char *page)
{
    uint64_t index_end = g->ring_at[0];
    switch (mutate_below(10)) {
    case 0:
    case 1:
        mutate_position(g, control);
        break;
    case 2:
        mutate_counter(control, g->page_size);
        break;
    case 3:
    case 4:
    case 5:
        mutate_slot(g, page);
        break;
    case 6: /* hints, ghosts */
        mutate_half(page + g->hints_at +
                        4 * mutate_below((index_end - g->hints_at) / 4),
                    UINT32_MAX);
        break;
    default:
        mutate_entry(g, page);
    }
}
