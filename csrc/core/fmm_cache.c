/* Opening a cache, and checking it if that is wanted. */
#include "fmm.h"

#include "fmm_open.h"

#define VERIFY_WAIT_MS 1000 /* for a page, while a file is verified */

enum fmm_status
fmm_open(const struct fmm_options *options, struct fmm_cache **cache_out,
         struct fmm_error *error)
{
    const struct fmm_call call = {.wait_ms = VERIFY_WAIT_MS};
    struct fmm_cache *cache = NULL;
    enum fmm_status status = fmm_open_file(options, &cache, error);
    if (status != FMM_OK) {
        return status;
    }
    for (uint32_t n = 0; options->verify && n < cache->geometry.num_pages;
         n++) {
        struct fmm_page_report report;
        /* A page that somebody keeps busy is in use, and so in order. */
        if (fmm_check_page(cache, &call, n, true, &report) == FMM_OK &&
            report.bad_rings) {
            cache->repaired++;
        }
    }
    *cache_out = cache;
    return FMM_OK;
}
