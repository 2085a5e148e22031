#include "fmm_evict.h"

#include "fmm_ghost.h"
#include "fmm_grow.h"
#include "fmm_leave.h"
#include "fmm_seal.h"

#define BUDGET_MIN (UINT64_C(16) << 10)
#define STAYS_MAX 256u
#define STAYS_KEPT 64u                 /* of them for what must not leave */
#define PARTS_KEPT 192u                /* of them for all but parts */
#define SMALL_MAX (UINT64_C(16) << 10) /* larger entries are large */
#define USUAL_SHARE 4u /* the average and so much of it is usual */
#define PRICE 4u
#define RESERVE_SHARE 100u /* one part in so many is kept free */
#define DEAD_SHARE 12u     /* more dead bytes than that are cleaned */
#define GIVEN_UP 64u       /* entries with each set, for the index to grow */

/* Whether an entry of that length takes much of a page to make room. */
static bool
is_large(const struct fmm_page *page, uint64_t length)
{
    return length > fmm_min(page->ring[FMM_RING_S].size / 3, SMALL_MAX);
}

void
fmm_evict_begin(struct fmm_work *work, struct fmm_page *page, uint64_t now_ms,
                uint64_t length)
{
    *work = (struct fmm_work){
        .page = page,
        .now_ms = now_ms,
        .budget = fmm_max(BUDGET_MIN, 2 * length),
        .stays = STAYS_MAX,
        .fresh = {page->ring[FMM_RING_S].head, page->ring[FMM_RING_M].head},
        .large = is_large(page, length),
    };
}

/* Whether it is no larger than entries here usually are: such have to use ring
 * S, however large, for it would be idle. A larger one would flush many. */
FMM_COLD static bool
is_usual(const struct fmm_page *page, uint64_t length)
{
    uint64_t entries = fmm_max(page->control->entries, 1);
    uint64_t average = fmm_page_live(page) / entries;
    return length <= page->ring[FMM_RING_S].size / 3 &&
           length <= average + average / USUAL_SHARE;
}

uint32_t
fmm_evict_choose_ring(const struct fmm_page *page, const struct fmm_key *key,
                      uint64_t length)
{
    bool small = !is_large(page, length) || is_usual(page, length);
    return small && !fmm_ghost_has(page, key->hash) ? FMM_RING_S : FMM_RING_M;
}

/* ------------------------------------------------------- who may stay */

static fmm_word32 *
hint_of(const struct fmm_work *work, const struct fmm_tail *tail)
{
    return &work->page->index.hints[tail->found.slot];
}

/* A second life costs by size, in units of the page's average entry. */
static uint32_t
price_of(const struct fmm_work *work, const struct fmm_tail *tail)
{
    uint64_t entries = fmm_max(work->page->control->entries, 1);
    uint64_t average =
        fmm_max(fmm_page_live(work->page) / entries, FMM_ENTRY_HEADER);
    return (uint32_t)fmm_max(PRICE * (uint64_t)tail->length / average, 1);
}

/* Whether somebody holds a lease on it, or it is a part of the value that is
 * being stored: then it does not leave. */
static bool
must_stay(const struct fmm_work *work, const struct fmm_tail *tail)
{
    return fmm_entry_leased(&tail->found.entry, work->now_ms) ||
           fmm_leave_is_own(work->own, &tail->found.entry);
}

/* Whether somebody is at work on it, writing it back or computing it anew, or
 * it is a manifest, whose value leaves by the directory: then it stays if there
 * is a way, and pays nothing. */
static bool
is_wanted(const struct fmm_work *work, const struct fmm_tail *tail)
{
    return (tail->found.word & FMM_SLOT_PENDING) != 0 ||
           (tail->found.entry.flags & FMM_ENTRY_IN_PARTS) != 0 ||
           must_stay(work, tail);
}

static bool
can_pay(const struct fmm_work *work, const struct fmm_tail *tail)
{
    return fmm_hint_credit(hint_of(work, tail)) >= price_of(work, tail);
}

static void
pay(const struct fmm_work *work, const struct fmm_tail *tail)
{
    fmm_hint_pay(hint_of(work, tail), price_of(work, tail));
}

/* --------------------------------------------------------------- leaving */

