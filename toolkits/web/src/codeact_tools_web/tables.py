"""Tables of a page, or of a CSV file, as rows of text by the names of their columns."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from typing import Final

from lxml.html import HtmlElement

from .results import Table

MOST_CELLS: Final = 50_000
"""Of one table, with those that spans repeat and those that short rows lack; the rest is left out."""
WIDEST: Final = 200
"""Columns of one table."""


def read_tables(tree: HtmlElement) -> Iterator[Table]:
    """Yield the tables that hold data, those inside of others too: at least one row below the header, and two columns.

    >>> from lxml.html import fromstring
    >>> tree = fromstring("<table><tr><th>Day<th>Tide<tr><td rowspan=2>1<td>05:40<tr><td>18:00</table>")
    >>> next(read_tables(tree)).rows
    [{'Day': '1', 'Tide': '05:40'}, {'Day': '1', 'Tide': '18:00'}]
    """
    for each in tree.iter("table"):
        rows, headings, truncated = _rows(each)
        if len(rows) >= 2 and max(map(len, rows)) >= 2:
            yield _table(rows, headings=headings, truncated=truncated, caption=_text(each.find("caption")))


def read_csv(text: str, *, delimiter: str = ",", truncated: bool = False) -> Table:
    """Read values that are separated by commas (RFC 4180) or by tabs, below a line with the names of the columns.

    >>> read_csv("day,tide\\n1,05:40\\n").rows
    [{'day': '1', 'tide': '05:40'}]

    Raises:
        csv.Error: A quote is never closed, or a value is longer than `csv.field_size_limit`.
    """
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    cells = 0
    for row in lines:
        cells += len(row)
        if cells > MOST_CELLS:
            truncated = True
            break
        if row:
            rows.append([cell.strip() for cell in row[:WIDEST]])
    return _table(rows, headings=True, truncated=truncated)


def _table(rows: list[list[str]], *, headings: bool, truncated: bool, caption: str = "") -> Table:
    width = max(map(len, rows), default=0)
    head = rows[0] if headings and rows else []
    most = MOST_CELLS // max(width, 1)
    truncated, rows = truncated or len(rows) > most, rows[:most]
    columns = _unique([*head, *[""] * (width - len(head))])
    body = [dict(zip(columns, [*row, *[""] * (width - len(row))], strict=True)) for row in rows[bool(head) :]]
    return Table(caption=caption, columns=columns, rows=body, truncated=truncated)


def _unique(names: list[str]) -> list[str]:
    """The names, told apart by numbers where one comes twice or is empty.

    >>> _unique(["a", "", "a"])
    ['a', 'column 2', 'a (2)']
    """
    found: list[str] = []
    for number, name in enumerate(names, 1):
        base = name or f"column {number}"
        others = (f"{base} ({again})" for again in itertools.count(2))
        found.append(base if base not in found else next(other for other in others if other not in found))
    return found


def _rows(table: HtmlElement) -> tuple[list[list[str]], bool, bool]:
    """The rows, whether the first one holds headings, and whether some are left out."""
    rows: list[list[str]] = []
    open_spans: dict[int, tuple[int, str]] = {}
    cells = 0
    headings = False
    for element in _own_rows(table):
        row: list[str] = []
        own = [cell for cell in element if cell.tag in ("td", "th")]
        if not rows:
            headings = bool(own) and (all(cell.tag == "th" for cell in own) or element.getparent().tag == "thead")
        for cell in own:
            _continue(row, open_spans)
            text, down = _text(cell), _span(cell, "rowspan")
            for _ in range(min(_span(cell, "colspan"), WIDEST - len(row))):
                if down > 1:
                    open_spans[len(row)] = (down - 1, text)
                row.append(text)
        _continue(row, open_spans)
        cells += len(row)
        if cells > MOST_CELLS:
            return rows, headings, True
        if row:
            rows.append(row)
    return rows, headings, False


def _continue(row: list[str], open_spans: dict[int, tuple[int, str]]) -> None:
    """Repeat what spans from the rows above reach into this place."""
    while (span := open_spans.pop(len(row), None)) is not None:
        left, text = span
        if left > 1:
            open_spans[len(row)] = (left - 1, text)
        row.append(text)


def _own_rows(table: HtmlElement) -> Iterator[HtmlElement]:
    for child in table:
        if child.tag == "tr":
            yield child
        elif child.tag in ("thead", "tbody", "tfoot"):
            yield from (row for row in child if row.tag == "tr")


def _span(cell: HtmlElement, name: str) -> int:
    value = (cell.get(name) or "").strip()
    return max(1, min(int(value), 1000)) if value.isascii() and value.isdecimal() and len(value) < 6 else 1


def _text(element: HtmlElement | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())
