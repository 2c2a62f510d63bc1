"""The configuration: what it accepts, and that nothing of it gets out."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import codeact_tools_sql as sql
import pytest
from codeact_tools_sql import ConnectionFailed, SqlConfig, SqlError, toolkit
from codeact_tools_sql.databases import open_database
from codeact_tools_sql.databases.other import OtherDatabase
from pydantic import ValidationError
from sqlalchemy import make_url

from codeact_tools import ToolContext
from toolkits.sql.tests.databases import PASSWORD, SHOP, Opened, PostgresServer, opened, sqlite_file

SECRET = "s3cr3t-pa55word"  # noqa: S105 - of nothing


def test_it_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each field is a variable."""
    shop = sqlite_file(tmp_path / "shop.db", SHOP)
    assert shop.config.url is not None
    monkeypatch.setenv("CODEACT_SQL_URL", shop.config.url.get_secret_value())
    monkeypatch.setenv("CODEACT_SQL_MAX_ROWS", "2")
    result = sql.query("SELECT * FROM orders", context=ToolContext())
    assert len(result.rows) == 2
    assert sql.describe_database(context=ToolContext()).max_rows == 2


def test_no_database_is_an_error_that_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never data of a sample that nobody asked for."""
    monkeypatch.delenv("CODEACT_SQL_URL", raising=False)
    with pytest.raises(ConnectionFailed, match="the operator should set CODEACT_SQL_URL"):
        sql.query("SELECT 1", context=ToolContext())


def test_the_sample_is_asked_for_by_name() -> None:
    """It is the same at every call."""
    sample = opened("sample://")
    assert sample.value("SELECT COUNT(*) FROM orders") == 24
    assert open_database(SqlConfig.for_examples()) is open_database(SqlConfig.for_examples())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "mysql://u:p@h/d"}, "read-only cannot be enforced for 'mysql', only for sqlite, duckdb, post"),
        ({"url": "not a url"}, "it is no database URL; write for example sqlite:////srv/data/shop.db"),
        ({"url": "postgresql://h:port/d"}, "it is no database URL"),
        ({"url": "sqlite://"}, "a database in memory would be empty at every call; name a file"),
        ({"url": "duckdb:///:memory:"}, "a database in memory"),
        (
            {"url": "postgresql+psycopg2://h/d"},
            r"postgresql is used through 'psycopg'; leave \+psycopg2 out of the URL",
        ),
        ({"url": "sample://", "writable": True}, "the sample database cannot be written"),
        ({"url": "sample://", "max_rows": 0}, "greater than or equal to 1"),
        ({"url": "sample://", "rows": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    """With the reason, and without the URL."""
    with pytest.raises(ValidationError, match=message) as error:
        SqlConfig(**options)
    assert "://h" not in str(error.value)
    assert "u:p" not in str(error.value)


@pytest.mark.parametrize("url", ["postgres://h/d", "postgresql://h/d", "postgresql+psycopg://h/d"])
def test_postgresql_has_several_names(url: str) -> None:
    """All mean psycopg."""
    config = opened(url).config
    assert config.address is not None
    assert config.address.drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@127.0.0.1:1/shop",
        f"postgresql://user:{SECRET}@host.invalid/shop",
        f"sqlite:////nowhere/{SECRET}/shop.db",
        f"duckdb:////nowhere/{SECRET}/shop.duckdb",
    ],
)
def test_an_address_stays_on_the_host(url: str) -> None:
    """Neither the message, nor what is behind it, nor the configuration's text has the password or the path."""
    database = opened(url, connect_seconds=2)
    with pytest.raises(ConnectionFailed, match=r"database cannot be used: .* The operator should check") as error:
        database.query("SELECT 1")
    assert SECRET not in str(error.value)
    assert "127.0.0.1" not in str(error.value)
    assert "host.invalid" not in str(error.value)
    assert SECRET not in repr(database.config)
    assert SECRET not in str(toolkit.configured(database.config))


def test_a_refused_password_is_not_shown(postgres: PostgresServer) -> None:
    """Not even in the traceback that an operator reads."""
    for url in (postgres.url("postgres", password=SECRET), postgres.url("no_such_database")):
        with pytest.raises(ConnectionFailed, match=r"it refuses the user or the password|there is no such") as error:
            opened(url).query("SELECT 1")
        text = "".join(traceback.format_exception(error.value))
        assert SECRET not in text
        assert PASSWORD not in text
        assert "reader" not in str(error.value)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    """Is named as what it is, without its path."""
    path = tmp_path / "notes.txt"
    path.write_text("milk\n" * 1000, encoding="utf-8")
    for url in (f"sqlite:///{path}", f"duckdb:///{path}"):
        with pytest.raises(ConnectionFailed, match="it is broken, or of another kind") as error:
            opened(url).query("SELECT * FROM t")
        assert str(tmp_path) not in str(error.value)


def test_a_locked_file_is_worth_another_try(tmp_path: Path) -> None:
    """The message tells waiting from repairing."""
    import sqlite3

    shop = sqlite_file(tmp_path / "shop.db", SHOP)
    other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SqlError, match=r"others hold it; try again later|stopped after"):
        shop.having(seconds=0.3).query("SELECT * FROM orders")
    other.close()
    assert shop.value("SELECT COUNT(*) FROM orders") == 24


def test_another_product_is_opened_only_without_a_promise(sqlite: Opened) -> None:
    """Then the rights of its user are what holds."""
    with pytest.raises(ValidationError, match="set allow_unenforced"):
        SqlConfig(url="mariadb://h/d")  # type: ignore[arg-type]
    assert SqlConfig(url="mariadb://h/d", allow_unenforced=True).product == "mariadb"  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["oracle://user:pw@h/d", "nothing://user:pw@h/d"])
def test_a_missing_driver_is_named(url: str) -> None:
    """To the action as to the operator."""
    with pytest.raises(ConnectionFailed, match=r"the driver for '(oracle|nothing)' is not installed on the host"):
        opened(url, allow_unenforced=True).query("SELECT 1")


def test_any_database_of_sqlalchemy_can_be_read(sqlite: Opened) -> None:
    """The way of those that have no module of their own, tried on one that has."""
    address = sqlite.config.address
    assert address is not None
    database = OtherDatabase(make_url(f"sqlite:///{address.database}"))
    text = "SELECT name, '50%' AS p FROM products WHERE id = :id OR id = :id"
    statement = sql.statements.Statement.parse(text, {"id": 1})
    with database.connect() as connection:
        cursor = connection.run(statement)
        assert (cursor.names, list(cursor.fetch(5))) == (["name", "p"], [("Notebook", "50%")])
        assert [table.name for table in connection.tables()][-1] == "order_totals"
        table = connection.table("orders")
        assert table is not None
        assert table.foreign_keys[0].table == "customers"
        assert connection.plan(statement)
        connection.cancel()
        connection.run(sql.statements.Statement.parse("DELETE FROM order_items", {}))
    assert sqlite.value("SELECT COUNT(*) FROM order_items") == 51
    with pytest.raises(Exception, match="nothing") as error, database.connect() as connection:
        connection.run(sql.statements.Statement.parse("SELECT * FROM nothing", {}))
    assert re.fullmatch("failed|syntax", database.mistake(error.value, None).kind)
