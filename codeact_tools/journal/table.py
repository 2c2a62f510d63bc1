"""The one table of a journal's file: how it is opened, and how a record lies in it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from .store import Json, Record

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, event TEXT, data TEXT,
    UNIQUE (run, seq)
);
"""
BUSY_SECONDS: Final = 10.0
"""How long one process waits for another."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, or make it, in SQLite's write-ahead mode.

    Raises:
        sqlite3.Error: It cannot be opened, or is damaged.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
    )
    try:
        _begin_wal(connection)
        connection.execute("PRAGMA fullfsync=ON")  # macOS: to the disk itself, not to its cache
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    with contextlib.suppress(OSError):
        path.chmod(0o600)
    return connection


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Switch a fresh file to the write-ahead mode; SQLite does not wait there for others that do the same."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def insert(connection: sqlite3.Connection, run_id: str, record: Record) -> None:
    """Add a record of a run."""
    connection.execute(
        "INSERT INTO records (run, seq, at, kind, event, data) VALUES (?, ?, ?, ?, ?, ?)",
        (run_id, record.seq, record.at, record.kind, _dump(record.event), _dump(record.data)),
    )


def load(text: str | None) -> dict[str, Json] | None:
    """What a column holds.

    Raises:
        ValueError: It is damaged.
    """
    if text is None:
        return None
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("a record's columns hold JSON objects")  # noqa: TRY004 - like what is no JSON at all
    return value


def is_whole(row: tuple[Any, ...]) -> bool:
    """Whether a row with its ``id`` is as it was written."""
    _, run, seq, at, kind, event, data = row
    if not (isinstance(run, str) and isinstance(seq, int) and isinstance(at, float) and isinstance(kind, str)):
        return False
    try:
        load(event), load(data)
    except ValueError:
        return False
    return True


def _dump(value: dict[str, Json] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
