"""Hostile statements: reading is all that a query can do, and the database itself sees to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import codeact_tools_sql as sql
import duckdb
import pytest
from codeact_tools_sql import Change, ConnectionFailed, NotPermitted, QueryFailed, ReadOnly, SqlError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_tools import ToolContext
from toolkits.sql.tests.conftest import Make
from toolkits.sql.tests.databases import SHOP, Opened, PostgresServer, sqlite_file

CHANGING = {
    "insert": "INSERT INTO customers VALUES (99, 'x', 'y', NULL)",
    "update": "UPDATE customers SET city = 'x'",
    "delete": "DELETE FROM order_items",
    "drop": "DROP TABLE order_items",
    "create": "CREATE TABLE x (a INTEGER)",
    "create temporary": "CREATE TEMPORARY TABLE x (a INTEGER)",
    "alter": "ALTER TABLE customers ADD COLUMN x INTEGER",
    "create as": "CREATE TABLE x AS SELECT * FROM customers",
    "a comment in front": "/* SELECT */ -- SELECT\nDELETE FROM order_items",
    "a query in front": "WITH x AS (SELECT 1) DELETE FROM order_items",
    "returning": "DELETE FROM order_items RETURNING *",
    "stacked": "SELECT 1; DELETE FROM order_items",
    "stacked behind a comment": "SELECT 1; -- nothing\nDELETE FROM order_items",
    "stacked queries": "SELECT 1; SELECT 2",
    "transaction": "COMMIT; BEGIN",
    "commit": "COMMIT",
    "begin": "BEGIN",
    "vacuum": "VACUUM",
    "analyze": "ANALYZE",
    "empty": ";",
    "only a comment": "-- nothing",
}


@pytest.mark.parametrize("name", CHANGING)
def test_a_query_changes_nothing(shop: Opened, name: str) -> None:
    """It is refused with an error of ours, and the rows are what they were."""
    with pytest.raises(SqlError):
        shop.query(CHANGING[name])
    with pytest.raises(SqlError):
        shop.having(writable=True).query(CHANGING[name])
    assert shop.value("SELECT COUNT(*) FROM order_items") == 51
    assert len(sql.list_tables(context=shop.context)) == 5


def test_a_plan_changes_nothing(shop: Opened) -> None:
    """Not even where EXPLAIN is made to run what it explains."""
    for text in ("ANALYZE DELETE FROM order_items", "(ANALYZE) DELETE FROM order_items", "DELETE FROM order_items"):
        try:
            sql.explain(text, context=shop.context)
        except SqlError:
            continue
    assert shop.value("SELECT COUNT(*) FROM order_items") == 51


# ---- SQLite ----------------------------------------------------------------------------------------------------------

SQLITE = {
    "attach": "ATTACH DATABASE '{folder}/other.db' AS other",
    "attach a new file": "ATTACH DATABASE '{folder}/new.db' AS new",
    "detach": "DETACH DATABASE main",
    "vacuum into": "VACUUM INTO '{folder}/copy.db'",
    "writable schema": "PRAGMA writable_schema = ON",
    "query only off": "PRAGMA query_only = OFF",
    "heap limit": "PRAGMA hard_heap_limit = 1",
    "journal": "PRAGMA journal_mode = DELETE",
    "path of the file": "SELECT * FROM pragma_database_list",
    "path by pragma": "PRAGMA database_list",
    "schema table": "UPDATE sqlite_master SET sql = 'x'",
    "load extension": "SELECT load_extension('{folder}/x.so')",
    "read a file": "SELECT readfile('/etc/passwd')",
    "write a file": "SELECT writefile('{folder}/x', 'x')",
    "edit": "SELECT edit('x', 'sh')",
    "tokenizer": "SELECT fts3_tokenizer('simple', x'00')",
    "regular expression": "SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab' REGEXP '(a+)+$'",
    "savepoint": "SAVEPOINT x",
    "reindex": "REINDEX customers",
}


@pytest.mark.parametrize("name", SQLITE)
def test_sqlite_closes_what_reading_does_not_need(tmp_path: Path, name: str) -> None:
    """Other files, settings, extensions: the authorizer refuses them before anything runs."""
    shop = sqlite_file(tmp_path / "shop.db", SHOP)
    sqlite_file(tmp_path / "other.db", "CREATE TABLE secret (a)")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(SqlError) as error:
        shop.query(SQLITE[name].format(folder=tmp_path))
    assert str(tmp_path) not in str(error.value)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", [each for each in SQLITE if each not in ("reindex", "schema table")])
def test_a_writable_sqlite_file_closes_them_too(tmp_path: Path, name: str) -> None:
    """`execute` changes this one database, and nothing else."""
    shop = sqlite_file(tmp_path / "shop.db", SHOP)
    with pytest.raises(SqlError):
        shop.execute(SQLITE[name].format(folder=tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["shop.db"]


FRAGMENTS = [
    "SELECT", "*", "FROM", "customers", "INSERT INTO", "VALUES", "(1)", "DELETE FROM", "UPDATE", "SET", "city", "= 'x'",
    ";", "--", "/*", "*/", "WITH x AS", "(SELECT 1)", "RETURNING *", "EXPLAIN", "DROP TABLE", "CREATE TABLE", "y",
    "(a)", "AS",
    "PRAGMA", "user_version", "= 7", "ATTACH", "'z.db'", "REPLACE INTO", "TEMP", "BEGIN", "COMMIT", "ANALYZE",
]  # fmt: skip


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8).map(" ".join))
def test_no_text_changes_a_sqlite_file(sqlite: Opened, text: str) -> None:
    """Whatever it is made of: rows come, or an error of ours, and the file is what it was."""
    assert sqlite.config.address is not None
    path = Path(str(sqlite.config.address.database))
    before = path.read_bytes()
    with suppress(SqlError):
        sqlite.query(text)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_sqlite_still_reads_json_and_full_text(tmp_path: Path) -> None:
    """Virtual tables are tables."""
    shop = sqlite_file(
        tmp_path / "t.db", "CREATE VIRTUAL TABLE notes USING fts5(t); INSERT INTO notes VALUES ('red ink')"
    )
    assert shop.query("SELECT value FROM json_each('[1, 2]')").rows == [{"value": 1}, {"value": 2}]
    assert shop.value("SELECT t FROM notes WHERE notes MATCH :word", {"word": "ink"}) == "red ink"


def test_sqlite_is_never_created(tmp_path: Path) -> None:
    """A URL with a slip of the pen makes no new file, for reading or for writing."""
    missing = Opened(sql.SqlConfig(url=f"sqlite:///{tmp_path}/none.db", writable=True))  # type: ignore[arg-type]
    for call in (missing.query, missing.execute):
        with pytest.raises(ConnectionFailed, match="there is no such database"):
            call("SELECT 1")
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_a_file_is_no_url(tmp_path: Path) -> None:
    """Marks in it do not turn into options of SQLite."""
    path = tmp_path / "a b?mode=rwc#%41.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    database = sql.databases.sqlite.SqliteDatabase(str(path), seconds=1, max_bytes=10**6)
    with database.connect() as opened:
        assert [table.name for table in opened.tables()] == ["t"]


# ---- DuckDB ----------------------------------------------------------------------------------------------------------

DUCKDB = {
    "copy to": "COPY customers TO '{folder}/x.csv'",
    "copy query to": "COPY (SELECT 1) TO '{folder}/x.parquet' (FORMAT parquet)",
    "export": "EXPORT DATABASE '{folder}/x'",
    "import": "IMPORT DATABASE '{folder}'",
    "read csv": "SELECT * FROM read_csv('/etc/passwd')",
    "read text": "SELECT * FROM read_text('/etc/passwd')",
    "read blob": "SELECT * FROM read_blob('/etc/*')",
    "file as table": "SELECT * FROM '/etc/passwd'",
    "glob": "SELECT * FROM glob('/etc/*')",
    "sniff": "SELECT * FROM sniff_csv('/etc/passwd')",
    "install": "INSTALL httpfs",
    "install from": "INSTALL httpfs FROM 'http://127.0.0.1:1'",
    "load": "LOAD httpfs",
    "over http": "SELECT * FROM 'http://127.0.0.1:1/x.csv'",
    "attach": "ATTACH '{folder}/other.duckdb'",
    "attach sqlite": "ATTACH '{folder}/other.db' (TYPE sqlite)",
    "detach": "DETACH shop",
    "use": "USE memory",
    "open the instance": "SET enable_external_access = true",
    "pragma": "PRAGMA enable_external_access = true",
    "unlock": "SET lock_configuration = false",
    "memory": "SET memory_limit = '1TB'",
    "reset": "RESET memory_limit",
    "secret": "CREATE SECRET x (TYPE s3)",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "frames of the host": "SELECT * FROM frame_of_the_host",
    "prepare": "PREPARE p AS DELETE FROM order_items",
}
frame_of_the_host = {"a": [1]}


@pytest.mark.parametrize("name", DUCKDB)
def test_duckdb_touches_nothing_but_its_file(duck: Opened, tmp_path: Path, name: str) -> None:
    """No other file, no network, no settings, no variable of the host."""
    import pandas as pd

    frame_of_the_host = pd.DataFrame({"a": [1]})
    with pytest.raises(SqlError) as error:
        duck.query(DUCKDB[name].format(folder=tmp_path))
    assert len(frame_of_the_host) == 1
    assert list(tmp_path.iterdir()) == []
    assert str(duck.config.address.database if duck.config.address else "") not in str(error.value)


@pytest.mark.parametrize("name", [each for each in DUCKDB if each not in ("prepare", "detach")])
def test_a_writable_duckdb_file_touches_nothing_else(tmp_path: Path, name: str) -> None:
    """`execute` changes this one database."""
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute(SHOP)
    shop = Opened(sql.SqlConfig(url=f"duckdb:///{tmp_path}/shop.duckdb", writable=True))  # type: ignore[arg-type]
    with pytest.raises(SqlError):
        shop.execute(DUCKDB[name].format(folder=tmp_path))
    assert {each.name for each in tmp_path.iterdir()} <= {"shop.duckdb", "shop.duckdb.wal"}


def test_paths_of_the_host_stay_there(duck: Opened) -> None:
    """DuckDB tells where its file is; the rows have its name only."""
    assert duck.config.address is not None
    path = str(duck.config.address.database)
    for text in ("SELECT * FROM duckdb_databases()", "PRAGMA database_list", "SELECT * FROM duckdb_settings()"):
        assert path not in str(duck.query(text).rows)


# ---- PostgreSQL ------------------------------------------------------------------------------------------------------

POSTGRES = {
    "copy to program": "COPY customers TO PROGRAM 'id'",
    "copy to a file": "COPY customers TO '/tmp/x'",
    "copy to the client": "COPY customers TO STDOUT",
    "select into": "SELECT * INTO x FROM customers",
    "a change in a query": "WITH x AS (DELETE FROM order_items RETURNING *) SELECT * FROM x",
    "set the default": "SET default_transaction_read_only = off",
    "set the transaction": "SET TRANSACTION READ WRITE",
    "set by function": "SELECT set_config('transaction_read_only', 'off', false)",
    "set and change": "SELECT set_config('transaction_read_only', 'off', true), nextval('numbers')",
    "procedure": "DO $$ BEGIN DELETE FROM order_items; END $$",
    "procedure that commits": "DO $$ BEGIN COMMIT; DELETE FROM order_items; END $$",
    "a function that changes": "SELECT remove_all()",
    "a function that changes, with its owner's rights": "SELECT remove_all_as_owner()",
    "nextval": "SELECT nextval('numbers')",
    "setval": "SELECT setval('numbers', 99)",
    "lock rows": "SELECT * FROM customers FOR UPDATE",
    "lock a table": "LOCK TABLE customers",
    "notify": "NOTIFY x",
    "prepare": "PREPARE p AS DELETE FROM order_items",
    "declare": "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "read a file": "SELECT pg_read_file('/etc/passwd')",
    "list a folder": "SELECT pg_ls_dir('/')",
    "export a large object": "SELECT lo_export(1, '/tmp/x')",
    "import a large object": "SELECT lo_import('/etc/passwd')",
    "reload": "SELECT pg_reload_conf()",
    "where the data are": "SELECT current_setting('data_directory')",
    "extension": "CREATE EXTENSION dblink",
    "set role": "SET ROLE admin",
    "role by function": "SELECT set_config('role', 'admin', false)",
    "end itself": "SELECT pg_terminate_backend(pg_backend_pid())",
}
SIDE_EFFECTS = """
    CREATE SEQUENCE numbers;
    CREATE FUNCTION remove_all() RETURNS int LANGUAGE sql AS 'DELETE FROM order_items; SELECT 1';
    CREATE FUNCTION remove_all_as_owner() RETURNS int LANGUAGE sql SECURITY DEFINER
        AS 'DELETE FROM order_items; SELECT 1';
