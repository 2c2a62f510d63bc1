"""HTML to text, links and tables.

Pages are hostile at times. So the parser's events are taken first, in one pass whose time grows with the length of the
page alone, and only a tree of bounded size, depth and attributes is built and given to the extraction.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from lxml import etree
from lxml.html import HtmlElement

from .errors import InvalidURL
from .results import Link, Section, Table
from .tables import read_tables
from .urls import Target, following, read_url

MOST_ELEMENTS: Final = 40_000
SHORT: Final = 250
"""Characters of a page that is no article, so that nothing is surroundings."""
MOST_LINKS: Final = 3000
MOST_DEPTH: Final = 150
MOST_ATTRIBUTES: Final = 24
LONGEST_ATTRIBUTE: Final = 8192
_UNREAD: Final = frozenset({"script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas"})
_BLOCKS: Final = frozenset({
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset", "figure", "footer", "form",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td",
    "th", "tr", "ul",
})  # fmt: skip
_HEADING: Final = re.compile(r"(?m)^(#{1,6}) +(.+?)\s*$")
_FENCE: Final = re.compile(r"(?m)^```")

logging.getLogger("trafilatura").addHandler(logging.NullHandler())  # else it prints on stderr where a page has no text


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a page holds for a reader."""

    title: str
    text: str
    """As Markdown."""
    language: str | None
    published: date | None
    description: str
    links: tuple[Link, ...]
    tables: tuple[Table, ...]
    truncated: bool
    """Whether the page has more elements than are read."""


def read_html(html: str, url: str) -> Reading:
    """Read a page.

    >>> reading = read_html("<title>Ports</title><p>See <a href='/b'>berths</a>.</p>", "https://example.org/a")
    >>> reading.title, reading.text, reading.links
    ('Ports', 'See berths.', (Link(text='berths', url='https://example.org/b'),))
    """
    from trafilatura import bare_extraction  # takes longer to load than all else together

    tree, truncated = _tree(html)
    if tree is None:
        return Reading(
            title="", text="", language=None, published=None, description="", links=(), tables=(), truncated=truncated
        )
    links = tuple(_links(tree, url))
    tables = tuple(read_tables(tree))
    plain = _plain(tree)
    title = _squeezed(tree.findtext(".//title") or "")
    language = tree.get("lang") or tree.get("{http://www.w3.org/XML/1998/namespace}lang") or ""
    description = _meta(tree, "description", "og:description")
    _move_captions(tree)
    found: Any = bare_extraction(
        tree,
        url=url,
        favor_recall=True,
        include_comments=False,
        include_formatting=True,
        with_metadata=True,
        date_extraction_params={"extensive_search": False, "original_date": True},
    )
    text = _tidied(found.text or "") if found is not None else ""
    return Reading(
        title=title or _squeezed((found.title if found else None) or ""),
        text=text
        if len(plain) >= SHORT and len(text) * 8 >= len(plain)
        else plain,  # a list is no article, but all there is
        language=language.strip().lower()[:20] or None,
        published=_day(found.date if found else None),
        description=description,
        links=links,
        tables=tables,
        truncated=truncated,
    )


def sections(text: str) -> list[Section]:
    """Cut Markdown at its headings; those inside of code are none.

    >>> [(each.level, each.heading, each.text) for each in sections("Hello.\\n\\n## One\\n\\nText.")]
    [(0, '', 'Hello.'), (2, 'One', 'Text.')]
    """
    fences = [match.start() for match in _FENCE.finditer(text)]
    found: list[Section] = []
    heading, level, start = "", 0, 0
    for match in _HEADING.finditer(text):
        if sum(fence < match.start() for fence in fences) % 2:
            continue
        found.append(Section(heading=heading, level=level, text=text[start : match.start()].strip()))
        heading, level, start = match[2].strip("#* "), len(match[1]), match.end()
    found.append(Section(heading=heading, level=level, text=text[start:].strip()))
    return [each for each in found if each.heading or each.text]


