"""PHP's APCu: a cache in the memory that one PHP server's processes share."""

from __future__ import annotations

from . import HERE, Driver, Peer, Place, no_store

NAME = "APCu"
HINT = "apt-get install php-cli php-apcu"


def drive(place: Place) -> Driver:
    """Start PHP with a cache of the place's size."""
    size = f"{max(place.size, 64 << 20) >> 20}M"
    options = ["-d", "apc.enable_cli=1", "-d", f"apc.shm_size={size}"]
    return Driver(["php", *options, str(HERE / "loops.php")], HINT)


def find(place: Place) -> Peer:
    """Return this peer; raises Missing."""
    driver = drive(place)
    driver.close()
    version, objects = f"{driver.version} (PHP)", ("set dict", "get dict")
    return Peer(NAME, version, no_store, drive, objects)
