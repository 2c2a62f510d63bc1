"""Paths that cannot leave a folder: what Linux calls ``RESOLVE_BENEATH``, done by hand, so that macOS has it too.

A path is walked part by part, each opened in the folder before it by file descriptor and without following links. A
link is read and its target walked the same way, from where the link is; ``..`` goes back to the descriptor that the
walk came by. So there is no moment between a check and its use: whatever is renamed or swapped for a link meanwhile, no
descriptor that the walk opens is anything but an entry of a folder inside.

Windows opens nothing relative to a descriptor, so nothing is opened there at all.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from .errors import FilesError, NotFound, OutsideRoots, WrongKind, told

SUPPORTED: Final = {os.open, os.stat, os.readlink, os.mkdir, os.rename, os.unlink} <= os.supports_dir_fd
"""Whether this system opens files relative to an open folder."""

MAX_LINKS: Final = 40
"""As many links as Linux follows in one path."""
MAX_DEPTH: Final = 256
"""Folders below the granted one."""

if SUPPORTED:
    FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    """Open a folder, never a link to one."""
    FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    """Open a file, never a link; a pipe without a writer does not block."""


class Place(NamedTuple):
    """An entry of a folder that is held open; the entry itself need not exist."""

    folder: int
    """Descriptor of the folder."""
    name: str
    """Name of the entry; ``.`` for the folder itself."""

    def status(self) -> os.stat_result | None:
        """What is there, links not followed; None where nothing is."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None


@contextmanager
def place_in(
    root: Path,
    parts: Sequence[str],
    *,
    allow: Callable[[str], None] = lambda _name: None,
    follow: bool = True,
    create: bool = False,
) -> Iterator[Place]:
    """Walk to an entry below ``root`` and hold its folder open.

    Args:
        root: A real path, without links.
        parts: Names below it; ``.`` and ``..`` too.
        allow: Raises for a name that must not be entered; also asked about the names that links lead to.
        follow: Whether a link in the last part is followed.
        create: Whether folders that are missing on the way are made.

    Raises:
        OutsideRoots: The path leaves ``root``.
        NotFound: A folder on the way is missing.
        WrongKind: A part on the way is not a folder.
        OSError: The system refuses a part.
    """
    if not SUPPORTED:
        raise FilesError("files cannot be confined to folders on this system (Windows); use Linux, WSL or macOS")
    walk = _Walk(root, parts, allow, follow=follow, create=create)
    try:
        yield walk.run()
    finally:
        walk.close()


class _Walk:
    def __init__(
        self, root: Path, parts: Sequence[str], allow: Callable[[str], None], *, follow: bool, create: bool
    ) -> None:
        self._shown = "/".join(parts)
        self._pending = deque(part for part in parts if part not in ("", "."))
        self._allow = allow
        self._follow = follow
        self._create = create
        self._links = 0
        with told("the granted folder"):
            self._folders = [os.open(root, FOLDER)]

    def close(self) -> None:
        for folder in self._folders:
            os.close(folder)

    def run(self) -> Place:
        while self._pending:
            name = self._pending.popleft()
            if name == "..":
                self._leave()
                continue
            self._allow(name)
            place = Place(self._folders[-1], name)
            status = place.status()
            if status is not None and stat.S_ISLNK(status.st_mode) and (self._pending or self._follow):
                self._redirect(place)
            elif not self._pending:
                return place
            else:
                self._enter(place, status)
        return Place(self._folders[-1], ".")

    def _leave(self) -> None:
        if len(self._folders) == 1:
            raise OutsideRoots(f"{self._shown!r} leaves the granted folder; write a path inside of it")
        os.close(self._folders.pop())

    def _redirect(self, link: Place) -> None:
        """Go on with the target of a link, which is read as data."""
        self._links += 1
        if self._links > MAX_LINKS:
            raise OutsideRoots(f"{self._shown!r} is a circle of links")
        target = os.readlink(link.name, dir_fd=link.folder)
        if target.startswith("/"):
            raise OutsideRoots(f"{self._shown!r} is a link with an absolute target, which is not followed")
        self._pending.extendleft(part for part in reversed(target.split("/")) if part not in ("", "."))

    def _enter(self, place: Place, status: os.stat_result | None) -> None:
        if status is None:
            if not self._create:
                raise NotFound(f"{self._shown!r} does not exist: there is no folder {place.name!r} on the way")
            with_default_mode = 0o777
            os.mkdir(place.name, with_default_mode, dir_fd=place.folder)
        elif not stat.S_ISDIR(status.st_mode):
            raise WrongKind(f"{self._shown!r}: {place.name!r} is a file, not a folder")
        if len(self._folders) > MAX_DEPTH:
            raise OutsideRoots(f"a path is more than {MAX_DEPTH} folders deep")
        self._folders.append(os.open(place.name, FOLDER, dir_fd=place.folder))


def open_file(place: Place, shown: str) -> int:
    """Open a regular file for reading, and nothing else: no link, no pipe, no device.

    Raises:
        NotFound: It is not there.
        WrongKind: It is something else.
        OSError: The system refuses it, also because it was swapped for a link just now.
    """
    before = place.status()
    if before is None:
        raise NotFound(f"{shown!r} does not exist")
    check_file(before, shown)  # opening a device may already do something
    file = os.open(place.name, FILE, dir_fd=place.folder)
    try:
        check_file(os.fstat(file), shown)
    except BaseException:
        os.close(file)
        raise
    return file


def check_file(status: os.stat_result, shown: str) -> None:
    """Let regular files through.

    Raises:
        WrongKind: It is none.
    """
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise WrongKind(f"{shown!r} is a folder; name a file in it, list_files({shown!r}) shows them")
    if stat.S_ISLNK(mode):
        raise WrongKind(f"{shown!r} is a link; name the file that it leads to")
    raise WrongKind(f"{shown!r} is a pipe, a socket or a device, not a file")


def open_folder(place: Place, shown: str) -> int:
    """Open a folder for listing.

    Raises:
        NotFound: It is not there.
        WrongKind: It is a file, or a link.
        OSError: The system refuses it.
    """
    status = place.status()
    if status is None:
        raise NotFound(f"{shown!r} does not exist")
    if not stat.S_ISDIR(status.st_mode):
        raise WrongKind(f"{shown!r} is not a folder")
    return os.open(place.name, FOLDER, dir_fd=place.folder)
