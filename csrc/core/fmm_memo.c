#include "fmm_memo.h"

#include <stdlib.h>

#define SIZE_FIRST 64u

/* Where a key is, or the empty place where it would be. There is one. */
static struct fmm_memo_item *
place_of(const struct fmm_memo *memo, uint64_t key)
{
    uint64_t at = key & (memo->size - 1);
    while (memo->items[at].key != 0 && memo->items[at].key != key) {
        at = (at + 1) & (memo->size - 1);
    }
    return &memo->items[at];
}

struct fmm_memo_item *
fmm_memo_find(const struct fmm_memo *memo, uint64_t key)
{
    if (memo->size == 0) {
        return NULL;
    }
    struct fmm_memo_item *item = place_of(memo, key);
    return item->key != 0 ? item : NULL;
}

/* The same items, but for those not seen in `round` (0: all), in so many places. */
static bool
rebuild(struct fmm_memo *memo, uint64_t size, uint32_t round)
{
    struct fmm_memo made = {.items = calloc(size, sizeof(*made.items)),
                            .size = size};
    if (made.items == NULL) {
        return false;
    }
    for (uint64_t at = 0; at < memo->size; at++) {
        const struct fmm_memo_item *item = &memo->items[at];
        if (item->key != 0 && (round == 0 || item->round == round)) {
            *place_of(&made, item->key) = *item;
            made.used++;
        }
    }
    free(memo->items);
    *memo = made;
    return true;
}

bool
fmm_memo_put(struct fmm_memo *memo, const struct fmm_memo_item *item)
{
    if (memo->used * 2 >= memo->size &&
        !rebuild(memo, fmm_max(memo->size * 2, SIZE_FIRST), 0)) {
        return false;
    }
    struct fmm_memo_item *place = place_of(memo, item->key);
    memo->used += place->key == 0 ? 1 : 0;
    *place = *item;
    return true;
}

struct fmm_memo_item *
fmm_memo_next_unseen(const struct fmm_memo *memo, uint32_t round,
                     uint64_t *cursor)
{
    while (*cursor < memo->size) {
        struct fmm_memo_item *item = &memo->items[(*cursor)++];
        if (item->key != 0 && item->round != round) {
            return item;
        }
    }
    return NULL;
}

bool
fmm_memo_forget_unseen(struct fmm_memo *memo, uint32_t round)
{
    return memo->size == 0 || rebuild(memo, memo->size, round);
}

void
fmm_memo_free(struct fmm_memo *memo)
{
    free(memo->items);
    *memo = (struct fmm_memo){.items = NULL};
}
