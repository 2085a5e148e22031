"""Run replay.c, and its like in Perl, on one trace; read what they print."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runner import BUILD, ROOT

PAGE_SIZE = 256 * 1024
PROGRAM = BUILD / "replay"
PERL = ROOT / "benchmarks" / "peers" / "replay.pl"
ENGINE = "fastmmap"
PERL_ENGINE = "Cache::FastMmap"
SIMULATED = ("lru", "sieve", "s3fifo", "belady")

Counts = dict[str, int]


def build() -> None:
    """Build replay.c with the engine; needs make and a C compiler.

    One process at a time: tests that run side by side build it in one place.
    """
    environment = {**os.environ, "LD_PRELOAD": ""}
    directory = ROOT / "benchmarks"
    command = ["make", "--no-print-directory", "-C", str(directory)]
    with (directory / "Makefile").open() as makefile:
        fcntl.flock(makefile, fcntl.LOCK_EX)
        subprocess.run(command, check=True, env=environment)


def parse(line: str) -> tuple[str, Counts]:
    """Return the policy, and the figures of a line ``name=value ...``."""
    fields = dict(word.split("=") for word in line.split())
    policy = fields.pop("policy")
    return policy, {name: int(value) for name, value in fields.items()}


def replay(
    trace: Path, directory: Path, policies: Sequence[str], pages: int
) -> list[tuple[str, Counts]]:
    """Return what each policy, or an engine, made of a trace."""
    words = [f"{policy}:{pages}" for policy in policies]
    command = [str(PROGRAM), str(trace), str(directory), *words]
    printed = subprocess.check_output(command, text=True)
    return [parse(line) for line in printed.splitlines()]


def replay_perl(trace: Path, directory: Path, pages: int) -> Counts:
    """Return what Perl's Cache::FastMmap made of a trace."""
    file = directory / f"{trace.name}-{pages}"
    command = ["perl", str(PERL), str(trace), str(file), str(pages)]
    return parse(subprocess.check_output(command, text=True))[1]
