"""The tools that read: the schema, rows, single values, tables, streams, plans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import pandas as pd
from pydantic import Field

from codeact_tools import ToolContext, tool

from .config import SqlConfig
from .errors import (  # noqa: F401 - the registry looks up here what the docstrings name
    ConnectionFailed,
    InvalidSql,
    NotOneValue,
    NotPermitted,
    QueryFailed,
    QueryTimeout,
    ReadOnly,
    SqlError,
    TooManyRows,
    UnknownColumn,
    UnknownTable,
    WrongParameters,
    nearest,
)
from .reading import opened
from .results import DatabaseInfo, Plan, Result, frame_of
from .schema import Table, TableSummary
from .values import Parameter, Row, Value, distinct, kinds_of


def configuration(context: ToolContext) -> SqlConfig:
    """The toolkit's configuration; the environment's where there is none."""
    return context.config if isinstance(context.config, SqlConfig) else SqlConfig()


@tool(read_only=True, idempotent=True)
def describe_database(*, context: ToolContext) -> DatabaseInfo:
    """Tell which database this is, so whose SQL dialect to write, and the limits of a call.

    Returns:
        Product, version and limits.

    Raises:
        SqlError: As `query` raises.

    Examples:
        >>> describe_database().product
        'SQLite'
    """
    config = configuration(context)
    with opened(config) as call:
        return DatabaseInfo(
            product=call.database.product,
            version=call.work(call.connection.version),
            writable=config.writable,
            max_rows=config.max_rows,
            seconds=config.seconds,
        )


@tool(read_only=True, idempotent=True)
def list_tables(containing: str = "", *, context: ToolContext) -> list[TableSummary]:
    """List the tables and views with the names of their columns. Call this before you write SQL.

    Args:
        containing: Only those with this text in their name or in the name of a column.
        context: Filled by the host.

    Returns:
        The tables and views, those of the default schema first.

    Raises:
        SqlError: As `query` raises.

    Examples:
        >>> for table in list_tables():
        ...     print(table.kind, table.name, table.columns)
        table customers ['id', 'name', 'city', 'since']
        table order_items ['order_id', 'product_id', 'quantity']
        table orders ['id', 'customer_id', 'placed', 'status']
        table products ['id', 'name', 'category', 'price', 'stock']
        view order_totals ['order_id', 'customer', 'placed', 'status', 'total']
    """
    with opened(configuration(context)) as call:
        found = call.work(call.connection.tables)
    word = containing.casefold()
    return [table for table in found if any(word in name.casefold() for name in (table.name, *table.columns))]


@tool(read_only=True, idempotent=True)
def describe_table(name: str, *, context: ToolContext) -> Table:
    """Describe a table or view: columns with types, keys, comments; its rows come from `query`.

    Args:
        name: As `list_tables` gives it.
        context: Filled by the host.

    Returns:
        The table.

    Raises:
        SqlError: As `query` raises; `UnknownTable` where there is none of this name.

    Examples:
        >>> table = describe_table("orders")
        >>> [(column.name, column.type) for column in table.columns]
        [('id', 'INTEGER'), ('customer_id', 'INTEGER'), ('placed', 'DATE'), ('status', 'TEXT')]
        >>> table.foreign_keys
        [ForeignKey(columns=['customer_id'], table='customers', references=['id'])]
    """
    with opened(configuration(context)) as call:
        found = call.work(lambda: call.connection.table(name))
        if found is None:
            names = [table.name for table in call.work(call.connection.tables)]
            hint = nearest(name, names) or f"; there are {', '.join(names[:20]) or 'none'}"
            raise UnknownTable(f"no table or view is named {name!r}{hint}")
    return found


@tool(read_only=True, idempotent=True)
def query(
    sql: str,
    params: dict[str, Parameter] | None = None,
    limit: Annotated[int, Field(ge=1)] | None = None,
    *,
    context: ToolContext,
) -> Result:
    """Run one SQL query and get its rows as dictionaries.

    Args:
        sql: One SELECT, with values as named parameters: `WHERE city = :city`.
        params: The parameters' values by name: `{"city": "Berlin"}`.
        limit: At most this many rows; never more than the database's configured maximum.
        context: Filled by the host.

    Returns:
        The rows; `truncated` tells whether there are more.

    Raises:
        SqlError: Base of the errors of this toolkit.
        InvalidSql: The database does not understand the statement, or it is not one statement.
        UnknownTable: There is no such table; the message has the nearest names.
        UnknownColumn: There is no such column; the message has the nearest names.
        WrongParameters: `params` does not fit the statement.
        ReadOnly: The statement would change something.
        NotPermitted: The database refuses it.
        QueryFailed: It went wrong while it ran, for example by a value too large.
        QueryTimeout: It was stopped at the time limit.
        ConnectionFailed: The database cannot be reached.

    Examples:
        >>> query("SELECT name, stock FROM products WHERE stock > :least", {"least": 200}).rows
        [{'name': 'Notebook', 'stock': 400}, {'name': 'Envelope, 50', 'stock': 210}]
        >>> result = query("SELECT price FROM products ORDER BY price DESC", limit=2)
        >>> [row["price"] for row in result.rows], result.truncated
        ([Decimal('45.00'), Decimal('24.00')], True)
    """
    config = configuration(context)
    most = min(limit or config.max_rows, config.max_rows)
    rows: list[Row] = []
    size, note = 0, None
    with opened(config, sql, params) as call:
        cursor = call.start()
        for row, weight in call.rows(cursor, most):
            size += weight
            if len(rows) == most:
                note = f"only the first {most} rows; aggregate in SQL, add LIMIT and OFFSET, or use stream_batches"
                break
            if size > config.max_bytes:
                note = f"only the first {config.max_mb:g} MB; select fewer columns or rows, or use stream_batches"
                break
            rows.append(row)
    names = distinct(cursor.names)
    return Result(columns=kinds_of(names, rows), rows=rows, truncated=note is not None, note=note)


@tool(read_only=True, idempotent=True)
def query_value(sql: str, params: dict[str, Parameter] | None = None, *, context: ToolContext) -> Value:
    """Run one SQL query that gives a single value: a count, a sum, a name.

    Args:
        sql: One SELECT of one column and one row, with values as named parameters: `WHERE city = :city`.
        params: The parameters' values by name.
        context: Filled by the host.

    Returns:
        The value.

    Raises:
        NotOneValue: The query gives several rows or columns, or none.
        SqlError: As `query` raises.

    Examples:
        >>> query_value("SELECT COUNT(*) FROM customers WHERE city = :city", {"city": "Berlin"})
        2
    """
    with opened(configuration(context), sql, params) as call:
        cursor = call.start()
        rows = [row for row, _ in call.rows(cursor, 1)]
    if len(rows) != 1 or len(rows[0]) != 1:
        columns = f"{len(cursor.names)} column{'s' if len(cursor.names) != 1 else ''}"
        count = {0: "no row", 1: "one row"}.get(len(rows), "several rows")
        raise NotOneValue(f"the query gives {count} and {columns}, not one value; use query(...).rows")
    return next(iter(rows[0].values()))


@tool(read_only=True, idempotent=True)
def query_frame(sql: str, params: dict[str, Parameter] | None = None, *, context: ToolContext) -> pd.DataFrame:
    """Run one SQL query and get all its rows as a pandas table, for computations that SQL is bad at.

    Args:
        sql: One SELECT, with values as named parameters: `WHERE city = :city`.
        params: The parameters' values by name.
        context: Filled by the host.

    Returns:
        The table, complete; integers and dates stay what they are beside missing values.

    Raises:
        TooManyRows: There are more rows than one result may have; a table is never silently cut.
        SqlError: As `query` raises.

    Examples:
        >>> frame = query_frame("SELECT category, stock FROM products")
        >>> frame.groupby("category")["stock"].sum().to_dict()
        {'office': 12, 'paper': 690, 'pens': 215}
    """
    config = configuration(context)
    rows: list[Row] = []
    size = 0
    with opened(config, sql, params) as call:
        cursor = call.start()
        for row, weight in call.rows(cursor, config.max_rows):
            rows.append(row)
            size += weight
            if len(rows) > config.max_rows or size > config.max_bytes:
                raise TooManyRows(
                    f"the query gives more than {config.max_rows} rows or {config.max_mb:g} MB; aggregate in SQL, "
                    f"select less, or take the rows in parts with stream_batches"
                )
    return frame_of(distinct(cursor.names), rows)


@tool(read_only=True, idempotent=True)
def stream_batches(
    sql: str,
    params: dict[str, Parameter] | None = None,
    size: Annotated[int, Field(ge=1, le=10_000)] = 500,
    *,
    context: ToolContext,
) -> Iterator[list[dict[str, Value]]]:
    """Run one SQL query and get its rows in batches, however many there are. Leave the loop to stop the query.

    Args:
        sql: One SELECT, with values as named parameters: `WHERE city = :city`.
        params: The parameters' values by name.
        size: Rows in a batch; batches of large rows are smaller.
        context: Filled by the host.

    Returns:
        Lists of rows.

    Raises:
        SqlError: As `query` raises.

    Examples:
        >>> sum(row["quantity"] for batch in stream_batches("SELECT quantity FROM order_items") for row in batch)
        168
    """
    config = configuration(context)
    with opened(config, sql, params) as call:
        batch: list[Row] = []
        weight = 0
        for row, each in call.rows(call.start(), None):
            if batch and (len(batch) == size or weight + each > config.max_bytes):
                yield batch
                batch, weight = [], 0
            batch.append(row)
            weight += each
        if batch:
            yield batch


@tool(read_only=True, idempotent=True)
def explain(sql: str, params: dict[str, Parameter] | None = None, *, context: ToolContext) -> Plan:
    """Show how the database would run a query, to see why it is slow; the query does not run.

    Args:
        sql: One SELECT, with values as named parameters: `WHERE city = :city`.
        params: The parameters' values by name.
        context: Filled by the host.

    Returns:
        The plan.

    Raises:
        SqlError: As `query` raises.

    Examples:
        >>> print(explain("SELECT * FROM orders WHERE id = :id", {"id": 7}).text)
        SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)
    """
    with opened(configuration(context), sql, params) as call:
        text = call.work(lambda: call.connection.plan(call.required))
        return Plan(product=call.database.product, text=text)
