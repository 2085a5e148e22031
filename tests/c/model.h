/* Random operations beside a plain model of what the cache must hold.
 *
 * The model knows what every key must hold. What it cannot know is which
 * entry is evicted, so a clean key may be found missing, but not more of
 * them than evictions were counted, and never a dirty one. Numbers come from
 * check_random(): from a seed in tests, from the input when fuzzing. */
#pragma once

#include "support.h"

#define MODEL_KEYS 300u /* at most; at least 30 */

/* Begin with this cache, which is empty. */
void model_begin(struct fmm_cache *cache, uint32_t keys);
/* One operation; then the clock moves on. */
void model_step(void);
/* Compare all keys, verify all pages. */
void model_check(void);
/* The same file, opened again. */
void model_reopened(struct fmm_cache *cache);
/* Entries that were found evicted so far. */
uint64_t model_lost(void);
