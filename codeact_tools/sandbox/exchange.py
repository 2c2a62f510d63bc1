"""One action over the bridge: its calls, its output, its end, and its limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .._workers import run_in_worker
from ..errors import LimitExceeded, SandboxCrashed, SandboxError
from ..wire import Json, encode_frame
from ..wire.scalars import clean
from .base import Limits, MeteredGuest
from .calls import CallHandler, CallRefused, Job, Quick, Raises, Stream, refusal_message
from .clocks import CpuClock, WallClock
from .outcome import Outcome, are_names, bounded, check_files, is_count, limit_error, read_error
from .reader import Reader

if TYPE_CHECKING:
    from .bridge import Bridge
    from .channel import Channel

_TOLERATED_OUTPUT: Final = 4
"""The guest drops output beyond its limit by itself; one that sends this many times the limit is hostile."""
_MOST_STRAY: Final = 10_000
"""Requests of one action about calls that have ended; a few are honest, because messages cross."""


def exec_frame(number: int, code: str, clock: float | None, limits: Limits) -> bytes:
    """The request to run an action, as it is sent.

    Raises:
        LimitExceeded: It is larger than a message may be.
    """
    message: dict[str, Json] = {"op": "exec", "id": number, "code": code}
    frame = encode_frame(message if clock is None else message | {"clock": clock})
    if len(frame) > limits.frame_kb * 1024:
        raise LimitExceeded("The action's code is larger than a message may be.", limit="frame_kb", state_lost=False)
    return frame


class Exchange:
    """The conversation about one action, used once."""

    def __init__(self, bridge: Bridge, number: int, handler: CallHandler, channel: Channel | None) -> None:
        self.bridge = bridge
        self._quick: Quick | None = getattr(handler, "quick", None)
        self._reader = Reader(bridge, self, channel) if self._quick is not None and channel is not None else None
        self._limits = bridge.limits
        self._number = number
        self._handler = handler
        self._first_call = bridge.last_call + 1
        self._calls: dict[int, asyncio.Task[None]] = {}
        """What is being worked on, for each call: the call itself, or the next item of its stream."""
        self._jobs: dict[int, Job] = {}
        """Calls that worker threads are answering."""
        self._streams: dict[int, AsyncIterator[Json]] = {}
        self._closing: list[asyncio.Future[None]] = []
        self._cancelled: set[int] = set()
        self._strays = 0
        self._output = 0
        self._dropped = 0
        self._exceeded: str | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self.starts_lent = self._reader is not None and bridge.thread_reads
        """Whether a worker thread reads from the start."""
        self.wall: WallClock
        """The wall time that is left."""

    async def run(self) -> Outcome:
        """Answer the calls of the action, which has been sent, until it ends or is stopped."""
        limits, guest = self._limits, self.bridge.process
        self.wall = WallClock(limits.seconds, lambda: self._exceed("seconds"))
        clocks: list[WallClock | CpuClock] = [self.wall]
        if limits.cpu_seconds is not None and isinstance(guest, MeteredGuest):
            clocks.append(CpuClock(guest.cpu_seconds, limits.cpu_seconds, lambda: self._exceed("cpu_seconds")))
        try:
            done = await self._converse()
        except SandboxCrashed:
            self._break_off()
            await self._let_calls_end()
            raise
        except asyncio.CancelledError:
            self._break_off()
            await self._wind_down()
            raise
        finally:
            for each in clocks:
                each.stop()
            if self._reader is not None:
                self._reader.stop()
                self.bridge.thread_reads = self._reader.used
            await self._end_calls()
        if self._failure is not None:
            raise self._failure
        if self._exceeded is not None:
            raise limit_error(self._limits, self._exceeded, state_lost=False)
        return done

    async def _converse(self) -> Outcome:
        bridge = self.bridge
        try:
            if self._reader is not None and self.starts_lent:
                self._reader.lend()
            while True:
                message = await bridge.receive()
                outcome = await self._handle(message)
                if outcome is not None:
                    return outcome
        except SandboxCrashed:
            if self._failure is not None:
                raise self._failure from None
            if self._exceeded is not None:
                raise limit_error(self._limits, self._exceeded, state_lost=True) from None
            raise

    async def _handle(self, message: dict[str, Json]) -> Outcome | None:
        match message:
            case {"op": "call", "id": int(), "tool": str(), "args": list(), "kwargs": dict()}:
                await self._take_late(message)
            case {"op": "out", "stream": "stdout" | "stderr", "text": str()}:
                if not self.take_output(message):
                    await self._overflow()
            case {"op": "next", "call": int(call)}:
                await self._start_item(call)
            case {"op": "cancel", "call": int(call)}:
                await self._cancel(call)
            case {"op": "done", "id": self._number}:
                return await self._finish(message)
            case _:
                await self.bridge.violate(f"an unexpected message {clean(str(message.get('op'))[:40])!r}")
        return None

    # ---- calls -------------------------------------------------------------------------------------------------------

    def take(self, message: dict[str, Json]) -> bool:
        """Begin an honest call at once; anything else is left to the judgement of `_handle`."""
        due = self._due(message)
        if due is None:
            return False
        call = self.bridge.last_call = due[0]
        try:
            work = self._handler.call(*due)
        except CallRefused as refusal:
            self._reply(call, refusal_message(call, refusal))
        except Exception as error:
            self.fail(error)
        else:
            if isinstance(work, Coroutine):
                self._begin_answer(call, work)
                return True
            self._jobs[call] = job = Job(self, call, work)
            if self._reader is not None and self.bridge.idle:
                self._reader.lend(job)
            else:
                run_in_worker(job.run)
        return True

    def is_over(self, arrived: Sequence[dict[str, Json]]) -> bool:
        """Whether the end of the action is the next message, after which none may come."""
        return bool(arrived) and arrived[0].get("op") == "done"

    @property
    def lent(self) -> bool:
        """Whether a worker thread reads, and the bridge's messages are its own."""
        return self._reader is not None and self._reader.lent

    def begin_in_thread(self, message: dict[str, Json]) -> Job | None:
        """Begin an honest call that the thread which reads can answer; None, and nothing has happened, for others."""
        due = self._due(message)
        if due is None or self._quick is None:
            return None
        try:
            work = self._quick(*due)
        except Exception as error:  # as the answer to the call, or as the handler's failure
            work = Raises(error)
        if work is None:
            return None
        call = self.bridge.last_call = due[0]
        self._jobs[call] = job = Job(self, call, work)
        return job

    def _due(self, message: dict[str, Json]) -> tuple[int, str, list[Json], dict[str, Json]] | None:
        """The call in the message, if it is one, and may be made now."""
        if message.get("op") != "call":
            return None
        call, tool = message.get("id"), message.get("tool")
        args, kwargs = message.get("args"), message.get("kwargs")
        bridge = self.bridge
        if type(call) is not int or call != bridge.last_call + 1 or call - self._first_call >= self._limits.calls:
            return None
        if type(tool) is not str or type(args) is not list or type(kwargs) is not dict or self._exceeded is not None:
            return None
        if bridge.received > self._limits.traffic_mb << 20:
            return None
        return call, clean(tool), args, kwargs

    async def _take_late(self, message: dict[str, Json]) -> None:
        bridge = self.bridge
        if self.take(message):
            return
        if message["id"] is True or message["id"] != bridge.last_call + 1:
            await bridge.violate(f"call {message['id']} where {bridge.last_call + 1} was due")
        bridge.last_call += 1
        if self._count() > self._limits.calls:
            self._exceed("calls")
        if bridge.received > self._limits.traffic_mb << 20:
            self._exceed("traffic_mb")
        if self._count() > 2 * self._limits.calls + 1000:
            await bridge.violate("calls without end")

    def _count(self) -> int:
        return self.bridge.last_call + 1 - self._first_call

    def _begin(self, call: int, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls[call] = task
        task.add_done_callback(lambda task: self._ended(call, task))

    def _begin_answer(self, call: int, work: Coroutine[Any, Any, Json | Stream]) -> None:
        self._begin(call, self._answer(call, work))
        # A task that is cancelled before its first step never gets to the work.
        self._calls[call].add_done_callback(lambda _: work.close())

    def _ended(self, call: int, task: asyncio.Task[None]) -> None:
        if self._calls.get(call) is task:
            del self._calls[call]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The handler is at fault, not the guest: the action cannot go on."""
        if self._failure is None:
            self._failure = error
            self._stop(0.0)

    async def _answer(self, call: int, work: Coroutine[Any, Any, Json | Stream]) -> None:
        try:
            value = await work
        except CallRefused as refusal:
            self._reply(call, refusal_message(call, refusal))
            return
        if isinstance(value, Stream):
            self._streams[call] = value.items
            value = {"$": "iterator"}
        self._reply(call, {"op": "return", "call": call, "value": value})

    def go_on(self, job: Job, work: Coroutine[Any, Any, Json | Stream]) -> None:
        """Finish on the event loop what a worker thread began."""
        if self._jobs.pop(job.call, None) is None:
            work.close()
        else:
            self._begin_answer(job.call, work)

    def answered(self, job: Job, frame: bytes) -> None:
        """Send what a worker thread has found, from that thread."""
        self._jobs.pop(job.call, None)
        self.bridge.post(frame)

    async def _start_item(self, call: int) -> None:
        items = self._streams.get(call)
        if items is None or call in self._calls:
            await self._stray(call)
        else:
            self._begin(call, self._answer_item(call, items))

    async def _answer_item(self, call: int, items: AsyncIterator[Json]) -> None:
        try:
            reply = {"op": "item", "call": call, "value": await anext(items)}
        except StopAsyncIteration:
            del self._streams[call]
            reply = {"op": "end", "call": call}
        except CallRefused as refusal:
            del self._streams[call]
            reply = refusal_message(call, refusal)
        self._reply(call, reply)

    def _reply(self, call: int, message: dict[str, Json]) -> None:
        self.bridge.post(self.frame(call, message))

    def frame(self, call: int, message: dict[str, Json]) -> bytes:
        """The answer to a call as it is sent."""
        frame = encode_frame(message)
        if len(frame) <= self._limits.frame_kb * 1024:
            return frame
        size = f"{len(frame) >> 10:,} KiB, and one message holds at most {self._limits.frame_kb:,} KiB"
        refusal = CallRefused("InvalidResult", f"The result has {size}: ask for less at a time.")
        return encode_frame(refusal_message(call, refusal))

    async def _cancel(self, call: int) -> None:
        if call in self._cancelled:
            await self._stray(call)
            return
        self._cancelled.add(call)
        task, job = self._calls.get(call), self._jobs.get(call)
        items = self._streams.pop(call, None)
        if task is not None:
            task.cancel()
        elif job is not None:
            self._jobs.pop(call, None)
            job.give_up()
        elif items is None:
            await self._stray(call)
        if items is not None:
            self._closing.append(asyncio.ensure_future(_close(items, task)))

    async def _stray(self, call: int) -> None:
        """A message about a call that has ended may have crossed its end; one about no call is forged."""
        self._strays += 1
        if not self._first_call <= call <= self.bridge.last_call or self._strays > _MOST_STRAY:
            await self.bridge.violate(f"a message about the call {call}, which is not open")

    # ---- output ------------------------------------------------------------------------------------------------------

    def take_output(self, message: dict[str, Json]) -> bool:
        """Take a piece of output, in the thread that reads; False where it is none, or one too many."""
        stream, text = message.get("stream"), message.get("text")
        if message.get("op") != "out" or type(text) is not str or (stream != "stdout" and stream != "stderr"):
            return False
        text = clean(text)
        size = len(text) if text.isascii() else len(text.encode())
        limit = self._limits.output_kb * 1024
        if self._output + size > _TOLERATED_OUTPUT * limit + (1 << 20):
            return False
        self._output += size + 16  # empty pieces count, too
        if self._output - size <= limit or self._output < 4096:
            self._handler.on_output(stream, text)
        else:
            self._dropped += size
        return True

    async def _overflow(self) -> NoReturn:
        self._exceeded = "output_kb"
        await self.bridge.kill("it printed without end")
        raise limit_error(self._limits, self._exceeded, state_lost=True)

    # ---- the end -----------------------------------------------------------------------------------------------------

    async def _finish(self, message: dict[str, Json]) -> Outcome:
        result, files = message.get("result"), check_files(message.get("files", []))
        error, dropped = message.get("error"), message.get("dropped", 0)
        names, assigned = message.get("names"), message.get("assigned")
        if not (assigned is None or (isinstance(assigned, str) and assigned.isidentifier())):
            await self.bridge.violate("a malformed end of the action")
        if not isinstance(result, str | None) or files is None or not is_count(dropped):
            await self.bridge.violate("a malformed end of the action")
        if names is not None and not are_names(names):
            await self.bridge.violate("a malformed end of the action")
        failure = read_error(error)
        if failure is None and error is not None:
            await self.bridge.violate("a malformed error")
        return Outcome(
            result=None if result is None else bounded(result),
            assigned=assigned,
            error=failure,
            files=files,
            dropped_output=self._dropped + dropped,
            calls=self._count(),
            names=names,
        )

    def _exceed(self, limit: str) -> None:
        if self._exceeded is None:
            self._exceeded = limit
            self._stop(self._limits.grace_seconds)

    def _stop(self, grace: float) -> None:
        """Interrupt the action, and kill the guest where it does not end after the grace."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._interrupt_then_kill(grace))

    async def _interrupt_then_kill(self, grace: float) -> None:
        await self.bridge.process.interrupt()
        await asyncio.sleep(grace)
        await self.bridge.kill("it could not be interrupted")

    async def _wind_down(self) -> None:
        """The host gave up: interrupt the action and wait for its end, so that the guest can be used again."""
        bridge = self.bridge
        if bridge.dead is not None:
            return
        self._exceeded = self._exceeded or "cancelled"
        try:
            async with asyncio.timeout(self._limits.grace_seconds):
                await bridge.process.interrupt()
                while await self._handle(await bridge.receive()) is None:
                    pass
        except (TimeoutError, SandboxError, asyncio.CancelledError):
            await bridge.kill("it could not be interrupted")

    def _break_off(self) -> None:
        """Tell the handler that the action ended in the middle, without a word of the guest."""
        tell = getattr(self._handler, "broke_off", None)
        if tell is not None:
            tell()

    async def _let_calls_end(self) -> None:
        """The guest is gone, and not by the host's will: a call that is under way had better end than be cut off."""
        if self._calls:
            await asyncio.wait([*self._calls.values()], timeout=self._limits.grace_seconds)

    async def _end_calls(self) -> None:
        """Cancel what still runs; its results are nobody's."""
        tasks = [*self._calls.values()]
        if self._stopping is not None:
            tasks.append(self._stopping)
        for task in tasks:
            task.cancel()
        for call in [*self._jobs]:
            job = self._jobs.pop(call, None)
            if job is None or not job.give_up():  # its thread has just answered, and has something to tell
                await asyncio.sleep(0)
        streams, self._streams = self._streams, {}
        for call, items in streams.items():
            self._closing.append(asyncio.ensure_future(_close(items, self._calls.get(call))))
        if tasks or self._closing:
            await asyncio.wait([*tasks, *self._closing], timeout=self._limits.grace_seconds)
        for closing in self._closing:
            if closing.done() and not closing.cancelled() and closing.exception() is not None:
                self._failure = self._failure or closing.exception()


async def _close(items: AsyncIterator[Json], task: asyncio.Task[None] | None) -> None:
    """Close a stream, after the item that it was working on is given up."""
    if task is not None:
        await asyncio.wait([task])
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
