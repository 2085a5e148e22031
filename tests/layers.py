"""Which module uses which, and what of that breaks the layers.

The layers are tables, `docs/layers/*.csv`: a module uses only modules that stand
before it in its table. What the C modules use is read from their objects, by `nm`,
and from their includes, for what a header inlines leaves no call behind. What the
modules of the package use is read from their imports.

``python tests/layers.py`` prints what goes upward now.
"""

from __future__ import annotations

import ast
import csv
import functools
import os
import re
import shlex
import subprocess
import sysconfig
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ROOT / "docs" / "layers"
CORE = ROOT / "csrc" / "core"
BINDING = ROOT / "csrc" / "python"
PACKAGE = ROOT / "fastmmap"

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
#: With all that a build can have: a call for debugging is a call, too.
FLAGS = ["-std=c11", "-O0", "-w", "-DFMM_DEBUG=1", f"-I{CORE}"]
DEFINED = set("TDRBCVW")  # the kinds of nm that other objects can see
INCLUDED, IMPORTED = "#include", "import"


class Use(NamedTuple):
    """One module uses a name of another."""

    user: str
    used: str
    name: str
    where: str = ""  # in the user: a function, a file


# ---------------------------------------------------------------- the tables


def rows(table: str) -> list[list[str]]:
    """Return the rows of a table without its head, and without markup."""
    text = (LAYERS / f"{table}.csv").read_text("utf-8").replace("``", "")
    return list(csv.reader(text.splitlines()))[1:]


def modules(table: str) -> list[str]:
    """Return the modules of a library in their order."""
    return [module for _, module, _ in rows(table)]


def late() -> set[tuple[str, str, str]]:
    """Return the imports that are not at the head of a module, and where they are."""
    return {(user, used, where) for user, used, where, _ in rows("late")}


def listing_faults(order: list[str], there: Iterable[str]) -> Iterator[str]:
    """Say which modules are not in a table once."""
    for name in sorted(set(there) | set(order)):
        if name not in order:
            yield f"{name} has no row"
        elif name not in there:
            yield f"{name} has a row, and is gone"
        elif order.count(name) > 1:
            yield f"{name} has {order.count(name)} rows"


# ------------------------------------------------------------------- C modules


def files(folder: Path) -> list[Path]:
    """Return the sources and headers of a library."""
    return sorted(folder.glob("*.[ch]"))


def includes(path: Path, bracket: str) -> list[str]:
    """Return what a file includes: ``"`` for siblings, ``<`` for the system."""
    found = INCLUDE.findall(path.read_text(encoding="utf-8"))
    return [name for kind, name in found if kind == bracket]


def _run_compiler(arguments: list[list[str]], folder: Path) -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    # A sanitizer that this process runs under is not for the compiler.
    clean = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    running = [
        subprocess.Popen(
            [*compiler, *FLAGS, *each], cwd=folder, env=clean, stderr=subprocess.PIPE
        )
        for each in arguments
    ]
    told = [process.communicate()[1].decode() for process in running]
    assert not any(process.returncode for process in running), "".join(told)


def _compile(library: Path, folder: Path) -> None:
    sources = [str(path) for path in sorted(library.glob("*.c"))]
    flags: list[str] = []
    if library == BINDING:
        # Most of the time goes by over Python's own headers: they are read once.
        head = folder / "head.h"
        head.write_text("#include <Python.h>\n")
        python = ["-isystem", sysconfig.get_path("include")]
        _run_compiler([[*python, "-xc-header", str(head), "-ohead.h.gch"]], folder)
        flags = [*python, "-include", str(head)]
    _run_compiler([[*flags, "-c", *sources[half::2]] for half in (0, 1)], folder)


def _nm(library: Path) -> list[str]:
    """Compile a library; return what nm says of each symbol of its objects."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _compile(library, folder)
        objects = sorted(path.name for path in folder.glob("*.o"))
        command = ["nm", "-A", "-P", *objects]
        return subprocess.check_output(command, cwd=folder, text=True).splitlines()


@functools.cache
def symbols(library: Path) -> tuple[dict[str, str], list[Use]]:
    """Return what defines each symbol of a library, and the uses of the others."""
    defined, wanted = {}, []
    for line in _nm(library):
        file, name, kind = line.split()[:3]
        module = file.removesuffix(":").removesuffix(".o")
        if kind in DEFINED:
            defined[name] = module
        elif kind == "U":
            wanted.append(Use(module, "", name, f"{module}.c"))
    return defined, wanted


def c_uses(library: Path) -> list[Use]:
    """Return what the modules of a library use of each other."""
    defined, wanted = symbols(library)
    uses = [use._replace(used=defined.get(use.name, "")) for use in wanted]
    present = {path.stem for path in files(library)}
    for path in files(library):
        for name in includes(path, '"'):
            uses.append(Use(path.stem, Path(name).stem, INCLUDED, path.name))
    return [use for use in uses if use.used in present and use.used != use.user]


# ----------------------------------------------------- modules of the package


def package_files() -> dict[str, Path]:
    """Return the modules of the package and their files."""
    found = {"pytest_fastmmap": ROOT / "pytest_fastmmap.py"}
    for path in PACKAGE.rglob("*.py*"):
        if path.suffix in (".py", ".pyi"):
            name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def _imported(node: ast.stmt, present: Iterable[str]) -> Iterator[str]:
    """Yield the modules of the package that a statement imports."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports are not used here"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return
    for name in names:
        root, _, inner = name.partition(".")
        if root == "fastmmap":
            while inner and inner not in present:
                inner = inner.rpartition(".")[0]
            yield inner or "__init__"


