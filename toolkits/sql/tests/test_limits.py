"""Limits hold: time, rows, bytes, strange names, and what happens when a stream is left."""

# ruff: noqa: S608 - statements are what is tested

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import codeact_tools_sql as sql
import pytest
from codeact_tools_sql import InvalidSql, QueryFailed, QueryTimeout, SqlError
from codeact_tools_sql.databases.base import Clock
from codeact_tools_sql.values import as_plain, distinct

from toolkits.sql.tests.databases import Opened, PostgresServer, opened

ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r"
CARTESIAN = "SELECT SUM(a.n * b.n) FROM numbers a CROSS JOIN numbers b CROSS JOIN numbers c"
NUMBERS = """
    CREATE TABLE numbers AS
    WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 20000) SELECT n FROM r
"""
MILLIONS = "SELECT n FROM generate_series(1, 30000000) AS r(n)"
MILLIONS_IN_SQLITE = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 30000000) SELECT n FROM r"


def batches(database: Opened, text: str, size: int = 500) -> Any:
    """A stream, as the host sees it."""
    return sql.stream_batches(text, None, size, context=database.context)


@pytest.mark.parametrize("text", [ENDLESS, CARTESIAN], ids=["recursion", "cartesian product"])
def test_a_statement_that_never_ends_is_stopped(make: Any, text: str) -> None:
    """By the database itself: the next call finds it idle."""
    database = make(NUMBERS)
    with pytest.raises(QueryTimeout, match=r"stopped after 0\.4 s; make it cheaper"):
        database.having(seconds=0.4).query(text)
    if database.product == "postgresql":
        active = "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%RECURSIVE%' AND pid <> "
        assert database.value(active + "pg_backend_pid()") == 0
    assert database.value("SELECT COUNT(*) FROM numbers") == 20000


def test_writing_is_stopped_and_undone(make: Any) -> None:
    """What a statement has done until then does not stay."""
    database = make(NUMBERS)
    slow = Opened(database.having(seconds=0.4, writable=True).config)
    with pytest.raises(QueryTimeout):
        sql.execute(f"INSERT INTO numbers {CARTESIAN}", context=slow.context)
    assert database.value("SELECT COUNT(*) FROM numbers") == 20000


def test_rows_are_cut_and_the_result_says_so(shop: Opened) -> None:
    """At the limit of the call or of the configuration, whichever is smaller."""
    result = shop.query("SELECT id FROM orders ORDER BY id", limit=3)
    assert [row["id"] for row in result.rows] == [1, 2, 3]
    assert result.truncated
    assert result.note == "only the first 3 rows; aggregate in SQL, add LIMIT and OFFSET, or use stream_batches"
    assert len(shop.having(max_rows=2).query("SELECT id FROM orders", limit=100).rows) == 2
    assert not shop.query("SELECT id FROM orders", limit=24).truncated


def test_bytes_are_cut_too(shop: Opened) -> None:
    """A few rows can be as large as many."""
    wide = f"SELECT '{'x' * 50_000}' AS t FROM order_items"
    result = shop.having(max_mb=0.2).query(wide)
    assert result.truncated
    assert len(result.rows) == 3
    assert result.note is not None
    assert "0.2 MB" in result.note


@pytest.mark.parametrize("size", [8_000_000, 100_000_000], ids=["8 MB", "100 MB"])
def test_a_value_has_a_largest_size(shop: Opened, size: int) -> None:
    """It is refused, not cut."""
    text = {
        "sqlite": f"SELECT zeroblob({size}) AS b",
        "duckdb": f"SELECT repeat('x', {size}) AS b",
        "postgresql": f"SELECT repeat('x', {size}) AS b",
    }[shop.product]
    with pytest.raises(QueryFailed):
        shop.query(text)


def test_a_gigabyte_is_refused_before_it_is_made(sqlite: Opened) -> None:
    """SQLite has a limit for one value; it is set."""
    with pytest.raises(QueryFailed, match="too big"):
        sqlite.query("SELECT zeroblob(1000000000)")


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_very_many_columns(shop: Opened, count: int) -> None:
    """They are given, or refused in the database's words."""
    text = "SELECT " + ", ".join(f"1 c{number}" for number in range(count))
    most = {"sqlite": 2_000, "postgresql": 1_664, "duckdb": 100_000}[shop.product]
    if count <= most:
        assert len(shop.query(text).columns) == count
        return
    with pytest.raises(InvalidSql, match=r"too many columns|at most 1664"):
        shop.query(text)


NAMES = ["select", "a b", 'quo"te', "semi;colon", "--", "Ä", "%s", ":x", "$1", "a.b", "'", "🙂", "x" * 60]


