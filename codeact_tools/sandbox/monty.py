"""Monty: a subset of Python, interpreted in Rust in a process of its own; for machines where no jail can be built.

It is safe by what it cannot do, so it runs on macOS, on Windows and on old kernels; its price is the language. There is
no class inheritance, no ``yield``, no ``del``; of the standard library some modules only (no enum, io, pathlib's files,
threading ...), no packages and no working folder. Of the tools' contract:

- types arrive as objects with attributes, enumerations as objects with ``name`` and ``value``; they go back as what
  they are, and changes of their attributes stay inside;
- the tools' exceptions are ``RuntimeError``, whose message begins with the exception's name;
- streams arrive as lists, all at once;
- an action that computes cannot be interrupted, only ended, and then its variables are lost.

It speaks the same frames as the guest program, so everything above a `GuestProcess` is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from typing import TYPE_CHECKING, Any

from ..errors import SandboxCrashed, SandboxUnavailable
from ..wire import FrameBuffer, encode_frame
from .local import LocalSandbox

if TYPE_CHECKING:
    import pydantic_monty

    from .base import GuestProcess, Limits, SandboxRequest
    from .monty_actions import Interpreter


def installed() -> bool:
    """Whether the extra ``monty`` is."""
    return importlib.util.find_spec("pydantic_monty") is not None


class MontySandbox:
    """Guests that are Monty interpreters.

    >>> MontySandbox().name
    'monty'
    """

    name = "monty"

    async def open(self, request: SandboxRequest) -> MontyGuest:
        """Start an interpreter: a tenth of a second.

        Raises:
            SandboxUnavailable: The extra ``monty`` is not installed, or packages are asked for.
        """
        if not installed():
            raise SandboxUnavailable("Monty is not installed: `pip install 'codeact-tools[monty]'`.")
        if request.packages:
            raise SandboxUnavailable(f"Monty has no packages, and {', '.join(request.packages)} is asked for.")
        guest = MontyGuest(request.limits)
        await guest.start()
        return guest


class LocalOrMonty:
    """The local sandbox, and Monty where it is refused."""

    name = "local"

    async def open(self, request: SandboxRequest) -> GuestProcess:
        """Start a guest in the best way that works here.

        Raises:
            SandboxUnavailable: None does.
        """
        try:
            return await LocalSandbox().open(request)
        except SandboxUnavailable as refused:
            try:
                return await MontySandbox().open(request)
            except SandboxUnavailable as error:
                raise SandboxUnavailable(f"{refused} {error}") from refused


class MontyGuest:
    """One interpreter behind the frames of a guest; see `GuestProcess`. Its coroutines belong to one event loop."""

    description = "monty (a subset of Python)"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._incoming = FrameBuffer(2 * limits.frame_kb * 1024)
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._exits = contextlib.AsyncExitStack()
        self._ended = False
        """Whether the interpreter is gone."""
        self._releasing: asyncio.Task[None] | None = None
        """Releases everything that it held."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._interpreter: Interpreter | None = None
        self._pool: pydantic_monty.AsyncMonty

    async def start(self) -> None:
        """Start the interpreter's process."""
        import pydantic_monty

        self._pool = await self._exits.enter_async_context(pydantic_monty.AsyncMonty(max_processes=1))

    async def send(self, data: bytes) -> None:
        """Take the host's messages."""
        if self._ended:
            raise SandboxCrashed("The guest is gone.")
        for message in self._incoming.feed(data):
            task = asyncio.get_running_loop().create_task(self._handle(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def receive(self) -> bytes:
        """Return the next message; ``b""`` when the guest has ended."""
        if self._ended and self._outgoing.empty():
            return b""
        return await self._outgoing.get()

    def pending(self) -> bool:
        """Whether messages, or the end, are waiting."""
        return self._ended or not self._outgoing.empty()

    async def interrupt(self) -> None:
        """End what the action waits for; while it computes, it does not notice."""
        if self._interpreter is not None:
            self._interpreter.interrupt()

    async def freeze(self) -> None:
        """Do nothing: no thread runs in there between actions."""

    async def thaw(self) -> None:
        """Do nothing; see `freeze`."""

    def cpu_seconds(self) -> float | None:
        """CPU time that the interpreter's process has used, where the system tells."""
        return None if self._ended or self._interpreter is None else self._interpreter.cpu_seconds()

    async def kill(self) -> None:
        """End the interpreter; idempotent. What it held is released also where the wait for that is cancelled."""
        if self._releasing is None:
            self._end()
            if self._interpreter is not None:
                self._interpreter.kill()
            tasks = [task for task in self._tasks if task is not asyncio.current_task()]
            self._releasing = asyncio.get_running_loop().create_task(self._release(tasks))
        await asyncio.shield(self._releasing)

    async def _release(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._exits.aclose()
        if self._interpreter is not None:
            await self._interpreter.bury()

    async def _handle(self, message: dict[str, Any]) -> None:
        import pydantic_monty

        try:
            answer = await self._answer(message)
        except pydantic_monty.MontyCrashedError:
            self._end()
            return
        except Exception:
            self._end()
            raise
        if answer is not None:
            self._outgoing.put_nowait(encode_frame(answer))

    def _end(self) -> None:
        self._ended = True
        self._outgoing.put_nowait(b"")

    async def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        interpreter, operation = self._interpreter, message["op"]
        if operation == "init":
            from .monty_actions import Interpreter

            self._interpreter = Interpreter(message, self._limits, self._outgoing.put_nowait)
            await self._interpreter.open(self._pool, self._exits)
            return {"op": "ready", "version": 1}
        if operation == "files":
            return {"op": "listing", "files": []}
        if operation in ("put", "get"):
            return {"op": "refused", "path": message["path"], "message": "this sandbox has no working folder"}
        if interpreter is not None and operation == "exec":
            return {"op": "done", "id": message["id"], **await interpreter.run(message["code"])}
        if interpreter is not None:
            interpreter.take(message)
        return None
