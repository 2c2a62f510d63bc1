"""A tool in a guide: lines of the form ``::: tool calendar.working_days`` and ``::: toolkit calendar``.

The first becomes the tool in short, with a link to its page; the second the toolkit's table of tools.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from .collect import Page
from .markdown import cell, code, table

_DIRECTIVE: Final = re.compile(r"^::: (?P<kind>tool|toolkit) (?P<name>[\w.]+)[ \t]*$")
_FENCE: Final = re.compile(r"^ {0,3}(?P<ticks>`{3,}|~{3,})")


def expand(markdown: str, pages: Iterable[Page], *, source: str, folder: str, complain: Callable[[str], None]) -> str:
    """Replace the directives of a page; those in fenced code stay.

    Args:
        markdown: The page.
        pages: The generated ones.
        source: The page's own path in the docs, for links.
        folder: Where the generated pages are in the docs.
        complain: Called with a sentence for each directive that names nothing.
    """
    if "::: tool" not in markdown:
        return markdown
    known = list(pages)
    here = posixpath.dirname(source)

    def link(page: Page) -> str:
        return posixpath.relpath(posixpath.join(folder, page.path), here or ".")

    def replacement(found: re.Match[str]) -> str:
        shown = _tool(found["name"], known, link) if found["kind"] == "tool" else _table(found["name"], known, link)
        if shown is None:
            complain(f"{source}: {_unknown(found['kind'], found['name'], known)}")
            return f"**There is no {found['kind']} {code(found['name'])}.**"
        return shown

    return "\n".join(
        replacement(found) if not is_code and (found := _DIRECTIVE.match(line)) else line
        for line, is_code in _lines(markdown)
    )


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is in fenced code."""
    fence = ""
    for line in markdown.split("\n"):
        found = _FENCE.match(line)
        if not fence and found:
            fence = found["ticks"]
            yield line, True
        elif fence and found and found["ticks"].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
            yield line, True
        else:
            yield line, bool(fence)


def _tool(name: str, pages: list[Page], link: Callable[[Page], str]) -> str | None:
    found = [page for page in pages if page.tool and name in (page.tool, page.tool.rpartition(".")[2])]
    if len(found) != 1:
        return None
    return f"{found[0].card}\n[All about {code(found[0].tool)}]({link(found[0])})\n"


def _table(name: str, pages: list[Page], link: Callable[[Page], str]) -> str | None:
    rows = [(f"[{code(page.title)}]({link(page)})", cell(page.summary)) for page in pages
            if page.tool and page.toolkit == name]  # fmt: skip
    return table(("Tool", "What it does"), rows) if any(page.toolkit == name for page in pages) else None


def _unknown(kind: str, name: str, pages: list[Page]) -> str:
    names = [page.tool if kind == "tool" else page.toolkit for page in pages]
    names = [each for each in dict.fromkeys(names) if each]
    same = [each for each in names if each.rpartition(".")[2] == name]
    if same:
        return f"{name!r} is in several toolkits; write {' or '.join(same)}."
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none'}."
    return f"there is no {kind} {name!r}; {hint}"
