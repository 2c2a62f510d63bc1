"""What a document is read as: a page, a value, a file."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from .errors import NotReadable
from .fetching import Document
from .results import Json, Page, Table
from .tables import read_csv

DEEPEST: Final = 100
"""Levels of a JSON document."""
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_JSON: Final = re.compile(r"application/(?:[\w.+-]+\+)?json|text/json")
_TEXT: Final = re.compile(r"text/[\w.+-]+|application/(?:[\w.+-]+\+)?(?:json|xml|yaml|javascript)")
_SEPARATED: Final = frozenset({"text/csv", "application/csv", "text/tab-separated-values"})
_VAGUE: Final = frozenset({"", "text/plain", "application/octet-stream"})
_NAME: Final = re.compile(r"[^\w.,+ -]+")


def as_page(document: Document) -> Page:
    """A document as a page.

    Raises:
        NotReadable: It is neither HTML nor text.
    """
    kind = document.content_type
    if kind in _HTML or (not kind and b"<html" in document.body[:2000].lower()):
        reading = document.reading
        return Page(
            url=document.url,
            status=document.status,
            title=reading.title,
            text=reading.text,
            language=reading.language,
            published=reading.published,
            description=reading.description,
            content_type=kind or "text/html",
            links=len(reading.links),
            truncated=document.truncated or reading.truncated,
        )
    if (kind and not _TEXT.fullmatch(kind)) or (
        b"\0" in document.body[:2000] and not document.body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    ):
        size = f"more than {len(document.body):,}" if document.truncated else f"{len(document.body):,}"
        raise NotReadable(
            f"{document.url} is no page but a file of type {kind or 'unknown'} with {size} bytes; get it by download()"
        )
    return Page(
        url=document.url,
        status=document.status,
        title="",
        text=document.text,
        content_type=kind or "text/plain",
        truncated=document.truncated,
    )


def as_tables(document: Document) -> list[Table]:
    """The tables of a document: those of HTML, or the one that a CSV file is.

    Raises:
        NotReadable: It is neither, or no valid CSV.
    """
    kind = document.content_type
    ending = str(document.target.url.path).rpartition(".")[2].lower()
    if kind not in _SEPARATED and not (kind in _VAGUE and ending in ("csv", "tsv")):
        return list(as_html(document).reading.tables)
    text = document.text
    if document.truncated:
        text = text[: text.rfind("\n") + 1]
    delimiter = "\t" if "tab" in kind or ending == "tsv" else ","
    try:
        return [read_csv(text, delimiter=delimiter, truncated=document.truncated)]
    except csv.Error as error:
        raise NotReadable(f"{document.url} is no valid CSV: {error}; get it with download()") from error


def as_html(document: Document) -> Document:
    """The document, where it is HTML.

    Raises:
        NotReadable: It is not.
    """
    kind = document.content_type
    if kind in _HTML or (not kind and b"<html" in document.body[:2000].lower()):
        return document
    other = "fetch_json()" if _JSON.fullmatch(kind) else "download()"
    raise NotReadable(f"{document.url} is {kind or 'of no type'}, not HTML; get it with {other}")


def as_json(document: Document) -> Json:
    """A document as a value.

    Raises:
        NotReadable: It is no JSON; ``NaN`` and its like are none either.
    """

    def refuse(constant: str) -> float:
        raise ValueError(constant)

    plain = document.body.startswith((b"{", b"["))
    source = document.body.decode("utf-8", errors="replace") if plain else document.text.removeprefix("\ufeff")
    try:
        value: Json = json.loads(source, parse_constant=refuse)
        _check_depth(value)
    except (ValueError, RecursionError) as error:
        kind = document.content_type or "of no type"
        raise NotReadable(f"{document.url} is {kind}, not JSON; read pages with fetch()") from error
    return value


def _check_depth(value: Json) -> None:
    """Refuse what is too deep to be handed on.

    Raises:
        ValueError: It is.
    """
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError("too deep")


def file_name(document: Document) -> str:
    """A plain file name: what the server says, else the end of the address."""
    header = document.headers.get("Content-Disposition", "")
    said = re.search(r"filename\s*=\s*\"?([^\";]+)", header, re.IGNORECASE)
    path = unquote(str(document.target.url.path))
    return _plain_name((said[1] if said else "", path)) or "download"


def _plain_name(candidates: Iterable[str]) -> str:
    """The first that has something left without its folders.

    >>> _plain_name(["../../etc/", "a/b%.csv"])
    'b_.csv'
    """
    names = (_NAME.sub("_", each.replace("\\", "/").rpartition("/")[2]).strip(" .")[:150] for each in candidates)
    return next((name for name in names if name), "")
