"""The host of the hostile programs: it sets out what they are after, runs them, and looks at what they did.

Run as ``python -m tests.hostile.host jail`` (or ``jail-lite``): one JSON object on stdout, a report for each program. A
process of its own, so that it can run as another user, and so that a program that kills its host is found out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

from codeact_tools.errors import SandboxError
from codeact_tools.sandbox.base import Limits, Sandbox, SandboxRequest
from codeact_tools.sandbox.bridge import Bridge, CallRefused
from codeact_tools.sandbox.jail.pool import POOL
from codeact_tools.sandbox.local import LocalSandbox, Mode

from .inside import BRIDGE, KERNEL, PROCESSES, RESOURCES
from .native import CALLS, SIGNALS
from .objects import OBJECTS
from .outside import FILES, NETWORK, SECRETS
from .program import Program, program_source
from .talk import TALK
from .usage import FILES_AGAIN, GROWTH

PROGRAMS: Final[dict[str, Program]] = {
    **(FILES | FILES_AGAIN | SECRETS | NETWORK),
    **(PROCESSES | SIGNALS | RESOURCES | GROWTH | KERNEL | CALLS),
    **(BRIDGE | TALK | OBJECTS),
}
LIMITS: Final = Limits(seconds=3, grace_seconds=0.5, memory_mb=512, output_kb=1024, files_mb=16, threads=24)
AT_ONCE: Final = 3
GONE_SECONDS: Final = 30.0
"""After the end of a session, nothing of it may be left; on a busy machine the kernel needs longer than a moment."""
LATE_SECONDS: Final = 60.0
"""How much later than its limits an action may end on a busy machine, where the others of `AT_ONCE` use it, too."""

_SHARED: Final = ("/tmp", "/var/tmp", "/dev/shm", "/", "/etc", "/run")  # noqa: S108 - looked at, not written to
_MANIFEST: Final = {
    "tools": [
        {
            "name": "add",
            "toolkit": None,
            "qualified": "add",
            "kind": "function",
            "params": [
                {"name": "a", "kind": "positional_or_keyword", "annotation": "int"},
                {"name": "b", "kind": "positional_or_keyword", "annotation": "int"},
            ],
            "returns": "int",
            "doc": "Add two numbers.",
        }
    ],
    "types": [],
}


class Canaries:
    """What the programs are after, each with a mark that must not turn up in their output."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.touched: list[str] = []
        self._closing = False
        self.mark = f"mark-{secrets.token_hex(8)}"
        self.secrets = [secrets.token_hex(16) for _ in range(5)]
        file, key, variable, module, descriptor = self.secrets
        (home / ".ssh").mkdir(0o700)
        (home / "empty").mkdir()
        (home / ".ssh" / "id_rsa").write_text(key)
        (home / "secret.txt").write_text(file)
        (home / "hostmodule.py").write_text(f"SECRET = {module!r}\n")
        os.environ["HOST_SECRET"] = variable
        with (home / "open.txt").open("w") as opened:
            opened.write(descriptor)
        self.open = (home / "open.txt").open()
        self.victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        self._threads: list[threading.Thread] = []
        self._servers = [*self._listen()]
        self.before = self._state()

    def facts(self, mode: Mode) -> dict[str, object]:
        """The constants that the programs know."""
        tcp, tcp6, udp, unix, datagram, abstract = (server.getsockname() for server in self._servers)
        return {
            "HOME": str(self.home),
            "MARK": self.mark,
            "TCP": tcp[1],
            "TCP6": tcp6[1] if tcp6 else 1,
            "UDP": udp[1],
            "UNIX": unix,
            "UNIX_DATAGRAM": datagram,
            "ABSTRACT": abstract[1:].decode(),
            "HOST": os.getpid(),
            "VICTIM": self.victim.pid,
            # Without a user of its own, the kernel counts all processes of the user, so that there is some slack.
            "THREADS": LIMITS.threads if mode == "jail" or os.geteuid() == 0 else 1000,
            "FILES_MB": LIMITS.files_mb,
        }

    def harm(self) -> list[str]:
        """Say what was done to the host."""
        found = list(self.touched)
        if self.victim.poll() is not None:
            found.append(f"the victim ended with {self.victim.returncode}")
        if self._state() != self.before:
            found.append("files, modes or times in the user's home changed")
        for folder in (*_SHARED, str(Path(os.__file__).parent), *sys.path):
            with contextlib.suppress(OSError):
                found += [f"planted {path}" for path in Path(folder).iterdir() if self.mark in path.name]
        return found

    def close(self) -> None:
        """End the victim and the servers."""
        self._closing = True
        self.open.close()
        self.victim.kill()
        self.victim.wait()
        for server in self._servers:
            with contextlib.suppress(OSError):  # wakes the thread that listens, also where nothing is connected
                server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(1)
        for server in self._servers:
            server.close()

    def _listen(self) -> Iterator[socket.socket]:
        abstract = f"\0canary-{secrets.token_hex(8)}"
        for family, kind, address in (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(self.home / "stream.sock")),
            (socket.AF_UNIX, socket.SOCK_DGRAM, str(self.home / "datagram.sock")),
            (socket.AF_UNIX, socket.SOCK_STREAM, abstract),
        ):
            server = socket.socket(family, kind)
            with contextlib.suppress(OSError):  # a machine without IPv6
                server.bind(address)
                if kind == socket.SOCK_STREAM:
                    server.listen()
            self._threads.append(threading.Thread(target=self._watch, args=(server, kind), daemon=True))
            self._threads[-1].start()
            yield server

    def _watch(self, server: socket.socket, kind: int) -> None:
        with contextlib.suppress(OSError):
            if kind == socket.SOCK_STREAM:
                server.accept()[0].close()
            else:
                server.recv(100)
            if not self._closing:
                self.touched.append(f"a message reached {server}")

    def _state(self) -> list[tuple[object, ...]]:
        state: list[tuple[object, ...]] = []
        for path in sorted(self.home.rglob("*")):
            found = path.lstat()
            state.append((str(path), found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns, found.st_nlink))
        return state


