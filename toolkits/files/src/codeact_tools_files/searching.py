"""Search in text files with RE2, which takes time in proportion to the text, whatever the pattern."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import IO, Annotated, Any

import re2
from pydantic import Field

from codeact_tools import ToolContext, tool

from .access import KIB, Access
from .errors import FilesError, InvalidPattern, NoRootGranted, NotAllowed, NotFound, NotText, OutsideRoots, WrongKind  # noqa: F401 - docstrings name them
from .lines import lines_of
from .reading import kind_of
from .tree import entries_below

__all__ = ["Found", "Match", "search_text"]

LONGEST_PATTERN = 1000
MEMORY = 8 * 1024 * KIB
"""What a compiled pattern may take, in bytes; larger ones are refused."""
_NOT_UTF8 = "latin-1"


@dataclass(frozen=True, kw_only=True)
class Match:
    """A line that matches, with the lines around it."""

    path: str
    line: int
    text: str
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Matching lines by path. If `truncated`, the search ended early.

    `skipped` counts files that are not text or cannot be read, `cut_lines` lines too long to be searched to their end.
    """

    matches: list[Match]
    files: int
    skipped: int
    cut_lines: int
    truncated: bool


@tool(read_only=True, idempotent=True)
def search_text(
    pattern: Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN)],
    files: str = "**/*",
    folder: str = ".",
    literal: bool = False,
    ignore_case: bool = False,
    context_lines: Annotated[int, Field(ge=0, le=20)] = 0,
    limit: Annotated[int, Field(ge=1)] = 100,
    context: ToolContext | None = None,
) -> Found:
    r"""Find the lines of text files that match a regular expression.

    Args:
        pattern: Regular expression in RE2's syntax: without lookaround and backreferences.
        files: Which paths below the folder: "*.txt" in it, "**/*.txt" also in its subfolders.
        folder: Path of the folder; "." is the granted folder.
        literal: Whether `pattern` is plain text.
        ignore_case: Whether upper and lower case are the same.
        context_lines: How many lines before and after each match to return.
        limit: At most this many matches.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        The matches, the number of files searched, and whether there may be more.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        InvalidPattern: The regular expression or the glob cannot be used.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.

    Examples:
        >>> [(match.path, match.line) for match in search_text(r"order \d+ failed").matches]
        [('server.log', 3), ('server.log', 5)]
    """
    access = Access.of(context)
    expression = compiled(pattern, literal=literal, ignore_case=ignore_case)
    search = _Search(access, expression, context_lines, min(limit, access.config.results))
    for entry in entries_below(access, folder, files):
        if kind_of(entry.status.st_mode) == "file" and not search.file(entry.path):
            break
    return search.found(ended_early=access.deadline.passed)


def compiled(pattern: str, *, literal: bool, ignore_case: bool) -> Any:
    """Compile a pattern within bounds.

    Raises:
        InvalidPattern: RE2 does not take it.
    """
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    options.never_capture = True  # groups cost time, and nobody asks for them
    options.literal = literal
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise InvalidPattern(
            f"{pattern[:80]!r} cannot be used: {reason}; RE2 has no lookaround and no backreferences, and counts up to "
            f"1000 only; literal=True searches for plain text"
        ) from error


class _Search:
    """The matches of one call."""

    def __init__(self, access: Access, expression: Any, around: int, limit: int) -> None:
        self._access = access
        self._expression = expression
        self._around = around
        self._limit = limit
        self._matches: list[Match] = []
        self._left = access.config.text_kb * KIB
        self._files = 0
        self._cut_lines = 0
        self._full = False

    def found(self, *, ended_early: bool) -> Found:
        """What has been found so far."""
        return Found(
            matches=self._matches,
            files=self._files,
            skipped=self._access.skipped,
            cut_lines=self._cut_lines,
            truncated=self._full or ended_early,
        )

    def file(self, path: str) -> bool:
        """Search one file; False where there is no room or time for another."""
        try:
            self._in_file(path)
        except FilesError:  # binary, vanished, protected, or too long for the time
            self._access.skipped += 1
        else:
            self._files += 1
        return not (self._full or self._access.deadline.passed)

    def _in_file(self, path: str) -> None:
        """Try UTF-8, and where that does not fit, one byte a character.

        Raises:
        FilesError: Base of these errors; by itself: the system failed.
            FilesError: The file is no text, or cannot be read.
        """
        start = len(self._matches), self._left, self._cut_lines
        with self._access.file(path) as file:
            try:
                self._lines(path, file, "utf-8")
            except NotText:
                del self._matches[start[0] :]
                self._left, self._cut_lines = start[1:]
                file.seek(0)
                self._lines(path, file, _NOT_UTF8)

    def _lines(self, path: str, file: IO[bytes], encoding: Any) -> None:
        before: deque[str] = deque(maxlen=self._around)
        waiting: list[int] = []
        """Places of matches that still take lines after them."""
        most = self._access.config.line_kb * KIB
        for number, line in lines_of(file, path, encoding=encoding, most=most, deadline=self._access.deadline):
            text = line.text
            self._cut_lines += line.is_cut
            for place in waiting:
                self._matches[place].after.append(text)
            waiting = [place for place in waiting if len(self._matches[place].after) < self._around]
            if not self._full and self._expression.search(text) is not None:
                self._add(Match(path=path, line=number, text=text, before=list(before)))
                if self._around and not self._full:
                    waiting.append(len(self._matches) - 1)
            if self._full and not waiting:
                return
            before.append(text)

    def _add(self, match: Match) -> None:
        size = sum(map(len, (match.text, *match.before))) + 1 + self._around * 80
        if len(self._matches) == self._limit or (self._matches and size > self._left):
            self._full = True
            return
        self._left -= size
        self._matches.append(match)
