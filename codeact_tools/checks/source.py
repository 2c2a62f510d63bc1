"""Read an action's source: repair what is certain, and say in plain words why the rest does not parse.

>>> read("```python\\nprint(1)\\n```").code
'print(1)'
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from ..events import Finding, FindingKind

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINES: Final = re.compile(r"\r\n|\r|\n")
_TAG: Final = r"</?(?:execute|solution|code|python|action|tool_code)>?|<\|[a-z_]+\|>|^\s*End Action\s*$"
_TAG_LINE: Final = re.compile(rf"^\s*(?:{_TAG})\s*$\n?", re.MULTILINE)
_TAG_AT_END: Final = re.compile(rf"\s*(?:{_TAG})\s*\Z")
_TAG_AT_START: Final = re.compile(rf"\A\s*(?:{_TAG})")
_FENCE: Final = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]*$", re.MULTILINE)
_PROMPT: Final = re.compile(r"^(?:>>>|\.\.\.)(?: |$)")
_INSTALL: Final = re.compile(
    r"^\s*(?:[!%]\s*)?(?:python3? -m )?(?:pip3?|conda|uv|apt(?:-get)?)\s+(?:pip\s+)?(?:install|add)\b"
)
_SHELL: Final = re.compile(r"^\s*[!%]")
_PROSE: Final = re.compile(
    r"""^\s* (?:
        (?: \#{1,6}\ | [-*]\ | \d+\.\  )? [A-Z][A-Za-z']*,? (?: \ [A-Za-z0-9',`-]+ ){2,} [.:!?,]?   # a few words
        | [A-Z][^=()\[\]]{20,}[.:!?]                                                                # a sentence
    ) \s*$""",
    re.VERBOSE,
)
_SPACES: Final = dict.fromkeys(map(ord, "\u00a0\u2007\u202f\u2009\u3000"), " ") | dict.fromkeys(
    map(ord, "\ufeff\u200b\u200c\u200d\u2060"), None
)
_QUOTES: Final = {ord("\u201c"): '"', ord("\u201d"): '"', ord("\u201e"): '"'}
_APOSTROPHES: Final = {ord("\u2018"): "'", ord("\u2019"): "'"}
_SMALL: Final = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop)
_UNFINISHED: Final = (
    "was never closed",
    "unterminated",
    "unexpected EOF",
    "expected an indented block",
    "unexpected end",
)


LONGEST: Final = 100_000
"""Characters of an action. Reading it takes time and memory on the host, and no limit of the sandbox stops that."""
_TOO_LONG: Final = "the action has"


class Span(NamedTuple):
    """Where something stands: 1-based line and columns, counted in characters."""

    line: int
    column: int
    end_column: int | None


@dataclass(frozen=True)
class Source:
    """An action as it is to be checked and run."""

    code: str
    tree: ast.Module
    """Empty where the code does not parse."""
    error: Finding | None = None
    """Why the code does not parse."""

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree, as `walk` lists them."""
        return walk(self.tree)

    @cached_property
    def cell(self) -> str:
        """The code as the type checker reads it: without annotations of variables, everything else in its place.

        To the checker an annotated variable has that type for ever; to Python, and to a model, it has it until it is
        bound to something else.
        """
        inside = {id(each) for node in self.nodes if isinstance(node, ast.ClassDef) for each in node.body}
        lines = _LINES.split(self.code)
        found = False
        for node in self.nodes:
            if not isinstance(node, ast.AnnAssign) or id(node) in inside or not isinstance(node.target, ast.Name):
                continue
            if node.annotation.end_lineno != node.lineno:
                continue
            found = True
            line, start, end = self.span(node.annotation)
            begin, stop = self.span(node.target).column, end or start
            kept = f"{'0' if node.value is None else node.target.id:{stop - begin}}"
            lines[line - 1] = lines[line - 1][: begin - 1] + kept + lines[line - 1][stop - 1 :]
        return "\n".join(lines) if found else self.code

    @cached_property
    def _lines(self) -> list[bytes]:
        return [line.encode() for line in _LINES.split(self.code)]

    def span(self, node: ast.expr | ast.stmt | ast.alias | ast.keyword) -> Span:
        """Where ``node`` stands; its end only where it is on the same line."""
        text = self._lines[node.lineno - 1]
        column = len(text[: node.col_offset].decode()) + 1
        if node.end_lineno != node.lineno or node.end_col_offset is None:
            return Span(node.lineno, column, None)
        return Span(node.lineno, column, len(text[: node.end_col_offset].decode()) + 1)

    def finding(
        self,
        node: ast.expr | ast.stmt | ast.alias | ast.keyword,
        kind: FindingKind,
        message: str,
        hint: str | None = None,
    ) -> Finding:
        """A blocking finding at ``node``."""
        line, column, end = self.span(node)
        return Finding(kind=kind, message=message, hint=hint, line=line, column=column, end_column=end)


def read(code: str) -> Source:
    """Parse ``code``, after the smallest repair that makes it parse, where a repair is certain."""
    error = _error_of(code)
    if error is None:
        return Source(code, parse(code))
    repaired = code
    for repair in (_strip_tags, _unfence, textwrap.dedent, _strip_prompts, _plain_spaces, _plain_quotes):
        candidate = repair(repaired).strip("\n")
        if candidate == repaired.strip("\n") or not candidate.strip():
            continue
        repaired = candidate
        if _error_of(repaired) is None:
            return Source(repaired, parse(repaired))
    return Source(code, ast.Module([], []), _explain(code, error))


def walk(tree: ast.AST) -> list[ast.AST]:
    """``ast.walk`` without operators and contexts, which nobody asks for: a third of its time."""
    found = [tree]
    for node in found:
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                found += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, _SMALL):
                found.append(value)
    return found


