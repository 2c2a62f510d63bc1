"""Who reads what the guest sends during an action: the event loop, or for a while the thread that answers its calls.

A program that calls one quick tool after the other would make the event loop and a worker thread wake each other twice
for each call, which takes longer than the call. So the thread that answers a call goes on reading; and after an action
that made such calls, a thread reads the next one's from the start. It takes output, and begins calls that it can answer
by itself; with everything else, the end of the stream included, it gives the reading back, and when a tool takes long
the event loop takes it back. At any time one of the two reads, and the bridge's state is its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from .._workers import run_in_worker

if TYPE_CHECKING:
    from .bridge import Bridge
    from .calls import Job
    from .channel import Channel
    from .exchange import Exchange

_PATIENCE: Final = 0.005
"""Seconds for a tool, before the event loop reads again and can begin other calls."""
_LONGEST: Final = 0.04
"""Seconds between two looks at a thread that waits for the guest."""


class Reader:
    """Passes the reading between the event loop and worker threads, for one action."""

    def __init__(self, bridge: Bridge, action: Exchange, channel: Channel) -> None:
        self._bridge = bridge
        self._action = action
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._holder: object | None = None
        """Stands for the worker thread that reads; None while the event loop does."""
        self._since: float | None = None
        """When that thread began to work on a call."""
        self._timer: asyncio.TimerHandle | None = None
        self.used = False
        """Whether a worker thread has answered a call."""

    @property
    def lent(self) -> bool:
        """Whether a worker thread reads."""
        return self._holder is not None

    def lend(self, job: Job | None = None) -> None:
        """Have a worker thread read, after it has answered the call. No message may wait for the event loop."""
        self._channel.deafen()
        holder = self._holder = object()
        if job is not None:
            self.used = True
            self._since = time.monotonic()
        run_in_worker(partial(contextvars.copy_context().run, self._serve, holder, job))
        self._look_again(_PATIENCE)

    def stop(self) -> None:
        """The action is over: no thread begins another call."""
        with self._lock:
            self._holder = None
        if self._timer is not None:
            self._timer.cancel()

    # ---- in the worker thread ----------------------------------------------------------------------------------------

    def _serve(self, holder: object, job: Job | None) -> None:
        while job is not None or (job := self._next(holder)) is not None:
            job.run()
            job = None
            with self._lock:
                if self._holder is not holder:
                    return
                self._since = None

    def _next(self, holder: object) -> Job | None:
        """The next call, begun; None where this thread does not read any longer."""
        bridge, action = self._bridge, self._action
        while True:
            if not bridge.arrived:
                bridge.feed(self._channel.wait(first=not self.used))
            with self._lock:
                if self._holder is not holder:
                    return None
                while bridge.arrived and action.take_output(bridge.arrived[0]):
                    bridge.arrived.popleft()
                job = action.begin_in_thread(bridge.arrived[0]) if bridge.arrived else None
                if job is not None:
                    bridge.arrived.popleft()
                    self.used = True
                    self._since = time.monotonic()
                    return job
            if bridge.arrived or bridge.at_the_end:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for this any longer
                    self._loop.call_soon_threadsafe(self._take_back, holder)
                return None

    # ---- on the event loop -------------------------------------------------------------------------------------------

    def _look_again(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._look, seconds)

    def _look(self, seconds: float) -> None:
        """Take the reading back from a thread that is busy with one call."""
        since = self._since
        if self._holder is None:
            return
        if since is None:
            self._look_again(min(2 * seconds, _LONGEST))
        elif time.monotonic() - since < _PATIENCE:
            self._look_again(_PATIENCE)
        else:
            self._take_back(self._holder)

    def _take_back(self, holder: object) -> None:
        with self._lock:
            if self._holder is not holder:
                return
            self._holder = None
        if self._timer is not None:
            self._timer.cancel()
        if not self._action.is_over(self._bridge.arrived):
            self._channel.listen(self._bridge.take)
        self._bridge.take_arrived()
