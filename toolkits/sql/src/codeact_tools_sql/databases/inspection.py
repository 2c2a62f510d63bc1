"""Tables, views, columns and keys, as SQLAlchemy's inspector finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Dialect, Inspector
from sqlalchemy.types import NullType

from ..schema import Column, ForeignKey, Table, TableKind, TableSummary

Estimate = Callable[[str | None, str], int | None]
"""Guesses the number of rows, from schema and table."""


class Catalogue:
    """What one connection can see.

    Args:
        inspector: Of the connection.
        schemas: Those whose tables are told; None is the default schema, whose tables need no prefix.
        estimate: Guesses the number of rows of a table.
        comments: Whether the database knows comments.
    """

    def __init__(
        self, inspector: Inspector, *, schemas: Sequence[str | None] = (None,), estimate: Estimate, comments: bool
    ) -> None:
        self._inspector = inspector
        self._schemas = schemas
        self._estimate = estimate
        self._comments = comments

    def tables(self) -> list[TableSummary]:
        """All tables and views, those of the default schema first."""
        return [
            TableSummary(
                name=_qualified(schema, name),
                kind=kind,
                columns=[column["name"] for column in self._columns(schema, name)],
                row_estimate=self._estimate(schema, name) if kind == "table" else None,
                comment=self._comment(schema, name),
            )
            for schema, name, kind in self._relations()
        ]

    def table(self, name: str) -> Table | None:
        """One table or view; case does not matter where only one fits."""
        relations = {_qualified(schema, each): (schema, each, kind) for schema, each, kind in self._relations()}
        if name not in relations:
            folded = [each for each in relations if each.casefold() == name.casefold()]
            if len(folded) != 1:
                return None
            name = folded[0]
        schema, table, kind = relations[name]
        look, dialect = self._inspector, self._inspector.dialect
        view = kind == "view"
        return Table(
            name=name,
            kind=kind,
            columns=[_column(column, dialect) for column in self._columns(schema, table)],
            primary_key=[] if view else list(look.get_pk_constraint(table, schema)["constrained_columns"]),
            foreign_keys=[] if view else [_foreign_key(each) for each in look.get_foreign_keys(table, schema)],
            unique=[] if view else [_names(each) for each in look.get_unique_constraints(table, schema)],
            row_estimate=None if view else self._estimate(schema, table),
            comment=self._comment(schema, table),
            definition=look.get_view_definition(table, schema) if view else None,
        )

    def _relations(self) -> list[tuple[str | None, str, TableKind]]:
        found: list[tuple[str | None, str, TableKind]] = []
        for schema in self._schemas:
            views = [*self._inspector.get_view_names(schema), *self._materialized(schema)]
            found += [(schema, name, "table") for name in sorted(self._inspector.get_table_names(schema))]
            found += [(schema, name, "view") for name in sorted(views)]
        return found

    def _materialized(self, schema: str | None) -> list[str]:
        try:
            return self._inspector.get_materialized_view_names(schema)
        except NotImplementedError:
            return []

    def _columns(self, schema: str | None, name: str) -> list[Any]:
        return list(self._inspector.get_columns(name, schema))

    def _comment(self, schema: str | None, name: str) -> str | None:
        return self._inspector.get_table_comment(name, schema)["text"] if self._comments else None


def _qualified(schema: str | None, name: str) -> str:
    return f"{schema}.{name}" if schema else name


def _column(column: Any, dialect: Dialect) -> Column:
    kind = column["type"]
    return Column(
        name=column["name"],
        type="" if isinstance(kind, NullType) else kind.compile(dialect=dialect),
        nullable=bool(column["nullable"]),
        default=None if column.get("default") is None else str(column["default"]),
        comment=column.get("comment"),
    )


def _foreign_key(key: Any) -> ForeignKey:
    return ForeignKey(
        columns=list(key["constrained_columns"]),
        table=_qualified(key.get("referred_schema"), key["referred_table"]),
        references=list(key["referred_columns"]),
    )


def _names(constraint: Any) -> list[str]:
    return [name for name in constraint["column_names"] if name is not None]
