"""Pieces of Markdown that every renderer understands."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


def code(text: str) -> str:
    """Inline code, also where it stands in a table and holds ``|``, or holds backticks.

    >>> code("int"), code("int | None")
    ('`int`', '<code>int &#124; None</code>')
    """
    if "|" not in text and "`" not in text:
        return f"`{text}`"
    return f"<code>{html.escape(text, quote=False).replace('|', '&#124;').replace('`', '&#96;')}</code>"


def cell(text: str) -> str:
    """Text for a table: one line, with pipes that do not end the cell."""
    return " ".join(text.split()).replace("|", "&#124;")


def fence(text: str, language: str = "") -> str:
    """A block of code whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    ticks = "`" * (longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty where there are no rows. Cells are Markdown already."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'|'.join(' --- ' for _ in head)}|", *lines]) if lines else ""


def folded(summary: str, body: str) -> str:
    """A block that opens on a click."""
    return f'<details markdown="1">\n<summary>{html.escape(summary)}</summary>\n\n{body}\n\n</details>'


def document(*parts: str) -> str:
    """Blocks with one empty line between them; empty ones are left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def section(title: str, *parts: str) -> str:
    """A heading with what belongs to it; nothing where nothing belongs to it."""
    body = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    return f"## {title}\n\n{body}" if body else ""
