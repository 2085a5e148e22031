"""Arguments of types that other libraries have: arrays, frames, models, addresses.

None of these libraries is imported here: whoever has such an argument has it
already. A type is known by the name of its library and its own.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable
from typing import Any, Optional

from fastmmap.names import Unstable, name_of

#: Spells a part of an argument.
Spell = Callable[[Any], str]
#: Spells an argument, given how to spell parts of it.
Kind = Callable[[Any, Spell], str]

_DIGEST_SIZE = 20


def _digest(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_SIZE).hexdigest()


def _spell_list(values: Iterable[Any], spell: Spell) -> str:
    """Return a spelling that is short however many values there are."""
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for value in values:
        digest.update(f"{spell(value)},".encode())
    return digest.hexdigest()


# ------------------------------------------------------- the standard library


def _spell_range(value: Any, spell: Spell) -> str:
    # Equal ones give the same numbers.
    return f"range({[len(value), *value[:1], *value[1:2]]})"


def _spell_text(value: Any, spell: Spell) -> str:
    return f"{type(value).__name__}({value})"


def _spell_pattern(value: Any, spell: Spell) -> str:
    return f"pattern({spell(value.pattern)} {value.flags})"


def _spell_ordered(value: Any, spell: Spell) -> str:
    return f"OrderedDict({spell(list(value.items()))})"


def _spell_defaultdict(value: Any, spell: Spell) -> str:
    return f"defaultdict({spell(value.default_factory)} {spell(dict(value))})"


def _spell_counter(value: Any, spell: Spell) -> str:
    return f"Counter({spell(dict(value))})"


def _spell_deque(value: Any, spell: Spell) -> str:
    return f"deque({spell(list(value))} {value.maxlen})"


# ---------------------------------------------------------------------- numpy


def _has_objects(dtype: Any) -> bool:
    """Tell whether the memory of an array holds references, not the data."""
    return bool(dtype.hasobject) or dtype.kind == "T"


def _spell_array(value: Any, spell: Spell) -> str:
    if _has_objects(value.dtype):
        data = _spell_list(value.ravel().tolist(), spell)
    else:
        plain = value if value.flags.c_contiguous else value.copy(order="C")
        data = _digest(plain.reshape(-1).view("u1"))
    return f"{_library_of(type(value))}({value.dtype} {value.shape} {data})"


def _spell_masked(value: Any, spell: Spell) -> str:
    fill = value.fill_value
    mask = sys.modules["numpy"].ma.getmaskarray(value)
    return f"masked({spell(value.filled(fill))} {spell(mask)} {spell(fill)})"


def _spell_scalar(value: Any, spell: Spell) -> str:
    if _has_objects(value.dtype):
        raise Unstable(type(value))
    return f"numpy({value.dtype} {value.tobytes().hex()})"


def _spell_dtype(value: Any, spell: Spell) -> str:
    return f"dtype({value})"


# --------------------------------------------------------------------- pandas


def _spell_extension(value: Any, spell: Spell) -> str:
    """Spell an array that numpy has no type for."""
    dtype = value.dtype
    kind = f"{dtype} {getattr(dtype, 'storage', '')}"
    if hasattr(value, "codes") and hasattr(value, "categories"):
        parts = spell(value.codes), spell(value.categories), value.ordered
        return f"pandas({kind} {parts})"
    objects = value.to_numpy(dtype=object)
    return f"pandas({kind} {len(value)} {_spell_list(objects.tolist(), spell)})"


def _spell_column(value: Any, spell: Spell) -> str:
    """Spell the values of a series or an index."""
    of_numpy = _library_of(type(value.dtype)) == "numpy"
    return spell(value.to_numpy() if of_numpy else value.array)


def _spell_index(value: Any, spell: Spell) -> str:
    return f"Index({spell(value.name)} {_spell_column(value, spell)})"


def _spell_levels(value: Any, spell: Spell) -> str:
    levels = [value.get_level_values(level) for level in range(value.nlevels)]
    return f"MultiIndex({spell(levels)})"


def _spell_series(value: Any, spell: Spell) -> str:
    column = _spell_column(value, spell)
    return f"Series({spell(value.name)} {spell(value.index)} {column})"


def _spell_frame(value: Any, spell: Spell) -> str:
    columns = [
        _spell_column(value.iloc[:, place], spell) for place in range(value.shape[1])
    ]
    return f"DataFrame({spell(value.index)} {spell(value.columns)} {columns})"


def _spell_missing(value: Any, spell: Spell) -> str:
    return type(value).__name__


def _spell_interval(value: Any, spell: Spell) -> str:
    return f"Interval({spell(value.left)} {spell(value.right)} {value.closed})"


def _spell_period(value: Any, spell: Spell) -> str:
    return f"Period({value.ordinal} {value.freqstr})"


# ---------------------------------------------------------- pyarrow and polars


def _spell_table(value: Any, spell: Spell) -> str:
    """Spell a table of pyarrow by what it would send to another process."""
    pyarrow = sys.modules["pyarrow"]
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, value.schema) as writer:
        writer.write_table(value.combine_chunks())
    return f"arrow({_digest(sink.getvalue())})"


def _spell_batch(value: Any, spell: Spell) -> str:
    table = sys.modules["pyarrow"].Table.from_batches([value])
    return f"batch({_spell_table(table, spell)})"


def _spell_arrow_array(value: Any, spell: Spell) -> str:
    table = sys.modules["pyarrow"].table([value], names=[""])
    return f"array({_spell_table(table, spell)})"


def _spell_arrow_scalar(value: Any, spell: Spell) -> str:
    return f"arrow({value.type} {spell(value.as_py())})"


def _spell_arrow_type(value: Any, spell: Spell) -> str:
    if hasattr(value, "serialize"):
        return f"arrow({_digest(value.serialize())})"
    return f"arrow({value})"


def _spell_polars(value: Any, spell: Spell) -> str:
    frame = value if hasattr(value, "write_ipc") else value.to_frame()
    sent = frame.rechunk().write_ipc(None, compression="uncompressed")
    return f"polars({type(value).__name__} {_digest(sent.getvalue())})"


# ------------------------------------------------------------------- by their name

#: By library, and by the class or a base class of it in the same library.
_KINDS: dict[str, Kind] = {
    "builtins.range": _spell_range,
    "builtins.complex": _spell_text,
    "fractions.Fraction": _spell_text,
    "ipaddress.IPv4Address": _spell_text,
    "ipaddress.IPv6Address": _spell_text,
    "ipaddress.IPv4Network": _spell_text,
    "ipaddress.IPv6Network": _spell_text,
    "re.Pattern": _spell_pattern,
    "collections.OrderedDict": _spell_ordered,
    "collections.defaultdict": _spell_defaultdict,
    "collections.Counter": _spell_counter,
    "collections.deque": _spell_deque,
    "numpy.ndarray": _spell_array,
    "numpy.MaskedArray": _spell_masked,
    "numpy.generic": _spell_scalar,
    "numpy.dtype": _spell_dtype,
    "pandas.DataFrame": _spell_frame,
    "pandas.Series": _spell_series,
    "pandas.Index": _spell_index,
    "pandas.MultiIndex": _spell_levels,
    "pandas.ExtensionArray": _spell_extension,
    "pandas.NAType": _spell_missing,
    "pandas.NaTType": _spell_missing,
    "pandas.Interval": _spell_interval,
    "pandas.Period": _spell_period,
    "pyarrow.Table": _spell_table,
    "pyarrow.RecordBatch": _spell_batch,
    "pyarrow.Array": _spell_arrow_array,
    "pyarrow.ChunkedArray": _spell_arrow_array,
    "pyarrow.Scalar": _spell_arrow_scalar,
    "pyarrow.Schema": _spell_arrow_type,
    "pyarrow.DataType": _spell_arrow_type,
    "polars.DataFrame": _spell_polars,
    "polars.Series": _spell_polars,
}


def _library_of(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _known_by_name(kind: type) -> Optional[Kind]:
    """Return the spelling of a type; others' subclasses may have more to tell."""
    library = _library_of(kind)
    for base in kind.__mro__:
        if _library_of(base) == library:
            known = _KINDS.get(f"{library}.{base.__qualname__}")
            if known is not None:
                return known
    return None


