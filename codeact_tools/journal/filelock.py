"""A lock on a file, which ends with the process that holds it at the latest."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path


def lock(path: Path, patience: float = 0.0) -> int | None:
    """Lock a file as long as its descriptor is open; None where somebody else has it for so many seconds."""
    end = time.monotonic() + patience
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if _is_locked_now(file):
            if _is_at(file, path):
                return file
            os.close(file)  # who had it has removed it meanwhile, and the next one locks another file of this name
            continue
        os.close(file)
        if time.monotonic() >= end:
            return None
        time.sleep(0.01)


def unlock(path: Path, file: int) -> None:
    """Remove what `lock` made, and let the next one have it."""
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(file)


def _is_locked_now(file: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
