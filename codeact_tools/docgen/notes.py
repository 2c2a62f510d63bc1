"""What a docstring says besides its sections: version marks, deprecation, references to other tools.

The marks are Sphinx's: ``.. versionadded:: 1.2``, ``.. deprecated:: 2.0 Use `quote` instead.`` and a section
``See also:``. A function that carries `typing_extensions.deprecated` is deprecated too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..specs import ToolSpec

_MARK: Final = re.compile(
    r"^\.\. (?P<kind>versionadded|deprecated)::[ \t]*(?P<version>\S*)[ \t]*(?P<text>.*(?:\n[ \t]+\S.*)*)$", re.MULTILINE
)
_SEE_ALSO: Final = re.compile(r"^See also:[ \t]*\n?(?P<text>(?:[ \t]*\S.*\n?)+)", re.MULTILINE | re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Notes:
    """A description, taken apart."""

    prose: str = ""
    """What is left for the reader."""
    added: str = ""
    """The version of the toolkit that brought the tool."""
    deprecated: str | None = None
    """Since when, and what to use instead; None: it is not deprecated."""
    see_also: tuple[str, ...] = ()
    """Names of related tools, as written."""


def notes_of(spec: ToolSpec) -> Notes:
    """Read the marks in a tool's description."""
    added, deprecated = "", getattr(spec.function, "__deprecated__", None)
    for mark in _MARK.finditer(spec.description):
        text = " ".join(mark["text"].split())
        if mark["kind"] == "versionadded":
            added = mark["version"]
        else:
            deprecated = f"Since {mark['version']}. {text}".strip() if mark["version"] else text
    prose = _MARK.sub("", spec.description)
    found = _SEE_ALSO.search(prose)
    names = tuple(dict.fromkeys(_NAME.findall(found["text"]))) if found else ()
    prose = _SEE_ALSO.sub("", prose).strip()
    return Notes(prose=prose, added=added, deprecated=deprecated, see_also=names)
