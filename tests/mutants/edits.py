"""Defects that are put into a copy of the tree, and taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A file's path in the tree, a text that it holds once, and what replaces that.
Edit = tuple[str, str, str]


def require_once(name: str, path: str, text: str, old: str) -> None:
    """Exit unless `old` stands once in the text of a file, which is to be broken.

    Raises:
        SystemExit: the defect of that name cannot be made any more.
    """
    if (times := text.count(old)) != 1:
        raise SystemExit(f"{name}: {path} holds this {times} times, not once:\n{old}")


def require_all(name: str, edits: Iterable[Edit]) -> None:
    """Exit unless all texts of a defect are in the tree."""
    for path, old, _ in edits:
        require_once(name, path, (ROOT / path).read_text(encoding="utf-8"), old)


@contextmanager
def broken(tree: Path, name: str, edits: tuple[Edit, ...]) -> Iterator[None]:
    """Have a defect in a copy of the tree for the length of a block."""
    sound = {path: (tree / path).read_text(encoding="utf-8") for path, _, _ in edits}
    try:
        for path, old, new in edits:
            text = (tree / path).read_text(encoding="utf-8")
            require_once(name, path, text, old)
            (tree / path).write_text(text.replace(old, new), encoding="utf-8")
        yield
    finally:
        for path, text in sound.items():
            (tree / path).write_text(text, encoding="utf-8")
