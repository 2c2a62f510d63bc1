"""Guests that are forked ahead, and warm processes that tenants do not share."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from codeact_tools.errors import ConfigurationError
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.bridge import Bridge
from codeact_tools.sandbox.jail import pool
from codeact_tools.sandbox.jail.kernel import pid_behind
from codeact_tools.sandbox.local import LocalGuest, LocalSandbox
from codeact_tools.sandbox.spares import Spares
from codeact_tools.testing.contract import Nobody
from tests.test_local_sandbox import alive, descendants, open_files, until_gone

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the local sandbox needs Linux"),
    pytest.mark.skipif(
        sys.platform == "linux" and not any(report.works for report in LocalSandbox.probe()),
        reason="no mode of the local sandbox works here",
    ),
]
REQUEST: Final = SandboxRequest(limits=Limits(memory_mb=512))


def number(guest: LocalGuest) -> int:
    """The guest's process."""
    return pid_behind(guest._pidfd)


def parent(process: int) -> int:
    """The process that it was forked from: the zygote."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def ready(sandbox: LocalSandbox) -> list[int]:
    """The processes of the guests that wait."""
    assert sandbox._spares is not None
    return [number(guest) for guest in sandbox._spares._ready]


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def opened(sandbox: LocalSandbox, request: SandboxRequest = REQUEST) -> AsyncIterator[tuple[LocalGuest, Bridge]]:
    """A guest with a bridge to it."""
    guest = await sandbox.open(request)
    bridge = Bridge(guest, request.limits)
    try:
        await bridge.start({"tools": [], "types": []}, allow_imports=["*"])
        yield guest, bridge
    finally:
        await bridge.close()


async def test_an_opening_takes_a_spare_and_another_one_is_made() -> None:
    """After the first opening so many guests wait; the next one takes one of them, and they are as many again."""
    sandbox = LocalSandbox(spares=2)
    async with opened(sandbox):
        await until(lambda: len(ready(sandbox)) == 2)
        before = ready(sandbox)
        async with opened(sandbox) as (guest, bridge):
            assert number(guest) in before
            assert (await bridge.execute("1 + 1", handler=Nobody())).result == "2"
            await until(lambda: len(ready(sandbox)) == 2)


async def test_spares_are_strangers_to_each_other() -> None:
    """Sessions in spares share no random numbers and no variables."""
    sandbox = LocalSandbox(spares=2)
    async with opened(sandbox):
        await until(lambda: len(ready(sandbox)) == 2)
    async with opened(sandbox) as (_, one), opened(sandbox) as (_, two):
        draw = "import random\nmine = random.random()\nmine"
        first, second = await one.execute(draw, handler=Nobody()), await two.execute(draw, handler=Nobody())
        assert first.result != second.result


async def test_spares_use_no_processor_time() -> None:
    """A guest that waits for its session waits in the kernel."""
    sandbox = LocalSandbox(spares=1)
    async with opened(sandbox):
        await until(lambda: ready(sandbox))
        assert sandbox._spares is not None
        spare = sandbox._spares._ready[0]
        used: list[float | None] = [None, spare.cpu_seconds()]
        while used[-1] != used[-2] and len(used) < 50:  # it is ready some steps before it waits
            await asyncio.sleep(0.2)
            used.append(spare.cpu_seconds())
        assert used[-1] == used[-2]


async def test_another_request_gets_no_spare_of_this_one() -> None:
    """Limits are part of a guest's making: one with others is forked, and the spares are replaced."""
    sandbox = LocalSandbox(spares=1)
    async with opened(sandbox):
        await until(lambda: ready(sandbox))
        old = set(ready(sandbox))
    async with opened(sandbox, SandboxRequest(limits=Limits(memory_mb=256))) as (guest, bridge):
        assert number(guest) not in old
        seen = await bridge.execute(
            "import resource\nresource.getrlimit(resource.RLIMIT_AS)[0] >> 20", handler=Nobody()
        )
        assert seen.result == "256"
        assert until_gone(old, 30) == set()


async def test_a_spare_that_has_died_is_not_handed_out() -> None:
    """It is passed over, and the session opens in another guest."""
    sandbox = LocalSandbox(spares=1)
    async with opened(sandbox):
        await until(lambda: ready(sandbox))
        (victim,) = ready(sandbox)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: not alive(victim))
        async with opened(sandbox) as (guest, bridge):
            assert number(guest) != victim
            assert (await bridge.execute("2", handler=Nobody())).result == "2"


async def test_spares_go_with_their_sandbox() -> None:
    """Nothing is left of a sandbox that nobody holds: no process, no descriptor."""

    async def use() -> set[int]:
        sandbox = LocalSandbox(spares=2)
        async with opened(sandbox):
            await until(lambda: len(ready(sandbox)) == 2)
        await until(lambda: sandbox._spares is not None and not sandbox._spares._filling)
        return set(ready(sandbox))

    await use()
    gc.collect()
    before = open_files()
    left = await use()
    gc.collect()
    assert until_gone(left, 30) == set()
    await until(lambda: open_files() <= before)


async def test_a_forked_host_leaves_the_spares_alone() -> None:
    """The copy of the host makes its own, and its end ends none of the first one's."""
    sandbox = LocalSandbox(spares=1)
    async with opened(sandbox):
        await until(lambda: ready(sandbox))
        child = os.fork()
        if child == 0:
            gc.collect()
            assert sandbox._spares is not None
            os._exit(len(sandbox._spares._ready))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0  # noqa: ASYNC222 - a moment
        async with opened(sandbox) as (_, bridge):
            assert (await bridge.execute("1", handler=Nobody())).result == "1"


def test_what_cannot_be_made_is_left_to_the_next_opening() -> None:
    """A refusal in the background makes no noise and no spare."""
    tried: list[str] = []

    def refuse(wanted: str) -> LocalGuest:
        tried.append(wanted)
        raise ConfigurationError("no")

    spares = Spares(2, refuse)
    assert spares.take("a") is None
    deadline = time.monotonic() + 60
    while spares._filling and time.monotonic() < deadline:
        time.sleep(0.01)
    assert tried == ["a"]
    assert spares.take("a") is None


def test_the_number_of_spares_is_bounded() -> None:
    """Each is a process."""
    with pytest.raises(ValueError, match="from 0 to 64"):
        LocalSandbox(spares=65)


async def test_tenants_share_no_zygote() -> None:
    """Guests of one tenant come from one warm process, those of another from another one."""
    one, two = LocalSandbox(tenant="one"), LocalSandbox(tenant="two")
    async with opened(one) as (first, _), opened(LocalSandbox(tenant="one")) as (second, _), opened(two) as (third, _):
        zygotes = [parent(number(guest)) for guest in (first, second, third)]
        assert zygotes[0] == zygotes[1] != zygotes[2]


async def test_zygotes_without_guests_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a number of them the one that was used longest ago ends; one that has guests never does."""
    monkeypatch.setattr(pool, "POOL", own := pool.Pool())
    monkeypatch.setattr(pool, "MOST", 2)
    try:
        async with opened(LocalSandbox(tenant="busy")) as (guest, bridge):
            before = descendants(os.getpid())
            for tenant in ("a", "b", "c"):
                async with opened(LocalSandbox(tenant=tenant)):
                    pass
            assert [tenant for _, tenant in own._slots] == ["busy", "c"]
            assert alive(number(guest))
            assert (await bridge.execute("1", handler=Nobody())).result == "1"
            zygotes = descendants(os.getpid()) - before
            assert len(zygotes) <= 2, "the first process of the zygote and the one that serves"
    finally:
        own.close()
