"""Where a journal keeps its records: a small protocol, and SQLite behind it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from ..errors import JournalError, RunBusy

Json = Any

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, event TEXT, data TEXT,
    UNIQUE (run, seq)
);
"""
_MAGIC: Final = b"SQLite format 3\0"
"""How an SQLite file begins."""
_HEADER: Final = 100
"""Bytes of an SQLite file's header; SQLite takes a shorter file for a new one."""
_BUSY_SECONDS: Final = 10.0
_PATIENCE: Final = 0.1
"""Seconds: whoever looks whether a run is held has it for a moment."""


class Record(NamedTuple):
    """One line of a run's history; it is never changed."""

    seq: int
    """From 1, without gaps."""
    at: float
    """Seconds since 1970, UTC."""
    kind: str
    """``run``, ``message``, ``item``, or the ``type`` of the event."""
    event: dict[str, Json] | None = None
    """An event as JSON; see `codeact_tools.events`."""
    data: dict[str, Json] | None = None
    """What resuming and replaying need besides: values as they went over the bridge, messages, the configuration."""


class RunSummary(NamedTuple):
    """A run as a list shows it."""

    run_id: str
    started: float
    """Seconds since 1970, UTC."""
    records: int
    task: str
    last: str
    """Kind of the last event that tells how the run stands; "" where none does."""
    error: str = ""
    """Of a run that failed: the name of its error, or ``Cancelled``."""


