/* The docstrings. */
#pragma once

#include <Python.h>

/* py_docs.c */
extern const char core_doc[];
extern const char sweep_doc[];
extern const char monotonic_doc[];
extern const char monotonic_ns_doc[];
extern const char now_doc[];
extern const char get_travel_doc[];
extern const char set_travel_doc[];
extern const char space_doc[];
extern const char cache_doc[];
extern const char share_file_doc[];
extern const char cache_size_doc[];
extern const char page_size_doc[];
extern const char num_pages_doc[];
extern const char serializer_doc[];
extern const char compressor_doc[];
extern const char expire_time_doc[];
extern const char closed_doc[];
extern const char created_doc[];
extern const char get_doc[];
extern const char get_entry_doc[];
extern const char get_many_doc[];
extern const char multi_get_doc[];
extern const char exists_doc[];
extern const char set_doc[];
extern const char add_doc[];
extern const char replace_doc[];
extern const char set_many_doc[];
extern const char multi_set_doc[];
extern const char setdefault_doc[];
extern const char incr_doc[];
extern const char decr_doc[];
extern const char touch_doc[];
extern const char remove_doc[];
extern const char get_and_remove_doc[];
extern const char pop_doc[];
extern const char delete_many_doc[];
extern const char expire_doc[];
extern const char get_and_set_doc[];
extern const char lock_doc[];
extern const char empty_doc[];
extern const char flush_doc[];
extern const char get_statistics_doc[];
extern const char clear_doc[];
extern const char space_clear_doc[];
extern const char invalidate_tag_doc[];
extern const char read_tags_doc[];
extern const char purge_doc[];
extern const char close_doc[];
extern const char scan_doc[];
extern const char find_doc[];
extern const char stats_doc[];
extern const char check_page_doc[];
extern const char lease_take_doc[];
extern const char lease_peek_doc[];
extern const char lease_extend_doc[];
extern const char lease_store_doc[];
extern const char lease_release_doc[];
extern const char info_doc[];
extern const char detach_doc[];
extern const char configure_doc[];
extern const char set_exit_work_doc[];

/* py_docs_item.c */
extern const char item_doc[];
extern const char item_value_doc[];
extern const char item_exists_doc[];
extern const char item_expire_on_doc[];
extern const char item_modseq_doc[];
extern const char item_set_doc[];
extern const char item_remove_doc[];
extern const char item_enter_doc[];
extern const char item_exit_doc[];
