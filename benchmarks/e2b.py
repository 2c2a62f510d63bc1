"""How long a tool call takes in E2B's sandbox, against the least that its protocol allows, at several distances.

    python -m benchmarks.e2b [CALLS]
    python -m benchmarks.e2b sessions [COUNT]       # open, call, close; what is left afterwards

The cloud's place is taken by `codeact_tools.testing.e2b_server` on this machine, with the round trip injected. The
yardstick, measured in the same run, is one line sent to a bare ``cat`` in the same kind of sandbox, and back. Goals: a
call within 1.2 times of that at 20 and 80 ms, and ten independent calls within 1.5 round trips.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from e2b_code_interpreter import AsyncSandbox

from codeact_tools import Session
from codeact_tools.sandbox.e2b import E2BSandbox
from codeact_tools.testing.e2b_server import E2BServer

ROUND_TRIPS = (0.0, 0.02, 0.08)


async def same(number: int) -> int:
    """Return the number."""
    return number


async def echo(server: E2BServer, count: int, *, stream: bool) -> float:
    """Median milliseconds of a line to ``cat`` and back, by `send_stdin` or by an input stream."""
    sandbox = await AsyncSandbox.create(timeout=300, **server.options)
    arrived = asyncio.Event()
    command = await sandbox.commands.run(
        "cat", background=True, stdin=True, timeout=0, retain_output=False, on_stdout=lambda _: arrived.set()
    )
    handle = sandbox.commands.stream_input(command.pid, timeout=0)
    times = []
    for _ in range(count):
        arrived.clear()
        started = time.perf_counter()
        if stream:
            await handle.send("0 0 bGluZQ==\n")
        else:
            await sandbox.commands.send_stdin(command.pid, "0 0 bGluZQ==\n")
        await arrived.wait()
        times.append(time.perf_counter() - started)
    await asyncio.gather(handle.close(), sandbox.kill(), return_exceptions=True)
    await command.disconnect()
    return statistics.median(times) * 1000


async def timed(session: Session, code: str) -> float:
    """Seconds that the action itself measured, as it left them in ``t``."""
    seen = await session.arun(code)
    if seen.result is None:
        raise RuntimeError(seen.text)
    return float(seen.result)


async def measure(server: E2BServer, count: int) -> dict[str, float]:
    """Milliseconds at the server's present distance."""
    found = {
        "send_stdin echo": await echo(server, count, stream=False),
        "stream_input echo": await echo(server, count, stream=True),
    }
    options: dict[str, Any] = {"check": "off", "allow_imports": ["*"]}
    started = time.perf_counter()
    async with Session(tools=[same], sandbox=E2BSandbox(**server.options), **options) as session:
        found["open a session"] = (time.perf_counter() - started) * 1000
        await session.arun("import asyncio, statistics, time\nclock = time.perf_counter\nawait same(0)")
        one = f"times = []\nfor n in range({count}):\n    s = clock(); await same(n); times.append(clock() - s)\n"
        found["tool call"] = await timed(session, one + "statistics.median(times)") * 1000
        ten = "times = []\nfor _ in range(10):\n    s = clock(); await asyncio.gather(*map(same, range(10)))"
        found["ten calls at once"] = await timed(session, f"{ten}; times.append(clock() - s)\nmin(times)") * 1000
        turns = []
        for _ in range(10):
            started = time.perf_counter()
            await session.arun("1 + 1")
            turns.append(time.perf_counter() - started)
        found["action 1 + 1"] = statistics.median(turns) * 1000
    return found


async def sessions(count: int, at_once: int = 8) -> None:
    """Run ``count`` sessions with a few calls each, and say what they leave behind."""
    gate, times = asyncio.Semaphore(at_once), []
    with E2BServer() as server:

        async def one(number: int) -> None:
            async with gate:
                started = time.perf_counter()
                sandbox = E2BSandbox(**server.options)
                async with Session(tools=[same], sandbox=sandbox, check="off") as session:
                    if number % 10 == 0:
                        server.drop_streams()
                    seen = await session.arun(f"sum([await same(n) for n in range({number}, {number} + 3)])")
                    if seen.result != str(3 * number + 3):
                        raise RuntimeError(seen.text)
                times.append(time.perf_counter() - started)

        await one(0)
        files, started = open_files(), time.perf_counter()
        await asyncio.gather(*map(one, range(1, count + 1)))
        seconds = time.perf_counter() - started
        print(f"{count} sessions, {at_once} at once: {seconds:.1f} s, {statistics.median(times):.2f} s each (median)")
        print(f"left: {len(server.sandboxes)} sandboxes, {open_files() - files:+d} descriptors")


def open_files() -> int:
    """This process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def main(count: int) -> None:
    """Measure and print."""
    with E2BServer() as server:
        for round_trip in ROUND_TRIPS:
            server.faults.round_trip = round_trip
            found = await measure(server, count)
            print(f"round trip {round_trip * 1000:.0f} ms")
            for name, value in found.items():
                print(f"    {name:<20} {value:8.2f} ms")
            print(f"    call / send_stdin echo   {found['tool call'] / found['send_stdin echo']:.2f}")
            if round_trip:
                print(f"    ten calls / round trip   {found['ten calls at once'] / round_trip / 1000:.2f}")
    print("Calls go by stream_input; distance is injected, one machine plays both sides.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["sessions"]:
        asyncio.run(sessions(int(sys.argv[2]) if len(sys.argv) > 2 else 500))
    else:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