def _imports(node: ast.AST, where: str) -> Iterator[tuple[ast.stmt, str]]:
    """Yield each statement, and where it stands: "" is the head of the module."""
    for child in ast.iter_child_nodes(node):
        inside = where
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = child.name
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            inside = "TYPE_CHECKING"
        if isinstance(child, ast.stmt):
            yield child, where
        yield from _imports(child, inside)


def package_uses() -> list[Use]:
    """Return which modules of the package import which, the binding among them."""
    found = package_files()
    uses = []
    for user, path in found.items():
        for node, where in _imports(ast.parse(path.read_text("utf-8")), ""):
            uses += [
                Use(user, used, IMPORTED, where) for used in _imported(node, found)
            ]
    for path in BINDING.glob("*.c"):
        for inner in re.findall(r'"fastmmap\.([\w.]+)"', path.read_text("utf-8")):
            if inner in found:
                where = "" if path.name == "py_module.c" else path.name
                uses.append(Use("_core", inner, IMPORTED, where))
    return [use for use in uses if use.used != use.user]


# ------------------------------------------------------------------ the verdict


def way(graph: dict[str, set[str]], start: str, end: str) -> list[str]:
    """Return the shortest way from one module to another, or nothing."""
    ways = [[start]]
    seen = {start}
    for path in ways:
        if path[-1] == end:
            return path
        new = graph.get(path[-1], set()) - seen
        seen |= new
        ways += [[*path, each] for each in sorted(new)]
    return []


def _sentence(use: Use, graph: dict[str, set[str]]) -> str:
    """Say who uses what of whom, and why that is against the order."""
    verb = {INCLUDED: "includes", IMPORTED: "imports"}.get(use.name)
    did = f"{verb} {use.used}" if verb else f"uses {use.name} of {use.used}"
    back = way(graph, use.used, use.user)
    circle = f", and uses it: {' -> '.join([use.user, *back])}" if back else ""
    who = use.where or use.user
    return f"{who} {did}, which stands after {use.user}{circle}"


def upward_uses(order: list[str], uses: Iterable[Use]) -> list[Use]:
    """Return the uses of modules that stand later; both have a row."""
    rank = {module: place for place, module in enumerate(order)}
    return [
        use for use in uses if rank.get(use.used, -1) > rank.get(use.user, len(order))
    ]


def faults(order: list[str], uses: Iterable[Use]) -> Iterator[str]:
    """Say what uses a module that stands later in the table.

    An include is told of where nothing else is used: what is called needs it anyway.
    Of a module without a row nothing is told: see `listing_faults`.
    """
    uses = list(uses)
    graph: dict[str, set[str]] = defaultdict(set)
    edges: dict[tuple[str, str], dict[str, Use]] = defaultdict(dict)
    for use in uses:
        graph[use.user].add(use.used)
    for use in upward_uses(order, uses):
        edges[use.user, use.used][use.name] = use
    for _, names in sorted(edges.items()):
        calls = {name for name in names if name != INCLUDED} or set(names)
        for name in sorted(calls):
            yield _sentence(names[name], graph)


def verdict(library: str, found: Iterable[str]) -> str:
    """Return one text about all faults of a library; "" when there are none."""
    lines = list(found)
    if not lines:
        return ""
    rule = f"A module uses only modules before it in docs/layers/{library}.csv."
    return "\n- ".join([rule, *lines])


def main() -> None:
    """Print what the tables lack, and what goes upward."""
    for library, folder in (("core", CORE), ("binding", BINDING)):
        order = modules(library)
        for fault in listing_faults(order, {path.stem for path in files(folder)}):
            print(f"docs/layers/{library}.csv: {fault}")
        for fault in faults(order, c_uses(folder)):
            print(fault)


if __name__ == "__main__":
    main()
