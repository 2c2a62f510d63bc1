"""Fuzzing the host's side of the bridge: whatever arrives, there is a named end, no call and nothing left over.

``FUZZ_FRAMES=5000000 pytest tests/test_bridge_fuzz.py`` goes on until so many frames have been sent; without it a few
seconds are spent. A failure names the seed of its conversation: ``FUZZ_SEED=123`` repeats it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeact_tools import ToolRegistry
from codeact_tools.errors import LimitExceeded, ProtocolViolation, SandboxCrashed
from codeact_tools.gate import Gate
from codeact_tools.hostcalls import HostCalls
from codeact_tools.sandbox.base import Limits
from codeact_tools.sandbox.bridge import Bridge
from codeact_tools.sandbox.channel import Channel
from codeact_tools.wire import Codec, encode_frame

FRAMES: Final = int(os.environ.get("FUZZ_FRAMES", "0"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "0"))
LIMITS: Final = Limits(seconds=5, grace_seconds=0.05, output_kb=16, calls=50, frame_kb=64)
NAMES: Final = (
    "op",
    "id",
    "call",
    "tool",
    "args",
    "kwargs",
    "stream",
    "text",
    "result",
    "error",
    "files",
    "$",
    "v",
    "t",
)
WORDS: Final = [
    "call", "out", "done", "next", "cancel", "ready", "data", "add", "slow", "count", "stdout", "stderr", "int",
    "bytes", "object", "exception", "enum", "handle", "iterator", "datetime", "pattern", "", "\ud800", "é", "\0",
]  # fmt: skip

called: list[tuple[int, int]] = []
"""What the tool was called with."""


def add(a: int, b: int = 1) -> int:
    """Add."""
    called.append((a, b))
    return a + b


async def slow(a: int) -> int:
    """Take a moment."""
    await asyncio.sleep(0.001)
    return a


async def count(stop: int) -> Any:
    """Count."""
    return stop


REGISTRY: Final = ToolRegistry([add, slow, count])


class Wire:
    """A guest at the other end of a real socket, which says what it was told to say."""

    description = "fuzz"

    def __init__(self, *, direct: bool) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self._channel = Channel(ours)
        if direct:
            self.channel = self._channel
        self.interrupts = 0
        self.killed = False

    def say(self, data: bytes) -> None:
        """Have the bytes arrive."""
        self.theirs.send(data)

    async def send(self, data: bytes) -> None:
        """Take what the host says."""
        await self._channel.send(data)

    async def receive(self) -> bytes:
        """What was said."""
        return await self._channel.receive()

    def pending(self) -> bool:
        """Whether something was."""
        return self._channel.pending()

    async def interrupt(self) -> None:
        """Count it, and hang up."""
        self.interrupts += 1
        self.theirs.close()

    async def freeze(self) -> None:
        """Nothing runs."""

    async def thaw(self) -> None:
        """Nothing runs."""

    async def kill(self) -> None:
        """Hang up."""
        self.killed = True
        self._channel.close()
        self.theirs.close()


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON, often something that looks like a value on the wire."""
    match rng.randrange(12 if depth < 3 else 7):
        case 0:
            return rng.choice((None, True, False))
        case 1 | 2:
            return rng.choice((0, 1, -1, 7, 2**53, 2**70, -(2**63), 1e308, 0.5))
        case 3 | 4 | 5:
            return rng.choice(WORDS)
        case 6:
            return "x" * rng.choice((1, 100, 20_000))
        case 7 | 8:
            return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
        case 9:
            return {rng.choice(NAMES): value(rng, depth + 1) for _ in range(rng.randrange(5))}
        case _:
            return {"$": rng.choice(WORDS), "v": value(rng, depth + 1)}


def message(rng: random.Random, number: int) -> dict[str, Any]:
    """A message that a guest may send, before anything is done to it."""
    match rng.randrange(8):
        case 0 | 1 | 2:
            tool = rng.choice(("add", "add", "slow", "count", "nobody"))
            args = [rng.randrange(9)] if rng.random() < 0.7 else [value(rng)]
            return {"op": "call", "id": number, "tool": tool, "args": args, "kwargs": {}}
        case 3 | 4:
            return {"op": "out", "stream": rng.choice(("stdout", "stderr")), "text": rng.choice(("", "é", "x" * 50))}
        case 5:
            return {"op": "cancel", "call": rng.randrange(1, number + 1)}
        case 6:
            return {"op": "next", "call": rng.randrange(1, number + 1)}
        case _:
            return {"op": "out", "stream": "stdout", "text": "line\n"}


