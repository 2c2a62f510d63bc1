"""Runs that were cut off go on where they were: variables rebuilt, nothing called twice."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import make_dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from codeact_tools import CodeActAgent, ToolContext, tool
from codeact_tools.approvals import Allow, CallRequest, Deny, Done
from codeact_tools.errors import (
    ConfigurationError,
    ModelUnavailable,
    RunBusy,
    RunDiverged,
    RunNotFound,
    RunPaused,
    TurnLimitReached,
)
from codeact_tools.events import Diverged, Event, RunResumed
from codeact_tools.journal import Journal
from codeact_tools.signatures import Opaque
from codeact_tools.testing import ScriptedModel

GONE = ModelUnavailable("the endpoint is gone")


class Shop:
    """Tools whose effects are counted."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.fail_next: BaseException | None = None

    def tools(self) -> list[Callable[..., Any]]:
        """The tools."""
        return [self.order, self.look, self.set_price, self.stream, self.slow]

    @tool
    def order(self, item: str) -> int:
        """Order something.

        Args:
            item: What.
        """
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        self.effects.append(f"order {item}")
        return len(self.effects)

    @tool(read_only=True)
    def look(self, item: str) -> float:
        """Look up a price.

        Args:
            item: Of what.
        """
        self.effects.append(f"look {item}")
        return 9.5

    @tool(idempotent=True)
    def set_price(self, item: str, price: float) -> None:
        """Set a price.

        Args:
            item: Of what.
            price: In euros.
        """
        self.effects.append(f"set {item}")

    @tool(read_only=True)
    def stream(self, most: int) -> Iterator[int]:
        """Count.

        Args:
            most: How far.
        """
        self.effects.append("stream")
        yield from range(most)

    @tool
    async def slow(self, item: str) -> str:
        """Order slowly.

        Args:
            item: What.
        """
        await asyncio.sleep(0.01)
        self.effects.append(f"slow {item}")
        return item


@pytest.fixture
def shop() -> Shop:
    """A fresh shop."""
    return Shop()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A fresh journal."""
    return Journal(tmp_path / "runs.sqlite3")


def action(code: str) -> str:
    """A reply with an action."""
    return f"<execute>\n{code}\n</execute>"


def agent(shop: Shop, journal: Any, *replies: Any, **options: Any) -> CodeActAgent:
    """An agent with a script."""
    return CodeActAgent(
        options.pop("tools", None) or shop.tools(),
        model=ScriptedModel(replies),
        sandbox="local",
        journal=journal,
        **{"allow_imports": ["random", "time", "datetime", "uuid"], **options},
    )


def cut_off(shop: Shop, journal: Journal, *codes: str, **options: Any) -> str:
    """Run actions until the model is gone; return the run's name."""
    with pytest.raises(ModelUnavailable):
        agent(shop, journal, *map(action, codes), GONE, **options).run("Shop.")
    return journal.runs()[0].run_id


def test_variables_come_back_and_nothing_is_called_twice(shop: Shop, journal: Journal) -> None:
    """After the endpoint died, the run goes on in a fresh interpreter with what the tools gave the first time."""
    run = cut_off(
        shop, journal, "a = order('tea')\nb = look('tea')", "c = [x * 2 for x in stream(3)]\nset_price('tea', b)"
    )
    before = list(shop.effects)
    events: list[Event] = []
    done = agent(shop, journal, action("print(a, b, c)"), "Done.").resume(run, on_event=events.append)
    assert done.answer == "Done."
    assert done.run_id == run
    assert shop.effects == before
    (resumed,) = [event for event in events if isinstance(event, RunResumed)]
    assert (resumed.actions, resumed.calls) == (2, 4)
    (seen,) = [event.observation for event in events if event.type == "action_finished"]
    assert seen.stdout == "1 9.5 [0, 2, 4]\n"
    past = journal.past(run)
    assert past.status == "finished"
    assert past.turn == 4


def test_a_resumed_run_can_be_cut_off_and_resumed_again(shop: Shop, journal: Journal) -> None:
    """Any number of times, in the middle of the same turn, too."""
    run = cut_off(shop, journal, "a = order('tea')")
    for _ in range(3):
        with pytest.raises(ModelUnavailable):
            agent(shop, journal, action("b = order(f'more {a}')"), GONE).resume(run)
    assert agent(shop, journal, "Done.").resume(run).answer == "Done."
    assert shop.effects == ["order tea", "order more 1", "order more 1", "order more 1"]


