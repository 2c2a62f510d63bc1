"""What every database does for the tools: one small protocol, and the clock that stops a statement."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, NamedTuple, Protocol

from ..errors import QueryTimeout
from ..schema import Table, TableSummary
from ..statements import Statement

AGAIN: Final = 0.1
"""Seconds after which a statement that is not stopped yet is stopped again."""


class Cursor(NamedTuple):
    """A running statement."""

    names: Sequence[str]
    """Of its columns; empty where it gives no rows."""
    fetch: Callable[[int], Sequence[Sequence[Any]]]
    """Gives at most so many further rows; none at the end."""
    affected: int = -1
    """How many rows it has changed; -1 where that is unknown."""


class Connection(Protocol):
    """An open connection, used for one call. Errors are the driver's own, to be given to `Database.mistake`."""

    def run(self, statement: Statement) -> Cursor:
        """Start a statement; a query's rows are not fetched yet."""
        ...

    def version(self) -> str:
        """Of the database."""
        ...

    def plan(self, statement: Statement) -> str:
        """How the database would run a statement, in its own words."""
        ...

    def tables(self) -> list[TableSummary]:
        """All tables and views of the user."""
        ...

    def table(self, name: str) -> Table | None:
        """One of them, by the name that `tables` gives; None where there is none."""
        ...

    def commit(self) -> None:
        """Keep what was changed; without it, the end of the connection undoes it."""
        ...

    def cancel(self) -> None:
        """Stop what runs. It is called from another thread, and may come when nothing runs."""
        ...


class Mistake(NamedTuple):
    """What a driver's error means."""

    kind: str
    """``syntax``, ``table``, ``column``, ``parameters``, ``read only``, ``rights``, ``connection``, ``stopped`` or
    ``failed``."""
    message: str
    """The database's own words, in one line."""
    name: str = ""
    """The table or column that is unknown."""
    offset: int | None = None
    """Where in the statement's source, from 0."""


class Sent(Exception):
    """An error in a text that is the statement behind a few words of our own."""

    def __init__(self, error: Exception, prefix: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.prefix = prefix


class Database(Protocol):
    """A database that can be connected to; safe to use from several threads."""

    product: str
    """Its name for people: ``PostgreSQL``."""
    nested_comments: bool
    path: str
    """Of its file, which no result and no message may show; empty where it has none."""
    secrets: tuple[str, ...]
    """What no message may show besides: passwords."""

    def connect(self, *, writing: bool = False) -> AbstractContextManager[Connection]:
        """Open a connection; unless it is for writing, the database refuses to change anything over it."""
        ...

    def mistake(self, error: Exception, statement: Statement | None) -> Mistake:
        """What an error of the driver means."""
        ...


class Clock:
    """Limits the time that a database works: stops it, and knows that it has."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._left = seconds

    def check(self) -> None:
        """Raise where the time is over, also if the database answered in the last moment.

        Raises:
            QueryTimeout: It is.
        """
        if self.expired:
            raise self.late()

    def late(self) -> QueryTimeout:
        """The error of a call that took too long."""
        return QueryTimeout(
            f"the statement was stopped after {self.seconds:g} s; make it cheaper: fewer rows, a condition on an "
            f"indexed column, or an aggregate, and look at explain(...)"
        )

    @contextmanager
    def running(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Count the time of the block; when none is left, call ``cancel`` until the block ends."""
        done = threading.Event()

        def watch() -> None:
            if done.wait(max(self._left, 0)):
                return
            self.expired = True
            while not done.is_set():
                with suppress(Exception):  # a connection that cannot be cancelled is about to fail by itself
                    cancel()
                done.wait(AGAIN)

        watcher = threading.Thread(target=watch, name="codeact-tools-sql clock", daemon=True)
        started = time.monotonic()
        watcher.start()
        try:
            yield
        finally:
            done.set()
            self._left -= time.monotonic() - started
            watcher.join()  # no cancel may hit what comes after
