"""The tests of a sandbox that are about its guests as processes, and about what is out of their reach."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from ..errors import ProtocolViolation, SandboxCrashed
from .contract_base import LINK, ContractBase, held
from .contract_host import Nobody


class ProcessContract(ContractBase):
    """Freezing, ending and confinement of a guest."""

    def test_freeze_and_thaw(self) -> None:
        """Between freeze and thaw nothing of the guest runs; afterwards everything goes on."""
        self.need(self.freezes, "freeze")

        async def check() -> None:
            async with self.guest() as (process, bridge):
                await bridge.execute(_WATCH, handler=Nobody())
                await process.freeze()
                await asyncio.sleep(0.5)
                await process.thaw()
                outcome = await bridge.execute("seen.wait(20)", handler=Nobody())
                assert outcome.result == "True", "the thread went on while it was frozen"
                await process.freeze()  # a frozen guest can be killed

        self.run(check())

    def test_kill_is_idempotent(self) -> None:
        """After kill the stream has ended, sending fails with a named error, and every further call is harmless."""

        async def check() -> None:
            async with self.guest() as (process, _):
                await process.kill()
                await process.kill()
                assert await asyncio.wait_for(process.receive(), 30) == b""
                assert process.pending()
                await process.interrupt()
                await process.freeze()
                await process.thaw()
                try:
                    await process.send(b"x" * 1_000_000)
                except SandboxCrashed:
                    return
                raise AssertionError("a guest that was killed still takes bytes")

        self.run(check())

    def test_garbage_ends_the_guest(self) -> None:
        """Bytes that are no message, and messages that nobody asked for, end the guest with a named error."""

        async def check(garbage: str) -> None:
            async with self.guest() as (_, bridge):
                try:
                    await bridge.execute(f"{LINK}import os\nos.write(link._out, {garbage})\n1", handler=Nobody())
                    await asyncio.sleep(0.1)
                    await bridge.execute("1", handler=Nobody())
                except ProtocolViolation:
                    assert bridge.dead is not None
                    return
                raise AssertionError(f"{garbage} was accepted")

        for garbage in ("b'GET / HTTP/1.1'", "b'\\xff' * 100_000", "b'\\0\\0\\0\\x02{}'", "b'\\0\\0\\0\\x02[]'"):
            self.run(check(garbage))

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
        before = held()
        for _ in range(3):
            cycle()
        assert self.soon(lambda: all(now <= then for now, then in zip(held(), before, strict=True))), (
            f"descriptors and processes before: {before}, now: {held()}"
        )

    # ---- confinement -------------------------------------------------------------------------------------------------

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


_WATCH = """import threading, time
seen = threading.Event()
def watch():
    last = time.monotonic()
    while time.monotonic() < last + 0.4:
        last = time.monotonic()
        time.sleep(0.001)
    seen.set()
threading.Thread(target=watch, daemon=True).start()"""
"""An action whose thread sees that it stood still."""
