"""Files that were damaged, or cut off: what is one, and what of it can be read."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from . import filelock
from .table import BUSY_SECONDS, connect, is_whole

_MAGIC: Final = b"SQLite format 3\0"
"""How an SQLite file begins."""
_HEADER: Final = 100
"""Bytes of an SQLite file's header; SQLite takes a shorter file for a new one."""


def is_foreign(path: Path) -> bool:
    """Whether a file never was a journal."""
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    return bool(start.strip(b"\0")) and not _MAGIC.startswith(start)


def is_stump(path: Path) -> bool:
    """Whether a file was cut off so early that SQLite does not notice."""
    return 0 < path.stat().st_size < _HEADER


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is not what SQLite wrote, rather than locked, full or closed."""
    return type(error) is sqlite3.DatabaseError or "disk I/O" in str(error)


def salvage(path: Path, where: str) -> str | None:
    """Move what can be read of a damaged file into a fresh one; say what became of it.

    None where another process has done so meanwhile.
    """
    guard_path = path.with_name(f"{path.name}.salvage.lock")
    guard = filelock.lock(guard_path, BUSY_SECONDS)
    try:
        return None if _is_sound(path) else _replace(path, _readable_rows(path), where)
    finally:
        if guard is not None:
            filelock.unlock(guard_path, guard)


def _replace(path: Path, rows: list[tuple[Any, ...]], where: str) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    names = (f"{path.name}.damaged-{stamp}{count}" for count in ("", *(f"-{n}" for n in range(2, 1000))))
    damaged = next(each for each in map(path.with_name, names) if not each.exists())
    path.replace(damaged)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{damaged}{suffix}")
    fresh = connect(path)
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
        f"The journal {where!r} was damaged: {len(rows)} records of {runs} runs could be read and are kept; "
        f"what came after them in a run is lost. The damaged file is {damaged.name!r}."
    )


def _is_sound(path: Path) -> bool:
    """Whether the file is a journal, and all of it can be read."""
    if path.stat().st_size < _HEADER:
        return False
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            rows = connection.execute("SELECT id, run, seq, at, kind, event, data FROM records NOT INDEXED")
            return all(map(is_whole, rows)) and connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
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
            if is_whole(row) and row[2] == last.get(row[1], 0) + 1:
                last[row[1]] = row[2]
                rows.append(row)
    return rows
