/* The operating system: processes, waiting, clocks and random bytes.
 *
 * This, fmm_platform, files and maps, and fmm_filesystem are the only modules
 * that include <sys/...>: another system is a change of these alone. Clocks are
 * declared in fmm.h. Functions that fail return false and leave errno.
 * Process-wide state of its own is what it knows of forks. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"

/* The boot, zeros where the system does not tell; the caller fills in device
 * and inode. */
bool fmm_process_identity(struct fmm_identity *out);
/* What people know this process by, where it lives. */
uint32_t fmm_process_pid(void);
void fmm_process_command(char *out, size_t capacity);
/* Count forks from now on, see fmm_forks(), and call `in_child` in each child
 * that fork() makes. The first call counts. */
void fmm_forks_watch(void (*in_child)(void));
/* The same as fmm_forks(), or 0 in a child that did not ask for that yet. */
uint64_t fmm_forks_seen(void);
/* How often this process forked a child, since fmm_forks_watch(). */
uint64_t fmm_forks_made(void);
/* Between these two no other thread forks, nor is between them. */
void fmm_forks_hold(void);
void fmm_forks_release(void);

/* Sleep while the low half of `*word` is that of `seen`, at most `us`. */
void fmm_process_wait(fmm_word64 *word, uint64_t seen, uint32_t us);
void fmm_process_wake(fmm_word64 *word);
/* A moment in a spin loop. */
void fmm_process_pause(void);

bool fmm_process_random(void *buffer, size_t length);
