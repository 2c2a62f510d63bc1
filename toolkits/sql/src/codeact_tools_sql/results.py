"""What queries and changes give, and a query's rows as a table of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pandas as pd

from .values import Row, Value

_WORD: Final = 2**63
"""The first number that does not fit 64 bits."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Rows of a query."""

    columns: dict[str, str]
    """Each column's name, with the type that its values have."""
    rows: list[dict[str, Value]]
    truncated: bool
    """Whether there are more rows than these."""
    note: str | None
    """What to do about it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a database would run a query."""

    product: str
    text: str
    """In the database's own words."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a statement has changed."""

    affected: int | None
    """How many rows; None where the database does not say, as for CREATE TABLE."""
    rows: list[dict[str, Value]]
    """Those of a RETURNING clause, as many as one result may have."""


@dataclass(frozen=True, kw_only=True)
class DatabaseInfo:
    """Which database this is, and what holds for every call."""

    product: str
    """Whose dialect statements are written in."""
    version: str
    writable: bool
    """Whether `execute` may be called."""
    max_rows: int
    """The most rows of one result."""
    seconds: float
    """The most time of one call."""


def frame_of(names: Sequence[str], rows: Sequence[Row]) -> pd.DataFrame:
    """A table with the types of the values: nothing becomes a float because something is missing beside it.

    >>> frame_of(["n", "name"], [{"n": 1, "name": "x"}, {"n": None, "name": None}]).dtypes.astype(str).to_dict()["n"]
    'Int64'
    """
    columns = {name: _series([row[name] for row in rows]) for name in names}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)), columns=list(names))


def _series(values: list[Any]) -> pd.Series[Any]:
    kinds = {type(value) for value in values if value is not None}
    missing = any(value is None for value in values)
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if missing else "bool")
    if kinds == {int} and all(-_WORD <= value < _WORD for value in values if value is not None):
        return pd.Series(values, dtype="Int64" if missing else "int64")
    if kinds == {float}:
        return pd.Series(values, dtype="float64")
    if kinds == {datetime}:
        zoned = {value.tzinfo is not None for value in values if value is not None}
        if zoned == {True}:
            return pd.to_datetime(pd.Series(values, dtype="object"), utc=True).dt.as_unit("us")
        if zoned == {False}:
            return pd.Series(values, dtype="datetime64[us]")
    return pd.Series(values, dtype="str" if kinds == {str} and not missing else "object")
