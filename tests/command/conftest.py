"""The command as a user runs it: a program of its own, with what it prints."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from commands import Done, Run, command, environment


@pytest.fixture
def run() -> Run:
    """Run the command to its end; its output must end no program."""

    def run(*arguments: str, given: bytes = b"", status: int = 0) -> Done:
        done = subprocess.run(
            command(*arguments),
            check=False,
            input=given,
            capture_output=True,
            timeout=120,
            env=environment(),
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def lines(run: Run) -> Callable[..., list[str]]:
    """Run the command; return the lines that it prints."""
    return lambda *arguments, **more: (
        run(*arguments, **more).stdout.decode().splitlines()
    )
