"""One sandbox: a folder, its processes, its time to live."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from .connect import Dropped, RPCError
from .faults import Faults

HOME: Final = "home/user"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Event = tuple[str, Any]
_DROP: Final[Event] = ("drop", None)
"""Not an event: the connection breaks."""


class Process:
    """A command, whose output goes to whoever is attached, and nowhere while nobody is."""

    def __init__(self, child: asyncio.subprocess.Process, config: Mapping[str, Any], faults: Faults) -> None:
        self.child = child
        self.config = config
        self.pid = child.pid
        self._faults = faults
        self._attached: set[asyncio.Queue[Event]] = set()
        self._ended: Event | None = None
        self.task: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Pass the output on until the end."""
        await asyncio.gather(self._copy(self.child.stdout, "stdout"), self._copy(self.child.stderr, "stderr"))
        code = await self.child.wait()
        status = f"exit status {code}" if code >= 0 else f"signal: {signal.Signals(-code).name}"
        self._ended = ("end", {"exitCode": code, "exited": code >= 0, "status": status})
        self._tell(self._ended)

    def events(self) -> AsyncIterator[Event]:
        """Attach, and yield what happens from now on until the command ends."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        if self._ended is not None:
            queue.put_nowait(self._ended)
        self._attached.add(queue)
        return self._events(queue)

    async def _events(self, queue: asyncio.Queue[Event]) -> AsyncIterator[Event]:
        try:
            yield ("start", {"pid": self.pid})
            while True:
                event = await queue.get()
                if event == _DROP:
                    raise Dropped
                yield event
                if event[0] == "end":
                    return
        finally:
            self._attached.discard(queue)

    def drop(self) -> None:
        """Break the connection of everybody who is attached."""
        self._tell(_DROP)

    async def write(self, data: bytes) -> None:
        """Write to its standard input; waits while the process does not read."""
        stdin = self.child.stdin
        if stdin is None or stdin.is_closing():
            raise RPCError("internal", "the input of the process is closed")
        try:
            stdin.write(data)
            await stdin.drain()
        except ConnectionError as error:
            raise RPCError("internal", f"the input of the process is closed: {error}") from error

    def close_input(self) -> None:
        """Close its standard input."""
        if self.child.stdin is not None:
            self.child.stdin.close()

    async def _copy(self, stream: asyncio.StreamReader | None, name: str) -> None:
        while stream is not None and (data := await stream.read(32 * 1024)):
            size = self._faults.chunk
            for start in range(0, len(data), size):
                self._tell((name, data[start : start + size]))

    def _tell(self, event: Event) -> None:
        for queue in self._attached:
            queue.put_nowait(event)


@dataclass(kw_only=True)
class Machine:
    """A sandbox."""

    template: str
    metadata: dict[str, str]
    environment: dict[str, str]
    request: Mapping[str, Any]
    """What the client asked for, as it was sent."""
    faults: Faults
    on_end: Callable[[Machine], None]
    user: int | None = None
    """Whom the commands run as; None for the server's own user."""
    id: str = field(default_factory=lambda: "i" + secrets.token_hex(10))
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ends: datetime = field(default_factory=lambda: datetime.now(UTC))
    paused: bool = False
    processes: dict[int, Process] = field(default_factory=dict)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="e2b-server-")))
    renewals: int = 0
    """How often its time was extended."""
    _timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.folder.chmod(0o755)

    @property
    def home(self) -> Path:
        """Where its commands start."""
        return self.folder / HOME

    def path(self, name: str) -> Path:
        """The file that a client means by ``name``."""
        path = Path(os.path.normpath(self.folder / name.lstrip("/") if name.startswith("/") else self.home / name))
        if not path.is_relative_to(self.folder):
            raise RPCError("invalid_argument", f"{name!r} leads out of the sandbox")
        return path

    def live(self, seconds: float) -> None:
        """Set the time to live, from now on."""
        if self._timer is not None:
            self._timer.cancel()
        self.ends = datetime.now(UTC) + timedelta(seconds=seconds)
        self._timer = asyncio.get_running_loop().call_later(seconds, self.expire)

    def expire(self) -> None:
        """Do what the end of its time brings."""
        if self.request.get("autoPause"):
            self.pause()
        else:
            self.end()

    async def start(self, config: Mapping[str, Any], *, stdin: bool) -> Process:
        """Start a command."""
        variables = {"PATH": _PATH, "HOME": str(self.home), "USER": "user", "LANG": "C.UTF-8"}
        cwd = self.path(config["cwd"]) if config.get("cwd") else self.home
        identity: dict[str, Any] = {}
        if self.user is not None:
            identity = {"user": self.user, "group": self.user, "extra_groups": []}
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, self.user, self.user)
        try:
            child = await asyncio.create_subprocess_exec(
                config["cmd"],
                *config.get("args", ()),
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=cwd,
                env={**variables, **self.environment, **config.get("envs", {})},
                start_new_session=True,
                **identity,
            )
        except OSError as error:
            raise RPCError("invalid_argument", f"the command cannot be started: {error}") from error
        process = Process(child, config, self.faults)
        self.processes[process.pid] = process
        process.task = asyncio.create_task(process.watch())
        process.task.add_done_callback(lambda _: self.processes.pop(process.pid, None))
        return process

    def find(self, selector: Mapping[str, Any]) -> Process:
        """Return the process that a client means."""
        process = self.processes.get(selector.get("process", {}).get("pid", 0))
        if process is None:
            raise RPCError("not_found", f"process with pid {selector.get('process', {}).get('pid')} not found")
        return process

    def pause(self) -> None:
        """Stop everything in it; connections break."""
        self.paused = True
        if self._timer is not None:
            self._timer.cancel()
        self._signal(signal.SIGSTOP)
        self.drop()

    def resume(self) -> None:
        """Let everything in it go on."""
        self.paused = False
        self._signal(signal.SIGCONT)

    def drop(self) -> None:
        """Break all connections to its processes."""
        for process in self.processes.values():
            process.drop()

    def close_inputs(self) -> None:
        """Close the standard input of all its processes."""
        for process in self.processes.values():
            process.close_input()

    def end(self) -> None:
        """Kill everything in it and remove its folder."""
        if self._timer is not None:
            self._timer.cancel()
        self._signal(signal.SIGKILL)
        self.drop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.on_end(self)

    def _signal(self, number: signal.Signals) -> None:
        for pid in _with_descendants({*self.processes}):
            with contextlib.suppress(ProcessLookupError):  # it ended in the meantime
                os.kill(pid, number)


def _with_descendants(roots: set[int]) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended in the meantime
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [*roots]
    for number in found:
        found += [child for child, parent in parents.items() if parent == number]
    return found