def parse(code: str) -> ast.Module:
    """The syntax tree of an action, where top-level ``await`` is legal.

    Raises:
        SyntaxError: It does not parse, or the compiler refuses it, or it is longer than `LONGEST`.
        ValueError: It holds null bytes.
        RecursionError: It is nested too deeply.
        MemoryError: Likewise.
    """
    if len(code) > LONGEST:
        raise SyntaxError(f"{_TOO_LONG} {len(code):,} characters, and {LONGEST:,} are the most")
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = compile(code, "<action>", "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        compile(tree, "<action>", "exec", flags, dont_inherit=True)
    if not isinstance(tree, ast.Module):
        raise TypeError(f"compile() returned {type(tree).__name__}")
    return tree


def _error_of(code: str) -> SyntaxError | None:
    try:
        parse(code)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:
        text = "the code contains null bytes" if isinstance(error, ValueError) else "the code is nested too deeply"
        return SyntaxError(text)
    return None


# ---- repairs: each removes or replaces only what cannot be meant as Python ------------------------------------------


def _strip_tags(code: str) -> str:
    code = _TAG_LINE.sub("", code)
    while (stripped := _TAG_AT_START.sub("", _TAG_AT_END.sub("", code))) != code:
        code = stripped
    return code


def _unfence(code: str) -> str:
    """What stands inside markdown fences; prose around them is dropped."""
    pieces = _FENCE.split(code)
    if len(pieces) == 1:
        return code
    if len(pieces) == 2:
        # One fence only: it opens the code, unless what stands before it is the code already.
        before, after = pieces
        return before if before.strip() and _error_of(before) is None else after
    return "\n".join(piece.strip("\n") for piece in pieces[1::2])


def _strip_prompts(code: str) -> str:
    """Drop the prompts of an interpreter transcript, and the output between them."""
    lines = code.splitlines()
    if not any(line.startswith(">>>") for line in lines):
        return code
    return "\n".join(_PROMPT.sub("", line) for line in lines if _PROMPT.match(line))


def _plain_spaces(code: str) -> str:
    return code.translate(_SPACES)


def _plain_quotes(code: str) -> str:
    """Typographic quotes as plain ones; apostrophes inside of texts are left alone where that parses."""
    doubled = code.translate(_QUOTES)
    return doubled if _error_of(doubled) is None else doubled.translate(_APOSTROPHES)


# ---- explanations ---------------------------------------------------------------------------------------------------


def _explain(code: str, error: SyntaxError) -> Finding:
    lines = _LINES.split(code)
    line = min(max(error.lineno or 1, 1), len(lines))
    for habit in (_install, _shell, _prose, _smart_quote):
        if found := habit(lines, line):
            number, message, hint = found
            return Finding(kind="syntax", message=message, hint=hint, line=number)
    reason = (error.msg or "invalid syntax").rstrip(".")
    message, advice = _reworded(reason, lines[line - 1])
    column, end = max(error.offset or 1, 1), error.end_offset
    if error.end_lineno not in (None, error.lineno) or end is None or end <= column:
        end = None
    return Finding(kind="syntax", message=message, hint=advice, line=line, column=column, end_column=end)


def _reworded(reason: str, line: str) -> tuple[str, str | None]:
    """The interpreter's reason as message and hint."""
    if reason.startswith(_TOO_LONG):
        return f"{reason.capitalize()}.", "Keep data out of the code: let a tool, or a file, give it."
    if any(sign in reason for sign in _UNFINISHED):
        return f"The action is unfinished: {reason}.", "Write the whole action again, shorter if it was cut off."
    if "\u2026" in line:
        return "`\u2026` is a mark of clipped output, not Python.", "Use the variable that holds the data."
    if "f-string" in reason:
        return f"Not valid Python: {reason}.", "Inside an f-string use the other kind of quotes."
    return f"Not valid Python: {reason}.", None


def _install(lines: list[str], _line: int) -> tuple[int, str, str] | None:
    for number, text in enumerate(lines, 1):
        if _INSTALL.match(text):
            return number, "Packages cannot be installed.", "Leave this line out and use what is available."
    return None


def _shell(lines: list[str], _line: int) -> tuple[int, str, str] | None:
    for number, text in enumerate(lines, 1):
        if _SHELL.match(text):
            return number, "Shell commands and magics do not exist here; an action is plain Python.", "Use the tools."
    return None


def _prose(lines: list[str], line: int) -> tuple[int, str, str] | None:
    text = lines[line - 1]
    if _PROSE.match(text) and _error_of(text.strip()) is not None:
        return line, "This line is text, not Python.", "Put explanations before the action, or into a comment: `# ...`."
    return None


def _smart_quote(lines: list[str], line: int) -> tuple[int, str, str] | None:
    if any(ord(sign) in _QUOTES or ord(sign) in _APOSTROPHES for sign in lines[line - 1]):
        return line, "Typographic quotes are not Python.", "Use plain \" or '."
    return None


def clipped(source: Source) -> Iterator[Finding]:
    """``...`` as an element of data: copied from a clipped output."""
    subscripts = {id(node.slice) for node in source.nodes if isinstance(node, ast.Subscript)}
    for node in source.nodes:
        if id(node) in subscripts or not isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            continue
        elements = [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts
        for each in elements if len(elements) > 1 else ():
            if isinstance(each, ast.Constant) and each.value is ...:
                hint = "Use the variable that holds the whole data, or compute it again."
                yield source.finding(each, "syntax", "`...` stands for clipped output; it is not data.", hint)
