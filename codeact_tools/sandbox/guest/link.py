"""The guest's end of the byte stream: frames, and calls whose replies find their caller.

A frame is a 4-byte big-endian length and a JSON object. There is no reader thread: whoever waits for a reply reads, and
hands over what belongs to others; so a call from a program with one thread is one write and one read.
"""

from __future__ import annotations

import json
import os
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import InvalidCall, ToolError
from .interrupts import Interrupts, critical, interruptible
from .lookout import Lookout

if TYPE_CHECKING:
    import asyncio

Frame = dict[str, Any]
_Found = TypeVar("_Found")


def _make_to_json() -> Callable[[object], str]:
    """`json.JSONEncoder.encode` makes a new encoder in C for each text, which takes longer than a small one."""
    encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
    make: Callable[..., Callable[[object, int], tuple[str, ...]]] | None = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    encode = make(None, encoder.default, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    join = "".join
    return lambda value: join(encode(value, 0))


to_json = _make_to_json()
_scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())["scan_once"]
_ENDED = "the action ended before this call did"
_CLOSED = "tools can be called only while an action runs; await the task, or join the thread, that calls them"
_STREAM_CLOSED = "a stream of items ends with the action that opened it; take what you need there, e.g. list(...) of it"
_PATIENCE = 0.1
"""Seconds after which a blocked caller looks whether an interrupt arrived while it was not looking."""
_REPLY_SECONDS = 0.0001
"""For a look at a reply: longer than it takes to wake an idle processor core."""
_REQUEST_SECONDS = 0.0005
"""For one at the next request: longer than the host needs to end an action and begin another."""


