"""Run the test suites of other projects on our adapters.

Run as ``python tests/outside/run.py [SUITE ...]``. Each suite of `suites.py` is
downloaded with pip, unpacked into ``build/outside`` and run there, by this
Python or another of the machine that it takes. Exits with 1 when one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from suites import SUITES, Suite

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "outside"
PIP = ("-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check")

sys.path.append(str(ROOT / "tools"))

from pythons import discover  # noqa: E402  (found by that path)


def python_for(suite: Suite) -> str:
    """Return an environment's Python that the suite takes; the running one first."""
    oldest, newest = suite.pythons
    for found in discover():
        if oldest <= found.version[:2] <= newest:
            tool = str(ROOT / "tools" / "environment.py")
            command = [str(found.path), tool, "all", "test"]
            return subprocess.check_output(command, text=True).strip()
    wanted = " to ".join(f"{major}.{minor}" for major, minor in suite.pythons)
    raise SystemExit(f"{suite.name} needs CPython {wanted}")


def install(suite: Suite, python: str, target: Path) -> None:
    """Install what the suite needs into a directory of its own."""
    command = [python, *PIP, "install", "--target", str(target), *suite.needs]
    subprocess.run(command, check=True)


def unpack(suite: Suite, python: str, target: Path) -> None:
    """Download the source distribution, and unpack it without its top folder."""
    download = target.with_suffix(".download")
    source = ["--no-deps", "--no-binary", ":all:", "--dest", str(download)]
    subprocess.run([python, *PIP, "download", *source, suite.sdist], check=True)
    (archive,) = download.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(download, filter="data")
    (folder,) = (path for path in download.iterdir() if path.is_dir())
    folder.rename(target)
    shutil.rmtree(download)


def prepare(suite: Suite, python: str) -> Path:
    """Return the directory with all that the suite needs, made when it is not."""
    home = BUILD / suite.name
    stamp = home / "ready.json"
    wanted = json.dumps([python, suite.sdist, suite.needs])
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        install(suite, python, home / "site")
        unpack(suite, python, home / "source")
        stamp.write_text(wanted)
    for ours, place in suite.files.items():
        shutil.copy(HERE / ours, home / "source" / place)
    return home


def run(suite: Suite) -> bool:
    """Run a suite; return whether all of its tests passed."""
    print(f"\n{suite.name}", flush=True)
    python = python_for(suite)
    home = prepare(suite, python)
    scratch = home / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name, reason in suite.deselected.items():
        print(f"  deselected: {name}: {reason}")
    environment = {
        **os.environ,
        **suite.variables,
        "PYTHONPATH": os.pathsep.join([str(home / "site"), str(ROOT)]),
        "TMPDIR": str(scratch),
        "DESELECTED": json.dumps(list(suite.deselected)),
    }
    started = time.monotonic()
    folder = home / "source" / suite.folder
    done = subprocess.run(
        [python, *suite.command], check=False, cwd=folder, env=environment
    )
    print(f"{suite.name}: {time.monotonic() - started:.0f} s", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run the suites that are named, or all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [suite.name for suite in SUITES]
    parser.add_argument("suites", nargs="*", choices=[*names, []], metavar="SUITE")
    chosen = parser.parse_args().suites or names
    failed = [s.name for s in SUITES if s.name in chosen and not run(s)]
    if failed:
        print("failed:", *failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
