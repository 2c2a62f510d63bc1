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

from ..errors import ConfigurationError, LimitExceeded, ProtocolViolation, SandboxCrashed, SandboxError
from ..vocabulary import ALWAYS_IMPORTABLE
from ..wire import FrameBuffer, Json, encode_frame
from ..wire.scalars import clean
from .base import DirectGuest, GuestProcess, Limits, SuspendableGuest
from .calls import CallHandler, CallRefused, Stream, Work
from .clocks import Lifetime, require_meter
from .exchange import Exchange, exec_frame
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
        self.arrived: deque[dict[str, Json]] = deque()
        """Messages that nobody has looked at."""
        self._channel = process.channel if isinstance(process, DirectGuest) else None
        self._arrival: asyncio.Future[None] | None = None
        self._broken: ProtocolViolation | None = None
        self._ended = False
        self._action: Exchange | None = None
        self.loop: asyncio.AbstractEventLoop
        """That of the request that is under way, or was last."""
        self._outgoing: deque[memoryview] = deque()
        self._unread = 0
        self.received = 0
        """Bytes that the guest sent since the action began."""
        self.thread_reads = False
        """Whether the last action made calls that the thread which reads can answer: the next one is expected to."""
        self._outgoing_lock = threading.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._rest: asyncio.TimerHandle | None = None
        self._freezing: asyncio.Task[None] | None = None
        self._frozen = False
        self._actions = 0
        self.last_call = 0
        self._lifetime: Lifetime | None = None
        self._expiring: asyncio.Task[None] | None = None
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
        self._lifetime = Lifetime(self.limits.lifetime_seconds, 0.0, self._expire)
        answer = await self._ask(init, START_SECONDS, "starting")
        if answer.get("op") != "ready" or answer.get("version") != PROTOCOL_VERSION:
            await self.violate("the guest did not get ready")
        require_meter(self.process, self.limits)

    async def execute(self, code: str, *, handler: CallHandler, clock: float | None = None) -> Outcome:
        """Run one action; with ``clock``, in seconds since 1970, as if it were that time.

        Raises:
            LimitExceeded: It took longer, called more often or printed more than allowed.
            SandboxCrashed: The guest ended.
            ProtocolViolation: The guest sent something that is not allowed.
        """
        async with self._busy:
            frame = exec_frame(self._actions + 1, code, clock, self.limits)
            await self._check_quiet()
            self._actions += 1
            self.received = 0
            try:
                self.loop = asyncio.get_running_loop()
                self.post(frame)  # first of all: the guest wakes while the host gets ready to listen
                self._action = action = Exchange(self, self._actions, handler, self._channel)
                with self._listening(lent=action.starts_lent):
                    return await action.run()
            except (asyncio.CancelledError, SandboxError):
                raise
            except BaseException:
                await self.kill("the host failed while an action ran")
                raise
            finally:
                self._action = None
                self._rest_soon()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the wall clock of the action that runs (``Limits.seconds``): for a call that waits for a person.

        Calls that run concurrently may each do so; the clock goes on when all have. CPU time and the session's lifetime
        go on. Enter and leave it on the event loop; where no action runs it does nothing.

            with bridge.paused():
                allowed = await ask_somebody()
        """
        action = self._action
        if action is None:
            yield
            return
        action.wall.hold()
        try:
            yield
        finally:
            action.wall.release()

    async def put(self, path: str, data: bytes) -> None:
        """Write a file into the working folder."""
        for start in range(0, len(data) or 1, _PART):
            part = base64.b64encode(data[start : start + _PART]).decode()
            await self._about(path, {"op": "put", "path": path, "data": part, "append": start > 0}, "stored")

    async def get(self, path: str, *, most: int | None = None) -> bytes:
        """Read a file of the working folder, of at most ``most`` bytes, by default ``Limits.files_mb``.

        Raises:
            FileNotFoundError: It is none.
            LimitExceeded: It has more than ``most``: it has grown since it was listed. The guest is unharmed.
        """
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
            if len(part) > _PART or (len(part) < _PART and not eof) or size + len(part) > self.limits.files_mb << 20:
                await self.violate("other file data than was asked for")
            if most is not None and size + len(part) > most:
                raise LimitExceeded(f"{path!r} has more than {most:,} bytes.", limit="artifacts_mb", state_lost=False)
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
        lived = self._lifetime.cancel() if self._lifetime is not None else 0.0
        return {"guest": dict(suspended), "actions": self._actions, "last_call": self.last_call, "lived": lived}

    def resume(self, suspended: Mapping[str, Any]) -> None:
        """Take over where another bridge to the same guest left, in place of `start`; on the event loop."""
        self._actions, self.last_call = suspended["actions"], suspended["last_call"]
        self._lifetime = Lifetime(self.limits.lifetime_seconds, suspended.get("lived", 0.0), self._expire)
        require_meter(self.process, self.limits)

    async def close(self) -> None:
        """End the guest; idempotent."""
        await self.kill("the session is closed")

    # ---- lifetime ----------------------------------------------------------------------------------------------------

    def _expire(self) -> None:
        if self.dead is None:
            self._expiring = asyncio.get_running_loop().create_task(self.kill("it reached its lifetime"))

    def _expired(self, when: str) -> LimitExceeded:
        what = f"The interpreter reached its lifetime of {self.limits.lifetime_seconds:g} s and was ended {when}"
        return LimitExceeded(f"{what}; its variables are lost.", limit="lifetime_seconds", state_lost=True)

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
        if self._expiring is not None:
            raise self._expired("before this was asked of it, so nothing of it was done")
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
            self._rest = self.loop.call_later(REST_SECONDS, self._start_freeze)

    def _start_freeze(self) -> None:
        self._freezing = self.loop.create_task(self._freeze())

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
                self.loop.call_soon_threadsafe(self._break, "the guest does not read the answers to its calls")
            if len(self._outgoing) > 1:
                return
        self.loop.call_soon_threadsafe(self._start_flush)

    def _start_flush(self) -> None:
        self._flushing = self.loop.create_task(self._flush())

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
    def _listening(self, *, lent: bool = False) -> Iterator[None]:
        """Let messages arrive, at first to a thread if the reading is ``lent``; between two requests none may."""
        self.loop = asyncio.get_running_loop()
        if self._channel is None:
            yield
            return
        if not lent:
            self._channel.listen(self.take)
        try:
            yield
        finally:
            self._channel.deafen()

    def take(self, chunk: bytes) -> None:
        """Take bytes from the guest; calls begin at once, everything else waits for `receive`."""
        self.feed(chunk)
        self.take_arrived()

    def feed(self, chunk: bytes) -> None:
        """Cut bytes from the guest into messages, in the thread that reads."""
        self.received += len(chunk)
        try:
            self.arrived.extend(self._frames.feed(chunk))
        except ProtocolViolation as violation:
            self._broken = violation
        self._ended = self._ended or not chunk

    @property
    def idle(self) -> bool:
        """Whether no message waits for `receive`."""
        return not self._inbox

    @property
    def at_the_end(self) -> bool:
        """Whether nothing more can come."""
        return self._ended or self._broken is not None

    def take_arrived(self) -> None:
        """Take the messages that have been cut out of the stream, until a thread does."""
        while self.arrived and not (self._action is not None and self._action.lent):
            message = self.arrived.popleft()
            if self._inbox or self._action is None or not self._action.take(message):
                self._inbox.append(message)
        if self._inbox or self.at_the_end:
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
                self.take(await self.process.receive())
                continue
            self._arrival = self.loop.create_future()
            await self._arrival
        return self._inbox.popleft()

    async def _crash(self) -> NoReturn:
        await self.kill("the guest ended unexpectedly")
        if self._expiring is not None:
            raise self._expired("while it worked")
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
        for clock in (self._rest, self._lifetime):
            if clock is not None:
                clock.cancel()
        await self.process.kill()
