/* Maps of a file, and the trap for the SIGBUS of one that was truncated.
 *
 * Functions that fail return false or NULL and leave errno. */
#pragma once

#include "fmm_base.h"

void *fmm_map_file(int fd, uint64_t size); /* NULL when it fails */
void *fmm_map_to_read(int fd, uint64_t size);
/* Let a map show a copy of the file that is this process's own from now on. */
bool fmm_map_privately(void *base, int fd, uint64_t size);
/* Map the file of `fd` in the place of what is mapped. */
bool fmm_map_over(void *base, int fd, uint64_t size);
/* Zeros that nobody shares. */
void fmm_map_nothing(void *base, uint64_t size);
void fmm_map_end(void *base, uint64_t size);
/* Survive the truncation of this map: when it is touched past the end of
 * its file, zeros take its place and fmm_map_damaged() says so. */
bool fmm_map_trap(void *base, uint64_t size);
bool fmm_map_damaged(const void *base);
void fmm_map_untrap(void *base);
