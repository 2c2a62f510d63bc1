"""The databases that the tests ask for by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolkits.sql.tests.databases import (
    SHOP,
    Opened,
    PostgresServer,
    duckdb_file,
    postgres_programs,
    postgres_server,
    sqlite_file,
)

Make = Callable[[str], Opened]
"""Makes a database by running a script."""

PRODUCTS = ["sqlite", "duckdb", "postgresql"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the tests' own."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed here: apt-get install postgresql")
    with postgres_server(programs) as server:
        yield server


@pytest.fixture(params=PRODUCTS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes databases of each product."""
    match request.param:
        case "sqlite":
            return lambda script: sqlite_file(tmp_path / "made.db", script)
        case "duckdb":
            return lambda script: duckdb_file(tmp_path / "made.duckdb", script)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create


@pytest.fixture(scope="session", params=PRODUCTS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The sample shop in each product, for tests that only read."""
    match request.param:
        case "sqlite":
            return sqlite_file(tmp_path_factory.mktemp("sqlite") / "shop.db", SHOP)
        case "duckdb":
            return duckdb_file(tmp_path_factory.mktemp("duckdb") / "shop.duckdb", SHOP)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create(SHOP)


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The sample shop in SQLite."""
    return sqlite_file(tmp_path_factory.mktemp("sqlite") / "shop.db", SHOP)


@pytest.fixture(scope="session")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The sample shop in DuckDB."""
    return duckdb_file(tmp_path_factory.mktemp("duckdb") / "shop.duckdb", SHOP)


@pytest.fixture(scope="session")
def pg(postgres: PostgresServer) -> Opened:
    """The sample shop in PostgreSQL, with a role that owns all of it."""
    return postgres.create(SHOP)
