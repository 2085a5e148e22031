"""How the tests run the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import fastmmap

Done = subprocess.CompletedProcess[bytes]
Run = Callable[..., Done]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which the package under test is found."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(fastmmap.__file__)))
    places = filter(None, [home, os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), **more}


def command(*arguments: str) -> list[str]:
    """Return what runs the command; `fastmmap` calls the same function."""
    return [sys.executable, "-m", "fastmmap", *arguments]
