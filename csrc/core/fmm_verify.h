/* Is a page sound? Walk its rings and its slots.
 *
 * The caller holds the page lock. Changes nothing but that it settles the
 * rings; fmm_verify_repair() does. */
#pragma once

#include "fmm_page.h"

void fmm_verify_page(struct fmm_page *page, struct fmm_page_report *report);
/* Verify, clear bad slots, empty the page if a ring is broken, recount.
 * True when the page was emptied. */
bool fmm_verify_repair(struct fmm_page *page, struct fmm_page_report *report);