class Link:
    """Reads and writes frames; safe to use from threads and from event loops."""

    def __init__(self, fd_in: int, fd_out: int, interrupts: Interrupts) -> None:
        self._in = fd_in
        self._out = fd_out
        self._interrupts = interrupts
        self._poll = select.poll()
        self._poll.register(fd_in, select.POLLIN)
        self._replied = Lookout(_REPLY_SECONDS)
        self._requested = Lookout(_REQUEST_SECONDS, skip=3, longest_pause=1, yields=True)
        self._buffer = bytearray()
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)
        """Notified when the reader stops reading."""
        self._followers = 0
        self._reading = False
        self._requests: deque[Frame] = deque()
        self._replies: dict[int, Frame] = {}
        self._waiting: dict[int, asyncio.Future[Frame] | None] = {}
        self._watching: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._abandoned: deque[int] = deque()
        self._calls = 0
        self._first = 1
        self.frame_limit = 1 << 23
        """Bytes of a message."""
        self._open = False

    # -- one action ----------------------------------------------------------------------------------------------------

    def next_request(self) -> Frame:
        """Wait for the host's next request."""
        return self._read_until(lambda: self._requests.popleft() if self._requests else None, None)

    @critical
    def open(self) -> None:
        """An action begins: calls and output may be sent."""
        self._abandoned.clear()
        self._first = self._calls + 1
        self._open = True

    @critical
    def answer(self, frame: Frame) -> None:
        """Send the answer to the request. An action is over with it: open calls fail, later output waits."""
        body = _encode(frame)
        with self._writing:
            self._flush_cancels()
            self._open = False
            self._write(body)
        with self._turn:
            waiting, self._waiting = self._waiting, {}
            for call, future in waiting.items():
                self._hand_over(call, future, {"op": "raise", "type": "ToolError", "message": _ENDED})
            self._turn.notify_all()

    def post(self, frame: Frame) -> bool:
        """Send a message that expects no reply; False, and nothing is sent, while no action runs."""
        sent = self._post(_encode(frame))
        self._interrupts.check()
        return sent

    @critical
    def _post(self, body: bytes) -> bool:
        with self._writing:
            if self._open:
                self._write(body)
            return self._open

    # -- calls ---------------------------------------------------------------------------------------------------------

    def call(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Frame:
        """Call a tool, whose name is JSON, and wait; the reply is a ``return`` or a ``raise`` frame."""
        return self.wait(self._submit(_tail(tool, args, kwargs), None))

    async def call_async(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Frame:
        """Call a tool without blocking the event loop; cancelling the awaiting task cancels the call."""
        body = _tail(tool, args, kwargs)
        return await self._await(lambda future: self._submit(body, future))

    def pull(self, call: int) -> Frame:
        """Ask a stream for its next item and wait; the reply is an ``item``, ``end`` or ``raise`` frame.

        Raises:
            ToolError: The action that opened the stream is over.
        """
        self._ask(call, None)
        return self.wait(call)

    async def pull_async(self, call: int) -> Frame:
        """Ask a stream for its next item, without blocking the event loop."""
        return await self._await(lambda future: self._ask(call, future))

    def abandon(self, call: int) -> None:
        """Tell the host that nobody wants the result. Safe in finalizers: it never waits for a lock."""
        self._abandoned.append(call)
        if self._writing.acquire(blocking=False):
            try:
                self._flush_cancels()
            finally:
                self._writing.release()

    @critical
    def wait(self, call: int) -> Frame:
        """Wait for a call's reply."""
        return self._read_until(lambda: self._replies.pop(call, None), _PATIENCE)

    async def _await(self, send: Callable[[asyncio.Future[Frame]], int]) -> Frame:
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Frame] = loop.create_future()
        self._watch(loop)
        call = 0
        try:
            call = send(future)
            return await future
        except asyncio.CancelledError:
            self._waiting.pop(call, None)
            if call:
                self.abandon(call)
            raise

    @critical
    def _submit(self, tail: bytes, future: asyncio.Future[Frame] | None) -> int:
        with self._writing:
            if not self._open:
                raise ToolError(_CLOSED)
            if len(tail) + 64 > self.frame_limit:
                size = f"{len(tail) >> 10:,} KiB, and one message holds at most {self.frame_limit >> 10:,} KiB"
                raise InvalidCall(f"the arguments have {size}: pass less at a time")
            self._flush_cancels()
            self._calls = call = self._calls + 1
            self._waiting[call] = future
            body = b'{"op":"call","id":%d%b' % (call, tail)
            self._write(len(body).to_bytes(4, "big") + body)
        return call

    @critical
    def _ask(self, call: int, future: asyncio.Future[Frame] | None) -> int:
        with self._writing:
            if not self._open or call < self._first:
                raise ToolError(_STREAM_CLOSED)
            self._waiting[call] = future
            self._write(_encode({"op": "next", "call": call}))
        return call

    def _flush_cancels(self) -> None:
        while self._abandoned:
            call = self._abandoned.popleft()
            if self._open and call >= self._first:
                self._write(_encode({"op": "cancel", "call": call}))

    # -- reading -------------------------------------------------------------------------------------------------------

    @critical
    def _read_until(self, take: Callable[[], _Found | None], patience: float | None) -> _Found:
        while True:
            self._interrupts.check()
            with self._lock:
                found = take()
                if found is not None:
                    return found
                if self._reading:
                    self._follow(patience)
                    continue
                self._reading = True
            try:
                if self._soon(self._requested if patience is None else self._replied) or self._readable(patience):
                    self._pump()
            finally:
                self._stop_reading()

    def _stop_reading(self) -> None:
        with self._lock:
            self._reading = False
            if self._followers:
                self._turn.notify_all()

    @interruptible
    def _follow(self, patience: float | None) -> None:
        self._followers += 1
        try:
            self._turn.wait(patience)
        finally:
            self._followers -= 1

    @interruptible
    def _soon(self, lookout: Lookout) -> bool:
        """Whether there is something to read after a short look."""
        return bool(lookout.look(self._arrived))

    @interruptible
    def _arrived(self) -> bool:
        return bool(self._poll.poll(0))

    @interruptible
    def _readable(self, patience: float | None) -> bool:
        return bool(self._poll.poll(None if patience is None else patience * 1000))

    @critical
    def _pump(self) -> None:
        chunk = os.read(self._in, 1 << 16)
        if not chunk:
            os._exit(0)  # the host is gone
        buffer = self._buffer
        if not buffer and len(chunk) == 4 + int.from_bytes(chunk[:4], "big"):
            self._dispatch(_scan(chunk[4:].decode(), 0)[0])  # most often it is one whole message
            return
        buffer += chunk
        start = 0
        while len(buffer) - start >= 4:
            end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
            if len(buffer) < end:
                break
            self._dispatch(_scan(buffer[start + 4 : end].decode(), 0)[0])
            start = end
        del buffer[:start]

    def _dispatch(self, frame: Frame) -> None:
        call = frame.get("call")
        if call is None:
            self._requests.append(frame)
        elif call in self._waiting:
            self._hand_over(call, self._waiting.pop(call), frame)

    def _hand_over(self, call: int, future: asyncio.Future[Frame] | None, frame: Frame) -> None:
        if future is None:
            self._replies[call] = frame
            return
        import asyncio

        loop = future.get_loop()
        if asyncio._get_running_loop() is loop:
            _settle(future, frame)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_settle, future, frame)

    @critical
    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop read what arrives, from now on; where somebody else reads, it finds nothing."""
        with self._lock:
            if loop in self._watching:
                return
            self._watching.add(loop)
        loop.add_reader(self._in, self._on_readable)

    @critical
    def _on_readable(self) -> None:
        with self._lock:
            if self._reading:
                return
            self._reading = True
        try:
            if self._poll.poll(0):
                self._pump()
        finally:
            self._stop_reading()

    def _write(self, data: bytes) -> None:
        written = os.write(self._out, data)
        if written < len(data):
            view = memoryview(data)
            while written < len(data):
                written += os.write(self._out, view[written:])


def _settle(future: asyncio.Future[Frame], frame: Frame) -> None:
    if not future.done():
        future.set_result(frame)


def _tail(tool: str, args: list[Any], kwargs: dict[str, Any]) -> bytes:
    return f',"tool":{tool},"args":{to_json(args)},"kwargs":{to_json(kwargs) if kwargs else "{}"}}}'.encode()


def _encode(frame: Frame) -> bytes:
    body = to_json(frame).encode("utf-8", "backslashreplace")
    return len(body).to_bytes(4, "big") + body
