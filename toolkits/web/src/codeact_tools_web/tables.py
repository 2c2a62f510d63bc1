"""Tables of a page as rows of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml.html import HtmlElement

from .results import Table

MOST_CELLS: Final = 50_000
"""Of one table, with those that spans repeat; the rest is left out."""
WIDEST: Final = 200
"""Columns of one table."""


def read_tables(tree: HtmlElement) -> Iterator[Table]:
    """Yield the tables that hold data, those inside of others too: at least one row below the header, and two columns.

    >>> from lxml.html import fromstring
    >>> tree = fromstring("<table><tr><th>Day<th>Tide<tr><td rowspan=2>1<td>05:40<tr><td>18:00</table>")
    >>> next(read_tables(tree)).rows
    [['1', '05:40'], ['1', '18:00']]
    """
    for each in tree.iter("table"):
        rows, headings = _rows(each)
        width = max(map(len, rows), default=0)
        if len(rows) < 2 or width < 2:
            continue
        rows = [row + [""] * (width - len(row)) for row in rows]
        header, body = (rows[0], rows[1:]) if headings else ([f"column {n + 1}" for n in range(width)], rows)
        yield Table(caption=_text(each.find("caption")), header=header, rows=body)


def _rows(table: HtmlElement) -> tuple[list[list[str]], bool]:
    """The rows, and whether the first one holds headings."""
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
            break
        if row:
            rows.append(row)
    return rows, headings


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
