#include "fmm_client.h"

#include <errno.h>

#include "fmm_map.h"
#include "fmm_platform.h"

#define LOOKS 16u /* entries that are tried again before a new one is taken */

/* Where those count that may not write. */
static struct fmm_client_stripe nowhere[FMM_CLIENT_STRIPES];

/* All clients of this process, what a child has to open for itself: changed
 * while no thread forks. */
static struct fmm_client *clients;

/* --------------------------------------------------------------- the table */

uint32_t
fmm_client_used(const struct fmm_client *client)
{
    uint32_t used =
        atomic_load_explicit(&client->header->clients, memory_order_acquire);
    return used < FMM_CLIENTS ? used : FMM_CLIENTS;
}

static void
raise_used(struct fmm_client *client, uint32_t used)
{
    fmm_word32 *word = &client->header->clients;
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);
    while (seen < used && !atomic_compare_exchange_weak_explicit(
                              word, &seen, used, memory_order_release,
                              memory_order_relaxed)) {
    }
}

/* What is known of the one who takes an entry. Its counters go on where they
 * were: the sum over all entries is that of all clients there ever were. */
static void
describe(struct fmm_client_entry *entry)
{
    for (uint32_t s = 0; s < FMM_CLIENT_STRIPES; s++) {
        for (uint32_t what = 0; what < FMM_CLIENT_COUNTS; what++) {
            fmm_count_store(&entry->stripes[s].before[what],
                            entry->stripes[s].counts[what]);
        }
    }
    fmm_count_store(&entry->since_ms, fmm_now_ms());
    fmm_process_command(entry->command, sizeof(entry->command));
    __atomic_store_n(&entry->pid, fmm_process_pid(), __ATOMIC_RELAXED);
}

/* Make an entry ours whose byte we locked. Where nobody was yet the table is a
 * hole: that the disk is full is to be an error, and no SIGBUS. */
static bool
enter(struct fmm_client *client, uint32_t number)
{
    struct fmm_client_entry *entry = &client->table[number];
    uint64_t at = (uint64_t)((unsigned char *)entry - client->base);
    if (number >= fmm_client_used(client) &&
        !fmm_platform_reserve(client->fd, at, sizeof(*entry))) {
        return false;
    }
    uint64_t generation = entry->generation % FMM_OWNER_GENERATION_MAX + 1;
    atomic_store_explicit(&entry->generation, generation,
                          memory_order_relaxed);
    raise_used(client, number + 1);
    describe(entry);
    client->stripes = entry->stripes;
    atomic_store_explicit(&client->owner,
                          generation << FMM_OWNER_GENERATION_SHIFT |
                              (uint64_t)number << FMM_OWNER_ENTRY_SHIFT,
                          memory_order_relaxed);
    return true;
}

/* Some entries that were taken before, then new ones, then all. */
static uint32_t
choose(uint32_t attempt, uint32_t used, uint32_t start)
{
    uint32_t again = used < LOOKS ? used : LOOKS;
    return attempt < again ? (start + attempt) % used
                           : (used + attempt - again) % FMM_CLIENTS;
}

static bool
take_entry(struct fmm_client *client)
{
    uint32_t start = 0, used = fmm_client_used(client);
    if (used > LOOKS && !fmm_process_random(&start, sizeof(start))) {
        return false;
    }
    start /= 2; /* so that no sum overflows */
    for (uint32_t attempt = 0; attempt < FMM_CLIENTS + LOOKS; attempt++) {
        uint32_t number = choose(attempt, used, start);
        if (fmm_platform_lock_byte(client->fd, FMM_BYTE_CLIENTS + number,
                                   FMM_EXCLUSIVE)) {
            return enter(client, number);
        }
        if (errno != EAGAIN && errno != EACCES) {
            return false;
        }
    }
    errno = EUSERS;
    return false;
}

FMM_COLD struct fmm_client_stripe *
fmm_client_find_stripes(struct fmm_client *client)
{
    (void)fmm_client_renew(client);
    return client->stripes;
}

/* -------------------------------------------------------------------- life */

/* Whether a descriptor leads to our file. A program that closes descriptors
 * which it does not know may have closed ours, and been given the number
 * anew. */
static bool
is_ours(const struct fmm_client *client, int fd)
{
    struct fmm_file_stat stat;
    return fd >= 0 && fmm_platform_stat(fd, &stat) &&
           stat.device == client->device && stat.inode == client->inode;
}

