"""The synchronous face of the asynchronous core: an event loop that lives on between two calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import signal
import socket
import sys
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, Final, Self, TypeVar

from .errors import ConfigurationError

T = TypeVar("T")

_SHORTEST: Final = 0.01
_LONGEST: Final = 0.64
"""Seconds between two looks of the keeper at a loop that others run."""
_MEANWHILE: Final = 0.0015
"""Seconds into the first call, when the keeper starts: a session has nothing to do then but to wait for its guest."""

_CLOSED: Final = "It is closed; open a new one."
_FROM_WITHIN: Final = (
    "A synchronous method was called from within its own session, by a tool or a listener: it would wait for itself. "
    "Await the asynchronous one there."
)


class Portal:
    """Runs coroutines on one event loop, and waits for them.

    Whoever waits runs the loop meanwhile, in its own thread: to wake another one, and to be woken by it, takes longer
    than many an action. Some milliseconds later a thread of the portal's own, the keeper, takes the loop over, so that
    what is to happen between two calls does. The keeper also runs it for whoever cannot: where an event loop runs in
    the calling thread already (a notebook), and where a second thread calls while the first one waits.

    Ctrl-C in the waiting thread cancels the coroutine, waits until it has cleaned up, and only then raises
    ``KeyboardInterrupt``; a second Ctrl-C does not wait.

    >>> with Portal() as portal:
    ...     portal.run(asyncio.sleep(0, "done"))
    'done'
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._interrupts = _Interrupts(self._loop)
        self._changed = threading.Condition()
        """Guards the rest; notified when the loop is free, and when it is the keeper's turn."""
        self._driver: int | None = None
        """The thread that runs the loop."""
        self._runs = 0
        """How often a calling thread wanted it."""
        self._others = 0
        """Calls whose thread does not run the loop."""
        self._stopping = False
        """Whether the keeper was asked for the loop."""
        self._nap = _SHORTEST
        """Seconds for which the keeper sleeps."""
        self._closing = False
        self._keeper = threading.Thread(target=self._keep, name="codeact-tools", daemon=True)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` to its end and return its result, or raise its exception.

        Raises:
            ConfigurationError: This is called by what runs on the loop, which would wait for itself; or after `close`.
            KeyboardInterrupt: Ctrl-C.
        """
        if self._closing or self._driver == threading.get_ident():
            coroutine.close()
            raise ConfigurationError(_CLOSED if self._closing else _FROM_WITHIN)
        if not self._take():
            return self._run_elsewhere(coroutine)
        try:
            return self._run_here(coroutine)
        finally:
            self._leave()

    def close(self) -> None:
        """Close the loop and end the thread; idempotent."""
        with self._changed:
            if not self._closing:
                self._closing = True
                self._start_keeper()
                self._ask_keeper()
                self._changed.notify_all()
        self._keeper.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- in the calling thread ---------------------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take the loop, from the keeper if need be; False where this thread cannot run it."""
        if asyncio._get_running_loop() is not None:
            return False
        with self._changed:
            self._runs += 1
            while self._driver is not None:
                if self._driver != self._keeper.ident or self._others:
                    return False
                self._ask_keeper()
                self._changed.wait()
            self._driver = threading.get_ident()
            return True

    def _leave(self) -> None:
        """Let go of the loop. The keeper sees that by itself, unless it sleeps long or somebody waits for it."""
        with self._changed:
            self._driver = None
            self._start_keeper()
            if self._others or self._closing or self._nap > _SHORTEST:
                self._changed.notify_all()

    def _start_keeper(self) -> None:
        """Start the keeper, unless it runs; with the lock held."""
        if self._keeper.ident is None:
            self._keeper.start()

    def _start_keeper_meanwhile(self) -> None:
        """Do so while the first call waits for something, because it takes some time."""
        with self._changed:
            self._start_keeper()

    def _ask_keeper(self) -> None:
        if self._driver == self._keeper.ident and not self._stopping:
            self._stopping = True
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _run_here(self, coroutine: Coroutine[Any, Any, T]) -> T:
        loop = self._loop
        task = loop.create_task(coroutine)
        if self._keeper.ident is None:
            loop.call_later(_MEANWHILE, self._start_keeper_meanwhile)
        try:
            with self._interrupts.cancel(task) as interrupts:
                try:
                    result = loop.run_until_complete(task)
                except asyncio.CancelledError:
                    if not interrupts:
                        raise concurrent.futures.CancelledError from None
        except KeyboardInterrupt:
            if not interrupts:  # another handler than Python's own raised it, in the middle of the loop
                task.cancel()
                loop.run_until_complete(asyncio.wait([task]))
            raise
        if interrupts:
            raise KeyboardInterrupt
        return result

    def _run_elsewhere(self, coroutine: Coroutine[Any, Any, T]) -> T:
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

        with self._waiting():
            self._loop.call_soon_threadsafe(start, context=contextvars.copy_context())
            try:
                return outcome.result()
            except KeyboardInterrupt:
                self._loop.call_soon_threadsafe(cancel)
                concurrent.futures.wait([outcome])
                raise

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        """Somebody waits for the keeper to run the loop."""
        with self._changed:
            self._others += 1
            self._start_keeper()
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._others -= 1

    # ---- in the keeper's thread --------------------------------------------------------------------------------------

    def _keep(self) -> None:
        asyncio.set_event_loop(self._loop)
        seen = 0
        with self._changed:
            while not (self._closing and self._driver is None):
                if self._driver is not None:
                    self._nap = min(2 * self._nap, _LONGEST)
                elif self._runs == seen or self._others:
                    self._drive()
                    continue
                else:
                    seen, self._nap = self._runs, _SHORTEST
                self._changed.wait(self._nap)
            self._driver = self._keeper.ident
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._interrupts.close()

    def _drive(self) -> None:
        """Run the loop until somebody asks for it; with the lock held, but not meanwhile."""
        self._driver, self._nap = threading.get_ident(), _SHORTEST
        self._changed.release()
        try:
            self._loop.run_forever()
        finally:
            self._changed.acquire()
            self._driver, self._stopping = None, False
            self._changed.notify_all()


class _Interrupts:
    """Has the first Ctrl-C cancel what a loop runs, and the second one raise ``KeyboardInterrupt``.

    As `asyncio.Runner` has it: only in the main thread, and only in place of Python's own handler. Besides, any signal
    that arrives just before the loop goes to sleep wakes it, by a byte on a socket (``signal.set_wakeup_fd``).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._bell: socket.socket | None = None
        if sys.platform != "win32":  # whose loop has such a socket of its own
            self._bell, self._ear = socket.socketpair()
            self._bell.setblocking(False)
            self._ear.setblocking(False)
            loop.add_reader(self._ear, self._ear.recv, 4096)

    @contextlib.contextmanager
    def cancel(self, task: asyncio.Task[Any]) -> Iterator[list[int]]:
        """Cancel ``task`` at Ctrl-C; yield the signals that have come."""
        came: list[int] = []
        if threading.current_thread() is not threading.main_thread():
            yield came
            return

        def handle(number: int, frame: object) -> None:  # noqa: ARG001 - the signature is the system's
            came.append(number)
            if len(came) > 1:
                raise KeyboardInterrupt
            task.cancel()
            task.get_loop().call_soon_threadsafe(lambda: None)  # wakes it, to see that

        ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if ours:
            signal.signal(signal.SIGINT, handle)
        before = -1 if self._bell is None else signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        try:
            yield came
        finally:
            if self._bell is not None:
                signal.set_wakeup_fd(before)
            if ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def close(self) -> None:
        """Close the socket; the loop does not run any longer."""
        if self._bell is not None:
            self._bell.close()
            self._ear.close()
