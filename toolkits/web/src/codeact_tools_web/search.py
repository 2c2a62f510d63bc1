"""Search engines behind one small protocol, `SearchProvider`."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Final

from lxml.html import fromstring
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from .config import SearchProvider, WebConfig
from .errors import HttpError, InvalidURL, SearchUnavailable, WebError
from .fetching import Document, Web
from .markup import read_html
from .results import SearchHit
from .sample import pages
from .urls import read_url

BRAVE: Final = "https://api.search.brave.com/res/v1/web/search"
_BRAVE_MOST: Final = 20
_BRAVE_LONGEST: Final = 400


def provider_of(web: Web) -> SearchProvider:
    """Return the search engine that the settings name.

    Raises:
        SearchUnavailable: They name none; the message says what to set.
    """
    config: WebConfig = web.config
    if isinstance(config.search, SearchProvider):
        return config.search
    if config.search == "searxng" and config.search_url:
        return SearXNG(web, config.search_url)
    if config.search == "brave" and config.search_key is not None:
        return Brave(web, config.search_key)
    if config.search == "sample":
        return SampleSearch()
    raise SearchUnavailable(
        "no search engine is set up; the person who runs this has to set CODEACT_WEB_SEARCH=searxng and "
        "CODEACT_WEB_SEARCH_URL, or CODEACT_WEB_SEARCH=brave and CODEACT_WEB_SEARCH_KEY, or pass "
        "WebConfig(search=...); until then, fetch addresses that you know"
    )


class _Hit(BaseModel):
    """A hit as the engines write it; what else they say is ignored."""

    model_config = ConfigDict(extra="ignore")

    title: str = ""
    url: str = ""
    text: str | None = Field(default="", alias="content")
    day: str | None = Field(default=None, alias="publishedDate")


class _BraveHit(_Hit):
    text: str | None = Field(default="", alias="description")
    day: str | None = Field(default=None, alias="page_age")


class _SearXNGAnswer(BaseModel):
    results: list[_Hit] = []


class _BraveWeb(BaseModel):
    results: list[_BraveHit] = []


class _BraveAnswer(BaseModel):
    web: _BraveWeb = _BraveWeb()


class SearXNG:
    """A SearXNG instance, by its JSON interface (``search.formats`` of its settings must list ``json``).

    See https://docs.searxng.org/dev/search_api.html.
    """

    def __init__(self, web: Web, url: str) -> None:
        self._web = web
        self._url = f"{url.rstrip('/')}/search"

    async def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most ``limit`` hits, best first."""
        params = {"q": query, "format": "json", "safesearch": "1"}
        answer = _SearXNGAnswer.model_validate(await _asked(self._web, "SearXNG", self._url, params, {}))
        return _hits(answer.results, limit)


class Brave:
    """Brave's web search. See https://api-dashboard.search.brave.com/documentation."""

    def __init__(self, web: Web, key: SecretStr, *, url: str = BRAVE) -> None:
        self._web = web
        self._key = key
        self._url = url

    async def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most ``limit`` hits, best first; at most 20, because the engine gives no more at a time."""
        params = {"q": query[:_BRAVE_LONGEST], "count": str(min(limit, _BRAVE_MOST)), "text_decorations": "false"}
        headers = {"X-Subscription-Token": self._key.get_secret_value()}
        answer = _BraveAnswer.model_validate(await _asked(self._web, "Brave", self._url, params, headers))
        return _hits(answer.web.results, limit)


class SampleSearch:
    """Looks through the sample site alone, by words; for examples and tests."""

    async def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return the pages that hold most of the words; those of the title count twice."""
        words = {word.strip(".,?!").lower() for word in query.split()}
        found: list[tuple[int, SearchHit]] = []
        for url, html in pages().items():
            reading = read_html(html, url)
            title, text = reading.title.lower(), reading.text.lower()
            if score := sum((word in title) + (word in text) for word in words):
                snippet = " ".join(reading.text.replace("#", "").split())[:120]
                found.append((score, SearchHit(title=reading.title, url=url, snippet=snippet)))
        return [hit for _, hit in sorted(found, key=lambda each: -each[0])][:limit]


async def _asked(web: Web, name: str, url: str, params: dict[str, str], headers: dict[str, str]) -> Any:
    """Ask an engine; the key is in a header, so that no message can hold it."""
    try:
        document: Document = await web.ask(url, params=params, headers={"Accept": "application/json", **headers})
        answer = json.loads(document.body)
    except HttpError as error:
        what = {
            401: "its key is wrong",
            403: "it does not answer in JSON, or its key is wrong",
            429: "too many queries",
        }
        why = what.get(error.status, f"it answered {error.status}")
        raise SearchUnavailable(f"{name} refuses: {why}; the person who runs this has to look at it") from error
    except (WebError, ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, WebError) else "its answer is no JSON"
        raise SearchUnavailable(f"{name} cannot be asked: {why}") from error
    if not isinstance(answer, dict):
        raise SearchUnavailable(f"{name} answers in a form that is not known")
    return answer


def _hits(results: list[_Hit] | list[_BraveHit], limit: int) -> list[SearchHit]:
    hits: list[SearchHit] = []
    seen: set[str] = set()
    for each in results:
        try:
            url = str(read_url(each.url).url)
        except InvalidURL:
            continue
        if url not in seen:
            seen.add(url)
            hits.append(
                SearchHit(title=_plain(each.title), url=url, snippet=_plain(each.text or ""), published=_day(each.day))
            )
    return hits[:limit]


def _plain(text: str) -> str:
    """Without the markup that engines put around the words which were found."""
    text = text.strip()[:2000]
    if "<" in text or "&" in text:
        try:
            text = str(fromstring(f"<div>{text}</div>").text_content())
        except ValueError:
            return text
    return " ".join(text.split())


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


async def search_web(web: Web, query: str, limit: int) -> list[SearchHit]:
    """Search with the engine that is set up.

    Raises:
        SearchUnavailable: There is none, or it refuses, or breaks its contract.
    """
    provider = provider_of(web)
    try:
        return (await provider.search(query, limit))[:limit]
    except ValidationError as error:
        raise SearchUnavailable("the search engine answers in a form that is not known") from error