def test_the_model_reads_the_same_history(shop: Shop, journal: Journal) -> None:
    """What the model is shown after resuming is what it would have been shown."""
    run = cut_off(shop, journal, "print(order('tea'))")
    resumed = agent(shop, journal, "Done.")
    resumed.resume(run)
    assert isinstance(resumed.model, ScriptedModel)
    seen = [(message.role, message.content) for message in resumed.model.calls[0].messages]
    assert seen == journal.past(run).messages[:-1]
    assert [role for role, _ in seen] == ["system", "user", "assistant", "user"]


def test_a_finished_run_gives_its_answer_again(shop: Shop, journal: Journal) -> None:
    """Without asking the model, and as the type that was asked for."""

    class Bill(BaseModel):
        total: float

    script = action("final_answer(Bill(total=look('tea')))")
    done = agent(shop, journal, script).run("Bill?", output_type=Bill)
    assert agent(shop, journal).resume(done.run_id, output_type=Bill).answer == Bill(total=9.5)


def test_a_typed_answer_that_was_given_before_the_crash_counts(shop: Shop, journal: Journal) -> None:
    """A run whose answer was given, and that died before it said so, ends with that answer."""
    script = action("final_answer(order('tea'))")
    done = agent(shop, journal, script).run("How many?", output_type=int)
    records = journal.store.read(done.run_id)
    shorter = Journal(journal.store.path.with_name("shorter.sqlite3"))  # type: ignore[attr-defined]
    for record in records[: next(r.seq for r in records if r.kind == "action_finished")]:
        shorter.store.append(done.run_id, record, durable=False)
    assert agent(shop, shorter).resume(done.run_id, output_type=int).answer == 1
    assert shop.effects == ["order tea"]


@pytest.mark.parametrize("kept", range(4, 25))
def test_a_run_resumes_from_every_record(shop: Shop, journal: Journal, kept: int) -> None:
    """Whichever record was the last, the run ends with the answer, and no recorded effect happens again."""
    script = [
        action("a = order('tea')\nb = look('tea')\nprint(a, b)"),
        action("c = [*stream(2)]\nset_price('x', b)"),
        "Done.",
    ]
    done = agent(shop, journal, *script).run("Shop.")
    records = journal.store.read(done.run_id)
    assert len(records) >= 25
    shorter = Journal(journal.store.path.with_name("shorter.sqlite3"))  # type: ignore[attr-defined]
    for record in records[:kept]:
        shorter.store.append(done.run_id, record, durable=False)
    again = Shop()
    past = shorter.past(done.run_id)
    left = script[sum(event.type == "reply_finished" for _, event in past.events) :]
    resuming = agent(again, shorter, *left, approve=lambda call: Done(1) if call.tool == "order" else True)
    assert resuming.resume(done.run_id).answer == "Done."
    finished = {call.record.tool for call in past.calls.values() if call.answer is not None}
    repeated = {effect.split()[0].replace("set", "set_price") for effect in again.effects} & finished
    assert not repeated
    assert "order tea" not in again.effects or "order" not in {c.record.tool for c in past.calls.values()}


def test_errors_of_tools_come_back_as_they_were(shop: Shop, journal: Journal) -> None:
    """A call that failed fails again, with the same error, without being made."""
    shop.fail_next = RuntimeError("no tea")
    code = "try:\n    order('tea')\nexcept Exception as error:\n    seen = f'{type(error).__name__}: {error}'"
    run = cut_off(shop, journal, code, "order('coffee')")
    done = agent(shop, journal, action("print(seen)"), "Done.").resume(run)
    assert [e.observation.stdout for e in done.events if e.type == "action_finished"] == [
        "ToolFailed: order failed: RuntimeError: no tea\n"
    ]
    assert shop.effects == ["order coffee"]


def test_parallel_calls_are_told_apart(shop: Shop, journal: Journal) -> None:
    """Calls that were in flight together get their own results, in whatever order they come again."""
    code = "import asyncio\nfound = await asyncio.gather(*(slow(str(n)) for n in range(6)), slow('0'))"
    run = cut_off(shop, journal, code)
    count = len(shop.effects)
    done = agent(shop, journal, action("print(found)"), "Done.").resume(run)
    (seen,) = [event.observation for event in done.events if event.type == "action_finished"]
    assert seen.stdout == "['0', '1', '2', '3', '4', '5', '0']\n"
    assert len(shop.effects) == count == 7


def test_random_numbers_and_sets_are_the_same_again(shop: Shop, journal: Journal) -> None:
    """Randomness is seeded and sets have their order, so the action goes the same way."""
    code = (
        "import random, uuid\n"
        "print(random.random(), uuid.uuid4(), {'a', 'b', 'c', 'd'})\n"
        "order(f'{random.random()} {uuid.uuid4()}')"
    )
    run = cut_off(shop, journal, code)
    done = agent(shop, journal, "Done.").resume(run)
    assert not [event for event in done.events if isinstance(event, Diverged)]
    assert len(shop.effects) == 1


