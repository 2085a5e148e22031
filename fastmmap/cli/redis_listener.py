"""``fastmmap redis-listener``: a process that listens, in the place of a thread."""

import argparse
import errno
import logging
import os
import signal

from fastmmap.cache import FastMmap
from fastmmap.cli.command import FINE, Command, interval

LISTENER = """\
Listen to changes on a Redis or Valkey server, for all processes with a RedisTier on
FILE, until stopped. URL, prefixes and max_lag must be those of the tiers, which may
then have listen=False. It waits while another process of the host listens.
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
    kind = "RedisCluster" if arguments.cluster else "Redis"
    client = client_of(arguments.url, kind=kind)
    with FastMmap(arguments.cache, on_mismatch="follow") as cache:
        listener = listener_for(cache, client, prefixes, arguments.max_lag)
        signal.signal(signal.SIGTERM, lambda *_: listener.stop())
        listener.run()
    return FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``redis-listener``."""
    parser.add_argument("cache", metavar="FILE", help="path of the cache file")
    parser.add_argument("url", metavar="URL", help="URL of the server, as in the tiers")
    parser.add_argument(
        "--prefix",
        action="append",
        required=True,
        metavar="TEXT",
        help="prefix of keys to listen to; can be repeated",
    )
    parser.add_argument(
        "--cluster", action="store_true", help="URL is a node of a cluster"
    )
    parser.add_argument(
        "--max-lag",
        type=interval,
        default=1.0,
        metavar="SECONDS",
        help="max_lag of the tiers (default: 1)",
    )


COMMANDS = (Command("redis-listener", run, add_arguments, LISTENER),)
