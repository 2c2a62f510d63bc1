"""The toolkit ``sql``: a database's schema and rows, read-only by the database's own means."""

from __future__ import annotations

from codeact_tools import Toolkit

from .changing import execute
from .config import SqlConfig
from .demonstrations import DEMONSTRATIONS
from .errors import (
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
)
from .querying import (
    describe_database,
    describe_table,
    explain,
    list_tables,
    query,
    query_frame,
    query_value,
    stream_batches,
)
from .results import Change, DatabaseInfo, Plan, Result
from .schema import Column, ForeignKey, Table, TableSummary

__all__ = [
    "Change",
    "Column",
    "ConnectionFailed",
    "DatabaseInfo",
    "ForeignKey",
    "InvalidSql",
    "NotOneValue",
    "NotPermitted",
    "Plan",
    "QueryFailed",
    "QueryTimeout",
    "ReadOnly",
    "Result",
    "SqlConfig",
    "SqlError",
    "Table",
    "TableSummary",
    "TooManyRows",
    "UnknownColumn",
    "UnknownTable",
    "WrongParameters",
    "describe_database",
    "describe_table",
    "execute",
    "explain",
    "list_tables",
    "query",
    "query_frame",
    "query_value",
    "stream_batches",
    "toolkit",
]

toolkit = Toolkit(
    "sql",
    tools=[
        list_tables,
        describe_table,
        query,
        query_value,
        query_frame,
        stream_batches,
        explain,
        describe_database,
        execute,
    ],
    version="0.1.0",
    summary="A database's schema and rows: parameterised queries, read-only by the database's own means.",
    demonstrations=DEMONSTRATIONS,
    config=SqlConfig,
    instructions="Answers come from SQL: query_value(sql) gives one value, query(sql).rows a list of dictionaries. "
    "Databases differ: look at list_tables() first, then run one SELECT that joins, filters and aggregates. "
    "Values go into params, never into the text of a statement.",
    packages=["pandas"],
    hosts=["*"],
)
"""What the entry point ``sql`` names."""
