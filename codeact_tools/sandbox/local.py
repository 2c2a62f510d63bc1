"""The embedded sandbox: full CPython, confined by the Linux kernel, with no account, no daemon and no extra binary.

Two modes, both with a list of allowed system calls (seccomp) and resource limits:

``jail``       namespaces: no host files, no network, no other processes; and Landlock where the kernel has it
``jail-lite``  Landlock instead of namespaces, for containers and accounts that may make none; no files can be written,
               and ``stat`` of the host's paths answers

Where neither works, opening fails: nothing ever runs unconfined.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import select
import signal
import socket
import sys
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ..errors import SandboxUnavailable
from .channel import Channel
from .packages import PackageSet, find_packages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .base import SandboxRequest
    from .jail.launcher import Forked, Refused

Mode = Literal["jail", "jail-lite"]
_MODES: Final[tuple[Mode, ...]] = ("jail", "jail-lite")
_REFUSALS: Final = ("unshare", "user map", "mount", "landlock")
"""Steps whose refusal is the machine's, and lasts: the next mode may do without them."""
_ELSEWHERE: Final = (
    'The local sandbox needs Linux on x86-64 or aarch64, and this is {platform}. Use `sandbox="e2b"` (a key in '
    "E2B_API_KEY), run in a Linux container or virtual machine, or `pip install 'codeact-tools[monty]'` for a subset "
    "of Python; nothing runs unconfined."
)


@dataclass(frozen=True, kw_only=True)
class ModeReport:
    """What one mode of the local sandbox does on this machine."""

    mode: Mode
    works: bool
    reason: str
    """What was refused, or what the mode stands on here."""
    advice: str = ""
    """What would make it work, or make it stronger; empty when there is nothing to do."""


class LocalSandbox:
    """Guests on this machine.

    >>> LocalSandbox("jail").name
    'local'

    Args:
        mode: ``"auto"`` takes ``"jail"`` where it works, else ``"jail-lite"``.
    """

    name = "local"

    def __init__(self, mode: Literal["auto", "jail", "jail-lite"] = "auto") -> None:
        if mode not in ("auto", *_MODES):
            raise ValueError(f"mode is {mode!r}; it is one of 'auto', 'jail' and 'jail-lite'")
        self.mode = mode

    async def open(self, request: SandboxRequest) -> LocalGuest:
        """Fork a confined guest: some milliseconds, and a tenth of a second more for the first one.

        Raises:
            SandboxUnavailable: The mode, or for ``"auto"`` every mode, is refused on this machine.
            ConfigurationError: A package of the request is not installed here.
        """
        _require_linux()
        opening = asyncio.ensure_future(asyncio.to_thread(self._open, request))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_discard)
            raise

    @staticmethod
    def probe() -> tuple[ModeReport, ...]:
        """Try each mode in throwaway processes, and say what would make it work or better; takes half a second."""
        try:
            _require_linux()
        except SandboxUnavailable as error:
            return tuple(ModeReport(mode=mode, works=False, reason=str(error)) for mode in _MODES)
        return tuple(_report(mode) for mode in _MODES)

    def _open(self, request: SandboxRequest) -> LocalGuest:
        from .jail.launcher import SOURCE, Gone, Refused
        from .jail.lockdown import Order
        from .jail.pool import POOL
        from .jail.zygote import Setup

        packages = _packages(request.packages)
        limits = request.limits
        order = Order(memory_mb=limits.memory_mb, files_mb=limits.files_mb, threads=limits.threads)
        modes: tuple[Mode, ...] = _MODES if self.mode == "auto" else (self.mode,)
        for mode in modes:
            jail = mode == "jail"
            if jail in POOL.refused:
                continue
            try:
                return _confined(POOL.fork(Setup(jail, str(SOURCE / "guest"), *packages), order), mode)
            except Refused as refusal:
                if refusal.step not in _REFUSALS:
                    raise _unavailable({mode: refusal}) from refusal
                POOL.refused[jail] = refusal
            except (Gone, OSError) as error:
                raise SandboxUnavailable(f"The local sandbox cannot start a guest: {error}") from error
        raise _unavailable({mode: POOL.refused[mode == "jail"] for mode in modes})


