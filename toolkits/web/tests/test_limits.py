"""Hostile and broken servers: size, time, redirects, compression, encodings, malformed HTTP."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from codeact_tools_web import (
    HttpError,
    NotReadable,
    TimedOut,
    TooLarge,
    Unreachable,
    Web,
)
from codeact_tools_web.markup import MOST_ELEMENTS, read_html
from codeact_tools_web.pace import Pace
from codeact_tools_web.text import decoded
from hypothesis import given
from hypothesis import strategies as st

from toolkits.web.tests.sites import Answer, Request, Site, answer, moved, page, reaching

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def drip(request: Request) -> Iterator[bytes]:
    """A body that comes a byte at a time, for a minute."""
    yield HEAD + b"\r\n<p>"
    for _ in range(600):
        time.sleep(0.1)
        yield b"x"


def drip_head(request: Request) -> Iterator[bytes]:
    """A head that comes a byte at a time, for a minute."""
    yield b"HTTP/1.1 200 OK\r\nX-Slow: "
    for _ in range(600):
        time.sleep(0.1)
        yield b"x"


def endless(request: Request) -> Iterator[bytes]:
    """A body without an end."""
    yield HEAD + b"\r\n<p>"
    while True:
        yield b"words " * 10_000


BOMB = gzip.compress(b"\0" * 30_000_000)
PAGES: dict[str, Answer] = {
    "/drip": drip,
    "/drip-head": drip_head,
    "/endless": endless,
    "/bomb": answer(BOMB, Content_Encoding="gzip"),
    "/bomb-deflate": answer(zlib.compress(b"<p>" + b"a" * 30_000_000), Content_Encoding="deflate"),
    "/twice-packed": answer(gzip.compress(BOMB), Content_Encoding="gzip, gzip"),
    "/brotli": answer(b"\x0b\x02\x80", Content_Encoding="br"),
    "/not-gzip": answer(b"plain", Content_Encoding="gzip"),
    "/circle": moved("/circle"),
    "/pair": moved("/pair2"),
    "/pair2": moved("/pair"),
    "/endless-moves": lambda request: moved(f"/endless-moves?{len(request.path)}{'x' * len(request.path)}"),
    "/nowhere": answer(status="302 Found"),
    "/bad-place": moved("http://[bad/"),
    "/huge-head": HEAD + b"X: " + b"y" * 300_000 + b"\r\n\r\n",
    "/many-heads": HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
    "/old": b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<title>Old</title><p>from 1996</p>",
    "/short": HEAD + b"Content-Length: 1000\r\n\r\n<p>The beginning only",
    "/chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n<p>ab\r\nZZZ\r\ngarbage",
    "/smuggled": HEAD + b"Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
    "/garbage": b"\x16\x03\x01 SSH-2.0\r\n\r\n",
    "/nothing": b"",
    "/large": answer("<p>" + "word " * 100_000),
    "/missing": answer("no", status="404 Not Found"),
    "/busy": answer("no", status="429 Too Many Requests", Retry_After="7"),
    "/broken": answer("no", status="503 Service Unavailable"),
    "/login": answer("no", status="401 Unauthorized"),
    "/empty": answer("", status="204 No Content"),
    "/good": page("<p>good</p>"),
    "/no-store": answer("<p>x</p>", Cache_Control="no-store"),
}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One server for all."""
    with Site(pages=PAGES) as site:
        yield site


@pytest.mark.parametrize("path", ["/drip", "/drip-head"])
async def test_a_slow_server_is_given_up(site: Site, path: str) -> None:
    """The time is that of the whole address, not of a single read."""
    with pytest.raises(TimedOut, match=r"0\.5 s"):
        await Web(reaching(site, seconds=0.5)).get(site.url(path))


@pytest.mark.parametrize("path", ["/bomb", "/bomb-deflate", "/endless", "/large"])
async def test_a_long_page_is_cut_and_says_so(site: Site, path: str) -> None:
    """Also one that is small until it is decompressed, or has no end."""
    found = await Web(reaching(site, max_bytes=100_000)).get(site.url(path))
    assert len(found.body) == 100_000
    assert found.truncated


