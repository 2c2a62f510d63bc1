"""Unified diffs of text, in bounded time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Annotated

from pydantic import Field

from codeact_tools import ToolContext, tool

from .access import KIB, Access, Deadline
from .errors import FilesError, NotAllowed, NotFound, NotText, OutsideRoots, TooLarge, WrongKind  # noqa: F401 - docstrings name them
from .lines import decoded

__all__ = ["Diff", "diff_files", "diff_text"]

MOST_LINES = 20_000
"""Lines that differ, from the first to the last: the time grows faster than their number."""

Operation = tuple[str, int, int, int, int]
"""What `SequenceMatcher` calls an opcode."""

Context = Annotated[int, Field(ge=0, le=100)]


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Differences in unified format, "" if the texts are equal. If `truncated`, only the first are in `text`."""

    text: str
    added: int
    removed: int
    truncated: bool


@tool(read_only=True, idempotent=True)
def diff_files(old: str, new: str, context_lines: Context = 3, context: ToolContext | None = None) -> Diff:
    """Compare two text files line by line.

    Args:
        old: Path of the older file.
        new: Path of the newer file.
        context_lines: How many equal lines to show around each difference.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        The differences.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotText: It is binary, or text in another encoding.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> difference = diff_files("notes/meeting_draft.txt", "notes/meeting.txt", context_lines=0)
        >>> print(difference.text)
        --- notes/meeting_draft.txt
        +++ notes/meeting.txt
        @@ -2 +2 @@
        -Anna: prepare the offer
        +Anna: prepare the offer until Friday
    """
    access = Access.of(context)
    before = decoded(access.whole(old), old)[0]
    after = decoded(access.whole(new), new)[0]
    return _diff(access, (old, before), (new, after), context_lines)


@tool(read_only=True, idempotent=True)
def diff_text(path: str, text: str, context_lines: Context = 3, context: ToolContext | None = None) -> Diff:
    r"""Compare a text file with a text that may replace it.

    Args:
        path: Path of the file.
        text: The newer text.
        context_lines: How many equal lines to show around each difference.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        The differences.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotText: It is binary, or text in another encoding.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> difference = diff_text("settings.json", "[]\n")
        >>> (difference.added, difference.removed)
        (1, 4)
    """
    access = Access.of(context)
    before = decoded(access.whole(path), path)[0]
    return _diff(access, (path, before), (path, text), context_lines)


def _diff(access: Access, old: tuple[str, str], new: tuple[str, str], around: int) -> Diff:
    matcher = _Matcher(_lines(old[1]), _lines(new[1]), access.deadline)
    added = removed = 0
    kept: list[str] = [f"--- {old[0]}", f"+++ {new[0]}"]
    left, truncated = access.config.text_kb * KIB, False
    for group in matcher.groups(around):
        for line in [_head(group), *_body(group, matcher.old, matcher.new)]:
            added += line.startswith("+")
            removed += line.startswith("-")
            left -= len(line) + 1
            truncated = truncated or left < 0
            if not truncated:
                kept.append(line)
    return Diff(text="\n".join(kept) if added or removed else "", added=added, removed=removed, truncated=truncated)


def _lines(text: str) -> list[str]:
    """Split at every ``\\n``; a last line that does not end is told apart, as ``diff`` does."""
    lines = text.split("\n")
    last = lines.pop()
    return [*lines, f"{last}\n\\ No newline at end of file"] if last else lines


class _Matcher:
    """What two lists of lines have in common, without what is equal at both ends."""

    def __init__(self, old: Sequence[str], new: Sequence[str], deadline: Deadline) -> None:
        self.old, self.new = old, new
        shorter = min(len(old), len(new))
        self._start = next((each for each in range(shorter) if old[each] != new[each]), shorter)
        most = shorter - self._start
        end = next((each for each in range(most) if old[-1 - each] != new[-1 - each]), most)
        self._middle_old, self._middle_new = old[self._start : len(old) - end], new[self._start : len(new) - end]
        self._deadline = deadline
        longest = max(len(self._middle_old), len(self._middle_new))
        if longest > MOST_LINES:
            raise TooLarge(
                f"{longest:,} lines lie between the first difference and the last, and {MOST_LINES:,} can be compared; "
                f"compare parts of the files"
            )

    def groups(self, around: int) -> Iterator[list[Operation]]:
        """The differences with the equal lines around them; those that are near each other together."""
        inner = _Bounded(self._middle_old, self._middle_new, self._deadline)
        start = self._start
        codes: list[Operation] = [
            (tag, a + start, b + start, c + start, d + start) for tag, a, b, c, d in inner.get_opcodes()
        ]
        if start:
            codes.insert(0, ("equal", 0, start, 0, start))
        end_old, end_new = start + len(self._middle_old), start + len(self._middle_new)
        if end_old < len(self.old):
            codes.append(("equal", end_old, len(self.old), end_new, len(self.new)))
        whole = SequenceMatcher(None, "", "", autojunk=False)
        whole.opcodes = _merged(codes)  # type: ignore[attr-defined]  # what get_opcodes() returns from then on
        yield from whole.get_grouped_opcodes(around)


def _merged(codes: list[Operation]) -> list[Operation]:
    """Make one operation of equal ones side by side."""
    merged: list[Operation] = []
    for code in codes:
        if merged and merged[-1][0] == code[0] == "equal":
            merged[-1] = ("equal", merged[-1][1], code[2], merged[-1][3], code[4])
        else:
            merged.append(code)
    return merged


class _Bounded(SequenceMatcher[str]):
    """Looks at the clock before each search for the longest match."""

    def __init__(self, old: Sequence[str], new: Sequence[str], deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__(None, old, new)

    def find_longest_match(self, *args: int, **kwargs: int) -> tuple[int, int, int]:  # type: ignore[override]
        self._deadline.check("the comparison")
        return super().find_longest_match(*args, **kwargs)


def _head(group: list[Operation]) -> str:
    first, last = group[0], group[-1]
    return f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"


def _range(start: int, end: int) -> str:
    """As POSIX writes it: of nothing, the line before."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _body(group: list[Operation], old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    for tag, old_start, old_end, new_start, new_end in group:
        if tag == "equal":
            yield from (f" {line}" for line in old[old_start:old_end])
            continue
        yield from (f"-{line}" for line in old[old_start:old_end])
        yield from (f"+{line}" for line in new[new_start:new_end])
