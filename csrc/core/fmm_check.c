/* The check of a page, as the user asks for it. */
#include "fmm.h"

#include "fmm_hold.h"
#include "fmm_verify.h"

/* Who died may have left counters behind that only its heir knows of. A
 * broken page is left as it is: a check is no repair. */
static void
inherit(const struct fmm_page *page, const struct fmm_page_report *report)
{
    fmm_count_add(&page->control->recoveries, 1);
    if (!report->bad_rings && !report->bad_slots) {
        fmm_page_recount(page);
    }
}

enum fmm_status
fmm_check_page(struct fmm_cache *cache, const struct fmm_call *call,
               uint32_t page, bool repair, struct fmm_page_report *report)
{
    struct fmm_hold hold;
    enum fmm_status status = fmm_hold_take_raw(cache, call, page, &hold);
    if (status != FMM_OK) {
        return status;
    }
    if (repair) {
        fmm_verify_repair(&hold.page, report);
    }
    else {
        fmm_verify_page(&hold.page, report);
    }
    if (hold.owner_died) {
        inherit(&hold.page, report);
    }
    fmm_hold_release(&hold);
    return FMM_OK;
}