# --------------------------------------------------------- by what they are made of


def _spell_fields(value: Any, spell: Spell, names: Iterable[str]) -> str:
    fields = {name: getattr(value, name) for name in names}
    return f"{name_of(type(value))}({spell(fields)})"


def _spell_attrs(value: Any, spell: Spell) -> str:
    fields = type(value).__attrs_attrs__
    return _spell_fields(value, spell, [one.name for one in fields if one.eq])


def _is_of_pydantic(kind: type) -> bool:
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return isinstance(base, type) and issubclass(kind, base)


def _spell_model(value: Any, spell: Spell) -> str:
    kind: Any = type(value)
    fields = getattr(kind, "model_fields", None)
    names = kind.__fields__ if fields is None else fields
    # Fields that are not declared, and those that are private.
    extra = getattr(value, "__pydantic_extra__", None)
    private = getattr(value, "__pydantic_private__", None)
    return f"{_spell_fields(value, spell, names)}{spell([extra, private])}"


def kind_of(value: Any) -> Optional[Kind]:
    """Return how such a value is spelled, or ``None``: it is none of these."""
    kind = type(value)
    if hasattr(kind, "__attrs_attrs__"):
        return _spell_attrs
    if _is_of_pydantic(kind):
        return _spell_model
    return _known_by_name(kind)
