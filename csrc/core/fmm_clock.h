/* What time it is, and which process: a part of fmm.h. */
#pragma once

#include <stdint.h>

/* Milliseconds since 1970 from the coarse clock (1-4 ms steps). */
uint64_t fmm_now_ms(void);
/* Nanoseconds since 1970, exactly. */
uint64_t fmm_now_ns(void);
/* Milliseconds of a clock that never jumps, for deadlines. Not for what is
 * stored: containers may have others. */
uint64_t fmm_monotonic_ms(void);
uint64_t fmm_monotonic_ns(void);
/* Grows by one in each fork()ed child: tells a process from its parent. */
uint64_t fmm_forks(void);
