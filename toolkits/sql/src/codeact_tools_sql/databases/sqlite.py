"""SQLite: a file that is opened for reading, and an authorizer that closes what reading does not need."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import NullPool, create_engine, inspect
from sqlalchemy.exc import DBAPIError

from ..schema import Table, TableSummary
from ..statements import Statement
from .base import Cursor, Mistake
from .inspection import Catalogue
from .stored import converter

_OK: Final = sqlite3.SQLITE_OK
_READING: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_CLOSED: Final = frozenset(
    {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT}
)
"""What stays closed to statements that may write: other files, and the transaction, which is not the statement's."""
_PRAGMAS: Final = frozenset(
    {
        "table_info",
        "table_xinfo",
        "table_list",
        "index_list",
        "index_info",
        "index_xinfo",
        "foreign_key_list",
        "data_version",
    }
)
"""Those that describe tables; `data_version` is what full-text tables ask for."""
_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer"})
"""Functions that reach beyond the database."""
_VIEW: Final = "codeact_tools_result"

Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]


def _reading(code: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    """Allow what reading needs.

    `SQLITE_UPDATE` of the schema is what SQLite asks when it connects a virtual table such as ``json_each``; a real
    update of the schema it refuses by itself.
    """
    if code in _READING or (code == sqlite3.SQLITE_UPDATE and first == "sqlite_master"):
        return _OK
    if code == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in _FUNCTIONS else _OK
    if code == sqlite3.SQLITE_PRAGMA:
        return _OK if first in _PRAGMAS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_DENY


def _writing(code: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    """Allow what changing this one database needs."""
    if code in (sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_PRAGMA):
        return _reading(code, first, second, database, trigger)
    return sqlite3.SQLITE_DENY if code in _CLOSED else _OK


def _describing(code: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    """Allow reading, and the temporary view that tells the declared types of a result."""
    view = code in (sqlite3.SQLITE_CREATE_TEMP_VIEW, sqlite3.SQLITE_DROP_TEMP_VIEW) and first == _VIEW
    changed = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)
    schema = code in changed and first in ("sqlite_temp_master", _VIEW)
    return _OK if view or schema else _reading(code, first, second, database, trigger)


class SqliteConnection:
    """An open SQLite database."""

    def __init__(self, driver: sqlite3.Connection, *, writing: bool) -> None:
        self._driver = driver
        self._writing = writing

    def run(self, statement: Statement) -> Cursor:
        """Start a statement."""
        converters = [] if self._writing else self._converters(statement)
        self._driver.set_authorizer(_writing if self._writing else _reading)
        values = {name: _adapted(value) for name, value in statement.values.items()}
        cursor = self._driver.execute(statement.source, values)
        names = [column[0] for column in cursor.description or ()]

        def fetch(count: int) -> Sequence[Sequence[Any]]:
            rows = cursor.fetchmany(count)
            if any(converters):
                return [[convert(value) for convert, value in zip(converters, row, strict=True)] for row in rows]
            return rows

        if len(converters) != len(names):
            converters = []
        return Cursor(names=names, fetch=fetch, affected=cursor.rowcount)

    def _converters(self, statement: Statement) -> list[Callable[[Any], Any]]:
        """What makes values of the declared types of what SQLite has stored; empty where it cannot tell them.

        The driver does not give the declared types of a result, but a view of the same statement has them.
        """
        self._driver.set_authorizer(_describing)
        try:
            self._driver.execute(f"CREATE TEMP VIEW {_VIEW} AS {statement.text(lambda *_: 'NULL')}")
        except (sqlite3.Error, sqlite3.Warning):  # no query, or a wrong one: the statement itself will tell
            return []
        try:
            columns = self._driver.execute(f"PRAGMA temp.table_info({_VIEW})").fetchall()
        except sqlite3.Error:  # the same, found when the view is looked at
            return []
        finally:
            self._driver.execute(f"DROP VIEW temp.{_VIEW}")
        return [converter(column[2]) for column in columns]

    def version(self) -> str:
        """Of the library."""
        return sqlite3.sqlite_version

    def plan(self, statement: Statement) -> str:
        """The query plan, as a tree."""
        self._driver.set_authorizer(_reading)
        values = {name: _adapted(value) for name, value in statement.values.items()}
        depths: dict[int, int] = {}
        lines = []
        for number, parent, _, detail in self._driver.execute(f"EXPLAIN QUERY PLAN {statement.source}", values):
            depths[number] = depths.get(parent, -1) + 1
            lines.append(f"{'  ' * depths[number]}{detail}")
        return "\n".join(lines)

    def tables(self) -> list[TableSummary]:
        """All tables and views."""
        return self._catalogue.tables()

    def table(self, name: str) -> Table | None:
        """One of them."""
        return self._catalogue.table(name)

    def commit(self) -> None:
        """Keep the changes."""
        self._driver.set_authorizer(None)
        self._driver.execute("COMMIT")

    def cancel(self) -> None:
        """Stop what runs."""
        self._driver.interrupt()

    @cached_property
    def _catalogue(self) -> Catalogue:
        self._driver.set_authorizer(None)
        engine = create_engine("sqlite://", creator=lambda: self._driver, poolclass=NullPool, pool_reset_on_return=None)
        inspector = inspect(engine.connect())
        self._driver.create_function("regexp", 2, None)  # SQLAlchemy's, in Python: a pattern could hang the process
        self._driver.set_authorizer(_reading)
        return Catalogue(inspector, estimate=self._estimate, comments=False)

    def _estimate(self, _schema: str | None, name: str) -> int | None:
        """The span of the row numbers: exact where nothing was deleted, found without reading the table."""
        quoted = '"' + name.replace('"', '""') + '"'
        try:
            found = self._driver.execute(f"SELECT max(rowid) - min(rowid) + 1 FROM {quoted}")  # noqa: S608 - quoted
        except sqlite3.OperationalError:  # a table without row numbers
            return None
        return int(found.fetchone()[0] or 0)


class SqliteDatabase:
    """A database in a file, or a copy of one in memory for each connection.

    Args:
        path: The file.
        image: Instead of a file: the bytes of one.
        seconds: How long to wait for another program's lock.
        max_bytes: The largest text or blob.
    """

    product = "SQLite"
    nested_comments = False
    secrets: tuple[str, ...] = ()

    def __init__(self, path: str = "", *, image: bytes = b"", seconds: float, max_bytes: int) -> None:
        self._image = image
        self._seconds = seconds
        self._max_bytes = max_bytes
        self.path = "" if image else str(Path(path).absolute())

    @contextmanager
    def connect(self, *, writing: bool = False) -> Iterator[SqliteConnection]:
        """Open the file, for reading unless ``writing``; it is never created."""
        driver = self._open(writing)
        try:
            driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(self._max_bytes, 1_000_000))
            driver.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000)
            driver.execute("PRAGMA foreign_keys = ON" if writing else "PRAGMA trusted_schema = OFF")
            driver.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            driver.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
            yield SqliteConnection(driver, writing=writing)
        finally:
            driver.set_authorizer(None)
            driver.close()

    def _open(self, writing: bool) -> sqlite3.Connection:
        driver: sqlite3.Connection
        options: dict[str, Any] = {"isolation_level": None, "check_same_thread": False, "timeout": self._seconds}
        if self._image:
            driver = sqlite3.connect(":memory:", **options)
            driver.deserialize(self._image)
        else:
            mode = "rw" if writing else "ro"
            driver = sqlite3.connect(f"file:{quote(self.path)}?mode={mode}", uri=True, **options)
        return driver

    def mistake(self, error: Exception, statement: Statement | None) -> Mistake:
        """What an error of the driver means."""
        if isinstance(error, DBAPIError) and isinstance(error.orig, Exception):
            error = error.orig
        message = str(error)
        name = getattr(error, "sqlite_errorname", "")
        for kind, pattern in _UNKNOWN.items():
            if found := pattern.search(message):
                return Mistake(kind, message, name=found[1], offset=_only_place(statement, found[1]))
        if name == "SQLITE_ERROR" and (found := _SYNTAX.search(message)):
            token = found[1]
            return Mistake("syntax", message, offset=_only_place(statement, token) if token else _end(statement))
        return Mistake(_kind(error, name, message), message)


