"""One call: connect, run one statement, take its rows within the limits, and let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from codeact_tools.errors import CodeActError

from .config import SqlConfig
from .databases import open_database
from .databases.base import Clock, Connection, Cursor, Database
from .errors import InvalidSql, QueryFailed, SqlError
from .mistakes import explained
from .statements import Statement
from .values import Row, as_plain, distinct, replaced, size_of

T = TypeVar("T")

_FIRST: Final = 16
"""Rows that are fetched at first, until it is known how large they are."""
_MOST: Final = 1_000
"""Rows that are fetched at once."""


@dataclass(frozen=True, slots=True)
class Call:
    """A connection for one call of a tool, its time, and its errors."""

    database: Database
    connection: Connection
    config: SqlConfig
    clock: Clock
    statement: Statement | None
    writing: bool

    @property
    def required(self) -> Statement:
        """The statement of a call that has one."""
        if self.statement is None:
            raise ValueError("the call has no statement")
        return self.statement

    def work(self, do: Callable[[], T]) -> T:
        """Let the database work; it is stopped at the end of the call's time.

        Raises:
            QueryTimeout: It was stopped.
            SqlError: It failed.
        """
        with translated(self.database, self.statement, self.clock, writing=self.writing):
            with self.clock.running(self.connection.cancel):
                value = do()
            self.clock.check()
        return value

    def start(self) -> Cursor:
        """Start the call's statement.

        Raises:
            InvalidSql: It has to be a query, and is none.
            SqlError: The database refuses it.
        """
        cursor = self.work(lambda: self.connection.run(self.required))
        if not cursor.names and not self.writing:
            raise InvalidSql("the statement is no query: it has no columns; write a SELECT")
        return cursor

    def rows(self, cursor: Cursor, limit: int | None) -> Iterator[tuple[Row, int]]:
        """The rows and their sizes; at most ``limit``, and one more that tells that there are more.

        Raises:
            QueryFailed: One row is larger than a result may be.
        """
        names = distinct(cursor.names)
        taken = size = 0
        while limit is None or taken <= limit:
            wanted = _FIRST if not taken else min(_MOST, max(1, self.config.max_bytes * taken // max(size, 1)))
            left = wanted if limit is None else min(wanted, limit + 1 - taken)
            batch = self.work(partial(cursor.fetch, left))
            for values in batch:
                row = {name: self._shown(value) for name, value in zip(names, values, strict=True)}
                weight = size_of(row)
                if weight > self.config.max_bytes:
                    raise QueryFailed(
                        f"row {taken + 1} is larger than {self.config.max_mb:g} MB; select fewer columns, or a part of "
                        f"long ones, for example substr(column, 1, 1000)"
                    )
                taken, size = taken + 1, size + weight
                yield row, weight
            if len(batch) < left:
                return

    def _shown(self, value: Any) -> Any:
        plain = as_plain(value)
        path = self.database.path
        return replaced(plain, path, path.rpartition("/")[2]) if path else plain


@contextmanager
def opened(
    config: SqlConfig, sql: str | None = None, params: Mapping[str, Any] | None = None, *, writing: bool = False
) -> Iterator[Call]:
    """Connect for one call.

    Raises:
        SqlError: The statement cannot be sent, or the database cannot be reached.
    """
    database = open_database(config)
    statement = None
    if sql is not None:
        statement = Statement.parse(sql, params, nested_comments=database.nested_comments)
    clock = Clock(config.seconds)
    with translated(database, statement, clock, writing=writing), database.connect(writing=writing) as connection:
        yield Call(database, connection, config, clock, statement, writing)


@contextmanager
def translated(database: Database, statement: Statement | None, clock: Clock, *, writing: bool) -> Iterator[None]:
    """No error of a driver leaves the block as itself."""
    try:
        yield
    except (SqlError, CodeActError):
        raise
    except Exception as error:
        if clock.expired:
            raise clock.late() from error
        raise explained(error, database, statement, writing=writing) from error
