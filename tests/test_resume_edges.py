"""Resuming at its edges: early cuts, several tasks, typed answers, other settings, secrets, and programs at random."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from codeact_tools import CodeActAgent, ToolContext, tool
from codeact_tools.approvals import Done
from codeact_tools.errors import (
    JournalError,
    ModelUnavailable,
    RunBusy,
    RunDiverged,
    RunLimitReached,
    SandboxUnavailable,
    TurnLimitReached,
)
from codeact_tools.events import Diverged, RunStarted
from codeact_tools.journal import Journal, SQLiteStore
from codeact_tools.sandbox.base import GuestProcess, SandboxRequest
from codeact_tools.testing import ScriptedModel

GONE = ModelUnavailable("the endpoint is gone")
EFFECTS: list[str] = []


@pytest.fixture(autouse=True)
def no_effects() -> None:
    """Nothing has happened yet."""
    EFFECTS.clear()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A fresh journal."""
    return Journal(tmp_path / "runs.sqlite3")


@tool
def order(item: str) -> str:
    """Order something.

    Args:
        item: What.
    """
    EFFECTS.append(f"order {item}")
    return f"#{item}"


def action(code: str) -> str:
    """A reply with an action."""
    return f"<execute>\n{code}\n</execute>"


def agent(journal: Any, *replies: Any, tools: Any = (order,), **options: Any) -> CodeActAgent:
    """An agent with a script."""
    return CodeActAgent(tools, **{"model": ScriptedModel(replies), "sandbox": "local", **options}, journal=journal)


def shown(done: Any) -> list[str]:
    """What the model read of the actions."""
    return [event.observation.text for event in done.events if event.type == "action_finished"]


def shorter(journal: Journal, run: str, records: int) -> Journal:
    """A journal with the first records of a run."""
    assert isinstance(journal.store, SQLiteStore)
    found = Journal(journal.store.path.with_name(f"{records}.sqlite3"))
    for record in journal.store.read(run)[:records]:
        found.store.append(run, record, durable=False)
    return found


# ---- before the first turn -------------------------------------------------------------------------------------------


def test_a_run_without_a_sandbox_is_resumed_with_its_task(journal: Journal) -> None:
    """The task is on record although nothing could be opened for it."""

    class Broken:
        name = "broken"

        async def open(self, request: SandboxRequest) -> GuestProcess:
            raise SandboxUnavailable("no sandbox here")

    events: list[Any] = []
    with pytest.raises(SandboxUnavailable):
        agent(journal, sandbox=Broken()).run("Order tea.", on_event=events.append)
    assert isinstance(events[0], RunStarted)
    resuming = agent(journal, "Done.")
    assert resuming.resume("last").answer == "Done."
    assert isinstance(resuming.model, ScriptedModel)
    assert "Order tea." in resuming.model.calls[0].messages[-1].content


@pytest.mark.parametrize("records", [1, 2, 3, 4])
def test_a_run_that_broke_off_at_its_start(journal: Journal, records: int) -> None:
    """The task is in the first record, and the model is told it, whether or not that was on record, too."""
    whole = agent(journal, "Done.").run("Order tea.")
    cut = shorter(journal, whole.run_id, records)
    resuming = agent(cut, "Done.")
    assert resuming.resume("last").answer == "Done."
    assert cut.past(whole.run_id).messages == journal.past(whole.run_id).messages


def test_the_same_limit_ends_it_again(journal: Journal) -> None:
    """A run that used up its turns, resumed with no more of them, ends at once with the same error."""
    with pytest.raises(TurnLimitReached):
        agent(journal, action("a = 1"), max_turns=1).run("Count.")
    with pytest.raises(TurnLimitReached):
        agent(journal, max_turns=1).resume("last")


# ---- conversations ---------------------------------------------------------------------------------------------------


async def talk(journal: Journal, *replies: Any, tasks: int, output_type: Any = str) -> str:
    """Solve tasks, of which the last fails where its replies end in an error; return the run's name."""
    async with agent(journal, *replies).conversation(output_type=output_type) as conversation:
        for number in range(tasks):
            try:
                await conversation.arun(f"Task {number}.")
            except ModelUnavailable:
                assert number == tasks - 1
        return conversation.run_id


