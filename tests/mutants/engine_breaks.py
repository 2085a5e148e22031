"""Ways to break the engine, each a defect as somebody could write it.

A bound is a check of bytes that anybody may have written, left out. An order
is a step too early, or one too many. A rule is everything else. The texts are
found in their file of csrc/core exactly once; catchers of each: known.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from edits import Edit


@dataclass(frozen=True)
class Break:
    """One defect."""

    name: str
    kind: str
    edits: tuple[Edit, ...]


def _edit(file: str, old: str, new: str) -> Edit:
    return (f"csrc/core/{file}", old, new)


def _step(file: str, step: str, before: str) -> Edit:
    """Put a step before a line of a function's outermost block."""
    return _edit(file, f"    {before}", f"    {step}\n    {before}")


def _bound(name: str, file: str, old: str, new: str) -> Break:
    return Break(name, "bound", (_edit(file, old, new),))


def _rule(name: str, file: str, old: str, new: str) -> Break:
    return Break(name, "rule", (_edit(file, old, new),))


def _order(name: str, file: str, step: str, before: str, *more: Edit) -> Break:
    return Break(name, "order", (_step(file, step, before), *more))


_BOUNDS = (
    _bound("parts_capacity", "fmm_get.c", "parts->length > read->capacity", "false"),
    _bound(
        "held_capacity",
        "fmm_get.c",
        "found.entry.value_len > read->capacity",
        "false",
    ),
    _bound("ticket_ring", "fmm_dirty.c", "ticket->ring > FMM_RING_M", "false"),
    _bound("ticket_tail", "fmm_dirty.c", "ticket->position < ring->tail", "false"),
    _bound("ticket_head", "fmm_dirty.c", "ticket->position >= ring->head", "false"),
    _bound(
        "dirty_capacity",
        "fmm_dirty.c",
        "!fmm_fits(meta_out->key_len, meta_out->value_len, capacity)",
        "false",
    ),
    _bound(
        "tag_words",
        "fmm_entry.c",
        "entry->words > others && left % FMM_TAG_WORDS == 0",
        "true",
    ),
    _bound("tag_count", "fmm_entry.c", "left <= FMM_TAG_WORDS * FMM_TAGS_MAX", "true"),
    _bound(
        "internal_untagged",
        "fmm_entry.c",
        "(entry->flags & FMM_ENTRY_KEY_OWN) == 0",
        "true",
    ),
    Break(
        "entry_words",
        "bound",
        (
            _edit("fmm_entry.c", "entry->words == 0", "true"),
            _edit("fmm_entry.c", "entry->words == words_of_flags(entry)", "true"),
        ),
    ),
    _bound("entry_parts", "fmm_entry.c", "fixed > entry->total", "false"),
    _bound("integer_alone", "fmm_entry.c", "value_len != 0", "false"),
    _bound("integer_type", "fmm_entry.c", "entry->type != FMM_TYPE_INT", "false"),
    _bound(
        "split_length", "fmm_entry.c", "value_len != sizeof(struct fmm_parts)", "false"
    ),
    _bound(
        "lease_alone",
        "fmm_entry.c",
        "!fmm_entry_bare(entry) ||\n"
        "           (value_len == 0 && (entry->flags & FMM_ENTRY_MODSEQ) == 0)",
        "true",
    ),
    _bound("entry_aligned", "fmm_entry.c", "(offset & 7u) != 0", "false"),
    _bound("entry_place", "fmm_entry.c", "!fmm_fits(offset, 8, size)", "false"),
    _bound("total_aligned", "fmm_entry.c", "(out->total & 7u) == 0", "true"),
    _bound("total_min", "fmm_entry.c", "out->total >= FMM_ENTRY_PADDING_MIN", "true"),
    _bound("total_fits", "fmm_entry.c", "fmm_fits(offset, out->total, size)", "true"),
    _bound("entry_header", "fmm_entry.c", "out->total < FMM_ENTRY_HEADER", "false"),
    _bound(
        "entry_flags",
        "fmm_entry.c",
        "(out->flags & ~(unsigned)FMM_ENTRY_KNOWN) != 0",
        "false",
    ),
    _bound(
        "entry_no_padding",
        "fmm_entry.c",
        "(out->flags & FMM_ENTRY_PADDING) == 0",
        "true",
    ),
    _bound(
        "tail_within_ring",
        "fmm_evict.c",
        "found->entry.total > fmm_ring_used(ring)",
        "false",
    ),
    _bound("stays", "fmm_evict.c", "work->stays <= kept", "false"),
    _bound("next_recount", "fmm_evict.c", "due - tail > laps", "false"),
    _bound("hand_bucket", "fmm_hand.c", "bucket >= page->index.buckets", "false"),
    _bound(
        "header_magic",
        "fmm_header.c",
        "memcmp(header->magic, FMM_MAGIC, FMM_MAGIC_SIZE) == 0",
        "true",
    ),
    _bound(
        "header_order", "fmm_header.c", "header->byte_order != FMM_BYTE_ORDER", "false"
    ),
    _bound("header_version", "fmm_header.c", "header->version != FMM_VERSION", "false"),
    _bound(
        "header_word", "fmm_header.c", "header->word_size != sizeof(void *)", "false"
    ),
    _bound(
        "header_checksum",
        "fmm_header.c",
        "header->checksum != checksum(header)",
        "false",
    ),
    _bound(
        "header_size", "fmm_header.c", "header->header_size != FMM_HEADER_SIZE", "false"
    ),
    _bound(
        "serializer_end", "fmm_header.c", "!name_is_sound(header->serializer)", "false"
    ),
    _bound(
        "compressor_end", "fmm_header.c", "!name_is_sound(header->compressor)", "false"
    ),
    _bound(
        "header_sum",
        "fmm_header.c",
        "geometry_out->file_size != header->file_size",
        "false",
    ),
    _bound(
        "file_size", "fmm_header.c", "if (file_size != header->file_size)", "if (false)"
    ),
    _bound("page_number", "fmm_hold.c", "page >= cache->geometry.num_pages", "false"),
    _bound("regular_file", "fmm_open.c", "!stat->regular", "false"),
    _bound("own_file", "fmm_open.c", "stat->foreign", "false"),
    _bound(
        "own_writes", "fmm_open.c", "(stat->mode & WRITABLE_BY_OTHERS) != 0", "false"
    ),
    _bound("still_named", "fmm_open.c", "!has_name(o)", "false"),
    _bound(
        "page_size_min",
        "fmm_options.c",
        "if (page_size < FMM_PAGE_SIZE_MIN ||",
        "if (false ||",
    ),
    _bound(
        "page_size_max",
        "fmm_options.c",
        "|| page_size > FMM_PAGE_SIZE_MAX ||",
        "|| false ||",
    ),
    _bound(
        "page_size_power",
        "fmm_options.c",
        "(page_size & (page_size - 1)) != 0",
        "false",
    ),
    _bound("pages_min", "fmm_options.c", "num_pages == 0", "false"),
    _bound("pages_max", "fmm_options.c", "num_pages > FMM_PAGES_MAX ||", "false ||"),
    _bound("buckets_min", "fmm_options.c", "buckets == 0", "false"),
    _bound("buckets_max", "fmm_options.c", "buckets > most", "false"),
    _bound("slot_bits", "fmm_page.c", "(out->word & mask) != FMM_SLOT_USED", "false"),
    _bound("counter", "fmm_page.c", "*counter > n", "true"),
    _bound(
        "parts_length",
        "fmm_parts.c",
        "parts->length <= fmm_geometry_max_value(geometry)",
        "true",
    ),
    _bound("part_whole", "fmm_parts.c", "meta.value_len == length", "true"),
    _bound("read_capacity", "fmm_read.c", "entry->value_len <= read->capacity", "true"),
    _bound("position_lap", "fmm_ring.c", "position >> LAP_SANE_BITS == 0", "true"),
    _bound(
        "position_place",
        "fmm_ring.c",
        "fmm_ring_offset(ring, position) < ring->size",
        "true",
    ),
    _bound("head_of_tail", "fmm_ring.c", "ring->head - ring->tail <= 2 * lap", "true"),
    _bound(
        "scan_capacity",
        "fmm_scan.c",
        "fmm_fits(scan->used, size, scan->capacity)",
        "true",
    ),
    _bound(
        "scan_size",
        "fmm_scan.c",
        "scan->used > largest_scan(&hold.page)",
        "false",
    ),
    _bound("chain_within_ring", "fmm_verify.c", "entry.total > left", "false"),
    _bound("slot_in_bucket", "fmm_verify.c", "!is_candidate(page, found)", "false"),
    _bound("slot_before_head", "fmm_verify.c", "start < ring->head", "true"),
    _bound(
        "slot_within_ring",
        "fmm_verify.c",
        "found->entry.total <= fmm_ring_distance(ring, start, ring->head)",
        "true",
    ),
    _bound("slots_share", "fmm_verify.c", "report->live_bytes > used", "false"),
)

