"""A power cut, simulated: images of a file whose pages are of several moments.

A storm of processes changes a file while its versions are copied, page by page.
Images are mixed out of them at random, each 4 KiB by itself: header, table of
clients, control blocks, index, hints and rings. In each the boot id becomes
another one, as after a boot. Then it is opened, read, written and checked in a
process of its own.

Every value says its key and its number, and each of its bytes follows from
those: a value that is returned was once stored under that key, whole, or it is
told. After that, what is stored must be what is read.

Run ``python tests/stress/powercut.py --images 10000``. On tmpfs, where entries have
no seals, it finds torn values soon: with ``--anywhere`` that is tried.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import logging
import os
import random
import signal
import struct
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, NoReturn

from fastmmap import FastMmap
from fastmmap.verify import check_file

BLOCK = 4096
BOOT_ID = slice(1024, 1040)  # see docs/format.rst
SEALED = 136
VERSIONS = 12  # of a file, for the images of a round
IMAGES = 100  # of a round
AT_ONCE = 25  # images that one process looks at
SECONDS = 60  # for those
STEP = 1_000_003  # of counters
KEYS = 40  # of a kind
GEOMETRIES: tuple[dict[str, Any], ...] = (
    {"page_size": 65536, "num_pages": 8},
    {"page_size": 16384, "num_pages": 5, "start_slots": 16},
    {"page_size": 262144, "num_pages": 2},
)
KINDS = "solctnmeg"


def body(key: str, number: int, length: int) -> bytes:
    """Return bytes that follow from key and number."""
    seed = hashlib.sha256(f"{key}/{number}".encode()).digest()
    words = (
        struct.pack("<16sIQ", seed[:16], i, number) for i in range(length // 28 + 1)
    )
    return b"".join(words)[:length]


def value_of(key: str, number: int) -> Any:
    """Return the value of that number."""
    kind = key[0]
    if kind == "c":
        return residue(key) + STEP * number
    length = random.Random(f"{key}/{number}").choice((0, 9, 60, 150, 700, 2500))
    if kind == "l":
        length = 9000 + length * 9
    data = body(key, number, length)
    return (key, number, data, [number]) if kind == "o" else (key, number, data)


def residue(key: str) -> int:
    """Return what all numbers of a counter have in common."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % STEP


def is_whole(key: str, value: Any) -> bool:
    """Whether the value was stored under the key."""
    if key[0] == "c":
        return isinstance(value, int) and value % STEP == residue(key)
    try:
        return bool(value[0] == key and value == value_of(key, value[1]))
    except (TypeError, IndexError, KeyError):
        return False


def keys() -> list[str]:
    """Return all keys that there may be."""
    return [f"{kind}{n}" for kind in KINDS for n in range(KEYS if kind != "l" else 8)]


# ------------------------------------------------------------------- the storm


def view(cache: FastMmap, key: str) -> Any:
    """Return what the key is in: the cache, or a namespace."""
    return cache.namespace(f"space{int(key[1:]) % 3}") if key[0] == "n" else cache


def change(cache: FastMmap, key: str, number: int, rng: random.Random) -> None:
    """Change a key somehow."""
    place, kind = view(cache, key), key[0]
    what = rng.random()
    if kind == "c":
        cache.incr(key, STEP, initial=residue(key))
    elif kind == "m" and what < 0.3:
        cache.remove(key, modseq=number)
    elif kind == "m":
        cache.set(key, value_of(key, number), modseq=number)
    elif kind == "e":
        cache.get_or_set(key, lambda: value_of(key, number), expire_time=0.05)
    elif what < 0.15:
        place.remove(key)
    elif what < 0.2:
        place.touch(key, rng.choice((100, 0.01, None)))
    elif kind in "tg":
        place.set(key, value_of(key, number), tags=[f"tag{number % 4}"])
    else:
        place.set(key, value_of(key, number))


