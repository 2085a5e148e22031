"""Make or update this checkout's virtual environment for the running Python.

Run as ``python tools/environment.py [EXTRA ...] [FILE.txt ...]``. It installs
the checkout in place with those extras and requirement files into
``.venv/3.x`` and prints the path of its Python, alone, on stdout. Of a file
written as ``try:FILE.txt`` each line is installed by itself, and may fail. A stamp
remembers what went in: nothing is installed again until C sources, metadata
or the wishes change. Python sources are used in place.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import TypedDict

import system

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv" / f"{sys.version_info[0]}.{sys.version_info[1]}"
PYTHON = HOME / "bin" / "python"
STAMP = HOME / "installed.json"
PIP = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-input"]
TRY = "try:"


class Stamp(TypedDict):
    """What an environment was made from."""

    python: str
    sources: str
    wishes: list[str]


def path_of(wish: str) -> Path:
    """Return the requirement file that a wish names."""
    return ROOT / wish.removeprefix(TRY)


def fingerprint(wishes: list[str]) -> str:
    """Return a hash of every file that an installation is built from."""
    files = [ROOT / "setup.py", ROOT / "pyproject.toml"]
    files += sorted((ROOT / "csrc").rglob("*.[ch]"))
    files += [path_of(wish) for wish in wishes if wish.endswith(".txt")]
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def installed() -> Stamp | None:
    """Return what the environment holds; None if it has to be made anew."""
    try:
        stamp: Stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None
    return stamp if stamp["python"] == sys.version and PYTHON.exists() else None


def create() -> None:
    """Make an empty environment, replacing what is there."""
    print(f"creating {HOME.relative_to(ROOT)}", file=sys.stderr)
    venv.create(HOME, clear=True, with_pip=True)


def run_pip(*arguments: str) -> bool:
    """Install something; return whether it worked. Messages go to stderr."""
    settings = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    environment = {**os.environ, **settings}
    command = [*PIP, *arguments]
    done = subprocess.run(command, check=False, env=environment, stdout=sys.stderr)
    return done.returncode == 0


def install(wishes: list[str]) -> None:
    """Install the checkout in place, with extras and requirement files."""
    print("installing fastmmap, which takes minutes, with:", *wishes, file=sys.stderr)
    extras = ",".join(wish for wish in wishes if not wish.endswith(".txt"))
    arguments = ["--editable", f"{ROOT}[{extras}]" if extras else str(ROOT)]
    for wish in wishes:
        if wish.endswith(".txt") and not wish.startswith(TRY):
            arguments += ["--requirement", str(ROOT / wish)]
    if not run_pip(*arguments):
        sys.exit("pip failed; its message is above. Try again, or mend what it names.")
    for wish in wishes:
        if wish.startswith(TRY):
            attempt(path_of(wish))


def attempt(file: Path) -> None:
    """Install each requirement of a file by itself; say which cannot be had."""
    lines = file.read_text(encoding="utf-8").splitlines()
    for requirement in filter(None, (line.partition("#")[0].strip() for line in lines)):
        if not run_pip(requirement):
            print(f"going on without {requirement}", file=sys.stderr)


def ensure(wishes: list[str]) -> Path:
    """Return the Python of an environment that has all that is wished for."""
    system.require()
    stamp = installed()
    if stamp is None:
        create()
    wanted = sorted({*wishes, *(stamp["wishes"] if stamp else ())})
    new = Stamp(python=sys.version, sources=fingerprint(wanted), wishes=wanted)
    if new != stamp:
        STAMP.unlink(missing_ok=True)
        install(wanted)
        STAMP.write_text(json.dumps(new))
    return PYTHON


if __name__ == "__main__":
    print(ensure(sys.argv[1:]))