/* Out: a dirty entry by way of its ticket, a clean one as a ghost. */
static enum fmm_status
tail_evict(struct fmm_work *work, const struct fmm_tail *tail)
{
    const struct fmm_page *page = work->page;
    if (tail->found.word & FMM_SLOT_DIRTY) {
        return work->tidying
                   ? FMM_NO_ROOM
                   : fmm_leave_hand_out(page, &tail->found, work->ticket);
    }
    fmm_page_clear_slot(page, &tail->found);
    if (tail->found.ring == FMM_RING_S) {
        fmm_ghost_add(page, tail->found.entry.hash);
    }
    fmm_entry_displace(&tail->found.entry, &work->ticket->displaced);
    bool internal = fmm_entry_kind(&tail->found.entry) == FMM_KEY_INTERNAL;
    fmm_count_add(&page->control->evictions, internal ? 0 : 1);
    if (FMM_UNLIKELY(internal)) {
        fmm_leave_value(page, &tail->found.entry, work->ticket);
    }
    fmm_tail_pass(tail);
    return FMM_OK;
}

/* ---------------------------------------------------------- second lives */

/* Whether moving it is more than what one set may do. A single entry never is:
 * else small sets could not but evict a large one. Nor is what has to make room
 * in S, and M has room for: else a set would evict from a page that is not full.
 * That is less than twice what is stored, and one entry. */
static bool
is_beyond(const struct fmm_work *work, const struct fmm_tail *tail)
{
    if (work->filling && !work->tidying) {
        return false;
    }
    return tail->length > work->budget &&
           (work->moved || tail->length > work->page->geometry->max_entry);
}

/* Let the slot name the copy at `offset` of a ring. */
static void
repoint(const struct fmm_page *page, const struct fmm_tail *tail,
        uint32_t ring, uint64_t offset)
{
    const struct fmm_found *found = &tail->found;
    uint64_t kept = found->word & FMM_SLOT_STATE;
    uint64_t word = fmm_slot_word(found->entry.hash, ring, offset, false);
    fmm_index_publish(&page->index, found->slot, word | kept);
}

/* The seal tells where an entry is. */
FMM_NOINLINE static void
seal_copy(const struct fmm_page *page, const struct fmm_tail *tail,
          uint32_t ring_id, uint64_t offset)
{
    const struct fmm_found *found = &tail->found;
    fmm_seal_move(page->ring[ring_id].base + offset, tail->length,
                  page->geometry->seal_key,
                  fmm_seal_place(page->number, found->ring, found->offset),
                  fmm_seal_place(page->number, ring_id, offset));
}

/* Append a copy to a ring and let the slot name that one. */
static bool
tail_copy(struct fmm_work *work, const struct fmm_tail *tail, uint32_t ring_id)
{
    struct fmm_page *page = work->page;
    struct fmm_ring *ring = &page->ring[ring_id];
    if (is_beyond(work, tail) || !fmm_ring_has_room(ring, tail->length)) {
        return false;
    }
    uint64_t offset = fmm_ring_reserve(ring, tail->length);
    fmm_copy_in(ring->base + offset, tail->found.entry.at, tail->length);
    if (FMM_UNLIKELY(page->geometry->seal_size != 0)) {
        seal_copy(page, tail, ring_id, offset);
    }
    fmm_ring_append(ring, tail->length);
    repoint(page, tail, ring_id, offset);
    fmm_entry_follow_lease(&tail->found.entry, ring->base + offset);
    fmm_page_drop_live(page, tail->found.ring, tail->length);
    fmm_page_add_live(page, ring_id, tail->length);
    work->budget -= fmm_min(tail->length, work->budget);
    work->moved = true;
    fmm_count_add(&page->control->moved_bytes, tail->length);
    fmm_tail_pass(tail);
    return true;
}

/* Whether there are dead bytes enough to give up: then they are reclaimed by
 * moving what lives between them, and nobody has to leave the ring or to pay.
 * What one set has moved is not moved again for that: after a lap there are no
 * more to be had, whatever the padding, or a count that a kill left. Where slots
 * are short, what entries leave is not what is short. The cost of
 * cleaning by the share of dead bytes: M. Rosenblum and J. Ousterhout, "The
 * design and implementation of a log-structured file system", 1992. */
static bool
is_cleaning(const struct fmm_work *work, uint32_t ring)
{
    uint64_t size = work->page->ring[ring].size;
    return fmm_page_dead(work->page, ring) > size / DEAD_SHARE &&
           work->page->ring[ring].tail < work->fresh[ring] &&
           !fmm_page_lacks_slots(work->page);
}

