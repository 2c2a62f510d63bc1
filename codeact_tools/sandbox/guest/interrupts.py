"""SIGINT: ends the action and keeps the interpreter's state.

The handler decides by the main thread's stack. Bookkeeping that must not be torn apart is marked `critical`: there the
interrupt waits until `Interrupts.check`. The places inside it that may block are marked `interruptible`.
"""

from __future__ import annotations

# The public module makes an enumeration's member of each argument and result, which takes longer than the rest.
from _signal import SIG_UNBLOCK, SIGINT, pthread_sigmask, signal  # type: ignore[import-not-found]
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeVar

ACTION = "<action "
"""How the file name of every action begins."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_CRITICAL: set[CodeType] = set()
_INTERRUPTIBLE: set[CodeType] = set()


def critical(function: _Function) -> _Function:
    """Mark a function that an interrupt must not tear apart."""
    _CRITICAL.add(function.__code__)
    return function


def interruptible(function: _Function) -> _Function:
    """Mark a function that blocks, called by a critical one, at a point where an interrupt does no harm."""
    _INTERRUPTIBLE.add(function.__code__)
    return function


class Interrupts:
    """Whether an interrupt is welcome now, and whether one is waiting."""

    def __init__(self) -> None:
        self.acting = False
        """Whether an action runs; otherwise an interrupt is ignored."""
        self.pending = False
        self.cancel: Callable[[], object] | None = None
        """Cancels the action's task where an event loop runs it, and the loop itself must not be torn apart."""

    def install(self) -> None:
        """Handle SIGINT; called before every action, because an action may have replaced the handler, or blocked it."""
        self.pending = False
        signal(SIGINT, self._handle)
        pthread_sigmask(SIG_UNBLOCK, (SIGINT,))

    def check(self) -> None:
        """Raise the interrupt that arrived in critical code. Only the main thread does so."""
        if self.pending and self.acting and _in_main_thread():
            self.pending = False
            raise KeyboardInterrupt

    def _handle(self, _signal: int, frame: FrameType | None) -> None:
        if not self.acting:
            return
        while frame is not None:
            code = frame.f_code
            if code in _CRITICAL:
                self._postpone()
                return
            if code in _INTERRUPTIBLE or code.co_filename.startswith(ACTION):
                break
            frame = frame.f_back
        if frame is None and self.cancel is not None:
            self._postpone()
            return
        raise KeyboardInterrupt

    def _postpone(self) -> None:
        self.pending = True
        if self.cancel is not None:
            self.cancel()


def _in_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()
