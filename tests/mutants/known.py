"""Who notices which mutant; found by ``run.py --search``."""

from __future__ import annotations

_BY_CATCHER = {
    "test_entry": "entry_aligned entry_place total_aligned total_fits "
    "entry_flags entry_parts entry_words integer_alone integer_type "
    "entry_no_padding lease_alone split_length tag_count tag_words "
    "internal_untagged",
    "test_groups": "tags_unread record_leaves_base victim_leaves_base "
    "reset_leaves_bases bad_slot_leaves_bases records_fill_pages",
    "test_crash_order group 30": "slot_before_base base_before_counter",
    "test_entry@asan": "entry_header",
    "test_seal": "seal_place seal_left_behind integer_under_seal integer_not_sealed",
    "test_reboot": "seal reboot_twice reboot_overlap reboot_lock reboot_generation "
    "reboot_chain reboot_parts reboot_listing reboot_fresh reboot_lease",
    "test_ring": "position_lap position_place head_of_tail stay_not_finished",
    "test_header": "header_magic header_order header_version header_word "
    "header_checksum header_size serializer_end compressor_end header_sum file_size "
    "buckets_max",
    "test_options": "pages_max page_size_min page_size_max page_size_power pages_min "
    "buckets_min",
    "test_page": "slot_bits counter live_bytes",
    "test_verify": "slot_in_bucket slot_before_head slot_within_ring "
    "chain_within_ring slots_share total_min",
    "test_dirty": "ticket_ring ticket_tail ticket_head dirty_capacity "
    "done_for_any_integer done_for_any_removal remove_unmarked",
    "test_mismatch": "replace_in_use replace_changes renew_changes retire_for_others "
    "changes_unsaid settle_unseen",
    "test_turn": "writers_together replaced_out_of_turn",
    "test_evict": "evict_dirty move_clean stays next_recount main_uncleaned "
    "probation_uncleaned spared_pays stay_for_small clean_late "
    "tidy_own usual_large fill_by_budget clean_for_ever clean_without_slots "
    "count_of_entries average_of_entries",
    "test_victim": "last_stored_first",
    "test_crash_order": "publish_before_data publish_before_head delete_then_set "
    "write_in_place",
    "test_crash_order full 30": "move_before_copy tail_before_clear tail_before_move "
    "stay_tail_first tail_in_two_stores",
    "test_crash_order place 30": "integer_in_two_stores add_before_dirty",
    "test_crash_order lease 30": "add_before_lease token_first",
    "test_lease": "add_keeps_lease lease_extend_unchecked lease_from_living "
    "lease_release_unchecked lease_store_unchecked leases_unwanted drop_leased",
    "test_lease_end": "lease_ended_once move_keeps_lease",
    "test_lock": "take_from_living never_take_over",
    "test_client": "client_of_any_generation client_generation_stays client_count "
    "descriptor_believed own_clients_asked_after unasked_is_dead child_only_closes "
    "child_keeps_the_descriptor child_goes_on_without_the_file "
    "opening_shared_with_a_child "
    "lock_apart_from_the_map counts_of_the_dead_are_told_again",
    "test_process": "unknown_child_is_its_parent",
    "test_threads": "counts_are_lost",
    "test_file": "regular_file own_file own_writes file_in_use_elsewhere_is_taken "
    "boot_that_says_nothing_is_another locks_from_elsewhere_are_kept",
    "test_file_race": "still_named creators_together child_may_create",
    "test_memory": "limits_above_ignored used_memory_ignored",
    "test_file_steps": "name_not_looked_for_again",
    "test_cache": "page_number read_capacity",
    "test_guard": "held_capacity",
    "test_scan": "scan_capacity scan_size",
    "test_parts": "part_whole parts_capacity parts_length orphans_stay listing_number",
    "test_directory": "dead_last lists_unmade listing_links rests_forgotten "
    "coming_of_the_living_goes coming_of_the_dead_stays "
    "own_page_is_busy",
    "test_read_order all": "no_recheck slot_before_tails misses_unchecked "
    "owner_unchecked index_before_tails base_before_record",
    "test_grow": "index_before_slots index_over_entry",
    "test_hostile": "tail_within_ring",
    "test_hand": "hand_bucket",
    "test_near": "near_slot near_index near_expiry near_lap near_retired near_integer "
    "near_tags near_credit near_uncounted near_hint near_parts",
    "test_crash_open": "identity_before_locks name_before_content",
}

# Mutant to the names of the catchers that are known to notice it.
KNOWN = {
    mutant: (catcher,)
    for catcher, mutants in _BY_CATCHER.items()
    for mutant in mutants.split()
}

# What nothing may depend on, and the tests that have to pass without it.
UNMISSED = {"no_repair": ("test_kill_storm",)}

# For each change of the project: every broken order, some of the bounds.
QUICK: list[str] = (
    "publish_before_data publish_before_head delete_then_set write_in_place "
    "move_before_copy tail_before_clear tail_before_move stay_tail_first "
    "tail_in_two_stores integer_in_two_stores add_before_dirty no_recheck "
    "add_before_lease token_first lease_store_unchecked lease_from_living "
    "take_from_living client_of_any_generation child_only_closes "
    "slot_before_tails index_before_slots misses_unchecked "
    "slot_before_base base_before_record base_before_counter record_leaves_base "
    "identity_before_locks name_before_content "
    "entry_header entry_parts total_fits position_place header_size slot_bits "
    "slot_in_bucket held_capacity scan_capacity ticket_ring tail_within_ring "
    "tag_words tags_unread"
).split()
