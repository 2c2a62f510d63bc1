"""The toolkit `sql` on real databases: what its tools say and give, the same on each product."""

# ruff: noqa: S608 - statements are what is tested

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import codeact_tools_sql as sql
import pytest
from codeact_tools_sql import (
    ForeignKey,
    InvalidSql,
    NotOneValue,
    QueryFailed,
    SqlError,
    TooManyRows,
    UnknownColumn,
    UnknownTable,
    WrongParameters,
    toolkit,
)

from codeact_tools import ToolRegistry
from codeact_tools.docgen.examples import run_examples
from toolkits.sql.tests.conftest import Make
from toolkits.sql.tests.databases import Opened


def test_every_tool_is_documented_and_says_what_it_does_to_the_world() -> None:
    """All but one only read; that one needs somebody's consent."""
    registry = ToolRegistry([toolkit])
    assert [spec.name for spec in registry.specs if not spec.effects.read_only] == ["execute"]
    assert registry.get("sql.execute").approval
    assert registry.get("sql.execute").effects.destructive
    for spec in registry.specs:
        assert spec.summary
        assert spec.returns_doc
        assert spec.examples
        assert all(parameter.doc for parameter in spec.parameters)
        assert all(raised.exception for raised in spec.raises)


@pytest.mark.parametrize("spec", ToolRegistry([toolkit]).specs, ids=lambda spec: spec.name)
def test_the_examples_of_the_docstrings_run(spec: Any) -> None:
    """On the sample database, whatever the environment names."""
    runs = [run for example in run_examples(spec, policy="all") for run in example]
    assert runs
    assert [run.transcript for run in runs if not run.matches] == []


def test_rows_are_dictionaries_of_real_types(shop: Opened) -> None:
    """Decimals and dates are what the schema says, on each product."""
    result = shop.query("SELECT name, price FROM products WHERE stock > :least ORDER BY id", {"least": 200})
    assert result.rows == [
        {"name": "Notebook", "price": Decimal("3.50")},
        {"name": "Envelope, 50", "price": Decimal("5.50")},
    ]
    assert result.columns == {"name": "str", "price": "Decimal"}
    assert not result.truncated
    assert result.note is None
    assert shop.value("SELECT placed FROM orders WHERE id = 1") == date(2026, 1, 5)
    assert shop.value("SELECT since FROM customers WHERE name = :name", {"name": "Hana Sato"}) is None


def test_a_view_is_read_as_a_table(shop: Opened) -> None:
    """Joins and sums happen in the database."""
    text = "SELECT customer, SUM(total) AS total FROM order_totals WHERE status <> :x GROUP BY customer ORDER BY 2 DESC"
    rows = shop.query(text, {"x": "cancelled"}, limit=2).rows
    assert [(row["customer"], float(row["total"])) for row in rows] == [("Ada Lovell", 617.5), ("Bruno Keller", 488.0)]


def test_the_schema_is_told_with_keys_and_views(shop: Opened) -> None:
    """Names, kinds, columns, types, keys."""
    tables = {table.name: table for table in sql.list_tables(context=shop.context)}
    assert list(tables) == ["customers", "order_items", "orders", "products", "order_totals"]
    assert tables["order_totals"].kind == "view"
    assert tables["products"].columns == ["id", "name", "category", "price", "stock"]
    assert tables["orders"].row_estimate in (24, None)
    assert [table.name for table in sql.list_tables("CUSTOMER", context=shop.context)] == [
        "customers",
        "orders",
        "order_totals",
    ]
    items = sql.describe_table("order_items", context=shop.context)
    assert items.primary_key == ["order_id", "product_id"]
    assert {key.table: key for key in items.foreign_keys}["orders"] == ForeignKey(
        columns=["order_id"], table="orders", references=["id"]
    )
    products = sql.describe_table("Products", context=shop.context)
    assert products.unique == [["name"]]
    columns = {column.name: column for column in products.columns}
    assert columns["price"].type.replace(" ", "") in ("DECIMAL(10,2)", "NUMERIC(10,2)")
    assert not columns["price"].nullable
    assert columns["stock"].default == "0"
    view = sql.describe_table("order_totals", context=shop.context)
    assert view.definition is not None
    assert "order_items" in view.definition
    assert sql.describe_database(context=shop.context).product in ("SQLite", "DuckDB", "PostgreSQL")


def test_comments_of_tables_and_columns_are_told(make: Make) -> None:
    """Where the product knows them."""
    database = make("CREATE TABLE parts (id INTEGER PRIMARY KEY, kg REAL)")
    if database.product == "sqlite":
        assert sql.describe_table("parts", context=database.context).comment is None
        return
    database.execute("COMMENT ON TABLE parts IS 'What we build of'")
    database.execute("COMMENT ON COLUMN parts.kg IS 'Weight'")
    table = sql.describe_table("parts", context=database.context)
    assert (table.comment, table.columns[1].comment) == ("What we build of", "Weight")
    assert sql.list_tables(context=database.context)[0].comment == "What we build of"


