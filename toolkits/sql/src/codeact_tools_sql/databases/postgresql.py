"""PostgreSQL: a cursor in a read-only transaction, which takes one query and nothing else.

What holds a query to reading, all of it the server's: ``BEGIN READ ONLY``, which cannot be taken back once a query ran
(and one has); ``DECLARE … CURSOR FOR``, whose grammar has no place for ``COMMIT``, ``SET``, ``COPY`` or ``DO``; the
extended protocol, which takes one statement at a time; and a connection for each call, so that nothing stays. What
reading does not cover are the server's files: a role with rights over them is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import URL, NullPool, create_engine, inspect
from sqlalchemy.engine import Connection as AlchemyConnection
from sqlalchemy.exc import DBAPIError

from ..schema import Table, TableSummary
from ..statements import Statement
from .base import Cursor, Mistake, Sent
from .inspection import Catalogue

_CURSOR: Final = "codeact_tools"
_DECLARE: Final = f'DECLARE "{_CURSOR}" CURSOR FOR '
"""What the driver writes before a query; the server counts it when it says where a mistake is."""
_PREPARE: Final = """
    SELECT set_config('statement_timeout', $1, true),
           pg_has_role(session_user, 'pg_read_server_files', 'MEMBER')
        OR pg_has_role(session_user, 'pg_write_server_files', 'MEMBER')
        OR pg_has_role(session_user, 'pg_execute_server_program', 'MEMBER')
"""
_KINDS: Final = {
    "25006": "read only", "25001": "read only", "0A000": "syntax",
    "42P01": "table", "3F000": "table", "42703": "column",
    "42501": "rights",
    "28": "connection", "08": "connection", "57P": "connection", "53": "connection", "3D000": "connection",
    "57014": "stopped", "55P03": "stopped", "25P04": "stopped",
    "42P02": "parameters", "42P18": "parameters", "08P01": "parameters", "42": "syntax", "54": "syntax",
}  # fmt: skip
"""By SQLSTATE, or the beginning of one: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class ServerRights(Exception):
    """The role may use the server's files or programs, so that reading can do more than read."""


