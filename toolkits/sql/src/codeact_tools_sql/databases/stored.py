"""SQLite stores five kinds of values; this makes those of the types that a column declares."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

_DECIMAL: Final = re.compile(r"(?:decimal|numeric|money)\s*(?:\(\s*\d+\s*(?:,\s*(\d+)\s*)?\))?$")
_MADE: Final[dict[str, Callable[[Any], Any]]] = {
    "date": lambda value: date.fromisoformat(value),
    "datetime": lambda value: datetime.fromisoformat(value),
    "timestamp": lambda value: datetime.fromisoformat(value),
    "time": lambda value: time.fromisoformat(value),
    "uuid": lambda value: UUID(value),
    "boolean": lambda value: {0: False, 1: True}[value],
    "bool": lambda value: {0: False, 1: True}[value],
    "json": lambda value: json.loads(value),
}


def converter(declared: str) -> Callable[[Any], Any]:
    """Return what turns a stored value into one of the declared type; a value that does not fit stays as it is.

    >>> converter("DECIMAL(10,2)")(12.5), converter("DATE")("2026-12-24"), converter("DATE")("tomorrow")
    (Decimal('12.50'), datetime.date(2026, 12, 24), 'tomorrow')
    """
    kind = declared.strip().casefold()
    if found := _DECIMAL.match(kind):
        return _lenient(_decimal(int(found[1]) if found[1] else None))
    return _lenient(_MADE[kind]) if kind in _MADE else lambda value: value


def _lenient(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if value is None:
            return None
        try:
            return make(value)
        except (ValueError, TypeError, KeyError, InvalidOperation, AttributeError):  # SQLite stores anything anywhere
            return value

    return convert


def _decimal(scale: int | None) -> Callable[[Any], Any]:
    def make(value: Any) -> Any:
        if isinstance(value, bytes):
            return value
        number = Decimal(str(value))
        rounded = number if scale is None else number.quantize(Decimal(1).scaleb(-scale))
        return rounded if rounded == number else number

    return make
