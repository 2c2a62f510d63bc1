"""A temporary folder that is removed in any case: by its owner, or by whoever comes after an owner that was killed.

The owner holds a lock on a file in the folder. The operating system lets go of it when the process ends, however it
ends; so a folder whose lock is free belongs to nobody. No number of a process is involved, which another may have now.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

PREFIX: Final = "codeact-check-"
_LOCK: Final = ".owner"
_ATTEMPTS: Final = 3


class OwnedFolder:
    """A folder of this process in the system's temporary one.

    >>> folder = OwnedFolder()
    >>> folder.path.is_dir()
    True
    >>> folder.remove()
    >>> folder.path.exists()
    False
    """

    def __init__(self) -> None:
        _sweep_once(tempfile.gettempdir())
        self._let_go: Callable[[], object] = lambda: None
        for _ in range(_ATTEMPTS):
            self._folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
            self.path = Path(self._folder.name).resolve()
            lock = _held(self.path / _LOCK, os.O_CREAT)
            if lock is not None:
                self._let_go = weakref.finalize(self, os.close, lock)
                return
            self._folder.cleanup()  # a sweep has come between
        # Files cannot be locked here; a folder without the lock's file is never taken for a leftover.
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name).resolve()

    def remove(self) -> None:
        """Remove it with all that is in it; idempotent."""
        self._folder.cleanup()
        self._let_go()


@cache
def _sweep_once(temporary: str) -> None:
    """`sweep`, once in a process: it looks through all that is in the temporary folder."""
    if sys.platform != "win32":
        sweep(temporary)


def sweep(temporary: str) -> None:
    """Remove this user's folders whose owners are gone; links, other users' folders and those without a lock stay."""
    with os.scandir(temporary) as entries:
        found = [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX) and _is_own(entry)]
    for folder in found:
        lock = _held(folder / _LOCK)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)  # what is left is for the next one
            os.close(lock)


def _is_own(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, no link to one, and this user's."""
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    except OSError:  # its owner has removed it meanwhile
        return False


def _held(path: Path, flags: int = 0) -> int | None:
    """The descriptor of the file at ``path``, locked; None where it is not there, or somebody else has it."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = os.fstat(descriptor).st_nlink > 0
    except OSError:
        is_there = False
    if is_there:
        return descriptor
    os.close(descriptor)
    return None
