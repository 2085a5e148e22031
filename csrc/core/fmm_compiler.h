/* What the compiler is told: which way a branch goes, and what is inlined. */
#pragma once

/* True, or false, nearly always. */
#define FMM_LIKELY(x) __builtin_expect(!!(x), 1)
#define FMM_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* Inline all that the function calls, also from other modules where the
 * linker optimizes. For what is called most, and has no rare long branch. */
#define FMM_FLATTEN __attribute__((flatten))
/* Stays a call, even there. */
#define FMM_NOINLINE __attribute__((noinline))
/* The rare long branch: a call, and out of the way. */
#define FMM_COLD __attribute__((cold, noinline))