int
fmm_client_open_again(const struct fmm_client *client)
{
    int fd =
        is_ours(client, client->fd) ? fmm_platform_reopen(client->fd) : -1;
    if (fd < 0 && client->path != NULL) {
        fd = client->read_only ? fmm_platform_open_to_read(client->path)
                               : fmm_platform_open(client->path);
    }
    if (fd >= 0 && !is_ours(client, fd)) {
        fmm_platform_close(fd);
        return -1;
    }
    return fd;
}

/* Whether the kernel says that nobody else locks the byte of an entry. */
static bool
is_free(const struct fmm_client *client, int fd, uint32_t number)
{
    return is_ours(client, fd) &&
           !fmm_platform_byte_taken(fd, FMM_BYTE_CLIENTS + number) &&
           is_ours(client, fd);
}

static bool
is_taken(const struct fmm_client *client, uint32_t number)
{
    if (is_ours(client, client->fd)) {
        return !is_free(client, client->fd, number);
    }
    int fd = fmm_client_open_again(client);
    bool taken = !is_free(client, fd, number);
    fmm_platform_close(fd);
    return taken;
}

uint64_t
fmm_client_owner_of(const struct fmm_client *client, uint32_t number)
{
    return atomic_load_explicit(&client->table[number].generation,
                                memory_order_relaxed)
               << FMM_OWNER_GENERATION_SHIFT |
           (uint64_t)number << FMM_OWNER_ENTRY_SHIFT;
}

static bool
has_entry(const struct fmm_client *client, uint64_t owner)
{
    uint32_t number = fmm_owner_entry(owner);
    uint64_t generation = fmm_owner_generation(owner);
    return generation != 0 && number < fmm_client_used(client) &&
           generation ==
               atomic_load_explicit(&client->table[number].generation,
                                    memory_order_relaxed);
}

/* Whether it is a client of this very process. */
static bool
is_here(const struct fmm_client *client, uint64_t owner)
{
    bool found = false;
    fmm_forks_hold();
    for (struct fmm_client *c = clients; c != NULL && !found; c = c->next) {
        found = c->owner == owner && c->forks == fmm_forks() &&
                c->device == client->device && c->inode == client->inode;
    }
    fmm_forks_release();
    return found;
}

bool
fmm_client_lives(const struct fmm_client *client, uint64_t owner)
{
    owner &= ~UINT64_C(1);
    /* Whoever saw the owner sees its entry; pairs with that in
     * settle_owner(). */
    atomic_thread_fence(memory_order_acquire);
    if (owner == 0 || client->alone) {
        return owner != 0 && owner == client->owner;
    }
    /* Those of this process are not asked after: what has their descriptor's
     * number may be the very description that locks. */
    return is_here(client, owner) ||
           (has_entry(client, owner) &&
            is_taken(client, fmm_owner_entry(owner)));
}

uint32_t
fmm_client_pid(const struct fmm_client *client, uint64_t owner)
{
    const uint32_t *pid = &client->table[fmm_owner_entry(owner)].pid;
    return has_entry(client, owner) ? __atomic_load_n(pid, __ATOMIC_RELAXED)
                                    : 0;
}

/* -------------------------------------------------------------------- fork */

/* The file cannot be had: let go of that of the parent, which must not seem
 * to live in us. What is mapped instead reads as replaced. */
static void
lose(struct fmm_client *client)
{
    client->lost = true;
    fmm_map_nothing(client->base, client->size);
    atomic_store_explicit(&client->header->retired, 1, memory_order_release);
    if (is_ours(client, client->fd)) {
        fmm_platform_close(client->fd);
    }
    client->fd = -1;
}

/* Put a description of our own in the place of that of our parent. */
static bool
replace_description(struct fmm_client *client, int fd)
{
    if (!fmm_platform_lock_byte(fd, FMM_BYTE_PRESENCE, FMM_SHARED) ||
        (!fmm_map_damaged(client->base) &&
         !fmm_map_over(client->base, fd, client->size))) {
        return false;
    }
    fmm_platform_spare(fd);
    if (is_ours(client, client->fd)) {
        fd = fmm_platform_move(fd, client->fd);
    }
    client->fd = fd;
    return true;
}

