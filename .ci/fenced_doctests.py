"""Examples of docstrings that stand outside an ``Examples:`` section, as code in the API reference.

Markdown takes ``>>>`` for a quotation of a quotation. This extension of griffe, which mkdocstrings reads docstrings
with, puts such blocks in fences.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_SECTION = re.compile(r"^(?P<indent>[ ]*)Examples?:[ ]*$", re.MULTILINE)
_EXAMPLE = re.compile(r"^[ ]*>>> .*(?:\n[ ]*\S.*)*", re.MULTILINE)


def fenced(text: str) -> str:
    """Put each block that starts with ``>>>`` in a fence, but those of a section of examples."""
    section = _SECTION.search(text)
    head, tail = (text[: section.start()], text[section.start() :]) if section else (text, "")
    return _EXAMPLE.sub(_fence, head) + tail


def _fence(found: re.Match[str]) -> str:
    indent = " " * (len(found[0]) - len(found[0].lstrip()))
    return f"{indent}```pycon\n{found[0]}\n{indent}```"


class FencedDoctests(griffe.Extension):
    """Changes each docstring as it is loaded."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put the examples of an object's docstring in fences."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
