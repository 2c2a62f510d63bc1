"""Between two actions a guest rests: what an action left running does not run on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from codeact_tools.errors import SandboxUnavailable
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.bridge import Bridge
from codeact_tools.sandbox.local import LocalGuest, LocalSandbox, Mode
from codeact_tools.signatures import Catalog
from codeact_tools.wire import Codec
from tests.guests import Answers, Guest, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the local sandbox needs Linux")
COUNTING = """
import threading, time
count = 0
def run():
    global count
    while True:
        count += 1
        time.sleep(0.001)
threading.Thread(target=run, daemon=True).start()
"""


def threads(guest: LocalGuest) -> list[str]:
    """What the kernel says of each thread of the guest."""
    return [path.read_text() for path in Path(f"/proc/{guest._pid}/task").glob("*/status")]


def steps(guest: LocalGuest) -> int:
    """How often its threads went to sleep, which the one that counts does at each count."""
    return sum(int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in threads(guest))


async def until_it_rests(guest: LocalGuest) -> None:
    """Wait until all of its threads are stopped."""
    await until(lambda: all("\nState:\tT" in text for text in threads(guest)))


@pytest.mark.parametrize("mode", ["jail", "jail-lite"])
async def test_threads_of_an_action_stand_still_between_actions(mode: Mode) -> None:
    """A thread that is left behind stops a moment after its action, and goes on with the next one."""
    try:
        process = await LocalSandbox(mode).open(SandboxRequest(limits=Limits()))
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    guest = Guest(bridge := Bridge(process, Limits()), Answers({}, Codec(Catalog())))
    try:
        await bridge.start({"tools": [], "types": []}, allow_imports=["*"])
        await guest(COUNTING)
        for _ in range(3):
            await until_it_rests(process)
            before = steps(process)
            await asyncio.sleep(0.5)
            assert steps(process) == before
            assert (await guest("n = count\nwhile count < n + 10: time.sleep(0.001)")).error is None
        await until_it_rests(process)
        assert await bridge.files() == []  # other requests wake it as well
        await until_it_rests(process)
    finally:
        await bridge.close()  # also of one that rests
