"""Find what a build needs from the system; as root, install it with apt.

Run as ``python tools/system.py [NAME ...]``: checks the needs of every build,
and of each NAME (a key of ``OPTIONAL``, as ``clang``) besides. Exits with 1 and the
exact command to type when something is missing that it may not install.

Knows nothing of Python packages; see environment.py.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple


class Need(NamedTuple):
    """Something that has to be there, and the Debian package that brings it."""

    what: str
    package: str
    present: Callable[[], bool]


def succeeds(*command: str, given: str = "") -> Callable[[], bool]:
    """Return a probe that runs a command, which reads what is given."""

    def probe() -> bool:
        quiet = subprocess.DEVNULL
        try:
            done = subprocess.run(
                command, check=False, input=given, text=True, stdout=quiet, stderr=quiet
            )
        except FileNotFoundError:
            return False
        return done.returncode == 0

    return probe


def has_header(name: str) -> Callable[[], bool]:
    """Return a probe for a header that the C preprocessor finds."""
    preprocess = ("cc", "-E", "-x", "c", "-o", os.devnull, "-")
    return succeeds(*preprocess, given=f"#include <{name}>\n")


def has_fuzzer() -> bool:
    """Return whether clang finds the libraries of its fuzzer and sanitizers."""
    link = ("clang", "-fsanitize=fuzzer,address", "-x", "c", "-o", os.devnull, "-")
    source = "int LLVMFuzzerTestOneInput(void) { return 0; }\n"
    return succeeds(*link, given=source)()


def has_command(name: str) -> Callable[[], bool]:
    """Return a probe for a program on the PATH."""
    return lambda: shutil.which(name) is not None


def has_python_header() -> bool:
    """Return whether this Python can build extensions."""
    return Path(sysconfig.get_path("include"), "Python.h").exists()


def has_venv() -> bool:
    """Return whether this Python can make virtual environments with pip."""
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
ALWAYS = (
    Need("a C compiler", "build-essential", has_command("cc")),
    Need("make", "make", has_command("make")),
    Need("zlib's header", "zlib1g-dev", has_header("zlib.h")),
    Need(f"the headers of {PYTHON}", f"{PYTHON}-dev", has_python_header),
    Need(f"venv for {PYTHON}", f"{PYTHON}-venv", has_venv),
)
OPTIONAL = {
    "clang": Need("clang", "clang", has_command("clang")),
    "fuzzer": Need("libFuzzer of clang", "libclang-rt-14-dev", has_fuzzer),
    "valgrind": Need("valgrind", "valgrind", has_command("valgrind")),
    "perl-peer": Need(
        "Perl's Cache::FastMmap",
        "libcache-fastmmap-perl",
        succeeds("perl", "-MCache::FastMmap", "-e", "1"),
    ),
    "bwrap": Need("bubblewrap", "bubblewrap", has_command("bwrap")),
    "redis": Need("Redis", "redis-server", has_command("redis-server")),
    "namespaces": Need("ip, for network namespaces", "iproute2", has_command("ip")),
    "memcached": Need("memcached", "memcached", has_command("memcached")),
    "php": Need("PHP", "php-cli", has_command("php")),
    "apcu": Need(
        "PHP's APCu",
        "php-apcu",
        succeeds("php", "-r", "exit((int) !phpversion('apcu'));"),
    ),
    "uwsgi": Need("uWSGI", "uwsgi-core", has_command("uwsgi")),
    "uwsgi-python": Need(
        "uWSGI's Python",
        "uwsgi-plugin-python3",
        succeeds("uwsgi", "--plugins", "python3", "--version"),
    ),
    "chromium": Need("Chromium, a browser", "chromium", has_command("chromium")),
    "chromium-driver": Need(
        "the driver of Chromium", "chromium-driver", has_command("chromedriver")
    ),
    "wrk": Need("wrk, a client for web servers", "wrk", has_command("wrk")),
    "arm64-compiler": Need(
        "a C compiler for arm64",
        "gcc-aarch64-linux-gnu",
        has_command("aarch64-linux-gnu-gcc"),
    ),
    "arm64-libc": Need(
        "the C library for arm64",
        "libc6-dev-arm64-cross",
        Path("/usr/aarch64-linux-gnu/include/stdio.h").exists,
    ),
    "arm64-emulator": Need(
        "an emulator for arm64", "qemu-user", has_command("qemu-aarch64")
    ),
}


def missing(needs: Iterable[Need]) -> list[Need]:
    """Return those of `needs` that are not there."""
    return [need for need in needs if not need.present()]


def may_install() -> bool:
    """Return whether we are root on a system with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(needs: list[Need]) -> None:
    """Install the packages of `needs` with apt; its output goes to stderr."""
    packages = [need.package for need in needs]
    print("installing", *packages, file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-qq", "-o", "DPkg::Lock::Timeout=300"]
    for command in (
        ["apt-get", "update", *options],
        ["apt-get", "install", "--yes", "--no-install-recommends", *options, *packages],
    ):
        subprocess.run(command, check=False, env=environment, stdout=sys.stderr)
    importlib.invalidate_caches()


def explain(needs: list[Need]) -> str:
    """Say what is missing and which command brings it."""
    what = ", ".join(need.what for need in needs)
    packages = " ".join(need.package for need in needs)
    return (
        f"Missing: {what}.\n"
        f"On Debian or Ubuntu: sudo apt-get update && sudo apt-get install {packages}\n"
        "Then run the same command again."
    )


def require(names: Iterable[str] = ()) -> None:
    """Make sure that everything needed is there.

    `names` are keys of ``OPTIONAL``. Raises SystemExit, with the command that
    helps, when something is missing and could not be installed.
    """
    needs = [*ALWAYS, *(OPTIONAL[name] for name in names)]
    if missing(needs) and may_install():
        install(missing(needs))
    lacking = missing(needs)
    if lacking:
        sys.exit(explain(lacking))


if __name__ == "__main__":
    require(sys.argv[1:])
