"""Docstrings as data: what the tool does, each parameter, the result, the errors, the examples, and marks for readers.

Google, NumPy and reST styles are read by `docstring_parser`; the style is recognised by its section marks, so that the
plain one-liner costs nothing.
"""

from __future__ import annotations

import inspect
import re
from collections import deque
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
_MARK: Final = re.compile(r"^\.\. (?P<kind>versionadded|versionchanged|deprecated|seealso)::(?P<text>.*)$")
_SEE_ALSO: Final = re.compile(r"^see also(?P<inline>:)?(?P<text>.*)$", re.IGNORECASE)
_ROLE: Final = re.compile(r":[\w:.-]+:`~?([^`<]*)[^`]*`")
"""Sphinx's ``:func:`name```."""
_NAME: Final = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_ABOUT: Final = re.compile(r"\s*:(?:\s|$)|\s+-\s")
"""What parts a name from the words about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a docstring says for the readers of its page, besides what it says of the tool."""

    added: str = ""
    """The version of the toolkit that brought the tool."""
    changed: tuple[str, ...] = ()
    """What later versions changed, each a sentence."""
    deprecated: str | None = None
    """Since when, and what to use instead; None: it is not deprecated."""
    see_also: tuple[str, ...] = ()
    """Names of related tools, as written."""

    @property
    def warning(self) -> str:
        """What the model has to know of it: the deprecation, in a sentence."""
        if self.deprecated is None:
            return ""
        if self.deprecated.startswith("Since "):
            return f"Deprecated s{self.deprecated[1:]}"
        return f"Deprecated. {self.deprecated}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDocstring:
    """The parts of a docstring; whatever it does not say is empty."""

    summary: str = ""
    """The first paragraph, on one line."""
    description: str = ""
    """The prose after it, without the sections and marks; a deprecation is its first paragraph."""
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
    marks: Marks = Marks()
    """Versions, deprecation, related tools; see `Marks` for the forms."""


_EMPTY: Final = ParsedDocstring()


def parse_docstring(text: str | None, *, deprecated: str | None = None) -> ParsedDocstring:
    """Read a docstring of any of the three common styles.

    Marks are Sphinx's (``.. versionadded:: 1.2``, ``.. versionchanged:: 1.3 Why.``, ``.. deprecated:: 2.0 What else.``,
    ``.. seealso:: names``), and the sections ``See also:`` of Google's and NumPy's style.

    >>> parse_docstring("Add.\\n\\nArgs:\\n    x: First.\\n\\nReturns:\\n    The sum.").parameters
    {'x': 'First.'}

    Args:
        text: The docstring.
        deprecated: What `typing_extensions.deprecated` says of the object, which a mark of the docstring overrides.
    """
    if (not text or not text.strip()) and deprecated is None:
        return _EMPTY
    text, marks = _split_marks(inspect.cleandoc(text or ""), deprecated)
    prose, examples = _split_examples(text) if ">>>" in text else (text, ())
    parsed = _parse_sections(prose)
    if parsed is not None:
        between = "\n\n" if parsed.blank_after_short_description else "\n"
        prose = between.join(filter(None, [parsed.short_description, parsed.long_description]))
    summary, _, description = prose.partition("\n\n")
    description = "\n\n".join(filter(None, [marks.warning, description.strip()]))
    if parsed is None:
        return ParsedDocstring(summary=_line(summary), description=description, examples=examples, marks=marks)
    return ParsedDocstring(
        summary=_line(summary),
        description=description,
        parameters=_entries(parsed, attributes=False),
        attributes=_entries(parsed, attributes=True),
        repeated=_repeated([each.arg_name for each in parsed.params]),
        returns=_returns(parsed),
        raises=tuple((each.type_name, _line(each.description)) for each in parsed.raises if each.type_name),
        examples=examples,
        marks=marks,
    )


def _split_marks(text: str, deprecated: str | None) -> tuple[str, Marks]:
    """Take the marks out of a docstring without indentation."""
    if ".. " not in text and "see also" not in text.lower():
        return text, Marks(deprecated=deprecated)
    added = ""
    changed: list[str] = []
    see_also: list[str] = []
    kept: list[str] = []
    lines = deque(text.split("\n"))
    while lines:
        line = lines.popleft()
        if (mark := _MARK.match(line)) is not None:
            said, kind = [mark["text"], *_below(lines)], mark["kind"]
        elif (section := _SEE_ALSO.match(line)) is not None and section["inline"]:
            said, kind = [section["text"], *_below(lines, paragraph=True)], "seealso"
        elif section is not None and not section["text"].strip() and _is_underlined(lines):
            said, kind = ["", *_below_dashes(lines)], "seealso"
        else:
            kept.append(line)
            continue
        version, _, rest = _line(" ".join(said)).partition(" ")
        if kind == "seealso":
            see_also += _names(said)
        elif kind == "versionadded":
            added = version
        elif kind == "versionchanged":
            changed.append(f"Changed in {version}{f': {rest}' if rest else '.'}")
        else:
            deprecated = f"Since {version}. {rest}".strip() if version[:1].isdigit() else f"{version} {rest}".strip()
        while lines and not lines[0].strip() and not (kept and kept[-1].strip()):
            lines.popleft()
    marks = Marks(added=added, changed=tuple(changed), deprecated=deprecated, see_also=tuple(dict.fromkeys(see_also)))
    return "\n".join(kept).strip(), marks


def _below(lines: deque[str], *, paragraph: bool = False) -> list[str]:
    """Take from ``lines`` what is indented, or stands in the same ``paragraph``."""
    taken: list[str] = []
    while lines:
        following = next((line for line in lines if line.strip()), "")
        goes_on = paragraph and lines[0].strip() and "" not in taken and not _is_head(lines[0])
        if not (following[:1].isspace() or goes_on):
            break
        taken.append(lines.popleft().rstrip())
    return taken


def _below_dashes(lines: deque[str]) -> list[str]:
    """Take from ``lines`` what stands below a line of dashes, up to the next heading."""
    lines.popleft()
    taken: list[str] = []
    while lines and not (len(lines) > 1 and _UNDERLINE.match(lines[1])):
        taken.append(lines.popleft())
    return taken


def _is_underlined(following: deque[str]) -> bool:
    return bool(following) and _UNDERLINE.match(following[0]) is not None


def _is_head(line: str) -> bool:
    return line.startswith(">>>") or any(
        each.match(line) for each in (_GOOGLE, _REST, _MARK, _SEE_ALSO, _EXAMPLE_HEADER)
    )


def _names(said: list[str]) -> list[str]:
    """The names in a list of related tools, without the words about them: the first line, and those below it."""
    inline, *below = (_ROLE.sub(r"\1", line) for line in said)
    outer = min((_indentation(line) for line in below if line), default=0)
    heads = [inline, *(line for line in below if line and _indentation(line) == outer)]
    return [name for line in heads for name in _NAME.findall(_ABOUT.split(line.strip())[0])]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


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
