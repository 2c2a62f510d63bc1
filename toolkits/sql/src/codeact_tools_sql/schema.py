"""What a database holds, as the tools tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TableKind = Literal["table", "view"]


@dataclass(frozen=True, kw_only=True)
class TableSummary:
    """A table or a view in short."""

    name: str
    """As statements write it; with its schema where that is not the default one."""
    kind: TableKind
    columns: list[str]
    row_estimate: int | None
    """About how many rows, from the database's own statistics; None where it keeps none."""
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    """In the database's own words."""
    nullable: bool
    default: str | None
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """Columns whose values are those of another table's columns."""

    columns: list[str]
    table: str
    references: list[str]
    """The other table's columns, in the same order."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or a view in full."""

    name: str
    kind: TableKind
    columns: list[Column]
    primary_key: list[str]
    foreign_keys: list[ForeignKey]
    unique: list[list[str]]
    """Sets of columns whose values together occur only once, besides the primary key."""
    row_estimate: int | None
    comment: str | None
    definition: str | None
    """Of a view: its statement."""