async def test_a_finished_conversation_is_taken_up_again(journal: Journal) -> None:
    """A further task finds variables and history, whether or not the last answer was asked for again."""
    run = await talk(journal, action("x = order('tea')"), "Ordered.", tasks=1)
    for ask_again in (True, False):
        resuming = agent(journal, action("print(x)"), "It is #tea.")
        async with resuming.resumed(run) as conversation:
            if ask_again:
                assert (await conversation.ago_on()).answer == "Ordered."
            done = await conversation.arun("Which number?")
        assert shown(done) == ["#tea"]
        assert isinstance(resuming.model, ScriptedModel)
        assert resuming.model.calls[0].messages[-2].content == ("Ordered." if ask_again else "It is #tea.")
    assert EFFECTS == ["order tea"]
    past = journal.past(run)
    assert past.tasks == ["Task 0.", "Which number?", "Which number?"]
    assert [past.messages[place][0] for place in past.task_places] == ["user"] * 3


async def test_a_resumed_task_that_fails_again_leaves_the_earlier_ones(journal: Journal) -> None:
    """The next task of the conversation finds the history of those that were finished."""
    run = await talk(journal, action("x = order('tea')"), "Ordered.", GONE, tasks=2)
    resuming = agent(journal, GONE, action("print(x)"), "It is #tea.")
    async with resuming.resumed(run) as conversation:
        with pytest.raises(ModelUnavailable):
            await conversation.ago_on()
        assert shown(await conversation.arun("Which number?")) == ["#tea"]
    assert isinstance(resuming.model, ScriptedModel)
    roles = [message.role for message in resuming.model.calls[1].messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [role for role, _ in journal.past(run).messages] == [*roles, "assistant", "user", "assistant"]


async def test_a_run_that_was_busy_can_be_taken_up_by_the_same_conversation(journal: Journal) -> None:
    """Nothing of it is lost by the attempt."""
    run = await talk(journal, action("x = order('tea')"), GONE, tasks=1)
    async with agent(journal, "Done.").resumed(run) as conversation:
        with journal.store.claim(run), pytest.raises(RunBusy):
            await conversation.ago_on()
        assert (await conversation.ago_on()).answer == "Done."


async def test_typed_answers_of_earlier_tasks_are_no_answers_now(journal: Journal) -> None:
    """Rebuilding calls ``final_answer`` of the tasks before; what it gave then is not the answer of this one."""
    replies = (action("final_answer(1)"), action("x = 5"), GONE)
    run = await talk(journal, *replies, tasks=2, output_type=int)
    done = await agent(journal, action("y = 1"), action("final_answer(2)")).aresume(run, output_type=int)
    assert done.answer == 2


def test_an_answer_of_an_action_that_failed_does_not_count() -> None:
    """The action that gives the answer has to run to its end, not a later one."""
    script = (action("final_answer(1)\n1 / 0"), action("x = 3"), action("final_answer(2)"))
    assert agent(False, *script).run("Count.", output_type=int).answer == 2


# ---- other settings --------------------------------------------------------------------------------------------------


def test_recorded_replies_are_read_in_their_own_dialect(journal: Journal) -> None:
    """A model that prefers another dialect goes on in that of the conversation."""
    with pytest.raises(ModelUnavailable):
        agent(journal, action("x = order('tea')"), GONE).run("Order.")
    model = ScriptedModel([action("print(x)"), "Done."], dialect="fences")
    done = agent(journal, model=model).resume("last")
    assert shown(done) == ["#tea"]


def test_what_is_set_otherwise_is_named(journal: Journal) -> None:
    """A warning says which settings differ; so does the error, where the actions go another way because of them."""
    code = "import math\nx = order(str(math.tau))"
    with pytest.raises(ModelUnavailable):
        agent(journal, action(code), GONE, allow_imports=["math"], limits={"seconds": 20}).run("Order.")
    with pytest.raises(RunDiverged, match=r"allow_imports was \['math'\] and is \[\]"):
        agent(journal, "Done.").resume("last")
    done = agent(journal, "Done.", allow_imports=["math"]).resume("last")
    warnings = [event.message for event in done.events if event.type == "warning_raised"]
    assert warnings == ["The run goes on with another configuration: limits.seconds was 20.0 and is 30.0."]


def test_an_action_that_had_begun_is_not_refused_afterwards(journal: Journal) -> None:
    """The check of today does not say that nothing happened where something had."""
    done = agent(journal, action("import math\norder('a')\norder('b')"), "Done.", allow_imports=["math"]).run("Order.")
    records = journal.store.read(done.run_id)
    returned = next(record.seq for record in records if record.kind == "tool_returned")
    again = agent(shorter(journal, done.run_id, returned), "Done.").resume("last")
    assert "nothing happened" not in shown(again)[-1]


@pytest.mark.parametrize(
    ("output_type", "answer"),
    [
        (bytes, b"\xff\x00>>?"),
        (dict[str, bytes], {"a": b"\xfe"}),
        (float, float("inf")),
        (list[date], [date(2026, 1, 2)]),
    ],
    ids=["bytes", "nested bytes", "inf", "dates"],
)
def test_a_typed_answer_survives_the_resume_of_a_finished_run(journal: Journal, output_type: Any, answer: Any) -> None:
    """It is what it was, also where JSON has no form of its own for it."""
    code = f"final_answer({answer!r})".replace("inf", "float('inf')").replace("datetime.", "")
    code = code if output_type != list[date] else "final_answer([date(2026, 1, 2)])"
    done = agent(journal, action(code)).run("Answer.", output_type=output_type)
    assert done.answer == answer
    again = agent(journal).resume("last", output_type=output_type)
    assert again.answer == answer
    assert type(again.answer) is type(answer)


def test_a_large_result_is_recorded_once(journal: Journal) -> None:
    """And so are large arguments; the events that the journal gives back have them all the same."""

    @tool(read_only=True)
    def mirror(text: str) -> str:
        """Give the text back.

        Args:
            text: Any.
        """
        return text[::-1]

    done = agent(journal, action("seen = mirror('ab' * 20_000)"), "Done.", tools=[mirror]).run("Mirror.")
    size = sum(len(repr(record)) for record in journal.store.read(done.run_id))
    assert 120_000 < size < 140_000, "twice the arguments: as values, and as they went over the bridge; once the result"
    seen = journal.read(done.run_id)
    (returned,) = [each.event for each in seen if each.event.type == "tool_returned"]
    (finished,) = [each.event for each in seen if each.event.type == "action_finished"]
    assert returned.call.arguments == {"text": "ab" * 20_000}
    assert finished.observation.calls == (returned.call,)
    assert returned.call.result == "ba" * 20_000


def test_a_value_that_only_looks_like_its_json_is_kept_as_it_is(journal: Journal) -> None:
    """What stands in the event is taken for the answer only where the two are the same."""

    @tool(read_only=True)
    def values() -> list[Any]:
        """Give some values."""
        return [(1, 2), date(2026, 1, 2), Decimal("1.50"), b"x", {1: "a"}, 1.0, True, None, float("inf")]

    first = [action("seen = values()"), GONE]
    with pytest.raises(ModelUnavailable):
        agent(journal, *first, tools=[values]).run("Look.")
    done = agent(journal, action("print(seen)"), "Done.", tools=[values]).resume("last")
    expected = "[(1, 2), datetime.date(2026, 1, 2), Decimal('1.50'), b'x', {1: 'a'}, 1.0, True, None, inf]"
    assert shown(done)[-1] == expected


@pytest.mark.parametrize("kind", ["run", "message", "turn_started"])
def test_records_of_a_newer_version_are_named(journal: Journal, kind: str) -> None:
    """A format, an event or a record that is not known is an error of that run; the list of runs still works."""
    run = agent(journal, "Done.").run("Order.").run_id
    newer = Journal(Path(journal.where).with_name("newer.sqlite3"))
    for record in journal.store.read(run):
        if record.kind == kind:
            event = None if record.event is None else {"type": "future", "x": 1}
            record = record._replace(event=event, data={"format": 3})
        newer.store.append(run, record, durable=False)
    assert [each.run_id for each in newer.runs()] == [run]
    with pytest.raises(JournalError, match=rf"\({kind}\) cannot be read by this version"):
        newer.past(run)


# ---- secrets ---------------------------------------------------------------------------------------------------------


def test_a_secret_that_is_gone_is_not_sent_as_its_mark(journal: Journal) -> None:
    """A variable that held a secret is rebuilt without it; a call with it is denied instead of made with the mark."""
    seen: list[str] = []

    @tool(secrets=["password"])
    def log_in(password: str) -> bool:
        """Log in."""
        seen.append(password)
        return True

    secret = "sk-" + "abcdefgh" * 3
    with pytest.raises(ModelUnavailable):
        agent(journal, action(f"pw = {secret!r}\nlog_in(pw)"), GONE, tools=[log_in]).run("Log in.")
    done = agent(journal, action("log_in(pw)"), "Done.", tools=[log_in]).resume("last")
    assert seen == [secret]
    assert "stands for a secret that was not recorded" in shown(done)[-1]


# ---- what goes on after the end --------------------------------------------------------------------------------------


def test_a_thread_that_ends_late_does_not_disturb_who_goes_on(journal: Journal) -> None:
    """A tool that was given up with its run may end while the run is resumed; nothing is called twice."""
    begun, gate = threading.Event(), threading.Event()

    @tool
    def slow() -> int:
        """Take long."""
        begun.set()
        gate.wait(60)
        EFFECTS.append("slow")
        return 1

    with pytest.raises(RunLimitReached):
        agent(journal, action("print(slow())"), tools=[slow], run_limits={"seconds": 4}).run("Wait.")
    assert begun.is_set()

    def approve(_: Any) -> Done:
        gate.set()
        while not EFFECTS:
            threading.Event().wait(0.01)
        return Done(1)

    done = agent(journal, "Done.", tools=[slow], approve=approve).resume("last")
    assert shown(done) == ["1"]
    assert EFFECTS == ["slow"]
    assert journal.past(done.run_id).status == "finished"


def test_parallel_calls_that_came_late_are_waited_for(journal: Journal) -> None:
    """A call that the record does not have waits as long as the recorded ones took the first time."""

    @tool(read_only=True)
    async def wait(name: str, seconds: float) -> str:
        """Wait."""
        await asyncio.sleep(seconds)
        return name

    code = (
        "import asyncio\n"
        "async def one():\n    return [await wait('a', 2.0), await wait('c', 0.0)]\n"
        "async def two():\n    await asyncio.sleep(1.6)\n    return await wait('b', 0.0)\n"
        "print(await asyncio.gather(one(), two()))"
    )
    done = agent(journal, action(code), "Done.", tools=[wait], allow_imports=["asyncio"]).run("Wait.")
    ends = [r.seq for r in journal.store.read(done.run_id) if r.kind == "tool_returned"]
    again = agent(shorter(journal, done.run_id, ends[1]), "Done.", tools=[wait], allow_imports=["asyncio"]).resume(
        "last"
    )
    assert shown(again) == ["[['a', 'c'], 'b']"]


# ---- programs at random ----------------------------------------------------------------------------------------------


@dataclass
class Item:
    """Something to order."""

    name: str
    price: Decimal
    day: date
    tags: set[str]
    raw: bytes


def shop() -> list[Callable[..., Any]]:
    """Tools of every kind."""

    @tool
    async def ship(item: str) -> str:
        """Ship something."""
        await asyncio.sleep(0.005 * (len(item) % 3))
        EFFECTS.append(f"ship {item}")
        return f"ship {item}"

    @tool(read_only=True)
    def items(most: int) -> Iterator[Item]:
        """List items."""
        for n in range(most):
            yield Item(str(n), Decimal(n) / 7, date(2020, 1, 1) + timedelta(n), {"a", "b", str(n)}, bytes([n]))

    @tool
    async def numbers(most: int) -> AsyncIterator[int]:
        """Count."""
        for n in range(most):
            yield n

    @tool
    def fail(item: str) -> int:
        """Fail."""
        EFFECTS.append(f"fail {item}")
        raise ValueError(f"no {item}")

    @tool
    async def hang(item: str) -> str:
        """Take long."""
        await asyncio.sleep(20)
        EFFECTS.append(f"hang {item}")
        return item

    @tool
    def change(item: Item, by: dict[str, Decimal], numbers: set[int], raw: bytes) -> Item:
        """Change an item."""
        EFFECTS.append(f"change {item.name}")
        return Item(item.name + "!", item.price + by["x"], item.day, item.tags | {"z"}, item.raw + raw)

    @tool(concurrency=1, calls=1000, retries=1)
    async def single(item: str, context: ToolContext) -> str:
        """One at a time."""
        context.state["calls"] = context.state.get("calls", 0) + 1
        EFFECTS.append(f"single {item}")
        return item

    @tool(read_only=True, cache=True)
    def cached(item: str) -> str:
        """Look up."""
        return item * 2

    return [order, ship, items, numbers, fail, hang, change, single, cached]


def pieces(rng: random.Random, n: int) -> list[str]:
    """Pieces of actions that assign ``v{n}``."""
    some = f"{n}{rng.randrange(99)}"
    return [
        f"v{n} = [order(f'{{k}}-{n}') for k in range(2)]",
        f"v{n} = await asyncio.gather(*(ship('{n}' * k) for k in range(4)), single('{some}'), single('{some}'))",
        f"v{n} = await asyncio.gather(*(asyncio.to_thread(order, f't{n}{{k}}') for k in range(3)))",
        f"v{n} = []\nfor x in items(5):\n    v{n}.append((x.name, x.price, x.day, sorted(x.tags), x.raw))\n"
        f"    if x.name == '{rng.randrange(4)}':\n        order('b{n}')\n        break",
        f"v{n} = [k async for k in numbers(3)]",
        f"try:\n    v{n} = fail('{some}')\nexcept ToolFailed as e:\n    v{n} = str(e)",
        f"try:\n    async with asyncio.timeout(0.05):\n        v{n} = await hang('{some}')\n"
        f"except TimeoutError:\n    v{n} = order('after {some}')",
        f"y = change(Item('i', Decimal('1.5'), date(2021, 2, 3), {{'q'}}, b'x'), {{'x': Decimal('0.25')}}, {{3, 1}}, "
        f"b'\\xff')\nv{n} = (y.name, y.price, y.day, sorted(y.tags), y.raw)",
        f"import random\nv{n} = order(str(random.random())) + cached(str(random.randrange(10**9)))",
        f"v{n} = [x for x in {{'a', 'b', 'c', 'd{n}'}}]\norder(v{n}[0])",
    ]


@pytest.mark.parametrize("seed", range(4))
def test_programs_at_random_are_resumed_from_any_record(journal: Journal, seed: int) -> None:
    """Wherever the record ends, the variables are the same in the end, and no finished call happens again."""
    rng = random.Random(seed)  # noqa: S311
    parts = [rng.choice(pieces(rng, n)) for n in range(5)]
    show = f"print({', '.join(f'v{n}' for n in range(5))})"
    codes = ["\n".join(["import asyncio", *parts[:3]]), "\n".join(parts[3:]), show]
    script = [*map(action, codes), "Done."]
    options: dict[str, Any] = {"tools": shop(), "check": "off", "allow_imports": ["asyncio", "random"]}
    whole = agent(journal, *script, **options).run("Shop.")
    records = journal.store.read(whole.run_id)
    assert not any(event.observation.error for event in whole.events if event.type == "action_finished")
    for kept in sorted(rng.sample(range(4, len(records)), 8)):
        cut = shorter(journal, whole.run_id, kept)
        before = cut.past(whole.run_id)
        left = script[sum(event.type == "reply_finished" for _, event in before.events) :]
        EFFECTS.clear()
        done = agent(cut, *left, approve=lambda _: True, **options).resume(whole.run_id)
        assert not [event for event in done.events if isinstance(event, Diverged)]
        after = cut.past(whole.run_id)
        assert after.actions[-1].observation is not None
        assert after.actions[-1].observation.text == shown(whole)[-1], f"cut after {kept} records"
        finished = sum(call.known is not None and call.record.tool == "order" for call in before.calls.values())
        made = sum(call.record.tool == "order" for call in after.calls.values())
        assert sum(effect.startswith("order") for effect in EFFECTS) <= made - finished
