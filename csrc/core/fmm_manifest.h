/* Whose the parts of a value are: asked when one is about to be evicted.
 *
 * A part tells the hash of the key that it belongs to, and that key's entry
 * tells which parts are its own. Nobody owns what a killed writer left, before
 * its commit or after it, and what an entry left that was evicted itself.
 * Waits for no lock, and so may be asked while any page is held. */
#pragma once

#include "fmm_page.h"

/* Whether an entry names that part, on whatever page. True too when that page
 * changes faster than it can be read. */
bool fmm_manifest_lives(const struct fmm_page *page,
                        const struct fmm_entry *part, uint64_t now_ms);
/* Look on a page that is held for the manifest of the parts of that `id`; the
 * rest of `parts` is filled. */
bool fmm_manifest_find(const struct fmm_page *page, struct fmm_parts *parts,
                       struct fmm_found *found_out);
/* Evict the entry that names a part which has to leave `page`, which is held:
 * a value is there as a whole, or not at all. Its page is tried once, never
 * waited for. True: the others of its parts are `parts_out`. */
bool fmm_manifest_evict(const struct fmm_page *page,
                        const struct fmm_entry *part,
                        struct fmm_parts *parts_out);
