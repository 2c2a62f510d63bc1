"""Docstrings as data: what the tool does, each parameter, the result, the errors, the examples.

Google, NumPy and reST styles are read by `docstring_parser`; the style is recognised by its section marks, so that the
plain one-liner costs nothing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from docstring_parser import Docstring, ParseError, google, numpydoc, rest

_NUMPY: Final = re.compile(r"^[A-Z][A-Za-z ]+\n-{3,}[ \t]*$", re.MULTILINE)
_REST: Final = re.compile(
    r"^:(param|parameter|arg|argument|key|keyword|type|returns?|rtype|raises?|yields?)\b", re.MULTILINE
)
_GOOGLE: Final = re.compile(
    r"^(Args|Arguments|Parameters|Params|Returns?|Raises|Exceptions|Except|Yields?|Attributes|Keyword Args"
    r"|Keyword Arguments|Other Parameters):[ \t]*$",
    re.MULTILINE,
)
_EXAMPLE_HEADER: Final = re.compile(r"^Examples?:{1,2}[ \t]*$")
_UNDERLINE: Final = re.compile(r"^-{3,}[ \t]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDocstring:
    """The parts of a docstring; whatever it does not say is empty."""

    summary: str = ""
    """The first paragraph, on one line."""
    description: str = ""
    """The prose after it, without the sections."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Meaning by parameter name, each on one line; the stars of ``*args`` are dropped."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Meaning by attribute name, of a class."""
    repeated: tuple[str, ...] = ()
    """Parameter names that are described more than once."""
    returns: str = ""
    """What comes back, or is yielded, on one line."""
    raises: tuple[tuple[str, str], ...] = ()
    """Exception names as written, and when each is raised."""
    examples: tuple[str, ...] = ()
    """Source with ``>>>`` and the output that follows it, one text per example."""


_EMPTY: Final = ParsedDocstring()


def parse_docstring(text: str | None) -> ParsedDocstring:
    """Read a docstring of any of the three common styles.

    >>> parse_docstring("Add.\\n\\nArgs:\\n    x: First.\\n\\nReturns:\\n    The sum.").parameters
    {'x': 'First.'}
    """
    if not text or not text.strip():
        return _EMPTY
    text = inspect.cleandoc(text)
    prose, examples = _split_examples(text) if ">>>" in text else (text, ())
    parsed = _parse_sections(prose)
    if parsed is not None:
        between = "\n\n" if parsed.blank_after_short_description else "\n"
        prose = between.join(filter(None, [parsed.short_description, parsed.long_description]))
    summary, _, description = prose.partition("\n\n")
    if parsed is None:
        return ParsedDocstring(summary=_line(summary), description=description.strip(), examples=examples)
    return ParsedDocstring(
        summary=_line(summary),
        description=description.strip(),
        parameters=_entries(parsed, attributes=False),
        attributes=_entries(parsed, attributes=True),
        repeated=_repeated([each.arg_name for each in parsed.params]),
        returns=_returns(parsed),
        raises=tuple((each.type_name, _line(each.description)) for each in parsed.raises if each.type_name),
        examples=examples,
    )


def _parse_sections(text: str) -> Docstring | None:
    """None where the text has no sections, or they are not of the style that they look like."""
    style = (
        numpydoc if _NUMPY.search(text) else google if _GOOGLE.search(text) else rest if _REST.search(text) else None
    )
    try:
        return style.parse(text) if style is not None else None
    except ParseError:
        return None


def _split_examples(text: str) -> tuple[str, tuple[str, ...]]:
    """Take the sections of examples, and ``>>>`` blocks that stand elsewhere, out of ``text``."""
    prose: list[str] = []
    examples: list[list[str]] = []
    in_section = in_block = False
    lines = text.split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        is_underlined = bool(_UNDERLINE.match(following)) and bool(line.strip())
        if _GOOGLE.match(line) or _REST.match(line) or is_underlined or _EXAMPLE_HEADER.match(line):
            in_section = bool(_EXAMPLE_HEADER.match(line)) or (is_underlined and line.startswith("Example"))
            in_block = False
        if line.lstrip().startswith(">>>"):
            if not in_block:
                examples.append([])
            in_block = True
        elif not line.strip():
            in_block = False
        if in_block:
            examples[-1].append(line)
        elif not in_section:
            prose.append(line)
    return "\n".join(prose).strip(), tuple(inspect.cleandoc("\n".join(each)) for each in examples)


def _entries(parsed: Docstring, *, attributes: bool) -> dict[str, str]:
    return {
        each.arg_name.lstrip("*"): _line(each.description)
        for each in parsed.params
        if (each.args[0] == "attribute") is attributes
    }


def _returns(parsed: Docstring) -> str:
    """What comes back. ``Names: of all`` is prose with a colon; the parser takes its first half for a type."""
    found = parsed.returns
    if found is None:
        return ""
    text = _line(found.description)
    kind = found.type_name or ""
    is_prose = " " in re.sub(r"\[.*\]", "", kind).replace(" | ", "|").replace(" of ", "|")
    return f"{kind}: {text}" if kind and is_prose and text else text or kind


def _line(text: str | None) -> str:
    return " ".join(text.split()) if text else ""


def _repeated(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
