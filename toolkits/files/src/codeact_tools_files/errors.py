"""What the tools for files raise; each message says what to do instead, and names no folder of the host.

FilesError
├── NoRootGranted
├── OutsideRoots
├── NotFound
├── WrongKind
├── AlreadyExists
├── NotAllowed
├── NotText
├── TooLarge
├── InvalidPattern
├── Mismatch
└── InvalidTable
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class FilesError(Exception):
    """Base of these errors; by itself: the system failed."""


class NoRootGranted(FilesError):
    """No folder is granted."""


class OutsideRoots(FilesError):
    """The path is no path inside of the granted folders."""


class NotFound(FilesError):
    """There is no such file or folder."""


class WrongKind(FilesError):
    """It is a folder where a file is expected, or the reverse, or neither of them."""


class AlreadyExists(FilesError):
    """There is something of this name already."""


class NotAllowed(FilesError):
    """It may only be read, or is hidden or protected."""


class NotText(FilesError):
    """It is binary, or text in another encoding."""


class TooLarge(FilesError):
    """It is larger, or takes longer, than the configuration allows."""


class InvalidPattern(FilesError):
    """The regular expression or the glob cannot be used."""


class Mismatch(FilesError):
    """The text does not occur as often as expected."""


class InvalidTable(FilesError):
    """It is no table of its format, or has no such sheet or column."""


@contextmanager
def told(path: str) -> Iterator[None]:
    """Turn what the system says about ``path`` into a `FilesError`.

    >>> with told("notes"):
    ...     raise IsADirectoryError(errno.EISDIR, "Is a directory", "/srv/granted/notes")
    Traceback (most recent call last):
    codeact_tools_files.errors.WrongKind: 'notes' is a folder; name a file
    """
    try:
        yield
    except OSError as error:
        kind, words = _MEANINGS.get(error.errno or 0, (FilesError, ""))
        what = words or f"the system refused it: {error.strerror or type(error).__name__}"
        raise kind(f"{path!r} {what}" if words else f"{path!r}: {what}") from error


_MEANINGS: dict[int, tuple[type[FilesError], str]] = {
    errno.ENOENT: (NotFound, "does not exist"),
    errno.ENOTDIR: (WrongKind, "has a part that is a file where a folder is expected"),
    errno.EISDIR: (WrongKind, "is a folder; name a file"),
    errno.ELOOP: (OutsideRoots, "changed into a link while it was opened; try again"),
    errno.ENXIO: (WrongKind, "is a pipe or a socket, not a file"),
    errno.EEXIST: (AlreadyExists, "exists already"),
    errno.ENOTEMPTY: (NotAllowed, "is a folder that is not empty; what it holds comes first"),
    errno.EACCES: (NotAllowed, "is protected by the system's permissions"),
    errno.EPERM: (NotAllowed, "is protected by the system's permissions"),
    errno.EROFS: (NotAllowed, "is on a disk that is read-only"),
    errno.ENAMETOOLONG: (OutsideRoots, "has a name that is too long"),
    errno.EXDEV: (FilesError, "is on another disk; write it there and delete the original"),
    errno.ENOSPC: (FilesError, "cannot be written, because the disk is full"),
}
