"""Python source in what a model wrote: find it, strip what does not belong to it, recognise it."""

from __future__ import annotations

import ast
import html
import keyword
import re
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON_LABELS = frozenset({"python", "py", "python3", "py3", "ipython", "pycon", "tool_code", "execute"})
"""Info strings of markdown fences that hold an action; ``tool_code`` is a habit of Gemma and Gemini."""

_MOST_PARSED = 200_000
"""Longer texts, in characters, count as no program: no model writes one, and a parse would take seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A fenced code block of a markdown text."""

    label: str
    """First word of the info string, in lower case."""
    code: str
    start: int
    """Offset of the fence in the text."""
    end: int
    closed: bool

    @property
    def is_python(self) -> bool:
        """Whether the block is Python, by its label; one without a label has to look like a program."""
        return self.label in PYTHON_LABELS or (not self.label and is_program(self.code))


def syntax_tree(code: str) -> ast.Module | None:
    """Return the tree of ``code``, None where it is not Python."""
    if len(code) > _MOST_PARSED:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model's invalid escape sequence is no concern of the application
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def parses(code: str) -> bool:
    """Whether ``code`` is syntactically Python."""
    return syntax_tree(textwrap.dedent(code).strip()) is not None


def is_program(text: str) -> bool:
    """Whether ``text`` is a program, not prose or a value: it parses, and it calls or imports something at top level.

    >>> is_program("orders = search('shoes')"), is_program("print(4)"), is_program("42"), is_program("x = 5")
    (True, True, False, False)
    """
    tree = syntax_tree(textwrap.dedent(text).strip())
    return tree is not None and any(_acts(statement) for statement in tree.body)


def _acts(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.For | ast.With | ast.While):
        return True
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Await):
        value = value.value
    return isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign) and isinstance(value, ast.Call)


def literal_final_answer(code: str) -> str | None:
    """Return the answer of code that is only ``final_answer(<literal>)``, a habit from other frameworks."""
    if "final_answer" not in code or (tree := syntax_tree(code)) is None or len(tree.body) != 1:
        return None
    call = tree.body[0].value if isinstance(tree.body[0], ast.Expr) else None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "final_answer"):
        return None
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if len(arguments) != 1:
        return None
    try:
        return str(ast.literal_eval(arguments[0]))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def extract_code(block: str) -> str:
    r"""Return the program in ``block``: without fences, common indentation, prompts, and lines of prose around it.

    Signs that a text processor has made of what stands on a keyboard are undone, where that makes it parse.

    >>> extract_code(">>> print(2 + 3)\n5"), extract_code("I add:\nprint(“a”)")
    ('print(2 + 3)', 'print("a")')
    """
    block = re.sub(r"\A(?:`|\*\*)\n|\n(?:`|\*\*)\Z", "", block.strip("\n"))  # the tags stood in bold type, or as code
    if "```" in block and not parses(block):
        block = _without_fences(block)
    code = _without_prompts(_without_label(_dedented(block)))
    mended = code
    for mend in (str, _as_typed, _without_prose):
        mended = mend(mended)
        if syntax_tree(mended) is not None:
            return mended
    return code


def _without_fences(block: str) -> str:
    """Return ``block`` without the marks of its fences; without what stands outside of them, if that is no Python."""
    lines = block.splitlines()
    bare = "\n".join(line for line in lines if not line.strip().startswith("```"))
    if parses(bare):
        return bare
    before, _, after = block.partition("\n```")
    if (not after.strip() or after[0] == "\n") and "```" not in after and parses(before):
        return before  # the fence was meant as the closing tag
    fences = [fence.code for fence in fenced_blocks(block) if fence.label in PYTHON_LABELS or not fence.label]
    return "\n".join(code for code in fences if code.strip()) or bare.replace("```", "")


def fenced_blocks(text: str) -> Iterator[Fence]:
    """Yield the markdown fences of ``text``, in order; an open one goes to the end of the text."""
    offset = 0
    fence: tuple[str, str, int, list[str]] | None = None  # mark, label, start, lines
    for line in text.splitlines(keepends=True):
        start, offset = offset, offset + len(line)
        if fence is None:
            opened = _opening(line)
            if opened is None:
                continue
            mark, info, column = opened
            if (inline := _one_line(info, mark)) is not None:
                yield Fence(label=inline[0], code=inline[1], start=start + column, end=offset, closed=True)
                continue
            fence = (mark, _label(info), start + column, [])
            continue
        mark, label, begun, lines = fence
        stripped = line.rstrip()
        if stripped.endswith(mark):
            lines.append(stripped[: -len(mark)].rstrip("`"))
            yield Fence(label=label, code="".join(lines), start=begun, end=offset, closed=True)
            fence = None
        else:
            lines.append(line)
    if fence is not None:
        _, label, begun, lines = fence
        code = re.sub(r"\n`{1,2}\Z", "\n", "".join(lines))  # the end of the reply cut the closing mark in two
        yield Fence(label=label, code=code, start=begun, end=len(text), closed=False)


