"""``fastmmap list``: the caches of this host."""

import argparse
import sys
import time
from typing import Any, Optional

from fastmmap.advice import stats_of
from fastmmap.cli.clients import COUNTED, by_process, clients_of
from fastmmap.cli.command import FINE, FOUND, Command, add_json
from fastmmap.cli.host import Place, survey
from fastmmap.cli.opening import opened
from fastmmap.cli.output import (
    age_text,
    harmless,
    percent_text,
    print_json,
    print_table,
    printable,
    size_text,
)
from fastmmap.errors import Error

_HEAD = ("SIZE", "FILL", "HITS", "FORMAT", "CLIENTS", "PATH")
_CLIENT_HEAD = ("PID", "USER", "AGE", "GETS", "SETS", "CACHE", "COMMAND")
_COMMAND_MAX = 80
_NOTHING = (
    "no process that you may look at has a cache open. To look at a file, name it: "
    "fastmmap info FILE"
)

LIST = """\
Print the caches of this host: files that a process maps, and those in the
directories for caches without a name. It searches nowhere else. One line for each
cache, then one for each process that has it open.
"""


def describe(place: Place) -> dict[str, Any]:
    """Return the facts about a cache, for programs; "problem" names missing ones."""
    told: dict[str, Any] = {
        "path": place.path,
        "problem": place.reason or None,
        "clients": [client._asdict() for client in place.clients],
    }
    try:
        if not place.reason:
            contents, counts = _contents(place.path)
            told.update(contents)
            for client in told["clients"]:
                client.update(_named(counts.get(client["pid"])))
    except (Error, OSError, ValueError) as error:
        told["problem"] = str(error)
    return told


def _named(counts: Optional[tuple[int, ...]]) -> dict[str, int]:
    """Return counts of a process by their names; none of one in another container."""
    return dict(zip(COUNTED, counts, strict=True)) if counts else {}


def _contents(path: str) -> tuple[dict[str, Any], dict[int, tuple[int, ...]]]:
    """Return the facts and counters of a file, and the counts of each process."""
    with opened(path) as cache:
        info, stats = cache._info(), stats_of(cache)
        contents = {
            "format": info["version"],
            "file_size": info["file_size"],
            "bytes_total": stats.bytes_total,
            "bytes_live": stats.bytes_live,
            "entries": stats.entries,
            "reads": stats.reads,
            "hits": stats.hits,
        }
        return contents, by_process(clients_of(cache))


def _row(told: dict[str, Any]) -> tuple[str, ...]:
    path, clients = printable(told["path"]), str(len(told["clients"]))
    if told["problem"]:
        problem = harmless(told["problem"])
        shown = problem if told["path"] in told["problem"] else f"{path}: {problem}"
        return ("-", "-", "-", "-", clients, shown)
    return (
        size_text(told["file_size"]),
        percent_text(told["bytes_live"], told["bytes_total"]),
        percent_text(told["hits"], told["reads"]),
        str(told["format"]),
        clients,
        path,
    )


def client_row(client: dict[str, Any]) -> tuple[str, ...]:
    """Return a line about a process."""
    command = printable(client["command"])
    if len(command) > _COMMAND_MAX:
        command = command[: _COMMAND_MAX - 3] + "..."
    age = age_text(time.time() - client["since"])
    return (str(client["pid"]), printable(client["user"]), age, command)


def run(arguments: argparse.Namespace) -> int:
    """Print the caches of this host, and who has them open."""
    found = survey()
    told = [describe(place) for place in found.places]
    if arguments.json:
        print_json({"caches": told, "processes_not_looked_at": found.hidden})
    elif told:
        print_table(_HEAD, map(_row, told))
        _print_clients(told)
    else:
        print(f"fastmmap: {_NOTHING}", file=sys.stderr)
    if found.remark():
        print(f"fastmmap: {found.remark()}", file=sys.stderr)
    return FINE if told else FOUND


def _print_clients(told: list[dict[str, Any]]) -> None:
    rows = [
        _client_cells(cache["path"], client)
        for cache in told
        for client in cache["clients"]
    ]
    if rows:
        print()
        print_table(_CLIENT_HEAD, rows)


def _client_cells(path: str, client: dict[str, Any]) -> tuple[str, ...]:
    *first, command = client_row(client)
    done = (str(client.get(name, "-")) for name in ("reads", "stores"))
    return (*first, *done, printable(path), command)


COMMANDS = (Command("list", run, add_json, LIST),)