static enum fmm_status
stay(struct fmm_work *work, const struct fmm_tail *tail)
{
    work->stays--;
    fmm_ring_stay(tail->ring, tail->length);
    return FMM_OK;
}

/* Leave it where it is and let it count as the newest. Costs the free
 * bytes, so only when they are fewer than a copy would take; and what was
 * just cleaned is lost again, so then only to make room for a large entry, for
 * the record of a group, and for what somebody is at work on: being written
 * back, it would stop every later set. */
static bool
tail_stay(struct fmm_work *work, const struct fmm_tail *tail)
{
    uint64_t free_bytes = fmm_ring_free(tail->ring);
    bool spent = is_beyond(work, tail);
    bool wanted = is_wanted(work, tail);
    bool worth =
        free_bytes < tail->length || (spent && free_bytes == tail->length) ||
        (wanted && (spent || !fmm_ring_has_room(tail->ring, tail->length)));
    bool may = wanted || work->large ||
               fmm_entry_is_record(&tail->found.entry) ||
               !is_cleaning(work, FMM_RING_M);
    uint32_t kept = wanted ? 0 : STAYS_KEPT;
    if (!worth || !may || work->stays <= kept) {
        return false;
    }
    return stay(work, tail) == FMM_OK;
}

/* The directory owes what a tail has passed by: the smaller the ring, the more
 * often that happens. */
static enum fmm_status
pass_by(struct fmm_work *work, const struct fmm_tail *tail)
{
    work->passed +=
        tail->length * tail->ring->size / work->page->geometry->rings_size;
    return stay(work, tail);
}

/* A part stays where it is: when its value leaves is said by the directory,
 * which is told that a turn has passed. Only where parts are all there is, the
 * value has to make way at once. */
FMM_COLD static enum fmm_status
part_stay(struct fmm_work *work, const struct fmm_tail *tail)
{
    bool own = fmm_leave_is_own(work->own, &tail->found.entry);
    if (work->tidying || work->stays == 0 ||
        (work->placing && work->stays <= PARTS_KEPT)) {
        return FMM_NO_ROOM;
    }
    if (work->stays <= PARTS_KEPT && !own) {
        return tail_evict(work, tail);
    }
    return pass_by(work, tail);
}

/* Load the tail of a ring. False: there is nothing to decide about it, and
 * `*status_out` says what became of it. */
static inline bool
take_tail(struct fmm_work *work, uint32_t ring, struct fmm_tail *tail,
          enum fmm_status *status_out)
{
    *status_out = fmm_tail_load(work, ring, tail);
    if (*status_out != FMM_OK) {
        return false;
    }
    if (fmm_tail_is_waste(work, tail)) {
        fmm_tail_pass(tail);
        return false;
    }
    if (FMM_UNLIKELY(tail->part)) {
        *status_out = part_stay(work, tail);
        return false;
    }
    return true;
}

/* Retire the entry at the tail of ring M. */
static enum fmm_status
retire_main(struct fmm_work *work)
{
    struct fmm_tail tail;
    enum fmm_status status;
    if (!take_tail(work, FMM_RING_M, &tail, &status)) {
        return status;
    }
    bool spared = is_wanted(work, &tail) || is_cleaning(work, FMM_RING_M);
    bool paid = !spared && can_pay(work, &tail);
    if (paid || spared) {
        if (work->tidying && is_beyond(work, &tail)) {
            return FMM_NO_ROOM; /* later, with a new budget */
        }
        if (paid) {
            pay(work, &tail);
        }
        if (tail_copy(work, &tail, FMM_RING_M) || tail_stay(work, &tail)) {
            return FMM_OK;
        }
    }
    return must_stay(work, &tail) ? FMM_NO_ROOM : tail_evict(work, &tail);
}

/* Whether it went since it was loaded: what made room for it may have been a part
 * of the value that it is the manifest of. */
static bool
is_gone(const struct fmm_work *work, const struct fmm_tail *tail)
{
    return fmm_index_word(&work->page->index, tail->found.slot) !=
           tail->found.word;
}

/* Move the entry at the tail of S into M. FMM_NO_ROOM: beyond the work. FMM_MISS: it
 * has gone. */