"""


@pytest.fixture(scope="session")
def rich(postgres: PostgresServer) -> Opened:
    """A shop with functions that change it, and a role that may call them."""
    return postgres.create(SHOP + SIDE_EFFECTS)


@pytest.mark.parametrize("name", POSTGRES)
def test_postgresql_refuses_all_but_reading(rich: Opened, name: str) -> None:
    """To the owner of the tables, who could do all of it in a session of his own."""
    with pytest.raises(SqlError) as error:
        rich.query(POSTGRES[name])
    assert "codeact-pg-" not in str(error.value)
    assert rich.value("SELECT COUNT(*) FROM order_items") == 51
    assert rich.value("SELECT NOT is_called FROM numbers")
    assert rich.value("SELECT COUNT(*) FROM pg_class WHERE relname = 'x'") == 0


LEFT_OVER = {
    "a setting of the session": "SELECT set_config('default_transaction_read_only', 'off', false)",
    "a lock": "SELECT pg_advisory_lock(1)",
    "a large object": "SELECT lo_create(4711)",
    "a message": "SELECT pg_notify('x', 'y')",
    "the time limit": "SELECT set_config('statement_timeout', '0', false)",
}
"""What a read-only transaction lets through: nothing of it outlives the call."""


@pytest.mark.parametrize("name", LEFT_OVER)
def test_nothing_outlives_a_call(rich: Opened, name: str) -> None:
    """The transaction is undone, and the connection closed."""
    rich.query(LEFT_OVER[name])
    assert rich.value("SELECT current_setting('default_transaction_read_only')") in ("on", "off")
    assert rich.value("SELECT current_setting('transaction_read_only')") == "on"
    assert rich.value("SELECT pg_try_advisory_lock(1)")
    assert rich.value("SELECT COUNT(*) FROM pg_largeobject_metadata") == 0
    assert rich.value("SELECT current_setting('statement_timeout')") == "30s"
    with pytest.raises(SqlError):
        rich.query("SELECT nextval('numbers')")


@pytest.fixture
def risky(postgres: PostgresServer) -> Iterator[str]:
    """A role that may write the server's files."""
    postgres.admin("CREATE ROLE risky LOGIN PASSWORD 'risky'; GRANT pg_write_server_files TO risky")
    yield postgres.url("postgres", user="risky", password="risky")  # noqa: S106
    postgres.admin("DROP ROLE risky")