def _opening(line: str) -> tuple[str, str, int] | None:
    """Return the mark, the info string and the column of a fence that opens on ``line``.

    In the middle of a line only a Python label opens one, so that inline code stays prose.
    """
    for mark in ("```", "~~~"):
        column = line.find(mark)
        if column < 0:
            continue
        info = line[column:].lstrip(mark[0]).strip()
        if not line[:column].strip() or info.lower() in PYTHON_LABELS:
            return mark, info, column
    return None


def _label(info: str) -> str:
    words = info.strip("{}. ").lower().split(maxsplit=1)
    label = words[0].strip("{}.,") if words else ""
    return "python" if label.startswith("python") else label


def _one_line(info: str, mark: str) -> tuple[str, str] | None:
    """Return label and code of a fence that opens and closes on one line."""
    if not info.endswith(mark):
        return None
    body = info[: -len(mark)].rstrip("`").strip()
    label, _, rest = body.partition(" ")
    return (_label(label), rest.strip()) if label.lower() in PYTHON_LABELS else ("", body)


def _dedented(block: str) -> str:
    """Remove indentation that all lines share, or all lines but the first, which stood beside the opening tag."""
    if block[:1] == " " != block[1:2] and syntax_tree(beside := block.strip()) is not None:
        return beside  # the space parted the code from the tag
    code = textwrap.dedent(block).strip()
    first, newline, rest = code.partition("\n")
    if newline and syntax_tree(code) is None:
        beside = f"{first}\n{textwrap.dedent(rest)}"
        if syntax_tree(beside) is not None:
            return beside
    return code


def _without_label(code: str) -> str:
    """Drop a first line that only names the language, as if a fence had been opened."""
    first, newline, rest = code.partition("\n")
    return rest.strip("\n") if newline and first.strip() in PYTHON_LABELS else code


_PROMPT = re.compile(r"\s*(?:>>>|\.\.\.)(?: |$)|\s*>>>(?=\w)")
_INPUT = re.compile(r"(?:In ?\[\d+\]:|\s*\.\.\.:) ?")
_OUTPUT = re.compile(r"Out ?\[\d+\]:")


def _without_prompts(code: str) -> str:
    """Drop the prompts, and the output between them, of an interactive session, and prose before it."""
    lines = code.splitlines()
    if any(line.lstrip().startswith(">>>") for line in lines) and syntax_tree(code) is None:
        return "\n".join(line[prompt.end() :] for line in lines if (prompt := _PROMPT.match(line))).strip()
    if _INPUT.match(code):
        return "\n".join(_INPUT.sub("", line, count=1) for line in lines if not _OUTPUT.match(line)).strip()
    return code


_TYPED = str.maketrans("\u201c\u201d\u201e\u2018\u2019\u2212\u00a0", '"""\'\'- ', "\u200b\ufeff")
"""Typographic quotes, the minus sign and the no-break space; and what has no width."""


def _as_typed(code: str) -> str:
    """Undo typographic quotes, entities of HTML, and spaces that are none."""
    return html.unescape(code).translate(_TYPED)


def _without_prose(code: str) -> str:
    """Drop sentences before and after a program, where that makes it parse."""
    lines = code.splitlines()
    while lines and (not lines[0].strip() or is_prose(lines[0])):
        lines.pop(0)
    while lines and (not lines[-1].strip() or is_prose(lines[-1])):
        lines.pop()
    program = textwrap.dedent("\n".join(lines))
    return program if lines and syntax_tree(program) is not None else code


_HEADING = re.compile(r"[A-Z]\w*(?: \w+)*:|[A-Z][\w']* \w.*[.:!?]")
"""A line that reads like a heading or a whole sentence."""


def is_prose(line: str) -> bool:
    """Whether ``line`` is a sentence: words, and nothing that a statement with an effect would need."""
    words = line.split()
    if line[:1].isspace() or not words or keyword.iskeyword(words[0].rstrip(":")):  # `if a b:` is a broken statement
        return False
    sentence = len(words) > 2 and not any(sign in line for sign in '=()[]{}#"@')
    return (sentence or bool(_HEADING.fullmatch(line.strip()))) and syntax_tree(line) is None