static enum fmm_status
promote(struct fmm_work *work, const struct fmm_tail *tail)
{
    const struct fmm_ring *main = &work->page->ring[FMM_RING_M];
    while (!fmm_ring_has_room(main, tail->length)) {
        if (is_beyond(work, tail)) {
            return FMM_NO_ROOM;
        }
        enum fmm_status status = retire_main(work);
        if (status == FMM_OK && FMM_UNLIKELY(is_gone(work, tail))) {
            return FMM_MISS;
        }
        if (status != FMM_OK) {
            return status;
        }
    }
    return tail_copy(work, tail, FMM_RING_M) ? FMM_OK : FMM_NO_ROOM;
}

static uint64_t
reserve_of(const struct fmm_ring *ring)
{
    return ring->size / RESERVE_SHARE;
}

/* Fill: what has no credit moves on too, as long as M has room to give. Waste
 * at M's tail is such room: letting go of it costs no work. */
static bool
may_fill(struct fmm_work *work, const struct fmm_tail *probed)
{
    const struct fmm_ring *main = &work->page->ring[FMM_RING_M];
    uint64_t length = probed->length + reserve_of(main);
    struct fmm_tail tail;
    while (!fmm_ring_has_room(main, length)) {
        if (fmm_tail_load(work, FMM_RING_M, &tail) != FMM_OK) {
            return false;
        }
        if (fmm_tail_is_waste(work, &tail)) {
            fmm_tail_pass(&tail);
        }
        else if (FMM_LIKELY(!tail.part) || work->tidying ||
                 work->stays <= PARTS_KEPT) {
            return false;
        }
        else {
            stay(work, &tail);
        }
    }
    return true;
}

/* Retire the entry at the tail of ring S. */
static enum fmm_status
retire_probation(struct fmm_work *work)
{
    struct fmm_tail tail;
    enum fmm_status status;
    if (!take_tail(work, FMM_RING_S, &tail, &status)) {
        return status;
    }
    if (is_cleaning(work, FMM_RING_S)) {
        if (tail_copy(work, &tail, FMM_RING_S)) {
            return FMM_OK;
        }
        if (work->tidying && is_beyond(work, &tail)) {
            return FMM_NO_ROOM; /* later, with a new budget */
        }
    }
    bool wanted = is_wanted(work, &tail);
    bool paid = !wanted && can_pay(work, &tail);
    work->filling = !paid && !wanted && may_fill(work, &tail);
    if (paid || wanted || work->filling) {
        uint32_t price = paid ? price_of(work, &tail) : 0;
        status = promote(work, &tail);
        work->filling = false;
        if (FMM_UNLIKELY(status == FMM_MISS)) {
            fmm_tail_pass(&tail);
            return FMM_OK;
        }
        if (status == FMM_OK && paid) {
            fmm_hint_pay(hint_of(work, &tail), price);
        }
        if (status != FMM_NO_ROOM || work->tidying) {
            return status;
        }
    }
    if (FMM_UNLIKELY(wanted) && tail_stay(work, &tail)) {
        return FMM_OK;
    }
    return must_stay(work, &tail) ? FMM_NO_ROOM : tail_evict(work, &tail);
}

FMM_NOINLINE static enum fmm_status
retire(struct fmm_work *work, uint32_t ring)
{
    work->retired = true;
    return ring == FMM_RING_S ? retire_probation(work) : retire_main(work);
}

enum fmm_status
fmm_evict_make_room(struct fmm_work *work, uint32_t ring, uint64_t length)
{
    while (!fmm_ring_has_room(&work->page->ring[ring], length)) {
        enum fmm_status status = retire(work, ring);
        if (status != FMM_OK) {
            return status;
        }
    }
    work->fresh[FMM_RING_S] = work->page->ring[FMM_RING_S].head;
    work->fresh[FMM_RING_M] = work->page->ring[FMM_RING_M].head;
    return FMM_OK;
}

/* More contiguous bytes at the head of a ring. What is there already is not
 * given up for them. */
static enum fmm_status
widen(struct fmm_work *work, uint32_t ring_id, bool enough)
{
    struct fmm_tail tail;
    enum fmm_status status = fmm_tail_load(work, ring_id, &tail);
    if (status != FMM_OK) {
        return status;
    }
    if (fmm_tail_is_waste(work, &tail)) {
        fmm_tail_pass(&tail);
        return FMM_OK;
    }
    if (work->ring_left < tail.length) {
        return FMM_NO_ROOM;
    }
    work->ring_left -= tail.length;
    if (tail.part) {
        return enough ? FMM_NO_ROOM : part_stay(work, &tail);
    }
    if (ring_id == FMM_RING_M) {
        return retire_main(work);
    }
    if (tail_copy(work, &tail, FMM_RING_S)) {
        return FMM_OK; /* it goes on with its probation */
    }
    return work->stays > PARTS_KEPT ? stay(work, &tail) : FMM_NO_ROOM;
}

