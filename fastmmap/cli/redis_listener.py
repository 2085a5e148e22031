"""``fastmmap redis-listener``: a process that listens, in the place of a thread."""

import argparse
import errno
import logging
import os
import signal

from fastmmap.cache import FastMmap
from fastmmap.cli.command import FINE, Command, interval

LISTENER = """\
Listen to what changes on a Redis or Valkey server, for all processes with a RedisTier
on FILE, until it is ended. URL, prefixes and max_lag have to be those of the tiers,
which may have listen=False then. It waits while another process of the host listens.
"""


def run(arguments: argparse.Namespace) -> int:
    """Listen to a Redis or Valkey server for a cache in front of it."""
    from fastmmap.redis.client import client_of
    from fastmmap.redis.listener import listener_for
    from fastmmap.redis.names import prefixes_of

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    if not os.path.exists(arguments.cache):
        raise FileNotFoundError(errno.ENOENT, "no such cache", arguments.cache)
    prefixes = prefixes_of(arguments.prefix)
    client = client_of(arguments.url)
    with FastMmap(arguments.cache, on_mismatch="follow") as cache:
        listener = listener_for(cache, client, prefixes, arguments.max_lag)
        signal.signal(signal.SIGTERM, lambda *_: listener.stop())
        listener.run()
    return FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``redis-listener``."""
    parser.add_argument("cache", metavar="FILE", help="path of the cache file")
    parser.add_argument(
        "url", metavar="URL", help="of the server, as the tiers have it"
    )
    parser.add_argument(
        "--prefix",
        action="append",
        required=True,
        metavar="TEXT",
        help="of keys to listen to; may be given again",
    )
    parser.add_argument(
        "--max-lag",
        type=interval,
        default=1.0,
        metavar="SECONDS",
        help="that of the tiers (default: 1)",
    )


COMMANDS = (Command("redis-listener", run, add_arguments, LISTENER),)
