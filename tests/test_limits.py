"""What a run and a tool may use: each limit has its event and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from codeact_tools import CodeActAgent, RunLimits, tool
from codeact_tools.errors import ConfigurationError, DefinitionError, RunLimitReached
from codeact_tools.events import CallRetried, Event, LimitReached, Usage
from codeact_tools.models.base import Delta, Message, Sampling
from codeact_tools.testing import ScriptedModel


def action(code: str) -> str:
    """A reply with an action."""
    return f"<execute>\n{code}\n</execute>"


class Costly(ScriptedModel):
    """A model behind an endpoint that reports what a reply costs."""

    async def _priced(self, deltas: AsyncIterator[Delta]) -> AsyncIterator[Delta]:
        async for delta in deltas:
            yield replace(delta, usage=delta.usage and delta.usage.model_copy(update={"cost": 0.25}))

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[Delta]:
        """Yield the next reply, and its price."""
        return self._priced(super().stream(messages, sampling))


def run(model: ScriptedModel, tools: Sequence[Any] = (), **options: Any) -> tuple[Any, list[Any]]:
    """Run to the end; return result or error, and the events."""
    events: list[Any] = []
    agent = CodeActAgent(tools, model=model, sandbox="local", check="off", **options)
    try:
        return agent.run("Do it.", on_event=events.append), events
    except RunLimitReached as error:
        return error, events


@pytest.mark.parametrize(
    ("limits", "name"), [({"tokens": 300}, "tokens"), ({"cost": 0.5}, "cost"), ({"seconds": 3}, "seconds")]
)
def test_a_run_ends_where_it_has_used_up_what_it_may(limits: dict[str, Any], name: str) -> None:
    """Tokens and cost are checked before each reply, seconds all the time; event and error say which."""
    sleep = action("import asyncio\nawait asyncio.sleep(0.4)\nn = globals().get('n', 0) + 1\nprint(n)")
    ended, events = run(Costly([sleep], repeat=True), run_limits=limits, max_turns=50)
    assert isinstance(ended, RunLimitReached)
    assert name in str(ended) or "cost" in str(ended)
    (reached,) = [event for event in events if isinstance(event, LimitReached)]
    assert reached.limit == name
    assert events[-1].type == "run_failed"
    assert events[-1].error == "RunLimitReached"


def test_within_its_limits_a_run_is_not_disturbed() -> None:
    """An answer that comes with the last tokens counts."""
    done, events = run(Costly([action("x = 1"), "Done."]), run_limits=RunLimits(tokens=1_000_000, cost=1, seconds=60))
    assert done.answer == "Done."
    assert done.usage.cost == 0.5
    assert not [event for event in events if isinstance(event, LimitReached)]


def test_a_run_without_prices_has_no_cost() -> None:
    """Where the endpoint reports none, the limit does nothing and the usage says None."""
    done, _ = run(ScriptedModel([action("x = 1"), "Done."]), run_limits={"cost": 0.01})
    assert done.usage.cost is None


@pytest.mark.parametrize("limits", [{"tokens": 0}, {"minutes": 1}, {"seconds": "long"}, 5])
def test_wrong_limits_are_named(limits: Any) -> None:
    """A value out of range, or an unknown name, is an error when the agent is made."""
    with pytest.raises(ConfigurationError, match="run_limits="):
        CodeActAgent(model=ScriptedModel([]), run_limits=limits)


def test_usage_adds_up() -> None:
    """Costs add up where there are any."""
    assert (Usage(cost=0.5) + Usage()).cost == 0.5
    assert (Usage() + Usage()).cost is None


def test_a_tool_may_be_called_so_often_only() -> None:
    """Further calls are denied in the action, over all turns of the run; one event says so."""
    made: list[int] = []

    @tool(calls=2)
    def ping(n: int) -> int:
        """Ping."""
        made.append(n)
        return n

    code = "for n in (1, 2):\n    try: print(ping(n))\n    except ToolDenied as e: print(e)"
    done, events = run(ScriptedModel([action("print(ping(0))"), action(code), action("ping(9)"), "Done."]), [ping])
    seen = [event.observation for event in events if event.type == "action_finished"]
    assert seen[1].stdout == "1\nping may be called at most 2 times in a run, and was; go on without it.\n"
    assert seen[2].error is not None
    assert made == [0, 1]
    assert [event.limit for event in events if isinstance(event, LimitReached)] == ["calls of ping"]
    assert done.answer == "Done."


async def test_calls_of_a_tool_with_a_rate_wait_for_their_turn() -> None:
    """Calls that come together start one after the other, as far apart as the rate says."""
    loop = asyncio.get_running_loop()
    begun: list[float] = []
    starts: list[float] = []

    def listen(event: Event) -> None:
        if event.type == "action_started":
            begun.append(loop.time())

    @tool(rate=10)
    async def ping(n: int) -> int:
        """Ping."""
        starts.append(loop.time())
        return n

    code = "import asyncio\nprint(await asyncio.gather(*(ping(n) for n in range(4))))"
    script = [action("'the sandbox is open'"), action(code), "Done."]
    agent = CodeActAgent([ping], model=ScriptedModel(script), sandbox="local", check="off")
    done = await agent.arun("Ping.", on_event=listen)
    seen = [event.observation.stdout for event in done.events if event.type == "action_finished"]
    assert seen[1] == "[0, 1, 2, 3]\n"
    assert len(starts) == 4
    assert all(start - begun[1] >= turn / 10 - 0.001 for turn, start in enumerate(sorted(starts)))


def test_transient_errors_are_tried_again_and_others_are_not() -> None:
    """After a declared transient error the call is repeated, with growing pauses and events; any other one counts."""
    attempts: list[str] = []

    @tool(retries=3, transient=ConnectionError, backoff=0.01)
    def fetch(kind: str) -> str:
        """Fetch."""
        attempts.append(kind)
        if kind == "flaky" and attempts.count("flaky") < 3:
            raise ConnectionResetError("reset")
        if kind == "broken":
            raise ValueError("broken")
        return "ok"

    code = "print(fetch('flaky'))\ntry:\n    fetch('broken')\nexcept ToolFailed as e:\n    print(e)"
    _, events = run(ScriptedModel([action(code), "Done."]), [fetch])
    seen = next(event.observation for event in events if event.type == "action_finished")
    assert seen.stdout == "ok\nfetch failed: ValueError: broken\n"
    assert attempts == ["flaky"] * 3 + ["broken"]
    retried = [event for event in events if isinstance(event, CallRetried)]
    assert [(event.attempt, "ConnectionResetError" in event.error) for event in retried] == [(1, True), (2, True)]
    assert retried[0].seconds < 0.02 < retried[1].seconds * 2.5


@pytest.mark.parametrize("wrong", [{"calls": 0}, {"rate": 0}, {"backoff": -1}])
def test_wrong_options_of_tools_are_named(wrong: dict[str, Any]) -> None:
    """Options out of range are errors of the definition."""
    (name,) = wrong
    with pytest.raises(DefinitionError, match=f"{name}="):
        tool(**wrong)(lambda: None)
