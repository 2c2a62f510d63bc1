"""robots.txt, by RFC 9309: asked once, for each hop, and what its absence or its failure means."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from codeact_tools_web import RobotsDisallowed, TimedOut, Web

from toolkits.web.tests.sites import Answer, Site, answer, moved, page, reaching

RULES = """
User-agent: *
Disallow: /private/
Allow: /private/open
Disallow: /*.cgi$

User-agent: codeact-tools-web
Disallow: /not-for-us
Disallow: /private/
Allow: /private/open

User-agent: other
Disallow: /
"""


@pytest.fixture
def site() -> Iterator[Site]:
    """A site with rules."""
    pages: dict[str, Answer] = {
        path: page("<p>text</p>")
        for path in ("/", "/private/a", "/private/open", "/not-for-us", "/a.cgi", "/b")
    }  # fmt: skip
    pages |= {"/robots.txt": answer(RULES, kind="text/plain"), "/move": moved("/private/a")}
    with Site(pages=pages) as site:
        yield site


@pytest.mark.parametrize("path", ["/private/a", "/not-for-us", "/move"])
async def test_what_is_disallowed_is_not_fetched(site: Site, path: str) -> None:
    """Neither first, nor after a redirect."""
    with pytest.raises(RobotsDisallowed, match=r"robots\.txt"):
        await Web(reaching(site)).get(site.url(path))
    assert [each for each in site.asked() if each != "/move"] == []


@pytest.mark.parametrize("path", ["/", "/private/open", "/a.cgi"])
async def test_what_is_allowed_is_fetched(site: Site, path: str) -> None:
    """The longer rule wins; rules for all do not count where there are rules for us."""
    assert (await Web(reaching(site)).get(site.url(path))).status == 200


async def test_another_name_has_other_rules(site: Site) -> None:
    """The configuration can say who asks."""
    with pytest.raises(RobotsDisallowed):
        await Web(reaching(site, user_agent="other/1.0 (+https://example.org/bot)")).get(site.url("/"))
    assert site.requests[-1].headers["user-agent"].startswith("other/1.0")
    with pytest.raises(RobotsDisallowed):
        await Web(reaching(site, user_agent="third/1.0")).get(site.url("/a.cgi"))


async def test_the_rules_are_asked_for_once(site: Site) -> None:
    """And not at all where they are not to be respected."""
    web = Web(reaching(site))
    for path in ("/", "/b", "/a.cgi"):
        await web.get(site.url(path))
    assert site.asked(robots=True).count("/robots.txt") == 1
    await Web(reaching(site, respect_robots=False)).get(site.url("/private/a"))
    assert site.asked(robots=True).count("/robots.txt") == 1


@pytest.mark.parametrize(
    ("found", "allowed"),
    [
        (answer(status="404 Not Found"), True),
        (answer(status="403 Forbidden"), True),
        (answer(status="500 Oops"), False),
        (answer(status="503 Unavailable"), False),
        (answer("", kind=""), True),
        (answer(b"\xff\xfe\x00 nonsense \x80" * 1000), True),
        (answer("User-agent: *\nDisallow: /\n" + "#" * 600_000), False),
        (b"no http at all\r\n\r\n", False),
        (moved("/rules"), False),
        (moved("/robots.txt"), True),
        (moved("http://[bad/"), True),
    ],
    ids=["404", "403", "500", "503", "empty", "nonsense", "long", "no http", "moved", "circle", "moved nowhere"],
)
async def test_what_the_answer_means(found: bytes, allowed: bool) -> None:
    """No file allows everything, a failing server nothing; redirects are followed, five times."""
    pages = {"/": page("x"), "/robots.txt": found, "/rules": answer("User-agent: *\nDisallow: /", kind="text/plain")}
    with Site(pages=pages) as site:
        if allowed:
            assert (await Web(reaching(site)).get(site.url("/"))).status == 200
        else:
            with pytest.raises(RobotsDisallowed):
                await Web(reaching(site)).get(site.url("/"))


@pytest.mark.parametrize(("longest", "in_time"), [(0.0, True), (30.0, False)])
async def test_the_delay_between_requests_is_kept_up_to_a_bound(longest: float, in_time: bool) -> None:
    """Two pages of a site that wants 20 seconds between them take longer than the time that there is."""
    rules = answer("User-agent: *\nCrawl-delay: 20\nRequest-rate: 1/30s", kind="text/plain")
    with Site(pages={"/": page("x"), "/b": page("y"), "/robots.txt": rules}) as site:
        web = Web(reaching(site, longest_crawl_delay=longest, seconds=8))
        await web.get(site.url("/"))
        if in_time:
            await web.get(site.url("/b"))
        else:
            with pytest.raises(TimedOut):
                await web.get(site.url("/b"))