def test_the_clock_goes_on_from_then(shop: Shop, journal: Journal) -> None:
    """Days later, ``time`` and ``date.today()`` of an action that runs again start at the moment that is on record."""

    @tool
    def today() -> date:
        """Return the day."""
        raise NotImplementedError

    tools = [*shop.tools(), today]
    code = "import time\nbefore, day, after = time.time(), date.today(), time.time()"
    run = cut_off(shop, journal, code, tools=tools)
    long_ago = Journal(journal.store.path.with_name("long_ago.sqlite3"))  # type: ignore[attr-defined]
    for record in journal.store.read(run):
        long_ago.store.append(run, record._replace(at=record.at - 40 * 86_400), durable=False)
    (then,) = (record.at for record in long_ago.store.read(run) if record.kind == "action_started")
    show = "from datetime import date as d\n"
    show += "print(before, after, d.fromtimestamp(before) <= day <= d.fromtimestamp(after))"
    started = time.monotonic()
    done = agent(shop, long_ago, action(show), "Done.", tools=tools).resume(run)
    took = time.monotonic() - started
    (seen,) = [event.observation.stdout for event in done.events if event.type == "action_finished"]
    before, after, same_day = seen.split()
    assert then - 0.001 <= float(before) <= float(after) <= then + took + 0.001
    assert same_day == "True"


def test_two_runs_have_different_random_numbers(shop: Shop, journal: Journal) -> None:
    """The seed is the run's own."""
    for _ in range(2):
        cut_off(shop, journal, "import random, uuid\norder(f'{random.random()}')\norder(str(uuid.uuid4()))")
    assert len(set(shop.effects)) == 4


def test_another_clock_is_named(shop: Shop, journal: Journal) -> None:
    """An action that printed what cannot be repeated is named; the run goes on with what the model has read."""
    run = cut_off(shop, journal, "import datetime\nprint(datetime.datetime.now())")
    done = agent(shop, journal, "Done.").resume(run)
    (found,) = [event for event in done.events if isinstance(event, Diverged)]
    assert found.action == 1
    assert found.what == "output"
    assert found.recorded != found.now
    assert "Action 1 printed" in found.message


def test_an_action_that_takes_another_way_stops_the_run(shop: Shop, journal: Journal) -> None:
    """A call with other arguments than then is not made; the error names both."""
    run = cut_off(shop, journal, "import datetime\norder(str(datetime.datetime.now()))")
    with pytest.raises(RunDiverged, match=r"Action 1 .* calls order .* the record has order \(call 1\)"):
        agent(shop, journal, "Done.").resume(run)
    assert len(shop.effects) == 1


def test_changed_tools_are_named(shop: Shop, journal: Journal) -> None:
    """A tool that the run called and that has another signature now, or is gone, stops it before anything runs."""
    run = cut_off(shop, journal, "order('tea')")

    @tool
    def order(item: str, amount: int = 1) -> int:
        """Order something."""
        return amount

    with pytest.raises(RunDiverged, match="amount: int"):
        agent(shop, journal, "Done.", tools=[order]).resume(run)
    with pytest.raises(RunDiverged, match="order is gone"):
        agent(shop, journal, "Done.", tools=[shop.look]).resume(run)
    assert agent(shop, journal, "Done.").resume(run).answer == "Done."


def test_changed_types_are_named(shop: Shop, journal: Journal) -> None:
    """So are fields of what its tools take and give, however deep; what is only described anew is the same."""

    def stock(*, cents: bool = False, unit: bool = False, doc: str = "A price.", colours: str = "RED BLUE") -> Any:
        colour = Enum("Colour", colours)  # type: ignore[misc]
        price = make_dataclass(
            "Price", [("amount", int if cents else float), *([("unit", str, "EUR")] if unit else [])]
        )
        price.__doc__ = doc
        item = make_dataclass("Item", [("name", str), ("price", price), ("colour", colour)])

        @tool
        def find(name: str) -> Any:
            """Find something."""
            return item(name, price(1), next(iter(colour)))

        find.__annotations__["return"] = item
        return tool(find)

    first = agent(shop, journal, action("x = find('tea')"), GONE, tools=[stock()])
    with pytest.raises(ModelUnavailable):
        first.run("Find tea.")
    for options, change in [
        ({"cents": True}, "the field Price.amount was 'float' and is 'int'"),
        ({"unit": True}, "the field Price.unit was not there and is 'str = \"EUR\"'"),
        ({"colours": "RED GREEN"}, "the members of Colour were RED=1, BLUE=2 and are RED=1, GREEN=2"),
    ]:
        with pytest.raises(RunDiverged, match=re.escape(change)):
            agent(shop, journal, "Done.", tools=[stock(**options)]).resume("last")  # type: ignore[arg-type]
    assert agent(shop, journal, "Done.", tools=[stock(doc="What it costs.")]).resume("last").answer == "Done."