def conversation(rng: random.Random) -> tuple[list[bytes], int]:
    """What a guest says during one action, mostly correct until it is not; and how many calls of it are well-formed."""
    frames: list[bytes] = []
    calls = 0
    wild = rng.choice((0.0, 0.02, 0.2, 1.0))
    for _ in range(rng.randrange(1, 40)):
        said = message(rng, calls + 1)
        if rng.random() >= wild:
            calls += said["op"] == "call"
            frames.append(encode_frame(said))
            continue
        match rng.randrange(7):
            case 0:
                frames.append(rng.randbytes(rng.randrange(1, 60)))
            case 1:
                said[rng.choice(NAMES)] = value(rng)
                frames.append(encode_frame(said))
            case 2:
                del said[rng.choice(list(said))]
                frames.append(encode_frame(said))
            case 3:
                whole = bytearray(encode_frame(said))
                whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
                frames.append(bytes(whole))
            case 4:
                frames.append(encode_frame(said)[: rng.randrange(1, 30)])
            case 5:
                body = json.dumps(value(rng)).encode()
                frames.append(len(body).to_bytes(4, "big") + body)
            case _:
                deep = b"[" * 20_000
                frames.append(len(deep).to_bytes(4, "big") + deep)
        calls += 1  # at most
    if rng.random() < 0.5:
        frames.append(encode_frame({"op": "done", "id": 1, "result": None, "error": None, "files": []}))
    return frames, calls


async def converse(seed: int) -> int:
    """Have one conversation; return the number of its frames."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    frames, calls = conversation(rng)
    await listen_to(b"".join(frames), rng, most_calls=calls)
    return len(frames)


async def listen_to(said: bytes, rng: random.Random, *, most_calls: int) -> None:
    """Have a guest say this during an action, and look whether all is well."""
    guest = Wire(direct=rng.random() < 0.8)
    bridge = Bridge(guest, LIMITS)
    gate = Gate((), None, confirm_destructive=False, can_pause=False)
    handler = HostCalls(REGISTRY, Codec(REGISTRY.catalog), run_id="", gate=gate)
    guest.say(encode_frame({"op": "ready", "version": 1}))
    called.clear()
    try:
        await _start(bridge)
        handler.begin(1, None)
        action = asyncio.ensure_future(bridge.execute("1", handler=handler))
        await asyncio.sleep(0)
        _say_all(guest, said, rng)
        await _hang_up(guest)
        try:
            outcome = await asyncio.wait_for(action, 10)
            assert outcome.calls <= most_calls
        except ProtocolViolation:
            assert guest.killed
        except (SandboxCrashed, LimitExceeded):
            assert guest.killed or guest.interrupts
        assert len(handler.records.calls) <= most_calls, "more calls were begun than were sent"
        assert all(type(each) is int for pair in called for each in pair), "a tool ran with what was not validated"
        assert len(bridge._frames) <= LIMITS.frame_kb * 1024 + (1 << 18)
    finally:
        await bridge.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks were left over: {left}"


async def _start(bridge: Bridge) -> None:
    """The guest's first message lies there already; the bridge must not mind when it is asked for."""
    bridge.process.pending = lambda: False  # type: ignore[method-assign]
    await bridge.start({}, allow_imports=())


def _say_all(guest: Wire, data: bytes, rng: random.Random) -> None:
    while data:
        size = rng.choice((1, 7, 100, 5000, 1 << 20)) if len(data) < 500 else 1 << 16
        try:
            guest.say(data[:size])
        except OSError:  # the host has hung up, or reads too slowly for a guest that says so much
            return
        data = data[size:]


async def _hang_up(guest: Wire) -> None:
    await asyncio.sleep(0.002)
    if guest.theirs.fileno() >= 0:
        guest.theirs.shutdown(socket.SHUT_WR)


@given(st.integers(0, 2**63))
@settings(max_examples=2500)
def test_conversations_that_go_wrong(seed: int) -> None:
    """A named error or a regular end; no call that was not sent and validated; no task, no bytes and no guest left."""
    asyncio.run(converse(seed))


@pytest.mark.skipif(not (FRAMES or SEED), reason="FUZZ_FRAMES says how many frames to send")
@pytest.mark.timeout(0)
def test_frames_by_the_million() -> None:
    """The same, for as many frames as FUZZ_FRAMES says; neither descriptors nor memory grow."""

    async def run() -> None:
        if SEED:
            await converse(SEED)
            return
        sent, seed, start = 0, random.SystemRandom().getrandbits(48), 0
        while sent < FRAMES:
            seed += 1
            try:
                sent += await converse(seed)
            except BaseException:
                print(f"FUZZ_SEED={seed} repeats this")  # noqa: T201 - for whoever reads the failure
                raise
            if not start and sent > FRAMES // 10:
                start = _resident()
        assert _resident() < start + (64 << 20), "memory grows with the number of frames"

    asyncio.run(run())


def _resident() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
