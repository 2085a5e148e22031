"""The layers: a module uses only what stands before it, see `layers`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable

import layers
import pytest
from layers import BINDING, CORE, Use

# The only modules that talk to the operating system.
SYSTEM = {"fmm_platform", "fmm_map", "fmm_filesystem", "fmm_process"}
SYSTEM_HEADERS = re.compile(r"sys/|linux/|(fcntl|unistd|signal|pthread|dirent)\.h")
OPTIONAL_PACKAGES = {"lz4", "zstandard", "snappy", "cramjam", "msgpack"}
SLOW_PACKAGES = {"asyncio", "inspect", "secrets", "subprocess", "tempfile"}
C_LIBRARIES = {"core": CORE, "binding": BINDING}

# Another CPython would not make it different.
pytestmark = pytest.mark.once


def assert_none(library: str, found: Iterable[str]) -> None:
    told = layers.verdict(library, found)
    if told:
        pytest.fail(told, pytrace=False)


@pytest.mark.parametrize("library", C_LIBRARIES)
def test_c_modules_use_only_what_stands_before_them(library: str) -> None:
    order = layers.modules(library)
    uses = layers.c_uses(C_LIBRARIES[library])
    assert_none(library, layers.faults(order, uses))


def test_modules_of_the_package_import_only_what_stands_before_them() -> None:
    uses = layers.package_uses()
    at_once = [use for use in uses if not use.where]
    assert_none("package", layers.faults(layers.modules("package"), at_once))


def test_late_imports_of_the_package_are_those_listed() -> None:
    uses = layers.package_uses()
    found = {(use.user, use.used, use.where) for use in uses if use.where}
    assert found == layers.late(), "docs/layers/late.csv lists other ones"


@pytest.mark.parametrize("library", ["core", "binding", "package"])
def test_every_module_has_one_row_in_the_table_of_its_library(library: str) -> None:
    there = (
        {path.stem for path in layers.files(C_LIBRARIES[library])}
        if library in C_LIBRARIES
        else set(layers.package_files())
    )
    found = layers.listing_faults(layers.modules(library), there)
    assert list(found) == [], f"docs/layers/{library}.csv"


def test_the_picture_has_all_layers_of_the_tables_in_their_order() -> None:
    text = (layers.ROOT / "CONTRIBUTING.rst").read_text("utf-8")
    picture = text.partition("Layers\n------\n\n::\n\n")[2].partition("\n\nA module")[0]
    shown = [line[19:32].strip() for line in picture.splitlines() if "---" not in line]
    named = [
        layer
        for table in ("package", "binding", "core")
        for layer, _, _ in reversed(layers.rows(table))
        if layer
    ]
    assert shown == named


def test_core_knows_neither_python_nor_zlib() -> None:
    unwanted = {"Python.h", "zlib.h"}
    knowing = [
        path.name
        for path in layers.files(CORE)
        if unwanted & set(layers.includes(path, "<"))
    ]
    assert knowing == []


def test_only_the_platform_includes_system_headers() -> None:
    found = {
        f"{path.name} includes {name}"
        for path in layers.files(CORE)
        for name in layers.includes(path, "<")
        if SYSTEM_HEADERS.match(name) and path.stem not in SYSTEM
    }
    assert found == set()


def test_binding_uses_nothing_of_the_core_but_its_contract() -> None:
    names = "clock counts order report resizing scanning sighting status"
    parts = {f"fmm_{name}.h" for name in names.split()}
    contract = {"fmm.h", *parts}
    declared = "".join((CORE / name).read_text("utf-8") for name in contract)
    headers = {path.name for path in layers.files(CORE)}
    found = [
        f"{path.name} includes {name}"
        for path in layers.files(BINDING)
        for name in sorted({*layers.includes(path, '"')} & headers - {"fmm.h"})
    ]
    _, wanted = layers.symbols(BINDING)
    found += [
        f"{use.where} calls {use.name}()"
        for use in wanted
        if use.name.startswith("fmm_") and f"{use.name}(" not in declared
    ]
    assert found == []


def test_package_imports_neither_optional_packages_nor_slow_ones() -> None:
    """Each of the slow ones costs every program some milliseconds."""
    unwanted = OPTIONAL_PACKAGES | SLOW_PACKAGES
    code = f"import fastmmap, sys; print({unwanted} & set(sys.modules))"
    command = [sys.executable, "-S", "-c", code]
    place = str(layers.ROOT)
    shown = subprocess.check_output(command, text=True, timeout=60, cwd=place)
    assert shown == "set()\n"


ORDER = ["ground", "page", "file"]


def test_a_call_upward_is_told_with_its_circle() -> None:
    uses = [
        Use("file", "page", "page_find", "file.c"),
        Use("page", "ground", "load", "page.c"),
        Use("ground", "file", "file_name", "ground.c"),
    ]
    (told,) = layers.faults(ORDER, uses)
    assert told.startswith("ground.c uses file_name of file, which stands after")
    assert told.endswith("ground -> file -> page -> ground")


def test_what_a_header_inlines_is_seen_by_its_include() -> None:
    include = Use("page", "file", layers.INCLUDED, "page.h")
    (told,) = layers.faults(ORDER, [include])
    assert told == "page.h includes file, which stands after page"


def test_a_module_without_a_row_and_a_row_without_a_module_are_told() -> None:
    told = layers.listing_faults(["page", "page", "gone"], ["page", "new"])
    assert [line.split()[0] for line in told] == ["gone", "new", "page"]
