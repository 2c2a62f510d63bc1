"""The one protocol between a session and a sandbox: a place to stand, and a duplex byte stream to the guest in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from .channel import Channel

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Limits:
    """What one action, and the session around it, may use.

    >>> Limits(seconds=5, memory_mb=512).seconds
    5.0
    """

    seconds: Positive = 30.0
    """Wall time of one action: its tool calls count, a person's decision about one (`Bridge.paused`) does not. Past it
    the action is interrupted and the variables survive; an action that cannot be interrupted is killed
    ``grace_seconds`` later, and they are lost."""
    cpu_seconds: Positive | None = None
    """CPU time of one action, on all cores together; past it as with ``seconds``. Threads that earlier actions left
    running count. None: no limit of its own. A back end that cannot measure it refuses a session that asks for it."""
    grace_seconds: Positive = 1.0
    """Time between the interruption and the kill."""
    lifetime_seconds: Positive | None = None
    """Wall time of a guest, from its start; time for which it is suspended does not count. Past it the guest is
    ended, in the middle of an action, too, and the variables are lost. None: no limit."""
    memory_mb: Count = 1024
    """Address space of the guest, in MiB."""
    output_kb: Count = 1024
    """What one action may print, in KiB; what is beyond it is dropped and counted."""
    files_mb: Count = 64
    """The working folder, in MiB; also the largest file."""
    artifacts_mb: Count = 16
    """Files that one action may hand out, in MiB together."""
    threads: Count = 64
    """Threads of the guest."""
    calls: Count = 1000
    """Tool calls of one action."""
    frame_kb: Count = 8192
    """One message over the bridge, in KiB: the largest argument or result."""
    traffic_mb: Count = 32
    """What one action may send over the bridge, in MiB: the arguments of its calls, and its output. The host keeps the
    arguments until the action is over; JSON made for the purpose takes up to 45 times its size in memory."""


@dataclass(frozen=True, kw_only=True)
class SandboxRequest:
    """What a session asks of a sandbox."""

    limits: Limits
    packages: tuple[str, ...] = ()
    """Third-party packages of the host's environment that the action may import; read-only inside."""


class GuestProcess(Protocol):
    """A running guest: a duplex byte stream, signals, and an end.

    Everything that comes out of `receive` is untrusted.
    """

    description: str
    """The back end and its mode, e.g. ``local (jail)``."""

    async def send(self, data: bytes) -> None:
        """Write all of ``data``; wait while the guest does not read.

        Raises:
            SandboxCrashed: The guest is gone.
        """
        ...

    async def receive(self) -> bytes:
        """Return the next bytes, at least one; ``b""`` when the guest has ended. Chunks split frames anywhere."""
        ...

    def pending(self) -> bool:
        """Whether bytes (or the end of the stream) are waiting. Between two actions none may be."""
        ...

    async def interrupt(self) -> None:
        """Raise ``KeyboardInterrupt`` in the guest's main thread; the interpreter's state survives."""
        ...

    async def freeze(self) -> None:
        """Stop all of the guest's threads between two actions; a back end that cannot do so does nothing."""
        ...

    async def thaw(self) -> None:
        """Undo `freeze`."""
        ...

    async def kill(self) -> None:
        """End the guest and everything that it started, at once, and release what it held; idempotent."""
        ...


@runtime_checkable
class DirectGuest(Protocol):
    """What a `GuestProcess` at the other end of a socket may offer besides, so that a message needs no coroutine."""

    channel: Channel
    """The same stream as that of `GuestProcess.send` and `GuestProcess.receive`."""


@runtime_checkable
class MeteredGuest(Protocol):
    """What a `GuestProcess` may offer besides, so that ``Limits.cpu_seconds`` can be held."""

    def cpu_seconds(self) -> float | None:
        """CPU time that all threads of the guest have used so far, measured outside of it; None where it has ended, or
        where the system does not tell.
        """
        ...


@runtime_checkable
class SuspendableGuest(Protocol):
    """What a `GuestProcess` may offer besides: to outlive this process, with the interpreter's state."""

    async def suspend(self) -> Mapping[str, Any]:
        """Let go of the guest between two actions; return what `ResumingSandbox.resume` needs, plain data for JSON."""
        ...


@runtime_checkable
class ResumingSandbox(Protocol):
    """What a `Sandbox` offers whose guests are `SuspendableGuest`."""

    async def resume(self, suspended: Mapping[str, Any]) -> GuestProcess:
        """Go on with a guest.

        Raises:
            SandboxCrashed: It has ended meanwhile.
        """
        ...


class Sandbox(Protocol):
    """A back end."""

    name: str

    async def open(self, request: SandboxRequest) -> GuestProcess:
        """Start a confined guest.

        Raises:
            SandboxUnavailable: This machine, or this account, cannot give one; the message says what would help.
        """
        ...
