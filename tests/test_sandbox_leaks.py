"""Many sessions: nothing is left of those that ended, and hundreds live side by side."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_tools import Session
from codeact_tools.sandbox.local import LocalSandbox, Mode
from tests.guests import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the local sandbox needs Linux")


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def descendants(number: int | str = "self") -> Iterator[str]:
    """The processes that this one, and those below it, have started."""
    for path in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                yield child
                yield from descendants(child)


def held() -> tuple[int, int]:
    """Descriptors, and processes below this one."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir())), len(list(descendants()))


def session(mode: Mode = "jail") -> Session:
    """A session in the mode; the test is skipped where this machine refuses it."""
    report = next(each for each in REPORTS if each.mode == mode)
    if not report.works:
        pytest.skip(report.reason)
    return Session(tools=[add], sandbox=LocalSandbox(mode), check="off", allow_imports=["os"], limits={"seconds": 60})


REPORTS = LocalSandbox.probe()
ENDS = ["add(1, 2)", "1 / 0", "import os\nos._exit(1)", "open('x', 'w').write('y')"]
"""How the actions of a session end: well, with an error, with the process, with a file."""


async def use(mode: Mode, number: int) -> None:
    """Open a session, run an action, close the session."""
    async with session(mode) as opened:
        await opened.arun(ENDS[number % len(ENDS)])


async def leaks(mode: Mode, number: int) -> None:
    """Use so many sessions, ten at a time; all that they held is given back."""
    await asyncio.gather(*(use(mode, each) for each in range(10)))
    before, threads = held(), threading.active_count()
    for start in range(0, number, 10):
        await asyncio.gather(*(use(mode, start + each) for each in range(10)))
    with contextlib.suppress(AssertionError):  # what is too many is said below
        await until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))
    now = held()
    assert now[0] <= before[0], f"descriptors: {before[0]} before, {now[0]} after"
    assert now[1] <= before[1], f"processes: {before[1]} before, {now[1]} after"
    assert threading.active_count() <= threads + 10


@pytest.mark.parametrize("mode", ["jail", "jail-lite"])
async def test_a_hundred_sessions_leave_nothing(mode: Mode) -> None:
    """However their actions end, sessions give back every descriptor and process."""
    await leaks(mode, 100)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_two_thousand_sessions_leave_nothing() -> None:
    """The same over two thousand."""
    await leaks("jail", 2000)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_two_hundred_live_sessions() -> None:
    """Two hundred sessions live at once, and each still has its own variables when all are there."""

    async def start(number: int) -> Session:
        opened = session()
        await opened.arun(f"mine = {number}")
        return opened

    before = held()
    sessions = await asyncio.gather(*map(start, range(200)))
    answers = await asyncio.gather(*(opened.arun("add(mine, 1)") for opened in sessions))
    await asyncio.gather(*(opened.aclose() for opened in sessions))
    assert [answer.result for answer in answers] == [str(number + 1) for number in range(200)]
    await until(lambda: held()[1] <= before[1] + 2)  # no guest is left over