def test_more_turns_are_a_reason_to_resume(shop: Shop, journal: Journal) -> None:
    """A run that used up its turns goes on where more are allowed."""
    with pytest.raises(TurnLimitReached):
        agent(shop, journal, action("a = 1"), action("b = 2"), max_turns=2).run("Count.")
    done = agent(shop, journal, action("print(a + b)"), "3.", max_turns=5).resume("last")
    assert done.answer == "3."


def test_a_conversation_is_resumed_with_its_earlier_tasks(shop: Shop, journal: Journal) -> None:
    """Variables and history of the tasks before the last are there again."""

    async def talk() -> str:
        async with agent(
            shop, journal, action("a = order('tea')"), "Ordered.", action("b = a + 1"), GONE
        ).conversation() as chat:
            await chat.arun("Order tea.")
            with pytest.raises(ModelUnavailable):
                await chat.arun("Add one.")
            return chat.run_id

    run = asyncio.run(talk())
    resumed = agent(shop, journal, action("print(a, b)"), "2.")
    assert resumed.resume(run).answer == "2."
    assert isinstance(resumed.model, ScriptedModel)
    tasks = [message.content for message in resumed.model.calls[0].messages if "tea." in message.content]
    assert tasks
    assert shop.effects == ["order tea"]


def test_a_run_that_is_going_on_cannot_be_resumed(shop: Shop, journal: Journal) -> None:
    """Two processes never do the same thing at once."""
    run = cut_off(shop, journal, "order('tea')")
    with journal.store.claim(run), pytest.raises(RunBusy):
        agent(shop, journal, "Done.").resume(run)
    assert agent(shop, journal, "Done.").resume(run).answer == "Done."


def test_what_cannot_be_resumed_is_said(shop: Shop, journal: Journal) -> None:
    """An unknown run, an agent without a journal."""
    with pytest.raises(RunNotFound, match="no run 'x'"):
        agent(shop, journal).resume("x")
    with pytest.raises(ConfigurationError, match="no journal"):
        agent(shop, False).resume("x")


def test_handles_are_made_anew_where_the_tool_may_be_called_again(journal: Journal) -> None:
    """A value that stayed on the host is fetched again if its tool is read-only; else its handle says what it is."""

    class Table:
        def __init__(self, name: str) -> None:
            self.name = name

    opened: list[str] = []

    @tool(read_only=True)
    def open_table(name: str) -> Opaque[Table]:
        """Open a table."""
        opened.append(name)
        return Table(name)

    @tool
    def create_table(name: str) -> Opaque[Table]:
        """Create a table."""
        return Table(name)

    @tool(read_only=True)
    def name_of(table: Opaque[Table]) -> str:
        """Tell its name."""
        return table.name

    def make(*replies: Any) -> CodeActAgent:
        return CodeActAgent(
            [open_table, create_table, name_of], model=ScriptedModel(replies), sandbox="local", journal=journal
        )

    with pytest.raises(ModelUnavailable):
        make(action("t = open_table('a')\nu = create_table('b')\nprint(name_of(t))"), GONE).run("Open.")
    done = make(action("print(name_of(t))"), action("name_of(u)"), "Done.").resume("last")
    first, second = [event.observation for event in done.events if event.type == "action_finished"]
    assert first.stdout == "a\n"
    assert opened == ["a", "a"]
    assert second.error is not None
    assert "get it again" in second.text


# ---- calls that were under way ---------------------------------------------------------------------------------------


def under_way(shop: Shop, journal: Journal, code: str, tool_name: str) -> str:
    """A run whose record ends after ``tool_name`` had started; return its name."""
    done = agent(shop, journal, action(code), "Done.").run("Shop.")
    records = journal.store.read(done.run_id)
    last = next(r.seq for r in records if r.kind == "tool_called" and (r.event or {})["call"]["tool"] == tool_name)
    journal.delete(done.run_id)
    for record in records[:last]:
        journal.store.append(done.run_id, record, durable=False)
    shop.effects.clear()
    return done.run_id


