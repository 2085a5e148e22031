"""uWSGI's cache: shared by the workers of one uWSGI, timed inside it."""

from __future__ import annotations

from . import HERE, Driver, Peer, Place, no_store

NAME = "uWSGI cache"
HINT = "apt-get install uwsgi-core uwsgi-plugin-python3"
BLOCK, ITEMS = 128, 32768  # 64-byte values want a block each
# What uWSGI prints must not be taken for an answer: those go through pipe 3.
SHELL = 'exec 3>&1 >/dev/null 2>&1; exec "$@"'


def drive(place: Place) -> Driver:
    """Start uWSGI with a cache of fixed blocks, and a script in it."""
    blocks = max(place.size // BLOCK, 2 * ITEMS)
    cache = f"name=bench,items={ITEMS},blocksize={BLOCK},blocks={blocks},bitmap=1"
    program = ["uwsgi", "--plugins", "python3", "--cache2", cache]
    script = ["--pyrun", str(HERE / "loops_uwsgi.py"), "--pyargv", "/dev/fd/3"]
    return Driver(["sh", "-c", SHELL, "sh", *program, *script], HINT)


def find(place: Place) -> Peer:
    """Return this peer; raises Missing."""
    driver = drive(place)
    driver.close()
    return Peer(NAME, driver.version, no_store, drive, largest=BLOCK)
