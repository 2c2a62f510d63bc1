"""Real databases for the tests: files of SQLite and DuckDB, and a PostgreSQL server of the tests' own."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

import codeact_tools_sql as sql
import duckdb
import psycopg
from codeact_tools_sql import SqlConfig
from codeact_tools_sql.results import Change, Result
from pydantic import SecretStr

from codeact_tools import ToolContext

SHOP = files(sql).joinpath("sample.sql").read_text(encoding="utf-8")
"""Tables, a view and rows, in SQL that all three databases understand."""
PASSWORD = "pass-word-of-the-reader"  # noqa: S105 - of a server that lives for one run of the tests
PLACES = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/pgsql/bin"]
"""Where distributions put a server's programs."""


@dataclass(frozen=True)
class Opened:
    """A database and its configuration; the tools, called as plain functions."""

    config: SqlConfig

    @property
    def product(self) -> str:
        """``sqlite``, ``duckdb`` or ``postgresql``."""
        return self.config.product

    @property
    def context(self) -> ToolContext:
        """What the host gives a tool."""
        return ToolContext(config=self.config)

    def having(self, **changes: Any) -> Opened:
        """The same database under another configuration."""
        return Opened(SqlConfig(**{**self.config.model_dump(), **changes}))

    def query(self, text: str, params: dict[str, Any] | None = None, limit: int | None = None) -> Result:
        """Rows, and whether there are more."""
        return sql.query(text, params, limit, context=self.context)

    def value(self, text: str, params: dict[str, Any] | None = None) -> Any:
        """One value."""
        return sql.query_value(text, params, context=self.context)

    def execute(self, text: str, params: dict[str, Any] | None = None) -> Change:
        """A change, in a database that is writable here."""
        return sql.execute(text, params, context=self.having(writable=True).context)

    def fails(self, text: str, params: dict[str, Any] | None = None) -> str:
        """The message of the error that a query ends with, and its name in front."""
        try:
            result = self.query(text, params)
        except sql.SqlError as error:
            return f"{type(error).__name__}: {error}"
        raise AssertionError(f"{text!r} was answered: {str(result)[:500]}")


def opened(url: str, **options: Any) -> Opened:
    """The database at a URL."""
    return Opened(SqlConfig(url=SecretStr(url), **options))


def sqlite_file(path: Path, script: str) -> Opened:
    """A new SQLite file."""
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    return opened(f"sqlite:///{path}")


def duckdb_file(path: Path, script: str) -> Opened:
    """A new DuckDB file."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(script)
    return opened(f"duckdb:///{path}")


class PostgresServer:
    """A running server, with the role ``reader`` that owns the databases and ``admin`` that may do everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count(1)

    def url(self, database: str, *, user: str = "reader", password: str = PASSWORD) -> str:
        """Through the socket in the server's folder."""
        return f"postgresql://{user}:{password}@/{database}?host={self.folder}"

    def create(self, script: str, *, owner: str = "reader") -> Opened:
        """A new database of ``owner``, who has run the script."""
        name = f"test_{next(self._numbers)}"
        self.admin(f"CREATE DATABASE {name} OWNER {owner}")
        with psycopg.connect(self.url(name, user=owner), autocommit=True) as connection:
            connection.execute(script.encode())
        return opened(self.url(name, user=owner))

    def admin(self, statement: str, database: str = "postgres") -> list[Any]:
        """Do something as the superuser."""
        with psycopg.connect(self.url(database, user="admin"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def postgres_programs() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``: on the PATH, or where distributions put it; the newest."""
    found = [Path(each).resolve().parent for each in [shutil.which("pg_ctl")] if each]
    found += sorted((path for place in PLACES for path in Path("/").glob(place[1:])), reverse=True)
    return next((each for each in found if (each / "initdb").exists() and (each / "pg_ctl").exists()), None)


@contextmanager
def postgres_server(programs: Path) -> Iterator[PostgresServer]:
    """A server on a socket in a folder of its own. Root cannot run one, so another user does it then."""
    folder = Path(tempfile.mkdtemp(prefix="codeact-pg-"))
    user = _other_user() if os.geteuid() == 0 else None
    run = _runner(user)
    try:
        password = folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
            os.chown(password, user.pw_uid, user.pw_gid)
        data = str(folder / "data")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=30"
        auth = ["-A", "scram-sha-256", "-U", "admin", f"--pwfile={password}"]
        run([programs / "initdb", "-D", data, "--no-sync", "-E", "UTF8", "--locale=C", *auth])
        run([programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"])
        try:
            server = PostgresServer(folder)
            server.admin(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
            yield server
        finally:
            run([programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other_user() -> pwd.struct_passwd:
    users: Mapping[str, pwd.struct_passwd] = {each.pw_name: each for each in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


def _runner(user: pwd.struct_passwd | None) -> Callable[[list[str | Path]], None]:
    account: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def run(command: list[str | Path]) -> None:
        quiet: dict[str, Any] = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
        subprocess.run(command, check=True, cwd="/", timeout=200, **quiet, **account)

    return run
