"""Workbooks of Excel, through openpyxl: values, never formulas, and no more cells than fit."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from .config import nearest
from .errors import InvalidTable, TooLarge

MOST_CELLS = 5_000_000


def read_sheet(content: io.BytesIO, path: str, name: str | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read one sheet, whose first filled row holds the names of the columns; formulas give the value stored with them.

    Raises:
        InvalidTable: There is no such sheet.
        TooLarge: It has too many cells.
    """
    openpyxl = importlib.import_module("openpyxl")
    book = openpyxl.load_workbook(content, read_only=True, data_only=True, keep_links=False)
    try:
        sheets = {each.title: each for each in book.worksheets}
        if name is not None and name not in sheets:
            raise InvalidTable(
                f"{path!r} has no sheet {name!r}{nearest(name, sheets)}; its sheets: {', '.join(map(repr, sheets))}"
            )
        if not sheets:
            raise InvalidTable(f"{path!r} has no sheet with cells")
        sheet = sheets[name] if name is not None else next(iter(sheets.values()))
        sheet.reset_dimensions()  # what the file says about its size may be wrong
        return _frame(_rows(sheet.iter_rows(values_only=True), path)), tuple(sheets)
    finally:
        book.close()


def write_sheet(frame: pd.DataFrame, out: io.BytesIO, name: str) -> None:
    """Write a workbook of one sheet; text that begins with ``=`` stays text."""
    with pd.ExcelWriter(out, engine="openpyxl") as writer:
        frame.to_excel(writer, sheet_name=name, index=False)
        for row in writer.sheets[name].iter_rows():
            for cell in row:
                if cell.data_type == "f":
                    cell.data_type = "s"


def _rows(source: Iterable[Sequence[Any]], path: str) -> list[Sequence[Any]]:
    """The rows up to the last one that is filled."""
    rows: list[Sequence[Any]] = []
    gap = cells = 0
    for row in source:
        if all(each is None for each in row):
            gap += 1
            continue
        if rows:
            rows += [()] * gap
        gap = 0
        rows.append(row)
        cells = max(map(len, (row, rows[0]))) * len(rows) if len(rows) % 1000 == 0 else cells + len(row)
        if cells > MOST_CELLS or len(rows) > MOST_CELLS:
            raise TooLarge(f"{path!r} has a sheet of more than {MOST_CELLS:,} cells")
    return rows


def _frame(rows: list[Sequence[Any]]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame()
    width = max(map(len, rows))
    if width * len(rows) > MOST_CELLS:
        raise TooLarge(f"a sheet has {len(rows):,} rows and {width:,} columns: more than {MOST_CELLS:,} cells")
    head = [*rows[0], *([None] * (width - len(rows[0])))]
    columns = [[row[place] if place < len(row) else None for row in rows[1:]] for place in range(width)]
    kept = [place for place in range(width) if head[place] is not None or any(v is not None for v in columns[place])]
    frame = pd.DataFrame({place: columns[place] for place in kept})
    frame.columns = pd.Index(_distinct([head[place] for place in kept]))
    return frame


def _distinct(names: Sequence[Any]) -> list[str]:
    """Names as text, each once: ``total``, ``total.1``; ``column 3`` for what has none.

    >>> _distinct(["total", "total", None])
    ['total', 'total.1', 'column 3']
    """
    found: list[str] = []
    for place, name in enumerate(names, 1):
        text = f"column {place}" if name is None else str(name)
        again = sum(each == text or each.startswith(f"{text}.") for each in found)
        found.append(f"{text}.{again}" if text in found else text)
    return found
