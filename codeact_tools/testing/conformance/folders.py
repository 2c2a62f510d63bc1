"""Where examples work, and what became of it: what native libraries write is seen here, and nowhere else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

State = Mapping[str, str]
"""A fingerprint by path."""

_LARGE: Final = 1 << 24
"""Bytes above which size and time stand for the content of a file."""


@contextlib.contextmanager
def empty_folder() -> Iterator[Path]:
    """A folder that is removed afterwards, and that is the working folder while it is there."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


def snapshot(folder: Path | None) -> State:
    """Fingerprints of everything below a folder; of nothing where there is none."""
    if folder is None:
        return {}
    return {str(path.relative_to(folder)): _fingerprint(path) for path in sorted(folder.rglob("*"))}


def changed_since(before: State, after: State) -> list[str]:
    """Paths that are new, gone or of another content."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def _fingerprint(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return f"{path.is_dir()} {path.readlink() if path.is_symlink() else ''}"
    found = path.stat()
    if found.st_size > _LARGE:
        return f"{found.st_size} {found.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()
