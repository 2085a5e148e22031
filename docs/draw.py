"""Draw the pictures of the docs into docs/figures/*.svg.

A picture is a list of rows, a row is boxes side by side, and a box is a text
with a width. Arrows lead from a row to the next. Run ``python docs/draw.py``
after a change of the layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent / "figures"

LEFT, WIDTH, BOX, ARROW = 120.0, 620.0, 34.0, 40.0
FILL = {"plain": "#dbe8f5", "strong": "#f5e3c4", "dead": "#dddddd", "free": "#ffffff"}
STYLE = (
    "text{font:12px sans-serif;text-anchor:middle;fill:#222}"
    ".left{text-anchor:start}.small{font-size:10px;fill:#555}"
    "rect{stroke:#555}.free{stroke-dasharray:3 3}path{stroke:#a33;fill:none}"
    ".mark{fill:#a33}.beside{font-size:10px;fill:#555;text-anchor:start}"
)


@dataclass(frozen=True)
class Box:
    """A part of a row: its text, relative width, kind and a note below it."""

    text: str
    width: float
    kind: str = "plain"
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Boxes side by side; marks and arrows are at places, in the units of widths."""

    label: str
    boxes: tuple[Box, ...]
    marks: tuple[tuple[float, str], ...] = ()
    arrows: tuple[tuple[float, str], ...] = ()


def text(x: float, y: float, words: str, style: str = "") -> str:
    """Return a line of text; it is centred unless `style` says otherwise."""
    attribute = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attribute}>{escape(words)}</text>'


def draw_box(box: Box, x: float, y: float, width: float) -> list[str]:
    """Return one box and its note; a gap is nothing."""
    if box.kind == "gap":
        return []
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BOX:.0f}"'
    parts = [f'<rect {shape} fill="{FILL[box.kind]}" class="{box.kind}"/>']
    parts.append(text(x + width / 2, y + BOX / 2 + 4, box.text))
    if box.note:
        parts.append(text(x + width / 2, y + BOX + 13, box.note, "small"))
    return parts


def draw_arrow(x: float, y: float, words: str) -> list[str]:
    """Return an arrow down from a box that begins at the height `y`."""
    tip = y + BOX + ARROW
    line = f"M{x:.1f} {y + BOX:.1f}V{tip:.1f}m-4 -6l4 6l4 -6"
    return [f'<path d="{line}"/>', text(x + 6, tip - ARROW / 2, words, "beside")]


def draw_row(row: Row, y: float) -> list[str]:
    """Return a row whose boxes begin at the height `y`."""
    unit = WIDTH / sum(box.width for box in row.boxes)
    parts = [text(4, y + BOX / 2 + 4, row.label, "left")] if row.label else []
    x = LEFT
    for box in row.boxes:
        parts += draw_box(box, x, y, box.width * unit)
        x += box.width * unit
    for at, name in row.marks:
        x = LEFT + at * unit
        parts.append(f'<path d="M{x:.1f} {y - 12:.1f}v{BOX + 16:.0f}"/>')
        parts.append(text(x, y - 15, name, "small mark"))
    for at, words in row.arrows:
        parts += draw_arrow(LEFT + at * unit, y, words)
    return parts


def draw(rows: list[Row]) -> str:
    """Return a picture as SVG."""
    y, parts = 4.0, []
    for row in rows:
        y += 24 if row.marks else 0
        parts += draw_row(row, y)
        below = 24 if any(box.note for box in row.boxes) else 8
        y += BOX + (ARROW + 4 if row.arrows else below)
    size = f'width="{LEFT + WIDTH + 4:.0f}" height="{y:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>\n"])


def word(label: str, *boxes: Box) -> Row:
    """Return a row that shows one word, its first bit at the right."""
    return Row(label, boxes)


IDEA = [
    Row(
        "processes",
        (
            Box("web worker 1", 14),
            Box("", 2, "gap"),
            Box("web worker 2", 14),
            Box("", 2, "gap"),
            Box("task queue", 14),
            Box("", 2, "gap"),
            Box("cron job", 14),
        ),
        arrows=(
            (7, "get: no lock"),
            (23, "get: no lock"),
            (39, "set: one lock"),
            (55, "incr"),
        ),
    ),
    Row(
        "one file",
        (
            Box("page 0", 15),
            Box("page 1", 16),
            Box("page 2", 16, "strong", "locked for this set"),
            Box("…", 3, "free"),
            Box("page 15", 12, "strong", "locked for this incr"),
        ),
    ),
]

