"""What a sub-command is made of, and the arguments that several have."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from fastmmap import durations

FINE, FOUND, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

EXITS = """\
exit status:
  0    done
  1    there was nothing to show or to change, or only a part was done
  2    there is no such file, it is not a cache file of this version and machine,
       it is truncated, it cannot be opened, or the command line is wrong
  130  interrupted
"""


class Command(NamedTuple):
    """One sub-command; its help is the docstring of `run`."""

    name: str
    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    description: str = ""
    epilog: str = EXITS

    def add_to(self, commands: "argparse._SubParsersAction[Parser]") -> None:
        """Let a command line take it."""
        parser = commands.add_parser(
            self.name,
            help=self.run.__doc__,
            description=self.description or self.run.__doc__,
            epilog=self.epilog,
        )
        parser.set_defaults(run=self.run)
        self.add_arguments(parser)


class Parser(argparse.ArgumentParser):
    """A parser that prints descriptions as they are written.

    That of a sub-command takes options among its arguments, too: otherwise FILE,
    which may be left out, would count as left out before an option.
    """

    def __init__(self, **options: Any) -> None:
        options["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(**options)
        self._mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the known arguments; return these and the rest."""
        if self._mixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._mixing = True  # it comes back here, by some versions of Python
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def seconds(text: str) -> float:
    """Read an argument that is a time to wait."""
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError(text)
    return value


def interval(text: str) -> float:
    """Read an argument that is the time between two looks."""
    value = seconds(text)
    if value < 0.01:
        raise ValueError(text)
    return value


def lifetime(text: str) -> str:
    """Read an argument that is a lifetime, such as ``10m`` or a number of seconds."""
    spelled = f"{text}s" if text.replace(".", "", 1).isdigit() else text
    durations.lifetime_ms(spelled)
    return spelled


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the cache file, which may be left out."""
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="path of the cache file (default: the only one open on this host)",
    )


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add any number of cache files."""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="path of a cache file (default: all found on this host)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the choice of what machines read."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Add the namespace that is meant."""
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        action="append",
        default=[],
        help="use the keys of this namespace; repeat for one inside it",
    )


def add_keys(parser: argparse.ArgumentParser, nargs: "str | None" = None) -> None:
    """Add the keys that are meant, and how they are written."""
    parser.add_argument("key", metavar="KEY", nargs=nargs, help="a key")
    parser.add_argument(
        "--escaped",
        action="store_true",
        help=r"read KEY as `keys` prints it: \n is a newline, b'..' is bytes",
    )
    add_namespace(parser)


def add_pickle(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the leave to run a serializer."""
    parser.add_argument("--pickle", action="store_true", help=text)


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the leave not to ask."""
    parser.add_argument("--yes", action="store_true", help="do not ask")


def add_interval(parser: argparse.ArgumentParser, default: float) -> None:
    """Add how often to look."""
    parser.add_argument(
        "--interval",
        type=interval,
        default=default,
        metavar="SECONDS",
        help=f"seconds between two updates (default: {default:g})",
    )
