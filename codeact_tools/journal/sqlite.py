"""A store in one SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ..errors import JournalError, RunBusy
from . import filelock
from .salvage import is_damage, is_foreign, is_stump, salvage
from .store import Record, RunSummary
from .table import connect, insert, load

_PATIENCE: Final = 0.1
"""Seconds: whoever looks whether a run is held has it for a moment."""


class SQLiteStore:
    """Records in one SQLite file, in its write-ahead mode: many processes read while others write.

    A file that was damaged, or cut off anywhere, still opens: what can be read is moved into a fresh file, the damaged
    one is kept beside it, and `lost` says so.

    Raises:
        JournalError: The file cannot be opened or created.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.where = Path(path), str(path)
        self.lost: str | None = None
        """What a damaged file cost, in one sentence; None where it was whole."""
        self._lock = threading.Lock()
        self._synchronous = ""
        self._process = os.getpid()
        try:
            self.path = self.path.expanduser().absolute()  # absolute: ":memory:" is a name like any other
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = self._open()
        except (OSError, ValueError, RuntimeError, sqlite3.Error) as error:
            raise JournalError(
                f"The journal {str(path)!r} cannot be opened: {error}. Name another file with "
                "CODEACT_TOOLS_JOURNAL=PATH, or go without one: CODEACT_TOOLS_JOURNAL=off."
            ) from error
        self.where = str(self.path)

    def append(self, run_id: str, record: Record, *, durable: bool) -> None:
        """See `Store.append`."""
        with self._own(), self._lock:
            try:
                self._sync("FULL" if durable else "NORMAL")
                insert(self._connection, run_id, record)
            except sqlite3.Error as error:
                raise JournalError(
                    f"The journal {self.where!r} takes no more records: {error}. The run stops here, before anything "
                    "happens that is not recorded; make room, then resume it."
                ) from error

    def read(self, run_id: str) -> list[Record]:
        """See `Store.read`."""
        try:
            return self._read(run_id)
        except ValueError:  # half of a page was cut off, which SQLite does not notice
            with self._lock:
                try:
                    self._repair()
                except (OSError, sqlite3.Error) as error:
                    raise self._unreadable(error) from error
            return self._read(run_id)

    def _read(self, run_id: str) -> list[Record]:
        rows = self._rows("SELECT seq, at, kind, event, data FROM records WHERE run = ? ORDER BY seq", (run_id,))
        records: list[Record] = []
        for seq, at, kind, event, data in rows:
            if seq != len(records) + 1:
                break
            records.append(Record(seq, at, kind, load(event), load(data)))
        return records

    def runs(self) -> list[RunSummary]:
        """See `Store.runs`."""
        rows = self._rows(
            """SELECT r.run, MIN(r.at), COUNT(*),
                      (SELECT event FROM records t WHERE t.run = r.run AND t.kind = 'run_started' ORDER BY seq LIMIT 1),
                      (SELECT kind || char(10) || IIF(kind = 'run_failed', event, '') FROM records t
                       WHERE t.run = r.run AND t.kind IN
                          ('run_started', 'run_resumed', 'run_finished', 'run_failed', 'run_paused')
                       ORDER BY seq DESC LIMIT 1)
               FROM records r GROUP BY r.run ORDER BY MIN(r.at) DESC""",
            (),
        )
        found: list[RunSummary] = []
        for run, started, count, event, last in rows:
            kind, _, failure = (last or "").partition("\n")
            error = _field(failure or None, "error")
            found.append(RunSummary(run, started, count, _field(event, "task"), kind, error))
        return found

    def delete(self, run_id: str) -> None:
        """See `Store.delete`."""
        with self._own(), self._lock:
            try:
                self._connection.execute("DELETE FROM records WHERE run = ?", (run_id,))
            except sqlite3.Error as error:
                raise JournalError(f"The run {run_id!r} cannot be deleted from {self.where!r}: {error}.") from error

    @contextlib.contextmanager
    def claim(self, run_id: str) -> Iterator[None]:
        """See `Store.claim`."""
        path = self._lock_path(run_id)
        try:
            file = filelock.lock(path, _PATIENCE)
        except (OSError, ValueError) as error:
            raise JournalError(f"The run {run_id!r} cannot be held: {error}.") from error
        if file is None:
            raise RunBusy(
                f"The run {run_id!r} is going on already, here or in another process; wait for its end, or stop it."
            )
        try:
            yield
        finally:
            filelock.unlock(path, file)

    def is_held(self, run_id: str) -> bool:
        """See `Store.is_held`."""
        path = self._lock_path(run_id)
        try:
            if not path.exists():
                return False
            file = filelock.lock(path)
        except (OSError, ValueError):  # nobody who may not make the file can tell; nobody holds what has no name
            return False
        if file is None:
            return True
        os.close(file)
        return False

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and self._process == os.getpid():
            connection.close()

    @contextlib.contextmanager
    def _own(self) -> Iterator[None]:
        """Let a process that was forked have a connection of its own: SQLite's must not be shared."""
        if self._process != os.getpid():
            self._process, self._lock, self._synchronous = os.getpid(), threading.Lock(), ""
            self._inherited = self._connection  # closing it here would end the parent's locks
            try:
                self._connection = connect(self.path)
            except sqlite3.Error as error:
                raise self._unreadable(error) from error
        yield

    def _unreadable(self, error: Exception) -> JournalError:
        return JournalError(f"The journal {self.where!r} cannot be read: {error}.")

    def _lock_path(self, run_id: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{run_id}.lock")

    def _rows(self, query: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
        with self._own(), self._lock:
            try:
                try:
                    return self._connection.execute(query, values).fetchall()
                except sqlite3.DatabaseError as error:
                    if not is_damage(error):
                        raise
                    self._repair()
                    return self._connection.execute(query, values).fetchall()
            except (OSError, sqlite3.Error) as error:
                raise self._unreadable(error) from error

    def _sync(self, mode: str) -> None:
        if mode != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous={mode}")
            self._synchronous = mode

    def _repair(self) -> None:
        self._connection.close()
        self.lost = salvage(self.path, self.where) or self.lost
        self._connection, self._synchronous = connect(self.path), ""

    def _open(self) -> sqlite3.Connection:
        if self.path.exists():
            if is_foreign(self.path):  # it is somebody's, and stays as it is
                raise JournalError(
                    f"The journal {self.where!r} cannot be opened: the file is no SQLite database, and is left as it "
                    "is. Name another one."
                )
            if is_stump(self.path):
                self.lost = salvage(self.path, self.where)
        try:
            return connect(self.path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self.lost = salvage(self.path, self.where)
            return connect(self.path)


def _field(event: str | None, name: str) -> str:
    try:
        return str((load(event) or {}).get(name, ""))
    except ValueError:  # damaged; reading the run says so
        return ""
