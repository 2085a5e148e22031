"""The sources that the package is built from, and copies of them."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT_FROM = ("csrc", "fastmmap", "setup.py", "pyproject.toml", "README.rst")


def copy_sources(target: Path, *more: str) -> None:
    """Copy what the package is built from, and more; nothing that was built."""
    built = shutil.ignore_patterns("*.so", "__pycache__", "*.pyc", "build")
    for name in (*BUILT_FROM, *more):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=built)
        else:
            shutil.copy(ROOT / name, target / name)