enum fmm_status
fmm_evict_find_hole(struct fmm_work *work, uint32_t ring_id, uint64_t least,
                    uint64_t most, uint64_t *length_out)
{
    const struct fmm_ring *ring = &work->page->ring[ring_id];
    enum fmm_status status = FMM_OK;
    uint64_t hole = fmm_ring_hole(ring, least);
    work->ring_left = ring->size;
    while (hole < most && status == FMM_OK) {
        status = widen(work, ring_id, hole >= least);
        hole = fmm_ring_hole(ring, least);
    }
    *length_out = fmm_min(hole, most);
    return hole >= least ? FMM_OK : status;
}

/* Whether a ring has fewer free bytes than it is to have: those that are
 * always kept, or, while there are dead ones to clean, `cleaned`. */
static bool
is_short(const struct fmm_work *work, uint32_t ring_id, uint64_t cleaned)
{
    const struct fmm_ring *ring = &work->page->ring[ring_id];
    uint64_t free_bytes = fmm_ring_free(ring);
    return free_bytes < reserve_of(ring) ||
           (free_bytes < cleaned && is_cleaning(work, ring_id));
}

/* Several at a time are retired in less time than one by one: cleaning begins
 * late, and ends when a third more is free than when it began. */
static void
refill(struct fmm_work *work, uint32_t ring_id)
{
    uint64_t cleaned = work->page->ring[ring_id].size / DEAD_SHARE;
    if (FMM_LIKELY(!is_short(work, ring_id, cleaned / 4 * 3))) {
        return;
    }
    while (is_short(work, ring_id, cleaned)) {
        if (retire(work, ring_id) != FMM_OK) {
            return;
        }
    }
}

/* What lies at the end of ring M goes, whatever its credit, but for what must
 * stay or is dirty. */
static enum fmm_status
give_up(struct fmm_work *work)
{
    struct fmm_tail tail;
    enum fmm_status status = fmm_tail_load(work, FMM_RING_M, &tail);
    if (status != FMM_OK) {
        return status;
    }
    if (fmm_tail_is_waste(work, &tail)) {
        fmm_tail_pass(&tail);
        return FMM_OK;
    }
    if (is_wanted(work, &tail) || (tail.found.word & FMM_SLOT_DIRTY) != 0) {
        return tail_copy(work, &tail, FMM_RING_M) ? FMM_OK : FMM_NO_ROOM;
    }
    return tail_evict(work, &tail);
}

/* Some of it with each set. */
FMM_COLD static void
clear_end(struct fmm_work *work)
{
    const struct fmm_ring *main = &work->page->ring[FMM_RING_M];
    for (uint32_t i = 0; i < GIVEN_UP && !fmm_ring_is_in_one_lap(main); i++) {
        if (give_up(work) != FMM_OK) {
            return;
        }
    }
}

/* Move ring M on by one entry: parts do not stop it. */
FMM_COLD static void
turn(struct fmm_work *work)
{
    struct fmm_tail tail;
    if (fmm_tail_load(work, FMM_RING_M, &tail) != FMM_OK) {
        return;
    }
    if (tail.part && work->stays != 0 && !fmm_tail_is_waste(work, &tail)) {
        pass_by(work, &tail);
    }
    else {
        retire(work, FMM_RING_M);
    }
}

/* Move ring M on, for the index to grow. */
FMM_COLD static void
make_way(struct fmm_work *work)
{
    if (fmm_grow_needs_end(work->page)) {
        clear_end(work);
    }
    else if (fmm_grow_needs_turn(work->page)) {
        turn(work);
    }
}

void
fmm_evict_tidy(struct fmm_work *work)
{
    const struct fmm_page *page = work->page;
    uint64_t laps = FMM_RECOUNT_LAPS << page->ring[FMM_RING_M].shift;
    uint64_t due = page->control->recount_at;
    work->tidying = true;
    if (FMM_UNLIKELY(fmm_grow_is_waiting(page))) {
        make_way(work);
    }
    refill(work, FMM_RING_M);
    refill(work, FMM_RING_S);
    uint64_t tail = page->ring[FMM_RING_M].tail;
    if (tail >= due || due - tail > laps) {
        fmm_page_recount(page);
    }
}
