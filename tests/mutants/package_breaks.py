"""Ways to break the package, and the tests that are there for each.

A break is a defect as somebody could write it: texts of a file, each found
there exactly once, and what takes their place.
"""

from __future__ import annotations

from dataclasses import dataclass

from edits import Edit


@dataclass(frozen=True)
class Break:
    """One defect, and the tests that notice it."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def _break(name: str, path: str, old: str, new: str, *tests: str) -> Break:
    """Make a break of one edit."""
    return Break(name, ((path, old, new),), tests)


_BINDING, _CORE, _PACKAGE = "csrc/python/", "csrc/core/", "fastmmap/"
_HAZARDS, _UNIT, _PROPERTY = "tests/hazards/", "tests/unit/", "tests/property/"
_CONTRIB, _SERVED = "tests/contrib/", "tests/servers/"
_COMMAND = "tests/command/"

_THREADS = (
    _break(
        "close_unmaps_under_a_reader",
        f"{_BINDING}py_mapping.c",
        "    if (map->pins == 0) {\n",
        "    if (true) {\n",
        f"{_HAZARDS}test_close_races.py::"
        "test_close_beside_each_operation_is_a_closed_error_and_unmaps",
        f"{_HAZARDS}test_close_races.py::test_close_while_another_thread_holds_a_page",
    ),
    _break(
        "close_never_unmaps",
        f"{_BINDING}py_mapping.c",
        "    if (map->pins == 0 && map->orphan) {\n",
        "    if (false) {\n",
        f"{_HAZARDS}test_close_races.py::test_close_while_another_thread_holds_a_page",
    ),
    _break(
        "second_close_of_a_race_is_missed",
        f"{_BINDING}py_cache.c",
        "    struct mapping *map = self->map;\n    self->map = NULL;\n",
        "    struct mapping *map = self->map;\n    if (map != NULL) {\n"
        "        Py_BEGIN_ALLOW_THREADS Py_END_ALLOW_THREADS\n    }\n"
        "    self->map = NULL;\n",
        f"{_HAZARDS}test_close_races.py::test_many_closes_of_one_object_at_once",
    ),
    _break(
        "interpreter_waits_along",
        f"{_BINDING}py_op.c",
        "    Py_BEGIN_ALLOW_THREADS\n    status = run(map->cache, op);\n"
        "    Py_END_ALLOW_THREADS\n",
        "    status = run(map->cache, op);\n",
        f"{_HAZARDS}test_waiting.py::test_the_interpreter_is_free_while_a_thread_waits",
    ),
    _break(
        "block_that_raises_keeps_the_page",
        f"{_BINDING}py_item.c",
        "        block_cancel(block);\n",
        "        (void)block_keep(block);\n",
        f"{_UNIT}test_lock.py::test_a_block_that_raises_writes_nothing",
    ),
    _break(
        "func_that_raises_keeps_the_page",
        f"{_BINDING}py_held_key.c",
        "    held_key_release(&held);\n    Py_XDECREF(answer);\n",
        "    if (answer != NULL) {\n        held_key_release(&held);\n    }\n"
        "    Py_XDECREF(answer);\n",
        f"{_UNIT}test_get_and_set.py::"
        "test_an_error_of_the_function_comes_out_and_nothing_changed",
        f"{_HAZARDS}test_no_memory.py::test_operations_without_memory_leave_all_in_order",
    ),
)

_FORKS = (
    _break(
        "child_takes_its_parents_page_for_its_own",
        f"{_BINDING}py_section.c",
        "    return section->map != NULL && fmm_guard_held(&section->guard);\n",
        "    return section->map != NULL;\n",
        f"{_HAZARDS}test_fork_holding.py::"
        "test_a_child_that_returns_from_there_stores_nothing",
    ),
    _break(
        "child_takes_its_parents_block_for_its_own",
        f"{_BINDING}py_sections.c",
        "PyThread_get_thread_ident() &&\n           section->forks == fmm_forks();",
        "PyThread_get_thread_ident();",
        f"{_HAZARDS}test_fork_holding.py::"
        "test_a_child_born_while_its_thread_held_the_page",
    ),
    _break(
        "child_locks_in_its_parents_name",
        f"{_CORE}fmm_client.h",
        " !=\n            fmm_forks_seen())) {",
        " == 0)) {",
        f"{_HAZARDS}test_fork_holding.py",
        f"{_HAZARDS}test_fork.py",
    ),
    _break(
        "child_does_the_exit_work",
        f"{_BINDING}py_cache_type.c",
        "    bool own = self->forks == fmm_forks();\n",
        "    bool own = true;\n",
        f"{_HAZARDS}test_exit_work.py::test_the_exit_of_a_forked_child_does_nothing",
    ),
    Break(
        "inherited_file_is_not_followed",
        (
            (
                f"{_CORE}fmm_hold.c",
                "return fmm_file_retired(cache) ? FMM_RETIRED : status;",
                "return status;",
            ),
            (
                f"{_CORE}fmm_hold.c",
                "in a file that counts. */\n"
                "    if (FMM_UNLIKELY(fmm_file_retired(cache))) {\n",
                "in a file that counts. */\n    if (false) {\n",
            ),
        ),
        (f"{_HAZARDS}test_replaced_file.py",),
    ),
    _break(
        "resize_forgets_what_changed_at_last",
        f"{_CORE}fmm_resize.c",
        "    enum fmm_status status = copy_the_rest(r);\n",
        "    enum fmm_status status = FMM_OK;\n    (void)copy_the_rest;\n",
        f"{_HAZARDS}test_resize_storm.py",
    ),
)

_EXITS = (
    _break(
        "exit_work_among_the_atexit_functions",
        f"{_PACKAGE}lifecycle.py",
        "    _atexit_runs = True\n",
        "    _close_all()\n",
        f"{_HAZARDS}test_shutdown.py::"
        "test_atexit_functions_from_before_fastmmap_find_an_open_cache",
    ),
    _break(
        "private_file_stays_for_good",
        f"{_BINDING}py_cache_type.c",
        "    if (self->unlink_last && outcome == 0) {\n",
        "    if (false) {\n",
        f"{_HAZARDS}test_inherited_private_file.py",
    ),
    _break(
        "nothing_is_done_at_exit",
        f"{_PACKAGE}lifecycle.py",
        "atexit.register(_note_exit, _Last())\n",
        "",
        f"{_HAZARDS}test_dirty_exit.py::test_changes_are_written_once_at_the_end_by",
        f"{_HAZARDS}test_subinterpreters.py::"
        "test_the_end_of_an_interpreter_does_its_exit_work",
    ),
    Break(
        "nothing_is_done_at_exit_nor_when_collected",
        (
            (
                f"{_PACKAGE}lifecycle.py",
                "atexit.register(_note_exit, _Last())\n",
                "",
            ),
            (
                f"{_BINDING}py_cache_type.c",
                "    if (cache_end((struct cache_object *)self) < 0) {\n"
                "        PyErr_WriteUnraisable(self);\n",
                "    if (false) {\n        PyErr_WriteUnraisable(self);\n",
            ),
        ),
        (
            f"{_HAZARDS}test_subinterpreters.py::"
            "test_the_end_of_an_interpreter_does_its_exit_work",
        ),
    ),
    _break(
        "exit_work_before_that_of_users",
        f"{_PACKAGE}lifecycle.py",
        "    if parent_process() is None:\n        return\n",
        "",
        f"{_HAZARDS}test_shutdown.py::"
        "test_atexit_functions_of_later_imports_come_before_the_exit_work",
    ),
    _break(
        "finalizer_waits_for_a_thread_that_is_gone",
        f"{_BINDING}py_op.c",
        "    op->timeout_ms = op_limit_patience(op->timeout_ms);\n",
        "",
        f"{_HAZARDS}test_shutdown.py::"
        "test_a_finalizer_does_not_wait_for_a_thread_that_is_gone",
    ),
    _break(
        "changes_are_dropped_unwritten",
        f"{_BINDING}py_pages.c",
        "        if (write_page(&walk, page) < 0 || drop_page",
        "        (void)walk;\n        drop.keep_dirty = false;\n        if (drop_page",
        f"{_HAZARDS}test_dirty_exit.py",
    ),
    _break(
        "changes_are_written_at_once",
        f"{_BINDING}py_cache_type.c",
        "    self->write_back = write_back;\n",
        "    self->write_back = false;\n    (void)write_back;\n",
        f"{_HAZARDS}test_dirty_exit.py::test_changes_stay_for_the_next_process_after",
    ),
    _break(
        "process_may_take_its_own_page",
        f"{_CORE}fmm_lock.c",
        "    if (FMM_LIKELY(swap(lock, 0, owner))) {\n",
        "    if (swap(lock, 0, owner) || fmm_lock_is_of(lock, owner)) {\n",
        f"{_HAZARDS}test_subinterpreters.py",
    ),
)

_FILES = (
    _break(
        "links_are_followed",
        f"{_CORE}fmm_platform.c",
        "(O_RDWR | O_NOFOLLOW | ",
        "(O_RDWR | ",
        f"{_HAZARDS}test_bad_files.py",
    ),
    _break(
        "copies_pass_for_the_file",
        f"{_CORE}fmm_open.c",
        "    here->device = o->stat.device;\n    here->inode = o->stat.inode;\n",
        "    here->device = o->cache->header->identity.device;\n"
        "    here->inode = o->cache->header->identity.inode;\n",
        f"{_HAZARDS}test_containers.py::test_a_copy_of_a_file_with_held_locks_is_free",
    ),
    _break(
        "strangers_descriptor_is_closed",
        f"{_CORE}fmm_client.c",
        " &&\n           stat.device == client->device && stat.inode == client->inode;",
        ";",
        f"{_HAZARDS}test_descriptors.py",
    ),
    _break(
        "failed_open_leaves_its_descriptor",
        f"{_CORE}fmm_open.c",
        "    if (o->fd != o->cache->client.fd) {\n",
        "    if (false) {\n",
        f"{_HAZARDS}test_descriptors.py",
    ),
    _break(
        "no_descriptor_means_no_such_file",
        f"{_CORE}fmm_process.c",
        "    return errno == ENOENT || errno == ENOTDIR || errno == EACCES ||\n"
        "           errno == EPERM;\n",
        "    return true;\n",
        f"{_HAZARDS}test_descriptors.py::"
        "test_open_without_descriptors_is_an_os_error_and_leaves_nothing",
    ),
    _break(
        "space_is_not_reserved",
        f"{_CORE}fmm_platform.c",
        "return (reserved == 0 ||",
        "return (true ||",
        f"{_HAZARDS}test_full_disk.py",
    ),
    _break(
        "free_space_in_blocks",
        f"{_CORE}fmm_filesystem.c",
        "(uint64_t)status.f_bavail * (uint64_t)status.f_frsize;",
        "(uint64_t)status.f_bavail;",
        f"{_HAZARDS}test_full_disk.py",
    ),
    _break(
        "trap_forgets_what_it_saw",
        f"{_CORE}fmm_map.c",
        "        trapped[i].damaged = 1;\n",
        "",
        f"{_HAZARDS}test_full_disk.py::"
        "test_a_sparse_file_on_a_full_disk_is_corrupt_under_the_guard",
    ),
    Break(
        "named_before_it_is_mapped",
        (
            (
                f"{_CORE}fmm_create.c",
                "    if (!fill_new(o, fd, &o->cache->geometry)) {\n",
                '    char name[FMM_PATH_SIZE] = "";\n'
                "    if (!fmm_platform_publish(fd, name, o->options->path,\n"
                "                              o->fd >= 0)) {\n"
                "        return FMM_EXISTS;\n    }\n"
                "    if (!fill_new(o, fd, &o->cache->geometry)) {\n",
            ),
            (
                f"{_CORE}fmm_create.c",
                "    if (fmm_platform_publish(draft->fd, draft->name, "
                "o->options->path,\n"
                "                             replace)) {\n",
                "    if (true) {\n",
            ),
        ),
        (f"{_HAZARDS}test_no_memory.py", f"{_HAZARDS}test_opening.py"),
    ),
    _break(
        "memory_is_asked_for_with_the_page_held",
        f"{_BINDING}py_held_key.c",
        "    if (held->section == NULL) {\n        return -1;\n    }\n    int status =",
        "    if (held->section == NULL) {\n        return -1;\n    }\n"
        "    PyObject *more = PyBytes_FromStringAndSize(NULL, 9);\n"
        "    if (more == NULL) {\n        return -1;\n    }\n"
        "    Py_DECREF(more);\n    int status =",
        f"{_HAZARDS}test_no_memory.py::test_operations_without_memory_leave_all_in_order",
    ),
)

_VALUES = (
    Break(
        "values_are_loaded_from_the_map",
        (
            (
                f"{_CORE}fmm_read.c",
                "            fmm_entry_copy_value(entry, read->buffer);\n",
                "            fmm_entry_copy_value(entry, read->buffer);\n"
                "            fmm_broken_value = entry->value;\n",
            ),
            (
                f"{_CORE}fmm_read.c",
                "#define OVERRUNS_MAX 16\n",
                "#define OVERRUNS_MAX 16\nconst void *fmm_broken_value;\n",
            ),
            (
                f"{_BINDING}py_value.c",
                "    return call_kept_one(loads, bytes);\n",
                "    extern const void *fmm_broken_value;\n"
                "    PyObject *view = PyMemoryView_FromMemory(\n"
                "        (char *)(uintptr_t)fmm_broken_value,\n"
                "        PyBytes_GET_SIZE(bytes), PyBUF_READ);\n"
                "    PyObject *loaded = call_kept_one(loads, view);\n"
                "    Py_DECREF(view);\n    return loaded;\n",
            ),
        ),
        (f"{_HAZARDS}test_pickle_safety.py",),
    ),
    _break(
        "type_of_a_value_says_how_it_is_loaded",
        f"{_BINDING}py_value.c",
        "    if (loads == NULL && self->codec.serializer == SERIALIZER_PICKLE) {\n",
        "    if (loads == NULL && self->codec.serializer != SERIALIZER_CALLABLES) {\n",
        f"{_HAZARDS}test_pickle_safety.py",
    ),
    _break(
        "file_that_turned_to_pickle_is_read",
        f"{_PACKAGE}cache.py",
        "        _require_safe(cache.serializer, file)\n",
        "",
        f"{_HAZARDS}test_pickle_safety.py::test_a_safe_file_that_turns_to_pickle_is_refused",
    ),
    _break(
        "big_ints_have_no_room_for_their_sign",
        f"{_PACKAGE}serializers.py",
        "value.bit_length() // 8 + 1",
        "(value.bit_length() + 7) // 8",
        f"{_PROPERTY}test_round_trips.py",
    ),
    _break(
        "floats_are_narrowed",
        f"{_BINDING}py_value.c",
        "        out->scalar.real = PyFloat_AS_DOUBLE(object);\n",
        "        out->scalar.real = (float)PyFloat_AS_DOUBLE(object);\n",
        f"{_PROPERTY}test_round_trips.py",
    ),
    _break(
        "length_of_a_packed_value_is_believed",
        f"{_BINDING}py_pack.c",
        "    if (size > packed.len * RATIO_MAX || size > PY_SSIZE_T_MAX / 2) {\n",
        "    if (false) {\n",
        f"{_PROPERTY}test_round_trips.py",
    ),
    _break(
        "every_file_has_the_same_seed",
        f"{_CORE}fmm_header.c",
        "    out->checksum = checksum(out);\n    return",
        "    memset(out->seed, 0, sizeof(out->seed));\n"
        "    out->checksum = checksum(out);\n    return",
        f"{_UNIT}test_hash_flooding.py",
    ),
    _break(
        "half_of_the_seed_is_shown",
        f"{_CORE}fmm_file.c",
        "        .max_entry = g->max_entry,\n",
        "        .max_entry = cache->seed[0],\n",
        f"{_UNIT}test_hash_flooding.py::test_nothing_public_shows_the_seed",
    ),
)

_COMMANDS = (
    _break(
        "held_page_is_waited_for_without_end",
        f"{_BINDING}py_pages.c",
        "    check.op.timeout_ms = timeout_ms;\n",
        "",
        f"{_HAZARDS}test_check_command.py",
    ),
    _break(
        "held_page_passes_for_sound",
        f"{_PACKAGE}verify.py",
        "        return PageCheck(number, problem, 0, 0, checked=False)\n",
        '        return PageCheck(number, "", 0, 0)\n',
        f"{_HAZARDS}test_check_command.py",
    ),
    _break(
        "repair_changes_nothing",
        f"{_BINDING}py_pages.c",
        "    check.repair = repair != 0;\n",
        "",
        f"{_UNIT}test_cli.py",
        f"{_HAZARDS}test_check_command.py",
    ),
    _break(
        "repair_makes_the_file_anew",
        f"{_PACKAGE}verify.py",
        "    cache = open_file(path, inspect=False)\n",
        "    cache = open_file(path)\n"
        "    shape = {'page_size': cache.page_size, 'num_pages': cache.num_pages}\n"
        "    cache.close()\n"
        "    cache = _core.Cache(path, init_file=True, serializer='pickle', **shape)\n",
        f"{_UNIT}test_cli.py",
        f"{_HAZARDS}test_check_command.py",
    ),
    _break(
        "check_changes_the_file",
        f"{_PACKAGE}verify.py",
        "def open_file(path: str, inspect: bool = True,",
        "def open_file(path: str, inspect: bool = False,",
        f"{_UNIT}test_cli.py::test_check_changes_no_byte_of_a_damaged_file",
    ),
    _break(
        "a_command_unpickles_unasked",
        f"{_PACKAGE}cli/values.py",
        "    if not decode:\n",
        '    if serializer != "pickle" and not decode:\n',
        f"{_COMMAND}test_command_safety.py::test_no_command_unpickles_unasked",
    ),
    _break(
        "pickle_is_run_for_what_others_can_write",
        f"{_PACKAGE}cli/opening.py",
        "        allow_shared=not decode,\n",
        "        allow_shared=True,\n",
        f"{_COMMAND}test_command_safety.py::"
        "test_a_file_that_strangers_can_write_is_not_unpickled",
    ),
    _break(
        "keys_reach_the_terminal_as_they_are",
        f"{_PACKAGE}cli/output.py",
        '    return text if text.isprintable() else "".join(map(_escaped, text))\n',
        "    return text\n",
        f"{_COMMAND}test_command_keys.py::"
        "test_hostile_keys_and_values_cannot_reach_the_terminal",
    ),
    _break(
        "a_look_puts_the_file_in_order",
        f"{_PACKAGE}cli/opening.py",
        "        inspect=not change,\n",
        "        inspect=False,\n",
        f"{_COMMAND}test_command_safety.py::test_a_look_changes_no_byte_of_the_file",
    ),
    _break(
        "an_empty_file_is_made_a_cache_by_a_command",
        f"{_PACKAGE}cli/opening.py",
        "    if os.path.getsize(path) == 0:  # which would become a new cache\n",
        "    if False:\n",
        f"{_COMMAND}test_command_safety.py::"
        "test_a_file_that_is_none_of_ours_stays_as_it_is",
    ),
    _break(
        "pickles_are_imported_unasked",
        f"{_PACKAGE}cli/transfer.py",
        "        if not pickles:\n",
        "        if False:\n",
        f"{_COMMAND}test_command_transfer.py::test_pickles_are_not_stored_unasked",
    ),
)

_COMPUTING = (
    _break(
        "what_was_computed_is_stored_without_a_lease",
        f"{_PACKAGE}single_flight.py",
        "            outcome = self.store(value, expire_time, leasable, self._tags)\n",
        "            self.cache.set(self.key, value, expire_time)\n"
        "            outcome = 'stored'\n",
        f"{_HAZARDS}test_computing_once.py::"
        "test_what_was_computed_before_an_invalidation_is_never_stored",
    ),
    _break(
        "tasks_that_wait_block_their_loop",
        f"{_PACKAGE}waiting.py",
        "    await asyncio.sleep(seconds)\n",
        "    time.sleep(seconds)\n",
        f"{_UNIT}test_get_or_set.py::test_waiting_tasks_do_not_block_their_loop",
        f"{_UNIT}test_get_or_set.py::test_a_cancelled_computation_gives_its_lease_back",
    ),
    Break(
        "greenlets_that_wait_block_the_others",
        (
            (
                f"{_PACKAGE}waiting.py",
                '_Result = TypeVar("_Result")\n',
                '_Result = TypeVar("_Result")\n_sleep = time.sleep\n',
            ),
            (
                f"{_PACKAGE}waiting.py",
                "    time.sleep(seconds)\n",
                "    _sleep(seconds)\n",
            ),
        ),
        (f"{_HAZARDS}test_gevent.py::test_greenlets_run_while_one_waits_for_a_value",),
    ),
    _break(
        "a_failed_computation_keeps_its_lease",
        f"{_BINDING}py_lease.c",
        "    lease_of(self)->running = 0;\n    let_go(lease_of(self));\n",
        "    lease_of(self)->running = 0;\n",
        f"{_UNIT}test_get_or_set.py::test_an_error_reaches_the_caller_and_is_not_kept",
    ),
    _break(
        "one_waits_for_oneself",
        f"{_PACKAGE}single_flight.py",
        "                _refuse_own(lease)\n",
        "",
        f"{_UNIT}test_get_or_set.py::"
        "test_asking_for_the_key_that_one_computes_is_an_error",
    ),
    _break(
        "keys_depend_on_the_hash_seed",
        f"{_PACKAGE}argument_keys.py",
        "','.join(sorted(map(self.spell, values)))",
        "','.join(map(self.spell, values))",
        f"{_UNIT}test_argument_keys.py::test_keys_are_the_same_in_every_process",
    ),
    _break(
        "stale_results_are_dropped",
        f"{_PACKAGE}memoize.py",
        "        kept_ms = life_ms + max(self.stale_ms, self.on_error_ms)\n",
        "        kept_ms = life_ms + self.on_error_ms\n",
        f"{_UNIT}test_memoize.py::test_a_result_beyond_its_stale_time_is_gone",
    ),
    _break(
        "an_old_result_is_served_too_long",
        f"{_PACKAGE}memoize.py",
        "        return _lasts(stored, self.on_error_ms)\n",
        "        return True\n",
        f"{_UNIT}test_stale_on_error.py::test_no_longer_even_if_it_is_there_for_others",
    ),
    _break(
        "two_functions_share_a_name",
        f"{_PACKAGE}definitions.py",
        "    if not _replaces(new, old):\n",
        "    if False:\n",
        f"{_UNIT}test_memoize_names.py::"
        "test_two_functions_at_two_places_of_one_function_are_two",
    ),
    _break(
        "a_started_task_is_taken_for_the_computation",
        f"{_PACKAGE}tasks.py",
        "            return _is_awaited_by(task, self._task)\n",
        "            return True\n",
        f"{_UNIT}test_tasks.py::test_a_task_that_was_only_started_waits_like_any_other",
    ),
    _break(
        "bytes_of_file_names_stay_for_ever",
        f"{_BINDING}py_escaped.c",
        "    return Py_REFCNT(PyTuple_GET_ITEM(pair, 0)) == 1;\n",
        "    return false;\n",
        f"{_UNIT}test_keys.py::test_many_undecodable_names_leave_nothing_behind",
    ),
    _break(
        "a_known_absence_passes_for_a_value",
        f"{_BINDING}py_leasing.c",
        "        int forgotten = missing_forget(self, holding->name);",
        "        int forgotten = 0;",
        f"{_UNIT}test_leases.py::test_an_absence_that_read_cb_left_is_no_value",
    ),
)

_SYNC = f"{_PACKAGE}sync/"
_LOCKS = (
    _break(
        "a_lock_is_lost_in_silence",
        f"{_BINDING}py_holdings.c",
        "    return there && current;\n",
        "    return there || current || true;\n",
        f"{_UNIT}test_sync_lock.py::test_a_lock_that_goes_with_its_key_is_lost",
    ),
    _break(
        "one_whose_lock_was_lost_gives_back_another",
        f"{_BINDING}py_holdings.c",
        "        if (same && holding_is_mine(h)) {\n",
        "        if (!same && holding_is_mine(h)) {\n",
        f"{_UNIT}test_sync_lock.py::"
        "test_one_whose_lock_was_lost_does_not_give_back_that_of_the_next",
    ),
    _break(
        "a_child_gives_back_the_lock_of_its_parent",
        f"{_BINDING}py_holding.c",
        "    return holding->map != NULL && holding->forks == fmm_forks();\n",
        "    return holding->map != NULL;\n",
        f"{_HAZARDS}test_sync_processes.py::"
        "test_a_forked_child_has_no_lock_of_its_parent",
    ),
    _break(
        "a_lease_is_noted_after_python_ran",
        f"{_BINDING}py_lease.c",
        "    self->holding = holding;\n"
        "    return take_result(LEASE_TAKEN, 0, holding->token);\n",
        "    self->holding = PyErr_CheckSignals() < 0 ? NULL : holding;\n"
        "    return PyErr_Occurred()\n"
        "        ? NULL : take_result(LEASE_TAKEN, 0, holding->token);\n",
        f"{_HAZARDS}test_exceptions.py::test_signals_that_raise_leave_nothing_held",
    ),
    _break(
        "a_lock_is_returned_after_python_ran",
        f"{_BINDING}py_acquirable_type.c",
        "    return taken < 0 ? NULL : Py_NewRef(object);\n",
        "    bool bad = taken < 0 || PyErr_CheckSignals() < 0;\n"
        "    return bad ? NULL : Py_NewRef(object);\n",
        f"{_HAZARDS}test_exceptions.py::test_signals_that_raise_leave_nothing_held",
    ),
    _break(
        "a_soft_time_limit_is_swallowed",
        f"{_PACKAGE}single_flight.py",
        "            if not is_unstorable(error):\n                raise\n",
        "",
        f"{_UNIT}test_get_or_set.py::"
        "test_an_error_that_is_none_of_the_values_own_reaches_the_caller",
    ),
    _break(
        "tasks_of_one_thread_share_an_rlock",
        f"{_BINDING}py_caller.c",
        "    if (task != NULL && task != Py_None) {\n",
        "    if (false) {\n",
        f"{_UNIT}test_sync_lock.py::"
        "test_tasks_of_one_thread_have_an_rlock_one_at_a_time",
    ),
    _break(
        "a_permit_is_taken_by_looking_first",
        f"{_CORE}fmm_lease.c",
        "    if (!may_take(t, &t->theirs)) {\n",
        "    if (false) {\n",
        f"{_HAZARDS}test_sync_processes.py::"
        "test_never_too_many_are_inside_though_some_are_killed",
    ),
    _break(
        "tokens_are_taken_in_two_steps",
        f"{_SYNC}rate_limiter.py",
        "        stored = self._cache.get_and_set(self._key_of(key), step).stored\n",
        "        place = self._key_of(key)\n"
        "        new = step(place, self._cache.get(place), None)\n"
        "        stored = isinstance(new, Store) and self._cache.set(place, new[0])\n",
        f"{_HAZARDS}test_sync_processes.py::"
        "test_all_processes_together_take_as_many_tokens_as_there_are",
    ),
    _break(
        "tokens_are_rounded",
        f"{_SYNC}rate_limiter.py",
        "        self._cost = period_ms * 10**6\n",
        "        self._cost = (period_ms * 10**6 // limit + 1) * limit\n",
        f"{_UNIT}test_sync_rate_limiter.py::test_nothing_is_rounded",
    ),
    _break(
        "a_set_that_was_cleared_at_once_is_missed",
        f"{_SYNC}event.py",
        "                if now is not None and before is not None and now > before:\n",
        "                if False:\n",
        f"{_UNIT}test_sync_values.py::"
        "test_a_task_waits_for_an_event_without_blocking_its_loop",
    ),
)


_SERVERS = (
    _break(
        "flush_writes_the_first_page_only",
        f"{_BINDING}py_pages.c",
        "        if (write_page(&walk, page) < 0) {\n",
        "        if (page == 0 && write_page(&walk, page) < 0) {\n",
        f"{_UNIT}test_flush.py",
    ),
    _break(
        "an_upgrade_removes_the_file",
        f"{_PACKAGE}contrib/gunicorn.py",
        "        if shared:\n",
        "        if False:\n",
        f"{_CONTRIB}test_gunicorn.py::test_the_file_stays_while_another_master_serves",
        f"{_SERVED}test_gunicorn_hooks.py::"
        "test_an_upgrade_hands_the_cache_of_the_master_on",
    ),
    _break(
        "the_master_writes_nothing_at_its_end",
        f"{_PACKAGE}contrib/gunicorn.py",
        "        cache.flush()\n",
        "",
        f"{_CONTRIB}test_gunicorn.py::test_what_was_changed_is_written_at_the_end",
    ),
    _break(
        "the_end_is_of_a_cache_that_nobody_began",
        f"{_PACKAGE}contrib/gunicorn.py",
        "    return Hooks(on_starting, _end)\n",
        "    return Hooks(on_starting, lambda server: shared_cache("
        "share_file, **options).close())\n",
        f"{_CONTRIB}test_gunicorn.py::"
        "test_the_end_closes_what_the_start_has_opened_with_other_options",
    ),
)

_NEAR = (
    _break(
        "what_can_be_changed_is_kept",
        f"{_BINDING}py_near.c",
        "    return PyBytes_CheckExact(value) || PyUnicode_CheckExact(value) ||\n",
        "    return true || PyUnicode_CheckExact(value) ||\n",
        f"{_UNIT}test_near.py::test_what_can_be_changed_is_made_anew_each_time",
    ),
    _break(
        "what_is_shared_is_for_all",
        f"{_BINDING}py_near.c",
        "one->shared && !ask->share",
        "false",
        f"{_UNIT}test_near.py::test_a_shared_object_is_for_those_who_promised",
    ),
    _break(
        "what_is_kept_is_not_looked_after",
        f"{_BINDING}py_near.c",
        "            !fmm_see_again(cache, call, &one->place, integer_of(one)))) {\n",
        "            one->place.word == 0 && integer_of(one))) {\n",
        f"{_UNIT}test_near.py::test_a_change_by_another_is_seen_at_once",
        f"{_HAZARDS}test_near_coherence.py::test_nobody_gets_what_was_changed_before_he_asked",
        f"{_HAZARDS}test_near_coherence.py::test_the_same_place_a_lap_later_is_another_value",
        f"{_HAZARDS}test_near_coherence.py::"
        "test_a_child_goes_on_with_what_is_near_and_its_changes_are_seen",
    ),
    _break(
        "a_lap_later_is_near",
        f"{_CORE}fmm_near.c",
        " <= seen->position;",
        " < UINT64_MAX;",
        f"{_HAZARDS}test_near_coherence.py::test_nobody_gets_what_was_changed_before_he_asked",
        f"{_HAZARDS}test_near_coherence.py::test_the_same_place_a_lap_later_is_another_value",
    ),
    _break(
        "the_number_that_is_kept_is_not_told",
        f"{_BINDING}py_near.c",
        "? PyLong_AsLongLong(one->value)",
        "? 70000",
        f"{_UNIT}test_near.py::test_what_nobody_can_change_comes_back_as_it_was",
        f"{_UNIT}test_near.py::test_a_number_that_is_kept_is_the_same_object",
    ),
    _break(
        "near_before_the_rules",
        f"{_BINDING}py_read.c",
        "    if (FMM_UNLIKELY(op_is_slow(self, now_ms))) {\n",
        "    if (false) {\n",
        f"{_UNIT}test_near.py::test_a_section_refuses_what_is_near_as_well",
    ),
    _break(
        "near_has_another_clock",
        f"{_BINDING}py_read.c",
        "        .now_ms = now_ms + (uint64_t)self->state->travel_ms,\n",
        "        .now_ms = now_ms,\n",
        f"{_UNIT}test_near.py::test_a_lifetime_ends_near_as_well",
    ),
    _break(
        "near_counts_for_few",
        f"{_BINDING}py_read.c",
        "        .count = self->enable_stats ? FMM_COUNTED_BY_PAGE : FMM_COUNTED,\n",
        "        .count = FMM_COUNTED,\n",
        f"{_UNIT}test_near.py::test_hits_count_and_earn_credit",
    ),
    _break(
        "a_closed_cache_keeps",
        f"{_BINDING}py_cache.c",
        "    near_close(&self->near); /* last: it may run code of Python */\n",
        "",
        f"{_UNIT}test_near.py::test_a_closed_cache_serves_nothing_and_keeps_nothing",
        f"{_HAZARDS}test_near_coherence.py::test_nothing_is_kept_of_a_closed_cache",
    ),
    _break(
        "what_is_kept_is_not_collected",
        f"{_BINDING}py_cache.c",
        "    return near_traverse(&self->near, visit, arg);\n",
        "    return 0;\n",
        f"{_UNIT}test_near.py::test_circles_through_what_is_kept_are_collected",
    ),
    _break(
        "a_guarded_file_is_near",
        f"{_BINDING}py_cache.c",
        "    bool keeps = self->map != NULL && !self->sigbus_guard;\n",
        "    bool keeps = self->map != NULL;\n",
        f"{_UNIT}test_near.py::test_a_guarded_file_keeps_nothing",
    ),
    _break(
        "the_budget_is_no_bound",
        f"{_BINDING}py_near.c",
        "    return near->used + charge <= near->budget;\n",
        "    return near->budget != 0;\n",
        f"{_UNIT}test_near.py::test_the_budget_bounds_what_is_kept",
    ),
    _break(
        "subclasses_are_near",
        f"{_BINDING}py_read.c",
        "    if (FMM_UNLIKELY(!PyUnicode_CheckExact(ask->key))) {\n",
        "    if (FMM_UNLIKELY(!PyUnicode_Check(ask->key))) {\n",
        f"{_UNIT}test_near.py::test_subclasses_of_str_are_no_keys_to_be_kept",
    ),
)

BREAKS = (
    _THREADS
    + _FORKS
    + _EXITS
    + _FILES
    + _VALUES
    + _COMMANDS
    + _COMPUTING
    + _LOCKS
    + _SERVERS
    + _NEAR
)
