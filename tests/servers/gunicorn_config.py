"""gunicorn's settings for the tests of `fastmmap.contrib.gunicorn`."""

from __future__ import annotations

import os

from fastmmap.contrib.gunicorn import hooks

FOLDER = os.environ["SERVED_FOLDER"]


def write(context: None, key: str, value: object, expire_on: object) -> None:
    with open(f"{FOLDER}/notes", "a") as file:
        file.write(f"wrote {key}={value} {os.getpid()}\n")


on_starting, on_exit = hooks(
    f"{FOLDER}/cache",
    cache_size="1m",
    unlink_on_exit=True,
    write_action="write_back",
    write_cb=write,
)