@pytest.mark.parametrize("path", ["/bomb", "/endless", "/large"])
async def test_a_long_file_is_refused(site: Site, path: str) -> None:
    """A part of a file is no use."""
    with pytest.raises(TooLarge, match="100,000"):
        await Web(reaching(site)).get(site.url(path), cap=100_000, cut=False)


@pytest.mark.parametrize("path", ["/twice-packed", "/brotli", "/not-gzip"])
async def test_what_cannot_be_unpacked_is_not_readable(site: Site, path: str) -> None:
    """Compression that was not asked for, in layers, or that is none."""
    with pytest.raises(NotReadable, match=r"packed|decompressed"):
        await Web(reaching(site)).get(site.url(path))


@pytest.mark.parametrize("path", ["/circle", "/pair", "/endless-moves"])
async def test_redirects_come_to_an_end(site: Site, path: str) -> None:
    """A circle is called one."""
    with pytest.raises(Unreachable, match="redirects"):
        await Web(reaching(site, redirects=4)).get(site.url(path))


@pytest.mark.parametrize("path", ["/huge-head", "/many-heads", "/garbage", "/nothing", "/smuggled"])
async def test_what_is_no_http_is_not_readable(site: Site, path: str) -> None:
    """Heads without measure, bytes of another protocol, no bytes, and two lengths at once."""
    with pytest.raises((NotReadable, Unreachable)):
        await Web(reaching(site)).get(site.url(path))


@pytest.mark.parametrize("path", ["/short", "/chunks"])
async def test_a_page_that_breaks_off_is_cut_and_a_file_is_not_readable(site: Site, path: str) -> None:
    """The reader of a page is told that its end is missing."""
    web = Web(reaching(site))
    found = await web.get(site.url(path))
    assert found.truncated
    assert found.body.startswith(b"<p>")
    with pytest.raises(NotReadable, match="broke off"):
        await web.get(site.url(path), cut=False)


async def test_an_old_server_is_understood(site: Site) -> None:
    """HTTP/1.0, whose body ends with the connection."""
    found = await Web(reaching(site)).get(site.url("/old"))
    assert (found.reading.title, found.truncated) == ("Old", False)


@pytest.mark.parametrize(
    ("path", "status", "advice"),
    [("/missing", 404, "check the address"), ("/busy", 429, "after 7 s"), ("/broken", 503, "later"),
     ("/login", 401, "login"), ("/nowhere", 302, "another page")],
)  # fmt: skip
async def test_an_error_of_the_server_has_its_number_and_advice(
    site: Site, path: str, status: int, advice: str
) -> None:
    """The model reads what to do next."""
    with pytest.raises(HttpError, match=advice) as raised:
        await Web(reaching(site)).get(site.url(path))
    assert raised.value.status == status


async def test_an_empty_page_is_empty(site: Site) -> None:
    """No content is no error."""
    assert (await Web(reaching(site)).get(site.url("/empty"))).reading.text == ""


async def test_a_session_remembers_pages_within_bounds(site: Site) -> None:
    """The second time nothing is sent; what is too much, or not to be kept, is forgotten."""
    web = Web(reaching(site, cache_bytes=600_000))
    for path in ("/good", "/good", "/no-store", "/no-store", "/large", "/good", "/endless", "/large"):
        await web.get(site.url(path))
    assert site.asked()[-6:] == ["/good", "/no-store", "/no-store", "/large", "/endless", "/large"]


async def test_one_host_is_asked_by_few_at_a_time() -> None:
    """No more places than allowed, whoever waits; afterwards all are free."""
    pace, busy, most = Pace(per_second=1000, per_host=2), 0, 0

    async def ask() -> None:
        nonlocal busy, most
        async with pace.turn("example.org"):
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.03)
            busy -= 1

    await asyncio.gather(*(ask() for _ in range(6)))
    assert most == 2
    assert pace._busy == {}


def test_requests_to_one_host_are_apart() -> None:
    """Moments that are given out keep the distance, or the longer one that a site wants; each host has its own."""
    pace = Pace(per_second=0.1, per_host=2)
    moments = [pace._reserve("example.org", interval) for interval in (10, 10, 25, 10)]
    assert [round(later - earlier, 6) for earlier, later in pairwise(moments)] == [10, 10, 25]
    assert pace._reserve("example.com", 10) < moments[1]


