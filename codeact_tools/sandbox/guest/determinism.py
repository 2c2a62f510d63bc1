"""What makes an action that is run again go the same way: its clock, and its random numbers.

The clock reaches what asks the module ``time`` (``date.today()`` does); ``datetime.now()`` asks the system itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

_system = time.time_ns
_FROM_NOW = {name: getattr(time, name) for name in ("gmtime", "localtime", "ctime")}
_offset = 0
"""Nanoseconds between this clock and the system's."""


def set_clock(now: float | None) -> None:
    """Make it ``now`` for actions, in seconds since 1970; None: the system's time."""
    global _offset
    if now is None:
        _offset = 0
        return
    module: Any = sys.modules["time"]
    module.time, module.time_ns = _time, _time_ns
    for name, function in _FROM_NOW.items():
        setattr(module, name, _of_now(function))
    _offset = int(now * 1e9) - _system()


def seed_random(seed: int | None) -> None:
    """Make random numbers the session's own: a forked process would repeat those of its siblings.

    With a seed they are the same ones each time, those of ``os.urandom``, ``uuid`` and ``secrets`` included.
    """
    if seed is None and "random" not in sys.modules:
        return
    import random

    random.seed(seed)
    if seed is not None:
        sys.modules["os"].urandom = random._urandom = _Bytes(seed)  # type: ignore[attr-defined]
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(None if seed is None else seed % 2**32)


class _Bytes:
    """Random bytes from a seed: BLAKE2b over a counter, with the seed as the key."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(32, "big")
        self._counter = 0

    def __call__(self, size: int, /) -> bytes:
        import hashlib

        data = bytearray()
        while len(data) < size:
            self._counter += 1
            data += hashlib.blake2b(self._counter.to_bytes(8, "big"), key=self._key).digest()
        return bytes(data[:size])


def _time_ns() -> int:
    return _system() + _offset


def _time() -> float:
    return _time_ns() / 1e9


def _of_now(function: Callable[..., Any]) -> Callable[..., Any]:
    def of(seconds: float | None = None, /) -> Any:
        return function(_time() if seconds is None else seconds)

    of.__name__ = function.__name__
    return of
