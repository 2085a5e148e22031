"""``fastmmap completion``: what lets a shell complete the command line."""

import argparse

from fastmmap.cli.command import FINE, Command

COMPLETION = """\
Print a script that completes command lines in your shell. It needs the extra
fastmmap[cli]. For bash, in ~/.bashrc:

  eval "$(fastmmap completion bash)"
"""


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that completes a command line, and exit; else do nothing."""
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what lets a shell complete command lines."""
    from fastmmap.contrib.requirement import require

    require("argcomplete", "3", extra="cli")
    import argcomplete

    print(argcomplete.shellcode(["fastmmap"], shell=arguments.shell))
    return FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``completion``."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="which shell")


COMMANDS = (Command("completion", run, add_arguments, COMPLETION),)
