"""What a function does, as a short text that changes when its code does."""

import hashlib
import inspect
from types import CodeType
from typing import Any

_DIGEST_SIZE = 8


def _spell(constant: Any) -> str:
    if isinstance(constant, CodeType):
        return _spell_code(constant, constant.co_consts)
    if isinstance(constant, tuple):
        return f"({','.join(map(_spell, constant))})"
    if isinstance(constant, frozenset):
        return f"{{{','.join(sorted(map(_spell, constant)))}}}"
    return f"{type(constant).__name__} {constant!r}"


def _spell_code(code: CodeType, constants: tuple[Any, ...]) -> str:
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return f"{code.co_code.hex()} {names} {_spell(constants)}"


def code_digest(function: Any) -> str:
    """Return a digest of the code and constants of a function of Python.

    Lines and comments do not count, nor does its docstring. Versions of Python
    compile differently.

    Raises TypeError for one that is not written in Python.
    """
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    if not isinstance(code, CodeType):
        raise TypeError(f"version='source' needs a Python function, not {inner!r}")
    constants = code.co_consts
    if inner.__doc__ is not None and constants[:1] == (inner.__doc__,):
        constants = constants[1:]
    data = _spell_code(code, constants).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=_DIGEST_SIZE).hexdigest()
