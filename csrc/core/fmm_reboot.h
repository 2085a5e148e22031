/* The first look at a sealed file in another boot, or at a copy of one.
 *
 * Power may have been cut: then each 4 KiB of the file are those of some moment,
 * of whatever is in them. Every slot is compared with its entry, and every entry
 * with its seal; what does not fit is dropped. Where what is left of a ring is
 * no chain any more, the gaps become padding. Nobody lives who locked anything.
 *
 * What comes back may be older than the newest, but was stored under its key,
 * whole. The caller is alone with the file. */
#pragma once

#include "fmm_options.h"
#include "fmm_status.h"

/* What was found. */
struct fmm_reboot {
    uint64_t entries; /* that are whole */
    uint64_t dropped; /* slots that named none */
    uint64_t pages;   /* whose rings had to be joined again */
    uint64_t dirty;   /* of the entries those that are to be written back */
};

/* Verify all pages, then the values in parts. FMM_OK, FMM_ERR_MEMORY, or
 * FMM_ERR_OS where the options say to give up. Killed or given up meanwhile,
 * the next one begins again. */
enum fmm_status fmm_reboot_verify(unsigned char *base,
                                  const struct fmm_geometry *geometry,
                                  const uint64_t seed[2],
                                  const struct fmm_options *options,
                                  struct fmm_reboot *out);
/* Whether every slot of the file names an entry that is whole: nothing is
 * changed. FMM_OK, FMM_MISS, or FMM_ERR_OS as above. */
enum fmm_status fmm_reboot_look(unsigned char *base,
                                const struct fmm_geometry *geometry,
                                const struct fmm_options *options);
