"""Markdown of a rendered page, for pages whose source is filled in by other plugins, such as an API reference."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from typing_extensions import override

from .markdown import fence

_VOID: Final = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_UNREAD: Final = frozenset({"button", "nav", "script", "style", "svg", "label", "input"})
_BLOCKS: Final = frozenset(
    {"p", "div", "section", "details", "summary", "dl", "dd", "ul", "ol", "table", "thead", "tbody"}
)
_TIGHT: Final = ("- ", "| ")
"""Beginnings of blocks that stand together: items of a list, rows of a table."""
_HEADING: Final = re.compile(r"h([1-6])")


def markdown_of(html: str) -> str:
    """What a reader sees of a page, as Markdown: headings, paragraphs, lists, tables and code; links lose their target.

    >>> markdown_of('<h2>Limits<a class="headerlink">¶</a></h2><p>At most <code>3</code>.</p><pre>x = 1</pre>')
    '## Limits\\n\\nAt most `3`.\\n\\n```\\nx = 1\\n```\\n'
    """
    writer = _Writer()
    writer.feed(html)
    writer.close()
    return writer.text()


class _Writer(HTMLParser):
    """Collects blocks of Markdown while it reads."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[str] = []
        self._open: list[str] = []
        """What is being written: pieces of the current block."""
        self._unread = 0
        """How many elements that nobody reads are open."""
        self._stack: list[bool] = []
        """Of each open element, whether nobody reads it."""
        self._code: list[str] | None = None
        """Pieces of the current block of code."""

    def text(self) -> str:
        """Everything so far."""
        self._end()
        lines: list[str] = []
        for before, block in zip(["", *self._blocks], self._blocks, strict=False):
            kind = block[:2] if block[:2] in _TIGHT else ""
            if kind and before.startswith(kind):
                lines.append(block)
                continue
            lines += ["", block]
            if kind == "| ":
                lines.append("|" + " --- |" * (block.count(" |")))
        return "\n".join(lines[1:]) + "\n"

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            if tag == "br" and not self._unread:
                self._open.append(" ")
            return
        unread = tag in _UNREAD or "headerlink" in (dict(attrs).get("class") or "")
        self._stack.append(unread)
        self._unread += unread
        if self._unread:
            return
        if tag == "pre":
            self._end()
            self._code = []
        elif tag == "code" and self._code is None:
            self._open.append("`")
        elif heading := _HEADING.fullmatch(tag):
            self._end()
            self._open.append("#" * int(heading[1]) + " ")
        elif tag in ("li", "dt", "tr"):
            self._end()
            self._open.append("| " if tag == "tr" else "- ")
        elif tag in _BLOCKS and not self._in_item():
            self._end()

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or not self._stack:
            return
        was_unread = self._unread > 0
        self._unread -= self._stack.pop()
        if was_unread:
            return
        if tag == "pre" and self._code is not None:
            code, self._code = "".join(self._code), None
            self._blocks.append(fence(code))
        elif tag == "code" and self._code is None:
            self._open.append("`")
        elif tag in ("td", "th"):
            self._open.append(" | ")
        elif tag in ("li", "dt", "tr") or _HEADING.fullmatch(tag) or (tag in _BLOCKS and not self._in_item()):
            self._end()

    @override
    def handle_data(self, data: str) -> None:
        if self._unread:
            return
        if self._code is not None:
            self._code.append(data)
        else:
            self._open.append(data.replace("|", "\\|") if self._open[:1] == ["| "] else data)

    def _in_item(self) -> bool:
        """Whether a list item or a table's row is being written, whose paragraphs are no blocks of their own."""
        return bool(self._open) and self._open[0] in ("- ", "| ")

    def _end(self) -> None:
        text = " ".join("".join(self._open).replace("``", "").split())
        self._open = []
        if text.strip("-|# "):
            self._blocks.append(text)