class _Builder:
    """Takes a parser's events, and builds no more than the bounds allow."""

    def __init__(self) -> None:
        self._tree = etree.TreeBuilder(element_factory=_element)
        self._depth = 0
        self._skipped = 0
        self._elements = 0
        self.truncated = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Open an element, unless it is beyond the bounds."""
        self._elements += 1
        if self._skipped or self._depth >= MOST_DEPTH or self._elements > MOST_ELEMENTS:
            self._skipped += 1
            self.truncated = True
            return
        self._depth += 1
        kept: dict[str, str] = {}
        for name, value in attributes.items():
            if len(kept) == MOST_ATTRIBUTES:
                break
            if len(value) <= LONGEST_ATTRIBUTE:
                kept[name] = value
        self._tree.start(tag, kept)

    def end(self, tag: str) -> None:
        """Close it."""
        if self._skipped:
            self._skipped -= 1
            return
        self._depth -= 1
        self._tree.end(tag)

    def data(self, text: str) -> None:
        """Add text; also that of elements which are not built."""
        if self._depth and self._elements <= MOST_ELEMENTS:
            self._tree.data(text)

    def comment(self, text: str) -> None:
        """Leave it out."""

    def pi(self, target: str, data: str | None = None) -> None:
        """Leave it out."""

    def close(self) -> HtmlElement | None:
        """Return the tree."""
        return self._tree.close() if self._elements else None


_PARSER: Final = etree.HTMLParser()
_PARSER.set_element_class_lookup(etree.ElementDefaultClassLookup(element=HtmlElement))


def _element(tag: str, attributes: dict[str, str]) -> Any:
    return _PARSER.makeelement(tag, attributes)


def _tree(html: str) -> tuple[HtmlElement | None, bool]:
    builder = _Builder()
    parser = etree.HTMLParser(target=builder, recover=True, no_network=True, encoding="utf-8", huge_tree=False)
    try:
        parser.feed(html.replace("\0", "").encode("utf-8", errors="replace"))
        return parser.close(), builder.truncated
    except (etree.LxmlError, ValueError, AssertionError):
        return None, True


def _links(tree: HtmlElement, url: str) -> list[Link]:
    """The links to pages of the web, each once, in order; no more than the first few thousand."""
    page = read_url(url)
    base = next((each.get("href") for each in tree.iter("base") if each.get("href")), None)
    try:
        start = read_url(following(page, base)) if base else page
    except InvalidURL:
        start = page
    found: dict[str, str] = {}
    read: dict[str, str] = {}
    for each in tree.iter("a", "area"):
        href = (each.get("href") or "").strip()
        if not href or href.startswith("#") or (href not in read and len(read) >= MOST_LINKS):
            continue
        if href not in read:
            read[href] = _address(start, href)
        if address := read[href]:
            text = _squeezed("".join(each.itertext())) or _squeezed(each.get("title") or each.get("aria-label") or "")
            found[address] = found.get(address) or text
    return [Link(text=text[:300], url=address) for address, text in found.items()]


def _address(start: Target, href: str) -> str:
    """Where a link leads; empty where that is not the web."""
    try:
        return str(read_url(following(start, href)).url)
    except InvalidURL:
        return ""


def _meta(tree: HtmlElement, *names: str) -> str:
    for each in tree.iter("meta"):
        if (each.get("name") or each.get("property") or "").lower() in names and each.get("content"):
            return _squeezed(each.get("content") or "")
    return ""


def _plain(tree: HtmlElement) -> str:
    """All text of a page, a line for each block."""
    parts: list[str] = []

    def visit(element: HtmlElement) -> None:
        if not isinstance(element.tag, str) or element.tag in _UNREAD or element.tag == "head":
            parts.append(element.tail or "" if element.tag != "head" else "")
            return
        block = element.tag in _BLOCKS
        parts.append("\n" if block else "")
        parts.append(re.sub(r"\s+", " ", element.text or ""))
        for child in element:
            visit(child)
        parts.append("\n" if block else "")
        parts.append(re.sub(r"\s+", " ", element.tail or ""))

    visit(tree)
    lines = (_squeezed(line) for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _move_captions(tree: HtmlElement) -> None:
    """Put the captions of tables before them: the extraction takes them for rows."""
    for caption in list(tree.iter("caption")):
        table = caption.getparent()
        if table is not None and table.tag == "table" and table.getparent() is not None:
            caption.tag = "p"
            table.addprevious(caption)


def _tidied(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None
