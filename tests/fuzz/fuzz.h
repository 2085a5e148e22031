/* What the fuzz targets share.
 *
 * A target links the helpers of tests/c, but has a check.h of its own
 * (input.c): check_random() hands out the bytes of the input, and a check
 * that fails aborts, so that the fuzzer saves the input. Every choice of the
 * shared operations is thus a byte that the fuzzer can change. */
#pragma once

#include "support.h"

/* When every input begins, ms since 1970, so that saved images keep their
 * lifetimes. */
#define INPUT_NOW UINT64_C(2000000000000)

/* From now on numbers come from these bytes; zeros when they are used up. */
void input_begin(const uint8_t *data, size_t size);
/* Bytes that are left. */
size_t input_left(void);

/* Copy `length` bytes from `from` on of the input, zeros beyond its end. */
void input_copy(void *to, size_t length, const uint8_t *data, size_t size,
                size_t from);

/* A page image as the targets page and race take it. */
enum image_part {
    IMAGE_PREFIX = 64, /* geometry, switches, and choices of operations */
    IMAGE_CONTROL_AT = IMAGE_PREFIX,
    IMAGE_PAGE_AT = IMAGE_CONTROL_AT + FMM_CONTROL_SIZE,
    IMAGE_CHOICES_AT = 2
};

/* The cache on the heap of the geometry that the first byte chooses; made
 * once, used by every run. */
struct fmm_cache *image_cache(uint8_t choice);
/* Lay the image into it, control block and page, and begin its choices. */
void image_load(struct fmm_cache *cache, const uint8_t *data, size_t size);
/* Choose operations by it, from the first choice on. */
void image_choices(const uint8_t *data, size_t size);
/* Mutate one: its page, or its choices. */
size_t image_mutate(uint8_t *data, size_t size, size_t max_size);
/* Whoever held its lock is gone. */
void image_unlock(struct fmm_cache *cache);

/* The bytes of a page, wherever its parts lie. */
struct page_parts {
    unsigned char *control, *index, *rings;
};

/* Change one field of a page in place. Knows the format, repairs nothing. */
void mutate_page(const struct fmm_geometry *geometry,
                 const struct page_parts *page);
/* Numbers for mutators. */
void mutate_seed(unsigned seed);
uint64_t mutate_random(void);
uint64_t mutate_below(uint64_t n); /* 0: any number */
/* A field of 4 bytes. */
void mutate_half(unsigned char *at, uint32_t near);
/* The value of a field, as it stood, made interesting. */
uint64_t mutate_number(uint64_t old, uint64_t near);

/* The library's own mutation. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
/* What each target defines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
