"""Looking for a call that is about to come, for some microseconds, instead of sleeping until it is there.

The guest has the same for the answers, in `guest.lookout`: the two sides share no module.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Final, TypeVar

_yield_core: Final[Callable[[], None]] = getattr(os, "sched_yield", lambda: None)

_Found = TypeVar("_Found")


class Lookout:
    """Looks where it pays off.

    It does where a guest on another core calls one quick tool after the other: nobody has to be woken. It does not
    where the action has something to compute between two calls, or where the guest needs this very core. So after a
    look in vain it pauses: once, three times, seven times, and so on; each look that finds something halves that.

    Args:
        seconds: For one look.
        longest_pause: How many looks it skips at most.
        yields: Whether to leave the core meanwhile to whoever waits for it, where that may be who is looked for.
    """

    def __init__(self, seconds: float, *, longest_pause: int = 255, yields: bool = False) -> None:
        self._seconds = seconds
        self._longest_pause = longest_pause
        self._yields = yields
        self._pause = 0
        self._left = 0

    def look(self, take: Callable[[], _Found | None]) -> _Found | None:
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
