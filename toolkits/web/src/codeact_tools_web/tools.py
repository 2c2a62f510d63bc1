"""The tools of the toolkit ``web``."""

# ruff: noqa: D417 - the context is the host's to fill in, and the model's docs do not name it

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field

from codeact_tools import ToolContext, tool

from . import markup
from .config import WebConfig
from .errors import (
    Blocked,
    HttpError,
    InvalidURL,
    NotReadable,
    RobotsDisallowed,
    SearchUnavailable,
    TimedOut,
    TooLarge,
    Unreachable,
    WebError,
)
from .fetching import Document, Web
from .pages import as_html, as_json, as_page, as_tables, file_name
from .results import Download, Fetched, Json, Link, Page, SearchHit, Section, Table
from .search import search_web

__all__ = [
    "Blocked",
    "HttpError",
    "InvalidURL",
    "NotReadable",
    "RobotsDisallowed",
    "SearchUnavailable",
    "TimedOut",
    "TooLarge",
    "Unreachable",
    "download",
    "fetch",
    "fetch_all",
    "fetch_json",
    "links",
    "search",
    "sections",
    "tables",
]  # fmt: skip

_T = TypeVar("_T")
_STATE: Final = "codeact_tools_web"


@tool(read_only=True, idempotent=True, open_world=True, concurrency=4)
def fetch(url: str, context: ToolContext | None = None) -> Page:
    """Fetch a web page, and return its readable text.

    Args:
        url: The whole address, e.g. "https://example.org/page".

    Returns:
        The page; its text is Markdown without menus and footers.

    Raises:
        InvalidURL: `url` is no address of a web page.
        Blocked: It must not be reached; do not try another spelling.
        RobotsDisallowed: The site asks programs to stay away from it.
        Unreachable: The host is not there, or does not answer.
        TimedOut: It took too long.
        HttpError: The server answered with an error, such as 404.
        NotReadable: It is no text; `download` fetches files.

    Examples:
        >>> page = fetch("https://sample.invalid/tides")
        >>> page.title, page.published
        ('Tides of Samplehaven', datetime.date(2026, 3, 2))
        >>> [line for line in page.text.splitlines() if "2 March" in line]
        ['| 2 March | 06:25 | 3.4 |']
    """
    return as_page(_run(_web(context).get(url)))


@tool(read_only=True, idempotent=True, open_world=True, concurrency=2)
def fetch_all(
    urls: Annotated[list[str], Field(min_length=1, max_length=20)], context: ToolContext | None = None
) -> list[Fetched]:
    """Fetch several web pages at once; one that fails does not stop the others.

    Args:
        urls: Their whole addresses, at most 20.

    Returns:
        What became of each address, in the same order: a page, or an error.

    Examples:
        >>> for each in fetch_all(["https://sample.invalid/fees", "https://sample.invalid/gone"]):
        ...     print(each.page.title if each.page else each.error)
        Fees of Samplehaven
        HttpError: https://sample.invalid/gone answered 404 Not Found: there is no such page; ...
    """
    web = _web(context)

    async def one(url: str, places: asyncio.Semaphore) -> Document | WebError:
        async with places:
            try:
                return await web.get(url)
            except WebError as error:
                return error

    async def together() -> list[Document | WebError]:
        places = asyncio.Semaphore(8)
        return await asyncio.gather(*(one(url, places) for url in urls))

    return [_fetched(url, found) for url, found in zip(urls, _run(together()), strict=True)]


@tool(read_only=True, idempotent=True, open_world=True, concurrency=4)
def sections(url: str, context: ToolContext | None = None) -> list[Section]:
    """Fetch a web page cut at its headings, to read the parts of a long page that matter.

    Args:
        url: The whole address of the page.

    Returns:
        The parts in order.

    Raises:
        InvalidURL: `url` is no address of a web page.
        Blocked: It must not be reached; do not try another spelling.
        RobotsDisallowed: The site asks programs to stay away from it.
        Unreachable: The host is not there, or does not answer.
        TimedOut: It took too long.
        HttpError: The server answered with an error, such as 404.
        NotReadable: It is no text.

    Examples:
        >>> [section.heading for section in sections("https://sample.invalid/")]
        ['Port of Samplehaven', 'Arriving', 'Staying']
    """
    return markup.sections(as_page(_run(_web(context).get(url))).text)


@tool(read_only=True, idempotent=True, open_world=True, concurrency=4)
def links(url: str, containing: str = "", context: ToolContext | None = None) -> list[Link]:
    """List the links of a web page, menus included.

    Args:
        url: The whole address of the page.
        containing: Only links whose text or address holds this, in any case.

    Returns:
        The links in order, each address once; at most 3000.

    Raises:
        InvalidURL: `url` is no address of a web page.
        Blocked: It must not be reached; do not try another spelling.
        RobotsDisallowed: The site asks programs to stay away from it.
        Unreachable: The host is not there, or does not answer.
        TimedOut: It took too long.
        HttpError: The server answered with an error, such as 404.
        NotReadable: It is no HTML.

    Examples:
        >>> links("https://sample.invalid/", containing="tide")
        [Link(text='Tides', url='https://sample.invalid/tides')]
    """
    word = containing.casefold()
    found = as_html(_run(_web(context).get(url))).reading.links
    return [link for link in found if word in link.text.casefold() or word in link.url.casefold()]


