"""A sandbox that confines nothing, for tests of everything above it."""

from __future__ import annotations

import asyncio
import contextlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from ..errors import SandboxCrashed
from ..sandbox.base import SandboxRequest

_SANDBOX: Final = Path(__file__).parent.parent / "sandbox"
_START: Final = "import sys; sys.path.insert(0, sys.argv[1]); from guest.main import main; main(0, 0)"


class UnconfinedSandbox:
    """Runs the guest as a plain child process. **It confines nothing**: use it in tests, with code that you wrote.

    Session(tools=[...], sandbox=UnconfinedSandbox())
    """

    name = "unconfined"

    async def open(self, request: SandboxRequest) -> UnconfinedGuest:
        """Start a guest with a temporary working folder; of the request's limits only those of the bridge hold."""
        del request
        return UnconfinedGuest()


class UnconfinedGuest:
    """A plain child process and a socket to it."""

    description = "UNCONFINED (tests only)"

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._folder = tempfile.mkdtemp(prefix="unconfined-")
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", _START, str(_SANDBOX)], stdin=theirs.fileno(), cwd=self._folder
            )
        self._socket = ours
        self._receiving = False
        self._dead = False

    async def send(self, data: bytes) -> None:
        """Write all of ``data``."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except OSError as error:
            raise SandboxCrashed("The guest is gone.") from error

    async def receive(self) -> bytes:
        """Return the next bytes; none when the guest has ended."""
        if self._dead:
            return b""
        self._receiving = True
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, 1 << 18)
        except OSError:
            return b""
        finally:
            self._receiving = False
            if self._dead:
                self._socket.close()

    def pending(self) -> bool:
        """Whether something can be received."""
        if self._dead:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    async def interrupt(self) -> None:
        """Send SIGINT."""
        self._child.send_signal(signal.SIGINT)

    async def freeze(self) -> None:
        """Stop the process."""
        self._child.send_signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        """Let it go on."""
        self._child.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it and remove its folder; idempotent."""
        if self._dead:
            return
        self._dead = True
        self._child.kill()
        self._child.wait()
        with contextlib.suppress(OSError):  # the guest ended first
            self._socket.shutdown(socket.SHUT_RDWR)
        if not self._receiving:
            self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
