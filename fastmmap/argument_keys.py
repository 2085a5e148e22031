"""Arguments of a call, made into a key that is the same in every process.

A key is text: the function's name and its arguments, each spelled so that equal
arguments are spelled the same, and different ones are not. Nothing in it depends
on addresses, on hashes or on the order of a set.
"""

import dataclasses
import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePath, PureWindowsPath
from typing import Any, Optional, Union
from uuid import UUID
from zoneinfo import ZoneInfo

from fastmmap import argument_kinds, registered
from fastmmap.code_digest import code_digest
from fastmmap.names import Unstable, name_of, name_of_function

#: Longer keys, bytes, are shortened to a name and a digest.
KEY_MAX = 200
_NAME_MAX = 120
_DIGEST_SIZE = 20
_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


#: Types of defaults that never change.
_CONSTANT = {type(None), bool, int, float, str, bytes}


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


#: Libraries whose time zones have a name that tells them apart.
_ZONES = ("pytz", "dateutil")


def _spell_zone(zone: Any) -> str:
    known = zone is None or isinstance(zone, (timezone, ZoneInfo))
    if not known and type(zone).__module__.partition(".")[0] not in _ZONES:
        raise Unstable(type(zone))
    return str(zone)


def _nanoseconds(value: Any, name: str) -> str:
    """Return what a time of pandas has beyond microseconds."""
    more = getattr(value, name, 0)
    return f"+{more}ns" if more else ""


def _spell_date(value: date) -> str:
    return f"date({_DATE.isoformat(value)} None 0)"


def _spell_datetime(value: datetime) -> str:
    text = _DATETIME.isoformat(value) + _nanoseconds(value, "nanosecond")
    return f"datetime({text} {_spell_zone(value.tzinfo)} {value.fold})"


def _spell_time(value: time) -> str:
    return f"time({time.isoformat(value)} {_spell_zone(value.tzinfo)} {value.fold})"


def _spell_timedelta(value: timedelta) -> str:
    rest = f"{value.microseconds}{_nanoseconds(value, 'nanoseconds')}"
    return f"timedelta({value.days},{value.seconds},{rest})"


_DATE: Any = _real_type(date)
_DATETIME: Any = _real_type(datetime)

#: Types that have no parts, and their spelling.
_SCALARS: dict[type, Callable[[Any], str]] = {
    type(None): repr,
    bool: lambda value: str(int(value)),
    int: _spell_int,
    float: _spell_float,
    str: ascii,
    bytes: repr,
    _DATE: _spell_date,
    _DATETIME: _spell_datetime,
    time: _spell_time,
    timedelta: _spell_timedelta,
    Decimal: lambda value: f"Decimal({value})",
    UUID: lambda value: f"UUID({value})",
}

#: What a value of a subclass is without what that adds; `date` behind `datetime`.
_BASES: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bytes: lambda value: bytes(memoryview(value)),
    _DATETIME: lambda value: value,
    _DATE: lambda value: value,
    time: lambda value: value,
    timedelta: lambda value: value,
    Decimal: lambda value: value,
    UUID: lambda value: value,
}


def _spell_path(value: PurePath) -> str:
    kind = "windows" if isinstance(value, PureWindowsPath) else "path"
    return f"{kind}({os.fspath(value)!a})"


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
        return f"{self._type_name(kind)}:{text}" if self._typed else text

    def _type_name(self, kind: type) -> str:
        own = kind in _SCALARS or kind in self._parts
        return kind.__qualname__ if own else name_of(_real_type(kind))

    def _list(self, values: Iterable[Any]) -> str:
        return "".join(f"{self.spell(value)}," for value in values)

    def _set(self, values: Iterable[Any]) -> str:
        return f"set({','.join(sorted(map(self.spell, values)))})"

    def _mapping(self, values: Mapping[Any, Any]) -> str:
        pairs = (f"{self.spell(key)}:{self.spell(values[key])}" for key in values)
        return f"{{{','.join(sorted(pairs))}}}"

    def _of_family(self, value: Any) -> Callable[[Any], str]:
        """Return the spelling of what is known by its family. Raises Unstable."""
        function = registered.function_for(type(value))
        if function is not None:
            return lambda value: (
                f"{name_of(type(value))}({self.spell(function(value))})"
            )
        if isinstance(value, type):
            return name_of
        if isinstance(value, Enum):
            return lambda value: f"{name_of(type(value))}({self.spell(value.value)})"
        kind = argument_kinds.kind_of(value)
        if kind is not None:
            return lambda value: kind(value, self.spell)
        return self._of_base(value)

    def _of_base(self, value: Any) -> Callable[[Any], str]:
        """Return the spelling of what is known by a base class of its."""
        for base, plain in _BASES.items():
            if isinstance(value, base):
                spell = _SCALARS[base]
                return lambda value: spell(plain(value))
        if isinstance(value, PurePath):
            return _spell_path
        if dataclasses.is_dataclass(value):
            return self._dataclass
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return lambda value: f"{name_of(type(value))}({self._list(value)})"
        if callable(value) and hasattr(value, "__qualname__"):
            return name_of_function
        raise Unstable(type(value))

    def _dataclass(self, value: Any) -> str:
        compared = [field for field in dataclasses.fields(value) if field.compare]
        fields = {field.name: getattr(value, field.name) for field in compared}
        return f"{name_of(type(value))}({self._mapping(fields)})"


