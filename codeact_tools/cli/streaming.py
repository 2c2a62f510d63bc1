"""Splits a reply, while it is being written, into prose and code, so that a terminal can show each as what it is.

This is for the eye only: what runs is decided by the dialect's parser, on the whole reply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

EXECUTE = {"<execute>": "</execute", "```python": "```", "```py\n": "```"}
"""Forms of an action that any dialect reads: what opens it, and what closes it (a model may forget the last ``>``)."""


class Piece(NamedTuple):
    """A part of a reply: prose as it comes, code in whole lines, without its newline."""

    kind: Literal["prose", "code"]
    text: str


class ReplySplitter:
    """Takes a reply in deltas and gives it back as pieces.

    >>> splitter = ReplySplitter()
    >>> [*splitter.feed("I count.\\n<exe"), *splitter.feed("cute>\\nprint(1)\\n</execute>"), *splitter.finish()]
    [Piece(kind='prose', text='I count.\\n'), Piece(kind='code', text='print(1)')]

    Args:
        forms: More forms of an action, opening text to closing text, besides `EXECUTE`.
    """

    def __init__(self, forms: Mapping[str, str] | None = None) -> None:
        self._forms = {**(forms or {}), **EXECUTE}
        self._close: str | None = None
        self._waiting = ""
        self._begun = False
        self._unclosed = False

    def feed(self, text: str) -> Iterator[Piece]:
        """Yield what is certain after ``text``; the start of a tag is kept back until it is complete."""
        self._waiting += text
        while True:
            before = (self._close, self._waiting)
            yield from self._code() if self._close else self._prose()
            if before == (self._close, self._waiting):
                return

    def finish(self) -> Iterator[Piece]:
        """Yield what was kept back; the reply is complete."""
        rest, self._waiting = self._waiting, ""
        if self._close is None:
            if rest:
                yield Piece("prose", rest)
        else:
            yield from self._lines(rest.rstrip())
        self._close = None
        self._unclosed = False

    def _prose(self) -> Iterator[Piece]:
        if self._unclosed and self._waiting:
            self._waiting = self._waiting.removeprefix(">")
            self._unclosed = False
        found = [(at, opening) for opening in self._forms if (at := self._waiting.find(opening)) >= 0]
        if found:
            at, opening = min(found)
            prose, self._waiting = self._waiting[:at], self._waiting[at + len(opening) :]
            self._close = self._forms[opening]
            self._begun = False
        else:
            keep = max(_overlap(self._waiting, opening) for opening in self._forms)
            at = len(self._waiting) - keep
            prose, self._waiting = self._waiting[:at], self._waiting[at:]
        if prose:
            yield Piece("prose", prose)

    def _code(self) -> Iterator[Piece]:
        closing = self._close or ""
        code, found, rest = self._waiting.partition(closing)
        if found:
            self._waiting = rest
            self._unclosed = closing.startswith("</")
            self._close = None
            yield from self._lines(code.rstrip())
        elif "\n" in code:
            lines, _, self._waiting = code.rpartition("\n")
            yield from self._lines(lines + "\n")

    def _lines(self, code: str) -> Iterator[Piece]:
        """Yield the lines of an action, without fences inside it and without empty lines at its start."""
        for line in code.splitlines():
            self._begun = self._begun or bool(line.strip())
            if self._begun and not line.lstrip().startswith("```"):
                yield Piece("code", line)


def _overlap(text: str, opening: str) -> int:
    """Return how many characters at the end of ``text`` may be the start of ``opening``."""
    return next(
        (size for size in range(min(len(text), len(opening) - 1), 0, -1) if opening.startswith(text[-size:])), 0
    )