_ORDERS = (
    _order(
        "add_before_dirty",
        "fmm_change.c",
        "fmm_entry_set_integer(&found->entry, a->result);",
        "if (a->store->dirty && found->word != dirty) {",
    ),
    _order(
        "add_before_lease",
        "fmm_change.c",
        "fmm_entry_set_integer(&found->entry, a->result);",
        "fmm_entry_end_lease(&found->entry);",
    ),
    _order(
        "name_before_content",
        "fmm_create.c",
        "fmm_platform_publish(fd, name, o->options->path, replace);",
        "if (!fill_new(o, fd, &o->cache->geometry)) {",
    ),
    _order(
        "integer_in_two_stores",
        "fmm_entry.c",
        "*(volatile uint32_t *)(void *)(writable(entry) + FMM_ENTRY_HEADER) =\n"
        "        (uint32_t)value;",
        "fmm_store_shared(writable(entry) + FMM_ENTRY_HEADER, (uint64_t)value);",
    ),
    _order(
        "token_first",
        "fmm_entry.c",
        "store_token(words, lease->token);",
        "fmm_store_shared(words + 8, lease->deadline);",
    ),
    _order(
        "index_before_slots",
        "fmm_grow.c",
        "fmm_page_change_index(page, at, buckets);",
        "if (!copy_slots(page, &larger)) {",
    ),
    _order(
        "index_before_tails",
        "fmm_read.c",
        "fmm_page_load_tails(&look.page, look.tail);",
        "enum fmm_status status = find(&look, &found);",
    ),
    _order(
        "tail_before_clear",
        "fmm_evict.c",
        "tail_pass(tail);",
        "fmm_page_clear_slot(page, &tail->found);",
        _edit(
            "fmm_evict.c",
            "    tail_pass(tail);\n    return FMM_OK;\n",
            "    return FMM_OK;\n",
        ),
    ),
    _order(
        "move_before_copy",
        "fmm_evict.c",
        "repoint(page, tail, ring_id, offset);",
        "fmm_copy_in(ring->base + offset, tail->found.entry.at, tail->length);",
    ),
    _order(
        "tail_before_move",
        "fmm_evict.c",
        "tail_pass(tail);",
        "repoint(page, tail, ring_id, offset);",
        _edit(
            "fmm_evict.c",
            "    tail_pass(tail);\n    return true;\n",
            "    return true;\n",
        ),
    ),
    _order(
        "publish_before_data",
        "fmm_insert.c",
        "fmm_index_publish(&page->index, place->slot, word);",
        "fmm_entry_write(ring->base + offset, source, length);",
    ),
    _order(
        "publish_before_head",
        "fmm_insert.c",
        "fmm_index_publish(&page->index, place->slot, word);",
        "fmm_ring_append(ring, length);",
    ),
    _order(
        "delete_then_set",
        "fmm_insert.c",
        "fmm_index_publish(&page->index, place->slot, 0);",
        "if (place->same_key) {",
    ),
    _order(
        "identity_before_locks",
        "fmm_open.c",
        "o->cache->header->identity = here;",
        "fmm_writer_lock_reset(o->cache->header);",
    ),
    _order(
        "slot_before_tails",
        "fmm_read.c",
        "    fmm_page_load_tails(&look->page, look->tail);",
        "    if (FMM_LIKELY(sound && fmm_entry_has_key(&found->entry, key))) {",
    ),
    _order(
        "tail_in_two_stores",
        "fmm_ring.c",
        "uint64_t place = (UINT64_C(1) << ring->shift) - 1;\n"
        "    atomic_store(ring->tail_word, (tail & ~place) | (ring->tail & place));",
        "ring->tail = tail;",
    ),
    _order(
        "stay_tail_first",
        "fmm_ring.c",
        "store_tail(ring, next);",
        "store_head(ring, next + (UINT64_C(1) << ring->shift));",
    ),
)

