"""The layers of the C sources: who may include what.

A module of the core includes its own header and modules of lower layers; the
binding sees nothing of the core but fmm.h.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)

LAYERS = (
    {"fmm_base", "fmm_mutant", "fmm_status"},
    {"fmm"},  # the contract: types that every layer may name
    {"fmm_format", "fmm_hash"},
    {"fmm_platform"},
    {"fmm_process"},
    {"fmm_entry", "fmm_lock", "fmm_match", "fmm_options", "fmm_ring"},
    {"fmm_header", "fmm_index", "fmm_writer_lock"},
    {"fmm_page"},
    {"fmm_owner", "fmm_verify"},
    {"fmm_evict"},
    {"fmm_hand"},
    {"fmm_victim"},
    {"fmm_file", "fmm_insert"},
    {"fmm_create", "fmm_hold"},
    {"fmm_open", "fmm_read"},
    {"fmm_parts"},
    {
        "fmm_cache",
        "fmm_change",
        "fmm_dirty",
        "fmm_group",
        "fmm_lease",
        "fmm_scan",
        "fmm_split",
        "fmm_writer",
    },
    {"fmm_stats"},
)
LAYER_OF = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}
# The only modules that talk to the operating system.
SYSTEM = {"fmm_platform", "fmm_process"}
SYSTEM_HEADERS = re.compile(r"sys/|linux/|(fcntl|unistd|signal|pthread|dirent)\.h")
OPTIONAL_PACKAGES = {"lz4", "zstandard", "snappy", "cramjam", "msgpack"}

CORE = sorted((CSRC / "core").glob("*.[ch]"))
BINDING = sorted((CSRC / "python").glob("*.[ch]"))

pytestmark = pytest.mark.quick


def includes(path: Path, bracket: str) -> list[str]:
    """Return what a file includes: ``"`` for siblings, ``<`` for the system."""
    found = INCLUDE.findall(path.read_text(encoding="utf-8"))
    return [name for kind, name in found if kind == bracket]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_core_module_has_a_layer(path: Path) -> None:
    assert path.stem in LAYER_OF


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_core_module_includes_only_lower_layers(path: Path) -> None:
    others = [Path(name).stem for name in includes(path, '"')]
    own = LAYER_OF[path.stem]
    upward = [name for name in others if name != path.stem and LAYER_OF[name] >= own]
    assert upward == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_core_knows_neither_python_nor_zlib(path: Path) -> None:
    assert not {"Python.h", "zlib.h"} & set(includes(path, "<"))


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_only_the_platform_includes_system_headers(path: Path) -> None:
    found = [name for name in includes(path, "<") if SYSTEM_HEADERS.match(name)]
    assert not found or path.stem in SYSTEM


@pytest.mark.parametrize("path", BINDING, ids=lambda path: path.name)
def test_binding_includes_nothing_of_the_core_but_its_contract(path: Path) -> None:
    of_core = {header.name for header in CORE} & set(includes(path, '"'))
    assert of_core <= {"fmm.h"}


def test_package_imports_no_optional_package() -> None:
    code = f"import fastmmap, sys; print({OPTIONAL_PACKAGES} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    shown = subprocess.check_output(command, text=True, timeout=60)
    assert shown == "set()\n"