def end_group(cache: FastMmap, rng: random.Random) -> None:
    """End a group, now and then."""
    if rng.random() < 0.5:
        cache.invalidate_tag(f"tag{rng.randrange(4)}")
    else:
        cache.namespace(f"space{rng.randrange(3)}").clear()


def open_as(path: Path, mode: str, told: Callable[[Any, Any], None]) -> FastMmap:
    """Open the file with the callbacks of the mode."""
    if mode == "plain":
        return FastMmap(path)
    return FastMmap(
        path,
        write_action="write_back",
        write_cb=lambda _, key, value, *__: told(key, value),
        delete_cb=lambda *_: None,
    )


def rage(path: Path, mode: str, seed: int) -> NoReturn:
    """Change the file until killed."""
    rng = random.Random(seed)
    cache = open_as(path, mode, lambda key, value: None)
    all_keys = keys()
    number = os.getpid() << 24
    while True:
        number += 1
        with contextlib.suppress(ValueError):
            change(cache, rng.choice(all_keys), number, rng)
        for _ in range(2):
            cache.get(rng.choice(all_keys))
        if rng.random() < 0.01:
            end_group(cache, rng)
        if mode != "plain" and rng.random() < 0.005:
            cache.flush()


def in_child(work: Callable[[], object]) -> int:
    """Run it in a child; return its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return pid


def collect(path: Path, mode: str, rng: random.Random) -> list[bytes]:
    """Return versions of a file in a storm, from its first moment on."""
    geometry = rng.choice(GEOMETRIES)
    FastMmap(path, **geometry).close()
    versions = [path.read_bytes()]
    seeds = [rng.randrange(1 << 32) for _ in range(2)]
    storm = [in_child(partial(rage, path, mode, seed)) for seed in seeds]
    for _ in range(VERSIONS):
        time.sleep(rng.choice((0.002, 0.02, 0.1)))
        versions.append(path.read_bytes())
    for pid in storm:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    versions.append(path.read_bytes())
    return versions


def mix(versions: list[bytes], rng: random.Random) -> bytes:
    """Return an image of pages of several versions, as after a boot."""
    late = rng.random()
    image = bytearray(versions[-1])
    oldest = rng.randrange(len(versions))
    for at in range(0, len(image), BLOCK):
        if rng.random() < late:
            version = versions[rng.randrange(oldest, len(versions))]
            image[at : at + BLOCK] = version[at : at + BLOCK]
    image[BOOT_ID] = rng.randbytes(16)
    return bytes(image)


# ------------------------------------------------------------------ after it


class Examiner:
    """Look at images, one after another."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.found: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []

    def complain(self, text: str) -> None:
        self.found["wrong"] += 1
        self.wrong = [*self.wrong[:9], text]

    def told(self, key: Any, value: Any) -> None:
        """Hear what is written back."""
        name = key if isinstance(key, str) else bytes(key).decode()
        self.found["offered"] += 1
        if not is_whole(name, value):
            self.complain(f"offered under {name}: {value!r:.200}")

    def read(self, cache: FastMmap) -> None:
        """Read everything, in all ways."""
        for key in keys():
            value = view(cache, key).get(key)
            if value is not None:
                self.found["whole"] += 1
                if not is_whole(key, value):
                    self.complain(f"read under {key}: {value!r:.200}")
        for name, value in cache.items():
            if not is_whole(str(name), value):
                self.complain(f"listed under {name!s}: {value!r:.200}")

    def use(self, cache: FastMmap, rng: random.Random) -> None:
        """Store, and read nothing but that."""
        stored: dict[str, Any] = {}
        for number in range(150):
            key = rng.choice([key for key in keys() if key[0] in "solt"])
            value = value_of(key, number)
            if rng.random() < 0.2:
                cache.remove(key)
                stored[key] = None
            elif cache.set(key, value):
                stored[key] = value
            else:  # there is no room: the old one stays
                stored.pop(key, None)
            other = rng.choice([*stored, key])
            got = cache.get(other)
            if got is not None and other in stored and got != stored[other]:
                self.complain(f"stored under {other}, but read: {got!r:.200}")
        cache.incr("cx", STEP, initial=residue("cx"))
        cache.get_or_set("ex", lambda: value_of("ex", 1))

    def examine(self, path: Path, seed: int) -> None:
        """Look at one image."""
        with open_as(path, self.mode, self.told) as cache:
            self.found["entries"] += cache.stats().entries
            self.read(cache)
            self.use(cache, random.Random(seed))
            if self.mode != "plain":
                cache.flush()
        report = check_file(str(path))
        if not report.sound:
            self.complain(f"not sound: {report}")


