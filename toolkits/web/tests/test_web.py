"""The tools as actions and applications call them: pages, parts, links, tables, JSON, files, several at once."""

from __future__ import annotations

import asyncio
import doctest
import json
from collections.abc import Iterator
from datetime import date
from types import ModuleType

import codeact_tools_web as package
import pytest
from codeact_tools_web import (
    Blocked,
    Download,
    HttpError,
    Link,
    NotReadable,
    Section,
    Table,
    TooLarge,
    Web,
    WebConfig,
    addresses,
    config,
    download,
    fetch,
    fetch_all,
    fetch_json,
    fetching,
    links,
    markup,
    network,
    pace,
    pages,
    robots,
    sample,
    sections,
    text,
    toolkit,
    urls,
)
from codeact_tools_web import tables as tables_of

from codeact_tools import Session, ToolContext, ToolRegistry
from toolkits.web.tests.sites import Answer, Site, answer, page, reaching

ARTICLE = """
<nav><a href="/">Start</a><a href="/topics">Topics</a></nav>
<div class="cookie-banner"><p>We value your privacy. Accept all cookies?</p><button>Accept</button></div>
<article><h1>The old mill</h1>
<p>By <span class="author">Ada Writer</span>, <time datetime="2026-02-03">3 February 2026</time></p>
<p>The old mill on the river has been restored. It took the village three years, and it will open to visitors in May,
when the river is high enough to turn the wheel again. More than forty people worked on it at weekends.</p>
<h2>How it works</h2>
<p>Water turns a wheel of oak, and the wheel turns the stones. The
<a href="/stones#how">stones</a> weigh a ton each.</p>
<pre><code>wheel = Wheel("oak")
# not a heading
wheel.turn()</code></pre>
<table><caption>Opening</caption><thead><tr><th>Month</th><th>Hours</th></tr></thead>
<tbody><tr><td>May</td><td>4</td></tr><tr><td>June</td><td>6</td></tr></tbody></table>
<ul><li>Bring good shoes.</li><li>Dogs are welcome.</li></ul>
</article>
<aside><h3>Most read</h3><a href="https://other.example.com/x">Ten tricks</a></aside>
<footer><p>All rights reserved.
<a href="mailto:a@example.org">Mail</a> <a href="javascript:void(0)">Print</a></p></footer>
<script>document.write("tracking")</script>
"""
OPENING = [{"Month": "May", "Hours": "4"}, {"Month": "June", "Hours": "6"}]
LISTING = "<h1>Lamps</h1><div class=grid>" + "".join(
    f"<div class=card><h3>Lamp {n}</h3><span>{n}9.90 EUR</span><a href=/lamp/{n}>Details</a></div>" for n in range(1, 9)
)  # fmt: skip
PAGES: dict[str, Answer] = {
    "/mill": answer(f"<html lang=en-GB><title>The old mill | News</title><body>{ARTICLE}</body></html>"),
    "/lamps": page(LISTING, title="Lamps"),
    "/base": answer("<base href='/deep/er/'><a href='x'>X</a><a href='?q=1'>Q</a><a href='//example.com/y'>Y</a>"),
    "/plain": answer("just text", kind="text/plain; charset=utf-8"),
    "/data.json": answer('{"n": [1, 2.5, null, "\u00e4"]}', kind="application/json"),
    "/data.ld": answer("[1]", kind="application/ld+json"),
    "/nan.json": answer('{"n": NaN}', kind="application/json"),
    "/wrong.json": answer("<html>login</html>", kind="application/json"),
    "/report.pdf": answer(b"%PDF-1.7\0\1\2", kind="application/pdf"),
    "/wide.txt": answer("wide letters".encode("utf-16"), kind="text/plain"),
    "/deep.json": answer("[" * 900 + "]" * 900, kind="application/json"),
    "/untyped": answer("<html><p>untyped page</p></html>", kind=""),
    "/untyped.bin": answer(b"\0\1\2", kind=""),
    "/named": answer(b"1,2\n", kind="text/csv", Content_Disposition='attachment; filename="../../etc/report 1.csv"'),
    "/a%20b%2F..%2Fc.csv": answer(b"1", kind="text/csv"),
    "/sales.csv": answer('\ufeffday,"sold, in all",day,\r\n1,"4\n5",x\r\n\r\n2, 6 ,y,z\r\n', kind="text/plain"),
    "/sales.tsv": answer("day\tsold\n1\t4,5\n", kind="text/tab-separated-values"),
    "/open.csv": answer('a,b\n1,"2', kind="text/csv"),
    "/empty.csv": answer("", kind="text/csv"),
    "/long.csv": answer("n,square\n" + "".join(f"{n},{n * n}\n" for n in range(40_000)), kind="text/csv"),
    "/ragged.csv": answer("a\n" + "1\n" * 20_000 + ",".join("x" * 150) + "\n", kind="text/csv"),
    "/big.bin": answer(b"x" * 200_000, kind="application/octet-stream"),
}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One site for all."""
    with Site(pages=PAGES) as site:
        yield site


@pytest.fixture
def context(site: Site) -> ToolContext:
    """What a session gives to each call."""
    return ToolContext(config=reaching(site, max_download=100_000))


MODULES = [addresses, config, fetching, markup, network, pace, pages, robots, sample, text, urls]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings_run(module: ModuleType) -> None:
    """What a docstring shows is what happens; those of the tools run in the contract's tests."""
    assert doctest.testmod(module).failed == 0


