"""``fastmmap web``: a page that shows caches, live."""

import argparse
import os

from fastmmap.cli.command import FINE, Command, add_files
from fastmmap.cli.opening import open_to_look

WEB = """\
Serve a page that shows caches, live, to browsers of this host, until interrupted. It
prints the address of the page, which contains a token: whoever has it sees the keys
and the values of plain types. It locks no page of a file and changes nothing, unless
--write is given.
"""


def run(arguments: argparse.Namespace) -> int:
    """Serve a page that shows caches, live."""
    from fastmmap.web.server import LocalServer

    files = [os.path.abspath(file) for file in arguments.files]
    for file in files:
        open_to_look(file).close()  # what is wrong with it is said at once
    server = LocalServer(files, arguments.port, arguments.write)
    print(server.url, flush=True)
    if arguments.open:
        import webbrowser

        webbrowser.open(server.url)
    server.run()
    return FINE


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 65536:
        raise ValueError(text)
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``web``."""
    add_files(parser)
    parser.add_argument(
        "--port", type=_port, default=0, help="the port (default: 0, any that is free)"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="let the page delete keys, namespaces, tags and whole caches",
    )
    parser.add_argument("--open", action="store_true", help="open it in a browser")


COMMANDS = (Command("web", run, add_arguments, WEB),)
