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
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ..errors import SandboxUnavailable
from ..invocation import in_thread
from .channel import Channel
from .clocks import process_cpu_seconds
from .packages import PackageSet, find_packages
from .spares import MOST, Spares

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


class _Wanted(NamedTuple):
    """What makes one guest as good as another."""

    packages: tuple[str, ...]
    memory_mb: int
    files_mb: int
    threads: int


class LocalSandbox:
    """Guests on this machine.

    >>> LocalSandbox("jail").name
    'local'

    Args:
        mode: ``"auto"`` takes ``"jail"`` where it works, else ``"jail-lite"``.
        environment: Folder of a virtual environment whose packages stand in for this interpreter's: ``packages`` of a
            session are looked up there. It must be of the same version of Python.
        tenant: Whose sessions these are. Guests of one tenant never come from the same warm process as another's, with
            which they would share the layout of memory, the values that packages made at their import, and its end.
        spares: How many guests are forked ahead, for the request that came last: opening then takes no longer than to
            take one. Each holds some megabytes; 0 to 64.
    """

    name = "local"

    def __init__(
        self,
        mode: Literal["auto", "jail", "jail-lite"] = "auto",
        *,
        environment: str | os.PathLike[str] | None = None,
        tenant: str = "",
        spares: int = 0,
    ) -> None:
        if mode not in ("auto", *_MODES):
            raise ValueError(f"mode is {mode!r}; it is one of 'auto', 'jail' and 'jail-lite'")
        if not 0 <= spares <= MOST:
            raise ValueError(f"spares is {spares!r}; it is a number of guests from 0 to {MOST}")
        self.mode = mode
        self.environment = None if environment is None else os.fspath(environment)
        """Where the packages come from; None stands for this interpreter's own."""
        self.tenant = tenant
        self._fork = functools.partial(_fork, _MODES if mode == "auto" else (mode,), self.environment, tenant)
        self._spares = Spares(spares, self._fork) if spares else None

    async def open(self, request: SandboxRequest) -> LocalGuest:
        """Fork a confined guest: some milliseconds, and a tenth of a second more for the first one.

        Raises:
            SandboxUnavailable: The mode, or for ``"auto"`` every mode, is refused on this machine.
            ConfigurationError: A package of the request is not installed here, or the environment is none.
        """
        _require_linux()
        limits = request.limits
        wanted = _Wanted(request.packages, limits.memory_mb, limits.files_mb, limits.threads)
        if self._spares is not None and (spare := self._spares.take(wanted)) is not None:
            return spare
        opening = asyncio.ensure_future(in_thread(self._fork, wanted))
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


class LocalGuest:
    """A confined guest of this machine; see `GuestProcess`. Its coroutines belong to one event loop."""

    def __init__(self, forked: Forked, mode: Mode) -> None:
        self.description = f"local ({mode})"
        self.channel = Channel(forked.bridge)
        self._pidfd = forked.pidfd
        # A guest that nobody holds any longer ends, also at the interpreter's exit.
        self._end = weakref.finalize(self, _end, forked.pidfd, forked.bridge, os.getpid())

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

    def cpu_seconds(self) -> float | None:
        """CPU time that the guest has used, by the kernel's account; None where it has ended."""
        if not self._end.alive:
            return None
        used = process_cpu_seconds(self._pid)
        # Only a number read while the guest lives is its own: the next process may have its process number.
        return None if _readable(self._pidfd) else used

    @functools.cached_property
    def _pid(self) -> int:
        from .jail.kernel import pid_behind

        return pid_behind(self._pidfd)

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

    @property
    def usable(self) -> bool:
        """Whether the guest is there and, being new, silent."""
        return not (self.pending() or _readable(self._pidfd))

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
def _packages(names: tuple[str, ...], environment: str | None) -> PackageSet:
    return find_packages(names, environment)


def _fork(modes: tuple[Mode, ...], environment: str | None, tenant: str, wanted: _Wanted) -> LocalGuest:
    """Fork a guest in the first mode that works, and wait until it is confined."""
    from .jail.launcher import SOURCE, Gone, Refused
    from .jail.lockdown import Order
    from .jail.pool import POOL
    from .jail.zygote import Setup

    packages = _packages(wanted.packages, environment) if wanted.packages or environment else PackageSet()
    order = Order(memory_mb=wanted.memory_mb, files_mb=wanted.files_mb, threads=wanted.threads)
    for mode in modes:
        jail = mode == "jail"
        if jail in POOL.refused:
            continue
        try:
            return _confined(POOL.fork(Setup(jail, str(SOURCE / "guest"), *packages), order, tenant), mode)
        except Refused as refusal:
            if refusal.step not in _REFUSALS:
                raise _unavailable({mode: refusal}) from refusal
            POOL.refused[jail] = refusal
        except (Gone, OSError) as error:
            raise SandboxUnavailable(f"The local sandbox cannot start a guest: {error}") from error
    raise _unavailable({mode: POOL.refused[mode == "jail"] for mode in modes})


def _confined(forked: Forked, mode: Mode) -> LocalGuest:
    """Hand the guest out once it says that it is confined; else end it."""
    from .jail.probe import await_confined

    try:
        await_confined(forked)
    except BaseException:
        _end(forked.pidfd, forked.bridge, os.getpid())
        raise
    return LocalGuest(forked, mode)


def _discard(opening: asyncio.Future[LocalGuest]) -> None:
    """End a guest whose opening was cancelled meanwhile."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().end()


def _end(pidfd: int, bridge: socket.socket, owner: int) -> None:
    """End a guest; a forked copy of its owner only closes what it inherited."""
    from .jail.kernel import pidfd_send_signal

    if os.getpid() == owner:
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