def test_the_toolkit_declares_what_it_is() -> None:
    """All tools only read, and reach out to any host."""
    registry = ToolRegistry([toolkit.configured(WebConfig.for_examples())])
    assert len(registry.specs) == 8
    assert all(spec.effects.read_only and spec.effects.open_world for spec in registry.specs)
    assert (list(toolkit.hosts), toolkit.version) == (["*"], config.VERSION)
    assert set(package.__all__) >= {error.__name__ for error in package.WebError.__subclasses__()}


def test_an_article_without_its_surroundings(site: Site, context: ToolContext) -> None:
    """Text, headings, code, tables and lists as Markdown; no menu, no banner, no footer, no script."""
    found = fetch(site.url("/mill"), context)
    assert (found.title, found.language, found.published) == ("The old mill | News", "en-gb", date(2026, 2, 3))
    assert (found.status, found.truncated, found.content_type) == (200, False, "text/html")
    for part in (
        "# The old mill",
        "## How it works",
        "a wheel of oak",
        "| May | 4 |",
        "- Bring good shoes.",
        "wheel.turn()",
    ):
        assert part in found.text
    for part in ("Topics", "cookies", "rights reserved", "tracking", "Ten tricks"):
        assert part not in found.text


def test_a_list_that_is_no_article_is_there_in_full(site: Site, context: ToolContext) -> None:
    """Products and prices are not thrown away as surroundings."""
    found = fetch(site.url("/lamps"), context).text
    assert all(f"Lamp {n}" in found and f"{n}9.90 EUR" in found for n in range(1, 9))


def test_the_parts_of_a_page(site: Site, context: ToolContext) -> None:
    """Cut at its headings; a line of code that looks like one is none."""
    found = sections(site.url("/mill"), context)
    assert [(part.heading, part.level) for part in found] == [("The old mill", 1), ("How it works", 2)]
    assert "oak" in found[1].text
    assert sections(site.url("/plain"), context) == [Section(heading="", level=0, text="just text")]


def test_the_links_of_a_page(site: Site, context: ToolContext) -> None:
    """Whole addresses, menus included, nothing but the web; fragments do not make another address."""
    found = links(site.url("/mill"), context=context)
    assert [link.text for link in found] == ["Start", "Topics", "stones", "Ten tricks"]
    assert found[2] == Link(text="stones", url=site.url("/stones"))
    assert links(site.url("/mill"), "OTHER.example", context) == [
        Link(text="Ten tricks", url="https://other.example.com/x")
    ]
    assert [link.url for link in links(site.url("/base"), context=context)] == [
        site.url("/deep/er/x"), site.url("/deep/er/?q=1"), "http://example.com/y",
    ]  # fmt: skip


def test_the_tables_of_a_page(site: Site, context: ToolContext) -> None:
    """Header, rows, caption."""
    expected = Table(caption="Opening", columns=["Month", "Hours"], rows=OPENING)
    assert tables_of(site.url("/mill"), context) == [expected]


