"""The clocks of an action (its wall time, which can be held, and its guest's CPU time), and that of a guest's life."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Final

from ..errors import ConfigurationError
from .base import GuestProcess, Limits, MeteredGuest

_SHORTEST: Final = 0.02
"""Seconds between two looks at a guest's CPU time."""
_CORES: Final = os.cpu_count() or 1


def process_cpu_seconds(pid: int) -> float | None:
    """CPU time of a process: of all its threads, those that have ended included. None where the system does not tell.

    The clock is that of ``clock_getcpuclockid(3)``, whose number Linux makes of the process's.
    """
    if sys.platform != "linux" or pid <= 0:
        return None
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:  # it has ended
        return None


def require_meter(guest: GuestProcess, limits: Limits) -> None:
    """Refuse a limit of CPU time that could not be held.

    Raises:
        ConfigurationError: The guest's cannot be measured.
    """
    if limits.cpu_seconds is None or (isinstance(guest, MeteredGuest) and guest.cpu_seconds() is not None):
        return
    raise ConfigurationError(
        f"limits.cpu_seconds cannot be held in {guest.description}: its CPU time cannot be measured from here. "
        "Leave it out; limits.seconds, the wall time, holds everywhere."
    )


class WallClock:
    """Tells once when ``seconds`` have passed, without the time for which it was held."""

    def __init__(self, seconds: float, tell: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = seconds
        self._tell = tell
        self._holds = 0
        self._over = False
        self._go()

    def hold(self) -> None:
        """Stand still, until `release` is called as often."""
        self._holds += 1
        if self._holds == 1:
            self._timer.cancel()
            self._left -= self._loop.time() - self._since

    def release(self) -> None:
        """Undo one `hold`."""
        self._holds -= 1
        if not self._holds and not self._over:
            self._go()

    def stop(self) -> None:
        """Tell nothing any longer."""
        self._over = True
        self._timer.cancel()

    def _go(self) -> None:
        self._since = self._loop.time()
        self._timer = self._loop.call_later(self._left, self._tell)


class CpuClock:
    """Tells once when a guest has used ``seconds`` of CPU time since now.

    It looks again when the guest could have used the rest on all cores at the earliest, so a short action costs one
    reading.
    """

    def __init__(self, used: Callable[[], float | None], seconds: float, tell: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._used = used
        self._tell = tell
        now = used()
        self._end = seconds + (now or 0.0)
        self._watch(now)

    def stop(self) -> None:
        """Tell nothing any longer."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._used()
        if now is not None and now >= self._end:
            self._tell()
        else:
            self._watch(now)

    def _watch(self, now: float | None) -> None:
        left = self._end - (now or 0.0)
        self._timer = self._loop.call_later(max(left / _CORES, _SHORTEST), self._look)


class Lifetime:
    """The wall time since a guest began, which tells once when ``seconds`` of it have passed, if they are limited."""

    def __init__(self, seconds: float | None, lived: float, tell: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._born = self._loop.time() - lived
        self._timer = None if seconds is None else self._loop.call_later(seconds - lived, tell)

    def cancel(self) -> float:
        """Tell nothing any longer; return the seconds that have passed."""
        if self._timer is not None:
            self._timer.cancel()
        return self._loop.time() - self._born
