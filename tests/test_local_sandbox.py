"""The local sandbox as its users see it: guests that start, answer, stop and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from codeact_tools.errors import ConfigurationError, LimitExceeded, SandboxCrashed, SandboxUnavailable
from codeact_tools.sandbox import resolve_sandbox
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.bridge import Bridge, Outcome
from codeact_tools.sandbox.local import LocalGuest, LocalSandbox, Mode
from codeact_tools.sandbox.packages import find_packages

linux = pytest.mark.skipif(sys.platform != "linux", reason="the local sandbox needs Linux")
EMPTY: Final[dict[str, Any]] = {"tools": [], "types": []}
LIMITS: Final = Limits(memory_mb=512, seconds=60, grace_seconds=30, files_mb=8, threads=8)


class Listener:
    """Collects the output; there are no tools."""

    def __init__(self) -> None:
        self.text = ""

    async def call(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:  # noqa: A002
        """Nobody calls."""
        raise AssertionError(tool)

    def on_output(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Keep it."""
        self.text += text


class Opened:
    """A guest with a bridge to it."""

    def __init__(self, guest: LocalGuest, limits: Limits) -> None:
        self.guest = guest
        self.bridge = Bridge(guest, limits)

    async def run(self, code: str) -> Outcome:
        """Run an action; its printed text is in ``self.text``."""
        listener = Listener()
        try:
            return await self.bridge.execute(code, handler=listener)
        finally:
            self.text = listener.text

    async def value(self, code: str) -> str | None:
        """Return the repr of the action's last expression; the action must not fail."""
        outcome = await self.run(code)
        assert outcome.error is None, outcome.error
        return outcome.result


@contextlib.asynccontextmanager
async def session(
    mode: Mode = "jail", *, packages: tuple[str, ...] = (), limits: Limits = LIMITS
) -> AsyncIterator[Opened]:
    """Open a guest in ``mode``; skip where the machine refuses that mode."""
    try:
        guest = await LocalSandbox(mode).open(SandboxRequest(limits=limits, packages=packages))
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    opened = Opened(guest, limits)
    try:
        await opened.bridge.start(EMPTY, allow_imports=["*"])
        yield opened
    finally:
        await opened.bridge.close()