def test_tables_of_other_schemas_have_their_schema_in_front(make: Make) -> None:
    """As statements have to write them."""
    if make("SELECT 1").product == "sqlite":
        return
    database = make("CREATE TABLE a (x INTEGER); CREATE SCHEMA sales; CREATE TABLE sales.b (y INTEGER)")
    assert [table.name for table in sql.list_tables(context=database.context)] == ["a", "sales.b"]
    assert sql.describe_table("sales.b", context=database.context).columns[0].name == "y"


def test_mistakes_are_answered_with_what_to_write_instead(shop: Opened) -> None:
    """Names that are nearly right, and the place in the statement."""
    with pytest.raises(
        UnknownTable, match=r"no table or view is named 'custmers'; did you mean 'customers'\?"
    ) as table:
        shop.query("SELECT *\nFROM custmers")
    assert (table.value.line, table.value.column) == (2, 6)
    with pytest.raises(UnknownTable, match=r"'x'; there are customers, order_items, orders, products, order_totals"):
        shop.query("SELECT * FROM x")
    with pytest.raises(UnknownTable, match=r"did you mean 'products'\?"):
        sql.describe_table("product", context=shop.context)
    with pytest.raises(
        UnknownColumn, match=r"'nam'; did you mean 'name'\? \(products has id, name, category"
    ) as column:
        shop.query("SELECT nam FROM products")
    assert (column.value.line, column.value.column) == (1, 8)
    with pytest.raises(UnknownColumn, match=r"'c.nam'; did you mean 'name'\?"):
        shop.query("SELECT c.nam FROM customers c")
    with pytest.raises(UnknownColumn, match=r"'o.city'; 'city' is a column of customers \(orders has id, customer_id"):
        shop.query("SELECT o.city FROM orders o")
    with pytest.raises(UnknownColumn, match=r"'zzz'; orders has id, customer_id, placed, status"):
        shop.query("SELECT zzz FROM orders")
    with pytest.raises(InvalidSql, match=r"line 2, column 19:\n  FROM orders WHERE GROUP BY 1\n                    \^"):
        shop.query("SELECT id\nFROM orders WHERE GROUP BY 1")
    with pytest.raises(NotOneValue, match=r"gives several rows and 1 column, not one value"):
        shop.value("SELECT id FROM orders")
    with pytest.raises(NotOneValue, match=r"gives no row and 2 columns"):
        shop.value("SELECT id, placed FROM orders WHERE id = 0")


def test_places_count_what_the_model_wrote(shop: Opened) -> None:
    """A parameter before the mistake, and letters that take more than a byte, do not move it."""
    with pytest.raises(UnknownColumn) as error:
        shop.query("SELECT 'ä%', nam FROM products WHERE id = :id AND 1 = :one", {"id": 1, "one": 1})
    assert (error.value.line, error.value.column) == (1, 14)
    with pytest.raises(UnknownColumn) as error:
        shop.query("SELECT 1 FROM products WHERE id = :number AND :one = 1 AND nam = 2", {"number": 1, "one": 1})
    assert (error.value.line, error.value.column) == (1, 60)
    with pytest.raises(UnknownColumn) as error:
        sql.explain("SELECT nam FROM products", context=shop.context)
    assert (error.value.line, error.value.column) == (1, 8)


def test_parameters_have_to_fit(shop: Opened) -> None:
    """Each name of the statement has a value, and no value is left over."""
    with pytest.raises(WrongParameters, match=r":city, but params has no 'city'; call with params=\{'city'"):
        shop.query("SELECT * FROM customers WHERE city = :city")
    with pytest.raises(WrongParameters, match=r"no 'city'; did you mean 'ciy'\?"):
        shop.query("SELECT * FROM customers WHERE city = :city", {"ciy": "Berlin"})
    with pytest.raises(WrongParameters, match=r"params has 'city', but .* write :city, without quotes"):
        shop.query("SELECT * FROM customers WHERE city = ':city'", {"city": "Berlin"})
    for text in ("SELECT ?", "SELECT $1", "SELECT $x"):
        with pytest.raises((WrongParameters, InvalidSql)):
            shop.query(text)
    for value in (object(), {1, 2}, "\ud800", [object()]):
        with pytest.raises((WrongParameters, QueryFailed)):
            shop.query("SELECT * FROM customers WHERE city = :city", {"city": value})


VALUES: dict[str, Any] = {
    "text": 'it\'s "ä" %s :x -- 🙂',
    "integer": -(2**62),
    "float": 0.1,
    "nothing": None,
    "truth": True,
    "bytes": b"\x00\xff",
    "decimal": Decimal("12.34"),
    "date": date(2026, 12, 24),
    "datetime": datetime(2026, 12, 24, 18, 0, 1, 500),
    "time": time(18, 30),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
}
TYPES = {
    "text": "TEXT", "integer": "BIGINT", "float": "DOUBLE PRECISION", "nothing": "TEXT", "truth": "BOOLEAN",
    "bytes": "BLOB", "decimal": "DECIMAL(10, 2)", "date": "DATE", "datetime": "TIMESTAMP", "time": "TIME",
    "uuid": "UUID",
}  # fmt: skip


