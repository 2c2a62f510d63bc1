"""Tables in files, as frames of pandas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import pandas as pd
from pydantic import Field

from codeact_tools import ToolContext, tool

from .access import MIB, Access
from .config import nearest
from .errors import (  # noqa: F401 - docstrings name them
    AlreadyExists,
    FilesError,
    InvalidTable,
    NotAllowed,
    NotFound,
    NotText,
    OutsideRoots,
    TooLarge,
    WrongKind,
)
from .formats import Loaded, Source, dump, format_of, load
from .writing import Written, write_bytes

__all__ = ["Column", "TableInfo", "read_table", "table_info", "write_table"]

Cell = str | int | float | bool | Decimal | date | datetime | None
"""What a row may hold."""

_UNPACKED = 4
"""How many times a file's largest size what it holds may take."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table, with its pandas type."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class TableInfo:
    """What a table looks like; `sheets` are those of its workbook."""

    rows: int
    columns: list[Column]
    sheets: list[str]


@tool(read_only=True, idempotent=True)
def table_info(path: str, sheet: str | None = None, context: ToolContext | None = None) -> TableInfo:
    """Tell the columns and the number of rows of a table.

    Args:
        path: Path of a .csv, .tsv, .json, .jsonl, .parquet or .xlsx file.
        sheet: Of a workbook; None: the first one.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        The columns and the number of rows.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        InvalidTable: It is no table of its format, or has no such sheet or column.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotText: It is binary, or text in another encoding.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> [column.name for column in table_info("sales.csv").columns]
        ['date', 'region', 'product', 'units', 'amount']
    """
    loaded = _load(Access.of(context), path, sheet, 0, 1000)
    types = loaded.frame.dtypes.astype(str)
    columns = [Column(name=str(name), type=kind) for name, kind in zip(loaded.frame.columns, types, strict=True)]
    return TableInfo(rows=loaded.rows, columns=columns, sheets=list(loaded.sheets))


@tool(read_only=True, idempotent=True)
def read_table(
    path: str,
    columns: list[str] | None = None,
    sheet: str | None = None,
    offset: Annotated[int, Field(ge=0)] = 0,
    limit: Annotated[int, Field(ge=1)] | None = None,
    context: ToolContext | None = None,
) -> pd.DataFrame:
    """Read a table.

    Args:
        path: Path of a .csv, .tsv, .json, .jsonl, .parquet or .xlsx file.
        columns: Which columns; None: all of them.
        sheet: Of a workbook; None: the first one.
        offset: How many rows to leave out at the start.
        limit: At most this many rows; None: all of them, and an error if they are too many for one call.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        The rows.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        InvalidTable: It is no table of its format, or has no such sheet or column.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotText: It is binary, or text in another encoding.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> sales = read_table("sales.csv")
        >>> sum(sales["units"])
        29
    """
    access = Access.of(context)
    most = access.config.rows
    loaded = _load(access, path, sheet, offset, min(limit or most + 1, most + 1))
    if len(loaded.frame) > most:
        raise TooLarge(f"{path!r} has {loaded.rows:,} rows; read at most {most:,} at a time with offset and limit")
    names = {str(name): name for name in loaded.frame.columns}
    for name in columns or ():
        if name not in names:
            hint = nearest(name, names)
            raise InvalidTable(f"{path!r} has no column {name!r}{hint}; its columns: {', '.join(map(repr, names))}")
    return loaded.frame if columns is None else loaded.frame[[names[name] for name in columns]]


@tool(destructive=True, idempotent=True)
def write_table(
    path: str,
    table: pd.DataFrame | list[dict[str, Cell]],
    overwrite: bool = False,
    sheet: Annotated[str, Field(pattern=r"^[^\[\]:*?/\\]{1,31}$")] = "Sheet1",
    escape_formulas: bool = False,
    context: ToolContext | None = None,
) -> Written:
    """Write a table in the format of its name's ending; missing folders are made.

    Args:
        path: Path of a .csv, .tsv, .json, .jsonl, .parquet or .xlsx file.
        table: A DataFrame, or rows as dictionaries; an index is written as a column if it has a name.
        overwrite: Whether it may replace a file.
        sheet: Name of the sheet in a new workbook.
        escape_formulas: In .csv and .tsv, put ' before text that a spreadsheet would take for a formula.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        What was written.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        AlreadyExists: There is something of this name already.
        InvalidTable: It is no table of its format, or has no such sheet or column.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> write_table("totals.csv", [{"region": "North", "units": 6}, {"region": "South", "units": 7}])
        Written(path='totals.csv', size=29, new=True)
    """
    content = dump(table, path, sheet=sheet, escape_formulas=escape_formulas)
    return write_bytes(Access.of(context), path, content, overwrite=overwrite)


def _load(access: Access, path: str, sheet: str | None, offset: int, most: int) -> Loaded:
    if format_of(path) != "xlsx" and sheet is not None:
        raise InvalidTable(f"{path!r} has no sheets; leave sheet out")
    content = access.whole(path)
    return load(Source(path, content, sheet, offset, most, access.config.file_mb * MIB * _UNPACKED))
