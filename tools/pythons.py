"""List the CPythons of this machine that the project is tested with.

The running one first, then the newest patch release of every other minor
version from 3.10 on that pyenv or the PATH offers. One that can build no
extension or make no environment is named on stderr and left out, and so is a
free-threaded build.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OLDEST = (3, 10)
PROBE = """
import importlib.util, json, os, sys, sysconfig
lacks = [m for m in ("venv", "ensurepip") if not importlib.util.find_spec(m)]
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    lacks.append("Python.h")
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    lacks.append("the GIL")
print(json.dumps([sys.implementation.name, sys.version_info[:3], lacks]))
"""


class Interpreter(NamedTuple):
    """A CPython: its version, its program, and what it has not got."""

    version: tuple[int, int, int]
    path: Path
    lacks: tuple[str, ...]

    @property
    def minor(self) -> str:
        """Return the version as users say it, such as ``3.12``."""
        return f"{self.version[0]}.{self.version[1]}"


def candidates() -> Iterator[Path]:
    """Yield programs that may be Pythons: pyenv's, then those on the PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from pyenv.glob("versions/3.*/bin/python")
    name = re.compile(r"python3(\.\d+)?")
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and Path(folder).is_dir():
            yield from (p for p in Path(folder).iterdir() if name.fullmatch(p.name))


def probe(path: Path) -> Interpreter | None:
    """Return what the program at `path` is; None if no CPython we support."""
    command = [str(path), "-I", "-c", PROBE]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=30
        )
        name, version, lacks = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # a shim of pyenv that stands for nothing, say
    if name != "cpython" or tuple(version[:2]) < OLDEST:
        return None
    return Interpreter(tuple(version), path, tuple(lacks))


def usable(found: Interpreter) -> bool:
    """Return whether we can test with it; if not, say why on stderr."""
    if found.lacks:
        lacks = ", ".join(found.lacks)
        print(f"left out: {found.path} (it lacks {lacks})", file=sys.stderr)
    return not found.lacks


def running() -> Interpreter:
    """Return the Python that runs this."""
    version = sys.version_info
    patch = (version.major, version.minor, version.micro)
    return Interpreter(patch, Path(sys.executable), ())


def discover() -> list[Interpreter]:
    """Return the running Python and one of each other minor version."""
    best = {running().minor: running()}
    paths = sorted(set(candidates()))
    others = sorted(filter(None, map(probe, paths)), reverse=True)
    for found in others:
        if found.minor not in best and usable(found):
            best[found.minor] = found
    first, *rest = best.values()
    return [first, *sorted(rest)]


if __name__ == "__main__":
    for interpreter in discover():
        print(interpreter.minor, interpreter.path)
