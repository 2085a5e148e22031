"""docs/format.rst against the headers: names, places and values.

What the headers mean is asked of the compiler, so that a constant which changes on
one side only is noticed, however it is written.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "csrc" / "core"
PAGE = (
    (ROOT / "docs" / "format.rst")
    .read_text("utf-8")
    .replace("\N{EN DASH}", "-")
    .replace("\N{MULTIPLICATION SIGN}", "x")
)
PROSE = " ".join(PAGE.split())
FORMAT_H = (CORE / "fmm_format.h").read_text("utf-8")
FMM_H = "".join(
    (CORE / f"{name}.h").read_text("utf-8")
    for name in ("fmm", "fmm_counts", "fmm_order")
)
ENCODED_H = (ROOT / "csrc" / "python" / "py_encoded.h").read_text("utf-8")

#: The names of a declaration: one, or several with commas between.
MEMBERS = re.compile(r"^    [\w ]+? ((?:\w+(?:\[[^\]]+\])?(?:, )?)+);", re.MULTILINE)
#: Of the contract only this is in files.
IN_FILES = re.compile(
    r"FMM_(NAME_SIZE|COMMAND_SIZE|PAGE_SIZE_M|TYPE_INT|TAGS_MAX|LEASE_MS_MAX|LEASE_LOCK|KEY_[TBI])"
)
#: Constants of single modules that the page speaks of.
OF_MODULES = {
    "fmm_options.c": (
        *("SPLIT_SHARE", "WHOLE_SHARE", "WHOLE_LEAST", "PART_SHARE", "PARTS_MAX"),
        *("LISTINGS_MIN", "LISTINGS_MAX", "SLOT_SIZE"),
    ),
    "fmm_directory.c": ("GHOST_WAYS",),
    "fmm_insert.c": ("PART_AROUND",),
    "fmm_ring.c": ("LAP_SANE_BITS",),
}
STRUCTS = (
    *("fmm_header", "fmm_identity", "fmm_control", "fmm_parts"),
    *("fmm_directory", "fmm_listing", "fmm_client_entry", "fmm_client_stripe"),
)

# Another CPython would not make it different.
pytestmark = pytest.mark.once


class Format(NamedTuple):
    """What the compiler makes of the headers."""

    constants: dict[str, int]
    fields: dict[str, list[tuple[int, int, str]]]

    def size(self, struct: str) -> int:
        """Return the bytes of a struct up to the end of its last field."""
        at, size, _ = self.fields[struct][-1]
        return at + size


def constant_names() -> list[str]:
    """Return the constants of the format, by their whole names."""
    pattern = r"^#define (FMM_\w+)[ \\]|\b(FMM_\w+) ="
    own = [a or b for a, b in re.findall(pattern, FORMAT_H, re.M)]
    contract = [a or b for a, b in re.findall(pattern, FMM_H, re.M)]
    lists = re.findall(r"^    (FMM_LIST\w+)", FORMAT_H, re.M)
    names = [*own, *lists, *filter(IN_FILES.match, contract)]
    return sorted(set(names) - {"FMM_MAGIC"})


def module_defines() -> str:
    """Return the lines that define the constants of single modules."""
    lines = []
    for file, names in OF_MODULES.items():
        text = (CORE / file).read_text("utf-8")
        for name in names:
            (line,) = re.findall(rf"^#define {name} .*$", text, re.M)
            lines.append(line)
    return "\n".join(lines)


def struct_members(struct: str) -> list[str]:
    """Return the fields of a struct in their order."""
    header = FORMAT_H if f"struct {struct} {{" in FORMAT_H else FMM_H
    body = header.partition(f"struct {struct} {{\n")[2].partition("\n};")[0]
    names = [name for some in MEMBERS.findall(body) for name in some.split(", ")]
    return [name.partition("[")[0] for name in names]


def program() -> str:
    """Return C that prints all constants and the place of each field."""
    lines = []
    for name in [*constant_names(), *sum(OF_MODULES.values(), ())]:
        lines.append(f'printf("{name} %llu\\n", (unsigned long long)({name}));')
    for struct in STRUCTS:
        for field in struct_members(struct):
            place = f"offsetof(struct {struct}, {field})"
            size = f"sizeof(((struct {struct} *)0)->{field})"
            lines.append(
                f'printf("{struct} %zu %zu {field}\\n", (size_t){place}, {size});'
            )
    lines.append('for (unsigned i = 0; i < FMM_MAGIC_SIZE; i++) printf("magic %u\\n",')
    lines.append("    (unsigned)(unsigned char)FMM_MAGIC[i]);")
    body = "\n    ".join(lines)
    return (
        '#include "fmm_format.h"\n#include <stdio.h>\n'
        f"{module_defines()}\nint main(void)\n{{\n    {body}\n    return 0;\n}}\n"
    )


@pytest.fixture(scope="module")
def c_format(tmp_path_factory: pytest.TempPathFactory) -> Format:
    folder = tmp_path_factory.mktemp("format")
    (folder / "format.c").write_text(program())
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = [*compiler, "-std=c11", f"-I{CORE}", "format.c", "-oformat"]
    subprocess.run(command, cwd=folder, check=True)
    shown = subprocess.check_output([folder / "format"], text=True)
    constants: dict[str, int] = {}
    fields: dict[str, list[tuple[int, int, str]]] = {name: [] for name in STRUCTS}
    magic = []
    for line in shown.splitlines():
        name, *rest = line.split()
        if name == "magic":
            magic.append(int(rest[0]))
        elif name in fields:
            fields[name].append((int(rest[0]), int(rest[1]), rest[2]))
        else:
            constants[name.removeprefix("FMM_")] = int(rest[0])
    constants["MAGIC"] = int.from_bytes(bytes(magic), "big")
    return Format(constants, fields)


# ------------------------------------------------------------------- the page


def tables() -> Iterator[list[list[str]]]:
    """Yield the bodies of the tables of the page, as rows of cells."""
    border = r"=+(?: =+)+\n"
    for lines, body in re.findall(
        rf"^({border})(?:.*\n)+?{border}((?:.+\n)+?){border}", PAGE, re.M
    ):
        starts = [match.start() for match in re.finditer(r"=+", lines)]
        ends = [*starts[1:], None]
        yield [
            [line[a:b].strip() for a, b in zip(starts, ends, strict=True)]
            for line in body.splitlines()
        ]


def table(cell: str) -> list[list[str]]:
    """Return the rows of the table with that cell, without continued lines."""
    (found,) = (rows for rows in tables() if any(cell in row[:3] for row in rows))
    return [row for row in found if row[0]]


def told(rows: list[list[str]], name_at: int) -> list[tuple[str, ...]]:
    """Return the columns up to the name, of rows that have a name."""
    return [
        tuple(cell.strip("`") for cell in row[: name_at + 1])
        for row in rows
        if row[name_at].startswith("``")
    ]


@pytest.mark.parametrize(
    ("struct", "cell"),
    [
        ("fmm_header", "``magic``"),
        ("fmm_identity", "``boot_id``"),
        ("fmm_control", "``recount_at``"),
        ("fmm_directory", "``built``"),
        ("fmm_listing", "``listed_at``"),
        ("fmm_client_entry", "``since_ms``"),
        ("fmm_client_stripe", "``before``"),
    ],
)
def test_the_fields_of_a_struct_are_those_of_its_table(
    c_format: Format, struct: str, cell: str
) -> None:
    fields = [(str(at), str(size), name) for at, size, name in c_format.fields[struct]]
    assert told(table(cell), 2) == fields


def test_the_fields_of_parts_are_those_of_their_table(c_format: Format) -> None:
    fields = [
        (str(at), str(size), name) for at, size, name in c_format.fields["fmm_parts"]
    ]
    assert told(table("``listing``"), 2) == fields


def test_the_sizes_of_the_structs_add_up(c_format: Format) -> None:
    for struct, total in (
        ("fmm_header", "HEADER_SIZE"),
        ("fmm_control", "CONTROL_SIZE"),
    ):
        assert c_format.size(struct) == c_format.constants[total]


def span(mask: int) -> str:
    """Return the bits of a mask as the page writes them."""
    low, high = (mask & -mask).bit_length() - 1, mask.bit_length() - 1
    return str(high) if low == high else f"{high} - {low}"


# Masks of more than one bit that are no field of their own, and a number.
COMPOSED = {
    "SLOT_STATE",
    "ENTRY_KIND",
    "ENTRY_EXTENDED",
    "ENTRY_KNOWN",
    "ENTRY_WORDS_MAX",
}


def masks(constants: dict[str, int], kind: str) -> dict[str, str]:
    """Return the bits of a word by name."""
    names = re.findall(rf"\bFMM_{kind}_(\w+)(?: =| \()", FORMAT_H)
    names += ["OFFSET"] if kind == "SLOT" else []
    return {
        name: span(constants[f"{kind}_{name}"])
        for name in names
        if f"{kind}_{name}" not in COMPOSED and "SHIFT" not in name
    }


def test_the_flags_of_an_entry_are_those_of_their_table(c_format: Format) -> None:
    flags = masks(c_format.constants, "ENTRY")
    given = {name: bits for bits, name in told(table("``PAD_BYTES``"), 1)}
    assert given == flags


def test_the_bits_of_a_slot_word_are_those_of_their_table(c_format: Format) -> None:
    bits = masks(c_format.constants, "SLOT")
    rows = table("``PENDING``")
    (reserved,) = (row[0] for row in rows if not row[1])
    assert reserved == bits.pop("RESERVED")
    assert {name: at for at, name in told(rows, 1)} == bits


def lists(constants: dict[str, int]) -> dict[str, int]:
    """Return the numbers of the lists of the directory by name."""
    return {name: n for name, n in constants.items() if name.startswith("LIST_")}


def test_the_lists_of_the_directory_are_those_of_their_table(
    c_format: Format,
) -> None:
    given = {f"LIST_{name}": int(n) for n, name in told(table("``COMING``"), 1)}
    assert given == lists(c_format.constants)
    assert len(given) == c_format.constants["LISTS"]


def test_the_types_of_a_value_are_those_of_their_table(c_format: Format) -> None:
    types = re.findall(r"VALUE_(\w+) = (\w+)", ENCODED_H)
    values = [
        (str(c_format.constants.get(value.removeprefix("FMM_"), value)), name)
        for name, value in types
    ]
    assert told(table("``NOT_FOUND``"), 1) == values


def test_the_words_of_leases_and_tags_are_those_of_their_tables(
    c_format: Format,
) -> None:
    assert len(told(table("``deadline``"), 1)) == c_format.constants["LEASE_WORDS"]
    shift = c_format.constants["TAG_HIGH_SHIFT"]
    words = told(table(f"63 - {shift}"), 1)
    assert words == [(f"63 - {shift}", "generation"), (f"{shift - 1} - 0", "id")]


def test_the_numbers_are_those_of_the_headers(c_format: Format) -> None:
    given = {name.strip("`"): int(value, 0) for name, value, _ in table("``VERSION``")}
    shown_elsewhere = {
        f"{kind}_{name}"
        for kind in ("SLOT", "ENTRY")
        for name in masks(c_format.constants, kind)
    }
    shown_elsewhere |= lists(c_format.constants).keys()
    modules = set(sum(OF_MODULES.values(), ()))
    expected = {
        name: value
        for name, value in c_format.constants.items()
        if name not in shown_elsewhere | modules | {"MAGIC"}
    }
    assert given == expected


DAY_MS = 86_400_000
WORDS = {2: "two", 1 / 4: "quarter", 1 / 16: "16th", 1 / 32: "32nd", 1 / 128: "128th"}


def in_words(number: float) -> str:
    """Return a number as the page writes it."""
    return WORDS.get(number, str(number))


def claims_of_parts(c: dict[str, int], size: Callable[[str], int]) -> list[str]:
    """Return what the page has to say of values in parts and of the directory."""
    directory, listing = size("fmm_directory"), size("fmm_listing")
    parts, whole = size("fmm_parts"), c["WHOLE_LEAST"]
    return [
        f"the directory at {c['HEADER_SIZE']} + {c['CONTROL_SIZE']} x ``P``. That is "
        f"{directory} bytes, and {listing} for each of its ``L`` listings. The bases "
        f"of groups follow, for each page 4 bytes for every {c['BASE_SPAN']} of it. "
        f"The index parts begin behind them, rounded up to a multiple of "
        f"{c['HEADER_SIZE']}.",
        "``L`` is the rings of all pages // the largest entry "
        f"of a user's key, {c['LISTINGS_MAX']} at most, and {c['LISTINGS_MIN']} more",
        f"An entry of a user's key takes at most a {in_words(1 / c['WHOLE_SHARE'])} of "
        f"a page, or {whole >> 10} KiB where that is more",
        f"The first {c['LISTS']} are the ends of the lists",
        f"in sets of {c['GHOST_WAYS']} listings",
        f"is ``(h >> 32) % (L // {c['GHOST_WAYS']})``",
        f"a listing only for a number from {c['LISTS']} to below ``L``",
        f"**Parts**, {parts} bytes in the place of a value",
        f"with ``IN_PARTS`` a value of {parts} bytes",
        f"{c['PART_NAME']} ``id`` of parts, one part of a value number, listing",
        f"``id``, n ({c['PART_LISTING'] - c['PART_NUMBER']} bytes), ``listing`` "
        f"({c['PART_NAME'] - c['PART_LISTING']} bytes)",
        f"at most a {in_words(1 / c['SPLIT_SHARE'])} of all pages",
        f"So it has {c['PART_AROUND']} bytes more than its piece of the value",
        f"than a {in_words(1 / c['PART_SHARE'])} of the largest entry of a user's key, "
        f"or than a {in_words(1 / c['PARTS_MAX'])} of the value where that is more",
        f"largest = min(max(page_size // {c['WHOLE_SHARE']}, {whole}), main_least // 2",
        "listings = min(rings_size * num_pages // largest, "
        f"{c['LISTINGS_MAX']}) + {c['LISTINGS_MIN']}",
        f"directory_at = {c['HEADER_SIZE']} + {c['CONTROL_SIZE']} * num_pages",
        f"bases_at = directory_at + {directory} + {listing} * listings",
        f"indexes_at = up(bases_at + 4 * (page_size // {c['BASE_SPAN']}) * num_pages, "
        f"{c['HEADER_SIZE']})",
    ]


def claims(c: dict[str, int]) -> list[str]:
    """Return what the page has to say of all else, with the values of C."""
    ring, hint = c["RING_ALIGN"], c["HINT_CREDIT_SHIFT"]
    slots, header, most = c["BUCKET_SLOTS"], c["ENTRY_HEADER"], c["ENTRY_WORDS_MAX"]
    magic = c["MAGIC"].to_bytes(8, "big")
    return [
        f"This is format version {c['VERSION']}, field by field",
        f"``version`` {c['VERSION']} ",
        f"``magic`` ``{magic.hex(' ').upper()}``",
        f"``byte_order`` 0x{c['BYTE_ORDER']:08x}",
        f"({magic!r}, {c['VERSION']}, {hex(c['BYTE_ORDER'])!r}, ",
        f"``header_size`` {c['HEADER_SIZE']} ",
        f"The control blocks begin at {c['HEADER_SIZE']}, ",
        f"An index part is the index, {8 * slots} x ``B``; then the hints, "
        f"{4 * slots} x ``B``; then the ghosts, {2 * c['GHOST_BUCKET']} x ``B``. "
        f"It is rounded up to a multiple of {ring}.",
        f"rounded down to a multiple of {ring}",
        f"from {c['PAGE_SIZE_MIN'] >> 10} KiB to {c['PAGE_SIZE_MAX'] >> 30} GiB",
        f"at most 2\\ :sup:`{c['PAGES_MAX'].bit_length() - 1}` pages",
        f"of {slots} slots, in the first index of a page",
        f"{c['TURNS']} locks that order",
        f"has the lock ``h >> 16 & {c['TURNS'] - 1}``",
        f"SipHash-1-3 of bytes 0 to {8 * 18 - 1} under the seed 0, 0",
        f"Bits 31 - {hint} are the credit, {span(c['HINT_ACCESS'])} the last access",
        f"63 - {c['OWNER_GENERATION_SHIFT']} ``GENERATION``",
        f"{c['OWNER_GENERATION_SHIFT'] - 1} - {c['OWNER_ENTRY_SHIFT']} ``ENTRY``",
        f"Byte {c['BYTE_CLIENTS']} + n is locked exclusively by client n",
        f"{c['CLIENTS']} entries of 512 bytes",
        f"The {c['CLIENTS'] + 1}th client is refused",
        f"{c['CLIENT_STRIPES']} times counters",
        f"slots ``{slots} * b`` to ``{slots} * b + {slots - 1}``",
        f"Ghosts are words of 16 bits in buckets of {c['GHOST_BUCKET']}",
        f"number of extension words, 0 to {most}",
        f"{header} 8 x n extension words",
        f"for each of 1 to {c['TAGS_MAX']} tags",
        f"one more than {in_words(2 * c['LEASE_MS_MAX'] / DAY_MS)} days ahead is none",
        f"positions of 2\\ :sup:`{c['LAP_SANE_BITS']}` and more are damage",
        f"``total`` a multiple of 8, at least {c['ENTRY_PADDING_MIN']}, and within",
        f"without ``PADDING`` at least {header}, and no flag above ``PADDING``",
        f"``TYPE_INT`` {c['TYPE_INT']} ",
        "The index and the hints take at most half of a page.",
        f"index_size = up({(c['SLOT_SIZE'] + 2) * slots} * buckets, {ring})",
    ]


def test_what_the_page_says_in_words_has_the_values_of_the_headers(
    c_format: Format,
) -> None:
    constants = c_format.constants
    said = [*claims(constants), *claims_of_parts(constants, c_format.size)]
    assert [claim for claim in said if claim not in PROSE] == []
