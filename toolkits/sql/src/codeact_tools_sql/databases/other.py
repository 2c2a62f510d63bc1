"""Any other database of SQLAlchemy's: nothing here is enforced but a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, NullPool, create_engine, inspect
from sqlalchemy.engine import Connection as AlchemyConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError

from ..schema import Table, TableSummary
from ..statements import Mark, Statement
from .base import Cursor, Mistake
from .inspection import Catalogue


class OtherConnection:
    """An open connection."""

    def __init__(self, connection: AlchemyConnection) -> None:
        self._connection = connection

    def run(self, statement: Statement) -> Cursor:
        """Start a statement, with a cursor on the server where the driver has one."""
        style = self._connection.dialect.paramstyle
        text, values = _written(statement, style)
        result = self._connection.execution_options(stream_results=True).exec_driver_sql(text, values)
        if not result.returns_rows:
            return Cursor(names=(), fetch=_nothing, affected=result.rowcount)

        def fetch(count: int) -> Sequence[Sequence[Any]]:
            return [tuple(row) for row in result.fetchmany(count)]

        return Cursor(names=list(result.keys()), fetch=fetch, affected=result.rowcount)

    def version(self) -> str:
        """Of the server, where SQLAlchemy knows it."""
        return ".".join(map(str, self._connection.dialect.server_version_info or ()))

    def plan(self, statement: Statement) -> str:
        """What EXPLAIN says, where the database knows it."""
        text, values = _written(statement, self._connection.dialect.paramstyle)
        rows = self._connection.exec_driver_sql(f"EXPLAIN {text}", values).fetchall()
        return "\n".join("\t".join(map(str, row)) for row in rows)

    def tables(self) -> list[TableSummary]:
        """The tables and views of the default schema."""
        return self._catalogue().tables()

    def table(self, name: str) -> Table | None:
        """One of them."""
        return self._catalogue().table(name)

    def commit(self) -> None:
        """Keep the changes."""
        self._connection.commit()

    def cancel(self) -> None:
        """There is no way to stop a statement that every driver has."""

    def _catalogue(self) -> Catalogue:
        comments = self._connection.dialect.supports_comments
        return Catalogue(inspect(self._connection), estimate=lambda _schema, _name: None, comments=comments)


class OtherDatabase:
    """A database that is none of those with a module of its own."""

    nested_comments = False

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url, poolclass=NullPool)
        self.product = self._engine.dialect.name
        self.path = ""
        self.secrets: tuple[str, ...] = (url.password,) if url.password else ()

    @contextmanager
    def connect(self, *, writing: bool = False) -> Iterator[OtherConnection]:  # noqa: ARG002 - nobody would enforce it
        """Connect; what is not committed is undone."""
        with self._engine.connect() as connection:
            yield OtherConnection(connection)

    def mistake(self, error: Exception, statement: Statement | None) -> Mistake:  # noqa: ARG002 - no driver says where
        """What an error of the driver means, as far as SQLAlchemy can tell."""
        message = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        match error:
            case ProgrammingError():
                return Mistake("syntax", message)
            case InterfaceError():
                return Mistake("connection", message)
            case OperationalError():
                return Mistake("connection" if error.statement is None else "failed", message)
        return Mistake("failed", message)


def _written(statement: Statement, style: str) -> tuple[str, Any]:
    """The statement and its values in one of the styles of PEP 249."""
    marks: dict[str, Mark] = {
        "named": lambda name, _: f":{name}",
        "pyformat": lambda name, _: f"%({name})s",
        "qmark": lambda _name, _: "?",
        "format": lambda _name, _: "%s",
        "numeric": lambda _name, place: f":{place}",
        "numeric_dollar": lambda _name, place: f"${place}",
    }
    if "format" in style:  # a percent sign of the statement itself is doubled
        pieces = [piece if index % 2 else piece.replace("%", "%%") for index, piece in enumerate(statement.pieces)]
        statement = Statement(statement.source, tuple(pieces), statement.values)
    text = statement.text(marks[style])
    if style in ("named", "pyformat"):
        return text, dict(statement.values)
    names = statement.names if style.startswith("numeric") else statement.pieces[1::2]
    return text, tuple(statement.values[name] for name in names)


def _nothing(_count: int) -> Sequence[Sequence[Any]]:
    return ()