def test_a_role_with_the_server_s_files_is_refused(postgres: PostgresServer, risky: str) -> None:
    """For it, reading can write: a superuser's ``lo_export`` works in a read-only transaction."""
    for url in (risky, postgres.url("postgres", user="admin")):
        config = sql.SqlConfig(url=url)  # type: ignore[arg-type]
        with pytest.raises(ConnectionFailed, match="a role of their own, without these rights"):
            sql.query("SELECT 1", context=ToolContext(config=config))
        allowed = sql.SqlConfig(url=url, allow_unenforced=True)  # type: ignore[arg-type]
        assert sql.query_value("SELECT 1", context=ToolContext(config=allowed)) == 1


def test_another_session_of_the_same_role_can_be_ended(rich: Opened) -> None:
    """PostgreSQL lets a role end its own sessions, also from a read-only transaction: hence a role of their own."""
    assert rich.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = 0").rows == []


# ---- writing ---------------------------------------------------------------------------------------------------------


def test_writing_needs_a_writable_database(shop: Opened) -> None:
    """And says how to get one."""
    with pytest.raises(ReadOnly, match="CODEACT_SQL_WRITABLE"):
        sql.execute("DELETE FROM order_items", context=shop.context)


def test_a_change_tells_what_it_changed(make: Make) -> None:
    """Rows that are affected, and those that are returned; a statement about the schema has none."""
    database = make("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)")
    assert database.execute("UPDATE t SET a = a + 10 WHERE a > :least", {"least": 1}) == Change(affected=2, rows=[])
    assert database.execute("UPDATE t SET a = 0 WHERE a = 99") == Change(affected=0, rows=[])
    change = database.having(max_rows=1).execute("DELETE FROM t WHERE a > 1 RETURNING a")
    assert (change.affected, len(change.rows)) == (2, 1)
    assert database.execute("CREATE TABLE other (a INTEGER)") == Change(affected=None, rows=[])
    assert [table.name for table in sql.list_tables(context=database.context)] == ["other", "t"]


