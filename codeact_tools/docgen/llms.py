"""``llms.txt`` (https://llmstxt.org), ``llms-full.txt`` and the ``.md`` of each page: the site for models."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

_LINK: Final = re.compile(r"(?<=\]\()(?P<path>[^)\s:#]+\.md)(?P<anchor>#[^)\s]*)?(?=\))")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A page as a model reads it."""

    section: str
    """The heading under which it is listed; empty: the first, without heading."""
    title: str
    summary: str
    path: str
    """Of its ``.md`` below the site's root."""
    markdown: str


def llms_txt(name: str, description: str, documents: Sequence[Document], *, base: str = "") -> str:
    """The list of all pages, by section, with a sentence each.

    Args:
        name: The site's.
        description: The site's.
        documents: In the order of the navigation.
        base: The site's URL; without it links are relative to the list.
    """
    parts = [f"# {name}", f"> {description}" if description else ""]
    for section in dict.fromkeys(document.section for document in documents):
        lines = [_entry(document, base) for document in documents if document.section == section]
        parts.append("\n".join([f"## {section or 'Docs'}", "", *lines]))
    return "\n\n".join(filter(None, parts)) + "\n"


def llms_full_txt(name: str, description: str, documents: Iterable[Document], *, base: str = "") -> str:
    """All pages in one text, each after a line with its address."""
    head = "\n\n".join(filter(None, [f"# {name}", f"> {description}" if description else ""]))
    bodies = (f"<!-- {urljoin(base, document.path)} -->\n\n{document.markdown.strip()}" for document in documents)
    return "\n\n".join([head, *bodies]) + "\n"


def relinked(markdown: str, *, source: str, own: str, destination: Callable[[str], str | None]) -> str:
    """Make the links of a page lead to the ``.md`` of other pages.

    Args:
        markdown: The page, with links that are relative to ``source``.
        source: The page's path in the docs.
        own: Where its ``.md`` is in the site.
        destination: Where the ``.md`` of a source path is in the site; None: it is no page.
    """

    def link(found: re.Match[str]) -> str:
        target = destination(posixpath.normpath(posixpath.join(posixpath.dirname(source), found["path"])))
        if target is None:
            return found[0]
        return posixpath.relpath(target, posixpath.dirname(own) or ".") + (found["anchor"] or "")

    return _LINK.sub(link, markdown)


def first_sentence(markdown: str) -> str:
    """The first sentence of a page's first paragraph, for pages that have no description.

    >>> first_sentence("# Tools\\n\\nA tool is a function. It has a name.")
    'A tool is a function.'
    """
    for block in re.split(r"\n\s*\n", markdown):
        text = " ".join(block.split())
        if text and text[0] not in "#`|<>!:-":
            sentence = re.split(r"(?<=[.!?:])\s", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text), maxsplit=1)[0]
            return sentence.replace("**", "")
    return ""


def _entry(document: Document, base: str) -> str:
    summary = f": {document.summary}" if document.summary else ""
    return f"- [{document.title}]({urljoin(base, document.path)}){summary}"