# ------------------------------------------------------------------------ keys


def _versioned(name: str, version: Union[str, int, None], func: Any) -> str:
    """Return the name with the version behind it."""
    if version is None:
        return name
    if isinstance(version, bool) or not isinstance(version, (str, int)):
        raise TypeError(f"version must be str or int, not {type(version).__name__}")
    return f"{name}@{code_digest(func) if version == 'source' else version}"


class ArgumentKeys:
    """Makes the keys of one function.

    Args:
        func: The function; its signature goes into the keys.
        name: What they begin with.
        ignore: Names of parameters that do not go into them.
        typed: ``1``, ``1.0`` and ``True`` are different arguments.
        version: A str or int that goes into them; ``"source"`` is a digest of the
            function's code.

    Raises:
        TypeError: The version is neither.
        ValueError: It has no such parameter.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        name: str,
        ignore: Iterable[str],
        typed: bool,
        version: Union[str, int, None] = None,
    ) -> None:
        self.name = _versioned(name, version, func)
        self._signature = inspect.signature(func)
        self._ignored = self._check_ignored(ignore)
        self._spell = Speller(typed).spell
        parameters = self._signature.parameters.values()
        simple = all(one.kind in _POSITIONAL for one in parameters)
        self._plain = tuple(self._signature.parameters) if simple else ()
        self.ignored_bits = self._find_ignored_bits()
        first = next(iter(self._signature.parameters), None)
        self.ignores_self = first == "self" and first in self._ignored

    def _check_ignored(self, ignore: Iterable[str]) -> frozenset[str]:
        names = frozenset([ignore] if isinstance(ignore, str) else ignore)
        parameters = self._signature.parameters
        kinds = {one.kind for one in parameters.values()}
        unknown = sorted(names - set(parameters))
        if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise ValueError(
                f"ignore names {', '.join(map(repr, unknown))}: {self.name} takes "
                f"{self._signature}"
            )
        return names

    def _find_ignored_bits(self) -> Optional[int]:
        """Return a bit for each positional argument that is not part of a key.

        ``None``: calls with the same arguments may have different keys, for there
        is a default that can change.
        """
        parameters = self._signature.parameters.values()
        defaults = [one.default for one in parameters if one.default is not one.empty]
        if not all(type(default) in _CONSTANT for default in defaults):
            return None
        names = [one.name for one in parameters if one.kind in _POSITIONAL]
        return sum(1 << n for n, name in enumerate(names) if name in self._ignored)

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
        return _shortened(self.name, f"{self.name}({', '.join(parts)})")

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
                return self._refuse(
                    name, f"holds a value of type {_told(error.args[0])}"
                )
            except RecursionError:
                return self._refuse(name, "contains itself, or is nested too deep")
        raise AssertionError("an argument had no spelling, and now it has")

    def _refuse(self, name: str, what: str) -> TypeError:
        return TypeError(
            f"{self.name}: argument {name!r} {what}: it has no key that is the same "
            f"in every process; give key= or ignore=({name!r},), or use "
            "register_argument()"
        )


def _told(kind: type) -> str:
    """Return the name of a type for those who know a ``bool`` of Python's."""
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _shortened(name: str, key: str) -> str:
    data = key.encode()
    if len(data) <= KEY_MAX:
        return key
    digest = hashlib.blake2b(data, digest_size=_DIGEST_SIZE).hexdigest()
    return f"{name[:_NAME_MAX]}#{digest}"
