"""The byte stream to a guest in E2B: a command's standard input and output, reconnected when they break."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from e2b.sandbox.commands.command_handle import CommandExitException
from e2b.sandbox_async.commands.command_handle import AsyncCommandHandle
from e2b.sandbox_async.commands.command_input_handle import AsyncCommandInputHandle
from e2b_code_interpreter import AsyncSandbox, NotFoundException

from ..errors import SandboxCrashed, SandboxError
from .e2b_errors import is_gone, is_unimplemented, translate
from .relay.lines import LONGEST, WINDOW, Gap, Lines, Malformed

LOGGER: Final = logging.getLogger("codeact_tools.sandbox.e2b")
_QUIET_SECONDS: Final = 2.0
"""Without a confirmation of what was sent; then the other end is asked whether it is there."""
_DEAD_SECONDS: Final = 10.0
"""Without an answer to that; then the connection is made anew."""
_CLOSE_SECONDS: Final = 2.0
"""For the end of a connection; one that is gone already cannot say goodbye."""
_RECONNECT_SECONDS: Final = 30.0
"""For the attempts to reach the sandbox again."""


class RelayStream:
    """Bytes to and from the relay in one sandbox. Belongs to one event loop."""

    def __init__(self, sandbox: AsyncSandbox, lines: Lines | None = None, signals: int = 0) -> None:
        self._sandbox = sandbox
        self.lines = lines or Lines()
        self.signals = signals
        """Signals sent, ever; the relay ignores one that comes late."""
        self.pid = 0
        self.reconnects = 0
        """How often the connection was lost and made again."""
        self.used = 0.0
        """When something was sent or received last, by the event loop's clock."""
        self.announced: asyncio.Future[tuple[str, dict[str, Any]]] = asyncio.get_running_loop().create_future()
        """What the relay said when it started: ``up`` or ``refused``, with details."""
        self._command: AsyncCommandHandle[None] | None = None
        self._input: AsyncCommandInputHandle | None = None
        self._streams_input = True
        self._typed = ""
        self._inbox: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._outbox: deque[bytes] = deque()
        self._to_send = asyncio.Event()
        self._failure: SandboxError | None = None
        self._closed = False
        self._heard = 0.0
        self._asked = 0.0
        self._stopped = False
        self._interrupted = 0.0
        self._joined_late = False
        self._reconnecting: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # ---- opening and closing -----------------------------------------------------------------------------------------

    async def start(self, command: str) -> None:
        """Start the relay by ``command``; raises the SDK's errors."""
        handle = await self._sandbox.commands.run(
            command, background=True, stdin=True, timeout=0, retain_output=False, on_stdout=self._take, on_stderr=_note
        )
        self._attach(handle)
        self._begin()

    async def attach(self, pid: int) -> None:
        """Attach to a relay that runs; raises the SDK's errors."""
        self.pid = pid
        await self._connect()
        self._begin()

    def _begin(self) -> None:
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._watch_over())]

    def _attach(self, command: AsyncCommandHandle[None]) -> None:
        self.pid = command.pid
        self._command = command
        self._heard = asyncio.get_running_loop().time()
        self._asked = 0.0
        if self._streams_input:
            self._input = self._sandbox.commands.stream_input(self.pid, timeout=0)
        self._tasks.append(asyncio.create_task(self._until_end(command)))

    async def _connect(self) -> None:
        await self._let_go()
        self._typed, self._joined_late = "", True
        command = await self._sandbox.commands.connect(
            self.pid, timeout=0, retain_output=False, on_stdout=self._take, on_stderr=_note
        )
        heard = self._heard
        self._outbox.clear()
        self._attach(command)
        lines = [b"\n", *self.lines.resume()]  # the first ends a line that may have been cut
        lines.append(self._signal(signal.SIGSTOP if self._stopped else signal.SIGCONT))
        if self._interrupted > heard:
            lines.append(self._signal(signal.SIGINT))
        self._put(lines)

    def close(self) -> None:
        """Wake everybody who waits, and send nothing more; idempotent."""
        self._closed = True
        self._changed.set()
        for task in self._tasks:
            task.cancel()
        if self._reconnecting is not None:
            self._reconnecting.cancel()

    async def disconnect(self) -> None:
        """Let go of the connections, after `close`; the relay goes on if its sandbox does."""
        tasks = [task for task in (*self._tasks, self._reconnecting) if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
        await self._let_go()

    async def _let_go(self) -> None:
        command, self._command = self._command, None
        handle, self._input = self._input, None
        if command is not None:
            await command.disconnect()
        if handle is not None:
            with contextlib.suppress(Exception):  # whatever ended it, it has ended
                await asyncio.wait_for(handle.close(), _CLOSE_SECONDS)

    # ---- bytes -------------------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Send ``data``; wait while too much is under way."""
        for start in range(0, len(data), WINDOW // 4):
            while self.lines.under_way >= WINDOW and not self._closed and self._failure is None:
                self._changed.clear()
                await self._changed.wait()
            if self._closed or self._failure is not None:
                raise SandboxCrashed("The guest is gone.") from self._failure
            if not self.lines.under_way:
                self._heard = asyncio.get_running_loop().time()
            self._put(self.lines.send(data[start : start + WINDOW // 4]))

    async def receive(self) -> bytes:
        """Return the next bytes; ``b""`` after `close`."""
        while not self._inbox:
            if self._closed:
                return b""
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        data = b"".join(self._inbox)
        self._inbox.clear()
        return data

    def pending(self) -> bool:
        """Whether `receive` would not wait."""
        return bool(self._inbox) or self._closed or self._failure is not None

    def interrupt(self) -> None:
        """Send the guest ``SIGINT``."""
        self._interrupted = asyncio.get_running_loop().time()
        self._put([self._signal(signal.SIGINT)])

    def stop(self) -> None:
        """Send the guest ``SIGSTOP``."""
        self._stopped = True
        self._put([self._signal(signal.SIGSTOP)])

    def go_on(self) -> None:
        """Send the guest ``SIGCONT``."""
        self._stopped = False
        self._put([self._signal(signal.SIGCONT)])

    def _signal(self, number: signal.Signals) -> bytes:
        self.signals += 1
        return b"!signal %d %d\n" % (self.signals, number)

    def _put(self, lines: Iterable[bytes]) -> None:
        self._outbox.extend(lines)
        self.used = asyncio.get_running_loop().time()
        self._to_send.set()

    def _fail(self, error: SandboxError, code: int | None = None) -> None:
        self._failure = self._failure or error
        if not self.announced.done():
            self.announced.set_result(("ended", {"message": str(error), "code": code}))
        self._changed.set()

    # ---- what comes --------------------------------------------------------------------------------------------------

    def _take(self, text: str) -> None:
        """Take output of the relay, cut anywhere. Nothing of it is trusted."""
        self._heard = self.used = asyncio.get_running_loop().time()
        self._asked = 0.0
        *lines, self._typed = (self._typed + text).split("\n")
        if lines and self._joined_late:  # amid a line; the relay begins its answer to `Lines.resume` with a new one
            self._joined_late = False
            del lines[0]
        if max(map(len, lines), default=len(self._typed)) > LONGEST:
            self._fail(SandboxCrashed("The sandbox sent a line that is too long."))
            return
        try:
            for line in filter(None, lines):
                self._take_line(line.encode())
        except (Malformed, ValueError) as error:
            self._fail(SandboxCrashed(f"The sandbox sent what its relay never sends: {error}."))
        self._changed.set()

    def _take_line(self, line: bytes) -> None:
        if line.startswith(b"!"):
            word, _, about = line[1:].decode().partition(" ")
            if not self.announced.done():
                self.announced.set_result((word, json.loads(about)))
            return
        try:
            data, again = self.lines.take(line)
        except Gap:
            self._put([self.lines.question()])
            return
        if data:
            self._inbox.append(data)
        if again:
            self._put(self.lines.again())
        elif confirmation := self.lines.confirmation():
            self._put([confirmation])

    async def _until_end(self, command: AsyncCommandHandle[None]) -> None:
        """Wait for the end of the command, or of the connection to it."""
        try:
            await command.wait()
        except CommandExitException as error:
            message = f"The guest's process in the sandbox ended: {error.error or error.exit_code}."
            self._fail(SandboxCrashed(message), error.exit_code)
        except Exception as error:
            if command is self._command and not self._closed:
                self._lost(error)
        else:
            self._fail(
                SandboxCrashed(
                    "The guest ended unexpectedly: the action ended its process, or it used more memory than allowed."
                )
            )

    # ---- what goes ---------------------------------------------------------------------------------------------------

    async def _send_all(self) -> None:
        while not self._closed:  # cancellation may come out of the SDK as an error of its own
            await self._to_send.wait()
            self._to_send.clear()
            data = b"".join(self._outbox)
            self._outbox.clear()
            if not data or self._reconnecting is not None:
                continue  # a new connection sends again what the stream carries
            try:
                if self._input is not None:
                    await self._input.send(data)
                else:
                    await self._sandbox.commands.send_stdin(self.pid, data)
            except Exception as error:
                self._lost(error)

    async def _watch_over(self) -> None:
        """Notice a connection that swallows what is sent."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_QUIET_SECONDS / 4)
            if not self.lines.under_way or self._reconnecting is not None:
                continue
            now = loop.time()
            if self._asked and now - self._asked > _DEAD_SECONDS:
                self._lost(TimeoutError(f"no answer for {_DEAD_SECONDS:.0f} s"))
            elif now - self._heard > _QUIET_SECONDS and not self._asked:
                self._asked = now
                self._put([self.lines.question()])

    # ---- connections -------------------------------------------------------------------------------------------------

    def _lost(self, error: Exception) -> None:
        """The connection is lost: make another one, unless the sandbox has ended."""
        if is_unimplemented(error) and self._streams_input:
            self._streams_input, self._input = False, None
            self._put(self.lines.resume())
            return
        if self._closed or self._failure is not None or self._reconnecting is not None:
            return
        LOGGER.info("the connection to sandbox %s was lost: %s", self._sandbox.sandbox_id, error)
        self._reconnecting = asyncio.create_task(self._reconnect(error))

    async def _reconnect(self, error: Exception) -> None:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + _RECONNECT_SECONDS, 0.1
        while not is_gone(error) and not self._closed:
            try:
                await self._connect()
            except NotFoundException as missing:
                error = missing
                break
            except Exception as failed:
                error = failed
                if loop.time() + pause > deadline:
                    break
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)
            else:
                self.reconnects += 1
                self._reconnecting = None
                self._to_send.set()
                return
        fault = translate(error, "a session was running", opening=False)
        self._fail(fault if isinstance(fault, SandboxError) else SandboxCrashed(str(fault)))


def _note(text: str) -> None:
    LOGGER.warning("the relay in the sandbox says: %s", text.rstrip())
