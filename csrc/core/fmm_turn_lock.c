#include "fmm_turn_lock.h"

#include "fmm_lock.h"

#define WAIT_MIN_MS 20u /* long enough to see that a holder has died */

static_assert(FMM_TURNS == 64, "as many as a word has bits");

/* Other bits than those that choose the page. */
static uint32_t
number_of(uint64_t hash)
{
    return (uint32_t)(hash >> 16) & (FMM_TURNS - 1);
}

struct fmm_turn_lock *
fmm_turn_lock_of(struct fmm_header *header, uint64_t hash)
{
    return &header->turns[number_of(hash)];
}

bool
fmm_turn_lock_shared(uint64_t hash, uint64_t other)
{
    return number_of(hash) == number_of(other);
}

void
fmm_turn_lock_note(struct fmm_turn_lock *lock, uint64_t hash)
{
    atomic_store_explicit(&lock->hash, hash, memory_order_relaxed);
}

void
fmm_turn_lock_reset(struct fmm_header *header)
{
    for (uint32_t n = 0; n < FMM_TURNS; n++) {
        fmm_turn_lock_note(&header->turns[n], 0);
        atomic_store_explicit(&header->turns[n].word, 0, memory_order_relaxed);
    }
}

uint64_t
fmm_turn_lock_bit(uint64_t hash)
{
    return UINT64_C(1) << number_of(hash);
}

/* Take one. With `hold` it stays taken. */
static bool
take(struct fmm_client *client, fmm_word64 *word, uint64_t until_ms, bool hold)
{
    uint64_t owner = fmm_client_owner(client);
    struct fmm_lock_result ignored;
    uint64_t now_ms = fmm_monotonic_ms();
    uint64_t left = until_ms > now_ms ? until_ms - now_ms : 0;
    int64_t wait_ms = (int64_t)fmm_max(left, WAIT_MIN_MS);
    bool taken =
        fmm_lock_take(word, owner, client, wait_ms, &ignored) == FMM_OK;
    if (taken && !hold) {
        fmm_lock_release(word, owner);
    }
    return taken;
}

static bool
is_mine(uint64_t mine, uint32_t n)
{
    return (mine >> n & 1) != 0;
}

/* Those before `end`. */
static void
release_some(struct fmm_client *client, uint64_t mine, uint32_t end)
{
    uint64_t owner = fmm_client_owner(client);
    for (uint32_t n = 0; n < end; n++) {
        if (!is_mine(mine, n)) {
            fmm_lock_release(&client->header->turns[n].word, owner);
        }
    }
}

static bool
take_each(struct fmm_client *client, uint64_t mine, uint64_t until_ms,
          bool hold)
{
    for (uint32_t n = 0; n < FMM_TURNS; n++) {
        if (!is_mine(mine, n) &&
            !take(client, &client->header->turns[n].word, until_ms, hold)) {
            release_some(client, mine, hold ? n : 0);
            return false;
        }
    }
    return true;
}

enum fmm_status
fmm_turn_lock_take_all(struct fmm_client *client, uint64_t mine,
                       int64_t wait_ms)
{
    uint64_t until_ms = fmm_monotonic_ms() + (uint64_t)wait_ms;
    return take_each(client, mine, until_ms, false) &&
                   take_each(client, mine, until_ms, true)
               ? FMM_OK
               : FMM_BUSY;
}

void
fmm_turn_lock_release_all(struct fmm_client *client, uint64_t mine)
{
    release_some(client, mine, FMM_TURNS);
}
