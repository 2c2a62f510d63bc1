"""DuckDB: a file opened read-only, in an instance that may touch nothing else and whose settings are locked.

DuckDB's own interface is used: duckdb-engine 0.17 cannot describe tables with SQLAlchemy 2.1 and DuckDB 2, and takes
several statements in one text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from ..schema import Column, ForeignKey, Table, TableSummary
from ..statements import Statement
from .base import Cursor, Mistake, Sent

_LOCKED: Final = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # else a query reads the host's data frames by the names of their variables
    "temp_directory": "",
    "errors_as_json": "true",
    "lock_configuration": "true",
}
_KINDS: Final = {
    "Parser": "syntax", "Binder": "syntax", "Catalog": "syntax",
    "Permission": "rights", "IO": "connection",
    "INTERRUPT": "stopped", "Not implemented": "failed", "Connection": "connection",
}  # fmt: skip
_NO_COLUMN: Final = re.compile(r'Table "(.+)" does not have a column named "(.+?)"')
_COLUMNS: Final = """
    SELECT schema_name, table_name, column_name, data_type, is_nullable, column_default, comment
    FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal
    ORDER BY schema_name, table_name, column_index
"""
_RELATIONS: Final = """
    SELECT schema_name, name, kind, size, comment, sql FROM (
        SELECT database_name, internal, schema_name, table_name AS name, 'table' AS kind, estimated_size AS size,
               comment, NULL AS sql FROM duckdb_tables()
        UNION ALL
        SELECT database_name, internal, schema_name, view_name, 'view', NULL, comment, sql FROM duckdb_views()
    ) WHERE database_name = current_database() AND NOT internal
    ORDER BY schema_name <> current_schema(), schema_name, kind, name
"""
_CONSTRAINTS: Final = """
    SELECT constraint_type, constraint_column_names, referenced_table, referenced_column_names
    FROM duckdb_constraints()
    WHERE database_name = current_database() AND schema_name = $schema AND table_name = $table
    ORDER BY constraint_index
"""


class NotOneStatement(Exception):
    """The text has several statements, or none."""


class NoQuery(Exception):
    """The statement gives no rows, so it is not a query."""


class DuckConnection:
    """An open DuckDB database."""

    def __init__(self, driver: duckdb.DuckDBPyConnection, *, writing: bool) -> None:
        self._driver = driver
        self._writing = writing

    def run(self, statement: Statement) -> Cursor:
        """Start a statement; a query's rows are made as they are asked for."""
        return self._run(statement.text(_mark), dict(statement.values), any_kind=self._writing)

    def _run(self, text: str, values: dict[str, Any], *, any_kind: bool = False) -> Cursor:
        found = self._driver.extract_statements(text)
        if len(found) != 1:
            raise NotOneStatement
        if not any_kind and found[0].expected_result_type != [duckdb.ExpectedResultType.QUERY_RESULT]:
            raise NoQuery
        changes = duckdb.ExpectedResultType.CHANGED_ROWS in found[0].expected_result_type
        cursor = self._driver.execute(found[0], values or None)
        names = [column[0] for column in cursor.description or ()]
        if any_kind and changes and names == ["Count"]:
            counted = cursor.fetchone()
            return Cursor(names=(), fetch=_nothing, affected=counted[0] if counted else -1)
        return Cursor(names=names, fetch=cursor.fetchmany)

    def version(self) -> str:
        """Of the library."""
        return str(self._rows("SELECT version()")[0][0]).removeprefix("v")

    def plan(self, statement: Statement) -> str:
        """The physical plan."""
        try:
            cursor = self._run(f"EXPLAIN {statement.text(_mark)}", dict(statement.values))
        except duckdb.Error as error:
            raise Sent(error, "EXPLAIN ") from error
        return "\n".join(str(row[1]) for row in cursor.fetch(10))

    def tables(self) -> list[TableSummary]:
        """All tables and views."""
        columns: dict[tuple[str, str], list[str]] = {}
        for schema, table, column, *_ in self._rows(_COLUMNS):
            columns.setdefault((schema, table), []).append(column)
        default = self._default()
        return [
            TableSummary(
                name=_qualified(schema, name, default),
                kind=kind,
                columns=columns.get((schema, name), []),
                row_estimate=estimate,
                comment=comment,
            )
            for schema, name, kind, estimate, comment, _ in self._rows(_RELATIONS)
        ]

    def table(self, name: str) -> Table | None:
        """One of them; DuckDB does not tell upper from lower case."""
        default = self._default()
        for schema, table, kind, estimate, comment, definition in self._rows(_RELATIONS):
            if _qualified(schema, table, default).casefold() != name.casefold():
                continue
            constraints = self._rows(_CONSTRAINTS, {"schema": schema, "table": table})
            return Table(
                name=_qualified(schema, table, default),
                kind=kind,
                columns=[_column(row) for row in self._rows(_COLUMNS) if row[:2] == (schema, table)],
                primary_key=next((list(each[1]) for each in constraints if each[0] == "PRIMARY KEY"), []),
                foreign_keys=[
                    ForeignKey(columns=list(each[1]), table=each[2], references=list(each[3]))
                    for each in constraints
                    if each[0] == "FOREIGN KEY"
                ],
                unique=[list(each[1]) for each in constraints if each[0] == "UNIQUE"],
                row_estimate=estimate,
                comment=comment,
                definition=definition,
            )
        return None

    def commit(self) -> None:
        """Keep the changes."""
        self._driver.commit()

    def cancel(self) -> None:
        """Stop what runs."""
        self._driver.interrupt()

    def _rows(self, text: str, values: dict[str, Any] | None = None) -> list[Any]:
        return self._driver.execute(text, values).fetchall()

    def _default(self) -> str:
        return str(self._rows("SELECT current_schema()")[0][0])


