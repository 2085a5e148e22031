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
/* Give the space of a part of a mapped file back; it reads as zeros, but for less
 * than a block at either end. Where that cannot be done, it stays as it is. By its
 * address: what has the number of the descriptor may be another file by now. */
void fmm_map_give_back(unsigned char *at, uint64_t length);
/* Survive the truncation of this map: when it is touched past the end of
 * its file, zeros take its place and fmm_map_damaged() says so. */
bool fmm_map_trap(void *base, uint64_t size);
bool fmm_map_damaged(const void *base);
void fmm_map_untrap(void *base);
