"""What the model reads of a check: the line, a caret, one sentence, and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..events import Finding

_CHARS_PER_TOKEN: Final = 3.5
"""Cautious for code and English with the tokenizers of current models."""

_WIDEST: Final = 96
_RANK: Final = {
    kind: rank
    for rank, kind in enumerate(
        ("syntax", "import", "name", "await", "argument", "constraint", "type", "key", "attribute")
    )
}


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, most important first: errors before warnings, causes before what may follow from them."""
    return sorted(findings, key=lambda each: (each.severity != "error", _RANK[each.kind], each.line, each.column))


def render(code: str, findings: Sequence[Finding], *, tokens: int) -> str:
    """Findings as text of about ``tokens`` tokens at most: the first in full, others in a line where room is scarce."""
    lines = code.split("\n")
    most = int(tokens * _CHARS_PER_TOKEN)
    short = [f"Line {each.line}: {_cut(each.message, 160)}" for each in findings]
    short[:1] = [_block(lines, each, each.hint) for each in findings[:1]]
    kept = _fitting(short, most)
    room = most - sum(len(line) + 1 for line in short[:kept])
    blocks: list[str] = []
    told: set[str] = set()
    for each, line in zip(findings[:kept], short, strict=False):
        hint = each.hint if each.hint and each.hint not in told else None
        full = _block(lines, each, hint)
        fits = len(full) - len(line) <= room
        blocks.append(full if fits else line)
        if fits:
            room -= len(full) - len(line)
            told.update(filter(None, [hint]))
    if kept < len(findings):
        blocks.append(f"... and {len(findings) - kept} more.")
    return "\n".join(blocks)


def _fitting(lines: Sequence[str], most: int) -> int:
    """How many of ``lines`` fit into ``most`` characters; at least one."""
    used = 0
    for count, line in enumerate(lines):
        used += len(line) + 1
        if used > most and count:
            return count
    return len(lines)


def _block(lines: Sequence[str], finding: Finding, hint: str | None) -> str:
    text = lines[finding.line - 1] if finding.line <= len(lines) else ""
    parts = [f"Line {finding.line}: {finding.message}"]
    if text.strip():
        shown, start = _window(text.replace("\t", " "), finding.column - 1)
        width = max((finding.end_column or finding.column + 1) - finding.column, 1)
        width = min(width, max(len(shown) - start, 1))
        parts += [f"    {shown}", f"    {' ' * start}{'^' * width}"]
    if hint:
        parts.append(f"  {hint}")
    return "\n".join(parts)


def _window(text: str, column: int) -> tuple[str, int]:
    """The part of a line around ``column`` that fits, without its indentation, and where the column is in it."""
    indent = len(text) - len(text.lstrip())
    text, column = text.strip(), max(column - indent, 0)
    if len(text) <= _WIDEST:
        return text, min(column, len(text))
    start = max(0, min(column - _WIDEST // 3, len(text) - _WIDEST))
    piece = text[start : start + _WIDEST]
    before, after = "..." if start else "", "..." if start + _WIDEST < len(text) else ""
    return f"{before}{piece}{after}", column - start + len(before)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