_RULES = (
    _rule(
        "remove_unmarked",
        "fmm_change.c",
        "mark ? FMM_DUE_MARKED : FMM_DUE_DELETION;",
        "FMM_DUE_DELETION;",
    ),
    _rule(
        "add_keeps_lease",
        "fmm_change.c",
        "    fmm_entry_end_lease(&found->entry);\n",
        "",
    ),
    _rule(
        "done_for_any_removal",
        "fmm_dirty.c",
        "ticket->removed == ((found->word & FMM_SLOT_REMOVED) != 0)",
        "true",
    ),
    _rule(
        "done_for_any_integer",
        "fmm_dirty.c",
        "(found->entry.flags & FMM_ENTRY_INTEGER) == 0",
        "true",
    ),
    _rule(
        "move_keeps_lease",
        "fmm_entry.c",
        "FMM_LIKELY((from->flags & FMM_ENTRY_LEASE) == 0)",
        "true",
    ),
    _rule("index_over_entry", "fmm_grow.c", "head + length", "head"),
    _rule(
        "usual_large",
        "fmm_evict.c",
        "(!fmm_owner_is_part_key(key) && is_usual(page, length))",
        "false",
    ),
    _rule(
        "orphans_stay", "fmm_evict.c", "!fmm_evict_is_own(work, entry) &&", "false &&"
    ),
    _rule(
        "tidy_own",
        "fmm_evict.c",
        "work->tidying && ring->tail >= work->fresh[ring_id]",
        "false",
    ),
    _rule(
        "count_of_entries",
        "fmm_evict.c",
        "fmm_max(work->page->control->entries, 1)",
        "work->page->control->entries",
    ),
    _rule(
        "average_of_entries",
        "fmm_evict.c",
        "fmm_max(fmm_page_live(work->page) / entries, FMM_ENTRY_HEADER)",
        "fmm_page_live(work->page) / entries",
    ),
    _rule(
        "evict_dirty",
        "fmm_evict.c",
        "if (tail->found.word & FMM_SLOT_DIRTY) {",
        "if (false) {",
    ),
    _rule("move_clean", "fmm_evict.c", "word | kept", "word"),
    _rule(
        "clean_without_slots",
        "fmm_evict.c",
        "page->control->entries > slots - slots / SLOTS_SHARE",
        "false",
    ),
    _rule(
        "main_uncleaned",
        "fmm_evict.c",
        "    uint64_t size = work->page->ring[ring].size;\n",
        "    uint64_t size = work->page->ring[ring].size;\n"
        "    if (ring == FMM_RING_M) {\n        return false;\n    }\n",
    ),
    _rule(
        "probation_uncleaned",
        "fmm_evict.c",
        "    uint64_t size = work->page->ring[ring].size;\n",
        "    uint64_t size = work->page->ring[ring].size;\n"
        "    if (ring != FMM_RING_M) {\n        return false;\n    }\n",
    ),
    _rule(
        "clean_for_ever",
        "fmm_evict.c",
        "work->page->ring[ring].tail < work->fresh[ring]",
        "true",
    ),
    _rule(
        "stay_for_small",
        "fmm_evict.c",
        "!is_cleaning(work, FMM_RING_M);",
        "!is_cleaning(work, FMM_RING_M) || true;",
    ),
    _rule(
        "spared_pays",
        "fmm_evict.c",
        "!spared && can_pay(work, &tail)",
        "can_pay(work, &tail)",
    ),
    _rule(
        "clean_late",
        "fmm_evict.c",
        "(free_bytes < cleaned && is_cleaning(work, ring_id))",
        "false",
    ),
    _rule(
        "write_in_place",
        "fmm_insert.c",
        "    if (place.old != NULL) {\n",
        "    if (place.same_key && place.old->entry.total == length) {\n"
        "        fmm_entry_write(page->ring[place.old->ring].base +\n"
        "                        place.old->offset, source, length);\n"
        "        return FMM_OK;\n"
        "    }\n"
        "    if (place.old != NULL) {\n",
    ),
    _rule(
        "lease_from_living",
        "fmm_lease.c",
        "lease->owner == fmm_file_owner(cache) ||\n"
        "           fmm_platform_alive(lease->owner);",
        "false;",
    ),
    _rule(
        "lease_store_unchecked",
        "fmm_lease.c",
        "!find_own(&page, source->key, token, &old)",
        "!find_own(&page, source->key, token, &old) && false",
    ),
    _rule(
        "lease_release_unchecked",
        "fmm_lease.c",
        "!find_own(page, key, token, &found)) {\n"
        "        return FMM_MISS;\n"
        "    }\n"
        "    end_found(",
        "!find_own(page, key, token, &found) && false) {\n"
        "        return FMM_MISS;\n"
        "    }\n"
        "    end_found(",
    ),
    _rule(
        "lease_extend_unchecked",
        "fmm_lease.c",
        "!find_own(page, key, token, &found)) {\n"
        "        return FMM_MISS;\n"
        "    }\n"
        "    if (",
        "!find_own(page, key, token, &found) && false) {\n"
        "        return FMM_MISS;\n"
        "    }\n"
        "    if (",
    ),
    _rule(
        "lease_ended_once",
        "fmm_lease.c",
        "        atomic_thread_fence(memory_order_seq_cst);\n    }\n",
        "        atomic_thread_fence(memory_order_seq_cst);\n"
        "        return FMM_OK;\n"
        "    }\n",
    ),
    _rule(
        "never_take_over",
        "fmm_lock.c",
        "round > 0 && !is_held(lock, seen, round)",
        "false",
    ),
    _rule("take_from_living", "fmm_lock.c", "!is_held(lock, seen, round)", "true"),
    _rule(
        "owner_unchecked",
        "fmm_owner.c",
        "!fmm_page_is_whole(page, tail[found->ring], found->ring,\n"
        "                               found->offset)",
        "false",
    ),
    _rule(
        "live_bytes",
        "fmm_page.c",
        "fmm_min(page->control->live[ring], used)",
        "page->control->live[ring]",
    ),
    _rule(
        "no_recheck",
        "fmm_read.c",
        "fmm_page_is_whole(&look->page, look->tail[ring_id], ring_id,\n"
        "                             offset);",
        "true;",
    ),
    _rule(
        "misses_unchecked",
        "fmm_read.c",
        "!is_whole(look, found->ring, found->offset)) {\n            return LAPPED;",
        "false) {\n            return LAPPED;",
    ),
    _rule(
        "tags_unread", "fmm_read.c", "now == 0 || now != tags[i].generation", "false"
    ),
    _rule(
        "stay_not_finished",
        "fmm_ring.c",
        "FMM_UNLIKELY(ring->head - ring->tail > lap)",
        "false",
    ),
    _rule(
        "drop_leased",
        "fmm_scan.c",
        "fmm_lease_runs(&lease, d->now_ms) &&\n           (d->what",
        "false && (d->what",
    ),
    Break(
        "leases_unwanted",
        "rule",
        (
            _edit(
                "fmm_evict.c",
                "    return fmm_entry_leased(&tail->found.entry, work->now_ms) ||\n"
                "           fmm_evict",
                "    return fmm_evict",
            ),
            _edit(
                "fmm_victim.c",
                "    return fmm_entry_leased(entry, work->now_ms) ||\n"
                "           fmm_evict",
                "    return fmm_evict",
            ),
        ),
    ),
    _rule("last_stored_first", "fmm_victim.c", "return last;", "return false;"),
    _rule(
        "writers_together",
        "fmm_writer.c",
        "fmm_lock_take(&lock->word, owner, call->wait_ms, &ignored)",
        "FMM_OK",
    ),
)

BREAKS = (*_BOUNDS, *_ORDERS, *_RULES)

# What is left out here, nothing may depend on.
HARMLESS = (
    _rule(
        "no_repair",
        "fmm_hold.c",
        "    fmm_count_add(&page->control->recoveries, 1);\n"
        "    fmm_hold_repair(page);\n",
        "    fmm_count_add(&page->control->recoveries, 1);\n",
    ),
)
