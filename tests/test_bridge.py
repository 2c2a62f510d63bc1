"""The host's side of the bridge: whatever a guest sends, the host is unharmed and the error has a name."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_tools.errors import LimitExceeded, ProtocolViolation, SandboxCrashed, SandboxError
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.bridge import Bridge, CallRefused
from codeact_tools.signatures import Catalog
from codeact_tools.testing.unconfined import UnconfinedSandbox
from codeact_tools.wire import Codec, FrameBuffer, encode_frame
from tests.guests import Answers, entry, running, until

READY = {"op": "ready", "version": 1}
DONE = {"op": "done", "id": 1, "result": None, "error": None, "files": []}


class FakeGuest:
    """A guest that answers each message of the host with prepared bytes."""

    description = "fake"

    def __init__(self, replies: Sequence[bytes], *, chunk: int = 1 << 16) -> None:
        self._replies = deque(replies)
        self._waiting = bytearray()
        self._chunk = chunk
        self._news = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.killed = False
        self.interrupts = 0
        self.on_interrupt: Callable[[], bytes] = lambda: b""

    async def send(self, data: bytes) -> None:
        """Take a message; the next prepared reply arrives."""
        if self.killed:
            raise SandboxCrashed("gone")
        self.sent.append(json.loads(data[4:]))
        if self._replies:
            self.arrive(self._replies.popleft())

    def arrive(self, data: bytes) -> None:
        """Let bytes arrive."""
        self._waiting += data
        self._news.set()

    async def receive(self) -> bytes:
        """Hand out the bytes in chunks."""
        while not self._waiting and not self.killed:
            self._news.clear()
            await self._news.wait()
        chunk = bytes(self._waiting[: self._chunk])
        del self._waiting[: self._chunk]
        return chunk

    def pending(self) -> bool:
        """Whether bytes wait."""
        return bool(self._waiting)

    async def interrupt(self) -> None:
        """Count it."""
        self.interrupts += 1
        self.arrive(self.on_interrupt())

    async def freeze(self) -> None:
        """Nothing to stop."""

    async def thaw(self) -> None:
        """Nothing to do."""

    async def kill(self) -> None:
        """End."""
        self.killed = True
        self._waiting.clear()
        self._news.set()


def frames(*messages: Any) -> bytes:
    """Messages as a guest sends them."""
    return b"".join(encode_frame(message) for message in messages)


def answers(**functions: Any) -> Answers:
    """A handler of plain functions."""
    return Answers(functions, Codec(Catalog()))


async def converse(reply: bytes, handler: Answers | None = None, **limits: Any) -> tuple[FakeGuest, Bridge, Any]:
    """Run one action in a guest that replies to it with the bytes."""
    guest = FakeGuest([frames(READY), reply])
    bridge = Bridge(guest, Limits(**{"seconds": 2, "grace_seconds": 0.2, **limits}))
    await bridge.start({"tools": [], "types": []}, allow_imports=())
    try:
        return guest, bridge, await bridge.execute("1", handler=handler or answers())
    except SandboxError as error:
        return guest, bridge, error


def call(number: int, tool: str = "f", *args: Any) -> dict[str, Any]:
    """A call as the guest sends it."""
    return {"op": "call", "id": number, "tool": tool, "args": list(args), "kwargs": {}}


FORGED = {
    "a wrong action": {**DONE, "id": 2},
    "an early action": {**DONE, "id": 0},
    "a boolean for a number": {**DONE, "id": True, "op": "ready"},
    "ready twice": READY,
    "an answer that nobody asked for": {"op": "data", "path": "a", "data": "", "eof": True},
    "no operation": {},
    "an operation that is no text": {"op": ["done"]},
    "a call out of turn": call(2),
    "a call of the past": call(0),
    "a negative call": call(-1),
    "a call without arguments": {"op": "call", "id": 1, "tool": "f"},
    "a call whose tool is no text": {**call(1), "tool": 7},
    "a call whose arguments are no list": {**call(1), "args": {}},
    "an item of no stream": {"op": "next", "call": 7},
    "a cancellation of no call": {"op": "cancel", "call": 1},
    "a cancellation of a text": {"op": "cancel", "call": "1"},
    "output on another stream": {"op": "out", "stream": "log", "text": ""},
    "output that is no text": {"op": "out", "stream": "stdout", "text": 1},
    "a result that is no text": {**DONE, "result": 1},
    "an error that is a text": {**DONE, "error": "bad"},
    "an incomplete error": {**DONE, "error": {"type": "X"}},
    "files outside the folder": {**DONE, "files": [["../x", 1]]},
    "absolute files": {**DONE, "files": [["/etc/passwd", 1]]},
    "files of negative size": {**DONE, "files": [["x", -1]]},
    "files without end": {**DONE, "files": [["x", 1]] * 6000},
    "dropped output that is no number": {**DONE, "dropped": "all"},
    "negative dropped output": {**DONE, "dropped": -5},
}


@pytest.mark.parametrize("message", FORGED.values(), ids=FORGED.keys())
async def test_forged_messages_end_the_guest(message: dict[str, Any]) -> None:
    """Whatever is not part of the conversation kills the guest, and no call is made."""
    handler = answers(f=lambda: 1)
    guest, bridge, error = await converse(frames(message), handler)
    assert isinstance(error, ProtocolViolation), error
    assert guest.killed
    assert not handler.received
    with pytest.raises(SandboxCrashed, match="gone"):
        await bridge.execute("1", handler=handler)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        (9 << 20).to_bytes(4, "big"),
        b"\0\0\0\1x",
        b"\0\0\0\2[]",
        b"\0\0\0\0",
        b"\0\0\0\x03NaN",
        frames({})[:4] + b"\xff\xff",
        (200_000).to_bytes(4, "big") + b"[" * 200_000,
        (5_009).to_bytes(4, "big") + b'{"op":' + b"9" * 5_002 + b"}",
        (13).to_bytes(4, "big") + b'{"op": "\xed\xa0\x80"}'[:13],
    ],
)
async def test_bytes_that_are_no_messages(data: bytes) -> None:
    """Oversized frames are refused before their body is read; broken JSON is a violation."""
    guest, _, error = await converse(data)
    assert isinstance(error, ProtocolViolation), error
    assert guest.killed


async def test_the_end_of_the_stream_is_a_crash() -> None:
    """A guest that ends in the middle of a message has crashed."""
    guest = FakeGuest([frames(READY)])
    bridge = Bridge(guest, Limits())
    await bridge.start({}, allow_imports=())
    asyncio.get_running_loop().call_later(0.05, guest._waiting.extend, b"\0\0")
    asyncio.get_running_loop().call_later(0.1, lambda: asyncio.ensure_future(guest.kill()))
    with pytest.raises(SandboxCrashed, match="ended unexpectedly"):
        await bridge.execute("1", handler=answers())


@pytest.mark.parametrize("extra", [frames(call(1)), frames({**DONE, "id": 2}), b"\0", frames(DONE)])
async def test_messages_between_actions(extra: bytes) -> None:
    """Bytes that arrive when nothing was asked, even a perfect answer to the next question, end the guest."""
    guest, bridge, outcome = await converse(frames(DONE) + extra)
    assert outcome.error is None
    with pytest.raises(ProtocolViolation, match="between two actions"):
        await bridge.execute("2", handler=answers())
    assert guest.killed


async def test_messages_survive_any_splitting() -> None:
    """Chunks may split frames anywhere."""
    guest = FakeGuest([frames(READY), frames({"op": "out", "stream": "stdout", "text": "é" * 50}, DONE)], chunk=1)
    bridge = Bridge(guest, Limits())
    await bridge.start({}, allow_imports=())
    handler = answers()
    assert (await bridge.execute("1", handler=handler)).error is None
    assert handler.stdout == "é" * 50


async def test_lone_surrogates_never_reach_the_application() -> None:
    """Text that cannot be printed arrives with escapes."""
    body = json.dumps(
        {**DONE, "result": "\ud800", "error": {"type": "\ud800", "message": "\ud800", "traceback": "", "call": None}}
    )
    _, _, outcome = await converse(len(body).to_bytes(4, "big") + body.encode())
    assert outcome.result == "\\ud800"
    assert outcome.error.message == "\\ud800"


async def test_long_texts_are_cut_on_the_host() -> None:
    """A guest that does not cut its result is cut."""
    _, _, outcome = await converse(frames({**DONE, "result": "x" * 1_000_000}))
    assert len(outcome.result) < 65_000
    assert "936,000 characters cut" in outcome.result


async def test_floods_end() -> None:
    """Output, calls and cancellations without end stop the guest, and the host keeps little of them."""
    handler = answers(f=lambda: 1)
    flood = frames({"op": "out", "stream": "stdout", "text": "x" * 60_000}) * 40
    guest, _, error = await converse(flood, handler, output_kb=16)
    assert isinstance(error, LimitExceeded)
    assert error.limit == "output_kb"
    assert error.state_lost
    assert guest.killed
    assert len(handler.stdout) <= 80_000
    empty = frames({"op": "out", "stream": "stdout", "text": ""}) * 100_000
    _, _, error = await converse(empty, handler, output_kb=16)
    assert isinstance(error, LimitExceeded)
    calls = b"".join(frames(call(number)) for number in range(1, 5000))
    guest, _, error = await converse(calls, handler, calls=10)
    assert isinstance(error, ProtocolViolation)
    assert len(handler.received) <= 10
    strays = frames(call(1), *[{"op": "cancel", "call": 1}] * 20_000)
    _, _, error = await converse(strays, handler)
    assert isinstance(error, ProtocolViolation)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.text(max_size=8)
                | st.sampled_from(["op", "call", "done", "out", "f"]),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["op", "id", "call", "tool", "args", "kwargs", "text", "stream"]),
                        inner,
                        max_size=5,
                    )
                ),
                max_leaves=8,
            ).map(lambda value: frames(value)),
        ),
        max_size=4,
    )
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_garbage_never_harms(pieces: list[bytes]) -> None:
    """Random bytes and random messages end in a named error, never in another exception, and call nothing."""

    async def attempt() -> None:
        handler = answers()
        guest = FakeGuest([frames(READY), b"".join(pieces)])
        bridge = Bridge(guest, Limits(seconds=0.05, grace_seconds=0.01))
        await bridge.start({}, allow_imports=())
        with pytest.raises((ProtocolViolation, SandboxCrashed, LimitExceeded)):
            await bridge.execute("1", handler=handler)
        assert guest.killed or guest.interrupts

    asyncio.run(attempt())


async def test_deadlines() -> None:
    """A guest that does not get ready, or does not answer, is killed."""
    guest = FakeGuest([frames(READY)])
    bridge = Bridge(guest, Limits(seconds=0.1, grace_seconds=0.1))
    await bridge.start({}, allow_imports=())
    with pytest.raises(SandboxCrashed, match="did not answer within"):
        await bridge.get("a")
    assert guest.killed
    guest = FakeGuest([frames(DONE)])
    with pytest.raises(ProtocolViolation, match="did not get ready"):
        await Bridge(guest, Limits()).start({}, allow_imports=())


async def test_an_action_past_its_time_is_interrupted_then_killed() -> None:
    """After a soft stop the state is there; after a hard one the error says that it is lost."""
    async with running(seconds=2, grace_seconds=4) as guest:
        await guest("kept = 1")
        with pytest.raises(LimitExceeded, match=r"ran longer than 2 s") as caught:
            await guest("while True: pass")
        assert (caught.value.limit, caught.value.state_lost) == ("seconds", False)
        assert (await guest("kept")).result == "1"
        with pytest.raises(LimitExceeded, match="lost") as caught:
            await guest("n = 0\nwhile True:\n    try: n += sum(range(1000))\n    except BaseException: n = 0")
        assert caught.value.state_lost
        with pytest.raises(SandboxCrashed, match="gone"):
            await guest("kept")


async def test_too_many_calls() -> None:
    """The call past the limit is not made; the action is interrupted and the state is kept."""
    async with running([entry("f")], {"f": lambda: 1}, calls=5) as guest:
        with pytest.raises(LimitExceeded, match="more than 5 tool calls") as caught:
            await guest("n = 0\nwhile True: n += f()")
        assert (caught.value.limit, caught.value.state_lost) == ("calls", False)
        assert len(guest.answers.received) == 5
        assert (await guest("n")).result == "5"


async def test_cancelling_the_run_keeps_the_guest() -> None:
    """Ctrl-C on the host interrupts the action; the next action finds its names."""
    async with running() as guest:
        action = asyncio.create_task(guest("kept = 1\nprint('begun')\nwhile True: pass"))
        await until(lambda: guest.answers.stdout)
        action.cancel()
        with pytest.raises(asyncio.CancelledError):
            await action
        assert (await guest("kept")).result == "1"


async def test_a_guest_that_ends_itself() -> None:
    """Ending the process is a crash, with calls open or not."""
    async with running(allow_imports=["os"]) as guest:
        with pytest.raises(SandboxCrashed, match="ended unexpectedly"):
            await guest("import os\nos._exit(3)")
        with pytest.raises(SandboxCrashed):
            await guest.bridge.files()


async def test_large_results_and_arguments() -> None:
    """A megabyte crosses both ways; what is larger than a message is refused with a reason, and the session goes on."""
    async with running([entry("f", "x: str")], {"f": lambda x: x * 2}, frame_kb=2048) as guest:
        assert (await guest("len(f('ü' * 500_000))")).result == "1000000"
        outcome = await guest("f('x' * 1_500_000)")
        assert outcome.error is not None
        assert outcome.error.type == "InvalidResult"
        assert "KiB" in outcome.error.message
        assert (await guest("f('a')")).result == "'aa'"
        outcome = await guest("f('x' * 3_000_000)")
        assert outcome.error is not None
        assert outcome.error.type == "InvalidCall"
        assert (await guest("f('a')")).result == "'aa'"


async def test_calls_that_are_open_when_the_action_ends() -> None:
    """They are cancelled on the host."""
    ended: list[str] = []
    under_way = asyncio.Event()

    async def slow() -> None:
        under_way.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    tools = [entry("slow", kind="coroutine"), entry("begun", kind="coroutine")]
    async with running(tools, {"slow": slow, "begun": under_way.wait}) as guest:
        outcome = await guest("import asyncio\ntask = asyncio.create_task(slow())\nawait begun()\n1")
        assert outcome.result == "1"
        assert ended == ["cancelled"]
        outcome = await guest("await task")
        assert outcome.error is not None
        assert "ended before" in outcome.error.message


async def test_a_broken_handler_ends_the_action_with_its_own_error() -> None:
    """An error of the host is not shown to the guest; it surfaces where `execute` was called."""

    class Broken(Exception):
        pass

    async def call(*_: Any) -> Any:
        raise Broken

    async with running([entry("f")]) as guest:
        guest.answers.call = call  # type: ignore[assignment, method-assign]
        with pytest.raises(Broken):
            await guest("f()")


def _descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


async def test_no_process_and_no_descriptor_is_left() -> None:
    """Opening and closing guests leaks nothing."""
    before = _descriptors()
    for _ in range(3):
        async with running() as guest:
            await guest("1")
    assert len(_descriptors() - before) <= 1


async def test_the_unconfined_guest_can_be_frozen() -> None:
    """A frozen guest goes on where it was."""
    process = await UnconfinedSandbox().open(SandboxRequest(limits=Limits()))
    bridge = Bridge(process, Limits())
    await bridge.start({"tools": [], "types": []}, allow_imports=())
    await process.freeze()
    await process.thaw()
    assert (await bridge.execute("1 + 1", handler=answers())).result == "2"
    await bridge.close()
    await bridge.close()


async def test_refusals_carry_fields() -> None:
    """What `CallRefused` holds is what the guest is told."""

    def f() -> None:
        raise CallRefused("ToolTimeout", "slow", None)

    guest, _, outcome = await converse(frames(call(1)), answers(f=f), seconds=2)
    assert isinstance(outcome, LimitExceeded)
    assert guest.sent[2] == {"op": "raise", "call": 1, "type": "ToolTimeout", "message": "slow", "fields": None}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "Infinity", "NaN"])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    """No frame brings an infinite number by itself; those that mean one say so with a tag."""
    body = f'{{"op":"call","id":1,"tool":"add","args":[{number}],"kwargs":{{}}}}'.encode()
    with pytest.raises(ProtocolViolation, match="not JSON"):
        FrameBuffer(1024).feed(len(body).to_bytes(4, "big") + body)
