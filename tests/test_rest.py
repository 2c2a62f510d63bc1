"""Between two actions a guest rests: what an action left running does not run on."""

from __future__ import annotations

import asyncio
import sys

import pytest

from codeact_tools.errors import SandboxUnavailable
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.bridge import REST_SECONDS, Bridge
from codeact_tools.sandbox.local import LocalSandbox, Mode
from codeact_tools.signatures import Catalog
from codeact_tools.wire import Codec
from tests.guests import Answers, Guest

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
        before = int((await guest("count")).result or "")
        await asyncio.sleep(REST_SECONDS + 0.5)
        after = int((await guest("count")).result or "")
        assert after - before < 200  # it would have counted to some 500
        later = int((await guest("time.sleep(0.1)\ncount")).result or "")
        assert later > after + 10
        await asyncio.sleep(REST_SECONDS * 2)
        assert await bridge.files() == []  # other requests wake it as well
        await asyncio.sleep(REST_SECONDS * 2)
    finally:
        await bridge.close()  # also of one that rests