_UNKNOWN: Final = {
    "table": re.compile(r"no such (?:table|view): (?:main\.)?(.+)"),
    "column": re.compile(r"no such column: (.+)"),
}
_SYNTAX: Final = re.compile(r'near "(.*)": syntax error|incomplete input|unrecognized token: "(?:.*)"', re.DOTALL)


_AT_RUN_TIME: Final = re.compile(r"overflow|malformed JSON|JSON path|too (?:big|complex)|failed|must be")
"""What SQLite says of values, in the same class of errors as mistakes in a statement."""
_UNREACHABLE: Final = tuple(f"SQLITE_{name}" for name in ("CANTOPEN", "NOTADB", "CORRUPT", "BUSY", "LOCKED", "IOERR"))


def _kind(error: Exception, name: str, message: str) -> str:
    if name in ("SQLITE_READONLY", "SQLITE_AUTH") or message.startswith("not authorized"):
        return "rights" if "function" in message or "authorization denied" in message else "read only"
    if name.startswith(
        ("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR")
    ):
        return "connection"
    if name == "SQLITE_INTERRUPT":
        return "stopped"
    if isinstance(error, OverflowError | UnicodeError | TypeError | sqlite3.InterfaceError):
        return "parameters"
    if isinstance(error, sqlite3.ProgrammingError):
        return "parameters" if "binding" in message.casefold() or "bound" in message else "syntax"
    return "syntax" if name == "SQLITE_ERROR" and not _AT_RUN_TIME.search(message) else "failed"


def _only_place(statement: Statement | None, token: str) -> int | None:
    """Where a token stands, if it stands in one place only."""
    source = statement.source if statement else ""
    token = token.rpartition(".")[2]
    places = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(token)}(?!\w)", source)]
    return places[0] if len(places) == 1 else None


def _end(statement: Statement | None) -> int | None:
    return len(statement.source.rstrip()) if statement else None


def _adapted(value: Any) -> Any:
    """A parameter's value as SQLite stores it: dates as ISO text, lists and objects as JSON."""
    match value:
        case bool():
            return int(value)
        case datetime():
            return value.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case UUID():
            return str(value)
        case list() | tuple() | dict():
            return json.dumps(value, default=_text_of)
    return value


def _text_of(value: object) -> str:
    """What stands in JSON for a value that JSON does not know.

    Raises:
        TypeError: It is of no type that a parameter can have.
    """
    if isinstance(value, date | time | Decimal | UUID):
        return str(value)
    raise TypeError(f"a list holds {type(value).__name__!r}, which is no value of a database")
