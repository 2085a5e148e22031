"""A CPython for arm64 that an emulator runs: Debian's, unpacked into a folder.

Needs apt and qemu-aarch64, and leaves the system's own packages alone. Run as
``python tools/arm64.py WHEEL`` it runs a part of the tests on that wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

EMULATOR = "qemu-aarch64"
#: What is run there: calls of each kind, threads and forks. It takes two minutes.
TESTS = (
    *("unit/test_get.py", "unit/test_many.py", "unit/test_tags.py"),
    *("unit/test_leases.py", "unit/test_lock.py"),
    *("hazards/test_fork.py", "hazards/test_threads.py"),
)
LIBRARIES = ("libc6", "libgcc-s1", "libexpat1", "zlib1g")
SETTINGS = """
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Sandbox::User "root";
Dir::State::Lists "{0}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{0}/cache";
"""


def _apt(folder: Path, *arguments: str, cwd: Path) -> bool:
    """Run apt-get for arm64; return whether it worked."""
    command = ["apt-get", "-qq", *arguments]
    environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
    done = subprocess.run(
        command, check=False, cwd=cwd, env=environment, stderr=subprocess.DEVNULL
    )
    return done.returncode == 0


def _unpack(minor: str, folder: Path) -> bool:
    """Download and unpack a Python with its libraries; return whether it worked."""
    for name in ("lists/partial", "cache/archives/partial", "packages", "root"):
        (folder / name).mkdir(parents=True)
    (folder / "apt.conf").write_text(SETTINGS.format(folder))
    names = [f"python{minor}-minimal", f"libpython{minor}-minimal"]
    wanted = [*names, f"libpython{minor}-stdlib", *LIBRARIES]
    packages = folder / "packages"
    if not _apt(folder, "update", cwd=packages):
        return False
    if not _apt(folder, "download", *wanted, cwd=packages):
        return False
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
    return True


def python(minor: str, folder: Path) -> list[str] | None:
    """Return the command that runs this Python; None where it cannot be had.

    ``minor`` is as ``3.11``; Debian has one or two of them.
    """
    if not (shutil.which(EMULATOR) and shutil.which("apt-get")):
        return None
    if not _unpack(minor, folder):
        return None
    root = folder / "root"
    return [EMULATOR, "-L", str(root), str(root / "usr" / "bin" / f"python{minor}")]


def run_tests(wheel: Path) -> int:
    """Run a part of the tests on a wheel; return pytest's exit status."""
    minor = "3." + wheel.name.split("-")[2].removeprefix("cp3")
    with tempfile.TemporaryDirectory() as place:
        command = python(minor, Path(place, "python"))
        if command is None:
            print(f"there is no CPython {minor} for arm64 here: nothing was run")
            return 0
        packages, home = Path(place, "packages"), Path(place, "home")
        shutil.unpack_archive(wheel, packages, "zip")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target"]
        subprocess.run([*pip, str(packages), "pytest"], check=True)
        shutil.copytree(ROOT / "tests", home / "tests")
        shutil.copy(ROOT / "pyproject.toml", home)
        runner = " ".join(command[:-1])
        given = {"PYTHONPATH": str(packages), "FASTMMAP_RUNNER": runner}
        tests = [f"tests/{name}" for name in TESTS]
        return subprocess.run(
            [*command, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
            check=False,
            cwd=home,
            env={**os.environ, **given},
        ).returncode


if __name__ == "__main__":
    sys.exit(run_tests(Path(sys.argv[1])))
