"""The synchronous face of the asynchronous core: an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Portal:
    """Runs coroutines on one event loop in a background thread, and waits for them.

    It works where an event loop already runs in the calling thread (a notebook). Ctrl-C in the waiting thread cancels
    the coroutine, waits until it has cleaned up, and only then raises ``KeyboardInterrupt``; a second Ctrl-C does not
    wait.

    >>> with Portal() as portal:
    ...     portal.run(asyncio.sleep(0, "done"))
    'done'
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="codeact-tools", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` to its end and return its result, or raise its exception."""
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        started: list[asyncio.Task[T]] = []

        def finish(task: asyncio.Task[T]) -> None:
            if task.cancelled():
                outcome.set_exception(concurrent.futures.CancelledError())
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())

        def start() -> None:
            task = self._loop.create_task(coroutine)
            started.append(task)
            task.add_done_callback(finish)

        def cancel() -> None:
            for task in started:
                task.cancel()

        self._loop.call_soon_threadsafe(start, context=contextvars.copy_context())
        try:
            return outcome.result()
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(cancel)
            concurrent.futures.wait([outcome])
            raise

    def close(self) -> None:
        """Stop the loop and the thread; idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