def test_a_broken_constraint_undoes_the_statement(make: Make) -> None:
    """All of it."""
    database = make("CREATE TABLE t (a INTEGER PRIMARY KEY CHECK (a < 5)); INSERT INTO t VALUES (1)")
    for text in ("INSERT INTO t VALUES (2), (1)", "INSERT INTO t VALUES (3), (9)"):
        with pytest.raises(QueryFailed):
            database.execute(text)
    assert database.value("SELECT COUNT(*) FROM t") == 1


def test_what_is_stacked_is_not_run_when_writing(shop: Opened) -> None:
    """One statement at a time, there too."""
    for text in ("DELETE FROM order_items; SELECT 1", "UPDATE customers SET city = 'x'; COMMIT"):
        with pytest.raises(SqlError):
            shop.execute(text)
    assert shop.value("SELECT COUNT(*) FROM order_items") == 51
    assert shop.value("SELECT COUNT(*) FROM customers WHERE city = 'x'") == 0


def test_a_role_without_rights_is_told_so(postgres: PostgresServer) -> None:
    """The database decides, and the message says what to do."""
    shop = postgres.create("CREATE TABLE hidden (a INTEGER)", owner="admin")
    assert shop.config.address is not None
    reader = sql.SqlConfig(url=postgres.url(str(shop.config.address.database)))  # type: ignore[arg-type]
    with pytest.raises(NotPermitted, match="permission denied for table hidden; do it without, or ask for the right"):
        sql.query("SELECT * FROM hidden", context=ToolContext(config=reader))
