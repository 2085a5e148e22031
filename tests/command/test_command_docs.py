"""The page on the command leaves nothing out, and help is there for all of it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Run

from fastmmap.cli.command import Command, Parser
from fastmmap.cli.program import COMMANDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "command.rst").read_text("utf-8")
SECTIONS = dict(
    re.findall(r"\n([\w-]+)\n~+\n(.*?)(?=\n[\w -]+\n[~-]+\n|$)", PAGE, re.S)
)
COMMON = {"-h", "--help", "--json", "--pickle"}


def options(command: Command) -> Iterator[str]:
    """Yield the options of a sub-command."""
    parser = Parser()
    command.add_arguments(parser)
    for action in parser._actions:
        yield from action.option_strings


@pytest.mark.quick
def test_every_command_has_a_section() -> None:
    assert set(SECTIONS) == {command.name for command in COMMANDS}


@pytest.mark.quick
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_option_is_in_the_section_of_its_command(command: Command) -> None:
    section = SECTIONS[command.name]
    missing = {name for name in options(command) if f"``{name}``" not in section}
    assert missing - COMMON == set()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help(command: Command, run: Run) -> None:
    text = run(command.name, "--help").stdout.decode()
    assert "exit status" in text
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert all(action.help for action in parser._actions)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_each_shell(run: Run, shell: str) -> None:
    pytest.importorskip("argcomplete")
    assert b"fastmmap" in run("completion", shell).stdout