LAYOUT = [
    Row(
        "the file",
        (
            Box("header", 3, "strong", "4 KiB"),
            Box("control 0", 3, "plain", "256 bytes"),
            Box("control 1", 3, "plain", "256 bytes"),
            Box("…", 1),
            Box("directory", 3, "strong"),
            Box("index 0", 3, "plain"),
            Box("index 1", 3, "plain"),
            Box("…", 1),
            Box("rings 0", 4, "strong"),
            Box("rings 1", 4, "strong"),
            Box("…", 1),
            Box("clients", 3, "plain", "1 MiB"),
        ),
    ),
    Row(
        "a page",
        (
            Box("index", 3, "plain", "8 bytes per slot"),
            Box("hints", 3, "plain", "4 bytes per slot"),
            Box("ghosts", 3, "plain", "2 bytes per slot"),
            Box("ring S", 4, "strong", "20 % of the rest"),
            Box("ring M", 8, "strong", "80 % of the rest"),
        ),
    ),
]

ENTRY = [
    Row(
        "byte 0",
        (
            Box("total", 32, "strong", "u32, bytes"),
            Box("flags", 16, "strong", "u16"),
            Box("type", 8, "strong", "u8"),
            Box("words", 8, "strong", "u8"),
        ),
    ),
    Row("8", (Box("hash of the key", 64, "plain", "u64"),)),
    Row("16", (Box("expire_at", 64, "plain", "u64, ms since 1970, 0 = never"),)),
    Row(
        "24",
        (
            Box("key length", 32, "plain", "u32, bytes"),
            Box("stored_at", 32, "plain", "u32, s since creation"),
        ),
    ),
    Row(
        "32",
        (
            Box("integer", 16, "free", "if INTEGER"),
            Box("modseq", 16, "free", "if MODSEQ"),
            Box("token, deadline, owner", 32, "free", "3 x u64, if LEASE"),
        ),
    ),
    Row(
        "32 + 8 * words",
        (
            Box("key", 18, "strong"),
            Box("value", 38, "strong"),
            Box("padding", 8, "dead", "0 to 7 bytes"),
        ),
    ),
]

WORDS = [
    word(
        "slot word",
        Box("used", 4, "strong", "63"),
        Box("ring", 4, "strong", "62"),
        Box("dirty", 4, "strong", "61"),
        Box("pending", 6, "strong", "60"),
        Box("fresh", 4, "strong", "59"),
        Box("removed", 6, "strong", "58"),
        Box("reserved, 0", 6, "free", "57 - 48"),
        Box("tag of the hash", 12, "plain", "47 - 32"),
        Box("offset in the ring / 8", 18, "plain", "31 - 0"),
    ),
    word(
        "hint word",
        Box("credit", 8, "strong", "31 - 28"),
        Box("last access, seconds since creation", 56, "plain", "27 - 0"),
    ),
    word(
        "lock word",
        Box("generation of the client", 40, "plain", "63 - 12"),
        Box("its entry", 16, "plain", "11 - 1"),
        Box("waiters", 8, "strong", "0"),
    ),
    word(
        "a position",
        Box("lap", 32, "strong", "63 - shift"),
        Box("offset in the ring / 8", 32, "plain", "shift - 1 to 0"),
    ),
]

RING = [
    Row(
        "before",
        (
            Box("free", 12, "free"),
            Box("A", 10),
            Box("dead", 8, "dead"),
            Box("B", 12),
            Box("C", 14),
            Box("free", 8, "free"),
        ),
        ((12, "tail"), (56, "head")),
    ),
    Row(
        "D is stored",
        (
            Box("D", 6, "strong"),
            Box("free", 6, "free"),
            Box("A", 10),
            Box("dead", 8, "dead"),
            Box("B", 12),
            Box("C", 14),
            Box("padding", 8, "dead"),
        ),
        ((6, "head"), (12, "tail")),
    ),
]

STAY = [
    Row(
        "1  A deserves to live",
        (Box("A", 22, "strong"), Box("B", 16), Box("C", 18), Box("free", 8, "free")),
        ((0, "tail"), (56, "head")),
    ),
    Row(
        "2  pad; move head",
        (Box("A", 22, "strong"), Box("B", 16), Box("C", 18), Box("padding", 8, "dead")),
        ((0, "tail"), (22, "head, one lap on")),
    ),
    Row(
        "3  move tail",
        (Box("A", 22, "strong"), Box("B", 16), Box("C", 18), Box("padding", 8, "dead")),
        ((22, "tail; head, one lap on"),),
    ),
]

PICTURES = {
    "idea": IDEA,
    "layout": LAYOUT,
    "entry": ENTRY,
    "words": WORDS,
    "ring": RING,
    "stay": STAY,
}


def main() -> None:
    """Write every picture."""
    HERE.mkdir(exist_ok=True)
    for name, rows in PICTURES.items():
        (HERE / f"{name}.svg").write_text(draw(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
