"""What every sandbox must do, as tests that the author of a back end can run.

    from codeact_tools.testing.contract import SandboxContract

    class TestMySandbox(SandboxContract):
        def sandbox(self) -> Sandbox:
            return MySandbox()

pytest finds the tests in the subclass. A back end that lacks something says so by an attribute, for example
`SandboxContract.files`, which skips the tests about it and is part of what the back end documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from ..errors import ProtocolViolation, SandboxCrashed
from ..events import Event, Observation, OutputReceived
from ..sandbox.base import GuestProcess, Limits, Sandbox, SandboxRequest
from ..sandbox.bridge import Bridge
from ..session import Session
from .contract_host import Host, Nobody

__all__ = ["Host", "Nobody", "SandboxContract"]


class SandboxContract:
    """The tests; a subclass whose name begins with ``Test`` says which sandbox they are about."""

    confined: ClassVar[bool] = True
    """Host files, environment, network and processes are out of reach, and memory is limited. A back end that says
    False is for tests only."""
    files: ClassVar[bool] = True
    """Actions can write files."""
    freezes: ClassVar[bool] = True
    """`GuestProcess.freeze` stops the guest's threads."""

    limits: ClassVar[dict[str, Any]] = {"seconds": 20, "grace_seconds": 1, "memory_mb": 512, "files_mb": 8}
    """Of the sessions in the tests."""

    def sandbox(self) -> Sandbox:
        """The back end under test, a new object each time."""
        raise NotImplementedError("a subclass of SandboxContract says which sandbox it tests: define sandbox()")

    # ---- helpers -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def session(self, host: Host | None = None, on_event: Any = None, **limits: Any) -> Iterator[Session]:
        """An open session with the tools of the tests."""
        with Session(
            tools=(host or Host()).tools,
            sandbox=self.sandbox(),
            check="off",
            allow_imports=["*"],
            limits={**self.limits, **limits},
            on_event=on_event,
        ) as session:
            yield session

    @contextlib.asynccontextmanager
    async def guest(self, **limits: Any) -> AsyncIterator[tuple[GuestProcess, Bridge]]:
        """A guest without tools, and the bridge to it."""
        chosen = Limits(**{**self.limits, **limits})
        process = await self.sandbox().open(SandboxRequest(limits=chosen))
        bridge = Bridge(process, chosen)
        try:
            await bridge.start({"tools": [], "types": []}, allow_imports=["*"])
            yield process, bridge
        finally:
            await bridge.close()

    def expect(self, session: Session, code: str, result: str | None) -> Observation:
        """The action ends without an error, and its last expression is ``result``."""
        seen = session.run(code)
        assert seen.error is None, f"{code!r} failed: {seen.text}"
        assert seen.result == result, f"{code!r} gave {seen.result}, not {result}"
        return seen

    def need(self, capability: bool, what: str) -> None:
        """Skip the test where the back end says that it lacks something."""
        if not capability:
            import pytest

            pytest.skip(f"this back end says that it has no {what}")

    # ---- actions -------------------------------------------------------------------------------------------------

    def test_names_persist(self) -> None:
        """Variables, functions and imports of one action are there in the next."""
        with self.session() as session:
            self.expect(session, "import math\nx = 20\ndef twice(n): return 2 * n", None)
            self.expect(session, "x = twice(x) + math.floor(2.5)\nx", "42")

    def test_the_last_expression_is_echoed(self) -> None:
        """Its repr is the result; None gives none, and an assignment is shown where nothing was printed."""
        with self.session() as session:
            self.expect(session, "'a' + 'b'", "'ab'")
            self.expect(session, "None", None)
            assert "6" in (session.run("n = 6").text)

    def test_output_is_streamed(self) -> None:
        """What is printed arrives while the action runs, each stream by itself, in order."""
        arrived: list[tuple[str, str, bool]] = []
        host = Host()

        def watch(event: Event) -> None:
            if isinstance(event, OutputReceived):
                arrived.append((event.stream, event.text, host.started.is_set()))

        with self.session(host, watch) as session:
            seen = session.run(
                "import sys\nprint('one')\nprint('two', file=sys.stderr)\nawait pause(0)\nprint('three')"
            )
        assert (seen.stdout, seen.stderr) == ("one\nthree\n", "two\n")
        assert arrived[0] == ("stdout", "one\n", False), "the first line arrived only after the call"

    def test_top_level_await(self) -> None:
        """Asynchronous tools are awaited without a function around them."""
        with self.session() as session:
            self.expect(session, "import asyncio\nawait asyncio.sleep(0)\nawait pause(0.01)", "0.01")

    def test_errors_show_the_actions_own_lines(self) -> None:
        """The traceback holds the failing line's source and no file of the guest; names bound before it are kept."""
        with self.session() as session:
            seen = session.run("kept = 1\ndef f():\n    return kept / 0\nf()")
            assert seen.error is not None
            assert seen.error.name == "ZeroDivisionError"
            assert "return kept / 0" in seen.text
            assert "guest" not in seen.text
            self.expect(session, "kept", "1")

    def test_nobody_types(self) -> None:
        """Standard input is refused with a message instead of a wait."""
        with self.session() as session:
            seen = session.run("input('name? ')")
            assert seen.error is not None
            assert "input is not available" in seen.error.message

    # ---- calls ---------------------------------------------------------------------------------------------------

    def test_values_cross_both_ways(self) -> None:
        """What leaves for a tool and comes back is equal, and of the same type."""
        values: list[object] = [
            None, True, -1, 2**80, 1.5, float("inf"), "é\n\0", b"\0\xff", (1, "a"), {1, 2}, frozenset("x"), {(1,): [3]},
            datetime(2024, 2, 29, 12, tzinfo=UTC), date(2024, 2, 29), timedelta(days=-1), Decimal("0.10"), UUID(int=5),
            {"$": 1}, [[[]]], 1 + 2j, "x" * 300_000,
        ]  # fmt: skip
        setup = (
            "inf = float('inf')\nfrom datetime import *\nfrom decimal import Decimal\nfrom uuid import UUID\n"
            "import datetime as dt"
        )
        with self.session() as session:
            self.expect(session, setup, None)
            for value in values:
                text = repr(value).replace("datetime.", "dt.")
                self.expect(session, f"v = {text}\nback = echo(v)\nback == v and type(back) is type(v)", "True")

    def test_objects_keep_their_types(self) -> None:
        """A result is an instance of the class that the signature names."""
        with self.session() as session:
            self.expect(
                session,
                "p = parcel()\n(p.id, p.colour is Colour.BLUE, str(p.due), p.price * 2, p.notes['fr'][0])",
                "(7, True, '2024-02-29', Decimal('25.00'), 'été')",
            )

    def test_exceptions_of_tools(self) -> None:
        """A declared one is caught by its class; another one is a failure of the tool, without the host's paths."""
        with self.session() as session:
            self.expect(session, "try: parcel(8)\nexcept Lost as error: text = str(error)\ntext", "'parcel 8 is lost'")
            seen = session.run("broken()")
            assert seen.error is not None
            assert (seen.error.kind, seen.error.name) == ("tool", "ToolFailed")
            assert "the shelf fell down" in seen.text
            assert str(Path(__file__).parent) not in seen.text

    def test_arguments_are_validated(self) -> None:
        """A wrong argument is an error that names the parameter, and the tool does not run."""
        with self.session() as session:
            seen = session.run("add(1, 'many')")
            assert seen.error is not None
            assert seen.error.name == "InvalidCall"
            assert "b" in seen.error.message

    def test_calls_run_concurrently(self) -> None:
        """Under `asyncio.gather` and from threads, calls overlap, and each answer finds its caller."""
        host = Host()
        with self.session(host) as session:
            self.expect(session, "import asyncio\nawait asyncio.gather(*(pause(n / 100) for n in range(9)))", str(
                [n / 100 for n in range(9)]
            ))  # fmt: skip
            assert host.most_at_once > 1, "the calls ran one after the other"
            threads = "from concurrent.futures import ThreadPoolExecutor as P\nwith P(4) as p:\n    "
            self.expect(
                session, threads + "r = list(p.map(add, range(50), range(50)))\nr == [*range(0, 100, 2)]", "True"
            )

    def test_streams(self) -> None:
        """A generator tool yields item by item; leaving early closes it on the host."""
        host = Host()
        with self.session(host) as session:
            self.expect(session, "[n async for n in count(5)]", "[0, 1, 2, 3, 4]")
            code = "stream = count(10**9)\nfirst = await anext(stream)\nawait stream.aclose()\nfirst"
            self.expect(session, code, "0")
            self.expect(session, "add(1, 1)", "2")
            assert self._soon(lambda: host.ended == ["closed", "closed"]), f"not closed on the host: {host.ended}"

    def test_unknown_tools_are_denied(self) -> None:
        """A call that the guest makes up is answered with a denial, and nothing else happens."""
        with self.session() as session:
            seen = session.run(_LINK + "reply = link.call('\"os.system\"', ['true'], {})\nreply['op'], reply['type']")
            assert seen.result == "('raise', 'ToolDenied')", seen.text

    # ---- stops ---------------------------------------------------------------------------------------------------

    def test_time_is_limited_softly(self) -> None:
        """An action past its time is interrupted, and the next one finds the variables."""
        with self.session(seconds=0.5) as session:
            self._limit(session, "kept = 41\nwhile True: pass", "seconds", state_lost=False)
            self.expect(session, "kept + 1", "42")
            self._limit(session, "import time\ntime.sleep(60)", "seconds", state_lost=False)
            self._limit(session, "import asyncio\nawait asyncio.sleep(60)", "seconds", state_lost=False)
            self.expect(session, "kept + 1", "42")

    def test_time_is_limited_hard(self) -> None:
        """An action that refuses the interruption is killed; the next one runs in a fresh guest and is told so."""
        with self.session(seconds=0.5, grace_seconds=0.3) as session:
            session.run("kept = 41")
            stubborn = "n = 0\nwhile True:\n    try: n = sum(range(1000))\n    except BaseException: n = 0"
            self._limit(session, stubborn, "seconds", state_lost=True)
            seen = self.expect(session, "'kept' in globals()", "False")
            assert "restarted" in seen.text

    def test_memory_is_limited(self) -> None:
        """Memory beyond the limit is an error of the action, or the end of the guest, never the host's problem."""
        self.need(self.confined, "confinement")
        with self.session(memory_mb=256) as session:
            seen = session.run("hoard = [bytearray(1 << 26) for _ in range(64)]")
            assert seen.error is not None
            assert seen.error.name in ("MemoryError", "SandboxCrashed"), seen.text
            self.expect(session, "1 + 1", "2")

    def test_output_is_limited(self) -> None:
        """Output beyond the limit is dropped and counted; the action goes on."""
        with self.session(output_kb=16) as session:
            seen = self.expect(session, "for n in range(5000): print('x' * 100)\n1", "1")
            assert len(seen.stdout) <= 32 << 10
            assert "dropped" in seen.text

    def test_calls_are_limited(self) -> None:
        """The call past the limit is not made, and the action is interrupted."""
        with self.session(calls=5) as session:
            self._limit(session, "n = 0\nwhile True: n = add(n, 1)", "calls", state_lost=False)
            self.expect(session, "n", "5")

    def test_cancellation_reaches_the_tool(self) -> None:
        """Cancelling the action on the host cancels the tool that it waits for, and keeps the variables."""
        host = Host()

        async def check() -> None:
            options: dict[str, Any] = {"sandbox": self.sandbox(), "check": "off", "limits": self.limits}
            async with Session(tools=host.tools, **options) as session:
                running = asyncio.ensure_future(session.arun("kept = 1\nawait pause(60)"))
                await asyncio.to_thread(host.started.wait, 10)
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                assert host.ended == ["cancelled"]
                assert (await session.arun("kept")).result == "1"

        self._run(check())

    def test_the_actions_own_timeout_cancels_the_tool(self) -> None:
        """A task that the action cancels cancels its call on the host."""
        host = Host()
        with self.session(host) as session:
            seen = session.run("import asyncio\nasync with asyncio.timeout(0.2): await pause(60)")
            assert seen.error is not None
            assert seen.error.name == "TimeoutError"
            assert self._soon(lambda: host.ended == ["cancelled"])

    def test_a_guest_that_ends_is_replaced(self) -> None:
        """An action that ends the process is an error that says so, and the session goes on without its variables."""
        with self.session() as session:
            seen = session.run("import os\nos._exit(3)")
            assert seen.error is not None
            assert (seen.error.name, seen.error.state_lost) == ("SandboxCrashed", True)
            self.expect(session, "1 + 1", "2")

    # ---- files ---------------------------------------------------------------------------------------------------

    def test_files_go_in_and_come_out(self) -> None:
        """Uploads are in the working folder; what an action writes there is an artifact, byte for byte."""
        self.need(self.files, "working folder")
        data = bytes(range(256)) * 4096
        with self.session() as session:
            session.upload("in/data.bin", data)
            code = "d = open('in/data.bin', 'rb').read()\nopen('out.bin', 'wb').write(d[::-1])"
            seen = self.expect(session, code, str(len(data)))
            assert [(each.name, each.data) for each in seen.artifacts] == [("out.bin", data[::-1])]
            assert session.download("in/data.bin") == data
            assert self.expect(session, "1", "1").artifacts == ()

    def test_files_stay_in_the_folder(self) -> None:
        """Paths that lead out of it are refused."""
        with self.session() as session:
            for path in ("../out", "/etc/hostname", "a/../../b"):
                try:
                    session.download(path)
                except FileNotFoundError:
                    continue
                raise AssertionError(f"{path!r} could be read")

    # ---- the process ---------------------------------------------------------------------------------------------

    def test_freeze_and_thaw(self) -> None:
        """Between freeze and thaw nothing of the guest runs; afterwards everything goes on."""
        self.need(self.freezes, "freeze")

        async def check() -> None:
            async with self.guest() as (process, bridge):
                code = (
                    "import threading, time\nn = 0\n"
                    "def count():\n    global n\n    while True: n += 1; time.sleep(0.001)"
                )
                await bridge.execute(f"{code}\nthreading.Thread(target=count, daemon=True).start()", handler=Nobody())
                await process.freeze()
                await asyncio.sleep(0.5)
                await process.thaw()
                outcome = await bridge.execute("n", handler=Nobody())
                assert outcome.result is not None
                assert int(outcome.result) < 300, "the thread went on while it was frozen"
                await process.freeze()  # a frozen guest can be killed

        self._run(check())

    def test_kill_is_idempotent(self) -> None:
        """After kill the stream has ended, sending fails with a named error, and every further call is harmless."""

        async def check() -> None:
            async with self.guest() as (process, _):
                await process.kill()
                await process.kill()
                assert await asyncio.wait_for(process.receive(), 5) == b""
                assert process.pending()
                await process.interrupt()
                await process.freeze()
                await process.thaw()
                try:
                    await process.send(b"x" * 1_000_000)
                except SandboxCrashed:
                    return
                raise AssertionError("a guest that was killed still takes bytes")

        self._run(check())

    def test_garbage_ends_the_guest(self) -> None:
        """Bytes that are no message, and messages that nobody asked for, end the guest with a named error."""

        async def check(garbage: str) -> None:
            async with self.guest() as (_, bridge):
                try:
                    await bridge.execute(f"{_LINK}import os\nos.write(link._out, {garbage})\n1", handler=Nobody())
                    await asyncio.sleep(0.1)
                    await bridge.execute("1", handler=Nobody())
                except ProtocolViolation:
                    assert bridge.dead is not None
                    return
                raise AssertionError(f"{garbage} was accepted")

        for garbage in ("b'GET / HTTP/1.1'", "b'\\xff' * 100_000", "b'\\0\\0\\0\\x02{}'", "b'\\0\\0\\0\\x02[]'"):
            self._run(check(garbage))

    def test_sessions_are_apart(self) -> None:
        """Two sessions share no variables, no files and no random numbers."""
        with self.session() as one, self.session() as two:
            one.run("import random\nmine = random.random()")
            self.expect(two, "'mine' in globals()", "False")
            first, second = (each.run("import random\nrandom.random()").result for each in (one, two))
            assert first != second
            if self.files:
                one.upload("mine.txt", b"x")
                self.expect(two, "import os\nos.path.exists('mine.txt')", "False")

    def test_nothing_is_left_behind(self) -> None:
        """Sessions that end, however they do, leave no descriptor and no child process."""

        def cycle() -> None:
            with self.session(seconds=0.3, grace_seconds=0.1) as session:
                session.run("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()")
                session.run("while True:\n    try: pass\n    except BaseException: pass")

        cycle()
        before = _held()
        for _ in range(3):
            cycle()
        assert self._soon(lambda: all(now <= then for now, then in zip(_held(), before, strict=True))), (
            f"descriptors and processes before: {before}, now: {_held()}"
        )

    # ---- confinement ---------------------------------------------------------------------------------------------

    def test_the_environment_stays_outside(self) -> None:
        """No variable of the host's environment is visible."""
        self.need(self.confined, "confinement")
        os.environ["CONTRACT_CANARY"] = "secret"
        try:
            with self.session() as session:
                self.expect(session, "import os\n'CONTRACT_CANARY' in os.environ", "False")
        finally:
            del os.environ["CONTRACT_CANARY"]

    def test_the_hosts_files_stay_outside(self) -> None:
        """A file of the host can be neither read nor changed, and its packages cannot be imported."""
        self.need(self.confined, "confinement")
        before = Path(__file__).stat().st_mtime_ns
        with self.session() as session:
            for code in (f"open({__file__!r}).read()", f"open({__file__!r}, 'a')", "import pydantic"):
                seen = session.run(code)
                assert seen.error is not None, f"{code} worked"
        assert Path(__file__).stat().st_mtime_ns == before

    def test_the_network_stays_outside(self) -> None:
        """A server on the host's loopback is not reached."""
        self.need(self.confined, "confinement")
        with socket.create_server(("127.0.0.1", 0)) as server, self.session() as session:
            server.settimeout(0.2)
            port = server.getsockname()[1]
            seen = session.run(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=2)")
            assert seen.error is not None, "a connection to the host was made"
            with contextlib.suppress(TimeoutError):
                server.accept()
                raise AssertionError("a connection to the host was made")

    def test_processes_stay_outside(self) -> None:
        """No program can be started, and the host cannot be signalled."""
        self.need(self.confined, "confinement")
        with self.session() as session:
            for code in (
                "import subprocess\nsubprocess.run(['true'])",
                "import os\nos.fork()",
                f"import os\nos.kill({os.getpid()}, 15)",
            ):
                seen = session.run(code)
                assert seen.error is not None, f"{code!r} worked"

    # ---- helpers -------------------------------------------------------------------------------------------------

    def _limit(self, session: Session, code: str, limit: str, *, state_lost: bool) -> None:
        error = session.run(code).error
        assert error is not None, f"{code!r} was not stopped"
        assert (error.kind, error.name, error.state_lost) == ("limit", limit, state_lost), error

    @staticmethod
    def _run(test: Coroutine[Any, Any, None]) -> None:
        asyncio.run(test)

    @staticmethod
    def _soon(condition: Any, seconds: float = 3.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


_LINK = "import gc\nlink = next(o for o in gc.get_objects() if type(o).__name__ == 'Link')\n"
"""An action that finds the guest's end of the bridge: the import policy is no boundary, and does not claim to be."""


def _held() -> tuple[int, int]:
    """Descriptors and child processes of this process, where the system tells."""
    gc.collect()
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        return 0, 0
    children = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return len(list(descriptors.iterdir())), sum(map(len, children))
