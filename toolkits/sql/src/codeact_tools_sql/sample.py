"""The sample database: a small shop, in memory, the same at every call."""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib.resources import files


@cache
def sample_image() -> bytes:
    """The bytes of the sample database, as SQLite would write them to a file."""
    script = files(__package__).joinpath("sample.sql").read_text(encoding="utf-8")
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(script)
        return connection.serialize()
    finally:
        connection.close()
