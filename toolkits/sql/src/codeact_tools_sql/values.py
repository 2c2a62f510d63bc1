"""Values of rows as an action gets them: Python's own types, whatever the driver made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from typing_extensions import TypeAliasType

Value = TypeAliasType("Value", Any)
"""A value of a database: None, bool, int, float, str, bytes, Decimal, date, datetime, time, timedelta, UUID, or a list
or a dictionary of them. Only the statement says which; a union would forbid ``row["price"] * 2`` before it runs."""

Parameter = TypeAliasType(
    "Parameter",
    str
    | int
    | float
    | bool
    | Decimal
    | date
    | datetime
    | time
    | timedelta
    | UUID
    | bytes
    | list[Any]
    | dict[str, Any]
    | None,
)
"""What a parameter of a statement may be. It names the types that values have, so that an action has them at hand."""

Row = dict[str, Any]

_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, Decimal, date, timedelta, UUID})
_DEEPEST: Final = 20
"""Levels of lists and objects in a value."""
_PIECE: Final = 32
"""What a value without a length of its own counts, in bytes."""


def as_plain(value: Any, depth: int = 0) -> Any:
    """``value`` in the types that rows have; what is none of them becomes its text."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is datetime or kind is time:
        return _with_fixed_offset(value)
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): as_plain(each, depth + 1) for key, each in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [as_plain(each, depth + 1) for each in value]
    return _as_base(value)


def _as_base(value: Any) -> Any:
    """An instance of a subclass, of an enumeration for example, as its base; everything else as text."""
    match value:
        case int():
            return int(value)
        case float():
            return float(value)
        case bytes():
            return bytes(value)
    return str(value)


def _with_fixed_offset(value: Any) -> Any:
    """A moment whose zone any reader understands; a time of day without a day has no offset in most zones."""
    offset = value.utcoffset()
    if value.tzinfo is None:
        return value
    return value.replace(tzinfo=None if offset is None else timezone(offset))


def replaced(value: Any, old: str, new: str) -> Any:
    """A plain value with another text in place of ``old``, wherever it stands."""
    if isinstance(value, str):
        return value.replace(old, new) if old in value else value
    if isinstance(value, list):
        return [replaced(each, old, new) for each in value]
    if isinstance(value, dict):
        return {key: replaced(each, old, new) for key, each in value.items()}
    return value


def distinct(names: Iterable[str]) -> list[str]:
    """Names of columns as keys of one dictionary.

    >>> distinct(["id", "name", "id", "id_2"])
    ['id', 'name', 'id_3', 'id_2']
    """
    wanted = [name or "column" for name in names]
    taken = set(wanted)
    seen: set[str] = set()
    found = []
    for name in wanted:
        number, made = 2, name
        while made in seen or (made != name and made in taken):
            made = f"{name}_{number}"
            number += 1
        seen.add(made)
        found.append(made)
    return found


def size_of(value: Any) -> int:
    """About how many bytes a plain value takes on its way.

    >>> size_of("four"), size_of([1, None])
    (36, 96)
    """
    if isinstance(value, str | bytes):
        return _PIECE + len(value)
    if isinstance(value, dict):
        return _PIECE + sum(len(key) + size_of(each) for key, each in value.items())
    if isinstance(value, list):
        return _PIECE + sum(map(size_of, value))
    return _PIECE


def kinds_of(names: Sequence[str], rows: Iterable[Row]) -> dict[str, str]:
    """Names of the values' types by column: those of the first row that has a value there.

    >>> kinds_of(["id", "note"], [{"id": 1, "note": None}, {"id": 2, "note": "x"}])
    {'id': 'int', 'note': 'str'}
    """
    kinds = dict.fromkeys(names, "None")
    open_names = list(names)
    for row in rows:
        if not open_names:
            break
        kinds |= {name: type(row[name]).__name__ for name in open_names if row[name] is not None}
        open_names = [name for name in open_names if kinds[name] == "None"]
    return kinds