@pytest.mark.parametrize(
    ("code", "name"), [("look('tea')", "look"), ("set_price('tea', 1.0)", "set_price"), ("[*stream(3)]", "stream")]
)
def test_a_call_that_may_be_repeated_is(shop: Shop, journal: Journal, code: str, name: str) -> None:
    """A read-only or idempotent call that had started is made again without asking."""
    run = under_way(shop, journal, code, name)
    assert agent(shop, journal, "Done.").resume(run).answer == "Done."
    assert len(shop.effects) == 1


def test_a_call_that_must_not_be_repeated_pauses_the_run(shop: Shop, journal: Journal) -> None:
    """Nobody knows whether it took effect, so the run waits for somebody who finds out."""
    run = under_way(shop, journal, "n = order('tea')\nprint(n)", "order")
    for _ in range(2):
        with pytest.raises(RunPaused, match="not known") as paused:
            agent(shop, journal, "Done.").resume(run)
        assert [(call.tool, call.arguments) for call in paused.value.waiting] == [("order", {"item": "tea"})]
    assert shop.effects == []
    assert journal.past(run).status == "paused"
    journal.decide(run, 1, Done(7), by="ann")
    done = agent(shop, journal, "Done.").resume(run)
    assert [event.observation.stdout for event in done.events if event.type == "action_finished"] == ["7\n"]
    assert shop.effects == []


@pytest.mark.parametrize(
    ("verdict", "effects", "shown"),
    [
        (True, ["order tea"], "1\n"),
        (Done(41), [], "41\n"),
        (Allow({"item": "coffee"}), ["order coffee"], "1\n"),
        (Deny("too late"), [], ""),
    ],
)
def test_whoever_is_there_decides_about_it(
    shop: Shop, journal: Journal, verdict: Any, effects: list[str], shown: str
) -> None:
    """Repeat it, take it as done, repeat it otherwise, or drop it."""
    run = under_way(shop, journal, "n = order('tea')\nprint(n)", "order")
    asked: list[CallRequest] = []

    def approve(call: CallRequest) -> Any:
        asked.append(call)
        return verdict

    done = agent(shop, journal, "Done.", approve=approve).resume(run)
    (seen,) = [event.observation for event in done.events if event.type == "action_finished"]
    assert seen.stdout == shown
    assert shop.effects == effects
    assert "not known" in asked[0].reason


def test_a_result_of_the_wrong_type_is_not_taken_as_done(shop: Shop, journal: Journal) -> None:
    """What somebody says a call gave is validated like a result."""
    run = under_way(shop, journal, "n = order('tea')", "order")
    done = agent(shop, journal, "Done.", approve=lambda _: Done("many")).resume(run)
    (seen,) = [event.observation for event in done.events if event.type == "action_finished"]
    assert seen.error is not None
    assert shop.effects == []


# ---- the sandbox dies ------------------------------------------------------------------------------------------------


def guests() -> list[int]:
    """The processes below this one."""
    from tests.crash_runs import descendants

    return descendants(os.getpid())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_killed_sandbox_is_rebuilt_and_the_action_goes_on(shop: Shop, journal: Journal) -> None:
    """The run survives the end of its guest: variables are there, finished calls are not repeated."""

    @tool(read_only=True)
    def kill(context: ToolContext) -> str:
        """Kill the guest, the first time."""
        if not context.state.get("killed") and "killed" not in shop.effects:
            shop.effects.append("killed")
            os.kill(guests()[-1], signal.SIGKILL)
            time.sleep(0.3)  # the host hears of the end while the call is under way, or else right after it
        return "alive"

    script = [action("a = order('tea')"), action("b = order('milk')\nc = kill()\nprint(a, b, c)"), "Done."]
    done = agent(shop, journal, *script, tools=[*shop.tools(), kill], check="off").run("Shop.")
    seen = [event.observation for event in done.events if event.type == "action_finished"]
    assert seen[1].stdout == "1 2 alive\n"
    assert shop.effects == ["order tea", "order milk", "killed"]
    assert any("rebuilt" in event.message for event in done.events if event.type == "warning_raised")


def test_an_action_that_ends_its_own_guest_is_not_repeated_for_ever(shop: Shop, journal: Journal) -> None:
    """After the second end the model is told, and the run goes on."""
    script = [action("a = order('tea')\nprint(a)"), action("import os\nos._exit(3)"), action("order('milk')"), "Done."]
    done = agent(shop, journal, *script, allow_imports=["os"]).run("Shop.")
    seen = [event.observation for event in done.events if event.type == "action_finished"]
    assert seen[1].error is not None
    assert seen[1].error.state_lost
    assert shop.effects == ["order tea", "order milk"]
    assert done.answer == "Done."