def examine_some(
    versions: list[bytes], mode: str, seeds: list[int], directory: Path
) -> None:
    """Make and look at the images of some seeds; leave a report."""
    examiner = Examiner(mode)
    path = directory / "image"
    for seed in seeds:
        path.unlink(missing_ok=True)
        path.write_bytes(mix(versions, random.Random(seed)))
        path.chmod(0o600)
        (directory / "seed").write_text(str(seed))
        try:
            examiner.examine(path, seed)
        except Exception as error:
            examiner.complain(f"seed {seed}: {type(error).__name__}: {error}")
        examiner.found["images"] += 1
    report = {"found": examiner.found, "wrong": examiner.wrong}
    (directory / "report").write_text(json.dumps(report))


def watch(pid: int) -> str:
    """Wait for a child; return how it went wrong, or nothing."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return "" if status == 0 else f"died, status {status}"
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"


def play(mode: str, rng: random.Random, images: int, directory: Path) -> dict[str, Any]:
    """Play one round; return what was found."""
    path = directory / "storm"
    path.unlink(missing_ok=True)
    versions = collect(path, mode, rng)
    total: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    with FastMmap(path) as cache:
        total["before"] += cache.stats().entries * images
    seeds = [rng.randrange(1 << 32) for _ in range(images)]
    for first in range(0, images, AT_ONCE):
        some = seeds[first : first + AT_ONCE]
        (directory / "report").unlink(missing_ok=True)
        fault = watch(in_child(partial(examine_some, versions, mode, some, directory)))
        if fault:
            seed = (directory / "seed").read_text()
            total[fault.split(",")[0]] += 1
            wrong.append(f"{fault} at seed {seed}")
            for number, version in enumerate(versions):
                (directory / f"version{number}").write_bytes(version)
        else:
            report = json.loads((directory / "report").read_text())
            total.update(report["found"])
            wrong += report["wrong"]
    return {"found": total, "wrong": wrong}


def is_sealed(path: Path) -> bool:
    """Whether files there have seals."""
    FastMmap(path, cache_size="64k", init_file=True).close()
    return path.read_bytes()[SEALED] == 1


def main() -> int:
    """Play rounds until so many images have been looked at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--directory", help="on a disk; the files are left there")
    parser.add_argument("--anywhere", action="store_true", help="on tmpfs, too")
    parser.add_argument("--output", help="write the figures to this file")
    options = parser.parse_args()
    logging.getLogger("fastmmap").setLevel(logging.ERROR)
    rng = random.Random(options.seed)
    total: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    with contextlib.ExitStack() as stack:
        directory = Path(
            options.directory or stack.enter_context(tempfile.TemporaryDirectory())
        )
        if not options.anywhere and not is_sealed(directory / "storm"):
            print("not on a disk: entries have no seals there")
            return 2
        turn = 0
        while turn * IMAGES < options.images and not wrong:
            mode = "plain" if turn % 2 == 0 else "write_back"
            images = min(IMAGES, options.images - turn * IMAGES)
            found = play(mode, rng, images, directory)
            total.update(found["found"])
            wrong += found["wrong"]
            turn += 1
    report = json.dumps({"seed": options.seed, **total, "complaints": wrong}, indent=2)
    if options.output:
        Path(options.output).write_text(report)
    print(report)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
