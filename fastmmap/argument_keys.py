"""Arguments of a call, made into a key that is the same in every process.

A key is text: the function's name and its arguments, each spelled so that equal
arguments are spelled the same, and different ones are not. Nothing in it depends
on addresses, on hashes or on the order of a set.
"""

import dataclasses
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

#: Longer keys, bytes, are shortened to a name and a digest.
KEY_MAX = 200
_NAME_MAX = 120
_DIGEST_SIZE = 20
_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


class Unstable(Exception):
    """Something in an argument has no spelling; its type is the argument."""


# ----------------------------------------------------------------------- names


def name_of(thing: Any) -> str:
    """Return module and name of a function or a class, the same everywhere.

    A program has other module names when it is run, imported or spawned by
    multiprocessing; there its file stands for the module.
    """
    module = thing.__module__
    if module in ("__main__", "__mp_main__"):
        path = getattr(sys.modules.get(module), "__file__", None)
        module = os.path.abspath(path) if path else "__main__"
    return f"{module}.{thing.__qualname__}"


# -------------------------------------------------------------------- spelling


def _spell_int(value: int) -> str:
    # Long ones have no decimal digits by default: see sys.set_int_max_str_digits.
    return str(value) if value.bit_length() < 64 else hex(value)


def _spell_float(value: float) -> str:
    return _spell_int(int(value)) if value.is_integer() else repr(value)


def _real_type(kind: type) -> type:
    """Return the type that one of freezegun stands for; of any other, that itself.

    It puts subclasses in the place of `date` and `datetime`, in this module, too.
    """
    bases = (base for base in kind.__mro__ if base.__module__ == "datetime")
    return next(bases, kind) if kind.__module__.startswith("freezegun.") else kind


def _spell_time(value: Any) -> str:
    zone = getattr(value, "tzinfo", None)
    if zone is not None and type(zone) not in (timezone, ZoneInfo):
        raise Unstable(type(zone))
    fold = getattr(value, "fold", 0)
    return f"{_real_type(type(value)).__name__}({value.isoformat()} {zone} {fold})"


def _spell_timedelta(value: timedelta) -> str:
    return f"timedelta({value.days},{value.seconds},{value.microseconds})"


#: Types that have no parts, and their spelling.
_SCALARS: dict[type, Callable[[Any], str]] = {
    type(None): repr,
    bool: lambda value: str(int(value)),
    int: _spell_int,
    float: _spell_float,
    str: ascii,
    bytes: repr,
    _real_type(date): _spell_time,
    _real_type(datetime): _spell_time,
    time: _spell_time,
    timedelta: _spell_timedelta,
    Decimal: lambda value: f"Decimal({value})",
    UUID: lambda value: f"UUID({value})",
}


class Speller:
    """Spells values; ``typed`` tells equal ones of different types apart."""

    def __init__(self, typed: bool) -> None:
        self._typed = typed
        self._parts: dict[type, Callable[[Any], str]] = {
            tuple: lambda value: f"({self._list(value)})",
            list: lambda value: f"[{self._list(value)}]",
            set: self._set,
            frozenset: self._set,
            dict: self._mapping,
        }

    def spell(self, value: Any) -> str:
        """Return the spelling. Raises Unstable."""
        kind = type(value)
        spell = _SCALARS.get(kind) or self._parts.get(kind) or self._of_family(value)
        text = spell(value)
        return f"{_real_type(kind).__qualname__}:{text}" if self._typed else text

    def _list(self, values: Iterable[Any]) -> str:
        return "".join(f"{self.spell(value)}," for value in values)

    def _set(self, values: Iterable[Any]) -> str:
        return f"set({','.join(sorted(map(self.spell, values)))})"

    def _mapping(self, values: Mapping[Any, Any]) -> str:
        pairs = (f"{self.spell(key)}:{self.spell(values[key])}" for key in values)
        return f"{{{','.join(sorted(pairs))}}}"

    def _of_family(self, value: Any) -> Callable[[Any], str]:
        """Return the spelling of what is known by a base class of its."""
        real = _SCALARS.get(_real_type(type(value)))
        if real is not None:
            return real
        if isinstance(value, type):
            return name_of
        if isinstance(value, Enum):
            return lambda value: f"{name_of(type(value))}({self.spell(value.value)})"
        if isinstance(value, PurePath):
            return lambda value: f"path({os.fspath(value)!a})"
        if dataclasses.is_dataclass(value):
            return self._dataclass
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return lambda value: f"{name_of(type(value))}({self._list(value)})"
        raise Unstable(type(value))

    def _dataclass(self, value: Any) -> str:
        compared = [field for field in dataclasses.fields(value) if field.compare]
        fields = {field.name: getattr(value, field.name) for field in compared}
        return f"{name_of(type(value))}({self._mapping(fields)})"


