"""Perl's Cache::FastMmap, the original, timed inside Perl."""

from __future__ import annotations

from . import HERE, Driver, Peer, Place, no_store

NAME = "Cache::FastMmap"
HINT = "apt-get install libcache-fastmmap-perl"


def drive(place: Place) -> Driver:
    """Start Perl on cache files of the place, with pages as ours has them."""
    page = 1 << 20 if place.size >= 64 << 20 else 1 << 18
    arguments = [place.directory, str(place.size >> 20), str(page)]
    return Driver(["perl", str(HERE / "loops.pl"), *arguments], HINT)


def find(place: Place) -> Peer:
    """Return this peer; raises Missing."""
    driver = drive(place._replace(size=1 << 20))
    driver.close()
    version, objects = f"{driver.version} (Perl)", ("set dict", "get dict")
    return Peer(NAME, version, no_store, drive, objects, largest=100_000)
