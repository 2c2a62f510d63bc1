"""The host's side of a conversation with a guest: it asks, the guest answers, and nothing else is accepted.

Everything that a guest sends is untrusted. Frames are size-capped and parsed strictly; a frame that is forged, early,
late, repeated or malformed ends the guest and raises a named error. Deadlines cover every wait.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from ..errors import ConfigurationError, ProtocolViolation, SandboxCrashed, SandboxError
from ..vocabulary import ALWAYS_IMPORTABLE
from ..wire import FrameBuffer, Json, encode_frame
from ..wire.scalars import clean
from .base import DirectGuest, GuestProcess, Limits, SuspendableGuest
from .calls import CallHandler, CallRefused, Stream, Work
from .exchange import Exchange
from .outcome import GuestError, Outcome, check_files

__all__ = ["Bridge", "CallHandler", "CallRefused", "GuestError", "Outcome", "Stream", "Work"]

PROTOCOL_VERSION: Final = 1
START_SECONDS: Final = 60.0
"""For a guest to become ready."""
_MOST_UNREAD: Final = 256 << 20
"""Bytes of answers that wait for a guest to read them."""
REST_SECONDS: Final = 0.05
"""After its last answer a guest is stopped, so that threads which an action left behind do not run on between actions.
Not at once: waking it takes longer than a short action does."""
_PART: Final = 512 * 1024
"""Bytes of a file in one message."""


class Bridge:
    """One conversation with one guest; actions run one at a time.

    Every method raises `ProtocolViolation`, `SandboxCrashed` or `LimitExceeded` where the guest misbehaves, ends or
    takes too long; unless the error says that the state survives, the guest is dead afterwards.
    """

    def __init__(self, process: GuestProcess, limits: Limits) -> None:
        self.process = process
        self.limits = limits
        self._frames = FrameBuffer(limits.frame_kb * 1024)
        self._inbox: deque[dict[str, Json]] = deque()
        self._channel = process.channel if isinstance(process, DirectGuest) else None
        self._arrival: asyncio.Future[None] | None = None
        self._broken: ProtocolViolation | None = None
        self._ended = False
        self._action: Exchange | None = None
        self._outgoing: deque[memoryview] = deque()
        self._unread = 0
        self.received = 0
        """Bytes that the guest sent since the action began."""
        self._outgoing_lock = threading.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._rest: asyncio.TimerHandle | None = None
        self._freezing: asyncio.Task[None] | None = None
        self._frozen = False
        self._actions = 0
        self.last_call = 0
        self.dead: str | None = None

    async def start(
        self, manifest: Mapping[str, Json], *, allow_imports: Sequence[str], seed: int | None = None
    ) -> None:
        """Tell the guest what it serves, and wait until it is ready."""
        init = {
            "op": "init",
            "manifest": manifest,
            "allow_imports": [*ALWAYS_IMPORTABLE, *allow_imports],
            "echo_limit": 20_000,
            "frame_limit": self.limits.frame_kb * 1024,
            "output_limit": self.limits.output_kb * 1024,
            "seed": seed,
        }
        answer = await self._ask(init, START_SECONDS, "starting")
        if answer.get("op") != "ready" or answer.get("version") != PROTOCOL_VERSION:
            await self.violate("the guest did not get ready")

    async def execute(self, code: str, *, handler: CallHandler) -> Outcome:
        """Run one action.

        Raises:
            LimitExceeded: It took longer, called more often or printed more than allowed.
            SandboxCrashed: The guest ended.
            ProtocolViolation: The guest sent something that is not allowed.
        """
        async with self._busy:
            await self._check_quiet()
            self._actions += 1
            self._action = action = Exchange(self, self._actions, handler)
            self.received = 0
            try:
                with self._listening():
                    return await action.run(code)
            except (asyncio.CancelledError, SandboxError):
                raise
            except BaseException:
                await self.kill("the host failed while an action ran")
                raise
            finally:
                self._action = None
                self._rest_soon()

    async def put(self, path: str, data: bytes) -> None:
        """Write a file into the working folder."""
        for start in range(0, len(data) or 1, _PART):
            part = base64.b64encode(data[start : start + _PART]).decode()
            await self._about(path, {"op": "put", "path": path, "data": part, "append": start > 0}, "stored")

    async def get(self, path: str) -> bytes:
        """Read a file of the working folder, of at most ``Limits.files_mb``."""
        parts: list[bytes] = []
        size = 0
        while True:
            request = {"op": "get", "path": path, "offset": size, "size": _PART}
            answer = await self._about(path, request, "data")
            data, eof = answer.get("data"), answer.get("eof")
            if not isinstance(data, str) or not isinstance(eof, bool):
                await self.violate("malformed file data")
            try:
                part = base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError):
                await self.violate("malformed file data")
            if len(part) > _PART or (not part and not eof) or size + len(part) > self.limits.files_mb << 20:
                await self.violate("more file data than was asked for")
            parts.append(part)
            size += len(part)
            if eof:
                return b"".join(parts)

    async def files(self) -> list[tuple[str, int]]:
        """Path and size of each file in the working folder."""
        answer = await self._ask({"op": "files"}, self.limits.seconds, "listing files")
        files = check_files(answer.get("files")) if answer.get("op") == "listing" else None
        if files is None:
            await self.violate("a malformed listing")
        return files

    async def suspend(self) -> dict[str, Any]:
        """Let go of the guest, which lives on; return plain data for `resume`.

        Raises:
            ConfigurationError: The back end cannot do that; nothing has changed.
        """
        guest = self.process
        if not isinstance(guest, SuspendableGuest):
            raise ConfigurationError(
                f"A session in {guest.description} cannot be suspended: its guest ends with this process. E2B's can."
            )
        async with self._busy:
            await self._check_quiet()
            suspended = await guest.suspend()
            self.dead = "it is suspended"
        return {"guest": dict(suspended), "actions": self._actions, "last_call": self.last_call}

    def resume(self, suspended: Mapping[str, Any]) -> None:
        """Take over where another bridge to the same guest left, in place of `start`."""
        self._actions, self.last_call = suspended["actions"], suspended["last_call"]

    async def close(self) -> None:
        """End the guest; idempotent."""
        await self.kill("the session is closed")

    # ---- one message -------------------------------------------------------------------------------------------------

    async def _about(self, path: str, request: Mapping[str, Json], expected: str) -> dict[str, Json]:
        answer = await self._ask(request, self.limits.seconds, "handling a file")
        if answer.get("op") == "refused":
            raise FileNotFoundError(clean(str(answer.get("message"))[:500]))
        if answer.get("op") != expected or answer.get("path") != path:
            await self.violate("an answer to another question")
        return answer

    async def _ask(self, request: Mapping[str, Json], seconds: float, doing: str) -> dict[str, Json]:
        """Send a request while no action runs, and return the one answer."""
        async with self._busy:
            await self._check_quiet()
            try:
                with self._listening():
                    async with asyncio.timeout(seconds):
                        self.post(encode_frame(request))
                        answer = await self.receive()
            except TimeoutError:
                await self.kill(f"the guest did not answer while {doing}")
                raise SandboxCrashed(f"The guest did not answer within {seconds:g} s while {doing}.") from None
            except asyncio.CancelledError:
                await self.kill(f"{doing} was cancelled")
                raise
            self._rest_soon()
            return answer

    async def _check_quiet(self) -> None:
        """Nothing may have arrived that was not asked for; and then wake the guest, if it rests."""
        if self.dead is not None:
            raise SandboxCrashed(f"The sandbox is gone: {self.dead}.")
        if self._inbox or len(self._frames):
            await self.violate("a message between two actions")
        if self.process.pending():
            if await self.process.receive():
                await self.violate("a message between two actions")
            await self._crash()
        if self._rest is not None:
            self._rest.cancel()
        if self._frozen:
            self._frozen = False
            await self.process.thaw()

    def _rest_soon(self) -> None:
        """Stop the guest, unless there is more for it to do soon."""
        if self.dead is None:
            self._rest = self._loop.call_later(REST_SECONDS, self._start_freeze)

    def _start_freeze(self) -> None:
        self._freezing = self._loop.create_task(self._freeze())

    async def _freeze(self) -> None:
        async with self._busy:
            if self.dead is None and not self._frozen:
                self._frozen = True
                await self.process.freeze()

    def post(self, frame: bytes) -> None:
        """Send one whole frame without waiting, from any thread once `execute` runs.

        A guest that is gone takes none: whoever waits for its answer sees the end of the stream.
        """
        rest = memoryview(frame)
        with self._outgoing_lock:
            if self._channel is not None and not self._outgoing:
                try:
                    rest = rest[self._channel.write(frame) :]
                except SandboxCrashed:
                    return
                if not rest:
                    return
            self._outgoing.append(rest)
            self._unread += len(rest)
            if self._unread > _MOST_UNREAD:
                self._loop.call_soon_threadsafe(self._break, "the guest does not read the answers to its calls")
            if len(self._outgoing) > 1:
                return
        self._loop.call_soon_threadsafe(self._start_flush)

    def _start_flush(self) -> None:
        self._flushing = self._loop.create_task(self._flush())

    async def _flush(self) -> None:
        while self._outgoing:
            try:
                await self.process.send(bytes(self._outgoing[0]))
            except SandboxCrashed:  # the end of the stream says so to whoever waits for an answer
                self._outgoing.clear()
                return
            with self._outgoing_lock:
                self._unread -= len(self._outgoing.popleft())

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Let messages arrive; between two requests none may."""
        self._loop = asyncio.get_running_loop()
        if self._channel is None:
            yield
            return
        self._channel.listen(self._take)
        try:
            yield
        finally:
            self._channel.deafen()

    def _take(self, chunk: bytes) -> None:
        """Take bytes from the guest; calls begin at once, everything else waits for `receive`."""
        self.received += len(chunk)
        try:
            messages = self._frames.feed(chunk)
        except ProtocolViolation as violation:
            self._broken = violation
            messages = []
        self._ended = not chunk
        for message in messages:
            if self._inbox or self._action is None or not self._action.take(message):
                self._inbox.append(message)
        if self._inbox or self._broken or self._ended:
            self._wake()

    def _break(self, why: str) -> None:
        self._broken = ProtocolViolation(why)
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def receive(self) -> dict[str, Json]:
        """Return the next message."""
        while not self._inbox:
            if self._broken is not None:
                await self.kill("it sent what is not allowed")
                raise ProtocolViolation(f"The sandbox was ended: {self._broken}.")
            if self._ended:
                await self._crash()
            if self._channel is None:
                self._take(await self.process.receive())
                continue
            self._arrival = self._loop.create_future()
            await self._arrival
        return self._inbox.popleft()

    async def _crash(self) -> NoReturn:
        await self.kill("the guest ended unexpectedly")
        raise SandboxCrashed(
            "The guest ended unexpectedly: the action ended its process, or it used more memory than allowed."
        )

    async def violate(self, what: str) -> NoReturn:
        """End a guest that sent ``what``."""
        await self.kill("it sent what is not allowed")
        raise ProtocolViolation(f"The sandbox was ended: the guest sent {what}.")

    async def kill(self, reason: str) -> None:
        """End the guest; the first reason is remembered."""
        if self.dead is None:
            self.dead = reason
        if self._rest is not None:
            self._rest.cancel()
        await self.process.kill()
