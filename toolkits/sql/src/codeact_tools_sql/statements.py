"""A statement with named parameters, and how each driver wants to read it.

A parameter is written ``:name``. Its value never becomes a part of the statement's text: every database gets the text
and the values apart. Where a colon means something else (in a literal, an identifier, a comment, a cast) it stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import InvalidSql, WrongParameters, nearest

Mark = Callable[[str, int], str]
"""Writes a parameter as a driver reads it, from its name and the 1-based place of the name among the names."""

MAX_CHARACTERS: Final = 100_000
"""Of a statement."""

_TOKEN: Final = re.compile(
    r"""
      (?P<escaped>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))   # E'..' of PostgreSQL, with backslashes
    | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | `(?:[^`]|``)*(?:`|\Z)
    | --[^\n]*
    | (?P<comment>/\*)
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$(?s:.*?)(?:\$(?P=tag)\$|\Z)   # $tag$..$tag$ of PostgreSQL and DuckDB
    | ::+
    | (?<![\w'"`)\]$]):(?P<name>[^\W\d]\w*)
    """,
    re.VERBOSE,
)
_COMMENT: Final = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as the model wrote it, and the values of its parameters.

    >>> statement = Statement.parse("SELECT * FROM t WHERE a = :a AND b <> ':b'", {"a": 1})
    >>> statement.names
    ('a',)
    >>> statement.text(lambda name, place: f"${place}")
    "SELECT * FROM t WHERE a = $1 AND b <> ':b'"
    """

    source: str
    pieces: tuple[str, ...]
    """Text, name, text, name, …, text."""
    values: Mapping[str, Any]

    @classmethod
    def parse(cls, source: str, values: Mapping[str, Any] | None, *, nested_comments: bool = True) -> Statement:
        """Find the parameters, and compare their names with those that have values.

        Args:
            source: The statement.
            values: The parameters' values by name.
            nested_comments: Whether the database takes a comment within a comment for one of its own.

        Raises:
            InvalidSql: It is empty, too long, or holds a NUL character, at which some drivers cut it off.
            WrongParameters: A name has no value, or a value has no name in the statement.
        """
        if not source.strip():
            raise InvalidSql("the statement is empty; write one SQL statement")
        if len(source) > MAX_CHARACTERS:
            raise InvalidSql(f"the statement is longer than {MAX_CHARACTERS:,} characters; pass long values in params")
        if "\0" in source:
            raise InvalidSql("the statement holds a NUL character; leave it out")
        statement = cls(source, tuple(_split(source, nested_comments)), dict(values or {}))
        statement._compare_names()
        return statement

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters, each once, in the order in which they first appear."""
        return tuple(dict.fromkeys(self.pieces[1::2]))

    def text(self, mark: Mark) -> str:
        """The statement as a driver reads it."""
        return "".join(self._rendered(mark))

    def in_order(self, adapt: Callable[[Any], Any]) -> list[Any]:
        """The values in the order of `names`."""
        return [adapt(self.values[name]) for name in self.names]

    def place(self, offset: int, mark: Mark) -> int:
        """Where a character of `text` stands in the source, both from 0."""
        sent = source = 0
        for index, rendered in enumerate(self._rendered(mark)):
            original = len(self.pieces[index]) + index % 2  # a name is written with its colon
            if offset < sent + len(rendered):
                return source if index % 2 else source + offset - sent
            sent, source = sent + len(rendered), source + original
        return source

    def _rendered(self, mark: Mark) -> list[str]:
        places = {name: place for place, name in enumerate(self.names, 1)}
        return [mark(piece, places[piece]) if index % 2 else piece for index, piece in enumerate(self.pieces)]

    def _compare_names(self) -> None:
        names = self.names
        for name in names:
            if name not in self.values:
                hint = nearest(name, [each for each in self.values if each not in names])
                raise WrongParameters(
                    f"the statement has the parameter :{name}, but params has no {name!r}{hint}"
                    f"{'' if hint else f'; call with params={{{name!r}: ...}}'}"
                )
        for name in self.values:
            if name not in names:
                known = (
                    f"it has {', '.join(f':{each}' for each in names)}" if names else f"write :{name}, without quotes"
                )
                raise WrongParameters(f"params has {name!r}, but the statement has no parameter :{name}; {known}")


def _split(source: str, nested_comments: bool) -> list[str]:
    pieces: list[str] = []
    taken = position = 0
    while match := _TOKEN.search(source, position):
        position = match.end()
        if match["comment"]:
            position = _end_of_comment(source, position, nested_comments)
        elif match["name"]:
            pieces += [source[taken : match.start()], match["name"]]
            taken = position
    return [*pieces, source[taken:]]


def _end_of_comment(source: str, position: int, nested: bool) -> int:
    depth = 1
    while depth and (mark := _COMMENT.search(source, position)):
        position = mark.end()
        if mark[0] == "*/":
            depth -= 1
        elif nested:
            depth += 1
    return len(source) if depth else position
