"""Blocking generation in a thread, as an asynchronous iterator that can be closed."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_PATIENCE = 10.0
"""Seconds that the end of the program waits for a generation to notice that it is unwanted."""


class Job(Generic[Item]):
    """A running generation, seen from its thread."""

    def __init__(self, put: Callable[[Item], None]) -> None:
        self._put = put
        self._stop = threading.Event()
        self.thread: threading.Thread | None = None

    @property
    def unwanted(self) -> bool:
        """Whether nobody reads on, so that the generation should end."""
        return self._stop.is_set()

    def emit(self, item: Item) -> None:
        """Hand ``item`` to the reader."""
        try:
            self._put(item)
        except RuntimeError:  # the reader's event loop was closed meanwhile
            self._stop.set()

    def stop(self) -> None:
        """Tell the generation that nobody reads on."""
        self._stop.set()

    def acquire(self, lock: threading.Lock) -> bool:
        """Wait for ``lock`` while the job is wanted; return whether it is held."""
        while not self.unwanted:
            if lock.acquire(timeout=0.05):
                return True
        return False


async def iterate(work: Callable[[Job[Item]], None], *, name: str) -> AsyncGenerator[Item]:
    """Run ``work`` in a thread and yield what it emits; raise what it raises.

    Closing the iterator marks the job unwanted and returns at once: ``work`` ends when it next looks.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[Item] | Exception | None] = asyncio.Queue()

    def send(entry: tuple[Item] | Exception | None) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, entry)

    job: Job[Item] = Job(lambda item: send((item,)))

    def run() -> None:
        failure: Exception | None = None
        try:
            work(job)
        except Exception as error:
            failure = error
        finally:
            _running.discard(job)
        with contextlib.suppress(RuntimeError):  # the reader's event loop was closed meanwhile
            send(failure)

    job.thread = threading.Thread(target=run, daemon=True, name=name)
    _stop_at_exit()
    _running.add(job)
    job.thread.start()
    try:
        while (entry := await queue.get()) is not None:
            if isinstance(entry, Exception):
                raise entry
            yield entry[0]
    finally:
        job.stop()


_running: set[Job[Any]] = set()


@functools.cache
def _stop_at_exit() -> None:
    """See to it that no thread is inside of a native library while the interpreter is taken down."""
    atexit.register(_stop_all)


def _stop_all() -> None:
    running = list(_running)
    for job in running:
        job.stop()
    for job in running:
        if job.thread is not None:
            job.thread.join(timeout=_PATIENCE)
