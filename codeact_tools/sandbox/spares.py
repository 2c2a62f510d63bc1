"""Guests that were forked ahead, so that opening one takes no longer than to take it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from .._workers import run_in_worker
from ..errors import CodeActError

MOST: Final = 64
_PAUSE: Final = 0.02
"""Seconds before each fork, so that it does not take the processor from a session that was just opened."""


class Spare(Protocol):
    """A confined guest that nobody has used."""

    @property
    def usable(self) -> bool:
        """Whether it is still there."""
        ...

    def end(self) -> None:
        """End it; idempotent."""
        ...


_Spare = TypeVar("_Spare", bound=Spare)
_Wanted = TypeVar("_Wanted")


class Spares(Generic[_Wanted, _Spare]):
    """Keeps a number of guests ready for the request that came last. Safe to use from several threads.

    They are confined and wait for their first message, in a system call: no code of an action has run in them, so there
    is nothing to freeze, and waking them takes nothing. They end with this object, with the zygote and with the host.

    Args:
        number: How many.
        fork: Makes one for a request, or raises a `CodeActError`.
    """

    def __init__(self, number: int, fork: Callable[[_Wanted], _Spare]) -> None:
        self._number = number
        self._fork = fork
        self._lock = threading.Lock()
        self._ready: deque[_Spare] = deque()
        self._wanted: _Wanted | None = None
        self._filling = False
        weakref.finalize(self, _end_all, self._ready, os.getpid())
        _ALL.add(self)

    def take(self, wanted: _Wanted) -> _Spare | None:
        """Take one, if there is one for such a request; make others in the background."""
        with self._lock:
            if wanted != self._wanted:
                _end_all(self._ready, os.getpid())
                self._wanted = wanted
            taken: _Spare | None = None
            while taken is None and self._ready:
                spare = self._ready.popleft()
                if spare.usable:
                    taken = spare
                else:
                    spare.end()
            if not self._filling:
                self._filling = True
                run_in_worker(self._fill)
        return taken

    def abandon(self) -> None:
        """Start afresh in a forked copy of the process: the guests belong to the process that made them."""
        self._lock, self._filling = threading.Lock(), False
        self._ready.clear()

    def _fill(self) -> None:
        while (wanted := self._missing()) is not None:
            time.sleep(_PAUSE)
            try:
                spare = self._fork(wanted)
            except CodeActError:  # the next opening meets the same, and says so
                self._filling = False
                return
            with self._lock:
                if wanted == self._wanted:
                    self._ready.append(spare)
                else:
                    spare.end()

    def _missing(self) -> _Wanted | None:
        """What to make one more for."""
        with self._lock:
            self._filling = len(self._ready) < self._number
            return self._wanted if self._filling else None


def _end_all(spares: deque[_Spare], owner: int) -> None:
    while spares and owner == os.getpid():
        spares.popleft().end()


def _abandon_all() -> None:
    for spares in list(_ALL):
        spares.abandon()


_ALL: weakref.WeakSet[Spares[Any, Any]] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