class DuckDatabase:
    """A DuckDB file.

    Args:
        path: The file, which has to exist.
        memory_mb: What DuckDB may take.
    """

    product = "DuckDB"
    nested_comments = True
    secrets: tuple[str, ...] = ()

    def __init__(self, path: str, *, memory_mb: int) -> None:
        self.path = str(Path(path).absolute())
        self._settings: dict[str, Any] = {**_LOCKED, "memory_limit": f"{memory_mb}MB"}

    @contextmanager
    def connect(self, *, writing: bool = False) -> Iterator[DuckConnection]:
        """Open the file, for reading unless ``writing``; it is never created."""
        if not Path(self.path).is_file():
            raise duckdb.IOException("there is no such file")
        driver = duckdb.connect(self.path, read_only=not writing, config=self._settings)
        try:
            driver.begin()
            yield DuckConnection(driver, writing=writing)
        finally:
            driver.close()  # undoes what is not committed

    def mistake(self, error: Exception, statement: Statement | None) -> Mistake:
        """What an error of the driver means."""
        prefix = ""
        if isinstance(error, Sent):
            prefix, error = error.prefix, error.error
        if isinstance(error, NotOneStatement):
            return Mistake("syntax", "one statement is wanted, and there are several, or none")
        if isinstance(error, NoQuery):
            return Mistake("read only", "it gives no rows, so it is no query")
        if isinstance(error, duckdb.IOException | duckdb.ConnectionException):
            return Mistake("connection", str(error))
        details = _details(error)
        message = " ".join(details.get("exception_message", str(error)).split())
        kind = _KINDS.get(details.get("exception_type", ""), "failed")
        subtype, name = details.get("error_subtype"), details.get("name", "")
        if found := _NO_COLUMN.search(message):
            kind, name = "column", f"{found[1]}.{found[2]}"
        elif subtype == "MISSING_ENTRY" and details.get("type") == "Table":
            kind = "table"
        elif subtype == "COLUMN_NOT_FOUND":
            kind = "column"
        elif kind == "failed":
            kind = _kind(message)
        return Mistake(
            kind, message.partition(" Candidate bindings")[0], name=name, offset=_offset(details, statement, prefix)
        )


def _details(error: Exception) -> dict[str, str]:
    """What DuckDB tells as JSON behind its own words."""
    _, brace, rest = str(error).partition("{")
    try:
        found = json.loads(brace + rest)
    except ValueError:  # errors of the Python driver itself are no JSON
        return {}
    return found if isinstance(found, dict) else {}


def _kind(message: str) -> str:
    if "read-only mode" in message:
        return "read only"
    if "configuration has been locked" in message:
        return "rights"
    if "Parameter argument" in message or "following parameters" in message or "Python Conversion" in message:
        return "parameters"
    return "failed"


def _offset(details: dict[str, str], statement: Statement | None, prefix: str) -> int | None:
    """DuckDB counts bytes."""
    if statement is None or not details.get("position", "").isdigit():
        return None
    sent = statement.text(_mark).encode()[: max(int(details["position"]) - len(prefix), 0)]
    return statement.place(len(sent.decode(errors="ignore")), _mark)


def _mark(name: str, _place: int) -> str:
    return f"${name}"


def _qualified(schema: str, name: str, default: str) -> str:
    return name if schema == default else f"{schema}.{name}"


def _column(row: Any) -> Column:
    _, _, name, kind, nullable, default, comment = row
    return Column(name=name, type=kind, nullable=nullable, default=default, comment=comment)


def _nothing(_count: int) -> Sequence[Sequence[Any]]:
    return ()