@pytest.mark.parametrize(
    ("html", "rows"),
    [
        ("<tr><td>1<td>2<tr><td>3<td>4", [["1", "2"], ["3", "4"]]),
        ("<tr><th>a<th>b<tr><td colspan=2>x", [["x", "x"]]),
        ("<tr><th>a<th>b<tr><td rowspan=2>x<td>1<tr><td>2", [["x", "1"], ["x", "2"]]),
        ("<tr><th>a<th>b<tr><td rowspan=2 colspan=2>x<tr><tr><td>1", [["x", "x"], ["x", "x"], ["1", ""]]),
        ("<tr><th>a<th>b<th>c<tr><td>1", [["1", "", ""]]),
        ("<tr><th>a<th>b<tr><td>1<td><table><tr><td>in<td>ner<tr><td>x<td>y</table>", [["1", "in ner x y"]]),
        ("<tr><th>a<th>b<tr><td rowspan=-1 colspan=x>1<td>2", [["1", "2"]]),
    ],
)
def test_cells_that_span_are_repeated(html: str, rows: list[list[str]]) -> None:
    """Each row is as long as the header, whatever the markup says."""
    reading = markup.read_html(f"<table>{html}</table>", "https://example.org/")
    found = reading.tables[0]
    assert [
        [cell.replace("inner", "in ner").replace("nerx", "ner x").replace("xy", "x y") for cell in row.values()]
        for row in found.rows
    ] == rows
    assert all([*row] == found.columns for row in found.rows)


def test_a_csv_file_is_a_table(site: Site, context: ToolContext) -> None:
    """Columns have different names, quotes and blank lines are read, and short rows are filled up."""
    (sales,) = tables_of(site.url("/sales.csv"), context)
    assert sales.columns == ["day", "sold, in all", "day (2)", "column 4"]
    assert [[*row.values()] for row in sales.rows] == [["1", "4\n5", "x", ""], ["2", "6", "y", "z"]]
    assert not sales.truncated
    assert tables_of(site.url("/sales.tsv"), context)[0].rows == [{"day": "1", "sold": "4,5"}]
    assert tables_of(site.url("/empty.csv"), context)[0].rows == []
    with pytest.raises(NotReadable, match=r"open\.csv is no valid CSV: .*; get it with download\(\)"):
        tables_of(site.url("/open.csv"), context)


@pytest.mark.parametrize("name", ["long", "ragged"])
def test_a_long_table_says_that_rows_are_missing(site: Site, context: ToolContext, name: str) -> None:
    """What is left out is left out at the end, and is told; short rows count as the long ones that they become."""
    (found,) = tables_of(site.url(f"/{name}.csv"), context)
    assert found.truncated
    assert 0 < len(found.rows) * len(found.columns) <= 50_000


def test_json_is_a_value(site: Site, context: ToolContext) -> None:
    """Numbers, text, nothing; what only looks like JSON is refused with the tool that reads it."""
    assert fetch_json(site.url("/data.json"), context) == {"n": [1, 2.5, None, "ä"]}
    assert fetch_json(site.url("/data.ld"), context) == [1]
    for path in ("/nan.json", "/wrong.json", "/mill", "/deep.json"):
        with pytest.raises(NotReadable, match=r"fetch\(\)"):
            fetch_json(site.url(path), context)


def test_other_types_name_the_right_tool(site: Site, context: ToolContext) -> None:
    """A file is no page, and a page without a type is one all the same."""
    with pytest.raises(NotReadable, match=r"application/pdf with 11 bytes.*download\(\)"):
        fetch(site.url("/report.pdf"), context)
    with pytest.raises(NotReadable, match=r"download\(\)"):
        fetch(site.url("/untyped.bin"), context)
    with pytest.raises(NotReadable, match=r"fetch_json\(\)"):
        tables_of(site.url("/data.json"), context)
    assert "untyped page" in fetch(site.url("/untyped"), context).text
    assert fetch(site.url("/data.json"), context).text.startswith("{")
    assert fetch(site.url("/plain"), context).text == "just text"
    assert fetch(site.url("/wide.txt"), context).text == "wide letters"