# ------------------------------------------------------------------------ keys


class ArgumentKeys:
    """Makes the keys of one function.

    Args:
        func: The function; its name and its signature go into the keys.
        ignore: Names of parameters that do not.
        typed: ``1``, ``1.0`` and ``True`` are different arguments.

    Raises:
        TypeError: It has no name of its own.
        ValueError: It has no such parameter.
    """

    def __init__(
        self, func: Callable[..., Any], ignore: Iterable[str], typed: bool
    ) -> None:
        if getattr(func, "__qualname__", "<lambda>").endswith("<lambda>"):
            raise TypeError(
                f"{func!r} has no name of its own, which its keys begin with: use "
                "def, or give key="
            )
        self._name = name_of(func)
        self._signature = inspect.signature(func)
        self._ignored = self._check_ignored(ignore)
        self._spell = Speller(typed).spell
        parameters = self._signature.parameters.values()
        simple = all(one.kind in _POSITIONAL for one in parameters)
        self._plain = tuple(self._signature.parameters) if simple else ()

    def _check_ignored(self, ignore: Iterable[str]) -> frozenset[str]:
        names = frozenset([ignore] if isinstance(ignore, str) else ignore)
        parameters = self._signature.parameters
        kinds = {one.kind for one in parameters.values()}
        unknown = sorted(names - set(parameters))
        if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise ValueError(
                f"ignore names {', '.join(map(repr, unknown))}: {self._name} takes "
                f"{self._signature}"
            )
        return names

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        """Return the key of a call.

        Raises TypeError for a call that the function would not take, and for an
        argument that has no stable spelling.
        """
        counted = [
            one for one in self._arguments(args, kwargs) if one[0] not in self._ignored
        ]
        try:
            parts = [f"{name}={self._spell(value)}" for name, value in counted]
        except (Unstable, RecursionError):
            raise self._refusal(counted) from None
        return _shortened(self._name, f"{self._name}({', '.join(parts)})")

    def _arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterable[tuple[str, Any]]:
        """Return name and value of each parameter, defaults filled in."""
        if not kwargs and self._plain and len(args) == len(self._plain):
            return zip(self._plain, args, strict=True)
        for name in self._ignored - set(self._signature.parameters):
            kwargs.pop(name, None)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments.items()

    def _refusal(self, arguments: Iterable[tuple[str, Any]]) -> TypeError:
        """Return the error that names the argument without a spelling."""
        for name, value in arguments:
            try:
                self._spell(value)
            except Unstable as error:
                return self._refuse(name, f"a {error.args[0].__qualname__}")
            except RecursionError:
                return self._refuse(name, "itself, or too deep a nesting")
        raise AssertionError("an argument had no spelling, and now it has")

    def _refuse(self, name: str, what: str) -> TypeError:
        return TypeError(
            f"{self._name}: argument {name!r} holds {what}, of which no key can be "
            "made that is the same in every process: give key=, or "
            f"ignore=({name!r},)"
        )


def _shortened(name: str, key: str) -> str:
    data = key.encode()
    if len(data) <= KEY_MAX:
        return key
    digest = hashlib.blake2b(data, digest_size=_DIGEST_SIZE).hexdigest()
    return f"{name[:_NAME_MAX]}#{digest}"