class Store(Protocol):
    """Keeps records of runs in the order in which they were appended. Its methods may be called from any thread."""

    where: str
    """For people."""

    def append(self, run_id: str, record: Record, *, durable: bool) -> None:
        """Add the next record.

        Args:
            run_id: The run.
            record: Its ``seq`` follows that of the one before.
            durable: Whether it must be on the disk before this returns; otherwise it must survive the end of this
                process, but not that of the machine.

        Raises:
            JournalError: It cannot be written; nothing of it is kept.
        """
        ...

    def read(self, run_id: str) -> list[Record]:
        """The records of a run, in order, up to the first that is missing; none where it is not known."""
        ...

    def runs(self) -> list[RunSummary]:
        """All runs, the newest first."""
        ...

    def delete(self, run_id: str) -> None:
        """Forget a run."""
        ...

    def claim(self, run_id: str) -> contextlib.AbstractContextManager[None]:
        """Hold the run, so that nobody else goes on with it meanwhile; ends with this process at the latest.

        Raises:
            RunBusy: Somebody else holds it.
        """
        ...

    def is_held(self, run_id: str) -> bool:
        """Whether somebody goes on with the run right now."""
        ...


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
        row = (run_id, record.seq, record.at, record.kind, _dump(record.event), _dump(record.data))
        with self._own(), self._lock:
            try:
                self._sync("FULL" if durable else "NORMAL")
                self._connection.execute(
                    "INSERT INTO records (run, seq, at, kind, event, data) VALUES (?, ?, ?, ?, ?, ?)", row
                )
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
            records.append(Record(seq, at, kind, _load(event), _load(data)))
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
            file = _lock_file(path, _PATIENCE)
        except (OSError, ValueError) as error:
            raise JournalError(f"The run {run_id!r} cannot be held: {error}.") from error
        if file is None:
            raise RunBusy(
                f"The run {run_id!r} is going on already, here or in another process; wait for its end, or stop it."
            )
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(file)

    def is_held(self, run_id: str) -> bool:
        """See `Store.is_held`."""
        path = self._lock_path(run_id)
        try:
            if not path.exists():
                return False
            file = _lock_file(path)
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
                self._connection = self._connect()
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
                    if not _is_damage(error):
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
        self.lost = self._salvage() or self.lost
        self._connection, self._synchronous = self._connect(), ""

    def _open(self) -> sqlite3.Connection:
        if self.path.exists():
            self._check_kind()
            if 0 < self.path.stat().st_size < _HEADER:
                self.lost = self._salvage()
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self.lost = self._salvage()
            return self._connect()

    def _check_kind(self) -> None:
        """Refuse a file that never was a journal: it is somebody's, and stays as it is."""
        with self.path.open("rb") as file:
            start = file.read(len(_MAGIC))
        if start.strip(b"\0") and not _MAGIC.startswith(start):
            raise JournalError(
                f"The journal {self.where!r} cannot be opened: the file is no SQLite database, and is left as it is. "
                "Name another one."
            )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        try:
            _begin_wal(connection)
            connection.execute("PRAGMA fullfsync=ON")  # macOS: to the disk itself, not to its cache
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        with contextlib.suppress(OSError):
            self.path.chmod(0o600)
        return connection

    def _salvage(self) -> str | None:
        """Move what can be read of a damaged file into a fresh one; say what became of it.

        None where another process has done so meanwhile.
        """
        guard = _lock_file(self.path.with_name(f"{self.path.name}.salvage.lock"), _BUSY_SECONDS)
        try:
            return None if _is_sound(self.path) else self._replace(_readable_rows(self.path))
        finally:
            if guard is not None:
                self.path.with_name(f"{self.path.name}.salvage.lock").unlink(missing_ok=True)
                os.close(guard)

    def _replace(self, rows: list[tuple[Any, ...]]) -> str:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        names = (f"{self.path.name}.damaged-{stamp}{count}" for count in ("", *(f"-{n}" for n in range(2, 1000))))
        damaged = next(path for path in map(self.path.with_name, names) if not path.exists())
        self.path.replace(damaged)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{damaged}{suffix}")
        fresh = self._connect()
        try:
            fresh.execute("BEGIN")
            fresh.executemany(
                "INSERT OR IGNORE INTO records (id, run, seq, at, kind, event, data) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )
            fresh.execute("COMMIT")
        finally:
            fresh.close()
        runs = len({row[1] for row in rows})
        return (
            f"The journal {self.where!r} was damaged: {len(rows)} records of {runs} runs could be read and are kept; "
            f"what came after them in a run is lost. The damaged file is {damaged.name!r}."
        )


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Switch a fresh file to the write-ahead mode; SQLite does not wait there for others that do the same."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _field(event: str | None, name: str) -> str:
    try:
        return str((_load(event) or {}).get(name, ""))
    except ValueError:  # damaged; reading the run says so
        return ""


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is not what SQLite wrote, rather than locked, full or closed."""
    return type(error) is sqlite3.DatabaseError or "disk I/O" in str(error)


def _is_sound(path: Path) -> bool:
    """Whether the file is a journal, and all of it can be read."""
    if path.stat().st_size < _HEADER:
        return False
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            rows = connection.execute("SELECT id, run, seq, at, kind, event, data FROM records NOT INDEXED")
            return all(map(_is_whole, rows)) and connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.DatabaseError:
        return False


def _readable_rows(path: Path) -> list[tuple[Any, ...]]:
    """The rows of a damaged file, of each run up to the first that cannot be read."""
    rows: list[tuple[Any, ...]] = []
    last: dict[str, int] = {}
    with (
        contextlib.suppress(sqlite3.DatabaseError),
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        # Lets SQLite read a file that is shorter than its header says.
        connection.execute("PRAGMA writable_schema=ON")
        for row in connection.execute(
            "SELECT id, run, seq, at, kind, event, data FROM records NOT INDEXED ORDER BY id"
        ):
            if _is_whole(row) and row[2] == last.get(row[1], 0) + 1:
                last[row[1]] = row[2]
                rows.append(row)
    return rows


def _is_whole(row: tuple[Any, ...]) -> bool:
    _, run, seq, at, kind, event, data = row
    if not (isinstance(run, str) and isinstance(seq, int) and isinstance(at, float) and isinstance(kind, str)):
        return False
    try:
        _load(event), _load(data)
    except ValueError:
        return False
    return True


def _dump(value: dict[str, Json] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _load(text: str | None) -> dict[str, Json] | None:
    if text is None:
        return None
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("a record's columns hold JSON objects")  # noqa: TRY004 - like what is no JSON at all
    return value


def _lock_file(path: Path, patience: float = 0.0) -> int | None:
    """Lock a file as long as its descriptor is open; None where somebody else has it for so many seconds."""
    end = time.monotonic() + patience
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if _is_locked_now(file):
            if _is_at(file, path):
                return file
            os.close(file)  # who had it has removed it meanwhile, and the next one locks another file of this name
            continue
        os.close(file)
        if time.monotonic() >= end:
            return None
        time.sleep(0.01)


def _is_locked_now(file: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
