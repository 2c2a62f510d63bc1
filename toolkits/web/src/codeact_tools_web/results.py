"""What the web's tools return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from typing_extensions import TypeAliasType

Json = TypeAliasType("Json", Any)
"""What a JSON document can be: a dictionary, a list, text, a number, True, False or None, one inside of another.

It is not spelt out as a union, because a check of types would then refuse ``data["items"][0]``.
"""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A web page as text: ``url`` is where redirects ended, ``truncated`` whether its end is missing."""

    url: str
    status: int
    title: str
    text: str
    language: str | None = None
    published: date | None = None
    description: str = ""
    content_type: str = "text/html"
    links: int = 0
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page below a heading; ``level`` 1 to 6, and 0 for what stands before the first heading."""

    heading: str
    level: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link of a page: its text, and the whole address that it leads to."""

    text: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; each row has a text for each of ``columns``, and ``truncated`` tells whether rows are missing."""

    caption: str
    columns: list[str]
    rows: list[dict[str, str]]
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file as bytes, with the name that its address or its server gives it."""

    url: str
    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What became of one of several addresses: a ``page``, or None and the ``error``."""

    url: str
    page: Page | None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class SearchHit:
    """A page that a search engine found."""

    title: str
    url: str
    snippet: str = ""
    published: date | None = None
