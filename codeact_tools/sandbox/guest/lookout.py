"""Looking for what is about to come, for some microseconds, instead of sleeping until it is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

_yield_core = getattr(os, "sched_yield", lambda: None)


class Lookout:
    """Looks where it pays off.

    It does where a quick tool is answered by a process on another core: nobody has to be woken. It does not where the
    answer takes longer, or where the other process needs this very core. So after a look in vain it pauses: once, three
    times, seven times, and so on; each look that finds something halves that.

    Args:
        seconds: For one look.
        skip: How many it skips at first.
        longest_pause: How many looks it skips at most.
        yields: Whether to leave the core meanwhile to whoever waits for it, where that may be who is looked for.
    """

    def __init__(self, seconds: float, *, skip: int = 0, longest_pause: int = 255, yields: bool = False) -> None:
        self._seconds = seconds
        self._longest_pause = longest_pause
        self._yields = yields
        self._pause = 0
        self._left = skip

    def look(self, take: Callable[[], Any]) -> Any:
        """Return what ``take`` finds as soon as that is anything; None where it does not, or where this is a pause."""
        if self._left:
            self._left -= 1
            return None
        end = perf_counter() + self._seconds
        while perf_counter() < end:
            if found := take():
                self._pause >>= 1
                return found
            if self._yields:
                _yield_core()
        self._pause = self._left = min(2 * self._pause + 1, self._longest_pause)
        return None
