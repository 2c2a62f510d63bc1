"""Synchronous tools run in threads that are used again, that nothing waits for, and that never hold up the loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from codeact_tools import Session, _workers
from codeact_tools._workers import run_in_worker
from codeact_tools.errors import SandboxCrashed
from codeact_tools.events import ActionFinished, Event, ToolCalled, ToolReturned
from codeact_tools.sandbox.channel import Channel
from codeact_tools.testing import UnconfinedSandbox
from tests.guests import until

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


def whoami() -> str:
    """Tell the tenant and the kind of thread."""
    return f"{tenant.get()}, {threading.current_thread() is threading.main_thread()}"


def promise(value: int) -> int:
    """Return what has to be awaited."""

    async def later() -> int:
        await asyncio.sleep(0)
        return value

    return later()  # type: ignore[return-value]


def in_worker() -> int:
    """The identity of the thread that runs the work, once it waits for more."""
    found: list[int] = []
    go = threading.Event()

    def work() -> None:
        go.wait(30)
        found.append(threading.get_ident())

    run_in_worker(work)
    others = set(_workers._idle)
    go.set()
    deadline = time.monotonic() + 30
    while not set(_workers._idle) - others:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return found[0]


def test_threads_are_used_again() -> None:
    """Work that comes one after the other runs in one thread; work that blocks does not keep other work waiting."""
    assert in_worker() == in_worker()
    blocked = [threading.Event() for _ in range(50)]
    for event in blocked:
        run_in_worker(lambda event=event: event.wait(60) and None)  # type: ignore[misc]
    in_worker()
    for event in blocked:
        event.set()


def test_the_interpreter_does_not_wait_for_them() -> None:
    """A tool that hangs does not keep the process from its end."""
    code = "import time\nfrom codeact_tools._workers import run_in_worker\nrun_in_worker(lambda: time.sleep(600))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)


def test_a_forked_process_starts_its_own() -> None:
    """Threads do not survive a fork, and the child does not hand work to the parent's."""
    in_worker()
    child = os.fork()
    if not child:
        status = 1
        try:
            in_worker()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def test_tools_see_the_callers_context() -> None:
    """A synchronous tool runs outside of the loop's thread, with the context variables of whoever runs the action."""
    async with Session(tools=[whoami], sandbox=UnconfinedSandbox(), check="off") as session:
        tenant.set("acme")
        assert (await session.arun("whoami()")).result == "'acme, False'"


async def test_a_blocking_tool_does_not_hold_up_the_loop() -> None:
    """While synchronous tools block, the caller's event loop goes on, and so do other calls."""
    met, ticked = threading.Event(), threading.Event()
    barrier = threading.Barrier(8, met.set, timeout=60)

    def meet(number: int) -> bool:
        """Wait for seven others, and for the loop."""
        barrier.wait()
        return ticked.wait(60)

    async def tick() -> None:
        await until(met.is_set)
        for _ in range(5):
            await asyncio.sleep(0.01)
        ticked.set()

    async with Session(tools=[meet], sandbox=UnconfinedSandbox(), check="off", allow_imports=["*"]) as session:
        ticking = asyncio.ensure_future(tick())
        imports = "from concurrent.futures import ThreadPoolExecutor as Pool\n"
        seen = await session.arun(imports + "with Pool(8) as pool: r = list(pool.map(meet, range(8)))\nr")
        ticking.cancel()
    assert seen.result == str([True] * 8)


async def test_a_call_that_is_given_up_is_recorded_as_such() -> None:
    """The late result of a thread that cannot be stopped goes nowhere; the record says that the call was cancelled."""
    go, ended = threading.Event(), threading.Event()

    def block() -> int:
        """Block a thread."""
        go.wait(60)
        ended.set()
        return 1

    options = {"seconds": 3, "grace_seconds": 30}
    async with Session(tools=[block], sandbox=UnconfinedSandbox(), check="off", limits=options) as session:
        seen = await session.arun("kept = 1\nblock()")
        assert seen.error is not None
        assert seen.error.name == "seconds"
        assert [call.error for call in seen.calls] == ["cancelled"]
        go.set()
        assert await asyncio.to_thread(ended.wait, 30)
        await asyncio.sleep(0.1)  # the result is on its way
        assert (await session.arun("kept")).result == "1"