HOSTILE = {
    "attributes": "<div " + " ".join(f"a{n}=1" for n in range(100_000)) + ">text",
    "quoted attributes": "<div " + " ".join(f"a{n}='>'" for n in range(100_000)) + ">text",
    "deep": "<div>" * 200_000 + "text",
    "deep tables": "<table><tr><td>" * 30_000 + "text",
    "wide": "<p>text " * 200_000,
    "links": "<a href=x>" * 100_000 + "text",
    "lists": "<ul><li>" * 50_000 + "text",
    "rows": "<table>" + "<tr><td>a<td>b" * 50_000,
    "spans": "<table><tr><td rowspan=99999 colspan=99999>a</td></tr>" + "<tr><td>b</td></tr>" * 900 + "</table>",
    "entities": "<p>" + "&lt;" * 300_000,
    "unclosed comment": "<p>text<!--" + "-" * 1_000_000,
    "unclosed quote": '<p>text<a href="' + "x" * 1_000_000,
    "spaces": "<p>text" + " " * 1_000_000,
    "nul": "<p>te\0xt\0</p>" * 1000,
    "surrogates": "<p>\ud800text\udfff</p>",
    "doctype": '<!DOCTYPE html [<!ENTITY a "text"><!ENTITY b "&a;&a;&a;">]><p>&b;text',
    "external": '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>&x;text',
    "json-ld": '<script type="application/ld+json">' + '{"a":' * 100_000 + "</script><p>text",
    "empty": "",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_markup_is_read_in_bounded_time(name: str) -> None:
    """Each of these made a parser, or an extraction, slow, deep or large; what is left out is told."""
    reading = read_html(HOSTILE[name], "https://example.org/")
    assert "root:" not in reading.text
    assert len(reading.text) <= 2 * len(HOSTILE[name])
    assert sum(len(row) for table in reading.tables for row in table.rows) <= 200_000
    if HOSTILE[name].count("<") > MOST_ELEMENTS:
        assert reading.truncated


@given(st.text(alphabet="<>/=\"'& atpdivbrhe1\n#!-", max_size=200))
def test_any_markup_is_read(html: str) -> None:
    """No error comes out, and links lead to the web."""
    reading = read_html(html, "https://example.org/a/")
    assert all(link.url.startswith(("http://", "https://")) for link in reading.links)


@pytest.mark.parametrize(
    ("data", "content_type", "text"),
    [
        ("Käse".encode(), "text/html", "Käse"),
        ("Käse".encode("cp1252"), "text/html; charset=ISO-8859-1", "Käse"),
        ("„Käse“".encode("cp1252"), "text/html; charset=ISO-8859-1", "„Käse“"),
        ("Käse".encode("utf-16"), "text/html", "Käse"),
        (b"\xef\xbb\xbfK\xc3\xa4se", "text/html; charset=latin1", "Käse"),
        (b'<meta charset="windows-1251">\xcf\xf0', "text/html", '<meta charset="windows-1251">Пр'),
        (b'<meta charset="utf-16">K\xc3\xa4se', "text/html", '<meta charset="utf-16">Käse'),
        ("日本".encode("shift_jis"), "text/html; charset=Shift_JIS", "日本"),
        (b"K\xc3\xa4se", "text/html; charset=no-such-thing", "Käse"),
        (b"K\xc3\xa4se", "text/html; charset=utf-7", "Käse"),
        (b"K\xc3\xa4se", "text/html; charset=zlib_codec", "Käse"),
        (b"K\xc3\xa4se", 'text/html; charset="unicode_escape"', "Käse"),
        (b"K\xc3", "text/html", "K\N{REPLACEMENT CHARACTER}"),
        (b"K\xe4se", "text/html; charset=utf-8", "K\N{REPLACEMENT CHARACTER}se"),
    ],
)
def test_the_encoding_of_a_document(data: bytes, content_type: str, text: str) -> None:
    """Marks, the server's word, the document's word, UTF-8; codecs that are no encodings of documents are not used."""
    assert decoded(data, content_type) == text


@given(st.binary(max_size=300), st.text(max_size=30))
def test_any_bytes_become_text(data: bytes, charset: str) -> None:
    """Whatever the server calls them."""
    assert isinstance(decoded(data, f"text/html; charset={charset}"), str)
