"""What is there, and what text files hold."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from codeact_tools import ToolContext, tool

from .access import KIB, MIB, Access
from .beneath import Place, open_file
from .errors import FilesError, NoRootGranted, NotAllowed, NotFound, NotText, OutsideRoots, TooLarge, WrongKind  # noqa: F401 - docstrings name them
from .lines import Encoding, RawLine, lines_of
from .tree import entries_below

__all__ = ["FileInfo", "FilesError", "Line", "Listing", "Text", "file_info", "list_files", "read_lines", "read_text"]

_BLOCK = MIB


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """An entry of a granted folder. `size` is in bytes, None for what is not a file; `modified` is in UTC."""

    path: str
    kind: Literal["file", "folder", "link", "other"]
    size: int | None
    modified: datetime
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Entries of a folder by path. If `truncated`, there are more; `skipped` counts subfolders that cannot be read."""

    entries: list[FileInfo]
    truncated: bool
    skipped: int


@dataclass(frozen=True, kw_only=True)
class Text:
    """Lines of a file. `next_line` is where it goes on, None at its end; `cut_lines` were too long to be whole."""

    text: str
    first_line: int
    next_line: int | None
    cut_lines: list[int]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a file; `cut` if it was too long to be whole."""

    number: int
    text: str
    cut: bool = False


def kind_of(mode: int) -> Literal["file", "folder", "link", "other"]:
    """The word for a file's type."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _info(path: str, status: os.stat_result, sha256: str | None = None) -> FileInfo:
    kind = kind_of(status.st_mode)
    seconds = min(max(status.st_mtime, 0.0), 253_402_300_799.0)  # the years of datetime
    return FileInfo(
        path=path,
        kind=kind,
        size=status.st_size if kind == "file" else None,
        modified=datetime.fromtimestamp(seconds, UTC),
        sha256=sha256,
    )


@tool(read_only=True, idempotent=True)
def list_files(folder: str = ".", pattern: str = "*", context: ToolContext | None = None) -> Listing:
    """List what a folder holds.

    Args:
        folder: Path of the folder; "." is the granted folder.
        pattern: Which paths below it: "*.csv" in it, "**/*.csv" also in its subfolders.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        The entries, by path.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        NoRootGranted: No folder is granted.

    Examples:
        >>> [(file.path, file.size) for file in list_files(pattern="*.csv").entries]
        [('sales.csv', 282)]
    """
    access = Access.of(context)
    found: list[FileInfo] = []
    for entry in entries_below(access, folder, pattern):
        if len(found) == access.config.results:
            return Listing(entries=found, truncated=True, skipped=access.skipped)
        found.append(_info(entry.path, entry.status))
    return Listing(entries=found, truncated=access.deadline.passed, skipped=access.skipped)


@tool(read_only=True, idempotent=True)
def file_info(path: str, sha256: bool = False, context: ToolContext | None = None) -> FileInfo:
    """Tell the kind, size and age of a file or folder.

    Args:
        path: Path of the file.
        sha256: Whether to compute the checksum of its content.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        What is known of it.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> file_info("sales.csv").size
        282
    """
    access = Access.of(context)
    with access.place(path, follow=False) as place:
        status = place.status()
        if status is None:
            raise access.missing(place, path)
        return _info(path, status, _checksum(access, place, path) if sha256 else None)


def _checksum(access: Access, place: Place, path: str) -> str:
    digest = hashlib.sha256()
    with os.fdopen(open_file(place, path), "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            access.deadline.check(f"the checksum of {path!r}")
    return digest.hexdigest()


@tool(read_only=True, idempotent=True)
def read_text(
    path: str,
    first_line: Annotated[int, Field(ge=1)] = 1,
    last_line: Annotated[int, Field(ge=1)] | None = None,
    encoding: Encoding = "utf-8",
    context: ToolContext | None = None,
) -> Text:
    """Read a text file, or some of its lines.

    Args:
        path: Path of the file.
        first_line: Number of the first line, from 1.
        last_line: Number of the last line; None: as far as one call can read.
        encoding: What the file is written in; UTF-16 with a byte order mark is recognised.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        The lines.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotText: It is binary, or text in another encoding.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> read_text("notes/meeting.txt", first_line=4).text
        'Budget: 12500 euros\\n'
        >>> read_text("server.log", last_line=2).next_line
        3
    """
    access = Access.of(context)
    left = access.config.text_kb * KIB
    kept: list[str] = []
    cut: list[int] = []
    next_line: int | None = first_line
    with closing(_lines(access, path, encoding)) as lines:
        try:
            for number, line in lines:
                if number < first_line:
                    continue
                next_line = number
                left -= len(line.text) + 1
                if (last_line is not None and number > last_line) or (left < 0 and kept):
                    break
                kept.append(line.text + "\n" * (line.has_end or line.is_cut))
                cut += [number] if line.is_cut else []
                next_line = number + 1
            else:
                next_line = None
        except TooLarge:  # the time is over
            if not kept:
                raise
    return Text(text="".join(kept), first_line=first_line, next_line=next_line, cut_lines=cut)


@tool(read_only=True, idempotent=True)
def read_lines(
    path: str,
    first_line: Annotated[int, Field(ge=1)] = 1,
    encoding: Encoding = "utf-8",
    context: ToolContext | None = None,
) -> Iterator[Line]:
    """Go through a text file of any size line by line.

    Args:
        path: Path of the file.
        first_line: Number of the first line, from 1.
        encoding: What the file is written in; UTF-16 with a byte order mark is recognised.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        One line after the other.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotText: It is binary, or text in another encoding.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> [line.number for line in read_lines("server.log") if "ERROR" in line.text]
        [3, 5]
    """
    access = Access.of(context)
    for number, line in _lines(access, path, encoding):
        if number >= first_line:
            yield Line(number=number, text=line.text, cut=line.is_cut)
            access.deadline.restart()


def _lines(access: Access, path: str, encoding: Encoding) -> Generator[tuple[int, RawLine], None, None]:
    most = access.config.line_kb * KIB
    with access.file(path) as file:
        yield from lines_of(file, path, encoding=encoding, most=most, deadline=access.deadline)
