"""Whole runs against an endpoint that fails: every fault ends in the right answer, or in a named error."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from codeact_tools import CodeActAgent, tool
from codeact_tools.errors import ModelError, ModelReplyError, ModelUnavailable
from codeact_tools.events import Event, RunFailed, RunFinished
from codeact_tools.models.endpoint import EndpointModel
from tests.faulty_endpoint import Behaviour, Exchange, FaultyEndpoint, chunk, faulty_endpoint

SCRIPT = ("I add.\n<execute>\nprint(add(2, 3))\n</execute>", "It is 5.")


@pytest.fixture
def server() -> Iterator[FaultyEndpoint]:
    """A server on the loopback interface."""
    with faulty_endpoint() as endpoint:
        yield endpoint


class Ledger:
    """A tool with an effect that can be counted."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    @tool
    def add(self, x: int, y: int) -> int:
        """Add two numbers.

        Args:
            x: The first.
            y: The second.
        """
        self.calls.append((x, y))
        return x + y


def say(exchange: Exchange) -> None:
    """Say what the script has next: the conversation tells how far it is."""
    exchange.reply(SCRIPT[sum(message["role"] == "assistant" for message in exchange.body["messages"])])


def answer(status: int, body: object, **options: str) -> Behaviour:
    """A whole response."""
    return lambda exchange: exchange.answer(status, body, **options)


def stream(*events: object) -> Behaviour:
    """The beginning of a reply, and then the connection is closed."""

    def behaviour(exchange: Exchange) -> None:
        exchange.start()
        for event in events:
            exchange.send(event)

    return behaviour


def slowly(exchange: Exchange) -> None:
    """Answer right, but let the client wait for the first byte."""
    time.sleep(0.4)
    say(exchange)


def hang(_exchange: Exchange) -> None:
    """Answer nothing for longer than the client waits."""
    time.sleep(6)


def stall(exchange: Exchange) -> None:
    """Begin a reply, and never go on."""
    exchange.start()
    exchange.send(chunk("I ad"))
    time.sleep(6)


LIMIT = {"error": {"message": "slow down"}}
FAULTS: dict[str, tuple[Behaviour, type[ModelError] | None]] = {
    "429 with Retry-After": (answer(429, LIMIT, retry_after="0.1"), None),
    "429 without Retry-After": (answer(429, LIMIT), None),
    "500": (answer(500, {"error": {"message": "boom"}}), None),
    "502 as a page of a proxy": (answer(502, "<html>Bad gateway</html>", kind="text/html"), None),
    "503 while the model loads": (answer(503, {"error": {"message": "Loading model"}}), None),
    "slow first byte": (slowly, None),
    "cut before the first word": (stream(), None),
    "cut after its first word": (stream(chunk("I ad")), ModelReplyError),
    "cut inside of the action": (stream(chunk("<execute>\nprint(add(2,")), ModelReplyError),
    "invalid JSON": (stream("{nonsense"), None),
    "invalid JSON in the middle": (stream(chunk("I ad"), "{nonsense"), ModelReplyError),
    "JSON that is no chunk": (stream([1, 2]), None),
    "error event": (stream({"error": {"message": "CUDA error"}}), None),
    "empty reply": (stream(chunk(finish="stop"), "[DONE]"), ModelReplyError),
    "wrong content type": (answer(200, "<html>Welcome</html>", kind="text/html"), ModelUnavailable),
    "no stream": (answer(200, {"choices": [{"message": {"content": "Hi"}}]}), None),
    "hang": (hang, None),
    "hang in the middle": (stall, ModelUnavailable),
}
"""Each fault, and the error that it is where it cannot be repaired by asking again; None: it can."""


@pytest.mark.parametrize("turn", [0, 1], ids=["first reply", "second reply"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes(server: FaultyEndpoint, fault: str, turn: int) -> None:
    """A fault that happens once is waited out where that is safe; else the run ends with its name."""
    behaviour, error = FAULTS[fault]
    ledger = Ledger()

    def once(exchange: Exchange) -> None:
        (behaviour if len(server.requests) == turn + 1 else say)(exchange)

    server.behaviour = once
    model = EndpointModel(server.url, "tiny", retries=1, read_timeout=3.0 if behaviour in (hang, stall) else 60.0)
    agent = CodeActAgent(tools=[ledger.add], model=model, sandbox="local")
    events: list[Event] = []
    if error is None:
        assert agent.run("What is 2 + 3?", on_event=events.append).answer == "It is 5."
        assert isinstance(events[-1], RunFinished)
    else:
        with pytest.raises(error):
            agent.run("What is 2 + 3?", on_event=events.append)
        assert isinstance(events[-1], RunFailed)
        assert events[-1].error == error.__name__
    assert len(ledger.calls) == (1 if error is None else turn)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "slow first byte"])
def test_a_fault_that_stays(server: FaultyEndpoint, fault: str) -> None:
    """A server that always fails ends the run with a named error that says what to do, and nothing has run."""
    server.behaviour = FAULTS[fault][0]
    ledger = Ledger()
    model = EndpointModel(server.url, "tiny", retries=0, read_timeout=0.5)
    events: list[Event] = []
    with pytest.raises((ModelUnavailable, ModelReplyError)) as failure:
        CodeActAgent(tools=[ledger.add], model=model, sandbox="local").run("2 + 3?", on_event=events.append)
    assert len(str(failure.value)) > 30
    assert isinstance(events[-1], RunFailed)
    assert ledger.calls == []
