"""The one tool that writes; it does so only where the configuration allows it."""

from __future__ import annotations

from codeact_tools import ToolContext, tool

from .errors import ReadOnly, SqlError  # noqa: F401 - the registry looks up here what the docstring names
from .querying import configuration
from .reading import opened
from .results import Change
from .values import Parameter, Row


@tool(destructive=True, approval=True)
def execute(sql: str, params: dict[str, Parameter] | None = None, *, context: ToolContext) -> Change:
    """Run one statement that changes the database, in a transaction: all of it happens, or nothing.

    Each call needs approval, and works only where the application has made the database writable.

    Args:
        sql: One INSERT, UPDATE, DELETE or other statement, with values as named parameters: `SET city = :city`.
        params: The parameters' values by name: `{"city": "Berlin"}`.
        context: Filled by the host.

    Returns:
        How many rows it has changed, and the rows of a RETURNING clause.

    Raises:
        ReadOnly: The database is not writable here.
        SqlError: As `query` raises; nothing is changed then.

    Examples:
        >>> execute("UPDATE products SET stock = stock + :more WHERE id = :id", {"more": 20, "id": 7})
        Traceback (most recent call last):
            ...
        ReadOnly: the database is not writable: the application's configuration allows queries only...
    """
    config = configuration(context)
    if not config.writable:
        raise ReadOnly(
            "the database is not writable: the application's configuration allows queries only (its operator may set "
            "CODEACT_SQL_WRITABLE); say what you would have changed instead"
        )
    with opened(config, sql, params, writing=True) as call:
        cursor = call.start()
        rows: list[Row] = []
        count = size = 0
        for row, weight in call.rows(cursor, None) if cursor.names else ():
            count, size = count + 1, size + weight
            if count <= config.max_rows and size <= config.max_bytes:
                rows.append(row)
        call.work(call.connection.commit)
    affected = max(cursor.affected, count)
    return Change(affected=affected if cursor.names or cursor.affected >= 0 else None, rows=rows)