@tool(read_only=True, idempotent=True, open_world=True, concurrency=4)
def tables(url: str, context: ToolContext | None = None) -> list[Table]:
    """Read the tables of a web page, or a CSV file, as rows by the names of their columns.

    Args:
        url: The whole address of the page or file.

    Returns:
        The tables in order; cells are text, so convert numbers with float().

    Raises:
        InvalidURL: `url` is no address of a web page.
        Blocked: It must not be reached; do not try another spelling.
        RobotsDisallowed: The site asks programs to stay away from it.
        Unreachable: The host is not there, or does not answer.
        TimedOut: It took too long.
        HttpError: The server answered with an error, such as 404.
        NotReadable: It is neither HTML nor CSV.

    Examples:
        >>> table = tables("https://sample.invalid/fees")[0]
        >>> table.columns
        ['Length of the boat', 'Summer', 'Winter']
        >>> sum(float(row["Summer"]) for row in table.rows)
        90.0
        >>> tables("https://sample.invalid/fees.csv")[0].rows[0]
        {'length': '8', 'summer': '18.00', 'winter': '9.00'}
    """
    return as_tables(_run(_web(context).get(url)))


@tool(read_only=True, idempotent=True, open_world=True, concurrency=4)
def fetch_json(url: str, context: ToolContext | None = None) -> Json:
    """Fetch a JSON document.

    Args:
        url: The whole address.

    Returns:
        The document as dictionaries, lists, text, numbers.

    Raises:
        InvalidURL: `url` is no address of the web.
        Blocked: It must not be reached; do not try another spelling.
        RobotsDisallowed: The site asks programs to stay away from it.
        Unreachable: The host is not there, or does not answer.
        TimedOut: It took too long.
        HttpError: The server answered with an error, such as 404.
        TooLarge: It is larger than allowed.
        NotReadable: It is no JSON; `fetch` reads pages.

    Examples:
        >>> fetch_json("https://sample.invalid/berths.json")["free"]
        [3, 17, 22]
    """
    document = _run(_web(context).get(url, accept="application/json", cut=False))
    return as_json(document)


@tool(read_only=True, idempotent=True, open_world=True, concurrency=2)
def download(url: str, context: ToolContext | None = None) -> Download:
    """Fetch a file of any type as bytes.

    Args:
        url: The whole address.

    Returns:
        The file; `.data.decode()` is its text where it is one.

    Raises:
        InvalidURL: `url` is no address of the web.
        Blocked: It must not be reached; do not try another spelling.
        RobotsDisallowed: The site asks programs to stay away from it.
        Unreachable: The host is not there, or does not answer.
        TimedOut: It took too long.
        HttpError: The server answered with an error, such as 404.
        TooLarge: It is larger than allowed.
        NotReadable: What came is no valid HTTP, or broke off.

    Examples:
        >>> file = download("https://sample.invalid/fees.csv")
        >>> file.name, file.data.decode().splitlines()[0]
        ('fees.csv', 'length,summer,winter')
    """
    web = _web(context)
    document = _run(web.get(url, accept="*/*", cap=web.config.max_download, cut=False))
    return Download(url=document.url, name=file_name(document), content_type=document.content_type, data=document.body)


@tool(read_only=True, open_world=True, concurrency=2)
def search(
    query: Annotated[str, Field(min_length=1, max_length=400)],
    limit: Annotated[int, Field(ge=1, le=20)] = 10,
    context: ToolContext | None = None,
) -> list[SearchHit]:
    """Search the web for pages.

    Args:
        query: A few words, as one would type them into a search engine.
        limit: At most this many.

    Returns:
        What was found, best first; read a page with `fetch(hit.url)`.

    Raises:
        SearchUnavailable: No search engine is set up, or it refuses.

    Examples:
        >>> search("fees for one night", limit=1)[0].url
        'https://sample.invalid/fees'
    """
    return _run(search_web(_web(context), query, limit))


def _web(context: ToolContext | None) -> Web:
    """The web of the session; outside of one, a fresh one with the environment's settings."""
    if context is None:
        return Web(WebConfig())
    web = context.state.get(_STATE)
    if isinstance(web, Web):
        return web
    config: WebConfig = WebConfig() if context.config is None else context.config
    made: Web = context.state.setdefault(_STATE, Web(config))
    return made


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Do asynchronous work from a tool's own thread; from a thread with a loop, in one beside it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _fetched(url: str, found: Document | WebError) -> Fetched:
    try:
        if isinstance(found, WebError):
            raise found
        return Fetched(url=url, page=as_page(found))
    except WebError as error:
        return Fetched(url=url, page=None, error=f"{type(error).__name__}: {error}")
