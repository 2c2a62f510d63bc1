"""What an action can make its host keep in memory is bounded."""

from __future__ import annotations

import pytest

from codeact_tools.errors import LimitExceeded, ProtocolViolation
from tests.guests import entry, running

SILENT = """
import os
for number in range(1, 200):
    body = b'{"op":"call","id":%d,"tool":"large","args":[],"kwargs":{}}' % number
    os.write(0, len(body).to_bytes(4, "big") + body)
while True:
    pass
"""


async def test_the_arguments_of_one_action_are_bounded_together() -> None:
    """Many large arguments end the action by a named limit, and its variables are kept."""
    async with running([entry("keep", "text: str")], {"keep": len}, traffic_mb=4) as guest:
        assert (await guest("keep('x' * 3_000_000)")).result == "3000000"
        assert (await guest("keep('x' * 3_000_000)")).result == "3000000"  # each action has the whole of it
        with pytest.raises(LimitExceeded, match="more than 4 MiB of arguments and output") as caught:
            await guest("n = 0\nwhile True:\n    keep('x' * 1_000_000)\n    n += 1")
        assert (caught.value.limit, caught.value.state_lost) == ("traffic_mb", False)
        assert (await guest("n")).result == "4"


async def test_a_guest_that_does_not_read_its_answers_is_ended() -> None:
    """Answers do not pile up for a guest that calls and never listens."""
    async with running([entry("large")], {"large": lambda: "x" * 4_000_000}, allow_imports=["os"]) as guest:
        with pytest.raises(ProtocolViolation, match="does not read the answers"):
            await guest(SILENT)