async def test_awaitables_of_plain_functions() -> None:
    """What a plain function returns to be awaited is awaited on the loop."""
    async with Session(tools=[promise], sandbox=UnconfinedSandbox(), check="off") as session:
        seen = await session.arun("promise(7)")
        assert (seen.result, seen.calls[0].result) == ("7", 7)


async def test_events_come_on_the_loops_thread_and_in_order() -> None:
    """A listener hears of a call's start and end, in this order and before the action's end, always on one thread."""
    events: list[tuple[type[Event], bool]] = []

    def listen(event: Event) -> None:
        events.append((type(event), threading.current_thread() is threading.main_thread()))

    async with Session(tools=[whoami], sandbox=UnconfinedSandbox(), check="off", on_event=listen) as session:
        await session.arun("for _ in range(20): whoami()")
    calls = [kind for kind, _ in events if kind in (ToolCalled, ToolReturned)]
    assert calls == [ToolCalled, ToolReturned] * 20
    assert events[-1][0] is ActionFinished
    assert all(main for _, main in events)


async def test_a_channel_that_is_closed() -> None:
    """Closing wakes readers and listeners with the end of the stream; writing fails with a named error."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    heard: list[bytes] = []
    reader = asyncio.ensure_future(channel.receive())
    await asyncio.sleep(0)
    channel.close()
    channel.close()
    assert await reader == b""
    assert await channel.receive() == b""
    assert channel.pending()
    channel.listen(heard.append)
    assert heard == [b""]
    with pytest.raises(SandboxCrashed):
        channel.write(b"x")
    theirs.close()


async def test_a_channel_hands_over_what_arrives() -> None:
    """A listener gets chunks and then the end; after `deafen` it gets nothing."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    heard: list[bytes] = []
    channel.listen(heard.append)
    theirs.send(b"one")
    await until(lambda: heard)
    channel.deafen()
    theirs.send(b"two")
    await asyncio.sleep(0.01)
    assert heard == [b"one"]
    assert channel.pending()
    channel.listen(heard.append)
    theirs.close()
    await until(lambda: len(heard) == 3)
    assert heard == [b"one", b"two", b""]
    channel.close()


async def test_a_channel_sends_more_than_fits() -> None:
    """Sending waits while the other end does not read."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    data = os.urandom(4 << 20)
    sending = asyncio.ensure_future(channel.send(data))
    theirs.setblocking(False)
    received = bytearray()
    while len(received) < len(data):
        received += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
    await sending
    assert received == data
    channel.close()
    theirs.close()


def test_a_listener_hears_of_a_call_while_it_runs() -> None:
    """Events of quick calls are told together, but nobody waits for the end of a slow one to hear that it began."""
    heard = threading.Event()

    def patient(number: int) -> bool:
        """Wait for the listener, but the first time."""
        return number == 0 or heard.wait(30)

    def listen(event: Event) -> None:
        if isinstance(event, ToolCalled) and event.call.arguments["number"]:
            heard.set()

    with Session(tools=[patient], sandbox=UnconfinedSandbox(), check="off", on_event=listen) as session:
        session.run("patient(0)")  # from now on a thread reads
        assert session.run("[patient(0), patient(1)]").result == "[True, True]"


def test_what_quick_calls_tell_comes_before_what_ends_them() -> None:
    """Also where the action fails, is cut off or dies, all of its events come before its end, and in order."""
    events: list[Event] = []
    ends = {"1 / 0": "python", "while True: pass": "limit", "import os; os._exit(1)": "sandbox"}
    with Session(
        tools=[whoami], sandbox=UnconfinedSandbox(), check="off", on_event=events.append, allow_imports=["os"],
        limits={"seconds": 2},
    ) as session:  # fmt: skip
        session.run("whoami()")
        for code, kind in ends.items():
            events.clear()
            seen = session.run(f"for _ in range(3): whoami()\n{code}")
            assert seen.error is not None
            assert seen.error.kind == kind
            assert [type(event) for event in events[1:]] == [*[ToolCalled, ToolReturned] * 3, ActionFinished]
