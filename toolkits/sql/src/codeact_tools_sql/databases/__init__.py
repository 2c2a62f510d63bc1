"""The databases that the tools can open, each behind the protocol of `base`."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy.exc import NoSuchModuleError

from ..config import SqlConfig
from ..errors import ConnectionFailed
from ..sample import sample_image
from .base import Database
from .sqlite import SqliteDatabase


@lru_cache(maxsize=16)
def open_database(config: SqlConfig) -> Database:
    """The database that a configuration names; nothing is connected yet. Drivers are imported where they are needed.

    Raises:
        ConnectionFailed: It names none, or one whose driver is not there.
    """
    url = config.address
    if url is None:
        raise ConnectionFailed(
            "no database is configured; the operator should set CODEACT_SQL_URL, to sample:// for a sample"
        )
    match url.get_backend_name():
        case "sample":
            return SqliteDatabase(image=sample_image(), seconds=config.seconds, max_bytes=config.max_bytes)
        case "sqlite":
            return SqliteDatabase(url.database or "", seconds=config.seconds, max_bytes=config.max_bytes)
        case "duckdb":
            from .duckdb import DuckDatabase

            return DuckDatabase(url.database or "", memory_mb=config.memory_mb)
        case "postgresql":
            from .postgresql import PostgresDatabase

            return PostgresDatabase(
                url,
                seconds=config.seconds,
                connect_seconds=config.connect_seconds,
                any_role=config.allow_unenforced,
            )
        case product:
            from .other import OtherDatabase

            try:
                return OtherDatabase(url)
            except (ImportError, NoSuchModuleError) as error:
                raise ConnectionFailed(
                    f"the driver for {product!r} is not installed on the host; the operator should install it"
                ) from error
