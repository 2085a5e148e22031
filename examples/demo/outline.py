"""Outline a Python module: tokenise it, parse it, keep what an editor shows.

This is the work that demo.py caches: some milliseconds of CPU for each file,
and a result of a few kilobytes.
"""

from __future__ import annotations

import ast
import io
import sysconfig
import tokenize
from collections import Counter
from pathlib import Path
from typing import Any

Outline = dict[str, Any]
TESTS = {"test", "tests", "idle_test", "site-packages", "__pycache__"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def standard_library() -> list[Path]:
    """Return the modules of the standard library, without its own tests."""
    root = Path(sysconfig.get_path("stdlib"))
    modules = root.rglob("*.py")
    return sorted(p for p in modules if TESTS.isdisjoint(p.relative_to(root).parts))


def count_tokens(source: bytes) -> tuple[int, Counter[str]]:
    """Return the number of tokens, and how often each name occurs."""
    names: Counter[str] = Counter()
    total = 0
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        total += 1
        if token.type == tokenize.NAME:
            names[token.string] += 1
    return total, names


def list_definitions(tree: ast.AST) -> list[tuple[str, int, str]]:
    """Return name, line and first docstring line of what is defined."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS):
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            found.append((node.name, node.lineno, summary))
    return found


def outline(path: Path) -> Outline:
    """Return the outline of the module at `path`.

    A file that is no valid Python, of which the library has a few, gets an
    outline with nothing but its error.
    """
    source = path.read_bytes()
    try:
        total, names = count_tokens(source)
        definitions = list_definitions(ast.parse(source))
    except (SyntaxError, tokenize.TokenError) as error:
        return {"error": str(error)}
    return {"tokens": total, "names": dict(names), "definitions": definitions}
