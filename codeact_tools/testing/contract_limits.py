"""The tests of a sandbox that are about its limits and stops."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from ..errors import ConfigurationError, LimitExceeded
from ..sandbox.bridge import Bridge
from ..session import Session
from .contract_base import LINK, ContractBase
from .contract_host import Host, Nobody


class LimitsContract(ContractBase):
    """Limits of time, memory, output and calls, each with its named error; cancellation."""

    def test_time_is_limited_softly(self) -> None:
        """An action past its time is interrupted, and the next one finds the variables."""
        with self.session(seconds=1.5, grace_seconds=30) as session:
            self.expect_limit(session, "kept = 41\nwhile True: pass", "seconds", state_lost=False)
            self.expect(session, "kept + 1", "42")
            self.expect_limit(session, "import time\ntime.sleep(60)", "seconds", state_lost=False)
            self.expect_limit(session, "import asyncio\nawait asyncio.sleep(60)", "seconds", state_lost=False)
            self.expect(session, "kept + 1", "42")

    def test_time_is_limited_hard(self) -> None:
        """An action that refuses the interruption is killed; the next one runs in a fresh guest and is told so."""
        with self.session(seconds=1.5, grace_seconds=0.3) as session:
            session.run("kept = 41")
            stubborn = (
                "n = 0\nwhile True:\n    try:\n        while True:\n            try: n = sum(range(1000))\n"
                "            except BaseException: n = 0\n    except BaseException: n = 0"
            )
            self.expect_limit(session, stubborn, "seconds", state_lost=True)
            seen = self.expect(session, "'kept' in globals()", "False")
            assert "restarted" in seen.text

    def test_cpu_time_is_limited(self) -> None:
        """An action is interrupted after so much computing; the time that it waits does not count."""
        if not self.meters:
            with contextlib.suppress(ConfigurationError), self.session(cpu_seconds=1):
                raise AssertionError("a session was opened without a limit that it was asked for")
            return
        with self.session(cpu_seconds=0.4, seconds=60, grace_seconds=30) as session:
            self.expect(session, "import time\ntime.sleep(0.6)\nkept = 41", None)
            self.expect_limit(session, "while True: pass", "cpu_seconds", state_lost=False)
            self.expect(session, "kept + 1", "42")
            self.expect_limit(session, f"{_THREAD}\nthread.join()", "cpu_seconds", state_lost=False)

    def test_cpu_time_is_limited_hard(self) -> None:
        """An action that computes on after the interruption is killed, and its error says so."""
        self.need(self.meters, "account of CPU time")
        with self.session(cpu_seconds=0.4, seconds=60, grace_seconds=0.3) as session:
            stubborn = "n = 0\nwhile True:\n    try: n = sum(range(1000))\n    except BaseException: n = 0"
            self.expect_limit(session, stubborn, "cpu_seconds", state_lost=True)
            assert "restarted" in self.expect(session, "1 + 1", "2").text

    def test_the_lifetime_is_limited(self) -> None:
        """A guest ends at the end of its lifetime, while it works or rests; the next one knows nothing and says so."""
        with self.session(lifetime_seconds=4.0) as session:
            seen = session.run("kept = 41\nimport time\ntime.sleep(60)")
            self.is_limit(seen, "lifetime_seconds", state_lost=True)
            seen = self.expect(session, "'kept' in globals()", "False")
            assert "restarted" in seen.text
            time.sleep(4.3)
            seen = session.run("kept = 41")
            self.is_limit(seen, "lifetime_seconds", state_lost=True)
            assert "nothing of it was done" in seen.text
            self.expect(session, "'kept' in globals()", "False")

    def test_the_clock_can_be_held(self) -> None:
        """While a call waits for a person the action's time stands still; it goes on afterwards."""

        class Person(Nobody):
            def __init__(self, bridge: Bridge) -> None:
                self.bridge = bridge

            async def call(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:  # noqa: A002
                """Decide, slowly."""
                del id, tool, args, kwargs
                with self.bridge.paused():
                    await asyncio.sleep(2.2)
                return "yes"

        async def check() -> None:
            async with self.guest(seconds=2, grace_seconds=30) as (_, bridge):
                ask = f"{LINK}answer = link.call('\"ask\"', [], {{}})['value']\nanswer"
                outcome = await bridge.execute(ask, handler=Person(bridge))
                assert (outcome.result, outcome.error) == ("'yes'", None)
                stopped: list[LimitExceeded] = []
                try:
                    await bridge.execute(f"{ask}\nwhile True: pass", handler=Person(bridge))
                except LimitExceeded as error:
                    stopped.append(error)
                assert [(error.limit, error.state_lost) for error in stopped] == [("seconds", False)]

        self.run(check())

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
        with self.session(calls=5, grace_seconds=30) as session:
            self.expect_limit(session, "n = 0\nwhile True: n = add(n, 1)", "calls", state_lost=False)
            self.expect(session, "n", "5")

    def test_cancellation_reaches_the_tool(self) -> None:
        """Cancelling the action on the host cancels the tool that it waits for, and keeps the variables."""
        host = Host()

        async def check() -> None:
            options: dict[str, Any] = {"sandbox": self.sandbox(), "check": "off", "limits": self.limits}
            async with Session(tools=host.tools, **options) as session:
                running = asyncio.ensure_future(session.arun("kept = 1\nawait pause(60)"))
                await asyncio.to_thread(host.started.wait, 60)
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                assert host.ended == ["cancelled"]
                assert (await session.arun("kept")).result == "1"

        self.run(check())

    def test_the_actions_own_timeout_cancels_the_tool(self) -> None:
        """A task that the action cancels cancels its call on the host."""
        host = Host()
        with self.session(host) as session:
            seen = session.run("import asyncio\nasync with asyncio.timeout(1): await pause(60)")
            assert seen.error is not None
            assert seen.error.name == "TimeoutError"
            assert self.soon(lambda: host.ended == ["cancelled"])

    def test_a_guest_that_ends_is_replaced(self) -> None:
        """An action that ends the process is an error that says so, and the session goes on without its variables."""
        with self.session() as session:
            seen = session.run("import os\nos._exit(3)")
            assert seen.error is not None
            assert (seen.error.name, seen.error.state_lost) == ("SandboxCrashed", True)
            self.expect(session, "1 + 1", "2")


_THREAD = """import threading
def compute():
    while True: pass
thread = threading.Thread(target=compute, daemon=True)
thread.start()"""
"""An action whose main thread does nothing."""
