"""The host's end of a stream socket to a guest on this machine.

The socket blocks, for the thread that waits for the next bytes; everything else asks it not to, call by call.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final

from ..errors import SandboxCrashed
from .lookout import Lookout

_CHUNK: Final = 1 << 18
_PIECE: Final = 1 << 16
"""Bytes that a thread reads at once: a small buffer is quick to make, and most messages are small."""
_FIRST_SECONDS: Final = 0.0005
"""For a look at an action's first message: longer than a guest needs to compile a short action."""
_NEXT_SECONDS: Final = 0.00015
"""For one at the next: longer than it takes to wake an idle processor core, and than a guest needs to end an action."""


class Channel:
    """Reads and writes bytes. `write` may be called from any thread; the rest belongs to one event loop, but `wait`."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(True)
        self._socket = end
        self._lock = threading.Lock()  # the socket's number must not come to mean another file during a write or `wait`
        self._closed = False
        self._waits = False
        self._first = Lookout(_FIRST_SECONDS, longest_pause=1, yields=True)
        self._next = Lookout(_NEXT_SECONDS)
        self._take: Callable[[bytes], None] | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write what can be written at once; return the number of bytes.

        Raises:
            SandboxCrashed: The guest is gone.
        """
        with self._lock:
            try:
                return self._socket.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return 0
            except OSError as error:
                raise SandboxCrashed("The guest is gone: its end of the bridge is closed.") from error

    async def send(self, data: bytes | memoryview) -> None:
        """Write all of ``data``; wait while the guest does not read.

        Raises:
            SandboxCrashed: The guest is gone.
        """
        rest = memoryview(data)
        while rest := rest[self.write(rest) :]:
            loop = asyncio.get_running_loop()
            await self._until(loop.add_writer, loop.remove_writer)

    async def receive(self) -> bytes:
        """Return the next bytes; ``b""`` at the end of the stream."""
        while True:
            try:
                return self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await self._until(loop.add_reader, loop.remove_reader)
            except OSError:  # reset by a guest that left something unread, or closed by `close`
                return b""

    def wait(self, *, first: bool = False) -> bytes:
        """Block until the next bytes are there, in a thread, while nobody listens; ``b""`` at the end of the stream.

        Args:
            first: Whether they are the first ones of an action.
        """
        with self._lock:
            if self._closed:
                return b""
            self._waits = True
        try:
            lookout = self._first if first else self._next
            return lookout.look(self._at_once) or self._socket.recv(_PIECE)
        except OSError:  # reset by a guest that left something unread
            return b""
        finally:
            with self._lock:
                self._waits = False
                if self._closed:
                    self._socket.close()

    def listen(self, take: Callable[[bytes], None]) -> None:
        """Hand each chunk to ``take`` as it arrives, until `deafen`; ``b""`` once, at the end of the stream."""
        if self._closed:
            take(b"")
            return
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._on_readable)

    def deafen(self) -> None:
        """Undo `listen`; idempotent."""
        if self._take is not None and self._loop is not None:
            self._take = None
            self._loop.remove_reader(self._socket.fileno())

    def pending(self) -> bool:
        """Whether bytes, or the end of the stream, are waiting."""
        if self._closed:
            return True
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:  # reset by a guest that left something unread
            return True
        return True

    def close(self) -> None:
        """Close the socket and wake whoever waits for it; idempotent."""
        if self._closed:
            return
        self._closed = True
        take = self._take
        self.deafen()
        number = self._socket.fileno()
        for future in self._waiting:
            future.get_loop().remove_reader(number)
            future.get_loop().remove_writer(number)
            if not future.done():
                future.set_result(None)
        with self._lock:
            with contextlib.suppress(OSError):  # the guest may have closed its end before
                self._socket.shutdown(socket.SHUT_RDWR)  # which ends `wait`
            if not self._waits:
                self._socket.close()
        if take is not None:
            take(b"")

    def _at_once(self) -> bytes | None:
        try:
            return self._socket.recv(_PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def _on_readable(self) -> None:
        take = self._take
        if take is None:
            return
        try:
            chunk = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.deafen()
        take(chunk)

    async def _until(self, watch: Callable[[int, Callable[[], None]], None], forget: Callable[[int], bool]) -> None:
        number = self._socket.fileno()
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watch(number, lambda: None if ready.done() else ready.set_result(None))
        self._waiting.add(ready)
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            if not self._closed:
                forget(number)
