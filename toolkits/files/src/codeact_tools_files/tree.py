"""Walk a granted folder: every subfolder is opened anew from the root, links are shown and not followed."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

from .access import Access
from .beneath import MAX_DEPTH
from .errors import FilesError, InvalidPattern

_ANY = "**"
_LONGEST = 500
_CHECKED = 256
"""Entries between two looks at the clock."""


class Entry(NamedTuple):
    """Something that was found."""

    path: str
    status: os.stat_result
    """Of a link, its own."""


class Glob:
    """A pattern of paths: ``*`` and ``?`` within a part, ``**`` for any number of folders.

    >>> [Glob("**/*.csv").matches(path) for path in ("a.csv", "x/y/a.csv", "a.txt")]
    [True, True, False]

    Raises:
        InvalidPattern: It is empty, absolute, too long, or goes up.
    """

    def __init__(self, pattern: str) -> None:
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        if not parts or pattern.startswith("/") or ".." in parts or len(pattern) > _LONGEST or "\0" in pattern:
            raise InvalidPattern(f"{pattern[:80]!r} is no pattern of paths in the folder; write one like '**/*.csv'")
        self.parts = parts

    def matches(self, path: str) -> bool:
        """Whether a path below the folder fits; in time that grows with both lengths only."""
        return len(self.parts) in self._skipped(self._reached(path))

    def may_hold(self, path: str) -> bool:
        """Whether something below a folder may match."""
        return any(place < len(self.parts) for place in self._reached(path))

    def _reached(self, path: str) -> set[int]:
        """How many parts of the pattern the path may have used up."""
        reached = {0}
        for name in path.split("/"):
            reached = {after for place in self._skipped(reached) for after in self._after(place, name)}
        return reached

    def _skipped(self, reached: set[int]) -> set[int]:
        """Also the places after each ``**``, which stands for no folder as well."""
        found = set(reached)
        for place in sorted(reached):
            while place < len(self.parts) and self.parts[place] == _ANY:
                place += 1
                found.add(place)
        return found

    def _after(self, place: int, name: str) -> Iterator[int]:
        if place == len(self.parts):
            return
        if self.parts[place] == _ANY:
            yield place
        elif _compiled(self.parts[place]).match(name):
            yield place + 1


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def entries_below(access: Access, folder: str, pattern: str) -> Iterator[Entry]:
    """Yield what matches, by path, until the time is over; hidden names are left out.

    Raises:
        InvalidPattern: The pattern cannot be used.
        FilesError: ``folder`` cannot be listed. A subfolder that cannot be is counted in ``access.skipped``.
    """
    glob = Glob(pattern)
    root, parts = access.config.locate(folder)
    if root is None:  # several roots, and the list of them
        for name in sorted(root.name for root in access.config.granted):
            with access.folder(name) as opened:
                status = os.fstat(opened)
            if glob.matches(name):
                yield Entry(name, status)
            if glob.may_hold(name):
                yield from _below(access, glob, name, name, optional=True)
        return
    shown = "/".join(parts) if len(access.config.granted) == 1 else "/".join((root.name, *parts))
    yield from _below(access, glob, shown, "")


def _below(access: Access, glob: Glob, folder: str, relative: str, *, optional: bool = False) -> Iterator[Entry]:
    """Entries of one folder and of those below it; ``relative`` is what the pattern is about."""
    try:
        found = _scanned(access, folder)
    except FilesError:
        if optional:  # it vanished, became a link, or may not be read
            access.skipped += 1
            return
        raise
    for entry in found:
        if access.deadline.passed:
            return
        name = entry.path.rpartition("/")[2]
        below = f"{relative}/{name}" if relative else name
        if glob.matches(below):
            yield entry
        if not stat.S_ISDIR(entry.status.st_mode) or not glob.may_hold(below):
            continue
        if entry.path.count("/") + 1 < MAX_DEPTH:
            yield from _below(access, glob, entry.path, below, optional=True)
        else:
            access.skipped += 1


def _scanned(access: Access, folder: str) -> list[Entry]:
    found: list[Entry] = []
    with access.folder(folder or ".") as opened, os.scandir(opened) as entries:
        for entry in entries:
            if access.config.is_hidden(entry.name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted in this moment
            found.append(Entry(f"{folder}/{entry.name}" if folder else entry.name, status))
            if len(found) % _CHECKED == 0 and access.deadline.passed:
                break
    return sorted(found)
