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
    _bound(
        "client_count",
        "fmm_client.c",
        "used < FMM_CLIENTS ? used : FMM_CLIENTS",
        "used",
    ),
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
    _bound("tag_words", "fmm_entry.c", "entry->words > others", "true"),
    _bound("tag_count", "fmm_entry.c", "left <= FMM_TAGS_MAX", "true"),
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
        "fmm_tail.c",
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
    _bound("part_whole", "fmm_parts.c", "left == 0 ? FMM_OK : FMM_MISS", "FMM_OK"),
    _bound("listing_number", "fmm_directory.c", "number < shelf->count &&", "true &&"),
    _bound("listing_links", "fmm_directory.c", "number < shelf->count ?", "true ?"),
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
    _bound(
        "slot_in_bucket",
        "fmm_verify.c",
        "!fmm_page_is_candidate(page, found)",
        "false",
    ),
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
        "(void)fmm_platform_publish(fd, (char[FMM_PATH_SIZE]){0}, "
        "o->options->path, o->fd >= 0);",
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
        "slot_before_base",
        "fmm_page.c",
        "fmm_index_publish(&page->index, found->slot, 0);",
        "fmm_page_note_departure(page, found);\n    fmm_index_publish",
    ),
    Break(
        "base_before_record",
        "order",
        (
            _step(
                "fmm_read.c",
                "uint32_t early = fmm_read_base(cache, key);",
                "enum fmm_status status = fmm_read_entry(cache, &read);\n"
                "    bool there",
            ),
            _edit(
                "fmm_read.c",
                "there ? (uint32_t)generation : fmm_read_base(cache, key);",
                "there ? (uint32_t)generation : early;",
            ),
        ),
    ),
    _order(
        "base_before_counter",
        "fmm_page.c",
        "set_base(page, hash, (uint32_t)(page->control->generation + 1));",
        "set_base(page, hash, fmm_page_new_generation(page));",
    ),
    _order(
        "tail_before_clear",
        "fmm_evict.c",
        "fmm_tail_pass(tail);",
        "fmm_page_clear_slot(page, &tail->found);",
        _edit(
            "fmm_evict.c",
            "    fmm_tail_pass(tail);\n    return FMM_OK;\n",
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
        "fmm_tail_pass(tail);",
        "repoint(page, tail, ring_id, offset);",
        _edit(
            "fmm_evict.c",
            "    fmm_tail_pass(tail);\n    return true;\n",
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
    _rule(
        "limits_above_ignored",
        "fmm_memory.c",
        "        if (slash == NULL || (size_t)(slash - s->place) < top) {",
        "        if (true) {",
    ),
    _rule(
        "used_memory_ignored",
        "fmm_memory.c",
        "    if (!s->demand->at_once) {",
        "    if (true) {",
    ),
    _rule(
        "creators_together",
        "fmm_creator.c",
        "    if (!fmm_platform_byte_taken(creator->fd, creator->byte)) {",
        "    if (true) {",
    ),
    _rule(
        "child_may_create",
        "fmm_creator.c",
        "    /* A child that was forked meanwhile has it open, too. */\n"
        "    fmm_platform_lock_byte(creator->fd, creator->byte, FMM_UNLOCKED);\n",
        "",
    ),
    _rule(
        "name_not_looked_for_again",
        "fmm_create.c",
        "    if (was_made_meanwhile(o, status)) {\n",
        "    if (false) {\n",
    ),
    _rule(
        "replaced_out_of_turn",
        "fmm_create.c",
        "o->old != NULL && has_turns(o, &geometry)",
        "false",
    ),
    _order(
        "identity_before_locks",
        "fmm_open.c",
        "o->cache->header->identity = here;",
        "fmm_turn_lock_reset(o->cache->header);",
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
        "is_usual(page, length);",
        "false;",
    ),
    _rule(
        "fill_by_budget",
        "fmm_evict.c",
        "work->filling && !work->tidying",
        "false",
    ),
    _rule(
        "orphans_stay",
        "fmm_leave.c",
        "return fmm_leave_is_own(own, entry) ||",
        "return true ||",
    ),
    _rule(
        "rests_forgotten",
        "fmm_directory.c",
        "parts->count == 0 ? FMM_LIST_FREE",
        "true ? FMM_LIST_FREE",
    ),
    _rule(
        "own_page_is_busy",
        "fmm_hold.c",
        "if (guard == NULL || guard->page != page)",
        "if (true)",
    ),
    _rule("dead_last", "fmm_parts_evict.c", "choose_dead(search);", "0;"),
    _rule(
        "coming_of_the_living_goes",
        "fmm_parts_evict.c",
        "!fmm_client_lives(&search->cache->client, listing->owner)",
        "true",
    ),
    _rule(
        "coming_of_the_dead_stays",
        "fmm_parts_evict.c",
        "!fmm_client_lives(&search->cache->client, listing->owner)",
        "false",
    ),
    _rule(
        "lists_unmade",
        "fmm_directory.c",
        "(result.owner_died || directory->built != 1)",
        "directory->built != 1",
    ),
    _rule(
        "tidy_own",
        "fmm_tail.c",
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
        "!fmm_page_lacks_slots(work->page)",
        "true",
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
        "    place.lives = lives_in(&work, source->key, ring);\n",
        "    if (place.same_key && place.old->entry.total == length) {\n"
        "        fmm_entry_write(page->ring[place.old->ring].base +\n"
        "                        place.old->offset, source, length);\n"
        "        return FMM_OK;\n"
        "    }\n"
        "    place.lives = lives_in(&work, source->key, ring);\n",
    ),
    _rule(
        "lease_from_living",
        "fmm_lease.c",
        "lease->owner == fmm_client_owner(&cache->client) ||\n"
        "           fmm_client_lives(&cache->client, lease->owner);",
        "false;",
    ),
    _rule(
        "lease_store_unchecked",
        "fmm_lease.c",
        "!find_own(&hold->page, source->key, token, &old)",
        "!find_own(&hold->page, source->key, token, &old) && false",
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
        "result->waited && !fmm_client_lives(wish->client, seen)",
        "false",
    ),
    _rule(
        "take_from_living",
        "fmm_lock.c",
        "!fmm_client_lives(wish->client, seen)",
        "true",
    ),
    _rule(
        "owner_unchecked",
        "fmm_manifest.c",
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
    _rule("tags_unread", "fmm_read.c", "now != tags[i].generation", "false"),
    _rule(
        "record_leaves_base",
        "fmm_page.c",
        "FMM_UNLIKELY(fmm_entry_is_record(&found->entry))",
        "false",
    ),
    _rule(
        "victim_leaves_base",
        "fmm_insert.c",
        "        fmm_page_note_departure(work->page, &place->victim);\n",
        "",
    ),
    _rule(
        "reset_leaves_bases",
        "fmm_page.c",
        "    fmm_page_note_loss(page);\n    for",
        "    for",
    ),
    _rule("bad_slot_leaves_bases", "fmm_page.c", "!*noted", "false"),
    _rule(
        "records_fill_pages",
        "fmm_group.c",
        "!old && has_many_records",
        "false && has_many_records",
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
                "           fmm_leave",
                "    return fmm_leave",
            ),
            _edit(
                "fmm_victim.c",
                "    return fmm_entry_leased(entry, work->now_ms) ||\n"
                "           fmm_leave",
                "    return fmm_leave",
            ),
        ),
    ),
    _rule("last_stored_first", "fmm_victim.c", "return last;", "return false;"),
    _rule(
        "client_of_any_generation",
        "fmm_client.c",
        "           generation ==\n"
        "               atomic_load_explicit(&client->table[number].generation,\n"
        "                                    memory_order_relaxed);",
        "           true;",
    ),
    _rule(
        "client_generation_stays",
        "fmm_client.c",
        "entry->generation % FMM_OWNER_GENERATION_MAX + 1",
        "entry->generation",
    ),
    _rule(
        "descriptor_believed",
        "fmm_client.c",
        "    if (is_ours(client, client->fd)) {\n"
        "        return !is_free(client, client->fd, number);\n",
        "    if (true) {\n"
        "        return fmm_platform_byte_taken(client->fd,\n"
        "                                       FMM_BYTE_CLIENTS + number);\n",
    ),
    _rule(
        "own_clients_asked_after",
        "fmm_client.c",
        "is_here(client, owner) ||\n",
        "owner == client->owner ||\n",
    ),
    _rule(
        "unasked_is_dead",
        "fmm_client.c",
        "    bool taken = !is_free(client, fd, number);",
        "    bool taken = fd >= 0 && !is_free(client, fd, number);",
    ),
    _rule(
        "child_only_closes",
        "fmm_client.c",
        "!fmm_map_over(client->base, fd, client->size)",
        "false",
    ),
    _rule(
        "opening_shared_with_a_child",
        "fmm_client.c",
        "client->forks_made != fmm_forks_made()",
        "false",
    ),
    _rule(
        "child_keeps_the_descriptor",
        "fmm_client.c",
        "        fd = fmm_platform_move(fd, client->fd);\n",
        "        (void)0;\n",
    ),
    _rule(
        "child_goes_on_without_the_file",
        "fmm_client.c",
        "        fmm_platform_close(fd);\n        lose(client);\n",
        "        fmm_platform_close(fd);\n",
    ),
    _rule(
        "lock_apart_from_the_map",
        "fmm_create.c",
        "fmm_map_file(fd, cache->geometry.file_size);",
        "fmm_map_file(fmm_platform_reopen(fd), cache->geometry.file_size);",
    ),
    _rule(
        "unknown_child_is_its_parent",
        "fmm_process.c",
        "MADV_WIPEONFORK) == 0) {",
        "MADV_WIPEONFORK) != 0) {",
    ),
    _rule(
        "counts_are_lost",
        "fmm_client.h",
        "    atomic_fetch_add_explicit(&stripes[stripe].counts[what], 1,\n"
        "                              memory_order_relaxed);",
        "    stripes[stripe & 0].counts[what] = stripes[stripe & 0].counts[what] + 1;",
    ),
    _rule(
        "counts_of_the_dead_are_told_again",
        "fmm_client.c",
        "                            entry->stripes[s].counts[what]);",
        "                            0);",
    ),
    _rule(
        "boot_that_says_nothing_is_another",
        "fmm_open.c",
        "    return is_known(there) && is_known(here) &&\n           memcmp",
        "    return memcmp",
    ),
    _rule(
        "file_in_use_elsewhere_is_taken",
        "fmm_open.c",
        "    if (!is_of_another_kernel(&o->cache->header->identity, here)) {\n",
        "    if (true) {\n",
    ),
    _rule(
        "locks_from_elsewhere_are_kept",
        "fmm_open.c",
        "        atomic_store_explicit(&page.control->lock, 0, ",
        "        (void)(0, ",
    ),
    _rule(
        "replace_in_use",
        "fmm_mismatch.c",
        "    if (is_in_use(o)) {",
        "    if (false) {",
    ),
    _rule(
        "replace_changes",
        "fmm_mismatch.c",
        "    if (may_hold_changes(o)) {\n        note_kept(",
        "    if (false) {\n        note_kept(",
    ),
    _rule(
        "renew_changes",
        "fmm_mismatch.c",
        "    if (may_hold_changes(o)) {\n        return ",
        "    if (false) {\n        return ",
    ),
    _rule(
        "retire_for_others",
        "fmm_create.c",
        " && o->old->version == FMM_VERSION",
        "",
    ),
    _rule("changes_unsaid", "fmm_insert.c", "    fmm_page_note_unwritten(page);\n", ""),
    _rule(
        "settle_unseen",
        "fmm_dirty.c",
        "        if (!is_clean(cache, call, page)) {",
        "        if (false) {",
    ),
    _rule(
        "writers_together",
        "fmm_turn.c",
        "fmm_lock_take(&lock->word, owner, &cache->client,\n"
        "                                           call->wait_ms, &ignored)",
        "FMM_OK",
    ),
)

_NEAR = (
    _rule(
        "near_slot",
        "fmm_near.c",
        "load_acquire(cache, seen->slot) != seen->word",
        "false",
    ),
    _rule("near_index", "fmm_near.c", ">> 32 !=\n            seen->index", "== 1"),
    _rule("near_expiry", "fmm_near.c", "expire_at <= now_ms", "false"),
    _rule("near_lap", "fmm_near.c", " <= seen->position;", " < UINT64_MAX;"),
    _rule("near_retired", "fmm_near.c", "fmm_file_retired(cache)", "false"),
    _rule(
        "near_integer",
        "fmm_near.c",
        "seen->is_integer && fmm_entry_integer(&found.entry) != integer",
        "false",
    ),
    _rule(
        "near_tags",
        "fmm_near.c",
        "fmm_read_tags_hold(cache, &found.entry, now_ms);",
        "true;",
    ),
    _rule(
        "near_credit",
        "fmm_near.c",
        "    take_hit(cache, call, seen);\n",
        "",
    ),
    _rule("near_uncounted", "fmm_near.c", "FMM_COUNT_HITS", "FMM_COUNT_STORES"),
    _rule("near_hint", "fmm_near.c", "FMM_UNLIKELY(cache->client.read_only)", "false"),
    _rule(
        "near_parts",
        "fmm_read.c",
        "FMM_UNLIKELY(read->sighting != NULL) && !split",
        "read->sighting != NULL",
    ),
)

# What is left of a file after a power cut.
_REBOOT = (
    _bound(
        "seal",
        "fmm_seal.c",
        "fmm_load_shared(seal_at(entry)) == fmm_seal_of(entry, key, place)",
        "true",
    ),
    _rule(
        "seal_place", "fmm_seal.c", "return sum ^ place_sum(key, place);", "return sum;"
    ),
    _rule(
        "seal_left_behind", "fmm_evict.c", "seal_copy(page, tail, ring_id, offset);", ""
    ),
    _rule(
        "integer_under_seal",
        "fmm_change.c",
        "!fmm_seal_is_by_integer(&found->entry)",
        "false",
    ),
    _rule(
        "integer_not_sealed",
        "fmm_change.c",
        "        seal_again(page, found);\n",
        "",
    ),
    _rule("reboot_twice", "fmm_reboot.c", "is_outdated(v, &found)) {", "false) {"),
    _bound(
        "reboot_overlap", "fmm_reboot.c", "item->place < *end || !is_whole", "!is_whole"
    ),
    _rule(
        "reboot_lock",
        "fmm_reboot.c",
        "    atomic_store_explicit(&control->lock, 0, memory_order_relaxed);\n",
        "",
    ),
    _rule(
        "reboot_generation",
        "fmm_reboot.c",
        "control->generation += GENERATIONS_LOST;",
        "",
    ),
    _bound("reboot_chain", "fmm_reboot.c", "!is_chain(ring, items, count)", "false"),
    _bound("reboot_parts", "fmm_reboot.c", "has_all_parts(v, &parts)", "true"),
    _bound("reboot_listing", "fmm_reboot.c", "v->claimed[number]) {", "false) {"),
    _rule(
        "reboot_fresh",
        "fmm_reboot.c",
        "spent = FMM_SLOT_PENDING | FMM_SLOT_FRESH;",
        "spent = FMM_SLOT_PENDING;",
    ),
    _rule("reboot_lease", "fmm_reboot.c", "fmm_entry_end_lease(&found->entry);", ""),
)

BREAKS = (*_BOUNDS, *_ORDERS, *_RULES, *_NEAR, *_REBOOT)

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
