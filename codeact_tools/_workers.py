"""Threads for synchronous tools: daemons that are used again, and that nothing waits for at the interpreter's exit.

The standard library's pool does worse here: tools that hang would fill it, and the interpreter would wait for them.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Final

IDLE_SECONDS: Final = 10.0
"""After which a thread without work ends."""

_idle: list[_Worker] = []
"""Those without work; the last one is taken first. Appending to a list and popping from it are atomic."""


def run_in_worker(work: Callable[[], None]) -> None:
    """Run ``work``, which must not raise, in a thread that has nothing else to do; there is always one."""
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.work.put(work)


class _Worker:
    def __init__(self) -> None:
        self.work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="codeact-tools worker", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                work = self.work.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                try:
                    _idle.remove(self)
                except ValueError:  # it was taken this very moment: work is on its way
                    continue
                return
            work()
            del work  # what it holds is not kept while this thread waits
            _idle.append(self)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # threads do not survive a fork
