"""Say what is missing for a release; exit with 1 while anything is.

Run as ``python tools/release_check.py``, with what the extra ``release`` brings. It
reads the checkout and ``dist/``, which ``make wheels`` fills, and changes nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kinds import KINDS
from packaging.utils import parse_wheel_filename
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
#: Of the note of a version: its number and its day.
TITLE = re.compile(r"^(\d\S*) \((.+)\)\n-+$", re.MULTILINE)


def text(name: str) -> str:
    """Return a file of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def first(pattern: str, name: str) -> str:
    """Return what a pattern catches first in a file; "" if nothing."""
    match = re.search(pattern, text(name), re.MULTILINE)
    return match[1] if match else ""


def version() -> str:
    """Return the version: it stands in one place."""
    return first(r'^__version__ = "(.+)"', "fastmmap/__init__.py")


def pythons() -> list[str]:
    """Return the Pythons that the classifiers name."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project())


def project() -> str:
    """Return what describes the package."""
    return text("pyproject.toml")


def git(*arguments: str) -> str:
    """Return what git says of the checkout."""
    command = ["git", *arguments]
    done = subprocess.run(
        command, check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


def lacking_in_version() -> Iterator[str]:
    """Yield what is wrong with the version, and with its note."""
    if str(Version(version())) != version():
        yield f"the version {version()} is not written as PEP 440 does"
    _, title, date, note, *_ = TITLE.split(text("CHANGELOG.rst"))
    if title != version():
        yield f"CHANGELOG.rst begins with {title}, and this is {version()}"
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        yield f"CHANGELOG.rst says {date!r} where the day of the release belongs"
    number = first(r"^#define FMM_VERSION (\d+)u", "csrc/core/fmm_format.h")
    if f"- File format {number}.\n" not in note:
        yield "CHANGELOG.rst does not name the file format of this version"


def lacking_in_metadata() -> Iterator[str]:
    """Yield what the package does not say of itself, and should."""
    for wanted in ('license = "MIT"', "[project.urls]", "[tool.cibuildwheel]"):
        if wanted not in project():
            yield f"pyproject.toml has no {wanted}"
    for name in ("LICENSE", "SECURITY.md", "README.rst"):
        if not (ROOT / name).exists():
            yield f"there is no {name}"


def lacking_in_workflows() -> Iterator[str]:
    """Yield where a matrix and the classifiers disagree."""
    matrix = first(r"python: \[(.+)\]", ".github/workflows/test.yml")
    if re.findall(r"3\.\d+", matrix) != pythons():
        yield f"test.yml tests {matrix}, the classifiers name {' '.join(pythons())}"
    built = re.findall(r'"cp3(\d+)-\*"', first(r"^build = (.+)", "pyproject.toml"))
    if [f"3.{minor}" for minor in built] != pythons():
        yield "[tool.cibuildwheel] builds other Pythons than the classifiers name"


def lacking_in_git() -> Iterator[str]:
    """Yield what is not committed, or was released before."""
    if git("status", "--porcelain"):
        yield "there are changes that are not committed"
    tag = f"v{version()}"
    if git("tag", "--list", tag) and git("tag", "--points-at", "HEAD") != tag:
        yield f"{tag} is the tag of another commit: it was released"


def wanted_wheels() -> Iterator[tuple[str, str]]:
    """Yield the Python and the platform of each wheel that is to be there."""
    for minor in pythons():
        for kind in KINDS:
            yield "cp" + minor.replace(".", ""), kind


def lacking_in_dist() -> Iterator[str]:
    """Yield the archives that are not there."""
    if not (DIST / f"fastmmap-{version()}.tar.gz").exists():
        yield "dist/ has no sdist of this version (make wheels)"
    there = set()
    for path in DIST.glob("*.whl"):
        _, number, _, tags = parse_wheel_filename(path.name)
        there |= {(tag.interpreter, tag.platform) for tag in tags}
        if str(number) != version():
            yield f"dist/ has a wheel of another version, {path.name}"
    for python, kind in wanted_wheels():
        if (python, kind) not in there:
            yield f"dist/ has no wheel for {python} {kind}"


CHECKS = (
    lacking_in_version,
    lacking_in_metadata,
    lacking_in_workflows,
    lacking_in_git,
    lacking_in_dist,
)


def main() -> int:
    """Print what is missing; return the exit status."""
    missing = [line for check in CHECKS for line in check()]
    for line in missing:
        print("missing:", line)
    if not missing:
        print(f"fastmmap {version()} can be released: git tag v{version()}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
