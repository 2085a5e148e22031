/* The engine broken on purpose, to see that the tests notice.
 *
 * A build with -DFMM_MUTANT=FMM_MUTANT_<name> is wrong in that one way and
 * no other; tests/mutants/run.py makes them all. In any other build none of
 * this leaves a trace in the code. */
#pragma once

#ifdef FMM_MUTANT
#define FMM_MUTANT_IS(name) (FMM_MUTANT == FMM_MUTANT_##name)
#define FMM_BOUND(name, condition) (FMM_MUTANT_IS(name) || (condition))
#else
#define FMM_MUTANT_IS(name) 0
/* A check of bytes that anybody may have written: the mutant of that name
 * does without it. */
#define FMM_BOUND(name, condition) (condition)
#endif

/* A step too early, or one too many, in the mutant of that name. */
#define FMM_MUTATE(name, step)     \
    do {                           \
        if (FMM_MUTANT_IS(name)) { \
            step;                  \
        }                          \
    } while (0)

#ifdef FMM_MUTANT
enum {
    FMM_MUTANT_none,
    FMM_MUTANT_add_before_dirty,
    FMM_MUTANT_add_before_lease,
    FMM_MUTANT_add_keeps_lease,
    FMM_MUTANT_average_of_entries,
    FMM_MUTANT_buckets_max,
    FMM_MUTANT_buckets_min,
    FMM_MUTANT_chain_within_ring,
    FMM_MUTANT_clean_for_ever,
    FMM_MUTANT_clean_late,
    FMM_MUTANT_clean_without_slots,
    FMM_MUTANT_compressor_end,
    FMM_MUTANT_count_of_entries,
    FMM_MUTANT_counter,
    FMM_MUTANT_delete_then_set,
    FMM_MUTANT_dirty_capacity,
    FMM_MUTANT_done_for_any_integer,
    FMM_MUTANT_done_for_any_removal,
    FMM_MUTANT_drop_leased,
    FMM_MUTANT_entry_aligned,
    FMM_MUTANT_entry_flags,
    FMM_MUTANT_entry_header,
    FMM_MUTANT_entry_no_padding,
    FMM_MUTANT_entry_parts,
    FMM_MUTANT_entry_place,
    FMM_MUTANT_entry_words,
    FMM_MUTANT_evict_dirty,
    FMM_MUTANT_file_size,
    FMM_MUTANT_head_of_tail,
    FMM_MUTANT_hand_bucket,
    FMM_MUTANT_header_checksum,
    FMM_MUTANT_header_magic,
    FMM_MUTANT_header_order,
    FMM_MUTANT_header_size,
    FMM_MUTANT_header_sum,
    FMM_MUTANT_header_version,
    FMM_MUTANT_header_word,
    FMM_MUTANT_held_capacity,
    FMM_MUTANT_identity_before_locks,
    FMM_MUTANT_integer_alone,
    FMM_MUTANT_integer_in_two_stores,
    FMM_MUTANT_integer_type,
    FMM_MUTANT_internal_untagged,
    FMM_MUTANT_lease_alone,
    FMM_MUTANT_last_stored_first,
    FMM_MUTANT_lease_ended_once,
    FMM_MUTANT_lease_extend_unchecked,
    FMM_MUTANT_lease_from_living,
    FMM_MUTANT_lease_release_unchecked,
    FMM_MUTANT_lease_store_unchecked,
    FMM_MUTANT_leases_unwanted,
    FMM_MUTANT_live_bytes,
    FMM_MUTANT_main_uncleaned,
    FMM_MUTANT_misses_unchecked,
    FMM_MUTANT_move_before_copy,
    FMM_MUTANT_move_clean,
    FMM_MUTANT_move_keeps_lease,
    FMM_MUTANT_name_before_content,
    FMM_MUTANT_never_take_over,
    FMM_MUTANT_next_recount,
    FMM_MUTANT_no_recheck,
    FMM_MUTANT_orphans_stay,
    FMM_MUTANT_own_file,
    FMM_MUTANT_own_writes,
    FMM_MUTANT_owner_unchecked,
    FMM_MUTANT_page_number,
    FMM_MUTANT_page_size_max,
    FMM_MUTANT_page_size_min,
    FMM_MUTANT_page_size_power,
    FMM_MUTANT_pages_max,
    FMM_MUTANT_pages_min,
    FMM_MUTANT_part_whole,
    FMM_MUTANT_parts_capacity,
    FMM_MUTANT_parts_length,
    FMM_MUTANT_position_lap,
    FMM_MUTANT_position_place,
    FMM_MUTANT_probation_uncleaned,
    FMM_MUTANT_publish_before_data,
    FMM_MUTANT_publish_before_head,
    FMM_MUTANT_read_capacity,
    FMM_MUTANT_regular_file,
    FMM_MUTANT_remove_unmarked,
    FMM_MUTANT_scan_capacity,
    FMM_MUTANT_scan_size,
    FMM_MUTANT_serializer_end,
    FMM_MUTANT_slot_before_head,
    FMM_MUTANT_slot_before_tails,
    FMM_MUTANT_slot_in_bucket,
    FMM_MUTANT_slot_bits,
    FMM_MUTANT_slot_within_ring,
    FMM_MUTANT_slots_share,
    FMM_MUTANT_spared_pays,
    FMM_MUTANT_split_length,
    FMM_MUTANT_stay_for_small,
    FMM_MUTANT_stay_not_finished,
    FMM_MUTANT_stay_tail_first,
    FMM_MUTANT_stays,
    FMM_MUTANT_still_named,
    FMM_MUTANT_tail_before_clear,
    FMM_MUTANT_tail_before_move,
    FMM_MUTANT_tail_in_two_stores,
    FMM_MUTANT_tail_within_ring,
    FMM_MUTANT_tag_count,
    FMM_MUTANT_tag_words,
    FMM_MUTANT_tags_unread,
    FMM_MUTANT_take_from_living,
    FMM_MUTANT_ticket_head,
    FMM_MUTANT_ticket_ring,
    FMM_MUTANT_ticket_tail,
    FMM_MUTANT_tidy_own,
    FMM_MUTANT_token_first,
    FMM_MUTANT_total_aligned,
    FMM_MUTANT_total_fits,
    FMM_MUTANT_total_min,
    FMM_MUTANT_usual_large,
    FMM_MUTANT_write_in_place,
    FMM_MUTANT_writers_together,
};
#endif
