"""Output: tables, JSON, sizes, ages, and keys that may be hostile."""

import base64
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional, TypeVar, Union

#: Told how much is done, and of how much, if that is known.
Progress = Callable[[int, Optional[int]], object]
_Item = TypeVar("_Item")
#: Telling takes longer than what it tells of.
_TOLD_EACH = 1000


def printable(text: Union[str, bytes]) -> str:
    """Return a key so that no terminal obeys it; bytes as Python writes them."""
    if isinstance(text, bytes):
        return repr(text)
    return harmless(text.replace("\\", "\\\\"))


def harmless(text: str) -> str:
    """Return a text so that no terminal obeys it; its backslashes stay."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def json_text(text: Union[str, bytes]) -> Any:
    """Return a key for JSON: bytes are an object with their base64."""
    if isinstance(text, bytes):
        return {"base64": base64.b64encode(text).decode()}
    return text


def from_json_text(value: Any) -> Union[str, bytes]:
    """Return the key that `json_text` made the argument of.

    Raises ValueError for anything else.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        return base64.b64decode(value["base64"], validate=True)
    raise ValueError(f"{value!r} is not a key")


def size_text(size: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def age_text(seconds: Optional[float]) -> str:
    """Return a time span by its largest unit; "-" for none."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


def percent_text(part: float, whole: float) -> str:
    """Return a share; "-" where there is nothing to have a share of."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def print_json(value: object) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, sort_keys=True))


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print a line for each fact, its name first."""
    for name, value in facts:
        print(f"{name:15} {value}")


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows below their head, on a terminal with rich if it is installed."""
    texts = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and _print_rich(head, texts):
        return
    for line in plain_table(head, texts):
        print(line)


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; the last column is as wide as it likes."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    widths[-1] = 0
    for row in (head, *rows):
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _print_rich(head: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Print a table with rich; False: it is not installed."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(*head, box=None, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))  # text, never markup: keys are hostile
    Console().print(table)
    return True


def confirm(question: str, yes: bool) -> bool:
    """Ask before something is lost.

    Raises ValueError where nobody can be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError(f"{question} There is no terminal to ask: give --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Show how far something has come, on stderr, where rich is installed."""
    try:
        from rich.console import Console
        from rich.progress import Progress as Bar
    except ImportError:
        yield lambda done, total: None
        return
    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def watched(
    items: Iterable[_Item],
    progress: Progress,
    total: Optional[int],
    weight: Callable[[_Item], int] = lambda item: 1,
) -> Iterator[_Item]:
    """Yield items, and tell now and then how much of them was yielded."""
    done = 0
    for number, item in enumerate(items):
        if number % _TOLD_EACH == 0:
            progress(done, total)
        done += weight(item)
        yield item
    progress(done, done)