class PostgresConnection:
    """An open connection with a transaction."""

    def __init__(
        self, connection: AlchemyConnection, driver: psycopg.Connection[Any], scope: ExitStack, *, writing: bool
    ) -> None:
        self._connection = connection
        self._driver = driver
        self._scope = scope
        self._writing = writing

    def run(self, statement: Statement) -> Cursor:
        """Start a statement; one that reads fetches its rows from the server as they are asked for."""
        text, values = statement.text(_mark), statement.in_order(_adapted)
        cursor: Any
        if self._writing:
            cursor = psycopg.RawCursor(self._driver)
            cursor.execute(text, values, prepare=True)  # the extended protocol, also without parameters
        else:
            cursor = self._scope.enter_context(closing(psycopg.RawServerCursor(self._driver, _CURSOR)))
            with _behind(_DECLARE):
                cursor.execute(text, values)
        names = [column.name for column in cursor.description or ()]
        return Cursor(names=names, fetch=cursor.fetchmany if names else _nothing, affected=cursor.rowcount)

    def version(self) -> str:
        """Of the server."""
        return str(self._driver.info.server_version // 10_000)

    def plan(self, statement: Statement) -> str:
        """What EXPLAIN says."""
        cursor: Any = psycopg.RawCursor(self._driver)
        with _behind("EXPLAIN "):
            cursor.execute(f"EXPLAIN {statement.text(_mark)}", statement.in_order(_adapted), prepare=True)
        return "\n".join(row[0] for row in cursor.fetchall())

    def tables(self) -> list[TableSummary]:
        """All tables and views that the role may see."""
        return self._catalogue().tables()

    def table(self, name: str) -> Table | None:
        """One of them."""
        return self._catalogue().table(name)

    def commit(self) -> None:
        """Keep the changes."""
        self._driver.commit()

    def cancel(self) -> None:
        """Stop what runs."""
        self._driver.cancel_safe(timeout=2)

    def _catalogue(self) -> Catalogue:
        inspector = inspect(self._connection)
        default = inspector.default_schema_name
        own = [
            name for name in inspector.get_schema_names() if not name.startswith("pg_") and name != "information_schema"
        ]
        schemas = [None, *sorted(name for name in own if name != default)]
        return Catalogue(inspector, schemas=schemas, estimate=self._estimate, comments=True)

    def _estimate(self, schema: str | None, name: str) -> int | None:
        query = """SELECT c.reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = $1 AND n.nspname = coalesce($2, current_schema())"""
        row = psycopg.RawCursor(self._driver).execute(query, [name, schema]).fetchone()
        return int(row[0]) if row and row[0] >= 0 else None  # below 0: never analysed


class PostgresDatabase:
    """A PostgreSQL server's database, reached through psycopg.

    Args:
        url: With the driver ``psycopg``.
        seconds: The server's own limit for a statement, should this process be gone.
        connect_seconds: How long connecting may take.
        any_role: Whether to read with a role that has rights over the server's files.
    """

    product = "PostgreSQL"
    nested_comments = True

    def __init__(self, url: URL, *, seconds: float, connect_seconds: float, any_role: bool) -> None:
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            pool_reset_on_return=None,
            connect_args={"connect_timeout": round(connect_seconds), "application_name": "codeact-tools-sql"},
        )
        self._limit = f"{round(seconds * 1000)}ms"
        self._any_role = any_role
        self.path = ""
        self.secrets: tuple[str, ...] = (url.password,) if url.password else ()

    @contextmanager
    def connect(self, *, writing: bool = False) -> Iterator[PostgresConnection]:
        """Connect, and begin a transaction; unless ``writing``, a read-only one."""
        with self._engine.connect().execution_options(postgresql_readonly=not writing) as connection:
            driver: Any = connection.connection.driver_connection
            with ExitStack() as scope:
                scope.callback(connection.invalidate)
                try:
                    self._prepare(driver)
                    yield PostgresConnection(connection, driver, scope, writing=writing)
                finally:
                    driver.close()  # at once, without words: what is not committed is undone by the server

    def _prepare(self, driver: Any) -> None:
        """Set the server's time limit; it is a query, so that none after it can make the transaction another one."""
        row = psycopg.RawCursor(driver).execute(_PREPARE, [self._limit]).fetchone()
        if row is not None and row[1] and not self._any_role:
            raise ServerRights

    def mistake(self, error: Exception, statement: Statement | None) -> Mistake:
        """What an error of the driver means."""
        prefix = ""
        if isinstance(error, Sent):
            prefix, error = error.prefix, error.error
        if isinstance(error, DBAPIError) and isinstance(error.orig, Exception):
            error = error.orig
        if isinstance(error, ServerRights):
            return Mistake("role", "the role may use the server's files or programs")
        if not isinstance(error, psycopg.Error) or error.sqlstate is None:
            return Mistake(_without_state(error), str(error))
        message = error.diag.message_primary or str(error)
        quoted = message.split('"')
        offset = int(error.diag.statement_position) if error.diag.statement_position else None
        if offset is not None and statement is not None:
            offset = statement.place(max(offset - 1 - len(prefix), 0), _mark)
        kind = next((_KINDS[error.sqlstate[:size]] for size in (5, 3, 2) if error.sqlstate[:size] in _KINDS), "failed")
        if error.diag.message_hint and kind == "failed":
            message = f"{message} ({error.diag.message_hint})"
        return Mistake(kind, message, name=quoted[1] if len(quoted) > 2 else message.split(" ")[1], offset=offset)


@contextmanager
def _behind(prefix: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise Sent(error, prefix) from error


def _without_state(error: Exception) -> str:
    """The kind of an error that did not come from the server."""
    if isinstance(error, psycopg.OperationalError):
        return "connection"
    if isinstance(error, psycopg.DataError) and " too " in str(error):  # in a row: Python's dates end sooner
        return "failed"
    if isinstance(error, psycopg.ProgrammingError | psycopg.DataError | UnicodeError):
        return "parameters"
    return "failed"


def _mark(_name: str, place: int) -> str:
    return f"${place}"


def _adapted(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value


def _nothing(_count: int) -> Sequence[Sequence[Any]]:
    return ()
