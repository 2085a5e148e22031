/* The operating system: processes, waiting, clocks and random bytes.
 *
 * This and fmm_platform, files and maps, are the only modules that include
 * <sys/...>: another system is a change of these two alone. Clocks are
 * declared in fmm.h. Functions that fail return false and leave errno.
 * Process-wide state of its own is the fork counter. */
#pragma once

#include "fmm_base.h"
#include "fmm_format.h"

/* Boot and process namespace, zeros where the system does not tell; the
 * caller fills in device and inode. */
bool fmm_platform_identity(struct fmm_identity *out);
/* This process as a lock word: pid and start time, waiters bit clear. */
uint64_t fmm_platform_owner(void);
/* The process id in a lock word. */
uint32_t fmm_platform_pid(uint64_t owner);
/* Whether the process of a lock word still lives. */
bool fmm_platform_alive(uint64_t owner);
/* How often that process maps the file that is mapped at `address` here;
 * UINT_MAX when it cannot be told. */
unsigned fmm_platform_maps(uint64_t owner, const void *address);

/* Sleep while the low half of `*word` is that of `seen`, at most `us`. */
void fmm_platform_wait(fmm_word64 *word, uint64_t seen, uint32_t us);
void fmm_platform_wake(fmm_word64 *word);
/* A moment in a spin loop. */
void fmm_platform_pause(void);

bool fmm_platform_random(void *buffer, size_t length);