def descendants(root: int) -> set[int]:
    """Return the processes below ``root``."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for number in found:
        found += [child for child, parent in parents.items() if parent == number]
    return set(found[1:])


def until_gone(processes: set[int], seconds: float) -> set[int]:
    """Wait for ``processes`` to end; return those that have not."""
    deadline = time.monotonic() + seconds
    left = processes
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = {number for number in processes if alive(number)}
    return left


def open_files() -> int:
    """Count this process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(number: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


BOTH: Final = pytest.mark.parametrize("mode", ["jail", "jail-lite"])


@linux
@BOTH
async def test_a_guest_is_full_python(mode: Mode) -> None:
    """Modules load late and lazily, threads and event loops run, and extension modules find their libraries."""
    async with session(mode) as opened:
        assert opened.guest.description == f"local ({mode})"
        for code, expected in (
            ("import sqlite3; sqlite3.connect(':memory:').execute('select 1 + 1').fetchone()", "(2,)"),
            ("import ssl, bz2, lzma, ctypes; len(bz2.compress(b'x')) > 0", "True"),
            ("import zoneinfo; str(zoneinfo.ZoneInfo('Europe/Berlin'))", "'Europe/Berlin'"),
            ("import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 3\nawait f()", "3"),
            (
                "from concurrent.futures import ThreadPoolExecutor as P\nwith P(4) as p: r = [*p.map(abs, [-1, 2])]\nr",
                "[1, 2]",
            ),
            ("import ctypes; ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 5)()", "5"),
            ("import email.message, xml.etree.ElementTree, http.client, tomllib, curses; 1", "1"),
        ):
            assert await opened.value(code) == expected, code


@linux
async def test_the_working_folder_holds_files_up_to_its_size() -> None:
    """In jail mode files can be written, also temporary ones; a full folder is an error of the action."""
    async with session() as opened:
        assert await opened.value("import tempfile; f = tempfile.NamedTemporaryFile(); f.write(b'abc')") == "3"
        assert await opened.value("import shutil; open('a', 'w').write('x'); shutil.copy2('a', 'b')") == "'b'"
        outcome = await opened.run("for i in range(9): open(f'big{i}', 'wb').write(bytes(1 << 20))")
        assert outcome.error is not None
        assert "No space left" in outcome.error.message
        assert await opened.value("import os; os.getcwd()") == "'/scratch/work'"
        await opened.value("for i in range(9): os.path.exists(f'big{i}') and os.unlink(f'big{i}')")
        await opened.bridge.put("in/put.csv", b"1,2")
        assert await opened.value("open('in/put.csv').read()") == "'1,2'"
        assert await opened.bridge.get("a") == b"x"


@linux
async def test_jail_lite_writes_nothing() -> None:
    """Without a root of its own, a guest can write no file at all, and the host's hard disk cannot be filled."""
    async with session("jail-lite") as opened:
        for path in ("a", "/tmp/a", "/dev/shm/a"):  # noqa: S108 - refused is what they must be
            outcome = await opened.run(f"open({path!r}, 'w')")
            assert outcome.error is not None
            assert outcome.error.type == "PermissionError"
        with pytest.raises(FileNotFoundError):
            await opened.bridge.put("a", b"x")


@linux
@BOTH
async def test_nothing_of_the_host_enters(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is ours, descriptors are none but the bridge, and the host's packages are not importable."""
    monkeypatch.setenv("API_KEY", "secret")
    monkeypatch.setenv("LD_PRELOAD_TEST", "x")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    async with session(mode) as opened:
        environment = await opened.value("import os; sorted(os.environ)")
        assert environment is not None
        assert "API_KEY" not in environment
        assert "PYTHON" not in environment
        code = "n = []\nfor fd in range(1024):\n    try: os.fstat(fd); n.append(fd)\n    except OSError: pass\nn"
        assert await opened.value(code) == "[0, 1, 2, 3]"
        for name in ("pydantic", "pytest", "codeact_tools", "jail"):
            outcome = await opened.run(f"import {name}")
            assert outcome.error is not None
            assert outcome.error.type == "ModuleNotFoundError"


@linux
@BOTH
async def test_limits_hold(mode: Mode) -> None:
    """Memory, threads, descriptors and time end with errors that the action or the operator can read."""
    async with session(mode, limits=Limits(memory_mb=256, seconds=3, grace_seconds=30, threads=8)) as opened:
        outcome = await opened.run("x = bytearray(1 << 30)")
        assert outcome.error is not None
        assert outcome.error.type == "MemoryError"
        outcome = await opened.run("import os\nfds = [os.pipe() for _ in range(100)]")
        assert outcome.error is not None
        assert "Too many open files" in outcome.error.message
        await opened.value("kept = 5")
        with pytest.raises(LimitExceeded) as caught:
            await opened.run("while True: pass")
        assert not caught.value.state_lost
        assert await opened.value("kept") == "5"
        if mode == "jail":
            outcome = await opened.run(
                "import threading, time\n"
                "for n in range(20):\n"
                "    threading.Thread(target=time.sleep, args=(1,), daemon=True).start()"
            )
            assert outcome.error is not None
            assert "start new thread" in outcome.error.message


@linux
async def test_the_end_of_a_guest_is_the_end_of_its_stream() -> None:
    """A guest that ends is seen at once; afterwards reading gives nothing and writing raises."""
    async with session() as opened:
        with pytest.raises(SandboxCrashed):
            await opened.run("import os; os._exit(3)")
        assert await opened.guest.receive() == b""
        assert opened.guest.pending()
        with pytest.raises(SandboxCrashed):
            await opened.guest.send(b"x" * 10_000_000)
        await opened.guest.interrupt()
        await opened.guest.kill()


@linux
@BOTH
async def test_kill_waits_until_all_is_gone(mode: Mode) -> None:
    """After `kill`, which may be called again, the process is gone and a waiting reader has the end of the stream."""
    before = descendants(os.getpid())
    async with session(mode) as opened:
        during = descendants(os.getpid()) - before
        assert during
        reader = asyncio.ensure_future(opened.guest.receive())
        await asyncio.sleep(0.01)
        await opened.guest.kill()
        assert await asyncio.wait_for(reader, 30) == b""
        await opened.guest.kill()
        assert opened.guest.pending()
        assert await opened.guest.receive() == b""


@linux
@BOTH
async def test_a_frozen_guest_does_nothing_until_it_is_thawed(mode: Mode) -> None:
    """Between `freeze` and `thaw` no thread of the guest runs; a frozen guest can be killed."""
    async with session(mode) as opened:
        await opened.guest.freeze()
        running = asyncio.ensure_future(opened.run("6 * 7"))
        await asyncio.sleep(0.2)
        assert not running.done()
        await opened.guest.thaw()
        assert (await asyncio.wait_for(running, 30)).result == "42"
        await opened.guest.freeze()


@linux
async def test_sessions_do_not_share_random_numbers() -> None:
    """Guests of one zygote draw different numbers."""
    async with session() as one, session() as two:
        assert await one.value("import random; random.random()") != await two.value("import random; random.random()")


@linux
@BOTH
async def test_twenty_at_once(mode: Mode) -> None:
    """Twenty sessions open, answer and close side by side."""

    async def one(number: int) -> None:
        async with session(mode) as opened:
            assert await opened.value(f"{number} * 2") == str(number * 2)

    await asyncio.gather(*map(one, range(20)))


@linux
@BOTH
async def test_nothing_leaks(mode: Mode) -> None:
    """Forty sessions, ended in every way, leave no descriptor and no process behind."""
    async with session(mode):
        pass
    descriptors, processes = open_files(), descendants(os.getpid())
    sandbox = LocalSandbox(mode)
    for number in range(40):
        guest = await sandbox.open(SandboxRequest(limits=LIMITS))
        if number % 4 == 0:
            await guest.kill()
        elif number % 4 == 1:
            guest.end()
        elif number % 4 == 2:
            await guest.freeze()
        del guest  # a guest that nobody holds ends by itself
    opening = asyncio.ensure_future(sandbox.open(SandboxRequest(limits=LIMITS)))
    await asyncio.sleep(0.0005)
    opening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        (await opening).end()  # on a busy machine it may be there before it is cancelled
    deadline = time.monotonic() + 60
    left: tuple[set[int], int] = (set(), 0)
    while time.monotonic() < deadline:
        await asyncio.sleep(0.05)  # the opening that was cancelled ends in its thread, and then needs the event loop
        gc.collect()
        left = {number for number in descendants(os.getpid()) - processes if alive(number)}, open_files() - descriptors
        if not left[0] and left[1] <= 0:
            return
    raise AssertionError(f"left are the processes {left[0]} and {left[1]} descriptors")


@linux
async def test_a_zygote_that_dies_is_replaced() -> None:
    """When the warm process is killed its guests end with it, and the next session starts another one."""
    async with session() as opened:
        for number in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        assert await asyncio.wait_for(opened.guest.receive(), 30) == b""
    async with session() as opened:
        assert await opened.value("1 + 1") == "2"


@linux
@BOTH
async def test_a_guest_survives_the_thread_that_opened_it(mode: Mode) -> None:
    """The kernel's parent-death signal comes at the end of a thread, so nothing relies on it for the host."""
    guests: list[LocalGuest] = []

    def open_in_a_loop_of_its_own() -> None:
        guests.append(
            asyncio.run(LocalSandbox(mode).open(SandboxRequest(limits=LIMITS, packages=("docstring-parser",))))
        )

    thread = threading.Thread(target=open_in_a_loop_of_its_own)
    thread.start()
    thread.join()
    await asyncio.sleep(0.1)
    opened = Opened(guests[0], LIMITS)
    await opened.bridge.start(EMPTY, allow_imports=["*"])
    assert await opened.value("1 + 1") == "2"
    await opened.bridge.close()


HOSTS: Final = """
import asyncio, os, signal, sys, time
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.local import LocalSandbox
async def main(mode, how):
    request = SandboxRequest(limits=Limits(memory_mb=512))
    guests = [await LocalSandbox(mode).open(request) for _ in range(3)]
    print("ready", flush=True)
    if how == "frozen":
        for guest in guests:
            await guest.freeze()
    if how == "end":
        return
    await asyncio.sleep(60)
asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@linux
@BOTH
@pytest.mark.parametrize("how", ["sigkill", "sigint", "frozen", "end"])
def test_no_orphans(mode: Mode, how: str) -> None:
    """However the host ends (killed, interrupted, with frozen guests, by itself), nothing of it is left."""
    if not next(report for report in LocalSandbox.probe() if report.mode == mode).works:
        pytest.skip(f"{mode} does not work here")
    command = [sys.executable, "-c", HOSTS, mode, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        processes = descendants(host.pid)
        assert len(processes) >= 3 or how == "end"
        if how in ("sigkill", "frozen"):
            time.sleep(0.1)
            host.kill()
        elif how == "sigint":
            host.send_signal(signal.SIGINT)
        host.wait(60)
    assert until_gone(processes, 30) == set()


@linux
async def test_a_forked_host_gets_a_zygote_of_its_own() -> None:
    """A forked copy of the host opens sessions by itself, and its end harms nothing of the first one's."""
    async with session() as opened:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio.events._set_running_loop(None)
                loop = asyncio.new_event_loop()
                guest = loop.run_until_complete(LocalSandbox("jail").open(SandboxRequest(limits=LIMITS)))
                loop.run_until_complete(guest.kill())
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0  # noqa: ASYNC222 - a moment
        assert await opened.value("1 + 1") == "2"


@linux
async def test_a_terminal_cannot_interrupt_the_zygote() -> None:
    """The zygote and its guests are in another session than the host, so Ctrl-C is the host's alone."""
    before = set(descendants(os.getpid()))
    async with session():
        assert all(os.getsid(number) != os.getsid(0) for number in set(descendants(os.getpid())) - before)


@linux
@BOTH
async def test_named_packages_are_importable_and_others_are_not(mode: Mode) -> None:
    """`packages` shows a distribution and what it requires, read-only, and nothing else of the environment."""
    async with session(mode, packages=("pydantic",)) as opened:
        assert await opened.value("import pydantic; pydantic.TypeAdapter(int).validate_python('3')") == "3"
        assert await opened.value("import typing_extensions, pydantic_core; 1") == "1"
        for name in ("pytest", "cyclopts"):
            outcome = await opened.run(f"import {name}")
            assert outcome.error is not None
            assert outcome.error.type == "ModuleNotFoundError"
        outcome = await opened.run(f"open({pytest.__file__!r})")
        assert outcome.error is not None
        # Landlock cannot hide a name, but what is behind it.
        assert outcome.error.type == ("FileNotFoundError" if mode == "jail" else "PermissionError")
        outcome = await opened.run("open(pydantic.__file__, 'a')")
        assert outcome.error is not None


@linux
async def test_a_package_that_is_not_installed_is_the_developers_error() -> None:
    """The message names the package and says how to get it."""
    with pytest.raises(ConfigurationError, match=r"'no-such-thing'.*pip install"):
        await LocalSandbox().open(SandboxRequest(limits=LIMITS, packages=("no-such-thing",)))


def test_packages_are_found_by_distribution_and_by_module() -> None:
    """Both names give the same files; requirements come along, modules to import are those of the named one alone."""
    by_name = find_packages(("docstring-parser",))
    assert by_name == find_packages(("docstring_parser",))
    assert by_name.imports == ("docstring_parser",)
    found = {Path(path).name for path in find_packages(("pydantic",)).paths}
    assert {"pydantic", "pydantic_core", "annotated_types", "typing_extensions.py"} <= found


@linux
async def test_too_little_memory_is_an_error_of_the_action() -> None:
    """Under a limit in which the interpreter hardly stands, an action that needs memory fails, and nothing hangs."""
    async with session(limits=Limits(memory_mb=1)) as opened:
        outcome = await opened.run("x = bytearray(64 << 20)")
        assert outcome.error is not None
        assert outcome.error.type == "MemoryError"


def test_other_systems_get_a_clear_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS and Windows the message names the system and the ways out."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match=r"darwin.*e2b"):
        asyncio.run(LocalSandbox().open(SandboxRequest(limits=LIMITS)))
    assert [report.works for report in LocalSandbox.probe()] == [False, False]


def test_importing_needs_nothing_of_linux() -> None:
    """The module can be imported where the modules and functions of Linux are missing, and costs no heavy import."""
    code = (
        "import sys\n"
        "for name in ('fcntl', 'resource', 'ctypes'): sys.modules[name] = None\n"
        "import codeact_tools.sandbox\n"
        "assert 'codeact_tools.sandbox.local' not in sys.modules\n"
        "import codeact_tools.sandbox.local\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)


def test_a_wrong_mode_is_named() -> None:
    """A misspelt mode is the developer's error."""
    with pytest.raises(ValueError, match="'jial'"):
        LocalSandbox("jial")  # type: ignore[arg-type]


def test_the_choice_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key ``"auto"`` is local, and says so; a back end comes back as it is; names are checked."""
    monkeypatch.delenv("E2B_API_KEY", raising=False)
    sandbox, choice = resolve_sandbox("auto")
    assert (sandbox.name, choice.name) == ("local", "local")
    assert "E2B_API_KEY" in choice.reason
    assert resolve_sandbox(sandbox)[0] is sandbox
    assert resolve_sandbox("jail-lite")[1].name == "local"
    with pytest.raises(ConfigurationError, match="'moon'"):
        resolve_sandbox("moon")


@linux
def test_the_probe_speaks_for_both_modes() -> None:
    """Each mode has a report; where one does not work it says what would help."""
    reports = LocalSandbox.probe()
    assert [report.mode for report in reports] == ["jail", "jail-lite"]
    assert all(report.works or report.advice for report in reports)
