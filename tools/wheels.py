"""Make the wheels and the sdist of a release, without Docker, and check them.

Run as ``python tools/wheels.py [--output dist] [--kinds KIND ...] [--quick]``, with
what the extra ``release`` brings. zig compiles each kind of wheel, for each Python of
this machine, from the sdist and against the oldest C library of that kind. auditwheel
and twine look at each. Those of this machine are installed into an empty environment
and used; one for arm64 is used under an emulator, and none for musl: there is no
Python to run it. What is made for one Python is made twice, and has to come out the
same.
"""

from __future__ import annotations

import argparse
import filecmp
import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import arm64
from environment import ROOT
from kinds import KINDS, NATIVE, Kind
from pythons import Interpreter, discover, running

ZIG = Path(sysconfig.get_path("purelib"), "ziglang", "zig")
USE = ROOT / ".ci" / "use_installed.py"
#: Of zlib; the library is everywhere, what is here only names what we call.
ZLIB_HEADERS = ("zlib.h", "zconf.h")
ZLIB_NAMES = ("compress", "compressBound", "uncompress")
PLATFORM_TAG = re.compile(r'platform tag: "(\w+?)_(\d+)_(\d+)_(\w+)"')


def run(
    *command: object, cwd: Path = ROOT, variables: Mapping[str, str] | None = None
) -> str:
    """Run a command with further variables; return what it printed.

    Raises SystemExit when it fails.
    """
    words = [str(word) for word in command]
    environment = {**os.environ, **(variables or {})}
    done = subprocess.run(
        words,
        check=False,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nexit status {done.returncode}: {' '.join(words)}")
    return done.stdout


def commit_time() -> str:
    """Return when what is released was committed: the date of each file in it."""
    return run("git", "log", "-1", "--format=%ct").strip()


def compiler(kind: Kind) -> str:
    """Return the command that compiles for a kind of wheel."""
    return f"{ZIG} cc -target {kind.target}"


def make_library(kind: Kind, folder: Path, name: str, soname: str, *calls: str) -> None:
    """Make a library that is only linked with: its name, and what is called."""
    source = folder / f"{name}.c"
    source.write_text("".join(f"void {c}(void);\nvoid {c}(void) {{}}\n" for c in calls))
    shared = ["-shared", f"-Wl,-soname,{soname}", "-o", folder / f"lib{name}.so"]
    run(*compiler(kind).split(), "-nostdlib", *shared, source)


def prepare(kind: Kind, folder: Path) -> None:
    """Put there what a system brings: zlib, and musl under the name it goes by."""
    for name in ZLIB_HEADERS:
        shutil.copy(Path("/usr/include", name), folder)
    make_library(kind, folder, "z", "libz.so.1", *ZLIB_NAMES)
    make_library(kind, folder, "musl", f"libc.musl-{kind.machine}.so.1")


def settings(kind: Kind, python: Interpreter, folder: Path) -> dict[str, str]:
    """Return the variables that make setuptools build for another system."""
    command = compiler(kind)
    version = python.minor.replace(".", "")
    return {
        "CC": command,
        "LDSHARED": f"{command} -shared",
        "CFLAGS": f"-fwrapv -fomit-frame-pointer -flto -g0 -I{folder}",
        # Its own startup files and library would take a minute to compile.
        "LDFLAGS": f"-O3 -flto -s -nostdlib -L{folder} {kind.libraries}",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{version}-{kind.suffix}.so",
        "_PYTHON_HOST_PLATFORM": kind.tag,
        "SOURCE_DATE_EPOCH": commit_time(),
        # It keeps what it compiled before: a second run would show nothing.
        "ZIG_LOCAL_CACHE_DIR": str(folder / "cache"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def build_wheel(kind: Kind, python: Interpreter, sdist: Path, output: Path) -> Path:
    """Build one wheel from the sdist; return its path."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(kind, folder)
        pip = [python.path, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        where = ["--no-cache-dir", "--wheel-dir", folder / "made"]
        run(*pip, *where, sdist, variables=settings(kind, python, folder))
        (made,) = (folder / "made").glob("*.whl")
        return Path(shutil.move(made, output))


def date_archive(archive: Path, date: int) -> None:
    """Give everything in an archive one date, one order, and no owner."""
    plain = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=plain, mode="w") as new:
        for item in sorted(old.getmembers(), key=lambda member: member.name):
            item.mtime, item.uid, item.gid = date, 0, 0
            item.uname = item.gname = ""
            item.pax_headers = {}
            new.addfile(item, old.extractfile(item) if item.isfile() else None)
    archive.write_bytes(gzip.compress(plain.getvalue(), mtime=date))


def build_sdist(output: Path) -> Path:
    """Build the sdist from what is committed; return its path."""
    with tempfile.TemporaryDirectory() as place:
        archive = Path(place, "committed.tar")
        run("git", "archive", "--output", archive, "HEAD")
        committed = Path(place, "committed")
        shutil.unpack_archive(archive, committed)
        command = [sys.executable, "-m", "build", "--sdist", "--outdir", output]
        run(*command, committed, variables={"SOURCE_DATE_EPOCH": commit_time()})
    (made,) = output.glob("*.tar.gz")
    date_archive(made, int(commit_time()))
    return made


def build(kinds: list[Kind], pythons: list[Interpreter], output: Path) -> list[Path]:
    """Build everything into a folder; return the paths."""
    output.mkdir(parents=True)
    sdist = build_sdist(output)
    made = [sdist]
    for python in pythons:
        for kind in kinds:
            made.append(build_wheel(kind, python, sdist, output))
            print(
                f"built {made[-1].name}, {made[-1].stat().st_size:,} bytes", flush=True
            )
    return made


def found_tag(wheel: Path) -> tuple[str, tuple[int, int], str]:
    """Return what auditwheel finds a wheel to run on: libc, its version, machine."""
    shown = run(sys.executable, "-m", "auditwheel", "show", wheel)
    match = PLATFORM_TAG.search(" ".join(shown.split()))
    if match is None:
        sys.exit(f"auditwheel finds no platform for {wheel.name}:\n{shown}")
    libc, major, minor, machine = match.groups()
    return libc, (int(major), int(minor)), machine


def check_platform(wheel: Path) -> None:
    """Make sure that a wheel runs where its name says."""
    kind = KINDS[wheel.stem.rpartition("-")[2]]
    found = found_tag(wheel)
    if found[0] != kind.libc or found[1] > kind.version or found[2] != kind.machine:
        sys.exit(f"{wheel.name} needs {found[0]} {found[1]} on {found[2]}")


def use(archive: Path, python: Interpreter) -> str:
    """Install an archive into an empty environment and use it."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        run(python.path, "-m", "venv", home / "env")
        inside = home / "env" / "bin" / "python"
        run(inside, "-m", "pip", "install", "--quiet", archive, cwd=home)
        return run(inside, USE, cwd=home)


def use_on_arm64(wheel: Path, minor: str) -> str | None:
    """Use a wheel under an emulator; None where there is no such Python."""
    with tempfile.TemporaryDirectory() as place:
        command = arm64.python(minor, Path(place, "python"))
        if command is None:
            return None
        packages = Path(place, "packages")
        shutil.unpack_archive(wheel, packages, "zip")
        return run(*command, USE, cwd=packages, variables={"PYTHONPATH": str(packages)})


def look(made: list[Path]) -> None:
    """Look at what was made, without running it."""
    run(sys.executable, "-m", "twine", "check", "--strict", *made)
    for wheel in made[1:]:
        check_platform(wheel)


def use_all(made: list[Path], pythons: list[Interpreter]) -> None:
    """Use the sdist, and each wheel that can be run here; name the others."""
    use(made[0], pythons[0])
    by_version = {f"cp{one.minor.replace('.', '')}": one for one in pythons}
    for wheel in made[1:]:
        python = by_version[wheel.name.split("-")[2]]
        said = None
        if wheel.stem.endswith(NATIVE):
            said = use(wheel, python)
        elif wheel.stem.endswith("aarch64"):
            said = use_on_arm64(wheel, python.minor)
        print(f"{wheel.name}: {said.strip() if said else 'cannot be run here'}")


def differing(made: list[Path], again: list[Path]) -> Iterator[str]:
    """Yield the names of files that came out different the second time."""
    for first, second in zip(made, again, strict=True):
        if not filecmp.cmp(first, second, shallow=False):
            yield first.name


def remove_archives(folder: Path) -> None:
    """Remove what an earlier run left there, and nothing else."""
    for pattern in ("*.whl", "*.tar.gz"):
        for path in folder.glob(pattern):
            path.unlink()


def main() -> None:
    """Make everything twice, check it, and leave it in the output folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--quick", action="store_true", help="one Python, one kind a second time"
    )
    given = parser.parse_args()
    kinds = [KINDS[name] for name in given.kinds]
    pythons = [running()] if given.quick else discover()
    remove_archives(given.output)
    made = build(kinds, pythons, given.output)
    look(made)
    use_all(made, pythons)
    with tempfile.TemporaryDirectory() as place:
        kinds_again = kinds[:1] if given.quick else kinds
        again = build(kinds_again, pythons[:1], Path(place, "again"))
        different = list(differing(made[: len(again)], again))
    if different:
        sys.exit(f"made twice, and different: {' '.join(different)}")
    print(f"{len(made)} archives in {given.output}")


if __name__ == "__main__":
    main()
