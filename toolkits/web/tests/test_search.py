"""Search: the engines' own formats from real servers, other engines behind the protocol, and none."""

from __future__ import annotations

import json
from datetime import date

import pytest
from codeact_tools_web import SearchHit, SearchUnavailable, Web, WebConfig, search
from codeact_tools_web.search import Brave, provider_of, search_web
from pydantic import SecretStr, ValidationError

from codeact_tools import ToolContext
from toolkits.web.tests.sites import Site, answer, moved, reaching

KEY = "BSA-very-secret"
SEARXNG = {
    "query": "tides",
    "number_of_results": 3,
    "results": [
        {"title": "Tides", "url": "https://example.org/tides", "content": "High <b>water</b> &amp; low", "score": 2.0,
         "publishedDate": "2026-03-02T00:00:00"},
        {"title": "Again", "url": "https://example.org/tides", "content": None, "publishedDate": None},
        {"title": "Script", "url": "javascript:alert(1)", "content": "x"},
        {"title": "More", "url": "https://example.org/more"},
    ],
}  # fmt: skip
FOUND = {
    "title": "Tides",
    "url": "https://example.org/tides",
    "description": "High <strong>water</strong>",
    "page_age": "2026-03-02T10:00:00",
    "language": "en",
}
BRAVE = {"type": "search", "web": {"results": [FOUND]}}


async def test_searxng_answers() -> None:
    """By its JSON interface, at an address inside of the application's network; robots.txt is not asked."""
    with Site(pages={"/sub/search": answer(json.dumps(SEARXNG), kind="application/json")}) as site:
        web = Web(WebConfig(search="searxng", search_url=site.url("/sub/")))
        hits = await search_web(web, "high tides & more", 2)
    assert hits == [
        SearchHit(
            title="Tides", url="https://example.org/tides", snippet="High water & low", published=date(2026, 3, 2)
        ),
        SearchHit(title="More", url="https://example.org/more"),
    ]
    assert site.asked(robots=True) == ["/sub/search?q=high+tides+%26+more&format=json&safesearch=1"]


async def test_brave_answers() -> None:
    """The key is sent in a header, and only there."""
    with Site(pages={"/": answer(json.dumps(BRAVE), kind="application/json")}) as site:
        web = Web(reaching(search="brave", search_key=KEY))
        hits = await Brave(web, SecretStr(KEY), url=site.url("/")).search("tides", 50)
    assert [(hit.snippet, hit.published) for hit in hits] == [("High water", date(2026, 3, 2))]
    assert site.requests[0].headers["x-subscription-token"] == KEY
    assert "count=20" in site.requests[0].path
    assert KEY not in site.requests[0].path
    assert KEY not in repr(web.config)
    assert isinstance(provider_of(web), Brave)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (answer(status="401 Unauthorized"), "its key is wrong"),
        (answer(status="403 Forbidden"), "JSON"),
        (answer(status="429 Too Many Requests"), "too many queries"),
        (answer(status="500 Oops"), "it answered 500"),
        (answer("<html>", kind="text/html"), "no JSON"),
        (answer("[" * 100_000, kind="application/json"), "no JSON"),
        (answer("[]", kind="application/json"), "form"),
        (answer('{"web": {"results": 5}}', kind="application/json"), "form"),
        (answer(b"x" * 3_000_000, kind="application/json"), "bytes"),
        (b"nonsense\r\n\r\n", "no valid HTTP"),
        (moved("https://elsewhere.example.org/"), "redirects"),
    ],
)
async def test_an_engine_that_refuses(found: bytes, message: str) -> None:
    """Each failure is told as such; the key goes nowhere else, and into no message."""

    class Engine(Brave):
        """Brave's interface, at another address."""

    with Site(pages={"/": found}) as site:
        web = Web(reaching())
        engine = Engine(web, SecretStr(KEY), url=site.url("/"))
        with pytest.raises(SearchUnavailable, match=message) as raised:
            await search_web(Web(WebConfig(search=engine)), "tides", 5)
    assert KEY not in str(raised.value)
    assert len(site.requests) == 1


async def test_an_engine_that_is_not_there() -> None:
    """The model learns that the search does not work, not which address was asked by whom."""
    with Site(pages={}) as site:
        url = site.url("/")
    with pytest.raises(SearchUnavailable, match="cannot be asked"):
        await search_web(Web(WebConfig(search="searxng", search_url=url)), "tides", 5)


def test_another_engine_behind_the_protocol() -> None:
    """An object with one method; more hits than wanted are cut."""

    class Library:
        async def search(self, query: str, limit: int) -> list[SearchHit]:
            return [SearchHit(title=f"{query} {n}", url=f"https://example.org/{n}") for n in range(limit + 5)]

    context = ToolContext(config=WebConfig(search=Library()))
    assert [hit.title for hit in search("tides", 2, context)] == ["tides 0", "tides 1"]


def test_without_an_engine_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the model can do meanwhile."""
    monkeypatch.delenv("CODEACT_WEB_SEARCH", raising=False)
    with pytest.raises(SearchUnavailable, match=r"CODEACT_WEB_SEARCH.*fetch"):
        search("tides")


def test_an_engine_is_chosen_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lacks is named; so is what is out of range."""
    monkeypatch.setenv("CODEACT_WEB_SEARCH", "brave")
    with pytest.raises(ValidationError, match="CODEACT_WEB_SEARCH_KEY"):
        WebConfig()
    monkeypatch.setenv("CODEACT_WEB_SEARCH_KEY", KEY)
    monkeypatch.setenv("CODEACT_WEB_ALLOWED_HOSTS", "example.org, *.example.com")
    monkeypatch.setenv("CODEACT_WEB_PORTS", "[443]")
    config = WebConfig()
    assert (config.search, config.allowed_hosts, config.ports) == ("brave", ("example.org", "*.example.com"), (443,))
    with pytest.raises(ValidationError, match="CODEACT_WEB_SEARCH_URL"):
        WebConfig(search="searxng")
    for wrong in (["*:80"], ["127.0.0.1"], ["::1:80"], ["host:x"]):
        with pytest.raises(ValidationError, match="one host and one port"):
            WebConfig(allow_private=wrong)
