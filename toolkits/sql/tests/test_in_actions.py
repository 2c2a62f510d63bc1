"""The toolkit in a real session: what an action gets, catches, and must not do."""

from __future__ import annotations

from pathlib import Path

import pytest
from codeact_tools_sql import SqlConfig, toolkit

from codeact_tools import Session
from codeact_tools.events import CallRecord
from toolkits.sql.tests.databases import SHOP, Opened, sqlite_file

SAMPLE = toolkit.configured(SqlConfig.for_examples())


@pytest.fixture(scope="module")
def session() -> object:
    """With pandas, as the toolkit asks for."""
    with Session(tools=[SAMPLE], sandbox="local", packages=["pandas"], allow_imports=["pandas"]) as session:
        yield session


def result_of(session: Session, code: str) -> str | None:
    """The last expression of an action that must work."""
    seen = session.run(code)
    assert seen.error is None, seen.error
    return seen.result


def test_rows_and_values_compute(session: Session) -> None:
    """The check lets arithmetic with them through, and they have their types."""
    code = "rows = query('SELECT name, price FROM products WHERE id < 3').rows\nrows[0]['price'] * 2"
    assert result_of(session, code) == "Decimal('7.00')"
    assert result_of(session, "sum(row['price'] for row in rows)") == "Decimal('27.50')"
    code = "query_value('SELECT MAX(placed) FROM orders WHERE id = :id', {'id': 3})"
    assert result_of(session, code) == "'2026-01-21'"
    assert result_of(session, "query('SELECT placed FROM orders WHERE id = 3').rows[0]['placed'].year") == "2026"


def test_the_types_of_values_are_at_hand() -> None:
    """Nothing is to be imported to compute with what rows hold, nor to pass it on as a parameter."""
    with Session(tools=[SAMPLE], sandbox="local") as session:
        code = "day = query('SELECT placed FROM orders WHERE id = 3').rows[0]['placed']\n(date(2026, 1, 31) - day).days"
        assert result_of(session, code) == "10"
        assert result_of(session, "query_value('SELECT COUNT(*) FROM orders WHERE placed = :day', {'day': day})") == "1"
        code = "price = query('SELECT price FROM products WHERE id = 1').rows[0]['price']\nprice * Decimal('1.19')"
        assert result_of(session, code) == "Decimal('4.1650')"


def test_errors_are_caught_by_class_and_family(session: Session) -> None:
    """With the place of the mistake as numbers."""
    code = """
from tools.sql import InvalidSql, SqlError, UnknownTable
caught = []
for text in ("SELECT * FROM custmers", "SELECT 1 WHERE", "DELETE FROM orders"):
    try:
        query(text)
    except UnknownTable as error:
        caught.append((error.line, error.column, "did you mean 'customers'?" in str(error)))
    except InvalidSql as error:
        caught.append(error.column)
    except SqlError as error:
        caught.append(type(error).__name__)
caught"""
    assert result_of(session, code) == "[(1, 15, True), 15, 'ReadOnly']"


def test_streams_and_tables_arrive(session: Session) -> None:
    """A stream is left without harm; a table is pandas' own."""
    code = """
for batch in stream_batches("SELECT id FROM orders ORDER BY id", size=10):
    ids = [row["id"] for row in batch]
    break
ids"""
    assert result_of(session, code) == "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
    code = """
frame = query_frame("SELECT category, stock FROM products")
int(frame.groupby("category")["stock"].sum()["pens"])"""
    assert result_of(session, code) == "215"


def test_a_large_result_crosses(tmp_path: Path) -> None:
    """As many rows as the limits let through fit the bridge."""
    script = (
        "CREATE TABLE t AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 20000) SELECT n, "
    )
    shop = sqlite_file(tmp_path / "t.db", script + "'x' AS a, 1.5 AS b, NULL AS c FROM r").having(max_rows=1_000_000)
    with Session(tools=[toolkit.configured(shop.config)], sandbox="local") as session:
        assert result_of(session, "r = query('SELECT * FROM t')\n(len(r.rows), r.truncated)") == "(20000, False)"
        assert result_of(session, "sum(len(b) for b in stream_batches('SELECT * FROM t', size=5000))") == "20000"
        code = "r = query(\"SELECT printf('%.*c', 3000, 'x') AS x FROM t\")\n(len(r.rows), r.truncated)"
        assert result_of(session, code) == "(1305, True)"


def test_writing_asks_somebody(tmp_path: Path) -> None:
    """And happens only with a yes, in a database that is writable."""
    shop = sqlite_file(tmp_path / "shop.db", SHOP)
    asked: list[str] = []

    def approve(call: CallRecord) -> bool:
        asked.append(str(call.arguments["sql"]))
        return "UPDATE" in asked[-1]

    tools = [toolkit.configured(shop.having(writable=True).config)]
    with Session(tools=tools, sandbox="local", approve=approve) as session:
        update = "execute('UPDATE products SET stock = stock + :n WHERE id < 3', {'n': 5})"
        assert result_of(session, update) == "Change(affected=2, rows=[])"
        code = "execute('DELETE FROM order_items')"
        error = session.run(code).error
        assert error is not None
        assert error.name == "ToolDenied"
        returning = 'execute("UPDATE products SET stock = 0 WHERE id = 1 RETURNING name").rows'
        assert result_of(session, returning) == "[{'name': 'Notebook'}]"
    assert len(asked) == 3
    assert shop.value("SELECT stock FROM products WHERE id = 2") == 40
    assert shop.value("SELECT COUNT(*) FROM order_items") == 51


def test_nothing_of_the_host_is_shown(sqlite: Opened) -> None:
    """The action sees neither the path nor the URL, whatever it asks."""
    address = sqlite.config.address
    assert address is not None
    folder = str(Path(str(address.database)).parent)
    with Session(tools=[toolkit.configured(sqlite.config)], sandbox="local") as session:
        for code in (
            "query('SELECT * FROM pragma_database_list')",
            "query('SELECT * FROM sqlite_master')",
            "describe_database()",
            "query('x' * 200000)",
        ):
            assert folder not in session.run(code).text