@pytest.mark.parametrize(
    ("path", "name"), [("/report.pdf", "report.pdf"), ("/named", "report 1.csv"), ("/a%20b%2F..%2Fc.csv", "c.csv"),
     ("/plain", "plain")]
)  # fmt: skip
def test_a_file_has_a_plain_name(site: Site, context: ToolContext, path: str, name: str) -> None:
    """No folders, whatever the server or the address says."""
    found = download(site.url(path), context)
    assert isinstance(found, Download)
    assert found.name == name


def test_a_file_that_is_too_large(site: Site, context: ToolContext) -> None:
    """The size is told before it is fetched."""
    with pytest.raises(TooLarge, match=r"200,000 bytes; 100,000"):
        download(site.url("/big.bin"), context)


def test_several_at_once(site: Site, context: ToolContext) -> None:
    """In the order of the addresses, each a page or an error."""
    paths = ["/mill", "/gone", "/report.pdf", "/lamps"]
    found = fetch_all([site.url(path) for path in paths] + ["http://10.0.0.1/", "no address"], context)
    assert [each.page.title if each.page else each.error.partition(":")[0] for each in found] == [
        "The old mill | News", "HttpError", "NotReadable", "Lamps", "Blocked", "InvalidURL",
    ]  # fmt: skip


def test_one_session_fetches_a_page_once() -> None:
    """Text, parts, links and tables of a page come from one request; another session asks anew."""
    with Site(pages=PAGES) as site:
        settings, state = reaching(site), ToolContext(state={}).state
        for _ in range(2):
            context = ToolContext(config=settings, state=state)
            for each in (fetch, sections, links, tables_of):
                each(site.url("/mill"), context=context)
        assert site.asked() == ["/mill"]
        fetch(site.url("/mill"), ToolContext(config=settings))
        assert site.asked() == ["/mill", "/mill"]


async def test_the_tools_work_where_a_loop_runs(site: Site, context: ToolContext) -> None:
    """In a notebook, for example, and several of them in threads."""
    assert fetch(site.url("/plain"), context).text == "just text"
    found = await asyncio.gather(*(asyncio.to_thread(fetch, site.url("/plain"), context) for _ in range(8)))
    assert len(found) == 8


def test_an_action_sees_types_and_errors(site: Site) -> None:
    """In the sandbox: dates are dates, errors have their fields, and private hosts stay out of reach."""
    kit = toolkit.configured(reaching(site, search="sample"))
    with Session(tools=[kit], sandbox="local") as session:
        for code, result in [
            (f"fetch({site.url('/mill')!r}).published.year", "2026"),
            (f"tables({site.url('/mill')!r})[0].rows[1]['Hours']", "'6'"),
            (f"fetch_json({site.url('/data.json')!r})['n'][1] * 2", "5.0"),
            (f"download({site.url('/report.pdf')!r}).data[:4]", "b'%PDF'"),
            (f"try:\n    fetch({site.url('/gone')!r})\nexcept HttpError as e:\n    code = e.status\ncode", "404"),
            ("search('tides')[0].url", "'https://sample.invalid/tides'"),
        ]:  # fmt: skip
            seen = session.run(code)
            assert (seen.result, seen.error) == (result, None), seen.text
        seen = session.run("fetch('http://169.254.169.254/latest/meta-data/')")
        assert seen.error is not None
        assert seen.error.name == "Blocked"


def test_without_a_session_the_environment_configures(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool is an ordinary function."""
    with pytest.raises(Blocked):
        fetch(site.url("/plain"))
    monkeypatch.setenv("CODEACT_WEB_ALLOW_PRIVATE", site.place)
    assert fetch(site.url("/plain")).text == "just text"
    with pytest.raises(HttpError):
        fetch("https://sample.invalid/no-such-page")


def test_the_sample_site_is_served_from_the_package() -> None:
    """Without a connection, under the rules that hold for all hosts."""
    web = Web(WebConfig(allowed_hosts=["example.org"]))
    with pytest.raises(Blocked):
        asyncio.run(web.get("https://sample.invalid/"))
    found = asyncio.run(Web(WebConfig.for_examples()).get("https://sample.invalid/berths.json"))
    assert json.loads(found.body)["berths"] == 40
    for path in ("/../__init__.py", "/%2e%2e/config.py", "/site/index.html", "/..%2fconfig.py", "/no"):
        with pytest.raises(HttpError):
            asyncio.run(Web(WebConfig.for_examples()).get(f"https://sample.invalid{path}"))