class Tools:
    """Answers `add` and refuses everything else, as a session does."""

    def __init__(self) -> None:
        self.output: list[str] = []

    async def call(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:  # noqa: A002
        """Add two numbers."""
        if tool != "add" or kwargs or len(args) != 2 or not all(type(value) is int for value in args):
            raise CallRefused("InvalidCall", f"{tool} takes two int")
        return args[0] + args[1]

    def on_output(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Keep it."""
        self.output.append(text)


async def run_program(sandbox: Sandbox, code: str) -> dict[str, Any]:
    """Run one program in a session of its own, then an honest action, then collect its files."""
    guest = await sandbox.open(SandboxRequest(limits=LIMITS))
    bridge = Bridge(guest, LIMITS)
    tools = Tools()
    report: dict[str, Any] = {}
    try:
        await bridge.start(_MANIFEST, allow_imports=["*"])
        report["first"] = (await bridge.execute("print(6 * 7)", handler=tools)).result or "".join(tools.output)
        started = time.monotonic()
        report["end"] = await _execute(bridge, code, tools)
        report["seconds"] = time.monotonic() - started
        await asyncio.sleep(0.05)  # time for a thread that goes on to break the silence between two actions
        report["second"] = await _execute(bridge, "1 + 1", tools)
        report["files"] = await _collect(bridge)
    finally:
        await bridge.close()
    report["output"] = "".join(tools.output)
    return report


async def _execute(bridge: Bridge, code: str, tools: Tools) -> dict[str, Any]:
    try:
        outcome = await bridge.execute(code, handler=tools)
    except SandboxError as error:
        return {"refused": type(error).__name__, "message": str(error)}
    return {"result": outcome.result, "error": outcome.error.traceback if outcome.error else None}


async def _collect(bridge: Bridge) -> list[str]:
    """Read the files that the program left, as a host does that hands out artifacts."""
    try:
        listing = await bridge.files()
        small = [path for path, size in listing if size < 100_000][:20]
        return [str(await bridge.get(path)) for path in small]
    except (SandboxError, FileNotFoundError) as error:
        return [f"{type(error).__name__}: {error}"]


def wait_until_gone(left: Callable[[], object]) -> None:
    """Give what ends the time to do so, and what is on its way the time to arrive."""
    time.sleep(0.5)
    deadline = time.monotonic() + GONE_SECONDS
    while left() and time.monotonic() < deadline:
        time.sleep(0.05)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _processes() -> dict[int, int]:
    """Every process and its parent."""
    found: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def descendants(root: int) -> list[int]:
    """Return the processes below ``root``, however deep."""
    parents = _processes()
    found = [root]
    for number in found:
        found += [child for child, parent in parents.items() if parent == number]
    return found[1:]


async def run_all(mode: Mode, codes: dict[str, str]) -> dict[str, Any]:
    """Run every program, a few at a time."""
    gate = asyncio.Semaphore(AT_ONCE)
    sandbox = LocalSandbox(mode)

    async def one(code: str) -> dict[str, Any]:
        async with gate:
            return await run_program(sandbox, code)

    reports = await asyncio.gather(*(one(code) for code in codes.values()))
    return dict(zip(codes, reports, strict=True))


def judge(report: dict[str, Any], canaries: Canaries) -> list[str]:
    """Say what is wrong with one program's end."""
    found = []
    text = json.dumps(report)
    found += [
        f"a secret is in its output: {text[max(0, text.find(s) - 80) :][:160]}" for s in canaries.secrets if s in text
    ]
    if "ESCAPED" in text:
        found.append(text[text.find("ESCAPED") :][:200])
    if "root:x:0" in text:
        found.append("it read /etc/passwd")
    if "FORGED" in json.dumps(report["second"]):
        found.append("a forged result was taken")
    if not report["first"].startswith("42"):
        found.append(f"a fresh session was wrong: {report['first']!r}")
    if report["seconds"] > LIMITS.seconds + LIMITS.grace_seconds + LATE_SECONDS:
        found.append(f"it took {report['seconds']:.1f} s")
    second = report["second"]
    if not second.get("refused") and second.get("result") != "2":
        found.append(f"the next action is neither right nor refused: {second}")
    return found


def main(mode: Mode) -> dict[str, Any]:
    """Run everything in ``mode``; return what went wrong for each program, and on the host."""
    with tempfile.TemporaryDirectory(prefix="home-", dir="/tmp") as home:
        canaries = Canaries(Path(home))
        facts = canaries.facts(mode)
        chosen = {
            name: program_source(program, facts) for name, program in PROGRAMS.items() if mode == "jail" or program.lite
        }
        asyncio.run(_warm(mode))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        descriptors, processes = _open_files(), len(descendants(os.getpid()))
        reports = asyncio.run(run_all(mode, chosen))
        wait_until_gone(lambda: len(descendants(os.getpid())) > processes or _open_files() > descriptors)
        harm = canaries.harm()
        if (left := len(descendants(os.getpid())) - processes) > 0:
            harm.append(f"{left} processes are left")
        if (left := _open_files() - descriptors) > 0:
            harm.append(f"{left} descriptors are left")
        if (grown := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) > 200 * 1024:
            harm.append(f"the host grew by {grown >> 10} MiB")
        POOL.close()
        wait_until_gone(lambda: set(descendants(os.getpid())) - {canaries.victim.pid})
        if rest := set(descendants(os.getpid())) - {canaries.victim.pid}:
            harm.append(f"the zygote left {rest}")
        canaries.close()
        wrong = {name: judge(report, canaries) for name, report in reports.items()}
    return {"harm": harm, "wrong": wrong, "reports": reports}


async def _warm(mode: Mode) -> None:
    guest = await LocalSandbox(mode).open(SandboxRequest(limits=LIMITS))
    await guest.kill()


if __name__ == "__main__":
    result = main("jail" if sys.argv[1] == "jail" else "jail-lite")
    if "--full" not in sys.argv:
        del result["reports"]
    json.dump(result, sys.stdout)