class LocalGuest:
    """A confined guest of this machine; see `GuestProcess`. Its coroutines belong to one event loop."""

    def __init__(self, forked: Forked, mode: Mode) -> None:
        self.description = f"local ({mode})"
        self.channel = Channel(forked.bridge)
        self._pidfd = forked.pidfd
        # A guest that nobody holds any longer ends, also at the interpreter's exit.
        self._end = weakref.finalize(self, _end, forked.pidfd, forked.bridge)

    async def send(self, data: bytes) -> None:
        """Write all of ``data``; wait while the guest does not read.

        Raises:
            SandboxCrashed: The guest is gone.
        """
        await self.channel.send(data)

    async def receive(self) -> bytes:
        """Return the next bytes; ``b""`` when the guest has ended."""
        return await self.channel.receive()

    def pending(self) -> bool:
        """Whether bytes, or the end of the stream, are waiting."""
        return not self._end.alive or self.channel.pending()

    async def interrupt(self) -> None:
        """Send ``SIGINT``."""
        self._signal(signal.SIGINT)

    async def freeze(self) -> None:
        """Stop all threads of the guest (``SIGSTOP``)."""
        self._signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        """Let them go on (``SIGCONT``)."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End the guest, wait until it is gone, and close what the host held of it; idempotent."""
        if self._end.detach() is None:
            return
        try:
            self._signal_process(signal.SIGKILL)
            self.channel.close()
            while not _readable(self._pidfd):
                await _until_readable(self._pidfd)
        finally:
            os.close(self._pidfd)

    def end(self) -> None:
        """End the guest without waiting for it, where there is no event loop; idempotent."""
        self._end()

    def _signal(self, number: signal.Signals) -> None:
        if self._end.alive:
            self._signal_process(number)

    def _signal_process(self, number: signal.Signals) -> None:
        from .jail.kernel import pidfd_send_signal

        with contextlib.suppress(ProcessLookupError):  # it has ended: what the caller sees as the end of the stream
            pidfd_send_signal(self._pidfd, number)


def _require_linux() -> None:
    if sys.platform != "linux":
        raise SandboxUnavailable(_ELSEWHERE.format(platform=sys.platform))
    from .jail.kernel import MACHINE

    if not MACHINE or sys.maxsize < 2**32:
        import platform

        raise SandboxUnavailable(_ELSEWHERE.format(platform=f"{sys.platform} on {platform.machine()}"))


@functools.lru_cache(maxsize=32)
def _packages(names: tuple[str, ...]) -> PackageSet:
    return find_packages(names)


def _confined(forked: Forked, mode: Mode) -> LocalGuest:
    """Hand the guest out once it says that it is confined; else end it."""
    from .jail.probe import await_confined

    try:
        await_confined(forked)
    except BaseException:
        _end(forked.pidfd, forked.bridge)
        raise
    return LocalGuest(forked, mode)


def _discard(opening: asyncio.Future[LocalGuest]) -> None:
    """End a guest whose opening was cancelled meanwhile."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().end()


def _end(pidfd: int, bridge: socket.socket) -> None:
    from .jail.kernel import pidfd_send_signal

    with contextlib.suppress(ProcessLookupError):
        pidfd_send_signal(pidfd, signal.SIGKILL)
    bridge.close()
    os.close(pidfd)


async def _until_readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _unavailable(refused: Mapping[Mode, Refused]) -> SandboxUnavailable:
    from .jail.probe import advice

    reasons = [f"{mode} is refused at {refusal}. {advice(refusal)}" for mode, refusal in refused.items()]
    return SandboxUnavailable(" ".join(["No local sandbox can be opened here, and nothing runs unconfined.", *reasons]))


def _report(mode: Mode) -> ModeReport:
    from .jail.launcher import Refused
    from .jail.probe import advice, attempt

    found = attempt(jail=mode == "jail")
    if isinstance(found, Refused):
        return ModeReport(mode=mode, works=False, reason=str(found), advice=advice(found))
    if mode == "jail" and not found["landlock"]:
        return ModeReport(
            mode=mode,
            works=True,
            reason="namespaces and seccomp; this kernel has no Landlock",
            advice="Linux 5.13 or newer with `landlock` among the boot parameter `lsm=` adds a third wall.",
        )
    if mode == "jail":
        return ModeReport(mode=mode, works=True, reason="namespaces, Landlock and seccomp")
    if found["search"]:
        return ModeReport(
            mode=mode,
            works=True,
            reason="Landlock and seccomp, with root's right to read past the modes of files",
            advice=f"Make this Python readable for everybody ({sys.base_prefix!r}), or run as an ordinary user.",
        )
    return ModeReport(mode=mode, works=True, reason="Landlock and seccomp")
