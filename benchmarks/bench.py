"""Run the benchmarks: each bench_*.py answers one question.

``make bench`` runs all of them and writes ``benchmarks/results``, the tables and
plots of the docs and the table of README.rst. ``make bench-quick`` takes less
than two minutes and writes to ``build/bench/quick``.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

from runner import BUILD, PUBLISHED, Scale, Skipped, progress, write

QUESTIONS = (
    "basic",
    "doors",
    "sizes",
    "batch",
    "parallel",
    "tail",
    "growth",
    "attach",
    "memory",
    "fits",
    "frames",
    "web",
    "tier",
    "hitratio",
    "kept",
)


def answer(question: str, scale: Scale, directory: Path) -> None:
    """Measure what a question asks for; write it."""
    module = import_module(f"bench_{question}")
    summary = (module.__doc__ or "").partition("\n")[0]
    progress(f"{question}: {summary}")
    start = time.monotonic()
    figures = module.measure(scale, Skipped())
    figures["seconds"] = round(time.monotonic() - start, 1)
    path = write(directory, question, figures)
    progress(f"{question}: {figures['seconds']} s, {path}")


def main() -> None:
    """Answer the questions that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quick", dest="scale", action="store_const", const="quick")
    group.add_argument("--smoke", dest="scale", action="store_const", const="smoke")
    parser.add_argument("--output", type=Path, help="directory of the JSON files")
    parser.add_argument("questions", nargs="*", metavar="QUESTION")
    parser.set_defaults(scale="full")
    arguments = parser.parse_args()
    unknown = set(arguments.questions) - set(QUESTIONS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {QUESTIONS}")
    full = arguments.scale == "full"
    directory = arguments.output or (PUBLISHED if full else BUILD / arguments.scale)
    # The servers end with their blocks: a signal must not pass these by.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    for question in arguments.questions or QUESTIONS:
        answer(question, Scale(arguments.scale), directory)


if __name__ == "__main__":
    main()
