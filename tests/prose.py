"""Find turns of phrase that docs/style.rst says to avoid.

Checked are the pages, the docstrings, messages and help texts of the package, and the
strings of the C sources; code in pages is not. Run ``python tests/prose.py`` for all
findings, ``python tests/prose.py FILE...`` for those of some files.
"""

from __future__ import annotations

import ast
import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TURNS = ROOT / "docs" / "prose" / "turns.csv"
WHERE = ("*.rst", "docs/**/*.rst", "fastmmap/**/*.py", "*_fastmmap.py", "csrc/*/*.c")
#: The page that shows what to avoid.
EXAMPLES = "docs/style.rst"

BLOCK = re.compile(
    r"^( *)(?:\.\. (?:code-block|sourcecode|math)::.*|(?!\.\. ).*::)\n"
    r"(?:\1 +.*\n|\n)+",
    re.M,
)
LITERAL = re.compile(r"``.+?``|:\w+:`[^`]+`|`[^`]+ <[^`]+`_*", re.S)
PROMPT = re.compile(r"^ *(>>>|\.\.\.) .*$", re.M)
C_STRING = re.compile(r"""'"'|"((?:[^"\\\n]|\\.)*)\"""", re.S)


class Turn(NamedTuple):
    """What to avoid, what to write, and how to find it."""

    avoid: str
    write: str
    pattern: re.Pattern[str]


class Finding(NamedTuple):
    """A turn in a line of a file."""

    path: str
    line: int
    found: str
    turn: str

    def __str__(self) -> str:
        """Return a line as compilers print it."""
        return f"{self.path}:{self.line}: {self.found!r}, as in {self.turn}"


def turns() -> list[Turn]:
    """Return the rows of the table."""
    with TURNS.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return [
        Turn(avoid, write, re.compile(pattern.strip("`"), re.I | re.M))
        for avoid, write, pattern in rows
    ]


def blank(match: re.Match[str]) -> str:
    """Return what keeps the lines of a text as they are numbered."""
    return "x" + "\n" * match[0].count("\n")


def of_page(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a page without its code, each with its line."""
    text = BLOCK.sub(blank, text)
    for pattern in (PROMPT, LITERAL):
        text = pattern.sub(blank, text)
    line = 1
    for part in re.split(r"(\n\s*\n)", text):
        yield line, part
        line += part.count("\n")


def of_python(text: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module, which are its docstrings and messages."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, LITERAL.sub(blank, node.value)


def of_c(text: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a C source."""
    for match in C_STRING.finditer(text):
        string = (match[1] or "").replace("\\n", " ").replace("\\\n", "\n")
        yield 1 + text.count("\n", 0, match.start()), string


READERS = {".rst": of_page, ".py": of_python, ".c": of_c}


def findings(path: Path) -> list[Finding]:
    """Return what is to be avoided in a file, in its order."""
    name, avoided = path.relative_to(ROOT).as_posix(), turns()
    found = []
    for line, text in READERS[path.suffix](path.read_text("utf-8")):
        for turn in avoided:
            for match in turn.pattern.finditer(text):
                place = line + text.count("\n", 0, match.start())
                words = " ".join(match[0].split())
                said = f"{turn.avoid!r}: write {turn.write!r}"
                found.append(Finding(name, place, words, said))
    return sorted(found)


def files() -> list[Path]:
    """Return every file whose words users read."""
    found = {path for pattern in WHERE for path in ROOT.glob(pattern)}
    return sorted(path for path in found if path != ROOT / EXAMPLES)


def main(names: list[str]) -> int:
    """Print the findings; return how many there are."""
    paths = [Path(name).resolve() for name in names] or files()
    found = [each for path in paths for each in findings(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return len(found)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