static void
renew_description(struct fmm_client *client)
{
    client->opened_forks = fmm_forks();
    client->stripes = NULL;
    atomic_store_explicit(&client->owner, 0, memory_order_relaxed);
    if (client->alone || client->lost || client->read_only) {
        return;
    }
    int fd = fmm_client_open_again(client);
    if (fd < 0 || !replace_description(client, fd)) {
        fmm_platform_close(fd);
        lose(client);
    }
}

/* Once in each child. Entries are taken later, by who needs one. */
static void
renew_descriptions(void)
{
    for (struct fmm_client *c = clients; c != NULL; c = c->next) {
        if (c->opened_forks != fmm_forks()) {
            renew_description(c);
        }
    }
}

/* While no thread forks. A private copy has no others in it. */
static bool
settle_owner(struct fmm_client *client)
{
    if (client->read_only) {
        client->stripes = nowhere;
    }
    else if (client->alone) {
        client->stripes = client->table->stripes;
        atomic_store_explicit(&client->owner,
                              UINT64_C(1) << FMM_OWNER_GENERATION_SHIFT,
                              memory_order_relaxed);
    }
    else if (client->lost || !take_entry(client)) {
        return false;
    }
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&client->forks, fmm_forks(), memory_order_release);
    return true;
}

/* The lock has to be that of the description which is mapped, and what has its
 * number by now may be another: so it is opened once more. */
uint64_t
fmm_client_renew(struct fmm_client *client)
{
    fmm_forks_hold();
    if (atomic_load_explicit(&client->forks, memory_order_relaxed) !=
        fmm_forks()) {
        renew_descriptions();
        renew_description(client);
        if (!settle_owner(client) && !client->lost) {
            lose(client);
        }
    }
    fmm_forks_release();
    return atomic_load_explicit(&client->owner, memory_order_relaxed);
}

/* --------------------------------------------------------- coming and going */

void
fmm_client_begin(struct fmm_client *client)
{
    fmm_forks_watch(renew_descriptions);
    client->forks_made = fmm_forks_made();
}

/* A child that another thread forked since then has our description, and knows
 * nothing of it: nothing is to be locked by that. Where the file cannot be had
 * once more, it stays as it is. */
static void
leave_description_to_child(struct fmm_client *client)
{
    int fd = fmm_client_open_again(client);
    if (fd >= 0 && fmm_platform_lock_byte(fd, FMM_BYTE_PRESENCE, FMM_SHARED)) {
        fmm_platform_lock_byte(client->fd, FMM_BYTE_PRESENCE, FMM_UNLOCKED);
        fmm_platform_lock_byte(client->fd, FMM_BYTE_OPENING, FMM_UNLOCKED);
        if (replace_description(client, fd)) {
            return;
        }
        fmm_platform_lock_byte(client->fd, FMM_BYTE_PRESENCE, FMM_SHARED);
    }
    fmm_platform_close(fd);
}

bool
fmm_client_join(struct fmm_client *client)
{
    fmm_forks_hold();
    client->opened_forks = fmm_forks();
    if (FMM_UNLIKELY(client->forks_made != fmm_forks_made()) &&
        !client->alone && !client->read_only) {
        leave_description_to_child(client);
    }
    fmm_platform_spare(client->fd);
    bool joined = settle_owner(client);
    if (joined) {
        client->next = clients;
        clients = client;
    }
    fmm_forks_release();
    return joined;
}

/* Leave word that the entry is free. The lock of its byte goes with the
 * description. */
static void
say_farewell(const struct fmm_client *client)
{
    uint64_t owner =
        atomic_load_explicit(&client->owner, memory_order_relaxed);
    bool joined = owner != 0 && !client->alone && !client->lost &&
                  client->forks == fmm_forks();
    if (joined) {
        uint32_t *pid = &client->table[fmm_owner_entry(owner)].pid;
        __atomic_store_n(pid, 0, __ATOMIC_RELAXED);
    }
}

/* In one piece, as seen by a fork: no child is left with half of it. */
void
fmm_client_leave(struct fmm_client *client)
{
    struct fmm_client **place = &clients;
    fmm_forks_hold();
    while (*place != NULL && *place != client) {
        place = &(*place)->next;
    }
    if (*place != NULL) {
        *place = client->next;
        say_farewell(client);
    }
    if (client->base != NULL) {
        fmm_map_end(client->base, client->size);
    }
    if (is_ours(client, client->fd)) {
        fmm_platform_close(client->fd);
    }
    client->fd = -1;
    fmm_forks_release();
}
