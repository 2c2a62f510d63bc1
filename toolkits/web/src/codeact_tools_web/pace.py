"""How fast one host is asked, over all threads of a session."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

MOST_HOSTS: Final = 1000
"""That are remembered; the longest unused is forgotten."""
_MOMENT: Final = 0.02


class Pace:
    """Spaces requests to one host, and bounds how many are under way.

    Args:
        per_second: Requests that may begin in one second.
        per_host: Requests that may be under way.
    """

    def __init__(self, *, per_second: float, per_host: int) -> None:
        self._interval = 1 / per_second
        self._per_host = per_host
        self._lock = threading.Lock()
        self._next: OrderedDict[str, float] = OrderedDict()
        self._busy: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, host: str, *, delay: float = 0.0) -> AsyncIterator[None]:
        """Wait for the host's turn, and hold a place of it.

        Args:
            host: Whom to ask.
            delay: Least seconds between two requests, where that is more than usual.
        """
        while not self._enter(host):  # noqa: ASYNC110 - places are shared by threads, each with its own loop
            await asyncio.sleep(_MOMENT)
        try:
            await asyncio.sleep(max(0.0, self._reserve(host, max(delay, self._interval)) - time.monotonic()))
            yield
        finally:
            self._leave(host)

    def _enter(self, host: str) -> bool:
        with self._lock:
            busy = self._busy.get(host, 0)
            if busy >= self._per_host:
                return False
            self._busy[host] = busy + 1
            return True

    def _leave(self, host: str) -> None:
        with self._lock:
            self._busy[host] -= 1
            if not self._busy[host]:
                del self._busy[host]

    def _reserve(self, host: str, interval: float) -> float:
        """Take the next moment at which the host may be asked."""
        with self._lock:
            start = max(time.monotonic(), self._next.pop(host, 0.0))
            self._next[host] = start + interval
            if len(self._next) > MOST_HOSTS:
                self._next.popitem(last=False)
            return start