def test_values_come_back_as_they_went(make: Make) -> None:
    """What a parameter stores in a column of its type is what a query gives."""
    columns = ", ".join(f"c_{name} {kind}" for name, kind in TYPES.items())
    script = f"CREATE TABLE kinds ({columns})"
    database = make("SELECT 1")
    database.execute(script.replace("BLOB", "BYTEA") if database.product == "postgresql" else script)
    marks = ", ".join(f":{name}" for name in VALUES)
    assert database.execute(f"INSERT INTO kinds VALUES ({marks})", VALUES).affected == 1
    row = database.query("SELECT * FROM kinds").rows[0]
    assert row == {f"c_{name}": value for name, value in VALUES.items()}
    assert {type(value) for value in row.values()} == {type(value) for value in VALUES.values()}
    for name, value in VALUES.items():
        if value is not None:
            count = f"SELECT COUNT(*) FROM kinds WHERE c_{name} = :value"
            assert database.value(count, {"value": value}) == 1, name


def test_columns_of_one_name_are_told_apart(shop: Opened) -> None:
    """A dictionary has each key once."""
    result = shop.query("SELECT o.id, c.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = 4")
    assert result.rows == [{"id": 4, "id_2": 5}]


def test_a_plan_is_the_database_s_own(shop: Opened) -> None:
    """And the query does not run."""
    plan = sql.explain("SELECT * FROM orders WHERE id = :id", {"id": 1}, context=shop.context)
    assert "orders" in plan.text


def test_tables_keep_their_types(shop: Opened) -> None:
    """In pandas: integers and dates beside what is missing, and rows that are not silently cut."""
    frame = sql.query_frame("SELECT id, name, since, NULL AS none FROM customers ORDER BY id", context=shop.context)
    assert list(frame["id"]) == list(range(1, 9))
    assert str(frame["id"].dtype) == "int64"
    assert frame["since"][0] == date(2024, 2, 11)
    assert frame["since"][7] is None
    left = "SELECT p.id, i.quantity FROM products p LEFT JOIN order_items i ON i.product_id = p.id"
    frame = sql.query_frame(left, context=shop.context)
    assert str(frame["quantity"].dtype) == "Int64"
    assert int(frame["quantity"].sum()) == 168
    assert list(sql.query_frame("SELECT id FROM orders WHERE id < 0", context=shop.context).columns) == ["id"]
    with pytest.raises(TooManyRows, match="more than 5 rows"):
        sql.query_frame("SELECT * FROM orders", context=shop.having(max_rows=5).context)


def test_times_with_a_zone_keep_their_moment(make: Make) -> None:
    """Whatever zone the server answers in."""
    database = make("SELECT 1")
    if database.product == "sqlite":
        return
    moment = database.value("SELECT TIMESTAMPTZ '2026-07-01 12:00:00+02'")
    assert moment.isoformat().endswith("+00:00") or moment.utcoffset() is not None
    assert moment.timestamp() == 1782900000
    frame = sql.query_frame("SELECT TIMESTAMPTZ '2026-07-01 12:00:00+02' AS t", context=database.context)
    assert str(frame["t"].dtype) == "datetime64[us, UTC]"


def test_what_python_cannot_hold_is_an_error(pg: Opened) -> None:
    """And one of the row, not of the parameters."""
    with pytest.raises(QueryFailed, match="after year 10K"):
        pg.query("SELECT 'infinity'::timestamp")


def test_lists_objects_and_spans_are_python_s_own(make: Make) -> None:
    """Where the product has them."""
    database = make("SELECT 1")
    match database.product:
        case "duckdb":
            row = database.query("SELECT [1, 2] AS l, {'a': 1} AS o, INTERVAL 1 DAY AS s").rows[0]
        case "postgresql":
            text = """SELECT ARRAY[1, 2] AS l, '{"a": 1}'::jsonb AS o, INTERVAL '1 day' AS s, '10.0.0.1'::inet AS ip"""
            row = database.query(text).rows[0]
            assert row.pop("ip") == "10.0.0.1"
        case _:
            assert database.query("SELECT value FROM json_each(:ids)", {"ids": [1, 2]}).rows == [
                {"value": 1},
                {"value": 2},
            ]
            return
    assert row == {"l": [1, 2], "o": {"a": 1}, "s": timedelta(days=1)}
    assert database.query("SELECT 1 AS x WHERE 1 = ANY(:ids)", {"ids": [1, 2]}).rows == [{"x": 1}]


def test_errors_at_run_time_are_named(shop: Opened) -> None:
    """They are errors of the query, in the database's words."""
    text = "SELECT CAST(name AS INTEGER) / 0 FROM customers"
    if shop.product == "sqlite":
        text = "SELECT abs(-9223372036854775807 - 1)"
    with pytest.raises(QueryFailed):
        shop.query(text)


@pytest.mark.parametrize(
    "error",
    [InvalidSql, UnknownTable, UnknownColumn, WrongParameters, QueryFailed, NotOneValue, TooManyRows],
    ids=lambda error: error.__name__,
)
def test_all_errors_are_of_one_family(error: type[Exception]) -> None:
    """An action can catch them all at once."""
    assert issubclass(error, SqlError)