@pytest.mark.parametrize("name", NAMES)
def test_strange_names(make: Any, name: str) -> None:
    """Of tables and columns: listed, described and read."""
    quoted = '"' + name.replace('"', '""') + '"'
    database = make(f"CREATE TABLE {quoted} ({quoted} INTEGER PRIMARY KEY); INSERT INTO {quoted} VALUES (1)")
    assert [table.name for table in sql.list_tables(context=database.context)] == [name]
    assert [column.name for column in sql.describe_table(name, context=database.context).columns] == [name]
    assert database.query(f"SELECT * FROM {quoted} WHERE {quoted} = :one", {"one": 1}).rows == [{name: 1}]


def test_streams_take_no_more_than_they_give(shop: Opened) -> None:
    """Millions of rows begin at once, and end where the loop is left."""
    threads = threading.active_count()
    with closing(batches(shop, MILLIONS_IN_SQLITE if shop.product == "sqlite" else MILLIONS)) as stream:
        first = next(stream)
        assert [row["n"] for row in first[:3]] == [1, 2, 3]
        assert len(first) == 500
        assert len(next(stream)) == 500
    assert threading.active_count() <= threads + 1
    assert shop.value("SELECT COUNT(*) FROM orders") == 24


def test_a_stream_gives_everything_once(shop: Opened) -> None:
    """In batches of the size that was asked for, the last one smaller."""
    sizes = [len(batch) for batch in batches(shop, "SELECT id FROM orders", 10)]
    assert sizes == [10, 10, 4]
    assert list(batches(shop, "SELECT id FROM orders WHERE id < 0")) == []
    seen = [
        row["id"] for batch in batches(shop.having(max_rows=3), "SELECT id FROM orders ORDER BY id") for row in batch
    ]
    assert seen == list(range(1, 25))


def test_batches_of_large_rows_are_smaller(shop: Opened) -> None:
    """A batch fits the way to the action."""
    wide = f"SELECT '{'x' * 40_000}' AS t FROM order_items"
    sizes = [len(batch) for batch in batches(shop.having(max_mb=0.1), wide)]
    assert sizes == [2] * 25 + [1]


def test_the_time_of_a_stream_is_the_database_s(shop: Opened) -> None:
    """An action may think as long as it likes between two batches; a slow database is stopped."""
    stream = batches(shop.having(seconds=2), "SELECT id FROM orders ORDER BY id", 5)
    next(stream)
    threading.Event().wait(2.2)
    assert len(next(stream)) == 5
    stream.close()
    with pytest.raises(QueryTimeout):
        next(batches(shop.having(seconds=0.3), ENDLESS))


def test_a_mistake_is_told_when_a_stream_begins(shop: Opened) -> None:
    """With the same errors as a query's."""
    with pytest.raises(SqlError):
        next(batches(shop, "DELETE FROM orders"))
    with pytest.raises(sql.UnknownTable):
        next(batches(shop, "SELECT * FROM nowhere"))


def test_calls_at_the_same_time(shop: Opened) -> None:
    """Each has a connection of its own, so that stopping one stops no other."""
    errors: list[Exception] = []

    def count() -> None:
        try:
            assert shop.value("SELECT COUNT(*) FROM orders") == 24
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    with pytest.raises(QueryTimeout):
        shop.having(seconds=0.3).query(ENDLESS)
    for thread in threads:
        thread.join()
    assert errors == []


def test_the_server_stops_a_statement_whose_client_is_gone(postgres: PostgresServer) -> None:
    """The limit is the server's too, and a statement cannot lift it for itself."""
    database = opened(postgres.url("postgres"), seconds=0.5)
    with pytest.raises(SqlError):
        database.query("SELECT set_config('statement_timeout', '0', false), pg_sleep(30)")


def test_a_clock_that_has_run_out_stays_so() -> None:
    """A call that is cancelled in its last moment is late, even if the database has answered."""
    calls: list[bool] = []
    clock = Clock(0.01)
    with clock.running(lambda: calls.append(True)):
        threading.Event().wait(0.15)
    assert calls
    with pytest.raises(QueryTimeout):
        clock.check()


def test_values_of_any_kind_become_plain() -> None:
    """What a driver makes of exotic types, in Python's own."""
    assert as_plain(memoryview(b"x")) == b"x"
    assert as_plain({1: (2, {3})}) == {"1": [2, [3]]}
    assert as_plain(type("Range", (), {"__str__": lambda _self: "[1,2)"})()) == "[1,2)"
    nested: list[Any] = []
    for _ in range(100):
        nested = [nested]
    assert "[" in str(as_plain(nested))
    assert distinct(["a", "a", "", ""]) == ["a", "a_2", "column", "column_2"]
