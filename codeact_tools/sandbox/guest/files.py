"""The working folder: what an action wrote there, and files that the host puts and gets."""

# ruff: noqa: PTH103, PTH109, PTH116, PTH117, PTH118, PTH120, PTH123
# pathlib would cost every session its import.

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from typing import Any

_MOST = 4096
"""Files that are looked at."""
_MOST_TEXT = 500_000
"""Characters of their paths together."""
_DEPTH = 16


class Refused(Exception):
    """A path that is not one of the working folder's files."""


class Folder:
    """The working folder, by relative path."""

    def __init__(self, root: str | None) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        """The real path of each file that is shown under another one, because its name is not UTF-8."""
        self._held: dict[str, bytes] = {}
        """Files that the guest itself made where no folder can be written."""
        self._seen = self._stamps()

    @staticmethod
    def current() -> Folder:
        """The folder that the sandbox started the guest in, where it can be written; else one without files."""
        try:
            here = os.getcwd()
        except OSError:
            return Folder(None)
        return Folder(here if here != "/" and os.access(here, os.W_OK) else None)

    def changed(self) -> list[list[Any]]:
        """Path and size of the files that are new or different since the last time."""
        before, self._seen = self._seen, self._stamps()
        return [[path, stamp[0]] for path, stamp in sorted(self._seen.items()) if before.get(path) != stamp]

    def listing(self) -> list[list[Any]]:
        """Path and size of every file."""
        return [[path, stamp[0]] for path, stamp in sorted(self._stamps().items())]

    def add(self, stem: str, suffix: str, data: bytes) -> None:
        """Keep a file of the guest's own as ``stem-1.suffix``, or under the next number that is free."""
        taken = self._stamps()
        number = next(number for number in range(1, len(taken) + 2) if f"{stem}-{number}.{suffix}" not in taken)
        path = f"{stem}-{number}.{suffix}"
        if self._root is None:
            self._held[path] = data
        else:
            with open(os.path.join(self._root, path), "xb") as file:
                file.write(data)

    def put(self, path: str, data: str, append: bool) -> None:
        """Write a file, or its next part."""
        target = self._resolve(path)
        parent = os.path.dirname(target)
        try:
            os.makedirs(parent, exist_ok=True)
            with open(target, "ab" if append else "wb") as file:
                file.write(base64.b64decode(data))
        except OSError as error:
            raise Refused(f"{path!r} cannot be written: {error.strerror}") from None
        self._seen[path] = _stamp(os.stat(target))

    def get(self, path: str, offset: int, size: int) -> tuple[str, bool]:
        """Read a part of a file, as base64, and whether it is the last."""
        if path in self._held:
            data = self._held[path][offset : offset + size]
            return base64.b64encode(data).decode(), len(data) < size
        try:
            with open(self._resolve(path), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise Refused(f"{path!r} is not a file")
                file.seek(offset)
                data = file.read(size)
                return base64.b64encode(data).decode(), len(data) < size
        except OSError as error:
            raise Refused(f"{path!r} cannot be read: {error.strerror}") from None

    def _resolve(self, path: str) -> str:
        if self._root is None:
            raise Refused("this sandbox has no working folder")
        if not path or os.path.isabs(path) or ".." in path.split("/") or "\0" in path:
            raise Refused(f"{path!r} is not a path inside the working folder")
        return os.path.join(self._root, self._names.get(path, path))

    def _stamps(self) -> dict[str, tuple[int, int]]:
        found = {path: (len(data), 0) for path, data in self._held.items()}
        length = 0
        if self._root is not None:
            for entry in _walk(self._root, _DEPTH):
                length += len(entry.path)
                if len(found) == _MOST or length > _MOST_TEXT:
                    break
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:  # it is gone by now
                    continue
                path = os.path.relpath(entry.path, self._root)
                shown = path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")
                if shown != path:
                    self._names[shown] = path
                found[shown] = _stamp(status)
        return found


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _walk(folder: str, depth: int) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        return
    for entry in found:
        if entry.is_file(follow_symlinks=False):
            yield entry
        elif depth and entry.is_dir(follow_symlinks=False) and entry.name != "__pycache__":
            yield from _walk(entry.path, depth - 1)
