"""A sandbox that confines nothing, for tests of everything above it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from ..sandbox.base import SandboxRequest
from ..sandbox.channel import Channel
from ..sandbox.clocks import process_cpu_seconds

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
        self.channel = Channel(ours)
        self._folder = tempfile.mkdtemp(prefix="unconfined-")
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-s", "-B", "-c", _START, str(_SANDBOX)],
                stdin=theirs.fileno(),
                cwd=self._folder,
                env={"PYTHONHASHSEED": "0"},
            )
        self._dead = False

    async def send(self, data: bytes) -> None:
        """Write all of ``data``."""
        await self.channel.send(data)

    async def receive(self) -> bytes:
        """Return the next bytes; none when the guest has ended."""
        return await self.channel.receive()

    def pending(self) -> bool:
        """Whether something can be received."""
        return self.channel.pending()

    async def interrupt(self) -> None:
        """Send SIGINT."""
        self._child.send_signal(signal.SIGINT)

    async def freeze(self) -> None:
        """Stop the process."""
        self._child.send_signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        """Let it go on."""
        self._child.send_signal(signal.SIGCONT)

    def cpu_seconds(self) -> float | None:
        """CPU time that it has used."""
        return None if self._dead else process_cpu_seconds(self._child.pid)

    async def kill(self) -> None:
        """End it and remove its folder; idempotent."""
        if self._dead:
            return
        self._dead = True
        self._child.kill()
        self._child.wait()
        self.channel.close()
        shutil.rmtree(self._folder, ignore_errors=True)
